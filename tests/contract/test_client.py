"""The client itself: it reads what the contract shows, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.contract import examples
from tests.contract.client import (
    InsufficientPermissions,
    InvalidParameters,
    ProtocolError,
    Task,
    TaskClient,
    TaskNotFound,
)
from tests.contract.node import Node


def test_client_raises_what_the_contract_names(node: Node, client: TaskClient, tokens: dict[str, str]) -> None:
    """Each status of the contract is an exception of its own."""
    with pytest.raises(InvalidParameters):
        client.list(status="BOGUS")
    with pytest.raises(TaskNotFound):
        client.get("123e4567")
    with node.client(tokens["worker"]) as worker, pytest.raises(InsufficientPermissions):
        worker.list()


@pytest.mark.parametrize(
    "example", [examples.TASK_IN_LIST, examples.TASK, examples.RETRY, examples.CONFIG, examples.RESUME]
)
def test_client_reads_the_examples(example: dict[str, Any]) -> None:
    """What the contract shows is a task, even though no example has all fields."""
    assert Task.from_json(example).raw == example


def test_client_reads_times() -> None:
    """They are in UTC."""
    assert Task.from_json(examples.TASK).next_scheduled_execution == datetime(2024, 3, 20, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    "change",
    [
        {"status": "SLEEPING"},
        {"itemId": "one"},
        {"failureCount": "0"},
        {"failureCount": True},
        {"persistent": 1},
        {"nextScheduledExecution": "2024-03-20T15:00:00+01:00"},
        {"taskType": None},
        {"parameters": []},
    ],
)
def test_client_refuses_what_is_not_of_the_contract(change: dict[str, Any]) -> None:
    """A response of another form is an error of its own."""
    with pytest.raises(ProtocolError):
        Task.from_json(examples.TASK | change)
