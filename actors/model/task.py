"""A task: its definition, its state, and its open executions."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Final, Literal

from runtime.clock import Instant, Micros
from runtime.records import record

from .event import EventTrigger
from .execution import Execution, WaitsFor
from .lifecycle import FAILED_STATES, Phase, State, Status
from .placement import ANYWHERE, Placement
from .policy import DEFAULT_POLICIES, Policies
from .trigger import UNBOUNDED, Bounds, Trigger

MAX_NAME: Final = 128
"""Characters in a task's name: fits a terminal's line."""

MAX_PARAMETERS: Final = 256 * 1024
"""Bytes of JSON in a task's parameters; larger data belongs where the parameters can point to."""

MAX_EXTRA: Final = 1024 * 1024
"""Bytes of opaque data delivered to the handler exactly as given."""


@record
class Extra:
    """Opaque bytes for the handler, with their content type."""

    data: bytes
    content_type: str = "application/octet-stream"


@record
class Dependencies:
    """Tasks (ids) whose completion an occurrence waits for: of each, or with mode `any` of one.

    `fail_fast`: a parent that cannot complete ends the wait at once, else it goes on until `max_wait`.
    """

    parents: tuple[str, ...]
    mode: Literal["all", "any"] = "all"
    fail_fast: bool = False


@record
class Definition:
    """What a person wrote: what to run, when, and how. Changed only by an edit, which makes a revision.

    `parameters` is canonical JSON text of an object. `labels` are pairs, sorted by their keys.
    """

    id: str
    name: str
    type: str
    trigger: Trigger
    bounds: Bounds = UNBOUNDED
    parameters: str = "{}"
    extra: Extra | None = None
    policies: Policies = DEFAULT_POLICIES
    tags: tuple[str, ...] = ()
    persistent: bool = True
    tenant: str = ""
    owner: str = ""
    created_at: Instant = Instant(0)
    labels: tuple[tuple[str, str], ...] = ()
    dependencies: Dependencies | None = None
    events: tuple[EventTrigger, ...] = ()
    placement: Placement = ANYWHERE


@record
class TaskState:
    """What changes while a task lives. `version` grows with every change and is what compare-and-set compares; it begins
    anywhere, so that two tasks that had one id after another do not share one.

    `settled_through`: every nominal time at or before it has its outcome; it only moves forward. `fence`: the counter from
    which attempts draw. `runs`: executions started by the trigger since the last activation, counted against `max_runs`.
    `failure_count`: of the current sequence. `catching_up`: slots up to here are what catch-up `all` still has to run.
    `last_admitted`: the newest nominal time that got an execution. `completed_start`: the newest start among the executions that
    have completed: what children of the task look at.
    """

    version: int = 1
    revision: int = 1
    phase: Phase = Phase.ACTIVE
    status: Status = Status.SCHEDULED
    next_fire: Instant | None = None
    settled_through: Instant = Instant(0)
    fence: int = 0
    runs: int = 0
    failure_count: int = 0
    completed: int = 0
    failed: int = 0
    last_execution: str | None = None
    last_state: State | None = None
    last_started_at: Instant | None = None
    last_ended_at: Instant | None = None
    note: str | None = None
    changed_by: str | None = None
    catching_up: Instant | None = None
    last_admitted: Instant | None = None
    completed_start: Instant | None = None


@record
class Task:
    """Definition, state and the executions that are open, held or lingering. `open` is in order of creation."""

    definition: Definition
    state: TaskState
    open: tuple[Execution, ...] = ()

    @property
    def id(self) -> str:
        """The task's id, a UUIDv7 text."""
        return self.definition.id

    @property
    def due(self) -> Instant | None:
        """When its owner must next look at it: the next fire, what an execution waits for, or the end of its waiting."""
        earliest = self.state.next_fire
        if earliest is not None and self.definition.bounds.spread:
            earliest = assigned(self.definition, earliest)
        for execution in self.open:
            for due in (execution.due, execution.expires):
                if due is not None and (earliest is None or due < earliest):
                    earliest = due
        return earliest

    @property
    def coming(self) -> Instant | None:
        """What people are told that comes next: nothing of it while it is paused."""
        return None if self.state.phase is Phase.PAUSED else self.due


def number_of(task_id: str) -> int:
    """A number from 0 to 2**32 - 1 that is the same for a task over processes and releases, and spread evenly over tasks."""
    return zlib.crc32(task_id.encode())


def spread_offset(bounds: Bounds, task_id: str) -> Micros:
    """How long after each nominal time a task has its place in the spread window: stable, in [0, spread)."""
    return Micros(number_of(task_id) * bounds.spread >> 32)


def assigned(definition: Definition, nominal: Instant) -> Instant:
    """The instant inside the spread window at which a nominal time is due."""
    # Nearly no task has a window, and every fire asks.
    return Instant(nominal + spread_offset(definition.bounds, definition.id)) if definition.bounds.spread else nominal


def status_of(state: TaskState, executions: Sequence[Execution]) -> Status:
    """The contract's status; the first rule that matches wins (design page 3, "Task")."""
    if state.phase is Phase.CANCELLED:
        return Status.CANCELLED
    best = _NOTHING_OPEN
    for execution in executions:
        rank = _RANKS.get(execution.state, _NOTHING_OPEN)
        if execution.waits_for is WaitsFor.RETRY:
            rank = _RETRY
        best = min(best, rank)
    if best < _RETRY:
        return _BY_RANK[best]
    if best == _RETRY:
        return Status.SCHEDULED
    return resting_status(state.phase, state.next_fire, state.last_state)


def resting_status(phase: Phase, next_fire: Instant | None, last_state: State | None) -> Status:
    """The status of a task that is not cancelled and of which nothing is open."""
    if phase is Phase.PAUSED or next_fire is not None or last_state is None:
        return Status.SCHEDULED
    return _LAST[last_state]


_RETRY: Final = 3
_NOTHING_OPEN: Final = 4
_BY_RANK: Final = (Status.RUNNING, Status.CRASHED, Status.WAITING)
_RANKS: Final = {State.RUNNING: 0, State.CRASHED: 1, State.WAITING: 2}
_LAST: Final = {state: Status.FAILED if state in FAILED_STATES else Status(state.value) for state in State}


def partition_of(task_id: str, partitions: int) -> int:
    """The partition that a task hashes into: stable over processes and releases."""
    return number_of(task_id) % partitions
