"""The keeper's working copies: one batch's changes to each task, until they are one commit.

Several messages of a batch may concern one task. They are decided one after another on the staged copy, and the store sees the
difference: one compare-and-set on the version that was read, each execution once, from what the store holds to what it shall.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import attrs

from runtime.clock import Instant
from runtime.records import evolve, record

from .keeper_lane import UNCHANGED, CalendarChange, LaneChange
from .keeper_messages import (
    Answer,
    AttemptEnd,
    CreateTasks,
    Delivered,
    Directive,
    Event,
    Purge,
    Refuse,
    Settle,
    Start,
)
from .keeper_queues import Holder
from .model.execution import Attempt, Execution
from .model.lifecycle import OPEN_STATES, State
from .model.occurrence import Reason, Settled
from .model.task import Definition, Task, TaskState, status_of
from .rules import followers
from .rules.attempts import archived
from .store.port import Audit, CheckpointWrite, Create, ExecutionWrite, OutboxEntry, Step, Update

if TYPE_CHECKING:
    from runtime.mailbox import Reply

_KEPT_WITH_THE_TASK: Final = OPEN_STATES | {State.CRASHED}
NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})
"""Stands for every mapping of a working copy that is empty."""

_write = object.__setattr__
"""Changes a field of a frozen record that nobody else has seen yet."""


@attrs.define(eq=False)
class Staged:
    """One task in the making. `original` is what the store holds, None for a new task.

    `state` is a private copy that `set` changes in place until `finish` gives it away. `messages` are those to decide again if
    the row turns out to be stale; `answers` go to those who asked, with the execution of that id or, for None, the task;
    `starts` counts the slots taken, `claimed` says what else was; `unlocked` are holders as they were before a key was taken from
    them; `ready` is the finished task where it is known already.
    Most of a batch's tasks use few of these fields, so the empty ones cost nothing.
    """

    partition: int
    original: Task | None
    definition: Definition
    state: TaskState
    executions: dict[str, Execution]
    messages: tuple[Event, ...] = ()
    ends: tuple[AttemptEnd, ...] = ()
    directives: tuple[Directive, ...] = ()
    answers: tuple[tuple[Reply[Any], str | None], ...] = ()
    audits: tuple[Audit, ...] = ()
    changed: tuple[str, ...] = ()
    starts: int = 0
    deleted: bool = False
    claimed: tuple[Holder, ...] = ()
    unlocked: tuple[Holder, ...] = ()
    _touched: bool = False
    _settled: tuple[Settled, ...] = ()
    _checkpoints: tuple[CheckpointWrite, ...] = ()
    _archives: Mapping[str, Attempt] = NOTHING
    _results: Mapping[str, str] = NOTHING
    _dropped_checkpoints: tuple[str, ...] = ()
    _stored: Mapping[str, Execution] = NOTHING
    _adopted: tuple[str, ...] = ()
    _ready: Task | None = None
    _step: Step | None = None

    @classmethod
    def of(cls, task: Task, partition: int) -> Staged:
        """A working copy of a stored task."""
        stored = {entry.id: entry for entry in task.open} if task.open else NOTHING
        return cls(partition, task, task.definition, evolve(task.state), dict(stored), stored=stored)

    @classmethod
    def new(cls, definition: Definition, state: TaskState, partition: int) -> Staged:
        """A working copy of a task that does not exist yet."""
        return cls(partition, None, definition, state, {})

    @property
    def id(self) -> str:
        """The task's id."""
        return self.definition.id

    @property
    def task(self) -> Task:
        """The task as staged so far."""
        return Task(self.definition, self.state, tuple(self.executions.values()))

    def set(self, **changes: Any) -> None:
        """Change fields of the state."""
        self._touched, self._ready = True, None
        for name, value in changes.items():
            _write(self.state, name, value)

    def replace(self, definition: Definition, state: TaskState) -> None:
        """Take another definition and state."""
        self._touched, self._ready = True, None
        self.definition, self.state = definition, evolve(state)

    def put(
        self,
        execution: Execution,
        *,
        archive: Attempt | None = None,
        result: str | None = None,
        drop_checkpoint: bool = False,
    ) -> None:
        """Add an execution or change one."""
        key, self._ready = execution.id, None
        if key not in self.changed:
            self.changed = (*self.changed, key)
        self.executions[key] = execution
        if archive is not None:
            self._archives = {**self._archives, key: archive}
        if result is not None:
            self._results = {**self._results, key: result}
        if drop_checkpoint:
            self._dropped_checkpoints = (*self._dropped_checkpoints, key)

    def adopt(self, execution: Execution) -> None:
        """Make known an execution that the store has and the task's record does not carry because it has ended.

        It was read at another moment than the task. Only if it is changed, which the task's version guards, is it the task's.
        """
        self._ready = None
        if execution.id not in self.executions:
            self.executions[execution.id] = execution
            self._adopted = (*self._adopted, execution.id)
            self._stored = {**self._stored, execution.id: execution}

    def stored(self, execution_id: str) -> Execution | None:
        """An execution as the store has it."""
        return self._stored.get(execution_id)

    @property
    def settled(self) -> tuple[Settled, ...]:
        """Rows added to the ledger."""
        return self._settled

    def ended_attempts(self) -> Iterator[Attempt]:
        """The attempts that ran when the task was read, and run no more; of whatever node, and however they ended."""
        for key in self.changed:
            before, after = self._stored.get(key), self.executions[key]
            if before is None or before.state is not State.RUNNING:
                continue
            if (after.state, after.fence) != (State.RUNNING, before.fence):
                yield self._archives.get(key) or archived(after)

    def settle(self, rows: tuple[Settled, ...]) -> None:
        """Add rows to the ledger."""
        self._settled = self._settled + rows

    def blame_pause(self, since: Instant, until: Instant) -> None:
        """Slots that were not run because the whole scheduler was paused say so."""
        self._settled = tuple(
            evolve(row, reason=Reason.PAUSED)
            if row.reason is Reason.DOWNTIME and since <= row.first and row.last <= until
            else row
            for row in self._settled
        )

    def checkpoint(self, execution: Execution, data: str) -> None:
        """A running attempt made a checkpoint; the store itself counts it in the execution's row."""
        self._ready = None
        self._checkpoints = (*self._checkpoints, CheckpointWrite(execution.id, self.id, execution.fence, data))
        self.executions[execution.id] = evolve(execution, checkpoints=execution.checkpoints + 1, crashes=0)

    def finish(self) -> Task:
        """Compute status and version, and give the task as it will be if the commit accepts it."""
        if self._ready is not None:
            return self._ready
        ours = self.executions.values()
        if self._adopted:
            ours = {key: one for key, one in self.executions.items() if self._is_ours(key)}.values()
        open_ones = tuple([entry for entry in ours if entry.state in _KEPT_WITH_THE_TASK or entry.lingers])
        if self.original is None:
            _write(self.state, "status", status_of(self.state, open_ones))
        elif self._changes_the_row:
            _write(self.state, "status", status_of(self.state, open_ones))
            _write(self.state, "version", self.original.state.version + 1)
        return Task(self.definition, self.state, open_ones)

    def _is_ours(self, key: str) -> bool:
        return key not in self._adopted or key in self.changed

    @property
    def _changes_the_row(self) -> bool:
        return self._touched or bool(self.changed) or self.deleted

    def replies(self) -> list[Reply[Any]]:
        """Everybody who waits for an answer about this task."""
        waiting = [entry.reply for entry in self.directives if isinstance(entry, Answer)]
        return [*waiting, *(reply for reply, _ in self.answers)]

    @property
    def writes_something(self) -> bool:
        """Whether there is anything to commit about the task."""
        return self._changes_the_row or self.original is None or bool(self._checkpoints or self._settled)

    def followers(self, new_id: Callable[[], str], now: Instant) -> list[OutboxEntry]:
        """What the task's event triggers have to look at when this is committed."""
        found: list[OutboxEntry] = []
        if self.deleted:
            return found
        for row in self._settled:
            found += followers.of_settled(self.definition, self.state, row, new_id, now)
        for key in self.changed:
            execution, former, result = self.executions[key], self._stored.get(key), self._results.get(key)
            found += followers.of_execution(self.definition, self.state, execution, former, result, new_id, now)
        return found

    def create(self, task: Task) -> Create:
        """The commit's part for a new task; `task` is what `finish` gave."""
        return Create(task, self.partition, self._settled)

    def update(self, task: Task, *, shared: bool = False) -> Update:
        """The commit's part for a stored task; `task` is what `finish` gave. `shared`: others may hold its concurrency key."""
        assert self.original is not None
        return Update(
            self.id,
            self.partition,
            self.original.state.version,
            self.state,
            task.due,
            tuple([self._execution_write(key, shared) for key in self.changed]),
            self._settled,
            self._checkpoints,
            None if self.definition is self.original.definition else self.definition,
            self.deleted,
            None if self._ready is None or self.deleted or self._settled else self._step,
        )

    def _execution_write(self, key: str, shared: bool) -> ExecutionWrite:
        execution, former = self.executions[key], self._stored.get(key)
        concurrency = self.definition.policies.concurrency
        claims = shared and concurrency is not None and any(one.execution_id == key for one in self.claimed)
        return ExecutionWrite(
            execution,
            former,
            self._archives.get(key),
            self._results.get(key),
            key in self._dropped_checkpoints,
            concurrency.limit if claims and concurrency is not None and execution.key is not None else None,
        )


@attrs.define(eq=False)
class Stepped:
    """A task that takes one of the common steps and nothing else in its batch: what it will be, and what is written of it.

    It says the same as a `Staged`, of which most would be empty, and is made in a third of the time. `end`: of the attempt that
    has completed, None for a fire.
    """

    original: Task
    task: Task
    execution: Execution
    update: Update
    end: AttemptEnd | None = None

    def staged(self) -> Staged:
        """The same as a working copy: something else happens to the task in its batch, or the store has refused it."""
        (write,), key = self.update.executions, self.execution.id
        made = Staged(
            self.update.partition,
            self.original,
            self.original.definition,
            self.task.state,
            {key: self.execution},
            changed=(key,),
            touched=True,
            ready=self.task,
            step=self.update.step,
        )
        if self.end is None:
            made.messages = (Settle((self.original.id,)),)
            made.directives = (Start(self.original.definition, self.execution),)
            made.starts = 1
        else:
            assert write.former is not None
            made.ends = (self.end,)
            made._stored = {key: write.former}
            made._results = NOTHING if write.result is None else {key: write.result}
            made._dropped_checkpoints = (key,) if write.drop_checkpoint else ()
        return made


def as_staged(task_ids: Iterable[str], staged: Mapping[str, Staged], cache: Mapping[str, Task]) -> Iterator[Task]:
    """Tasks as they are by now, to be looked at only."""
    for task_id in task_ids:
        if (entry := staged.get(task_id)) is not None:
            if not entry.deleted:
                yield entry.task
        elif (task := cache.get(task_id)) is not None:
            yield task


@record
class Plan:
    """A batch decided but not committed: the staged tasks with what they will be, and directives that follow in any case.

    `stepped`: those of which nothing but a common step is known, apart from the others; `starts`: slots that both take.
    `creations`: for each request to make tasks, their ids or the errors that refused them. `change`: of the lane as a whole.
    """

    staged: Mapping[str, tuple[Staged, Task]]
    stepped: Mapping[str, Stepped] = NOTHING
    starts: int = 0
    creations: tuple[tuple[CreateTasks, tuple[Task | Exception | str, ...]], ...] = ()
    directives: tuple[Directive, ...] = ()
    delivered: tuple[Delivered, ...] = ()
    change: LaneChange = UNCHANGED
    calendars: CalendarChange = CalendarChange()

    @property
    def size(self) -> int:
        """How many tasks it is about."""
        return len(self.staged) + len(self.stepped)

    def replies(self) -> list[Reply[Any]]:
        """Everybody who waits for this plan to be committed."""
        waiting = [reply for staged, _ in self.staged.values() for reply in staged.replies()]
        waiting.extend(message.reply for message, _ in self.creations)
        waiting.extend(message.reply for message in self.delivered)
        waiting.extend(reply for reply, _ in (*self.change.answers, *self.calendars.answers))
        waiting.extend(entry.reply for entry in self.directives if isinstance(entry, Answer | Refuse | Purge))
        return waiting
