"""The keeper's decisions: what a batch of messages changes, as one commit, and what follows when it is durable.

Theory of operation. The shell gives a batch with the tasks that it concerns; `decide` stages every change on working copies and
makes one `Commit`. Nothing is told to anybody before the store has answered: `committed` gives the directives of what was
accepted, and sends back what has to be decided again because a row had changed (`StaleVersion`); `failed` is for a store that
cannot commit at all. The core keeps:

- `cache`: tasks as the store has them, the most recently used ones. A cached task may be stale; the version guard finds out.
- `slots`: free slots of this lane's executor, as far as claims are concerned. A claim takes one, an end or `SlotsFreed` gives
  one back. No claim is made before the executor has said what it has (`InSync`).
- `backlog`: executions that wait for a slot, by (priority, id); what does not fit stays in the store and is asked for again.
- `epochs`: the partitions this node acts for. The timer's and the coordinator's messages about other partitions are dropped.

Ends of attempts are never lost: what the store could not take is decided again with the next batch, and the executor tells
again what was not `Recorded`. Not guaranteed: the order of directives between tasks; that a `Reschedule` is exact, it may be
told twice.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from random import Random
from typing import Final, assert_never

import attrs

from runtime.clock import Instant
from runtime.errors import Conflict, NotFound, StaleFence, StaleVersion, TocsinError
from runtime.records import evolve

from . import attempts
from .definition_changes import activate, cancel_definition, configure, edit, first_state, pause
from .keeper_messages import (
    ActivateTask,
    Answer,
    AttemptEnd,
    AttemptsEnded,
    Backlog,
    CancelExecution,
    CancelTask,
    Checkpoint,
    Command,
    ConfigureTask,
    CreateTasks,
    DeleteTask,
    Directive,
    EditTask,
    Event,
    Happened,
    InSync,
    Interrupt,
    Logged,
    Own,
    PauseTask,
    Progress,
    Purge,
    Recorded,
    Recover,
    Refuse,
    Reschedule,
    ResumeTask,
    RetryTask,
    RunTask,
    Settle,
    SlotsFreed,
    Start,
)
from .keeper_staging import Plan, Staged
from .model.execution import Execution, Kind, WaitsFor
from .model.lifecycle import OPEN_STATES, Change, Phase, State, change_phase
from .model.policy import Overlap
from .model.task import Definition, Task, partition_of
from .settling import Settlement, after_delay, is_blocked, is_fixed_delay, settle
from .store.port import Audit, Commit, CommitResult, LogWrite, ProgressWrite

CACHE_SIZE: Final = 20_000
"""Tasks kept in memory between batches: some 40 MB at the most, and more than fire in the busiest second."""

BACKLOG_SIZE: Final = 10_000
"""Executions waiting for a slot that are kept in memory; more of them wait in the store only."""

MAX_REDECISIONS: Final = 5
"""How often one batch is decided again because rows changed under it; on one node it never is."""


@attrs.frozen
class Needs:
    """What the shell must read before `decide`: these tasks, and all tasks with running executions if `running`."""

    task_ids: frozenset[str]
    running: bool


class KeeperCore:
    """See the module's docstring. `boot` and `node` name this process; `new_id` makes execution ids."""

    def __init__(self, *, boot: str, node: str, partitions: int, random: Random, new_id: Callable[[], str]) -> None:
        self._boot = boot
        self._node = node
        self._partitions = partitions
        self._random = random
        self._new_id = new_id
        self._cache: OrderedDict[str, Task] = OrderedDict()
        self._epochs: Mapping[int, int] = {}
        self._slots = 0
        self._in_sync = False
        self._backlog: list[tuple[int, str, str]] = []
        self._backlog_complete = False
        self._staged: dict[str, Staged] = {}
        self._carried: list[AttemptEnd] = []
        self._logs: list[LogWrite] = []
        self._progress: list[ProgressWrite] = []
        self._creations: list[tuple[CreateTasks, list[str | Exception]]] = []
        self._directives: list[Directive] = []

    # -- before a batch

    def needs(self, batch: Sequence[Event]) -> Needs:
        """Which tasks `decide` will look at and the cache does not have."""
        wanted: set[str] = {end.task_id for end in self._carried}
        free = self._slots
        running = False
        for message in batch:
            match message:
                case Settle(task_ids=ids) | Recover(task_ids=ids) | Backlog(task_ids=ids):
                    wanted.update(ids)
                case AttemptsEnded(ends=ends):
                    wanted.update(end.task_id for end in ends)
                    free += len(ends)
                case InSync(slots=slots):
                    running = True
                    free += slots
                case SlotsFreed(count=count):
                    free += count
                case Own() | CreateTasks() | Progress() | Logged() | Purge():
                    pass
                case _:
                    wanted.add(message.task_id)
        wanted.update(task_id for _, _, task_id in heapq.nsmallest(free, self._backlog))
        return Needs(frozenset(wanted - self._cache.keys()), running)

    def learn(self, tasks: Iterable[Task]) -> None:
        """Tasks that the shell read from the store."""
        for task in tasks:
            self._cache[task.id] = task

    @property
    def wants_backlog(self) -> bool:
        """Whether executions wait in the store that should be read now, because those in memory are used up."""
        return not self._backlog_complete and not self._backlog and self._slots > 0

    @property
    def backlog_room(self) -> int:
        """How many more waiting executions fit into memory."""
        return max(1, BACKLOG_SIZE - len(self._backlog))

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
        self._claim_backlog(now)
        return self._plan(now)

    def _handle(self, message: Event, running: Iterable[str], now: Instant) -> None:
        match message:
            case Settle(task_ids=ids):
                self._settle_all(ids, message, now)
            case AttemptsEnded(ends=ends):
                for end in ends:
                    self._attempt_ended(end, now)
            case Checkpoint():
                self._checkpoint(message)
            case Progress():
                self._progress.append(ProgressWrite(message.execution_id, message.fence, message.data))
            case Logged():
                self._logs.append(LogWrite(message.execution_id, message.attempt, message.lines))
            case CreateTasks():
                self._create(message, now)
            case Own(epochs=epochs):
                self._epochs = epochs
            case Recover(task_ids=ids, live=live):
                self._recover(ids, live, now)
            case InSync():
                self._synchronise(message, running, now)
            case SlotsFreed(count=count):
                self._slots += count
            case Backlog():
                self._note_backlog(message)
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

    # -- the timer's and the coordinator's messages

    def _settle_all(self, task_ids: Iterable[str], message: Settle, now: Instant) -> None:
        for task_id in task_ids:
            staged = self._stage(task_id)
            if staged is None or staged.partition not in self._epochs:
                self._directives.append(Reschedule(((task_id, None),)))
                continue
            staged.messages.append(Settle((task_id,)))
            self._retries(staged, now)
            self._settle_slots(staged, now)

    def _retries(self, staged: Staged, now: Instant) -> None:
        for execution in list(staged.executions.values()):
            if execution.waits_for is WaitsFor.RETRY and execution.due is not None and execution.due <= now:
                self._to_slot(staged, execution, now)

    def _settle_slots(self, staged: Staged, now: Instant) -> None:
        due = staged.state.next_fire
        if staged.state.phase is Phase.ACTIVE and due is not None and due <= now:
            self._apply(staged, settle(staged.task, now), now)

    def _apply(self, staged: Staged, settlement: Settlement, now: Instant) -> None:
        staged.settle(settlement.dropped)
        phase = change_phase(staged.state.phase, Change.FINISH) if settlement.finished else staged.state.phase
        staged.set(
            phase=phase,
            next_fire=settlement.next_fire,
            settled_through=settlement.settled_through,
            runs=staged.state.runs + len(settlement.admitted),
        )
        for admission in settlement.admitted:
            execution = attempts.new_execution(
                self._new_id(),
                staged.id,
                Kind.OCCURRENCE,
                now,
                revision=staged.state.revision,
                nominal=admission.nominal,
                waits_for=admission.waits_for or WaitsFor.SLOT,
            )
            self._admit(staged, execution, now)

    def _recover(self, task_ids: Iterable[str], live: frozenset[str], now: Instant) -> None:
        """Executions whose process died: run again, or held, by their policy."""
        for task_id in task_ids:
            staged = self._stage(task_id)
            if staged is None:
                continue
            for execution in list(staged.executions.values()):
                if execution.state is State.RUNNING and execution.boot not in live:
                    self._apply_end(staged, attempts.crash(execution, staged.definition.policies, now), now)

    def _synchronise(self, message: InSync, running: Iterable[str], now: Instant) -> None:
        """The executor said what it has: whatever else runs under this boot was lost on the way and is run again."""
        self._slots, self._in_sync = message.slots, True
        for task_id in running:
            staged = self._stage(task_id)
            for execution in [] if staged is None else list(staged.executions.values()):
                if execution.state is State.RUNNING and self._is_lost(execution, message):
                    end = AttemptEnd(
                        task_id,
                        execution.id,
                        execution.fence,
                        State.WAITING,
                        execution.started_at or now,
                        now,
                        reason="the executor was restarted",
                        holds_slot=True,
                    )
                    self._attempt_ended(end, now)

    def _is_lost(self, execution: Execution, message: InSync) -> bool:
        return execution.boot == self._boot and execution.id not in message.running

    # -- the executor's messages

    def _attempt_ended(self, end: AttemptEnd, now: Instant) -> None:
        if not end.holds_slot:
            self._slots += 1
        staged = self._stage(end.task_id)
        execution = None if staged is None else staged.executions.get(end.execution_id)
        if staged is None or execution is None or execution.fence != end.fence or execution.state is not State.RUNNING:
            self._directives.append(Recorded(((end.execution_id, end.fence),)))
            return
        staged.ends.append(end)
        result = attempts.end(execution, end, staged.definition.policies, self._random)
        self._apply_end(staged, result, now, end.result)

    def _apply_end(self, staged: Staged, ended: attempts.Ended, now: Instant, result: str | None = None) -> None:
        execution = ended.execution
        staged.put(execution, archive=ended.archive, result=result, drop_checkpoint=ended.drop_checkpoint)
        match execution.state:
            case State.WAITING:
                staged.set(failure_count=execution.failures)
                if execution.waits_for is WaitsFor.SLOT:
                    self._to_slot(staged, execution, now)
            case State.COMPLETED:
                staged.set(
                    failure_count=0,
                    completed=staged.state.completed + 1,
                    last_state=execution.state,
                    last_ended_at=execution.ended_at,
                )
            case _:
                failed = 0 if execution.state is State.CANCELLED else 1
                staged.set(
                    failure_count=execution.failures,
                    failed=staged.state.failed + failed,
                    last_state=execution.state,
                    last_ended_at=execution.ended_at,
                )
        if execution.state not in OPEN_STATES:
            self._after_execution(staged, execution, now)

    def _after_execution(self, staged: Staged, ended: Execution, now: Instant) -> None:
        """What an execution's end lets go on: the one that waited for it, the next slot of a fixed delay."""
        for execution in list(staged.executions.values()):
            if execution.waits_for is WaitsFor.OVERLAP and not is_blocked(staged.task, execution.id):
                self._to_slot(staged, execution, now)
        if (
            ended.kind is Kind.OCCURRENCE
            and staged.state.phase is Phase.ACTIVE
            and staged.state.next_fire is None
            and is_fixed_delay(staged.task)
        ):
            following = after_delay(staged.task, ended.ended_at or now)
            phase = staged.state.phase if following is not None else change_phase(staged.state.phase, Change.FINISH)
            staged.set(next_fire=following, phase=phase)

    def _checkpoint(self, message: Checkpoint) -> None:
        staged = self._stage(message.task_id)
        execution = None if staged is None else staged.executions.get(message.execution_id)
        if (
            staged is None
            or execution is None
            or execution.fence != message.fence
            or execution.state is not State.RUNNING
        ):
            error = StaleFence(f"attempt with fence {message.fence} of execution {message.execution_id} is over")
            self._directives.append(Refuse(message.reply, error))
            return
        staged.checkpoint(execution, message.data)
        staged.messages.append(message)
        staged.directives.append(Answer(message.reply, None))

    # -- claims

    def _admit(self, staged: Staged, execution: Execution, now: Instant) -> None:
        if execution.waits_for is WaitsFor.SLOT:
            self._to_slot(staged, execution, now)
        else:
            staged.put(execution)

    def _to_slot(self, staged: Staged, execution: Execution, now: Instant) -> None:
        """Run it now if a slot is free and nobody waits longer, else let it wait for one."""
        if self._slots > 0 and self._in_sync and not self._backlog:
            self._claim(staged, execution, now)
            return
        staged.put(evolve(execution, waits_for=WaitsFor.SLOT, due=None))
        self._push_backlog(staged.definition, execution.id)

    def _claim(self, staged: Staged, execution: Execution, now: Instant) -> None:
        fence = staged.state.fence + 1
        claimed = attempts.claim(execution, fence, self._boot, self._node, now)
        self._slots -= 1
        staged.starts += 1
        staged.put(claimed)
        staged.set(fence=fence, last_execution=claimed.id, last_started_at=now)
        staged.directives.append(Start(staged.definition, claimed))

    def _push_backlog(self, definition: Definition, execution_id: str) -> None:
        if len(self._backlog) >= BACKLOG_SIZE:
            self._backlog_complete = False
            return
        heapq.heappush(self._backlog, (definition.policies.priority, execution_id, definition.id))

    def _claim_backlog(self, now: Instant) -> None:
        while self._in_sync and self._slots > 0 and self._backlog:
            _, execution_id, task_id = heapq.heappop(self._backlog)
            staged = self._stage(task_id)
            execution = None if staged is None else staged.executions.get(execution_id)
            if staged is not None and execution is not None and execution.waits_for is WaitsFor.SLOT:
                self._claim(staged, execution, now)

    def _note_backlog(self, message: Backlog) -> None:
        self._backlog_complete = message.complete
        known = {execution_id for _, execution_id, _ in self._backlog}
        for task_id in message.task_ids:
            staged = self._stage(task_id)
            if staged is not None:
                for execution in staged.executions.values():
                    if execution.waits_for is WaitsFor.SLOT and execution.id not in known:
                        self._push_backlog(staged.definition, execution.id)

    # -- what people and programs ask for

    def _create(self, message: CreateTasks, now: Instant) -> None:
        answers: list[str | Exception] = []
        for definition in message.definitions:
            try:
                state = first_state(definition, now)
            except TocsinError as error:
                answers.append(error)
                continue
            staged = Staged.new(definition, state, partition_of(definition.id, self._partitions))
            self._staged[definition.id] = staged
            staged.audits.append(Audit(now, message.actor, "CreateTask", definition.id))
            answers.append(definition.id)
        self._creations.append((message, answers))

    def _command(self, message: Command, now: Instant) -> None:
        staged = self._stage(message.task_id)
        if staged is None:
            self._directives.append(Refuse(message.reply, NotFound(f"no task {message.task_id}")))
            return
        try:
            shown = self._carry_out(message, staged, now)
        except TocsinError as error:
            self._directives.append(Refuse(message.reply, error))
            return
        staged.messages.append(message)
        staged.audits.append(Audit(now, message.actor, type(message).__name__, staged.id))
        staged.answers.append((message.reply, shown))

    def _carry_out(self, message: Command, staged: Staged, now: Instant) -> str | None:
        """Stage the command. Answers the id of the execution that the asker wants to see, or None for the task.

        Every refusal is raised before anything is staged.
        """
        match message:
            case EditTask():
                edit(staged.task, message.definition, message.expected, now)
                self._settle_slots(staged, now)
                staged.definition, staged.state = edit(staged.task, message.definition, None, now)
            case ConfigureTask():
                staged.definition = configure(staged.definition, message.max_retries, message.delay)
            case PauseTask():
                change_phase(staged.state.phase, Change.PAUSE)
                self._settle_slots(staged, now)
                staged.state = pause(staged.task, message.note, message.actor)
            case ActivateTask():
                staged.definition, staged.state, rows = activate(staged.task, message.trigger, message.bounds, now)
                staged.settle(rows)
            case CancelTask():
                self._cancel_task(staged, message.actor, now)
            case DeleteTask():
                self._cancel_task(staged, message.actor, now)
                staged.deleted = True
            case RunTask():
                return self._run(message, staged, now)
            case RetryTask():
                self._retry(message, staged, now)
            case ResumeTask():
                self._resume(staged, now)
            case CancelExecution():
                self._cancel_execution(staged, message.execution_id, message.actor, now)
                return message.execution_id
            case _:
                assert_never(message)
        return None

    def _cancel_task(self, staged: Staged, actor: str, now: Instant) -> None:
        if staged.state.phase is not Phase.CANCELLED:
            staged.state, rows = cancel_definition(staged.task, actor, now)
            staged.settle(rows)
        for execution in list(staged.executions.values()):
            self._cancel_execution(staged, execution.id, actor, now)

    def _cancel_execution(self, staged: Staged, execution_id: str, actor: str, now: Instant) -> None:
        execution = staged.executions.get(execution_id)
        if execution is None:
            raise Conflict(f"execution {execution_id} has ended or is not of task {staged.id}")
        if execution.state is State.RUNNING:
            staged.directives.append(Interrupt(execution.id, execution.fence, f"cancelled by {actor}"))
            return
        cancelled = attempts.cancel(execution, f"cancelled by {actor}", now)
        if execution.first_started_at is None and execution.kind is Kind.OCCURRENCE:
            staged.set(runs=max(0, staged.state.runs - 1))
        self._apply_end(staged, attempts.Ended(cancelled), now)

    def _run(self, message: RunTask, staged: Staged, now: Instant) -> str:
        if staged.state.phase is Phase.CANCELLED:
            raise Conflict(f"cannot run a task that is {staged.state.phase}: activate it first")
        blocker = next((entry for entry in staged.executions.values() if entry.state in OPEN_STATES), None)
        overlap = staged.definition.policies.overlap
        waits_for = WaitsFor.SLOT
        if blocker is not None and overlap is not Overlap.ALLOW:
            if overlap is Overlap.SKIP or any(
                entry.waits_for is WaitsFor.OVERLAP for entry in staged.executions.values()
            ):
                raise Conflict(f"execution {blocker.id} of this task is {blocker.state}, and overlap is {overlap!s}")
            waits_for = WaitsFor.OVERLAP
        execution = attempts.new_execution(
            self._new_id(),
            staged.id,
            Kind.MANUAL,
            now,
            revision=staged.state.revision,
            waits_for=waits_for,
            channel=message.channel,
            correlation=message.correlation,
            parameters=message.parameters,
        )
        self._admit(staged, execution, now)
        return execution.id

    def _retry(self, message: RetryTask, staged: Staged, now: Instant) -> None:
        last = message.last
        if last is None or staged.state.last_execution != last.id:
            raise Conflict(f"task {staged.id} has no last execution that failed: it is {staged.state.status}")
        staged.adopt(last)
        blocker = next((entry for entry in staged.executions.values() if entry.state in OPEN_STATES), None)
        if blocker is not None and staged.definition.policies.overlap is not Overlap.ALLOW:
            raise Conflict(f"cannot retry: execution {blocker.id} of this task is {blocker.state}")
        if staged.state.phase is Phase.CANCELLED:
            raise Conflict("cannot retry a task that is cancelled")
        retried = attempts.retry_by_hand(staged.executions[last.id], message.reset)
        staged.set(failed=max(0, staged.state.failed - 1))
        self._apply_end(staged, retried, now)

    def _resume(self, staged: Staged, now: Instant) -> None:
        held = next((entry for entry in staged.executions.values() if entry.state is State.CRASHED), None)
        if held is None or staged.state.phase is Phase.CANCELLED:
            raise Conflict(f"task {staged.id} is {staged.state.status}, only a CRASHED one can be resumed")
        staged.set(failed=max(0, staged.state.failed - 1))
        self._apply_end(staged, attempts.resume(held), now)

    # -- after a batch

    def _plan(self, now: Instant) -> tuple[Plan, Commit]:
        planned: dict[str, tuple[Staged, Task]] = {}
        creates, updates, audits = [], [], []
        epochs: dict[int, int] = {}
        for task_id, staged in self._staged.items():
            task = staged.finish()
            planned[task_id] = staged, task
            audits.extend(staged.audits)
            if staged.original is None:
                creates.append(staged.create(task))
            elif staged.writes_something:
                updates.append(staged.update(task))
            if (epoch := self._epochs.get(staged.partition)) is not None:
                epochs[staged.partition] = epoch
        commit = Commit(epochs, tuple(creates), tuple(updates), tuple(self._progress), tuple(self._logs), tuple(audits))
        return Plan(planned, epochs, now), commit

    def committed(self, plan: Plan, result: CommitResult) -> tuple[list[Directive], list[Event]]:
        """What follows the commit: directives, and messages that must be decided again on fresh rows."""
        directives, again = self._directives, []
        changed: list[Execution] = []
        tasks: list[Task] = []
        due: list[tuple[str, Instant | None]] = []
        recorded: list[tuple[str, int]] = []
        for task_id, (staged, task) in plan.staged.items():
            error = result.refused.get(task_id)
            if error is not None:
                again.extend(self._refused(staged, error, directives))
                continue
            self._accept(staged, task)
            directives.extend(staged.directives)
            directives.extend(Answer(reply, staged.executions[key] if key else task) for reply, key in staged.answers)
            recorded.extend((end.execution_id, end.fence) for end in staged.ends)
            changed.extend(staged.executions[key] for key in staged.changed)
            tasks.append(task)
            due.append((task_id, None if staged.deleted else task.due))
        for message, answers in self._creations:
            directives.append(Answer(message.reply, tuple(self._created(entry, plan, result) for entry in answers)))
        if recorded:
            directives.append(Recorded(tuple(recorded)))
        if due:
            directives.append(Reschedule(tuple(due)))
        if tasks:
            directives.append(Happened(tuple(changed), tuple(tasks)))
        self._trim_cache()
        return directives, again

    def _accept(self, staged: Staged, task: Task) -> None:
        if staged.deleted:
            self._cache.pop(task.id, None)
        else:
            self._cache[task.id] = task

    def _created(self, entry: str | Exception, plan: Plan, result: CommitResult) -> Task | Exception:
        if isinstance(entry, Exception):
            return entry
        return result.refused.get(entry) or plan.staged[entry][1]

    def _refused(self, staged: Staged, error: TocsinError, directives: list[Directive]) -> list[Event]:
        """Undo what was counted on; a stale row is read and decided again, anything else is told to those who asked."""
        self._undo(staged)
        ends = self._without_slots(staged.ends)
        if isinstance(error, StaleVersion):
            return [AttemptsEnded(ends), *staged.messages] if ends else list(staged.messages)
        directives.extend(Refuse(reply, again(error)) for reply in staged.replies())
        directives.append(Recorded(tuple((end.execution_id, end.fence) for end in ends)))
        return []

    def _without_slots(self, ends: Iterable[AttemptEnd]) -> tuple[AttemptEnd, ...]:
        """Ends to be decided again: their slots were given back the first time."""
        return tuple(evolve(end, holds_slot=True) for end in ends)

    def _undo(self, staged: Staged) -> None:
        self._slots += staged.starts
        if staged.starts:
            self._backlog_complete = False
        self._cache.pop(staged.id, None)

    def failed(self, plan: Plan, error: TocsinError) -> list[Directive]:
        """The store could not commit: nothing was changed. Those who asked are told; ends are kept for the next batch."""
        directives = self._directives
        for staged, _ in plan.staged.values():
            self._undo(staged)
            self._carried.extend(self._without_slots(staged.ends))
            directives.extend(Refuse(reply, again(error)) for reply in staged.replies())
        directives.extend(Refuse(message.reply, again(error)) for message, _ in self._creations)
        return directives

    @property
    def has_carried(self) -> bool:
        """Whether ends of attempts wait for a store that can commit."""
        return bool(self._carried)

    def _trim_cache(self) -> None:
        while len(self._cache) > CACHE_SIZE:
            self._cache.popitem(last=False)


def again(error: TocsinError) -> TocsinError:
    """The same error as an object of its own: every asker raises his own."""
    return type(error)(*error.args)
