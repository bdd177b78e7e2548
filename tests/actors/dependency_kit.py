"""Short ways to make tasks that wait for others, and to look at them."""

from __future__ import annotations

from typing import Any, Literal

from actors.model.execution import Execution, WaitsFor
from actors.model.lifecycle import State
from actors.model.policy import Policies, Retry
from actors.model.task import Definition, Dependencies, Task
from actors.model.trigger import Interval
from runtime.clock import HOUR

from .keeper_kit import START, Rig, definition

HOURLY = Interval(HOUR, START)
NO_RETRY = Policies(retry=Retry(max_retries=0))


def parent(task_id: str = "p", **fields: Any) -> Definition:
    return definition(task_id, HOURLY, **{"policies": NO_RETRY, **fields})


def child(
    *parents: str,
    task_id: str = "c",
    mode: Literal["all", "any"] = "all",
    fail_fast: bool = False,
    **fields: Any,
) -> Definition:
    dependencies = Dependencies(parents, mode, fail_fast)
    return definition(task_id, **{"dependencies": dependencies, "created_at": START, **fields})


def made(rig: Rig, *definitions: Definition) -> list[Task]:
    tasks = rig.create(*definitions)
    assert all(isinstance(task, Task) for task in tasks), tasks
    return tasks


def waits_for(rig: Rig, task_id: str = "c") -> list[WaitsFor | None]:
    return [execution.waits_for for execution in rig.task(task_id).open]


def last(rig: Rig, task_id: str = "c") -> Execution:
    return rig.store.executions(task_id, offset=0, limit=1)[0][0]


def run_parent(rig: Rig, task_id: str = "p", state: State = State.COMPLETED) -> None:
    execution = rig.run(task_id)
    rig.end(state, execution=rig.running[execution.id, execution.fence])


def waiting(**fields: Any) -> Rig:
    """A child whose first occurrence waits for its parent."""
    rig = Rig(slots=20)
    made(rig, parent(), child("p", **fields))
    rig.settle("c", after=10)
    assert waits_for(rig) == [WaitsFor.DEPENDENCY]
    return rig
