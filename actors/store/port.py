"""The port between the actors and whatever keeps their records: SQLite, PostgreSQL, memory.

All calls are synchronous and are run in a thread lane of the world: `commit` and the raising of epochs in the lane of the one
writer, the reads in another. One conformance suite runs over every adapter.

The contract of `commit`:

- All or nothing per task. A `Commit` is a batch of many tasks' changes in one durable transaction. Each change carries its
  guard; a task whose guard fails is named in `CommitResult.refused` and nothing of it is written, the rest commits.
- Guards: partitions' epochs (`StaleEpoch` for every task of that partition), the version of a task's row
  (`StaleVersion`), an execution's fence and state (`StaleFence`), uniqueness of (tenant, name) (`Conflict`).
- At most one `Create` or `Update` per task; a second one is an InternalError. An `Update` that only stores checkpoints leaves
  the task's row as it is, and only the fences guard it (see `writes_task`).
- It is as if the changes were made one after the other, creations first, each seeing what those before it left: a name or an
  execution's id that a deletion sets free may be used by a later update. Of several broken guards of one change this order
  decides which is told: epoch, checkpoints' fences, version, name, executions' fences, new executions' ids.
- Outbox entries, deliveries and event states of refused tasks are left out with the rest of them, to be told again as a whole;
  a delivery's write of an entry that is gone is ignored.
- A version of a calendar never changes: another content under it is refused, under the key `tenant/name`.
- `by_outcome` and `by_reason` of `counts` grow in the same transaction as the rows they count.
- Audit records of refused tasks, and progress and log lines of executions that are gone, are left out.
- When it returns, what it wrote survives kill -9 and power loss (the memory adapter's promises hold for its process).
- It raises `StoreUnavailable` when nothing could be written (disk full, locked, gone); then nothing was.
- An error that is not one of ours ends whoever asked: whether anything was written is not known, and he reads what there is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum, auto
from functools import partial
from typing import Final, Literal, Protocol

import attrs

from runtime.clock import Instant
from runtime.errors import TocsinError
from runtime.records import record

from ..model.calendar import Calendar
from ..model.execution import Attempt, Execution
from ..model.occurrence import Settled
from ..model.retention import Purged, Slice
from ..model.task import Definition, Task, TaskState
from .answers import (
    Activity,
    ActivityFilter,
    Counts,
    ExecutionDetail,
    Identity,
    LogLine,
    Newest,
    OutcomeRow,
    Revision,
    TaskFilter,
    TaskPage,
)
from .handovers import Handover, HandoverFilter

DEFAULT_PARTITIONS: Final = 256
"""Partitions of a new cluster: enough to spread over 16 nodes with 6 % granularity, few enough to list on a page."""

DELIVERIES_KEPT: Final = 200
"""Records of deliveries kept for each task, the newest: a few days of a task that fails every hour."""

RETRY: Final = "retry"
"""The state of a delivery that is tried again."""


@record
class Create:
    """A new task, with executions that its creation already started (rows in `task.open`)."""

    task: Task
    partition: int
    settled: tuple[Settled, ...] = ()


@record
class ExecutionWrite:
    """An execution as it shall be. `former` None: a new row. Else the row must still have `former`'s state and fence.

    `archive` is the former attempt, kept as a row of its own. `key_limit`: so many may hold the concurrency key that is
    claimed (`shared.py`).
    """

    execution: Execution
    former: Execution | None = None
    archive: Attempt | None = None
    result: str | None = None
    drop_checkpoint: bool = False
    key_limit: int | None = None


@record
class CheckpointWrite:
    """A checkpoint of a running attempt: accepted only if the row is RUNNING under this fence.

    The row's `crashes` becomes 0 and its `checkpoints` one more.
    """

    execution_id: str
    task_id: str
    fence: int
    data: str


@record
class ProgressWrite:
    """The newest progress of a running attempt (JSON text); a stale fence is dropped without complaint."""

    execution_id: str
    fence: int
    progress: str


@record
class LogWrite:
    """Lines an attempt logged: (instant, level, text)."""

    execution_id: str
    attempt: int
    lines: tuple[tuple[Instant, str, str], ...]


@record
class OutboxEntry:
    """One event trigger of one outcome, to be evaluated and delivered. `payload` is JSON text of what its condition sees.

    `id` is the delivery id, the same over all tries. `due`: not before this instant. `execution_id` None: a slot that was
    not run. `tries`: how often delivery was attempted.
    """

    id: str
    task_id: str
    execution_id: str | None
    event: str
    at: Instant
    due: Instant
    payload: str
    tries: int = 0


@record
class DeliveryWrite:
    """What became of a try: `state` is `fired` (it acts: entries of its actions follow), `suppressed` (condition
    false, edge, throttle), `delivered`, `retry` or `given_up`.

    With `retry` the entry stays in the outbox, due at `due`; otherwise it leaves it and only its records are kept, each task's
    newest; how many, each adapter is told when it is made (`DELIVERIES_KEPT`).
    """

    entry_id: str
    task_id: str
    execution_id: str | None
    event: str
    at: Instant
    state: str
    detail: str = ""
    due: Instant | None = None


@record
class EventState:
    """What an event trigger remembers between outcomes: whether its condition held, and when it was delivered the last time."""

    task_id: str
    event: str
    held: bool | None = None
    delivered_at: Instant | None = None


@record
class CountWrite:
    """The count of a settled range that was left open when the row was written; ignored if it is known already or gone."""

    task_id: str
    first: Instant
    count: int


@record
class SchedulerPause:
    """The whole scheduler is paused: since when, by whom, why."""

    since: Instant
    actor: str
    note: str | None = None


class Step(Enum):
    """The two changes of which nearly all commits consist. Who writes one may leave out all that it does not change.

    FIRED: of a task of which nothing was open a slot was admitted on its first attempt, which runs; nothing limits it, and it has
    no deadline. COMPLETED: the only open execution of a task without failures has completed in its first attempt; the task is due
    when it was due before.
    """

    FIRED = auto()
    COMPLETED = auto()


@record
class Update:
    """A change of one existing task. The row must have version `expected`; it gets `state`.

    `definition` is given when an edit changed it; `delete` removes the task with all that belongs to it. `step`: which of the
    common changes it is and nothing else, None for any other.
    """

    task_id: str
    partition: int
    expected: int
    state: TaskState
    due: Instant | None
    executions: tuple[ExecutionWrite, ...] = ()
    settled: tuple[Settled, ...] = ()
    checkpoints: tuple[CheckpointWrite, ...] = ()
    definition: Definition | None = None
    delete: bool = False
    step: Step | None = None


def writes_task(update: Update) -> bool:
    """Whether an update changes its task's row; one that only stores checkpoints does not."""
    return bool(
        not update.checkpoints
        or update.executions
        or update.settled
        or update.delete
        or update.definition is not None
        or update.state.version != update.expected
    )


@record
class Audit:
    """Who changed what: one record per accepted change by a person or program. `tenant`: whose it is.

    `origin`: from where it was asked for, `change`: what it was before and after; both are JSON texts, or empty.
    """

    at: Instant
    actor: str
    action: str
    task_id: str
    detail: str = ""
    tenant: str = ""
    origin: str = ""
    change: str = ""


@record
class Commit:
    """One transaction. `epochs`: the epoch under which this node acts, for the partitions touched that are its own.

    `boot`, `wakes`, `graph`: where several nodes share the store, see `shared.py`; None and empty: nothing is checked or told.
    """

    epochs: Mapping[int, int]
    creates: tuple[Create, ...] = ()
    updates: tuple[Update, ...] = ()
    progress: tuple[ProgressWrite, ...] = ()
    logs: tuple[LogWrite, ...] = ()
    audits: tuple[Audit, ...] = ()
    outbox: tuple[OutboxEntry, ...] = ()
    deliveries: tuple[DeliveryWrite, ...] = ()
    event_states: tuple[EventState, ...] = ()
    counts: tuple[CountWrite, ...] = ()
    calendars: tuple[Calendar, ...] = ()
    pause: SchedulerPause | Literal["resume"] | None = None
    boot: str | None = None
    wakes: tuple[str, ...] = ()
    graph: int | None = None

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write."""
        rows = self.creates or self.updates or self.progress or self.logs or self.audits or self.calendars
        return not (rows or self.counts or self.pause or self.outbox or self.deliveries or self.event_states)


@record
class CommitResult:
    """What was refused: task id to the error that says why. All else is durable."""

    refused: Mapping[str, TocsinError] = attrs.field(factory=dict)


class Store(Protocol):
    """What an adapter offers. `begin(identity)` founds or opens; every other call needs it first."""

    def open(self, *, new_cluster_id: str, partitions: int, timezone_database: str) -> Identity:
        """Found a new store with these values, or open the one that is there, bringing its schema up to date.

        Raises StoreDamaged for a store of a newer schema or one that is not ours.
        """
        ...

    def close(self) -> None:
        """Release everything. Idempotent."""
        ...

    # -- the writer's lane

    def raise_epochs(self, grants: Mapping[int, int], boot: str) -> Mapping[int, int]:
        """Take the partitions (number to grant) for a boot id: epochs grow by one, committed. Answers the new epochs.

        A grant not higher than the recorded one is left out of the answer.
        """
        ...

    def last_grants(self) -> Mapping[int, int]:
        """The recorded grant of every partition that was ever taken."""
        ...

    def epochs(self) -> Mapping[int, int]:
        """The epoch of every partition that was ever taken."""
        ...

    def commit(self, commit: Commit) -> CommitResult:
        """See the module's docstring."""
        ...

    def prepared(self, commit: Commit) -> Callable[[], CommitResult]:
        """A commit to be carried out in the writer's lane. What needs no disk is done now, in the loop that made the records."""
        ...

    def occupied(self) -> list[str]:
        """Ids of tasks that have an execution RUNNING or lingering: what counts against queues and concurrency keys.

        No commit whose answer was lost can still come to its end after this: what it claimed is in the answer or will never be.
        """
        ...

    def purge(self, wanted: Slice) -> Purged:
        """Remove some of what has been kept long enough, in one transaction; see `actors/model/retention.py`.

        Never an execution that is open, held or lingering, nor a row beyond its task's `settled_through` or without its count. An
        inactive task goes if nothing of it is open or waits for delivery and no task depends on it, and leaves an audit record.
        Ledger rows that go are folded: the counts of `outcomes` stay right.
        """
        ...

    def record_timezone_database(self, version: str) -> None:
        """From now on the next fires in the store are those by this version of the time zone database."""
        ...

    # -- reads

    def task_ids(self, *, after: str, limit: int) -> list[str]:
        """Ids of tasks above `after`, in order."""
        ...

    def tasks(self, ids: Sequence[str]) -> list[Task]:
        """The tasks of these ids that exist, each with its open and CRASHED (held) executions; any order."""
        ...

    def find(self, tenant: str, name: str) -> str | None:
        """The id of the task of that name."""
        ...

    def handovers(self, wanted: HandoverFilter) -> list[Handover]:
        """Which boots took partitions from which, the newest first; one for each raising of an epoch by `raise_epochs`."""
        ...

    def due(self, partitions: Sequence[int] | None, until: Instant, limit: int) -> list[tuple[Instant, str]]:
        """(due, task id) of tasks due at or before `until`, earliest first, at most `limit`. None: all partitions."""
        ...

    def orphans(self, live_boots: Sequence[str], limit: int, partitions: Sequence[int] | None = None) -> list[str]:
        """Ids of tasks of these partitions (None: of all) with an execution RUNNING or lingering under a dead boot."""
        ...

    def waiting(
        self, limit: int, types: Sequence[str] | None = None, partitions: Sequence[int] | None = None
    ) -> list[str]:
        """Ids of tasks of these types and partitions (None: of all) with a claimable execution, by priority and age."""
        ...

    def page(self, wanted: TaskFilter) -> TaskPage:
        """One page of tasks, with the true total."""
        ...

    def executions(self, task_id: str, *, offset: int, limit: int) -> tuple[list[Execution], int]:
        """A task's executions, newest first, and their number."""
        ...

    def activity(self, wanted: ActivityFilter) -> Activity:
        """Executions of all tasks that are open or have ended lately. Goes through a bounded number of rows."""
        ...

    def newest(self, ids: Sequence[str], count: int) -> Mapping[str, Newest]:
        """Of each of these tasks the newest executions and the newest slots that did not run, at most `count` of each."""
        ...

    def execution(self, execution_id: str) -> ExecutionDetail | None:
        """One execution in full."""
        ...

    def checkpoint(self, execution_id: str) -> str | None:
        """The last accepted checkpoint, JSON text."""
        ...

    def logs(self, execution_id: str, *, after: int, limit: int) -> list[LogLine]:
        """Lines with a sequence above `after`, in order."""
        ...

    def outcomes(
        self, task_id: str, *, since: Instant, until: Instant, limit: int, newest: bool = False
    ) -> list[OutcomeRow]:
        """Ledger rows that touch [since, until], in order of time: executions with a nominal time, settled ranges, folded rows.

        newest: in the opposite order, so that of too many the newest are answered.
        """
        ...

    def revisions(self, task_id: str) -> list[Revision]:
        """Every revision of a task's definition, oldest first. One begins where the former was settled through at the edit."""
        ...

    def edges(self) -> list[tuple[str, str]]:
        """(child, parent) of every dependency, task ids: the whole graph."""
        ...

    def granted_until(self) -> Instant | None:
        """The latest instant at which an execution may start by the catch-up governor's leave; None if none waits for one."""
        ...

    def locks(self, limit: int) -> list[Execution]:
        """Executions RUNNING or lingering that hold a concurrency key, by key and age."""
        ...

    def outbox_due(self, until: Instant, limit: int, partitions: Sequence[int] | None = None) -> list[OutboxEntry]:
        """Entries of tasks of these partitions (None: of all) to be evaluated and delivered, those due first."""
        ...

    def deliveries(self, task_id: str, *, offset: int, limit: int) -> tuple[list[DeliveryWrite], int]:
        """What became of a task's deliveries, newest first, and their number."""
        ...

    def event_states(self, task_ids: Sequence[str]) -> list[EventState]:
        """What the event triggers of these tasks remember."""
        ...

    def calendars(self, tenant: str | None) -> list[Calendar]:
        """The newest version of every calendar of a tenant (None: of all), by name."""
        ...

    def calendar(self, tenant: str, name: str, version: int | None = None) -> Calendar | None:
        """One calendar, in this version or the newest one."""
        ...

    def calendar_users(self, tenant: str, name: str, *, after: str, limit: int) -> list[str]:
        """Ids above `after`, in order, of tasks whose present definition uses the calendar in any version."""
        ...

    def uncounted(self, limit: int) -> list[Settled]:
        """Rows of the ledger whose count is still open."""
        ...

    def scheduler_pause(self) -> SchedulerPause | None:
        """The pause of the whole scheduler, if it is paused."""
        ...

    def audits(self, *, offset: int, limit: int) -> list[Audit]:
        """The newest audit records first."""
        ...

    def counts(self) -> Counts:
        """Totals, from counters or indexes."""
        ...


class Unprepared:
    """A store that does all of a commit in the writer's lane."""

    def commit(self, commit: Commit) -> CommitResult:
        """See the port."""
        raise NotImplementedError

    def prepared(self, commit: Commit) -> Callable[[], CommitResult]:
        """See the port."""
        return partial(self.commit, commit)
