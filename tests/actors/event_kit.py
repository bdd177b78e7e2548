"""Outcomes with followers, made without a node."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

from actors.model.event import Action, EventTrigger, On, Topic
from actors.model.execution import Execution, Failure
from actors.model.lifecycle import State
from actors.model.task import TaskState
from actors.rules.followers import of_execution
from actors.store.port import OutboxEntry
from runtime.clock import SECOND, Instant
from runtime.records import evolve
from tests.actors.records import definition, running

START = Instant(1_767_225_600 * SECOND)


def ids(prefix: str = "d") -> Callable[[], str]:
    numbers = count(1)
    return lambda: f"{prefix}{next(numbers):06}"


def event(*actions: Action, name: str = "alarm", **fields: Any) -> EventTrigger:
    return EventTrigger(name, actions or (Topic("alarms"),), **{"on": tuple(On), **fields})


def ended(state: State = State.FAILED, at: int = START, **fields: Any) -> Execution:
    failure = Failure("ValueError", "no rows") if state is State.FAILED else None
    plain = running(nominal=Instant(at - 3 * SECOND), started_at=Instant(at - 2 * SECOND))
    changes = {
        "state": state,
        "first_started_at": Instant(at - 2 * SECOND),
        "ended_at": Instant(at),
        "failure": failure,
    }
    return evolve(plain, **{**changes, **fields})


def entries(
    *events: EventTrigger,
    execution: Execution | None = None,
    result: str | None = None,
    at: int = START,
    new_id: Callable[[], str] | None = None,
    task_id: str = "t1",
    **fields: Any,
) -> list[OutboxEntry]:
    """What the keeper would write for an execution of a task with these events."""
    whole = definition(task_id, events=events, **fields)
    execution = execution or ended(at=at, task_id=task_id)
    return of_execution(whole, TaskState(completed=3, failed=2), execution, None, result, new_id or ids(), Instant(at))
