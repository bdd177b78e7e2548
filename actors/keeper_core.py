"""The keeper's decisions: what a batch of messages changes, as one commit, and what follows when it is durable.

Theory of operation. The shell gives a batch with the tasks that it concerns; `decide` stages every change on working copies and
makes one `Commit`. Nothing is told to anybody before the store has answered: `committed` gives the directives of what was
accepted, and sends back what has to be decided again because a row had changed (`StaleVersion`); `failed` is for a store that
cannot commit at all. While one plan is being committed the next may be decided, as long as it is about other tasks. The core
keeps:

- `cache`: tasks as the store has them, the most recently used ones. A cached task may be stale; the version guard finds out.
- `in_flight`: the tasks of plans that are being committed; nothing is decided about them before the store has answered.
- `epochs`: the partitions this node acts for. The timer's and the coordinator's messages about other partitions are dropped.
- `sharing`: what follows from other nodes writing to the same store; None for a node that is alone.

Ends of attempts are never lost: what the store could not take is decided again with the next batch, and the executor tells
again what was not `Recorded`. Not guaranteed: the order of directives between tasks; that a `Reschedule` is exact, it may be
told twice.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from runtime.clock import Instant
from runtime.errors import LeaseLost, LimitReached, NotFound, StaleEpoch, StaleVersion, TocsinError
from runtime.records import evolve

from . import keeper_creations, keeper_plain
from .calendar_messages import DeleteCalendar, PutCalendar, Recalculate
from .command_messages import Command, EditTask
from .keeper_attempts import Attempts
from .keeper_calendars import Calendars
from .keeper_claims import Claims, Limits
from .keeper_commands import Commands
from .keeper_creations import Creations
from .keeper_dependencies import Waits
from .keeper_messages import (
    Answer,
    AttemptEnd,
    AttemptsEnded,
    Backlog,
    Checkpoint,
    Counted,
    CreateTasks,
    Delivered,
    Directive,
    Event,
    Happened,
    InSync,
    Logged,
    Own,
    PauseScheduler,
    Proceed,
    Progress,
    Purge,
    Reconsider,
    Recorded,
    Recover,
    Refuse,
    ReleaseLock,
    RequestSync,
    Reschedule,
    ResumeScheduler,
    SchedulerPaused,
    Settle,
    SlotsFreed,
    Start,
    StopClaiming,
)
from .keeper_needs import Needs, look_ahead
from .keeper_notes import Notes
from .keeper_outbox import Outbox, answers
from .keeper_places import ClusterPlaces
from .keeper_progression import Progression
from .keeper_refusals import again, what_follows, without_slots
from .keeper_scheduler import LaneCommands
from .keeper_sharing import Sharing
from .keeper_staging import Plan, Staged, Stepped
from .keeper_sync import Sync
from .keeper_tasks import Tasks
from .model.calendar import Calendar
from .model.occurrence import Settled
from .model.task import Task, partition_of
from .rules.attempts import archived
from .rules.catching_up import CATCH_UP_RUNNING, Governor
from .sharing_messages import Changed, Declined, LeaseDoubted, Observed, Offered, PeersChanged, ZonesSwitched
from .store.port import Audit, Commit, CommitResult, Create, SchedulerPause, Step

if TYPE_CHECKING:
    from random import Random

    from .store.shared import Shared


_ABOUT_EACH: Final = (Settle, AttemptsEnded, SlotsFreed, Checkpoint, Progress, Logged, Counted)
"""Messages that look at no other task of the batch than those that they name, or at none."""


class KeeperCore:
    """See the module's docstring. `boot` and `node` name this process; `new_id` makes execution ids."""

    def __init__(
        self,
        *,
        boot: str,
        node: str,
        partitions: int,
        random: Random,
        new_id: Callable[[], str],
        runs: Callable[[str], bool],
        queues: Limits | None = None,
        recovering: int = CATCH_UP_RUNNING,
        governor: Governor | None = None,
        zones_changed: bool = False,
        places: ClusterPlaces | None = None,
    ) -> None:
        self._partitions = partitions
        governor = governor or Governor()
        self._claims = Claims(boot, node, runs, queues, recovering, places)
        self._progression = Progression(self._claims, random, new_id, governor)
        self.commands = Commands(self._progression)
        self._tasks = Tasks(partitions)
        self._attempts = Attempts(self._tasks, self._claims, self._progression, partitions)
        self.waits = Waits(self._tasks.cache)
        self._progression.waits = self.waits
        self._epochs: Mapping[int, int] = {}
        self._carried: list[AttemptEnd] = []
        self._carried_returns: list[SlotsFreed] = []
        self._directives: list[Directive] = []
        self._in_flight: set[str] = set()
        self._asked: frozenset[str] = frozenset()
        self._new_id = new_id
        self._sync = Sync(self._claims, self._progression, new_id)
        self.calendars = Calendars(zones_changed)
        self._sharing: Sharing | None = None
        if places is not None:
            self._sharing = Sharing(self._progression, places, governor, self.calendars, partitions)
        self._creations = Creations(partitions, self.waits, self.calendars, new_id)
        self._notes = Notes()
        self._outbox = Outbox(new_id)
        self._lane = LaneCommands(self._claims)
        self._pause_known = False

    # -- before a batch

    def needs(self, batch: Sequence[Event]) -> Needs:
        """Which tasks `decide` will look at and the cache does not have."""
        ahead = look_ahead(batch, self.waits, self._sync, self._lane)
        ahead.task_ids.update(end.task_id for end in self._carried)
        ahead.task_ids.update(task_id for message in self._carried_returns for task_id, *_ in message.ended)
        ahead.task_ids.update(self._claims.wanted)
        self._asked = frozenset(ahead.task_ids)
        conflicts = ahead.conflicts(self._in_flight, self.calendars.in_flight, self._claims.pauses % 2 == 1)
        sharing, pause = self._sharing, not self._pause_known
        graph = not self.waits.loaded or (sharing is not None and sharing.stale)
        return ahead.needs(self._tasks.cache, conflicts, graph=graph, pause=pause, shared=sharing is not None)

    def learn(self, tasks: Iterable[Task], asked: Iterable[str] = ()) -> None:
        """Tasks that the shell read from the store; of those asked for the others are gone."""
        self._tasks.learn(tasks, asked)

    def learn_graph(
        self, calendars: Iterable[Calendar], edges: Iterable[tuple[str, str]], shared: Shared | None = None
    ) -> None:
        """Calendars and dependencies as the store has them, or newer than `shared` says."""
        self.calendars.load(calendars)
        self.waits.load(edges)
        if self._sharing is not None and shared is not None:
            self._sharing.learn(shared)

    def learn_lane(self, pause: SchedulerPause | None, granted: Instant | None) -> None:
        """The scheduler's pause, and up to where former lives have granted recovered executions their instants."""
        self._claims.paused, self._pause_known = pause, True
        if granted is not None:
            self._progression.governor.behind(granted)

    @property
    def backlog_wanted(self) -> int:
        """How many tasks with waiting executions should be read from the store now; 0 for none."""
        return self._claims.room if self._claims.wants_backlog else 0

    @property
    def wants_turn(self) -> bool:
        """Whether claims ended at a task that has to be read or committed first: they go on with a `Proceed`."""
        return bool(self._claims.wanted)

    @property
    def claims(self) -> Claims:
        """Who waits and who holds what, to be looked at."""
        return self._claims

    # -- a batch

    def decide(self, batch: Sequence[Event], running: Iterable[str], now: Instant) -> tuple[Plan, Commit]:
        """Stage what the batch changes. `running`: tasks with running executions, if `needs` asked for them."""
        self._directives, self._progression.admitted = [], 0
        self._tasks.begin()
        carried, self._carried = self._carried, []
        returns, self._carried_returns = self._carried_returns, []
        self._attempts.ended(self._directives, now, carried)
        for message in (*returns, *batch):
            if not isinstance(message, _ABOUT_EACH):
                self._tasks.stage_stepped()
            self._handle(message, running, now)
        self._claims.from_backlog(self._tasks.stage, self._in_flight, self._asked, now)
        self._tasks.read.clear()
        return self._plan(now)

    def _handle(self, message: Event, running: Iterable[str], now: Instant) -> None:
        match message:
            case Settle(task_ids=ids):
                self._settle_all(ids, now)
            case Reconsider(task_ids=ids):
                for task_id in self.waits.restless(ids, self._tasks.staged, now):
                    if self._owns(task_id) and (staged := self._tasks.stage(task_id)) is not None:
                        staged.messages += (Reconsider((task_id,)),)
                        self.waits.reconsider(staged, self._progression, now)
            case Recalculate(task_ids=ids):
                self.calendars.look(message)
                for task in [task for task in self._tasks.as_staged(ids) if self.calendars.concerns(task)]:
                    if self._owns(task.id) and (staged := self._tasks.stage(task.id)) is not None:
                        staged.messages += (Recalculate((task.id,)),)
                        self.calendars.recalculate(staged, self._progression, now)
            case PutCalendar():
                self.calendars.put(message, now)
            case DeleteCalendar():
                self.calendars.delete(message, self._tasks.cache, self._tasks.staged, now)
            case AttemptsEnded(ends=ends):
                self._attempts.ended(self._directives, now, ends)
            case Checkpoint():
                self._attempts.checkpoint(message, self._directives)
            case Progress() | Logged() | Counted():
                self._notes.take(message)
            case Delivered():
                self._outbox.take(message)
            case CreateTasks():
                self._creations.create(message, self._tasks.staged, now)
            case Own(epochs=epochs, boot=boot):
                if self._sharing is not None:
                    self._sharing.own(self._epochs, epochs)
                self._epochs = epochs
                if boot is not None and boot != self._claims.boot:
                    self._sync.begin_anew(boot)
            case Recover(task_ids=ids):
                for staged in self._tasks.stage_all(ids):
                    if self._sharing is None or staged.partition in self._epochs:
                        staged.messages += (evolve(message, task_ids=(staged.id,)),)
                        self._progression.recover(staged, message, now)
            case InSync():
                if self._sync.hear(message):
                    occupied = self._tasks.stage_all(running)
                    self._sync.compare(message, occupied, partial(self._attempts.ended, self._directives, now), now)
            case SlotsFreed(count=count, ended=ended):
                self._claims.slots += count
                for task_id, execution_id, fence in ended:
                    self._attempts.returned(task_id, execution_id, fence, now)
            case StopClaiming():
                self._claims.stop()
            case Backlog(task_ids=ids, complete=complete, more=more):
                self._claims.note_backlog(self._tasks.as_staged(ids), now, complete=complete, more=more)
            case Proceed(chosen=chosen):
                self._claims.queues.choose(chosen)
            case Purge():
                self._directives.append(message)
            case PauseScheduler() | ResumeScheduler() | ReleaseLock():
                self._lane.carry_out(message, self._tasks.stage, now)
            case Changed() | Offered() | Declined() | PeersChanged() | Observed() | LeaseDoubted() | ZonesSwitched():
                if self._sharing is not None:
                    self._directives += self._sharing.hear(message, self._tasks, self._epochs, now)
            case _:
                self._command(message, now)

    def _owns(self, task_id: str) -> bool:
        return partition_of(task_id, self._partitions) in self._epochs

    # -- the timer's and the coordinator's messages

    def _settle_all(self, task_ids: Sequence[str], now: Instant) -> None:
        if self._claims.paused is not None:
            # The timer did not hear of the pause, or not yet.
            self._directives += [Reschedule(tuple((task_id, None) for task_id in task_ids)), SchedulerPaused(True)]
            return
        everything = len(self._epochs) == self._partitions
        span, moving = self._claims.pause_span, self.calendars.zones_changing
        for task_id in self._claims.most_urgent_first(task_ids, self._tasks.cache):
            # A foreign task is not even staged: its due instant, told after the batch, would bring the timer here again at once.
            owned = everything or self._owns(task_id)
            if owned and not moving and (task := self._tasks.untouched(task_id)) is not None:
                paused = span is not None and (task.state.next_fire or 0) <= span[1]
                fired = None if paused else self._fire(task, now)
                if fired is not None:
                    self._tasks.step(fired)
                    continue
            full = owned and self._progression.is_full
            if full or (staged := self._tasks.stage(task_id) if owned else None) is None:
                # What is too much for one batch the timer brings again at once.
                self._directives.append(Reschedule(((task_id, now if full else None),)))
                continue
            staged.messages += (Settle((task_id,)),)
            self.calendars.retime(staged, now)
            self.waits.reconsider(staged, self._progression, now)
            self._progression.settle(staged, now)
            if span is not None:
                staged.blame_pause(*span)
            if self._sharing is not None:
                self._sharing.doubt(staged, read=task_id in self._tasks.read)

    def _fire(self, task: Task, now: Instant) -> Stepped | None:
        partition = partition_of(task.definition.id, self._partitions)
        return keeper_plain.fire(task, partition, self._claims, self._new_id, now)

    @property
    def sync_request(self) -> RequestSync:
        """What to tell the executor so that claims may begin."""
        return self._sync.request

    # -- what people and programs ask for

    def _command(self, message: Command, now: Instant) -> None:
        staged = self._tasks.stage(message.task_id)
        if staged is None:
            self._directives.append(Refuse(message.reply, NotFound(f"no task {message.task_id}")))
            return
        try:
            if isinstance(message, EditTask):
                message = evolve(message, definition=self.calendars.refreshed(message.definition))
                self.waits.check(message.definition, staged.definition, self._tasks.staged)
            shown = self.commands.carry_out(message, staged, now)
        except TocsinError as error:
            self._directives.append(Refuse(message.reply, error))
            return
        if isinstance(message, EditTask):
            self.waits.promise(message.definition)
        staged.messages += (message,)
        staged.answers += ((message.reply, shown),)

    # -- after a batch

    def _plan(self, now: Instant) -> tuple[Plan, Commit]:
        if self._sharing is not None:
            # Whom a change wakes on other nodes is found with the working copies.
            self._tasks.stage_stepped(but=partial(self._sharing.tells_nobody, self.waits, self._epochs))
        planned: dict[str, tuple[Staged, Task]] = {}
        stepped = self._tasks.stepped
        creates: list[Create] = []
        updates = [one.update for one in stepped.values()]
        audits: list[Audit] = []
        wakes: list[str] = []
        concerned = {update.partition for update in updates}
        epochs = {number: epoch for number, epoch in self._epochs.items() if number in concerned}
        starts = sum([1 for one in stepped.values() if one.end is None])
        for task_id, staged in self._tasks.staged.items():
            starts += staged.starts
            planned[task_id] = staged, (task := staged.finish())
            audits.extend(staged.audits)
            if staged.definition.events:
                self._outbox.follow(staged, now)
            if staged.original is None:
                if not staged.deleted:
                    creates.append(staged.create(task))
            elif staged.writes_something:
                updates.append(staged.update(task, shared=self._sharing is not None))
            if (epoch := self._epochs.get(staged.partition)) is not None:
                epochs[staged.partition] = epoch
            if self._sharing is not None:
                wakes += self._sharing.wakes(staged, task, self.waits, owned=epoch is not None)
        commit = self._notes.write(Commit(epochs, tuple(creates), tuple(updates), audits=tuple(audits)))
        if self._sharing is not None:
            commit = self._sharing.write(commit, wakes)
        commit, delivered = self._outbox.write(commit)
        commit, change = self._lane.write(commit)
        commit, calendars = self.calendars.write(commit)
        self._in_flight.update(planned, stepped)
        self._sync.decided(starts)
        creations, directives = self._creations.planned(), tuple(self._directives)
        return Plan(planned, stepped, starts, creations, directives, delivered, change, calendars), commit

    def committed(self, plan: Plan, result: CommitResult, ends: bool = False) -> tuple[list[Directive], list[Event]]:
        """What follows the commit: directives (`ends`: also which attempts have), and messages to decide again on fresh rows."""
        directives = list(plan.directives)
        again: list[Event] = []
        self._in_flight.difference_update(plan.staged, plan.stepped)
        stepped = self._accepted(plan, result, directives, again)
        changed = [one.execution for one in stepped]
        tasks = [one.task for one in stepped]
        settled: list[Settled] = []
        ended = [archived(one.execution) for one in stepped if ends and one.end is not None]
        # When a completed task is due the timer knows since it has fired.
        due = [(one.update.task_id, self._due(one)) for one in stepped if one.update.step is not Step.COMPLETED]
        recorded = [(one.end.execution_id, one.end.fence) for one in stepped if one.end is not None]
        for task_id, (staged, task) in plan.staged.items():
            if (error := result.refused.get(task_id)) is not None:
                again.extend(self._refused(staged, error, directives))
                continue
            self._accept(staged, task)
            directives += staged.directives
            for reply, key in staged.answers:
                directives.append(Answer(reply, staged.executions[key] if key else task))
            recorded += [(end.execution_id, end.fence) for end in staged.ends]
            changed += [staged.executions[key] for key in staged.changed]
            tasks.append(task)
            settled += staged.settled
            ended += staged.ended_attempts() if ends else ()
            ours = not staged.deleted and staged.partition in self._epochs
            due.append((task_id, task.due if ours else None))
        directives += [Start(one.original.definition, one.execution) for one in stepped if one.end is None]
        created, anew = keeper_creations.answers(plan, result)
        told, left = answers(plan.delivered, result.refused)
        directives += [*created, *told, *plan.change.committed(self._claims), *self.calendars.committed(plan.calendars)]
        again = [*anew, *again, *left]
        if recorded:
            directives.append(Recorded(tuple(recorded)))
        if due:
            directives.append(Reschedule(tuple(due)))
        if tasks:
            directives.append(Happened(tuple(changed), tuple(tasks), tuple(settled), tuple(ended)))
        directives += [*self.waits.to_reconsider(), *self.calendars.to_recalculate(), *self._sync.requests(plan.starts)]
        directives += () if self._sharing is None else self._sharing.to_look_at()
        self._tasks.trim()
        return directives, again

    def _accepted(
        self, plan: Plan, result: CommitResult, directives: list[Directive], again: list[Event]
    ) -> Collection[Stepped]:
        """The common steps that the store has taken, which are all but for a few in a lifetime."""
        stepped: Collection[Stepped] = plan.stepped.values()
        if result.refused:
            for one in stepped:
                if (error := result.refused.get(one.update.task_id)) is not None:
                    again.extend(self._refused(one.staged(), error, directives))
            stepped = [one for one in stepped if one.update.task_id not in result.refused]
        self._tasks.accept_stepped(stepped)
        if not self.waits.is_idle:
            for one in stepped:
                self.waits.landed(one.staged(), one.task)
        return stepped

    def _due(self, stepped: Stepped) -> Instant | None:
        return stepped.update.due if stepped.update.partition in self._epochs else None

    def _accept(self, staged: Staged, task: Task) -> None:
        self._tasks.accept(task, deleted=staged.deleted)
        self.waits.landed(staged, task)
        self.calendars.landed(task)

    def _refused(self, staged: Staged, error: TocsinError, directives: list[Directive]) -> list[Event]:
        """Undo what was counted on; a stale row is read and decided again, anything else is told to those who caused it.

        A stale epoch: the partition is no longer ours. What its owner decides is dropped, the rest does not need the epoch.
        """
        self._undo(staged)
        ends = without_slots(staged.ends)
        if isinstance(error, StaleEpoch):
            self._epochs = {number: epoch for number, epoch in self._epochs.items() if number != staged.partition}
        elif isinstance(error, StaleVersion) and self._sharing is not None:
            self._sharing.stale = self._sharing.stale or staged.definition.dependencies is not None
        elif isinstance(error, LimitReached):
            self._claims.block(staged.definition)
        elif isinstance(error, LeaseLost):
            self._claims.without_lease = True
        told, left = what_follows(staged, error, ends)
        directives += told
        return left

    def _undo(self, staged: Staged) -> None:
        self._claims.undo(staged)
        self._tasks.cache.pop(staged.id, None)
        self.waits.refused(staged.id)

    def failed(self, plan: Plan, error: TocsinError) -> list[Directive]:
        """The store could not commit: nothing was changed. Those who asked are told; ends are kept for the next batch."""
        directives: list[Directive] = [
            Refuse(one.reply, again(error)) if isinstance(one, Purge) else one for one in plan.directives
        ]
        self._in_flight.difference_update(plan.staged, plan.stepped)
        for staged in (
            *(staged for staged, _ in plan.staged.values()),
            *(one.staged() for one in plan.stepped.values()),
        ):
            self._undo(staged)
            self._carried.extend(without_slots(staged.ends))
            self._carried_returns += [message for message in staged.messages if isinstance(message, SlotsFreed)]
            directives.extend(Refuse(reply, again(error)) for reply in staged.replies())
        asked: list[Delivered | CreateTasks] = [*plan.delivered, *(message for message, _ in plan.creations)]
        directives.extend(Refuse(message.reply, again(error)) for message in asked)
        directives += plan.change.failed(self._claims, lambda: again(error))
        directives += self.calendars.failed(plan.calendars, lambda: again(error))
        if self._sharing is not None:
            # Whether a distant store has carried it out may not be known: what it claimed and nobody started is found again.
            self._sync.ask_anew()
        directives.extend(self._sync.requests(plan.starts))
        return directives

    @property
    def has_carried(self) -> bool:
        """Whether ends of attempts wait for a store that can commit."""
        return bool(self._carried or self._carried_returns)
