"""The keeper's vocabulary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runtime.clock import Instant
from runtime.records import record

from .calendar_messages import DeleteCalendar, PutCalendar, Recalculate
from .command_messages import Command
from .model.execution import Attempt, Execution, Failure
from .model.lifecycle import State
from .model.occurrence import Settled
from .model.retention import Purged, Slice
from .model.task import Definition, Task
from .sharing_messages import Changed, EndTasks, SharingDirective, SharingEvent

if TYPE_CHECKING:
    from runtime.mailbox import Reply

    from .keeper_queues import Chosen
    from .store.port import DeliveryWrite, EventState, OutboxEntry, SchedulerPause

# What the keeper hears.


@record
class Own:
    """The coordinator: this node acts for exactly these partitions, under these epochs; `boot`: as another one from now on."""

    epochs: Mapping[int, int]
    boot: str | None = None


@record
class Settle:
    """The timer: these tasks are due."""

    task_ids: tuple[str, ...]


@record
class Recover:
    """The coordinator: these tasks have executions that run under boot ids that are not `live`.

    `dead`: where new boots may come at any time, those that are known to be dead; only they count then.
    """

    task_ids: tuple[str, ...]
    live: frozenset[str]
    dead: frozenset[str] | None = None

    def counts(self, boot: str | None) -> bool:
        """Whether what runs under a boot is to be recovered."""
        return boot not in self.live if self.dead is None else boot in self.dead


@record
class InSync:
    """The executor: what it has. `slots`: free ones; `running`: the attempts (execution, fence) that it runs now, or whose ends
    are not recorded; all others of this boot are not.

    `abandoned`: attempts that have ended and whose handlers still sit on their slots. `token` is that of the `RequestSync` it
    answers, empty when the executor says by itself that it has started.
    """

    slots: int
    running: frozenset[tuple[str, int]]
    token: str = ""
    abandoned: frozenset[tuple[str, int]] = frozenset()


@record
class AttemptEnd:
    """How an attempt ended. `state` WAITING means interrupted: it costs nothing and is run again.

    `holds_slot`: an abandoned thread still sits on the slot; `SlotsFreed` follows when it returns. `counted`: the slot was
    given back already, the keeper only decides once more what follows.
    """

    task_id: str
    execution_id: str
    fence: int
    state: State
    started_at: Instant
    ended_at: Instant
    failure: Failure | None = None
    result: str | None = None
    retryable: bool = True
    reason: str | None = None
    holds_slot: bool = False
    counted: bool = False


@record
class AttemptsEnded:
    """The executor: these attempts have ended. Told again after a restart until `Recorded` names them."""

    ends: tuple[AttemptEnd, ...]


@record
class Reconsider:
    """The keeper to itself: look again at these tasks, whose executions wait for others."""

    task_ids: tuple[str, ...]


@record
class SlotsFreed:
    """The executor: so many slots are free again that ended attempts still held.

    `ended`: those attempts (task, execution, fence), whose handlers have returned or were released.
    """

    count: int
    ended: tuple[tuple[str, str, int], ...] = ()


@record
class StopClaiming:
    """The node is draining: claim nothing more in this life."""


@record
class Backlog:
    """Tasks that have executions waiting to be claimed, found in the store: those that come first in the order.

    `complete`: there are no others. `more`: the rest of them follows at once.
    """

    task_ids: tuple[str, ...]
    complete: bool
    more: bool = False


@record
class Proceed:
    """The keeper to itself: claims ended at a task that had to be read, or to be committed first.

    `chosen`: to the keeper, what the user's queue says of whose turn it is.
    """

    chosen: Chosen | None = None


@record
class Counted:
    """The janitor: the count of a settled range of the ledger that was left open."""

    task_id: str
    first: Instant
    count: int


@record
class PauseScheduler:
    """Settle and claim nothing until resumed; what runs goes on. Answers the pause, also if it was paused before."""

    note: str | None
    actor: str
    reply: Reply[SchedulerPause]


@record
class ResumeScheduler:
    """Go on; what came due meanwhile is made up for under each task's catch-up policy."""

    actor: str
    reply: Reply[None]


@record
class ReleaseLock:
    """Take a concurrency key from an execution, or from all that hold it: they go on and count against it no more.

    Answers the executions that held it; NotFound if there were none.
    """

    key: str
    tenant: str
    execution_id: str | None
    actor: str
    reply: Reply[tuple[str, ...]]


@record
class Purge:
    """Remove one slice of what has been kept long enough. Answers what went and where the next slice goes on."""

    wanted: Slice
    reply: Reply[Purged]


@record
class Checkpoint:
    """A running attempt: make this durable.

    `sequence`: the number of this checkpoint of its execution, one more than the last accepted one. That one told again is
    accepted without being written; any other is refused. 0: whatever there is, for who speaks for an attempt without having
    counted.
    """

    task_id: str
    execution_id: str
    fence: int
    data: str
    reply: Reply[None]
    sequence: int = 0


@record
class Progress:
    """A running attempt: how far it is (JSON text). Nobody waits for it."""

    execution_id: str
    fence: int
    data: str


@record
class Logged:
    """A running attempt: lines it logged, (instant, level, text)."""

    execution_id: str
    attempt: int
    lines: tuple[tuple[Instant, str, str], ...]


@record
class Delivered:
    """The herald: what became of entries of the outbox, entries for what they set off, and what event triggers remember now."""

    writes: tuple[DeliveryWrite, ...]
    entries: tuple[OutboxEntry, ...]
    states: tuple[EventState, ...]
    reply: Reply[None]


@record
class CreateTasks:
    """New tasks. Answers, for each, the task or the error that refused it.

    `made`: what some of them were answered already, where the others have to be decided once more (None).
    """

    definitions: tuple[Definition, ...]
    actor: str
    reply: Reply[tuple[Task | Exception, ...]]
    made: tuple[Task | Exception | None, ...] = ()


Event = (
    Own
    | Settle
    | Reconsider
    | Recalculate
    | PutCalendar
    | DeleteCalendar
    | Recover
    | InSync
    | AttemptsEnded
    | SlotsFreed
    | StopClaiming
    | Backlog
    | Proceed
    | Counted
    | PauseScheduler
    | ResumeScheduler
    | ReleaseLock
    | Purge
    | Checkpoint
    | Progress
    | Logged
    | Delivered
    | CreateTasks
    | Command
    | SharingEvent
)

# What the keeper wants done, after the commit.


@record
class Start:
    """The executor: run this attempt; it is claimed."""

    definition: Definition
    execution: Execution


@record
class Interrupt:
    """The executor: end this attempt, if it still runs; its handler sees the reason."""

    execution_id: str
    fence: int
    reason: str


@record
class Release:
    """The executor: give the slot of this abandoned attempt back, although its handler has not returned."""

    execution_id: str
    fence: int


@record
class RequestSync:
    """The executor: answer with `InSync` and this token, once everything told before has been started."""

    token: str


@record
class Recorded:
    """The executor: the ends of these executions (with their fences) are durable, or were fenced off."""

    ended: tuple[tuple[str, int], ...]


@record
class Reschedule:
    """The timer: look at these tasks at these instants (None: not at all)."""

    due: tuple[tuple[str, Instant | None], ...]


@record
class SchedulerPaused:
    """The timer: the scheduler is paused, or goes on."""

    paused: bool


@record
class Happened:
    """The herald: these executions changed, these slots were not run, these tasks are as they are now.

    `ended`: attempts that have ended, one or none of each of the executions; told only where somebody wants to hear of them.
    """

    executions: tuple[Execution, ...]
    tasks: tuple[Task, ...]
    settled: tuple[Settled, ...] = ()
    ended: tuple[Attempt, ...] = ()


@record
class Answer:
    """An asker: the answer."""

    reply: Reply[Any]
    value: object


@record
class Refuse:
    """An asker: the error."""

    reply: Reply[Any]
    error: Exception


Directive = (
    Start
    | Interrupt
    | Release
    | RequestSync
    | Recorded
    | Reschedule
    | Reconsider
    | Recalculate
    | SchedulerPaused
    | Happened
    | Answer
    | Refuse
    | Purge
    | Changed
    | EndTasks
    | SharingDirective
)
