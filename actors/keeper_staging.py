"""The keeper's working copies: one batch's changes to each task, until they are one commit.

Several messages of a batch may concern one task. They are decided one after another on the staged copy, and the store sees the
difference: one compare-and-set on the version that was read, each execution once, from what the store holds to what it shall.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from runtime.clock import Instant
from runtime.mailbox import Reply
from runtime.records import evolve

from .keeper_messages import Answer, AttemptEnd, Directive, Event
from .model.execution import Attempt, Execution
from .model.lifecycle import OPEN_STATES, State
from .model.occurrence import Settled
from .model.task import Definition, Task, TaskState, status_of
from .store.port import Audit, CheckpointWrite, Create, ExecutionWrite, Update

_KEPT_WITH_THE_TASK = OPEN_STATES | {State.CRASHED}


@attrs.define
class Staged:
    """One task in the making. `original` is what the store holds, None for a new task.

    `messages` are those to decide again if the row turns out to be stale; `answers` go to those who asked, with the
    execution of that id or, for None, the task; `starts` counts the slots taken.
    """

    partition: int
    original: Task | None
    definition: Definition
    state: TaskState
    executions: dict[str, Execution]
    messages: list[Event] = attrs.field(factory=list)
    ends: list[AttemptEnd] = attrs.field(factory=list)
    directives: list[Directive] = attrs.field(factory=list)
    answers: list[tuple[Reply[Any], str | None]] = attrs.field(factory=list)
    starts: int = 0
    deleted: bool = False
    _former: dict[str, Execution | None] = attrs.field(factory=dict)
    _archives: dict[str, Attempt] = attrs.field(factory=dict)
    _results: dict[str, str] = attrs.field(factory=dict)
    _dropped_checkpoints: set[str] = attrs.field(factory=set)
    _settled: list[Settled] = attrs.field(factory=list)
    _checkpoints: list[CheckpointWrite] = attrs.field(factory=list)
    audits: list[Audit] = attrs.field(factory=list)
    changed: list[str] = attrs.field(factory=list)

    @classmethod
    def of(cls, task: Task, partition: int) -> Staged:
        """A working copy of a stored task."""
        return cls(partition, task, task.definition, task.state, {entry.id: entry for entry in task.open})

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
        self.state = evolve(self.state, **changes)

    def put(
        self,
        execution: Execution,
        *,
        archive: Attempt | None = None,
        result: str | None = None,
        drop_checkpoint: bool = False,
    ) -> None:
        """Add an execution or change one; the first change remembers what the store has."""
        key = execution.id
        if key not in self._former:
            self._former[key] = self.executions.get(key)
            self.changed.append(key)
        self.executions[key] = execution
        if archive is not None:
            self._archives[key] = archive
        if result is not None:
            self._results[key] = result
        if drop_checkpoint:
            self._dropped_checkpoints.add(key)

    def adopt(self, execution: Execution) -> None:
        """Make known an execution that the store has and the task's record does not carry because it has ended."""
        self.executions.setdefault(execution.id, execution)

    def settle(self, rows: tuple[Settled, ...]) -> None:
        """Add rows to the ledger."""
        self._settled.extend(rows)

    def checkpoint(self, execution: Execution, data: str) -> None:
        """A running attempt made a checkpoint; the store itself counts it in the execution's row."""
        self._checkpoints.append(CheckpointWrite(execution.id, self.id, execution.fence, data))
        counted = evolve(execution, checkpoints=execution.checkpoints + 1, crashes=0)
        self.executions[execution.id] = counted

    def finish(self) -> Task:
        """Compute status and version, and give the task as it will be if the commit accepts it."""
        open_ones = tuple(entry for entry in self.executions.values() if entry.state in _KEPT_WITH_THE_TASK)
        if self.original is None:
            self.state = evolve(self.state, status=status_of(self.state, open_ones))
        elif self._changes_the_row():
            version = self.original.state.version + 1
            self.state = evolve(self.state, status=status_of(self.state, open_ones), version=version)
        return Task(self.definition, self.state, open_ones)

    def _changes_the_row(self) -> bool:
        assert self.original is not None
        return (
            self.state is not self.original.state
            or self.definition is not self.original.definition
            or bool(self._former)
            or self.deleted
        )

    def replies(self) -> list[Reply[Any]]:
        """Everybody who waits for an answer about this task."""
        waiting = [entry.reply for entry in self.directives if isinstance(entry, Answer)]
        return [*waiting, *(reply for reply, _ in self.answers)]

    @property
    def writes_something(self) -> bool:
        """Whether there is anything to commit about the task."""
        return self.original is None or self._changes_the_row() or bool(self._checkpoints or self._settled)

    def create(self, task: Task) -> Create:
        """The commit's part for a new task; `task` is what `finish` gave."""
        return Create(task, self.partition, tuple(self._settled))

    def update(self, task: Task) -> Update:
        """The commit's part for a stored task; `task` is what `finish` gave."""
        assert self.original is not None
        return Update(
            self.id,
            self.partition,
            self.original.state.version,
            self.state,
            task.due,
            tuple(self._execution_write(key) for key in self.changed),
            tuple(self._settled),
            tuple(self._checkpoints),
            None if self.definition is self.original.definition else self.definition,
            self.deleted,
        )

    def _execution_write(self, key: str) -> ExecutionWrite:
        return ExecutionWrite(
            self.executions[key],
            self._former[key],
            self._archives.get(key),
            self._results.get(key),
            key in self._dropped_checkpoints,
        )


@attrs.frozen
class Plan:
    """A batch decided but not committed: what to write, and the staged tasks with what they will be."""

    staged: Mapping[str, tuple[Staged, Task]]
    epochs: Mapping[int, int]
    now: Instant
