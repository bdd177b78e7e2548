"""Each example of the contract of Apache Unomi's task API (UNOMI-878), field by field, under `/cxs`.

What is not compared is what cannot be the same: ids, times of the clock, and where the example shows one of several states.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import trio

from actors.handling.catalogue import Catalogue, task_type
from tests.tocsin.conftest import Running, settings
from tocsin.client import Client

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z")

PARAMETERS = {"targetSystem": "CRM", "batchSize": 1000}
CHECKPOINT = {"lastProcessedId": "12345", "progress": 50}


async def synchronize(ctx: Any, *, targetSystem: str, batchSize: int) -> None:
    """Runs until it is cancelled."""
    ctx.progress(done=500, total=1000, step="Processing records")
    await trio.sleep_forever()


async def fail(ctx: Any) -> None:
    raise RuntimeError("no connection")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    catalogue = Catalogue([task_type("dataSync", synchronize), task_type("broken", fail)])
    node = Running(tmp_path_factory.mktemp("seed"), catalogue=catalogue)
    node.start(settings(node.data))
    yield node
    node.stop()
    assert node.error is None


@pytest.fixture
def cxs(running: Running) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {running.token}"}
    with httpx.Client(base_url=f"{running.url}/cxs", headers=headers, trust_env=False) as found:
        yield found


@pytest.fixture
def task(client: Client) -> Iterator[str]:
    """The task of the examples, running; it is gone afterwards."""
    made = client.call(
        "add_task",
        body={"name": "the example", "taskType": "dataSync", "trigger": {"every": "1h"}, "parameters": PARAMETERS},
    )
    client.call("run_task", task=made["itemId"])
    until(lambda: client.call("show_task", task=made["itemId"]), lambda one: one["currentStep"] is not None)
    yield made["itemId"]
    client.call("cancel_task", task=made["itemId"], permanent=True)


@pytest.fixture
def failed(client: Client) -> Iterator[str]:
    """A task whose last execution has failed; it is gone afterwards."""
    body = {"taskType": "broken", "trigger": {"every": "1h"}, "policies": {"retry": {"maxRetries": 0}}}
    made = client.call("add_task", body=body)
    client.call("run_task", task=made["itemId"])
    until(lambda: client.call("show_task", task=made["itemId"]), lambda one: one["failureCount"] == 1)
    yield made["itemId"]
    client.call("cancel_task", task=made["itemId"], permanent=True)


def until(ask: Callable[[], Any], good: Callable[[Any], bool]) -> Any:
    """Ask until the answer is good; the bound is against hanging."""
    deadline = time.monotonic() + 60
    while not good(found := ask()):
        assert time.monotonic() < deadline, found
        time.sleep(0.01)
    return found


def is_the_example(shown: dict[str, Any]) -> bool:
    """Whether a task is that of the examples, with the fields of the list."""
    assert UUID.fullmatch(shown["itemId"])
    assert TIME.fullmatch(shown["nextScheduledExecution"])
    assert TIME.fullmatch(shown["lastExecutionDate"])
    exact = {
        "taskType": "dataSync",
        "status": "RUNNING",
        "failureCount": 0,
        "persistent": True,
        "parameters": PARAMETERS,
    }
    return {key: shown[key] for key in exact} == exact


@pytest.mark.parametrize(
    "query", ["", "?status=RUNNING", "?type=dataSync", "?offset=0&limit=50&sortBy=lastExecutionDate", "?status=running"]
)
def test_list_tasks(cxs: httpx.Client, task: str, query: str) -> None:
    answer = cxs.get(f"/tasks{query}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert set(body) == {"list", "offset", "pageSize", "totalSize"}
    assert (body["offset"], body["pageSize"]) == (0, 50)
    found = [one for one in body["list"] if one["itemId"] == task]
    assert len(found) == 1
    assert is_the_example(found[0])
    assert body["totalSize"] == len(body["list"])
    if "=RUNNING" in query or "type" in query:
        assert body["totalSize"] == 1


def test_the_filters_combine_and_the_total_is_true_beyond_the_end(cxs: httpx.Client, task: str) -> None:
    both = cxs.get("/tasks?type=dataSync&status=RUNNING&offset=7&limit=5").json()
    assert both == {"list": [], "offset": 7, "pageSize": 5, "totalSize": 1}
    assert cxs.get("/tasks?type=dataSync&status=FAILED").json()["totalSize"] == 0
    assert cxs.get("/tasks?type=broken&status=RUNNING").json()["totalSize"] == 0


def test_sorting_has_a_direction(cxs: httpx.Client, task: str, failed: str) -> None:
    def order(words: str) -> list[str]:
        listed = [one["itemId"] for one in cxs.get(f"/tasks?sortBy={words}").json()["list"]]
        return [one for one in listed if one in (task, failed)]

    assert order("lastExecutionDate") == order("lastExecutionDate:asc") == [task, failed]
    assert order("lastExecutionDate:desc") == [failed, task]
    assert order("failureCount:desc") == [failed, task]


def test_get_task_details(cxs: httpx.Client, task: str) -> None:
    answer = cxs.get(f"/tasks/{task}")
    assert answer.status_code == 200
    shown = answer.json()
    assert is_the_example(shown)
    assert shown["currentStep"] == "Processing records"
    details = shown["statusDetails"]
    assert (details["processedCount"], details["totalCount"]) == (500, 1000)
    # Beyond the example: when it will be done, while it runs.
    assert details.keys() <= {"processedCount", "totalCount", "eta"}


def test_cancel_task(cxs: httpx.Client, task: str) -> None:
    for _ in range(2):
        answer = cxs.delete(f"/tasks/{task}")
        assert (answer.status_code, answer.content) == (204, b"")
    kept = until(lambda: cxs.get(f"/tasks/{task}").json(), lambda one: one["status"] == "CANCELLED")
    assert kept["nextScheduledExecution"] is None


@pytest.mark.parametrize("query", ["", "?resetFailureCount=true"])
def test_retry_failed_task(cxs: httpx.Client, failed: str, query: str) -> None:
    assert cxs.get(f"/tasks/{failed}").json()["failureCount"] == 1
    answer = cxs.post(f"/tasks/{failed}/retry{query}")
    assert answer.status_code == 200
    shown = answer.json()
    assert (shown["itemId"], shown["taskType"], shown["persistent"]) == (failed, "broken", True)
    # It is tried at once, where the example is tried five minutes later.
    assert shown["status"] == "SCHEDULED"
    assert TIME.fullmatch(shown["nextScheduledExecution"])
    assert shown["failureCount"] == (0 if query else 1)


def test_a_task_that_has_not_failed_is_not_retried(cxs: httpx.Client, task: str) -> None:
    is_error(cxs.post(f"/tasks/{task}/retry"), 409, "RUNNING")


def test_update_task_configuration(cxs: httpx.Client, failed: str) -> None:
    answer = cxs.put(f"/tasks/{failed}/config?maxRetries=5&retryDelay=60000")
    assert answer.status_code == 200
    shown = answer.json()
    exact = {"itemId": failed, "taskType": "broken", "maxRetries": 5, "retryDelay": 60000, "persistent": True}
    assert {key: shown[key] for key in exact} == exact
    # One that is absent stays as it is.
    assert cxs.put(f"/tasks/{failed}/config?maxRetries=2").json()["retryDelay"] == 60000
    assert cxs.put(f"/tasks/{failed}/config?retryDelay=1").json()["maxRetries"] == 2


def test_resume_crashed_task(cxs: httpx.Client, client: Client) -> None:
    """A worker that begins anew has crashed before; what it held waits for a decision."""
    body = {"taskType": "worker:dataSync", "trigger": {"every": "1h"}, "policies": {"onCrash": "hold"}}
    made = client.call("add_task", body=body)["itemId"]
    client.call("run_task", task=made)
    job = client.call("queue_next", worker="w", body={"types": ["dataSync"]})["job"]
    client.call("queue_save", job=job["job"], body={"lease": job["lease"], "checkpoint": CHECKPOINT})
    assert client.call("queue_start", worker="w")["givenBack"] == [job["job"]]
    held = until(lambda: cxs.get(f"/tasks/{made}").json(), lambda one: one["status"] == "CRASHED")
    assert held["checkpointData"] == CHECKPOINT
    answer = cxs.post(f"/tasks/{made}/resume")
    assert answer.status_code == 200
    shown = answer.json()
    assert (shown["itemId"], shown["taskType"], shown["persistent"]) == (made, "worker:dataSync", True)
    assert shown["status"] == "SCHEDULED"
    assert TIME.fullmatch(shown["nextScheduledExecution"])
    assert shown["checkpointData"] == CHECKPOINT
    is_error(cxs.post(f"/tasks/{made}/resume"), 409, "resume")
    client.call("cancel_task", task=made, permanent=True)


def is_error(answer: httpx.Response, status: int, word: str) -> None:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert set(body) == {"error", "code", "message"}
    assert all(isinstance(value, str) for value in body.values())
    assert body["code"] == str(status)
    assert word in body["message"]


def test_error_responses(cxs: httpx.Client, running: Running) -> None:
    """The example's words are those of one error; every one has the same three fields."""
    assert cxs.get("/tasks/123e4567").json() == {
        "error": "Task not found",
        "code": "404",
        "message": "No task exists with ID: 123e4567",
    }
    is_error(cxs.get("/tasks?limit=many"), 400, "many")
    is_error(cxs.put("/tasks/123e4567/config?maxRetries=-1"), 400, "-1")
    is_error(httpx.get(f"{running.url}/cxs/tasks", trust_env=False), 401, "token")


def test_who_is_no_administrator_may_not_change_tasks(
    cxs: httpx.Client, client: Client, running: Running, task: str
) -> None:
    viewer = client.call("add_token", body={"name": "looker", "role": "viewer"})["token"]
    headers = {"Authorization": f"Bearer {viewer}"}
    with httpx.Client(base_url=f"{running.url}/cxs", headers=headers, trust_env=False) as other:
        assert other.get(f"/tasks/{task}").status_code == 200
        for method, path in (("DELETE", ""), ("POST", "/retry"), ("PUT", "/config?maxRetries=1"), ("POST", "/resume")):
            is_error(other.request(method, f"/tasks/{task}{path}"), 403, "")


@pytest.mark.parametrize("shorten", [lambda task: task[:-1], lambda task: task[:-4], lambda _task: "by name"])
def test_a_task_is_meant_by_its_whole_id_only(cxs: httpx.Client, client: Client, shorten: Callable[[str], str]) -> None:
    made = client.call("add_task", body={"name": "by name", "taskType": "broken", "trigger": {"every": "1h"}})["itemId"]
    try:
        reference = shorten(made)
        assert client.call("show_task", task=reference)["itemId"] == made
        for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/retry"), ("PUT", "/config?maxRetries=1")):
            answer = cxs.request(method, f"/tasks/{reference}{path}")
            is_error(answer, 404, reference)
        assert cxs.get(f"/tasks/{made.upper()}").json()["status"] == "SCHEDULED"
    finally:
        client.call("cancel_task", task=made, permanent=True)


def test_an_empty_object_is_no_body(cxs: httpx.Client, failed: str) -> None:
    assert cxs.put(f"/tasks/{failed}/config?maxRetries=2", json={}).status_code == 200
    is_error(cxs.put(f"/tasks/{failed}/config?maxRetries=2", json={"a": 1}), 400, "takes no body")
    is_error(cxs.get("/tasks?status=RUNING"), 400, "did you mean 'RUNNING'?")
