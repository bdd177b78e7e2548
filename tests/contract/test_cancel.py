"""Cancelling a task."""

from __future__ import annotations

import pytest

from tests.contract import examples
from tests.contract.client import Status, TaskClient
from tests.contract.node import eventually


def test_cancel_is_204_without_a_body(client: TaskClient, tasks: dict[str, str]) -> None:
    """DELETE /cxs/tasks/{taskId}; response: 204 No Content; the record stays and says CANCELLED."""
    task = tasks["to cancel"]
    response = client.raw("DELETE", f"/cxs/tasks/{task}")
    assert (response.status_code, response.content) == (204, b"")
    after = client.get(task)
    assert (after.status, after.next_scheduled_execution) == (Status.CANCELLED, None)
    assert task in {one.item_id for one in client.iterate(status=Status.CANCELLED)}


def test_cancel_a_second_time(client: TaskClient, tasks: dict[str, str]) -> None:
    """The record is still there, so it is found."""
    task = tasks["to cancel twice"]
    client.cancel(task)
    client.cancel(task)
    assert client.get(task).status == Status.CANCELLED


def test_cancel_a_running_task(client: TaskClient, tasks: dict[str, str]) -> None:
    """The run ends, too."""
    task = tasks["to cancel running"]
    eventually(lambda: client.get(task).status == Status.RUNNING)
    client.cancel(task)
    assert client.get(task).status == Status.CANCELLED


@pytest.mark.parametrize("kind", ["waiting", "memory"])
def test_cancel_in_other_states(client: TaskClient, tasks: dict[str, str], kind: str) -> None:
    """A task that waits for another, and one that is in memory only."""
    task = tasks[f"to cancel {kind}"]
    client.cancel(task)
    assert client.get(task).status == Status.CANCELLED


def test_a_failed_task_is_cancelled_like_any_other(client: TaskClient, tasks: dict[str, str]) -> None:
    """In Unomi nothing becomes of it. Here what is cancelled is CANCELLED, whatever it was, and runs no more."""
    task = tasks["to cancel and retry"]
    client.cancel(task)
    assert client.get(task).status == Status.CANCELLED
    examples.assert_error(client.raw(*examples.request("retry", task)), 409)
