"""The keeper's decisions: what a batch of messages changes, as one commit, and what follows when it is durable.

Theory of operation. The shell gives a batch with the tasks that it concerns; `decide` stages every change on working copies and
makes one `Commit`. Nothing is told to anybody before the store has answered: `committed` gives the directives of what was
accepted, and sends back what has to be decided again because a row had changed (`StaleVersion`); `failed` is for a store that
cannot commit at all. While one plan is being committed the next may be decided, as long as it is about other tasks. The core
keeps:

- `cache`: tasks as the store has them, the most recently used ones. A cached task may be stale; the version guard finds out.
- `in_flight`: the tasks of plans that are being committed; nothing is decided about them before the store has answered.
- `epochs`: the partitions this node acts for. The timer's and the coordinator's messages about other partitions are dropped.

Ends of attempts are never lost: what the store could not take is decided again with the next batch, and the executor tells
again what was not `Recorded`. Not guaranteed: the order of directives between tasks; that a `Reschedule` is exact, it may be
told twice.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from runtime.clock import Instant
from runtime.errors import Conflict, NotFound, StaleEpoch, StaleVersion, TocsinError
from runtime.records import evolve

from . import attempts, keeper_plain
from .definition_changes import first_state
from .keeper_checkpoints import over, take_checkpoint
from .keeper_claims import Claims
from .keeper_commands import Commands
from .keeper_dependencies import Waits
from .keeper_messages import (
    Answer,
    AttemptEnd,
    AttemptsEnded,
    Backlog,
    Checkpoint,
    Command,
    CreateTasks,
    Delivered,
    Directive,
    EditTask,
    Event,
    Happened,
    InSync,
    Interrupt,
    Logged,
    Own,
    Progress,
    Purge,
    Reconsider,
    Recorded,
    Recover,
    Refuse,
    RequestSync,
    Reschedule,
    Settle,
    SlotsFreed,
    StopClaiming,
)
from .keeper_needs import Needs
from .keeper_outbox import Outbox, answers
from .keeper_progression import Progression
from .keeper_refusals import again, can_cause
from .keeper_staging import Plan, Staged
from .model.execution import Execution
from .model.lifecycle import State
from .model.occurrence import Settled
from .model.task import Task, partition_of
from .store.port import Audit, Commit, CommitResult, LogWrite, ProgressWrite

if TYPE_CHECKING:
    from random import Random

CACHE_SIZE: Final = 20_000
"""Tasks kept in memory between batches: some 40 MB at the most, and more than fire in the busiest second."""

MAX_REDECISIONS: Final = 5
"""How often one batch is decided again because rows changed under it; on one node it never is."""


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
    ) -> None:
        self._boot = boot
        self._partitions = partitions
        self._claims = Claims(boot, node, runs)
        self._progression = Progression(self._claims, random, new_id)
        self._commands = Commands(self._progression)
        self._cache: OrderedDict[str, Task] = OrderedDict()
        self.waits = Waits(self._cache)
        self._progression.waits = self.waits
        self._epochs: Mapping[int, int] = {}
        self._staged: dict[str, Staged] = {}
        self._carried: list[AttemptEnd] = []
        self._logs: list[LogWrite] = []
        self._progress: list[ProgressWrite] = []
        self._creations: list[tuple[CreateTasks, list[str | Exception]]] = []
        self._directives: list[Directive] = []
        self._sync_wanted = False
        self._in_flight: set[str] = set()
        self._new_id = new_id
        self._outbox = Outbox(new_id)
        self._expected = new_id()

    # -- before a batch

    def needs(self, batch: Sequence[Event]) -> Needs:
        """Which tasks `decide` will look at and the cache does not have."""
        wanted: set[str] = {end.task_id for end in self._carried}
        freed = 0
        running = False
        self.waits.begin()
        for message in batch:
            match message:
                case Settle(task_ids=ids) | Reconsider(task_ids=ids):
                    wanted.update(ids, self.waits.relatives(ids))
                case Recover(task_ids=ids) | Backlog(task_ids=ids):
                    wanted.update(ids)
                case AttemptsEnded(ends=ends):
                    wanted.update(end.task_id for end in ends)
                    freed += len(ends)
                case InSync(slots=slots, token=token):
                    running = running or token == self._expected
                    freed += slots
                case SlotsFreed(count=count):
                    freed += count
                case CreateTasks(definitions=definitions):
                    wanted.update(self.waits.named_by(definitions))
                case EditTask(definition=definition):
                    wanted.update((definition.id,), self.waits.named_by((definition,)))
                case Own() | Progress() | Logged() | Purge() | StopClaiming() | Delivered():
                    pass
                case _:
                    wanted.add(message.task_id)
        conflicts = running or not self._in_flight.isdisjoint(wanted)
        wanted.update(self._claims.heads(freed))
        unread = frozenset([task_id for task_id in wanted if task_id not in self._cache])
        return Needs(unread, running, conflicts, edges=not self.waits.loaded)

    def learn(self, tasks: Iterable[Task]) -> None:
        """Tasks that the shell read from the store."""
        for task in tasks:
            self._cache[task.id] = task

    @property
    def backlog_wanted(self) -> int:
        """How many tasks with waiting executions should be read from the store now; 0 for none."""
        return self._claims.room if self._claims.wants_backlog else 0

    # -- a batch

    def decide(self, batch: Sequence[Event], running: Iterable[str], now: Instant) -> tuple[Plan, Commit]:
        """Stage what the batch changes. `running`: tasks with running executions, if `needs` asked for them."""
        self._staged, self._logs, self._progress, self._creations = {}, [], [], []
        self._directives = []
        carried, self._carried = self._carried, []
        for end in carried:
            self._attempt_ended(end, now)
        for message in batch:
            self._handle(message, running, now)
        self._claims.from_backlog(self._stage, self._in_flight, now)
        return self._plan(now)

    def _handle(self, message: Event, running: Iterable[str], now: Instant) -> None:
        match message:
            case Settle(task_ids=ids):
                self._settle_all(ids, now)
            case Reconsider(task_ids=ids):
                for task_id in self.waits.restless(ids, self._staged, now):
                    if (staged := self._stage(task_id)) is not None and staged.partition in self._epochs:
                        staged.messages += (Reconsider((task_id,)),)
                        self.waits.reconsider(staged, self._progression, now)
            case AttemptsEnded(ends=ends):
                for end in ends:
                    self._attempt_ended(end, now)
            case Checkpoint():
                self._checkpoint(message)
            case Progress():
                self._progress.append(ProgressWrite(message.execution_id, message.fence, message.data))
            case Logged():
                self._logs.append(LogWrite(message.execution_id, message.attempt, message.lines))
            case Delivered():
                self._outbox.take(message)
            case CreateTasks():
                self._create(message, now)
            case Own(epochs=epochs):
                self._epochs = epochs
            case Recover(task_ids=ids):
                for staged in self._stage_all(ids):
                    staged.messages += (Recover((staged.id,), message.live),)
                    self._progression.recover(staged, message.live, now)
            case InSync():
                self._synchronise(message, running, now)
            case SlotsFreed(count=count):
                self._claims.slots += count
            case StopClaiming():
                self._claims.stop()
            case Backlog(task_ids=ids, complete=complete):
                self._claims.note_backlog(self._stage_all(ids), complete=complete)
            case Purge():
                self._directives.append(message)
            case _:
                self._command(message, now)

    def _stage(self, task_id: str) -> Staged | None:
        staged = self._staged.get(task_id)
        if staged is None:
            task = self._cache.get(task_id)
            if task is None:
                return None
            self._cache.move_to_end(task_id)
            staged = self._staged[task_id] = Staged.of(task, partition_of(task_id, self._partitions))
        return None if staged.deleted else staged

    def _stage_all(self, task_ids: Iterable[str]) -> list[Staged]:
        return [staged for task_id in task_ids if (staged := self._stage(task_id)) is not None]

    # -- the timer's and the coordinator's messages

    def _settle_all(self, task_ids: Iterable[str], now: Instant) -> None:
        everything = len(self._epochs) == self._partitions

        def fire(task: Task, partition: int) -> Staged | None:
            return keeper_plain.fire(task, partition, self._claims, self._new_id, now)

        for task_id in task_ids:
            # A foreign task is not even staged: its due instant, told after the batch, would bring the timer here again at once.
            owned = everything or partition_of(task_id, self._partitions) in self._epochs
            if owned and self._stage_plainly(task_id, fire):
                continue
            staged = self._stage(task_id) if owned else None
            if staged is None:
                self._directives.append(Reschedule(((task_id, None),)))
                continue
            staged.messages += (Settle((task_id,)),)
            self.waits.reconsider(staged, self._progression, now)
            self._progression.settle(staged, now)

    def _stage_plainly(self, task_id: str, decide: Callable[[Task, int], Staged | None]) -> bool:
        """Decide the common case in one step; False if it is not the common case."""
        task = self._cache.get(task_id)
        if task is None or task_id in self._staged:
            return False
        staged = decide(task, partition_of(task_id, self._partitions))
        if staged is None:
            return False
        self._staged[task_id] = staged
        self._cache.move_to_end(task_id)
        return True

    def _synchronise(self, message: InSync, running: Iterable[str], now: Instant) -> None:
        """The executor said what it has: whatever else runs under this boot was lost on the way and is run again.

        Only the answer to the last request counts. What the executor says when it starts may be older than what was told to
        it just now, so nothing is claimed until it has answered a request that comes behind that.
        """
        if not message.token:
            self._claims.lose_sync()
            self._expected = self._new_id()
            self._sync_wanted = True
        if message.token != self._expected:
            return
        self._claims.synchronise(message.slots)
        for task_id in running:
            if (staged := self._stage(task_id)) is not None:
                self._compare(staged, message.running, now)

    def _compare(self, staged: Staged, known: frozenset[str], now: Instant) -> None:
        """What of a task's attempts of this boot was lost on the way: its start, or the word that it was cancelled."""
        for execution in list(staged.executions.values()):
            if execution.state is not State.RUNNING or execution.boot != self._boot:
                continue
            if execution.id not in known:
                self._attempt_ended(attempts.lost(execution, now), now)
            elif execution.cancel_reason is not None:
                staged.directives += (Interrupt(execution.id, execution.fence, execution.cancel_reason),)

    @property
    def sync_request(self) -> RequestSync:
        """What to tell the executor so that claims may begin."""
        return RequestSync(self._expected)

    # -- the executor's messages

    def _attempt_ended(self, end: AttemptEnd, now: Instant) -> None:
        if not end.holds_slot:
            self._claims.slots += 1
        if self._stage_plainly(end.task_id, lambda task, partition: keeper_plain.completion(task, partition, end)):
            return
        staged = self._stage(end.task_id)
        if staged is None and (gone := self._staged.get(end.task_id)) is not None:
            # Deleted in this batch: it is recorded when the deletion is.
            gone.ends += (end,)
            return
        if staged is not None and any(_same_attempt(end, other) for other in staged.ends):
            # Told twice in one batch: it is recorded when the commit is.
            return
        execution = None if staged is None else staged.executions.get(end.execution_id)
        if staged is None or execution is None or execution.fence != end.fence or execution.state is not State.RUNNING:
            self._directives.append(Recorded(((end.execution_id, end.fence),)))
            return
        staged.ends += (end,)
        self._progression.ended(staged, execution, end, now)

    def _checkpoint(self, message: Checkpoint) -> None:
        staged = self._stage(message.task_id)
        error = over(message) if staged is None else take_checkpoint(staged, message)
        if error is not None:
            self._directives.append(Refuse(message.reply, error))

    # -- what people and programs ask for

    def _create(self, message: CreateTasks, now: Instant) -> None:
        answers: list[str | Exception] = []
        for definition in message.definitions:
            try:
                if definition.id in self._staged:
                    raise Conflict(f"there is a task with the id {definition.id} already")
                self.waits.check(definition, None, self._staged)
                state = first_state(definition, now)
            except TocsinError as error:
                answers.append(error)
                continue
            staged = Staged.new(definition, state, partition_of(definition.id, self._partitions))
            self._staged[definition.id] = staged
            self.waits.promise(definition)
            staged.audits += (Audit(now, message.actor, "CreateTask", definition.id),)
            answers.append(definition.id)
        self._creations.append((message, answers))

    def _command(self, message: Command, now: Instant) -> None:
        staged = self._stage(message.task_id)
        if staged is None:
            self._directives.append(Refuse(message.reply, NotFound(f"no task {message.task_id}")))
            return
        try:
            if isinstance(message, EditTask):
                self.waits.check(message.definition, staged.definition, self._staged)
            shown = self._commands.carry_out(message, staged, now)
        except TocsinError as error:
            self._directives.append(Refuse(message.reply, error))
            return
        if isinstance(message, EditTask):
            self.waits.promise(message.definition)
        staged.messages += (message,)
        staged.audits += (Audit(now, message.actor, type(message).__name__, staged.id),)
        staged.answers += ((message.reply, shown),)

    # -- after a batch

    def _plan(self, now: Instant) -> tuple[Plan, Commit]:
        planned: dict[str, tuple[Staged, Task]] = {}
        creates, updates = [], []
        audits: list[Audit] = []
        epochs: dict[int, int] = {}
        for task_id, staged in self._staged.items():
            task = staged.finish()
            planned[task_id] = staged, task
            audits.extend(staged.audits)
            if staged.definition.events:
                self._outbox.follow(staged, now)
            if staged.original is None:
                if not staged.deleted:
                    creates.append(staged.create(task))
            elif staged.writes_something:
                updates.append(staged.update(task))
            if (epoch := self._epochs.get(staged.partition)) is not None:
                epochs[staged.partition] = epoch
        commit = Commit(epochs, tuple(creates), tuple(updates), tuple(self._progress), tuple(self._logs), tuple(audits))
        commit, delivered = self._outbox.write(commit)
        creations = tuple((message, tuple(made)) for message, made in self._creations)
        self._in_flight.update(planned)
        return Plan(planned, creations, tuple(self._directives), delivered), commit

    def committed(self, plan: Plan, result: CommitResult) -> tuple[list[Directive], list[Event]]:
        """What follows the commit: directives, and messages that must be decided again on fresh rows."""
        directives, again = list(plan.directives), []
        self._in_flight.difference_update(plan.staged)
        changed: list[Execution] = []
        tasks: list[Task] = []
        settled: list[Settled] = []
        due: list[tuple[str, Instant | None]] = []
        recorded: list[tuple[str, int]] = []
        for task_id, (staged, task) in plan.staged.items():
            error = result.refused.get(task_id)
            if error is not None:
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
            due.append((task_id, None if staged.deleted else task.due))
        for message, made in plan.creations:
            directives.append(Answer(message.reply, tuple(self._created(entry, plan, result) for entry in made)))
        told, left = answers(plan.delivered, result.refused)
        directives += told
        again += left
        if recorded:
            directives.append(Recorded(tuple(recorded)))
        if due:
            directives.append(Reschedule(tuple(due)))
        if tasks:
            directives.append(Happened(tuple(changed), tuple(tasks), tuple(settled)))
        directives.extend(self._sync_requests())
        directives.extend(self.waits.to_reconsider())
        self._trim_cache()
        return directives, again

    def _accept(self, staged: Staged, task: Task) -> None:
        if staged.deleted:
            self._cache.pop(task.id, None)
        else:
            self._cache[task.id] = task
        self.waits.landed(staged, task)

    def _created(self, entry: str | Exception, plan: Plan, result: CommitResult) -> Task | Exception:
        if isinstance(entry, Exception):
            return entry
        return result.refused.get(entry) or plan.staged[entry][1]

    def _sync_requests(self) -> list[Directive]:
        """The request for the executor, behind every Start that was decided before it."""
        wanted, self._sync_wanted = self._sync_wanted, False
        return [self.sync_request] if wanted else []

    def _refused(self, staged: Staged, error: TocsinError, directives: list[Directive]) -> list[Event]:
        """Undo what was counted on; a stale row is read and decided again, anything else is told to those who caused it.

        A stale epoch: the partition is no longer ours. What its owner decides is dropped, the rest does not need the epoch.
        """
        self._undo(staged)
        ends = self._without_slots(staged.ends)
        if isinstance(error, StaleEpoch):
            self._epochs = {number: epoch for number, epoch in self._epochs.items() if number != staged.partition}
        if isinstance(error, StaleVersion | StaleEpoch) and staged.original is not None:
            return [AttemptsEnded(ends), *staged.messages] if ends else list(staged.messages)
        if causes := [message for message in staged.messages if can_cause(message, error)]:
            directives.extend(Refuse(message.reply, again(error)) for message in causes)
            rest = [message for message in staged.messages if not can_cause(message, error)]
            return [AttemptsEnded(ends), *rest] if ends else rest
        directives.extend(Refuse(reply, again(error)) for reply in staged.replies())
        directives.append(Recorded(tuple((end.execution_id, end.fence) for end in ends)))
        return []

    def _without_slots(self, ends: Iterable[AttemptEnd]) -> tuple[AttemptEnd, ...]:
        """Ends to be decided again: their slots were given back the first time."""
        return tuple(evolve(end, holds_slot=True) for end in ends)

    def _undo(self, staged: Staged) -> None:
        self._claims.undo(staged.starts)
        self._cache.pop(staged.id, None)
        self.waits.refused(staged.id)

    def failed(self, plan: Plan, error: TocsinError) -> list[Directive]:
        """The store could not commit: nothing was changed. Those who asked are told; ends are kept for the next batch."""
        directives: list[Directive] = [
            Refuse(directive.reply, again(error)) if isinstance(directive, Purge) else directive
            for directive in plan.directives
        ]
        self._in_flight.difference_update(plan.staged)
        for staged, _ in plan.staged.values():
            self._undo(staged)
            self._carried.extend(self._without_slots(staged.ends))
            directives.extend(Refuse(reply, again(error)) for reply in staged.replies())
        directives.extend(Refuse(message.reply, again(error)) for message, _ in plan.creations)
        directives.extend(Refuse(message.reply, again(error)) for message in plan.delivered)
        directives.extend(self._sync_requests())
        return directives

    @property
    def has_carried(self) -> bool:
        """Whether ends of attempts wait for a store that can commit."""
        return bool(self._carried)

    def _trim_cache(self) -> None:
        while len(self._cache) > CACHE_SIZE:
            self._cache.popitem(last=False)


def _same_attempt(one: AttemptEnd, other: AttemptEnd) -> bool:
    return (one.execution_id, one.fence) == (other.execution_id, other.fence)
