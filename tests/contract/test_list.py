"""Listing tasks: which ones, and what is told of each."""

from __future__ import annotations

from datetime import datetime

import pytest

from tests.contract import examples
from tests.contract.client import Status, TaskClient
from tests.contract.conftest import FILLERS


def test_list_is_a_get_of_the_collection(client: TaskClient, tasks: dict[str, str]) -> None:
    """GET /cxs/tasks, a JSON-based interface."""
    response = client.raw("GET", "/cxs/tasks")
    assert response.status_code == 200
    assert response.headers["Content-Type"].split(";")[0] == "application/json"


def test_list_has_the_fields_of_the_example(client: TaskClient, tasks: dict[str, str]) -> None:
    """All fields, with their types, for a task in the state of the example."""
    examples.assert_like(examples.LIST, client.raw("GET", "/cxs/tasks", {"type": "dataSync"}).json())


def test_list_has_exactly_four_fields(client: TaskClient, tasks: dict[str, str]) -> None:
    """list, offset, pageSize, totalSize: no more, no less."""
    assert set(client.raw("GET", "/cxs/tasks").json()) == set(examples.LIST)


def test_list_of_the_example_has_its_values(client: TaskClient, tasks: dict[str, str]) -> None:
    """The task of the example is there with its values, and the totals are as in the example."""
    page = client.raw("GET", "/cxs/tasks", {"type": "dataSync"}).json()
    assert {name: page[name] for name in ("offset", "pageSize", "totalSize")} == {
        "offset": 0,
        "pageSize": 50,
        "totalSize": 1,
    }
    (task,) = page["list"]
    assert task["itemId"] == tasks["running"]
    for name in ("taskType", "status", "failureCount", "persistent", "parameters"):
        assert task[name] == examples.TASK_IN_LIST[name], name
    assert datetime.fromisoformat(task["lastExecutionDate"]) < datetime.fromisoformat(task["nextScheduledExecution"])


def test_list_leaves_step_and_details_to_the_single_task(client: TaskClient, tasks: dict[str, str]) -> None:
    """The example of one task has currentStep and statusDetails, that of the list has not."""
    (task,) = client.raw("GET", "/cxs/tasks", {"type": "dataSync"}).json()["list"]
    assert not {"currentStep", "statusDetails", "checkpointData"} & set(task)


@pytest.mark.parametrize("which", ["list", "get"])
def test_tasks_have_more_fields_than_the_examples(client: TaskClient, tasks: dict[str, str], which: str) -> None:
    """A task has one form in all interfaces, and what a reader of JSON does not know it ignores; a page has no more."""
    if which == "list":
        (task,) = client.raw("GET", "/cxs/tasks", {"type": "dataSync"}).json()["list"]
        assert set(task) > set(examples.TASK_IN_LIST)
    else:
        task = client.raw("GET", f"/cxs/tasks/{tasks['running']}").json()
        assert set(task) > set(examples.TASK)
    assert {"name", "trigger", "policies"} <= set(task)


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (Status.SCHEDULED, "scheduled"),
        (Status.WAITING, "waiting"),
        (Status.RUNNING, "running"),
        (Status.COMPLETED, "completed"),
        (Status.FAILED, "failed"),
        (Status.CANCELLED, "cancelled"),
    ],
)
def test_list_filters_by_status(client: TaskClient, tasks: dict[str, str], status: Status, name: str) -> None:
    """GET /cxs/tasks?status=RUNNING, and so for each status."""
    page = client.list(status=status, limit=200)
    assert tasks[name] in {task.item_id for task in page.tasks}
    assert {task.status for task in page.tasks} == {status}
    assert page.total_size == len(page.tasks)


def test_list_filters_by_status_crashed(client: TaskClient, tasks: dict[str, str]) -> None:
    """CRASHED is a status; there is no such task."""
    assert client.list(status=Status.CRASHED).total_size == 0


@pytest.mark.parametrize("written", ["running", "Running", "rUNNING"])
def test_status_in_any_case(client: TaskClient, tasks: dict[str, str], written: str) -> None:
    """The filter does not look at the case of letters."""
    assert [task.item_id for task in client.list(status=written, type="dataSync").tasks] == [tasks["running"]]


def test_list_filters_by_type(client: TaskClient, tasks: dict[str, str]) -> None:
    """GET /cxs/tasks?type=dataSync."""
    assert [task.item_id for task in client.list(type="dataSync").tasks] == [tasks["running"]]
    assert {task.task_type for task in client.list(type="quick").tasks} == {"quick"}
    assert client.list(type="filler").total_size == FILLERS


@pytest.mark.parametrize("unknown", ["noSuchType", "datasync", "data", ""])
def test_list_by_an_unknown_type_is_empty(client: TaskClient, tasks: dict[str, str], unknown: str) -> None:
    """The type is compared as a whole and with its case; nothing found is no error."""
    page = client.list(type=unknown)
    assert (page.tasks, page.total_size) == ((), 0)


def test_list_filters_by_status_and_type(client: TaskClient, tasks: dict[str, str]) -> None:
    """Both filters hold together."""
    page = client.list(status=Status.CANCELLED, type="quick")
    assert tasks["cancelled"] in {task.item_id for task in page.tasks}
    assert {(task.status, task.task_type) for task in page.tasks} == {(Status.CANCELLED, "quick")}
    assert client.list(status=Status.FAILED, type="filler").total_size == 0


def test_list_has_tasks_in_memory_too(client: TaskClient, tasks: dict[str, str]) -> None:
    """Support for both persistent and in-memory task storage: one list has both."""
    found = {task.item_id: task.persistent for task in client.iterate(type="quick")}
    assert (found[tasks["memory"]], found[tasks["scheduled"]]) == (False, True)


@pytest.mark.parametrize("action", ["cancel", "config"])
def test_the_tasks_of_the_node_itself_are_in_no_list(client: TaskClient, action: str) -> None:
    """The contract has none. By their ids they are there, and those that clean up are no one's to cancel: a conflict."""
    assert client.list(type="system.purge").total_size == 0
    assert client.raw("GET", "/cxs/tasks", {"type": "system.purge", "system": "true"}).json()["list"] == []
    assert not {task.task_type for task in client.iterate() if task.task_type.startswith("system.")}
    (own,) = client.raw("GET", "/api/tasks", {"type": "system.purge"}).json()["list"]
    examples.assert_error(client.raw(*examples.request(action, own["itemId"])), 409)
    assert client.get(own["itemId"]).status != Status.CANCELLED
