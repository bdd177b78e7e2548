"""The rows that a commit writes, table by table, and by how much the totals grow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

import attrs

from runtime.errors import InternalError, TocsinError
from runtime.records import evolve

from ..model.occurrence import Outcome, Settled
from .port import (
    Audit,
    CheckpointWrite,
    Commit,
    Create,
    ExecutionWrite,
    LogWrite,
    ProgressWrite,
    Step,
    Update,
    writes_task,
)
from .rows import (
    Row,
    attempt_row,
    completed_row,
    ended_row,
    execution_row,
    execution_update_row,
    fired_row,
    settled_row,
    started_row,
    update_row,
)

Change = Create | Update

Numbers = Counter[tuple[str, str]]
"""How many of each outcome and reason, where "" stands for none."""

OUTCOMES: Final = tuple(outcome.value for outcome in Outcome)


@attrs.define
class Rows:
    """What the updates of a batch write, table by table; the common steps apart."""

    fired: list[Row] = attrs.field(factory=list)
    started: list[Row] = attrs.field(factory=list)
    completed: list[Row] = attrs.field(factory=list)
    ended: list[Row] = attrs.field(factory=list)
    tasks: list[Row] = attrs.field(factory=list)
    edits: list[Update] = attrs.field(factory=list)
    deletes: list[Row] = attrs.field(factory=list)
    checkpoints: dict[tuple[str, int], list[str]] = attrs.field(factory=dict)
    inserts: list[Row] = attrs.field(factory=list)
    updates: list[Row] = attrs.field(factory=list)
    attempts: list[Row] = attrs.field(factory=list)
    results: list[Row] = attrs.field(factory=list)
    dropped: list[Row] = attrs.field(factory=list)
    settled: list[Row] = attrs.field(factory=list)


def task_id_of(change: Change) -> str:
    """The task that a change is about."""
    return change.task.definition.id if isinstance(change, Create) else change.task_id


def changes_of(commit: Commit) -> list[Change]:
    """Creations first, else in the order given."""
    changes: list[Change] = [*commit.creates, *commit.updates]
    if len(set(map(task_id_of, changes))) != len(changes):
        raise InternalError("a commit changes the same task twice")
    return changes


def counted(changes: Iterable[Change]) -> tuple[int, Numbers]:
    """By how much the number of tasks grows, and the numbers of outcomes by outcome and reason."""
    tasks = 0
    numbers: Numbers = Counter()
    for change in changes:
        if isinstance(change, Create):
            tasks += 1
            _count_outcomes(numbers, map(ExecutionWrite, change.task.open), change.settled)
        elif change.delete:
            tasks -= 1
        elif change.step is not Step.COMPLETED:  # Its outcome was counted when it fired.
            _count_outcomes(numbers, change.executions, change.settled)
    return tasks, numbers


def _count_outcomes(numbers: Numbers, executions: Iterable[ExecutionWrite], settled: Iterable[Settled]) -> None:
    for write in executions:
        execution = write.execution
        outcome = execution.outcome
        if outcome is not None and (write.former is None or write.former.outcome is None):
            reason = execution.reason
            numbers[outcome._value_, "" if reason is None else reason._value_] += 1
    for row in settled:
        if row.count:
            numbers[row.outcome._value_, row.reason._value_] += row.count


def rows_of(updates: Iterable[Update], *, steps: bool = False) -> Rows:
    """What these updates write. steps: of the common steps only what they change."""
    rows = Rows()
    for update in updates:
        if steps and update.step is not None:
            _add_step(rows, update)
            continue
        if update.checkpoints:
            _add_checkpoints(rows, update.checkpoints)
            if not writes_task(update):
                continue
        if update.delete:
            rows.deletes.append((update.task_id, update.expected))
            continue
        if update.definition is not None:
            rows.edits.append(update)
        rows.tasks.append(update_row(update))
        for write in update.executions:
            _add_execution(rows, write)
        rows.settled.extend(map(settled_row, update.settled))
    return rows


def _add_step(rows: Rows, update: Update) -> None:
    (write,) = update.executions
    if update.step is Step.FIRED:
        rows.fired.append(fired_row(update))
        rows.started.append(started_row(write.execution))
        return
    rows.completed.append(completed_row(update))
    rows.ended.append(ended_row(write))
    _add_parts(rows, write)


def _add_checkpoints(rows: Rows, checkpoints: Iterable[CheckpointWrite]) -> None:
    for write in checkpoints:
        rows.checkpoints.setdefault((write.execution_id, write.fence), []).append(write.data)


def _add_execution(rows: Rows, write: ExecutionWrite) -> None:
    if write.former is None:
        rows.inserts.append(execution_row(write.execution))
    else:
        rows.updates.append(execution_update_row(write))
    _add_parts(rows, write)


def _add_parts(rows: Rows, write: ExecutionWrite) -> None:
    if write.archive is not None:
        rows.attempts.append(attempt_row(write.archive))
    if write.result is not None:
        rows.results.append((write.execution.id, write.result))
    if write.drop_checkpoint:
        rows.dropped.append((write.execution.id,))


def _storable(text: str) -> str:
    """A text that handlers wrote may hold half a surrogate pair, which UTF-8 cannot."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def progress_rows(progress: Iterable[ProgressWrite]) -> list[Row]:
    """Id, fence and text of each."""
    return [(write.execution_id, write.fence, _storable(write.progress)) for write in progress]


def log_rows(logs: Iterable[LogWrite]) -> list[Row]:
    """A row for each line."""
    return [
        (write.execution_id, write.attempt, at, level, _storable(text))
        for write in logs
        for at, level, text in write.lines
    ]


def accepted_audits(audits: Iterable[Audit], refused: Mapping[str, TocsinError]) -> list[Audit]:
    """Those of tasks that were not refused, as they can be stored."""
    return [
        evolve(audit, actor=_storable(audit.actor), detail=_storable(audit.detail))
        for audit in audits
        if audit.task_id not in refused
    ]
