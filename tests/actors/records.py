"""Short ways to make the model's records in tests."""

from __future__ import annotations

from typing import Any

import attrs

from actors.model.execution import Execution, Kind
from actors.model.lifecycle import State
from actors.model.task import Definition, Task, TaskState
from actors.model.trigger import Interval
from actors.store.port import Create, ExecutionWrite, Update
from runtime.clock import SECOND, Instant


def definition(task_id: str = "t1", **changes: Any) -> Definition:
    plain = Definition(task_id, f"name of {task_id}", "command", Interval(SECOND, Instant(0)), created_at=Instant(5))
    return attrs.evolve(plain, **changes)


def task(task_id: str = "t1", *, next_fire: int | None = 1000, state: TaskState | None = None, **changes: Any) -> Task:
    return Task(definition(task_id, **changes), state or TaskState(next_fire=next_fire))


def create(task_id: str = "t1", partition: int = 0, **changes: Any) -> Create:
    return Create(task(task_id, **changes), partition)


def running(execution_id: str = "e1", task_id: str = "t1", **changes: Any) -> Execution:
    plain = Execution(
        execution_id,
        task_id,
        Kind.OCCURRENCE,
        State.RUNNING,
        Instant(100),
        nominal=Instant(90),
        attempt=1,
        fence=1,
        boot="boot",
        node="node",
        started_at=Instant(110),
    )
    return attrs.evolve(plain, **changes)


def update(stored: Task, *executions: ExecutionWrite, partition: int = 0, **changes: Any) -> Update:
    """The next version of a task; `changes` are fields of the update, or of the state under `state`."""
    state = attrs.evolve(stored.state, version=stored.state.version + 1, **changes.pop("state", {}))
    fields = {"due": state.next_fire, "executions": executions, **changes}
    return Update(stored.id, partition, stored.state.version, state, **fields)
