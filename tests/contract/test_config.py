"""Changing the retries of a task."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.contract import examples
from tests.contract.client import Status, TaskClient
from tests.contract.node import Node, eventually


def test_config_of_the_contract(node: Node, client: TaskClient) -> None:
    """PUT /cxs/tasks/{taskId}/config?maxRetries=5&retryDelay=60000, with the response of the example."""
    task = node.add("config", "quick")
    response = client.raw("PUT", f"/cxs/tasks/{task}/config?maxRetries=5&retryDelay=60000")
    assert response.status_code == 200
    examples.assert_like(examples.CONFIG, response.json())
    for name in ("status", "maxRetries", "retryDelay", "persistent"):
        assert response.json()[name] == examples.CONFIG[name], name
    after = client.get(task)
    assert (after.max_retries, after.retry_delay, after.status) == (5, 60_000, Status.SCHEDULED)


def test_config_leaves_what_is_not_said(node: Node, client: TaskClient) -> None:
    """One parameter of the two changes one value."""
    task = node.add("config partial", "quick", {"maxRetries": 7, "delay": "9s"})
    after = client.configure(task, max_retries=4)
    assert (after.max_retries, after.retry_delay) == (4, 9_000)
    after = client.configure(task, retry_delay=1_500)
    assert (after.max_retries, after.retry_delay) == (4, 1_500)
    after = client.configure(task, max_retries=0, retry_delay=0)
    assert (after.max_retries, after.retry_delay) == (0, 0)


def test_config_holds_for_the_next_run(node: Node, client: TaskClient) -> None:
    """The delay is so many milliseconds from the end of the first attempt."""
    task = node.add("config delay", "failing")
    client.configure(task, max_retries=1, retry_delay=3_600_000)
    node.run(task)
    between = eventually(lambda: one if (one := client.get(task)).failure_count else None)
    assert between.status == Status.SCHEDULED
    assert between.next_scheduled_execution and between.last_execution_date
    delay = between.next_scheduled_execution - between.last_execution_date
    assert timedelta(hours=1) <= delay < timedelta(hours=1, minutes=5)
    client.cancel(task)


def test_config_holds_for_the_number_of_retries(node: Node, client: TaskClient) -> None:
    """One retry, and no second one: what comes next is the next day."""
    task = node.add("config number", "failing")
    client.configure(task, max_retries=1, retry_delay=1)
    node.run(task)
    after = eventually(lambda: one if (one := client.get(task)).failure_count == 2 else None)
    assert after.next_scheduled_execution and after.next_scheduled_execution - datetime.now(UTC) > timedelta(hours=23)


@pytest.mark.parametrize("name", ["memory", "waiting", "running config", "failed", "cancelled"])
def test_config_in_other_states(client: TaskClient, tasks: dict[str, str], name: str) -> None:
    """The status stays as it is."""
    before = client.get(tasks[name])
    after = client.configure(tasks[name], max_retries=6, retry_delay=61_000)
    assert (after.status, after.persistent) == (before.status, before.persistent)
    assert (after.max_retries, after.retry_delay) == (6, 61_000)


@pytest.mark.parametrize(
    ("query", "limit"), [("maxRetries=1001", "1000"), ("retryDelay=3155760000001", "3155760000000")]
)
def test_config_has_upper_limits(client: TaskClient, tasks: dict[str, str], query: str, limit: str) -> None:
    """The contract has none. Here a slip of the finger does not become a task that is tried without end."""
    before = client.get(tasks["scheduled"])
    error = examples.assert_error(client.raw("PUT", f"/cxs/tasks/{tasks['scheduled']}/config?{query}"), 400)
    assert limit in error.message
    assert client.get(tasks["scheduled"]) == before
