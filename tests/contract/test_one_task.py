"""One task: what is told of it in each state."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from tests.contract import examples
from tests.contract.client import TaskClient
from tests.contract.node import FAR


def test_get_has_the_fields_of_the_example(client: TaskClient, tasks: dict[str, str]) -> None:
    """All fields, with their types."""
    response = client.raw("GET", f"/cxs/tasks/{tasks['running']}")
    assert response.status_code == 200
    examples.assert_like(examples.TASK, response.json())


@pytest.mark.parametrize("name", ["taskType", "status", "failureCount", "persistent", "parameters", "currentStep"])
def test_get_has_the_values_of_the_example(client: TaskClient, tasks: dict[str, str], name: str) -> None:
    """What the handler says and what the task was made with is there as it is."""
    assert client.raw("GET", f"/cxs/tasks/{tasks['running']}").json()[name] == examples.TASK[name]


def test_get_has_the_details_of_the_example(client: TaskClient, tasks: dict[str, str]) -> None:
    """What the handler reported is in statusDetails; an estimate of the end may be there too, since people ask for it."""
    details = client.get(tasks["running"]).status_details
    assert {name: value for name, value in details.items() if name != "eta"} == examples.TASK["statusDetails"]


def test_get_and_list_agree(client: TaskClient, tasks: dict[str, str]) -> None:
    """A task is the same in both, whatever its state."""
    listed = {task.item_id: task.raw for task in client.iterate(type="quick")}
    for name in ("completed", "waiting", "cancelled", "scheduled", "memory"):
        single = client.get(tasks[name]).raw
        for field in examples.TASK_IN_LIST:
            assert single[field] == listed[tasks[name]][field], (name, field)


@pytest.mark.parametrize("name", ["running", "completed", "failed", "waiting", "cancelled", "scheduled", "memory"])
def test_get_has_all_fields_in_every_state(client: TaskClient, tasks: dict[str, str], name: str) -> None:
    """The fields of the example are there in every state; those that have no value are null."""
    task = client.raw("GET", f"/cxs/tasks/{tasks[name]}").json()
    assert set(examples.TASK) <= set(task)
    for field in ("itemId", "taskType", "status", "failureCount", "persistent", "parameters", "statusDetails"):
        example = {} if field in ("parameters", "statusDetails") else examples.TASK[field]
        examples.assert_like(example, task[field], field)


@pytest.mark.parametrize("name", ["running", "completed", "failed", "waiting", "cancelled", "scheduled", "memory"])
def test_ids_are_uuids(client: TaskClient, tasks: dict[str, str], name: str) -> None:
    """In the form that has hyphens and small letters."""
    assert str(uuid.UUID(client.get(tasks[name]).item_id)) == tasks[name]


def test_states_have_what_belongs_to_them(client: TaskClient, tasks: dict[str, str]) -> None:
    """Next and last execution are there where the state has one."""
    completed, failed, cancelled, scheduled = (
        client.get(tasks[name]) for name in ("completed", "failed", "cancelled", "scheduled")
    )
    assert completed.last_execution_date and not completed.next_scheduled_execution
    assert failed.last_execution_date and not failed.next_scheduled_execution and failed.failure_count == 1
    assert not cancelled.last_execution_date and not cancelled.next_scheduled_execution
    assert not scheduled.last_execution_date and scheduled.next_scheduled_execution
    assert timedelta() < scheduled.next_scheduled_execution - datetime.now(UTC) <= timedelta(hours=1)


@pytest.mark.parametrize("field", ["nextScheduledExecution", "lastExecutionDate"])
def test_times_are_in_utc(client: TaskClient, tasks: dict[str, str], field: str) -> None:
    """ISO 8601 with Z, as in the examples, with milliseconds or without."""
    value = client.raw("GET", f"/cxs/tasks/{tasks['running']}").json()[field]
    assert re.fullmatch(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{3})?Z", value)


def test_times_of_full_seconds_have_the_form_of_the_examples(client: TaskClient, tasks: dict[str, str]) -> None:
    """2024-03-20T15:00:00Z: without parts of a second."""
    assert client.get(tasks["blocker"]).raw["nextScheduledExecution"] == f"{FAR:%Y-%m-%dT%H:%M:%SZ}"


def test_other_times_have_milliseconds(client: TaskClient, tasks: dict[str, str]) -> None:
    """The examples have none. Here they have, as tasks may run more often than once a second."""
    assert client.get(tasks["fraction"]).raw["nextScheduledExecution"] == f"{FAR:%Y-%m-%dT%H:%M:%S.250Z}"


def test_defaults_of_retries(client: TaskClient, tasks: dict[str, str]) -> None:
    """Three retries, a minute apart; the delay is in milliseconds."""
    task = client.get(tasks["scheduled"])
    assert (task.max_retries, task.retry_delay) == (3, 60_000)
