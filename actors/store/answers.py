"""What the store answers to those who look: lists, pages, the ledger, totals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from runtime.clock import Instant
from runtime.records import record

from ..model.execution import Attempt, Execution
from ..model.lifecycle import State, Status
from ..model.occurrence import Outcome, Settled
from ..model.task import Definition, Task


@record
class Identity:
    """What the store says of itself. `cluster_id` is made when it is founded and never changes."""

    cluster_id: str
    partitions: int
    schema_version: int
    timezone_database: str


@record
class TaskFilter:
    """Which tasks a list holds; all conditions combine. `sort` is a column name of `TASK_SORTS`.

    `system`: whether the system's own tasks are among them.
    """

    status: Status | None = None
    type: str | None = None
    tenant: str | None = None
    text: str | None = None
    sort: str = "id"
    descending: bool = False
    offset: int = 0
    limit: int = 50
    id_prefix: str | None = None
    owner: str | None = None
    type_prefix: str | None = None
    system: bool = True


TASK_SORTS: Final = ("id", "name", "type", "status", "coming", "last_started_at", "failure_count", "created_at")
"""What a list may be sorted by."""

SortKey = tuple[bool, Any, str]
"""Null comes first; equal ones are in the order of their ids."""


def sort_key(task: Task, column: str) -> SortKey:
    """Where a task stands in a list that is sorted by a column of `TASK_SORTS`."""
    if column == "coming":
        value: Any = task.coming
    else:
        value = getattr(task.definition if column in ("id", "name", "type", "created_at") else task.state, column)
    return value is not None, value, task.id


@record
class TaskPage:
    """Some tasks and the true total of the filter."""

    tasks: tuple[Task, ...]
    total: int


@record
class OutcomeRow:
    """One row of a task's ledger as people read it: a slot or a range of slots and what became of it.

    `folded`: a number of slots between `first` and `last`, in one hour, what is left of rows that were purged; others may lie
    between them. `target`: the node that the execution is for, where each node has one of its own.
    """

    first: Instant
    last: Instant
    count: int | None
    outcome: Outcome | None
    reason: str | None
    execution_id: str | None
    state: State | None
    started_at: Instant | None
    revision: int
    folded: bool = False
    target: str | None = None


@record
class LogLine:
    """One line that a handler logged. `sequence` orders the lines of an execution."""

    sequence: int
    attempt: int
    at: Instant
    level: str
    text: str


@record
class ExecutionDetail:
    """An execution with everything that belongs to it. Texts are JSON."""

    execution: Execution
    attempts: tuple[Attempt, ...] = ()
    result: str | None = None
    checkpoint: str | None = None
    progress: str | None = None


SCANNED: Final = 10_000
"""Rows that a look at all executions goes through before it is narrowed by tenant, type or node: some tens of milliseconds."""


@record
class ActivityFilter:
    """Which executions of all tasks are looked at; all conditions combine. `states` None: any.

    Those that are open, held or lingering are of the present and fit any time; of the others the end lies in [since, until].
    """

    since: Instant
    until: Instant
    states: tuple[State, ...] | None = None
    type: str | None = None
    task_id: str | None = None
    node: str | None = None
    tenant: str | None = None
    owner: str | None = None
    offset: int = 0
    limit: int = 100
    scanned: int = SCANNED


@record
class Active:
    """An execution with the name and the type of its task."""

    execution: Execution
    name: str
    type: str


@record
class Activity:
    """Executions: first those that are open, held or lingering, the newest first, then the others, the last to end first.

    `more`: there are more than these. `reached`: the look ended at this instant, because it went through so many rows.
    """

    rows: tuple[Active, ...] = ()
    more: bool = False
    reached: Instant | None = None


@record
class Newest:
    """The newest executions of a task and the newest of its nominal times that did not run, each the newest first."""

    executions: tuple[Execution, ...] = ()
    settled: tuple[Settled, ...] = ()


@record
class Counts:
    """Totals over the whole store. `by_outcome` counts what was ever recorded: purge and deletion do not lower it.

    `by_reason`: the same cut finer, under `outcome` or `outcome: reason`. `system`: of `by_status` the system's own tasks.
    """

    tasks: int
    by_status: Mapping[str, int]
    by_outcome: Mapping[str, int]
    by_reason: Mapping[str, int] = attrs.field(factory=dict)
    system: Mapping[str, int] = attrs.field(factory=dict)

    def without_system(self) -> Counts:
        """The totals of all other tasks. Outcomes are counted for all tasks together."""
        rest = {status: number - self.system.get(status, 0) for status, number in self.by_status.items()}
        by_status = {status: number for status, number in rest.items() if number}
        return Counts(self.tasks - sum(self.system.values()), by_status, self.by_outcome, self.by_reason)


@record
class Revision:
    """One version of a task's definition: what `why` needs to say that an edit took a slot away."""

    revision: int
    definition: Definition
    began_at: Instant
