"""Errors: their statuses, their form, and that nothing has happened."""

from __future__ import annotations

import pytest

from tests.contract import examples
from tests.contract.client import Status, TaskClient

# 400


@pytest.mark.parametrize(
    "query",
    [
        "status=BOGUS",
        "status=",
        "status=RUNNING,FAILED",
        "offset=-1",
        "offset=one",
        "offset=1.5",
        "offset=",
        "limit=-1",
        "limit=ten",
        "limit=",
        "sortBy=bogus",
        "sortBy=lastExecutionDate:up",
    ],
)
def test_400_for_invalid_parameters_of_list(client: TaskClient, query: str) -> None:
    """400 Bad Request - Invalid parameters, with the body of the example."""
    error = examples.assert_error(client.raw("GET", f"/cxs/tasks?{query}"), 400)
    assert query.split("=")[0] in error.message


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?maxRetries=-1",
        "?maxRetries=many",
        "?maxRetries=2.5",
        "?maxRetries=",
        "?retryDelay=-1",
        "?retryDelay=1m",
        "?retryDelay=",
        "?maxRetries=1&retryDelay=-1",
    ],
)
def test_400_for_invalid_parameters_of_config(client: TaskClient, tasks: dict[str, str], query: str) -> None:
    """400, and nothing is changed, not even what is valid in the request."""
    before = client.get(tasks["scheduled"])
    examples.assert_error(client.raw("PUT", f"/cxs/tasks/{tasks['scheduled']}/config{query}"), 400)
    assert client.get(tasks["scheduled"]) == before


@pytest.mark.parametrize("value", ["maybe", ""])
def test_400_for_invalid_parameters_of_retry(client: TaskClient, tasks: dict[str, str], value: str) -> None:
    """400, and the task is not run."""
    before = client.get(tasks["failed"])
    examples.assert_error(client.raw("POST", f"/cxs/tasks/{tasks['failed']}/retry?resetFailureCount={value}"), 400)
    assert client.get(tasks["failed"]) == before


@pytest.mark.parametrize("value", ["RUNING", "RUNNING,FAILED", "SCHEDULE"])
def test_400_is_for_people(client: TaskClient, value: str) -> None:
    """A message has the names of the interface, not those of the program."""
    assert "<" not in client.raw("GET", "/cxs/tasks", {"status": value}).json()["message"]


# 404


@pytest.mark.parametrize("action", ["get", "cancel", "retry", "config", "resume"])
@pytest.mark.parametrize("unknown", ["123e4567", examples.UNKNOWN])
def test_404_for_an_unknown_task(client: TaskClient, action: str, unknown: str) -> None:
    """404 Not Found - Task not found, with the fields of the example, wherever a task is named."""
    error = examples.assert_error(client.raw(*examples.request(action, unknown)), 404)
    assert unknown in error.message


def test_404_is_the_example(client: TaskClient) -> None:
    """The example of an error, as it stands: its words, and the code as text."""
    assert client.raw("GET", "/cxs/tasks/123e4567").json() == examples.ERROR


@pytest.mark.parametrize("part", ["the first group", "all but one character", "the name"])
def test_404_for_a_part_of_an_id(client: TaskClient, tasks: dict[str, str], part: str) -> None:
    """In the example there is no task 123e4567, though there is one whose id begins so; nor are there names."""
    task = tasks["scheduled"]
    named = {"the first group": task[:8], "all but one character": task[:-1], "the name": "scheduled"}[part]
    examples.assert_error(client.raw("GET", f"/cxs/tasks/{named}"), 404)


def test_cancel_by_a_part_of_an_id_cancels_nothing(client: TaskClient, tasks: dict[str, str]) -> None:
    """An id that was cut off on its way must not hit a task."""
    task = tasks["to spare"]
    examples.assert_error(client.raw("DELETE", f"/cxs/tasks/{task[:-1]}"), 404)
    assert client.get(task).status == Status.SCHEDULED


@pytest.mark.parametrize("odd", ["a%2Fb", "%00", "%E2%82%AC", "x" * 2000, "%FF", "'%20or%20'1'='1", "*", "%25"])
def test_404_for_odd_ids(client: TaskClient, odd: str) -> None:
    """Whatever is in the place of the id: there is no such task, and it is not the server's fault."""
    examples.assert_error(client.raw("GET", f"/cxs/tasks/{odd}"), 404)


# Others


@pytest.mark.parametrize("name", ["running", "completed", "waiting", "cancelled", "scheduled", "memory"])
@pytest.mark.parametrize("action", ["retry", "resume"])
def test_a_wrong_state_is_a_conflict(client: TaskClient, tasks: dict[str, str], action: str, name: str) -> None:
    """409 is not among the contract's statuses: 200 would say that the task runs again, and 400 that the request is wrong."""
    before = client.get(tasks[name])
    error = examples.assert_error(client.raw(*examples.request(action, tasks[name])), 409)
    assert before.status in error.message
    assert client.get(tasks[name]) == before


def test_a_failed_task_is_not_resumed(client: TaskClient, tasks: dict[str, str]) -> None:
    """Resume is for crashed tasks, retry for failed ones."""
    before = client.get(tasks["failed"])
    assert Status.FAILED in examples.assert_error(client.raw(*examples.request("resume", tasks["failed"])), 409).message
    assert client.get(tasks["failed"]) == before


@pytest.mark.parametrize(
    ("method", "path"), [("PATCH", ""), ("GET", "/retry"), ("GET", "/config"), ("DELETE", "/resume")]
)
def test_other_methods_are_errors_of_the_usual_form(
    client: TaskClient, tasks: dict[str, str], method: str, path: str
) -> None:
    """What the contract does not name is refused in its form."""
    examples.assert_error(client.raw(method, f"/cxs/tasks/{tasks['scheduled']}{path}"), 405)


@pytest.mark.parametrize(("action", "status"), [("retry", 409), ("resume", 409), ("config", 200)])
def test_an_empty_object_as_body_is_nothing(
    client: TaskClient, tasks: dict[str, str], action: str, status: int
) -> None:
    """Many libraries send {} with a POST or PUT that has nothing to send; the contract knows no bodies of requests."""
    response = client.raw(*examples.request(action, tasks["blocker"]), json={})
    assert response.status_code == status, response.text


@pytest.mark.parametrize(("action", "status"), [("list", 200), ("get", 404)])
def test_statuses_come_without_words(client: TaskClient, action: str, status: int) -> None:
    """The contract's 404 Not Found is 404 and no words: HTTP asks readers not to look at them, and HTTP/2 has none."""
    response = client.raw(*examples.request(action, "123e4567"))
    assert (response.status_code, response.extensions["reason_phrase"]) == (status, b"")
