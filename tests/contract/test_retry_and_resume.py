"""Running again: what has failed, and what has crashed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.contract import examples
from tests.contract.client import Status, TaskClient, TaskNotFound
from tests.contract.node import Node, eventually


def test_retry_has_the_fields_of_the_example(client: TaskClient, tasks: dict[str, str]) -> None:
    """All fields, with their types, of a task that runs every hour."""
    task = tasks["retry hourly"]
    response = client.raw("POST", f"/cxs/tasks/{task}/retry", {"resetFailureCount": "true"})
    assert response.status_code == 200
    examples.assert_like(examples.RETRY, response.json())
    assert response.json()["itemId"] == task
    for name in ("status", "failureCount", "persistent"):
        assert response.json()[name] == examples.RETRY[name], name


@pytest.mark.parametrize("name", ["retry status", "retry once"])
def test_retry_answers_when_it_runs(client: TaskClient, tasks: dict[str, str], name: str) -> None:
    """The task is SCHEDULED in the response, for the time of the retry, whether it runs every hour or once."""
    before = datetime.now(UTC)
    answer = client.retry(tasks[name])
    assert answer.status == Status.SCHEDULED
    assert answer.next_scheduled_execution
    assert abs(answer.next_scheduled_execution - before) < timedelta(minutes=5)


@pytest.mark.parametrize(("reset", "shown", "in_the_end"), [(None, 1, 2), (False, 1, 2), (True, 0, 1)])
def test_retry_counts_failures(
    client: TaskClient, tasks: dict[str, str], reset: bool | None, shown: int, in_the_end: int
) -> None:
    """resetFailureCount=true counts from 0; without it, or with false, the count goes on."""
    task = tasks[f"retry {reset}"]
    assert client.retry(task, reset_failure_count=reset).failure_count == shown
    eventually(lambda: client.get(task).status == Status.FAILED)
    assert client.get(task).failure_count == in_the_end


def test_retry_runs_the_task(node: Node, client: TaskClient, tasks: dict[str, str]) -> None:
    """What was wrong is mended: the task completes, and has no failures in a row any more."""
    task = tasks["retry mended"]
    (node.gates / "mended").touch()
    client.retry(task)
    eventually(lambda: client.get(task).status == Status.COMPLETED)
    assert client.get(task).failure_count == 0


@pytest.mark.parametrize("written", ["TRUE", "tRue"])
def test_retry_reads_truth_values_in_any_case(client: TaskClient, tasks: dict[str, str], written: str) -> None:
    """As Unomi's platform does."""
    path = f"/cxs/tasks/{tasks[f'retry {written}']}/retry"
    response = client.raw("POST", path, {"resetFailureCount": written})
    assert (response.status_code, response.json()["failureCount"]) == (200, 0)


def test_crashed_tasks_are_listed(crashed: tuple[Node, dict[str, str]]) -> None:
    """They have the status CRASHED, and still have their checkpoint."""
    node, ids = crashed
    with node.client() as client:
        assert ids["held"] in {task.item_id for task in client.list(status=Status.CRASHED).tasks}
        task = client.get(ids["held"])
    assert task.status == Status.CRASHED
    assert task.checkpoint_data == examples.RESUME["checkpointData"]


def test_resume_has_the_fields_of_the_example(crashed: tuple[Node, dict[str, str]]) -> None:
    """POST /cxs/tasks/{taskId}/resume: all fields of the example, with their types, and the checkpoint's values."""
    node, ids = crashed
    with node.client() as client:
        response = client.raw("POST", f"/cxs/tasks/{ids['resumed']}/resume")
    assert response.status_code == 200
    examples.assert_like(examples.RESUME, response.json())
    for name in ("taskType", "status", "checkpointData", "persistent"):
        assert response.json()[name] == examples.RESUME[name]
    assert response.json()["itemId"] == ids["resumed"]


@pytest.mark.parametrize("name", ["resumed hourly", "resumed once"])
def test_resume_answers_when_it_runs(crashed: tuple[Node, dict[str, str]], name: str) -> None:
    """The task is SCHEDULED in the response, for now, whether it runs every hour or once."""
    node, ids = crashed
    before = datetime.now(UTC)
    with node.client() as client:
        answer = client.resume(ids[name])
    assert answer.status == Status.SCHEDULED
    assert answer.next_scheduled_execution
    assert abs(answer.next_scheduled_execution - before) < timedelta(minutes=5)


@pytest.mark.parametrize("name", ["scheduled", "by itself"])
def test_resume_in_another_state_changes_nothing(crashed: tuple[Node, dict[str, str]], name: str) -> None:
    """Resume is for crashed tasks: others stay as they are, and the answer is an error of the usual form."""
    node, ids = crashed
    with node.client() as client:
        before = client.get(ids[name])
        examples.assert_error(client.raw("POST", f"/cxs/tasks/{ids[name]}/resume"), 409)
        assert client.get(ids[name]) == before


def test_tasks_survive_restarts(crashed: tuple[Node, dict[str, str]]) -> None:
    """Persistent storage ensures task survival across restarts; tasks in memory are gone."""
    node, ids = crashed
    with node.client() as client:
        assert client.get(ids["scheduled"]).status == Status.SCHEDULED
        with pytest.raises(TaskNotFound):
            client.get(ids["memory"])


def test_tasks_recover_by_themselves(crashed: tuple[Node, dict[str, str]]) -> None:
    """Automatic crash recovery: without a word on crashes a task runs again, from its checkpoint."""
    node, ids = crashed
    with node.client() as client:
        assert client.get(ids["by itself"]).status == Status.RUNNING
    eventually(lambda: examples.RESUME["checkpointData"] in node.resumed())


def test_resumed_tasks_complete(crashed: tuple[Node, dict[str, str]]) -> None:
    """Task resumption from checkpoints: the handler gets the checkpoint, and the task goes on to its end."""
    node, ids = crashed
    with node.client() as client:
        before = node.resumed().count(examples.RESUME["checkpointData"])
        client.resume(ids["held"])
        eventually(lambda: node.resumed().count(examples.RESUME["checkpointData"]) > before)
        eventually(lambda: client.get(ids["held"]).status == Status.RUNNING)
        (node.gates / "dataSync").touch()
        ended = eventually(lambda: one if (one := client.get(ids["held"])).status != Status.RUNNING else None)
    assert (ended.status, ended.failure_count) == (Status.SCHEDULED, 0)
