"""The statements of a commit: which rows of which tables, in which order, and what it means where one changes too few.

Everything is written as if no guard failed, with few statements over many rows, and the counts of changed rows tell whether
all guards held.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Final

from ..model.retention import REVISIONS_KEPT
from ..model.task import Task
from . import sqlite_bulk as bulk
from . import sqlite_side as side
from .batch import OUTCOMES, Change, Numbers, Rows, counted, log_rows, progress_rows, rows_of
from .port import Commit, Create, Update
from .rows import (
    ATTEMPT_COLUMNS,
    COMPLETED_COLUMNS,
    DEFINITION_COLUMNS,
    ENDED_COLUMNS,
    EXECUTION_FIXED,
    EXECUTION_MUTABLE,
    FIRED_COLUMNS,
    SETTLED_COLUMNS,
    STARTED_COLUMNS,
    STARTED_OTHERS,
    STATE_COLUMNS,
    TASK_COLUMNS,
    create_row,
    definition_row,
    execution_row,
    settled_row,
)
from .sqlite_link import Step
from .sqlite_purge import PARTS_OF_EXECUTION, PARTS_OF_TASK

MOVED: Final = "moved"
"""A guard: somebody took a partition since the epochs were read."""

VERSION: Final = "version"
"""A guard: the task has another version, or is gone. The row begins with its id and the version that was expected."""

FENCE: Final = "fence"
"""A guard: the execution has ended or has a newer attempt. The row begins with its id and the attempt's fence."""

_INSERT_TASKS: Final = bulk.insert("tasks", TASK_COLUMNS)
_UPDATE_TASKS: Final = bulk.update("tasks", ("id", "version"), ("due", *STATE_COLUMNS))
_INSERT_PARCELS: Final = bulk.insert("parcels", ("task_id", "definition", "content_type", "extra"), has_bytes=True)
_INSERT_EXECUTIONS: Final = bulk.insert("executions", (*EXECUTION_FIXED, *EXECUTION_MUTABLE))
_UPDATE_EXECUTIONS: Final = bulk.update("executions", ("id", "fence", "state"), EXECUTION_MUTABLE)
# An update rewrites the entry of every index of which it names a column: of what fires all the time it names few.
_FIRE_TASKS: Final = bulk.update("tasks", ("id", "version"), FIRED_COLUMNS)
_START_EXECUTIONS: Final = bulk.insert("executions", STARTED_COLUMNS, others=STARTED_OTHERS)
_COMPLETE_TASKS: Final = bulk.update("tasks", ("id", "version"), COMPLETED_COLUMNS)
_END_EXECUTIONS: Final = bulk.update("executions", ("id", "fence", "state"), ENDED_COLUMNS)
_COUNT_CHECKPOINTS: Final = bulk.Bulk(
    "UPDATE executions SET crashes = 0, checkpoints = checkpoints + v.column3 FROM {values} AS v "
    "WHERE executions.id = v.column1 AND executions.fence = v.column2 AND executions.state = 'RUNNING'",
    3,
)
_PUT_ATTEMPTS: Final = bulk.insert("attempts", ATTEMPT_COLUMNS, "INSERT OR REPLACE")
_PUT_RESULTS: Final = bulk.insert("results", ("execution_id", "result"), "INSERT OR REPLACE")
_PUT_CHECKPOINTS: Final = bulk.insert("checkpoints", ("execution_id", "data"), "INSERT OR REPLACE")
_DROP_CHECKPOINTS: Final = bulk.delete("checkpoints", "execution_id IN {values}")
_PUT_SETTLED: Final = bulk.insert("settled", SETTLED_COLUMNS, "INSERT OR REPLACE")
_PUT_PROGRESS: Final = bulk.Bulk(
    "INSERT OR REPLACE INTO progress SELECT v.column1, v.column3 FROM {values} AS v "
    "CROSS JOIN executions AS e WHERE e.id = v.column1 AND e.fence = v.column2 AND e.state = 'RUNNING'",
    3,
)
_INSERT_LOGS: Final = bulk.Bulk(
    "INSERT INTO logs (execution_id, attempt, at, level, text) SELECT * FROM {values} AS v "
    "WHERE EXISTS (SELECT 1 FROM executions WHERE id = v.column1)",
    5,
)

_KEEP_REVISION: Final = (
    "INSERT OR REPLACE INTO revisions "
    "SELECT t.id, t.revision, t.began_at, coalesce(nullif(p.definition, ''), t.definition), p.content_type, p.extra "
    "FROM tasks AS t LEFT JOIN parcels AS p ON p.task_id = t.id WHERE t.id = ? AND t.version = ?"
)
_DROP_REVISIONS: Final = "DELETE FROM revisions WHERE task_id = ? AND revision < ?"
_EDIT_TASK: Final = (
    f"UPDATE tasks SET {', '.join(f'{column} = ?' for column in DEFINITION_COLUMNS)} WHERE id = ? AND version = ?"
)

_DELETE_TASKS: Final = bulk.delete(
    "tasks",
    "number IN (SELECT t.number FROM {values} AS v CROSS JOIN tasks AS t "
    "WHERE t.id = v.column1 AND t.version = v.column2)",
    2,
)
_DELETE_PARTS: Final = (
    *(
        bulk.delete(table, "execution_id IN (SELECT id FROM executions WHERE task_id IN {values})")
        for table in PARTS_OF_EXECUTION
    ),
    *(bulk.delete(table, "task_id IN {values}") for table in PARTS_OF_TASK),
    bulk.delete("edges", "child IN {values}"),
)

_COUNT: Final = (
    "UPDATE totals SET tasks = tasks + ?, fired = fired + ?, late = late + ?, coalesced = coalesced + ?, "
    "missed = missed + ?, skipped = skipped + ? WHERE takeovers = ?"
)
_TALLY: Final = bulk.Bulk(
    "INSERT INTO tallies SELECT * FROM {values} WHERE column1 <> -1 "
    "ON CONFLICT DO UPDATE SET count = count + excluded.count",
    3,
)
_deletes: Final = attrgetter("delete")
"""What a deletion sets free is free for the changes after it, and only for them."""


def steps_of(changes: Sequence[Change], takeovers: int) -> Iterator[Step]:
    """Of all these changes. takeovers: how many there had been when the epochs were read."""
    yield from growth(*counted(changes), takeovers)
    creates = [change for change in changes if isinstance(change, Create)]
    if creates:
        yield from _created(creates)
    for _, updates in groupby((change for change in changes if isinstance(change, Update)), _deletes):
        yield from _updated(list(updates))


def growth(tasks: int, numbers: Numbers, takeovers: int) -> Iterator[Step]:
    """What is added to the totals."""
    sums = dict.fromkeys(OUTCOMES, 0)
    for (outcome, _), number in numbers.items():
        sums[outcome] += number
    yield Step(_COUNT, (tasks, *sums.values(), takeovers), 1, MOVED)
    reasons = [(outcome, reason, number) for (outcome, reason), number in numbers.items() if reason and number]
    if reasons:
        yield from _TALLY.steps(reasons)


def progress_of(commit: Commit) -> Iterator[Step]:
    """What running attempts say of themselves. It goes first: the attempt that made it may end in the same commit."""
    if commit.progress:
        yield from _PUT_PROGRESS.steps(progress_rows(commit.progress))


def notes_of(commit: Commit, refused: Iterable[str]) -> Iterator[Step]:
    """What follows the changes and is under no task's guard. refused: tasks of which nothing is kept."""
    if commit.logs:
        yield from _INSERT_LOGS.steps(log_rows(commit.logs))
    if commit.outbox:
        yield from side.outbox(entry for entry in commit.outbox if entry.task_id not in refused)
    if commit.event_states:
        yield from side.remembered(state for state in commit.event_states if state.task_id not in refused)


def _created(creates: Sequence[Create]) -> Iterator[Step]:
    rows, parcels = zip(*map(create_row, creates), strict=True)
    yield from _INSERT_TASKS.steps(rows)
    yield from _INSERT_PARCELS.steps([parcel for parcel in parcels if parcel is not None])
    executions = [execution_row(execution) for create in creates for execution in create.task.open]
    yield from _INSERT_EXECUTIONS.steps(executions)
    yield from _PUT_SETTLED.steps([settled_row(row) for create in creates for row in create.settled])
    yield from side.references(create.task.definition for create in creates)


def _updated(updates: Sequence[Update]) -> Iterator[Step]:
    rows = rows_of(updates, steps=True)
    yield from _checkpointed(rows)
    for update in rows.edits:
        yield from _edited(update)
    for statement, some, guard in (
        (_UPDATE_TASKS, rows.tasks, VERSION),
        (_FIRE_TASKS, rows.fired, VERSION),
        (_COMPLETE_TASKS, rows.completed, VERSION),
        (_DELETE_TASKS, rows.deletes, VERSION),
        *((part, [row[:1] for row in rows.deletes], "") for part in _DELETE_PARTS if rows.deletes),
        (_UPDATE_EXECUTIONS, rows.updates, FENCE),
        (_END_EXECUTIONS, rows.ended, FENCE),
        # The tables that have no guard of their own.
        (_INSERT_EXECUTIONS, rows.inserts, ""),
        (_START_EXECUTIONS, rows.started, ""),
        (_PUT_ATTEMPTS, rows.attempts, ""),
        (_PUT_RESULTS, rows.results, ""),
        (_DROP_CHECKPOINTS, rows.dropped, ""),
        (_PUT_SETTLED, rows.settled, ""),
    ):
        if some:
            yield from statement.steps(some, guard)


def _edited(update: Update) -> Iterator[Step]:
    """Keep the present revision as a row and write the new definition; the state follows with the other tasks'."""
    assert update.definition is not None
    guard = (update.task_id, update.expected)
    values, parcel = definition_row(Task(update.definition, update.state))
    yield Step(_KEEP_REVISION, guard)
    yield Step(_DROP_REVISIONS, (update.task_id, update.state.revision - REVISIONS_KEPT))
    yield Step(_EDIT_TASK, (*values, *guard), 1, VERSION, guard)
    yield Step("DELETE FROM parcels WHERE task_id = ?", guard[:1])
    if parcel is not None:
        yield from _INSERT_PARCELS.steps([parcel])
    yield from side.without_references([update.task_id])
    yield from side.references([update.definition])


def _checkpointed(rows: Rows) -> Iterator[Step]:
    """Keep the last of each running attempt's checkpoints, and count all of them."""
    counts = [(*key, len(texts)) for key, texts in rows.checkpoints.items()]
    yield from _COUNT_CHECKPOINTS.steps(counts, FENCE)
    yield from _PUT_CHECKPOINTS.steps([(key[0], texts[-1]) for key, texts in rows.checkpoints.items()])
