"""What `commit` does to the tables.

The way of a batch: everything is written as if no guard failed, with few statements over many rows, and the counts of
changed rows tell whether all guards held. Where one did not, the transaction is rolled back and the batch is cut in halves,
each under a savepoint, until the refused tasks stand alone: k refused among n cost about k * log2(n) further statements,
and only then.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from operator import attrgetter
from types import MappingProxyType
from typing import Final

from runtime.clock import Instant
from runtime.errors import Conflict, InvalidRequest, StaleEpoch, StaleFence, StaleVersion, TocsinError

from ..model.retention import REVISIONS_KEPT
from ..model.task import Task
from . import sqlite_access as access
from . import sqlite_bulk as bulk
from . import sqlite_shared as shared
from . import sqlite_side as side
from .batch import (
    OUTCOMES,
    Change,
    Numbers,
    Rows,
    accepted_audits,
    changes_of,
    counted,
    log_rows,
    progress_rows,
    rows_of,
    task_id_of,
)
from .port import (
    Commit,
    CommitResult,
    CountWrite,
    Create,
    Update,
)
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
    Row,
    create_row,
    definition_row,
    execution_row,
    settled_row,
)
from .shared import is_guarded, limits_of
from .sqlite_activity import note_handovers
from .sqlite_purge import PARTS_OF_EXECUTION, PARTS_OF_TASK

_INSERT_TASKS: Final = bulk.insert("tasks", TASK_COLUMNS)
_UPDATE_TASKS: Final = bulk.update("tasks", ("id", "version"), ("due", *STATE_COLUMNS))
_INSERT_PARCELS: Final = bulk.insert("parcels", ("task_id", "definition", "content_type", "extra"))
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
_FILL_COUNT: Final = (
    "UPDATE settled SET count = ? WHERE task_id = ? AND first = ? AND count IS NULL RETURNING outcome, reason"
)


_NONE: Final[Mapping[str, int]] = MappingProxyType({})

_deletes: Final = attrgetter("delete")
"""What a deletion sets free is free for the changes after it, and only for them."""


class _Refusal(Exception):
    """A guard did not hold for at least one of the tasks written together; `error` is right if there is only one."""

    def __init__(self, error: TocsinError) -> None:
        super().__init__(error)
        self.error = error


class _Moved(Exception):
    """Somebody took a partition since the epochs were read."""


class Writer:
    """The writing half of the store, over the one connection that writes. Used by one thread at a time."""

    def __init__(self, connection: sqlite3.Connection, deliveries_kept: int) -> None:
        self._deliveries_kept = deliveries_kept
        self._connection = connection
        self._epochs: dict[int, int] = {}
        self._takeovers = -1

    def commit(self, commit: Commit) -> CommitResult:
        """See the port."""
        while True:
            changes, refused = self._admitted(commit)
            try:
                with self.transaction():
                    write = self._write_guarded if is_guarded(commit) else self._write
                    write(commit, changes, refused)
                    self._write_notes(commit, refused)
                return CommitResult(refused)
            except _Moved:
                self._read_epochs()

    def raise_epochs(
        self, grants: Mapping[int, int], boot: str, clock: Callable[[sqlite3.Connection], Instant]
    ) -> Mapping[int, int]:
        """See the port. clock: the store's."""
        raised: dict[int, int] = {}
        with self.transaction():
            former = dict(self._connection.execute("SELECT id, boot FROM partitions"))
            for partition, grant in grants.items():
                row = self._connection.execute(
                    "INSERT INTO partitions VALUES (?, 1, ?, ?) ON CONFLICT DO UPDATE SET epoch = epoch + 1, "
                    "granted = excluded.granted, boot = excluded.boot WHERE excluded.granted > granted RETURNING epoch",
                    (partition, grant, boot),
                ).fetchall()
                if row:
                    raised[partition] = row[0][0]
            self._connection.execute("UPDATE totals SET takeovers = takeovers + 1")
            note_handovers(self._connection, raised, former, boot, clock(self._connection))
        self._takeovers = -1
        return raised

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield self._connection
            self._connection.execute("COMMIT")
        except BaseException:
            # A full disk may have ended the transaction already.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def raise_floor(self, above: Mapping[int, int]) -> None:
        """See the port."""
        with self.transaction():
            shared.raise_floor(self._connection, above)
        self._takeovers = -1

    # -- guards

    def _read_epochs(self) -> None:
        # In this order: a takeover between the two reads leaves the older count, which the next commit notices.
        (takeovers,) = self._connection.execute("SELECT takeovers FROM totals").fetchone()
        self._epochs = dict(self._connection.execute("SELECT id, epoch FROM partitions"))
        self._takeovers = takeovers

    def _admitted(self, commit: Commit) -> tuple[list[Change], dict[str, TocsinError]]:
        """The changes whose partition's epoch holds, and the tasks whose epoch does not."""
        if self._takeovers < 0:
            self._read_epochs()
        changes = changes_of(commit)
        if commit.epochs == self._epochs:
            return changes, {}
        stale = {number for number, epoch in commit.epochs.items() if self._epochs.get(number, 0) != epoch}
        refused: dict[str, TocsinError] = {}
        for change in changes:
            if (number := change.partition) in stale:
                refused[task_id_of(change)] = StaleEpoch(
                    f"partition {number} is at epoch {self._epochs.get(number, 0)}, not {commit.epochs[number]}"
                )
        return [change for change in changes if change.partition not in stale], refused

    def _write(self, commit: Commit, changes: list[Change], refused: dict[str, TocsinError]) -> None:
        """Progress goes first: the attempt that made it may end in the same commit."""
        self._write_progress(commit)
        try:
            if changes:
                self._apply(changes)
        except _Refusal as refusal:
            self._connection.execute("ROLLBACK")
            self._connection.execute("BEGIN IMMEDIATE")
            self._write_progress(commit)
            self._divide(changes, refusal.error, refused)

    def _write_guarded(self, commit: Commit, changes: list[Change], refused: dict[str, TocsinError]) -> None:
        """As `_write`, for several nodes: in one transaction, so that the guards that were asked first hold to its end."""
        refused |= shared.refusals(self._connection, commit, changes)
        self._write_progress(commit)
        allowed = [change for change in changes if task_id_of(change) not in refused]
        limits = {task_id_of(change): some for change in allowed if (some := limits_of(change))}
        self._try([change for change in allowed if task_id_of(change) not in limits], refused)
        for change in allowed:
            if (task_id := task_id_of(change)) in limits:
                self._try([change], refused, limits[task_id])

    def _try(self, changes: list[Change], refused: dict[str, TocsinError], limits: Mapping[str, int] = _NONE) -> None:
        """Write what is not refused, in the transaction that there is. `limits` of concurrency keys: of an only change."""
        self._connection.execute("SAVEPOINT batch")
        try:
            self._apply(changes)
            if limits:
                self._keep_to(limits, changes[0])
        except _Refusal as refusal:
            self._connection.execute("ROLLBACK TO batch")
            self._divide(changes, refusal.error, refused)
        self._connection.execute("RELEASE batch")

    def _keep_to(self, limits: Mapping[str, int], change: Change) -> None:
        error = shared.reached(self._connection, task_id_of(change), limits)
        if error is not None:
            raise _Refusal(error)

    def _write_progress(self, commit: Commit) -> None:
        if commit.progress:
            _PUT_PROGRESS.run(self._connection, progress_rows(commit.progress))

    def _divide(self, changes: list[Change], error: TocsinError, refused: dict[str, TocsinError]) -> None:
        """Write what can be written of changes that together were refused."""
        if len(changes) == 1:
            refused[task_id_of(changes[0])] = error
            return
        middle = len(changes) // 2
        for half in (changes[:middle], changes[middle:]):
            self._connection.execute("SAVEPOINT half")
            try:
                self._apply(half)
                self._connection.execute("RELEASE half")
            except _Refusal as refusal:
                self._connection.execute("ROLLBACK TO half")
                self._connection.execute("RELEASE half")
                self._divide(half, refusal.error, refused)

    # -- tasks

    def _apply(self, changes: Sequence[Change]) -> None:
        """Write all of it or raise _Refusal; the caller undoes what was written by then."""
        try:
            self._count(changes)
            creates = [change for change in changes if isinstance(change, Create)]
            if creates:
                self._create(creates)
            for _, updates in groupby((change for change in changes if isinstance(change, Update)), _deletes):
                self._update(list(updates))
        except sqlite3.IntegrityError as error:
            raise _Refusal(_conflict(error, changes[0])) from error
        except (UnicodeEncodeError, OverflowError, sqlite3.DataError) as error:
            raise _Refusal(InvalidRequest(f"task {task_id_of(changes[0])} cannot be stored: {error}")) from error

    def _count(self, changes: Sequence[Change]) -> None:
        self._grow(*counted(changes))

    def _grow(self, tasks: int, numbers: Numbers) -> None:
        """Add to the totals, under the condition that nobody took a partition meanwhile."""
        sums = dict.fromkeys(OUTCOMES, 0)
        for (outcome, _), number in numbers.items():
            sums[outcome] += number
        if self._connection.execute(_COUNT, (tasks, *sums.values(), self._takeovers)).rowcount != 1:
            raise _Moved
        reasons = [(outcome, reason, number) for (outcome, reason), number in numbers.items() if reason and number]
        if reasons:
            _TALLY.run(self._connection, reasons)

    def _create(self, creates: Sequence[Create]) -> None:
        rows, parcels = zip(*map(create_row, creates), strict=True)
        _INSERT_TASKS.run(self._connection, rows)
        found = [parcel for parcel in parcels if parcel is not None]
        if found:
            _INSERT_PARCELS.run(self._connection, found)
        executions = [execution_row(execution) for create in creates for execution in create.task.open]
        if executions:
            _INSERT_EXECUTIONS.run(self._connection, executions)
        settled = [settled_row(row) for create in creates for row in create.settled]
        if settled:
            _PUT_SETTLED.run(self._connection, settled)
        side.put_references(self._connection, (create.task.definition for create in creates))

    def _update(self, updates: Sequence[Update]) -> None:
        rows = rows_of(updates, steps=True)
        if rows.checkpoints:
            self._checkpoint(rows.checkpoints)
        for update in rows.edits:
            self._edit(update)
        for statement, some in (
            (_UPDATE_TASKS, rows.tasks),
            (_FIRE_TASKS, rows.fired),
            (_COMPLETE_TASKS, rows.completed),
        ):
            if some:
                self._expect(statement.run(self._connection, some), some)
        if rows.deletes:
            self._expect(_DELETE_TASKS.run(self._connection, rows.deletes), rows.deletes)
            for part in _DELETE_PARTS:
                part.run(self._connection, [row[:1] for row in rows.deletes])
        for statement, some in ((_UPDATE_EXECUTIONS, rows.updates), (_END_EXECUTIONS, rows.ended)):
            if some and statement.run(self._connection, some) != len(some):
                raise _Refusal(_stale_fence(some[0]))
        self._put(rows)

    def _put(self, rows: Rows) -> None:
        """The tables that have no guard of their own."""
        for statement, some in (
            (_INSERT_EXECUTIONS, rows.inserts),
            (_START_EXECUTIONS, rows.started),
            (_PUT_ATTEMPTS, rows.attempts),
            (_PUT_RESULTS, rows.results),
            (_DROP_CHECKPOINTS, rows.dropped),
            (_PUT_SETTLED, rows.settled),
        ):
            if some:
                statement.run(self._connection, some)

    def _expect(self, changed: int, rows: Sequence[Row]) -> None:
        """All rows, each beginning with id and expected version, must have been changed."""
        if changed == len(rows):
            return
        task_id, expected = rows[0][:2]
        row = self._connection.execute("SELECT version FROM tasks WHERE id = ?", (task_id,)).fetchone()
        if row is None:
            raise _Refusal(StaleVersion(f"task {task_id} is gone; version {expected} was expected"))
        raise _Refusal(StaleVersion(f"task {task_id} has version {row[0]}; version {expected} was expected"))

    def _edit(self, update: Update) -> None:
        """Keep the present revision as a row and write the new definition; the state follows with the other tasks'."""
        assert update.definition is not None
        guard = (update.task_id, update.expected)
        values, parcel = definition_row(Task(update.definition, update.state))
        self._connection.execute(_KEEP_REVISION, guard)
        self._connection.execute(_DROP_REVISIONS, (update.task_id, update.state.revision - REVISIONS_KEPT))
        changed = self._connection.execute(_EDIT_TASK, (*values, *guard)).rowcount
        self._expect(changed, [guard])
        self._connection.execute("DELETE FROM parcels WHERE task_id = ?", guard[:1])
        if parcel is not None:
            _INSERT_PARCELS.run(self._connection, [parcel])
        side.drop_references(self._connection, [update.task_id])
        side.put_references(self._connection, [update.definition])

    def _checkpoint(self, checkpoints: Mapping[tuple[str, int], Sequence[str]]) -> None:
        """Keep the last of each running attempt's checkpoints, and count all of them."""
        rows = [(*key, len(texts)) for key, texts in checkpoints.items()]
        if _COUNT_CHECKPOINTS.run(self._connection, rows) != len(rows):
            raise _Refusal(_stale_fence(rows[0]))
        _PUT_CHECKPOINTS.run(self._connection, [(key[0], texts[-1]) for key, texts in checkpoints.items()])

    # -- what belongs to no task's guard

    def _write_notes(self, commit: Commit, refused: dict[str, TocsinError]) -> None:
        if commit.calendars:
            refused |= side.put_calendars(self._connection, commit.calendars)
        if commit.logs:
            _INSERT_LOGS.run(self._connection, log_rows(commit.logs))
        if commit.outbox:
            side.put_outbox(self._connection, (entry for entry in commit.outbox if entry.task_id not in refused))
        if commit.event_states:
            side.put_event_states(self._connection, (s for s in commit.event_states if s.task_id not in refused))
        if commit.deliveries:
            writes = (write for write in commit.deliveries if write.task_id not in refused)
            side.put_deliveries(self._connection, writes, self._deliveries_kept)
        if commit.counts:
            self._fill_counts(commit.counts)
        if commit.pause is not None:
            side.put_pause(self._connection, commit.pause)
        audits = accepted_audits(commit.audits, refused) if commit.audits else ()
        if audits:
            access.append(self._connection, audits)

    def _fill_counts(self, writes: Iterable[CountWrite]) -> None:
        filled_in: Numbers = Counter()
        for write in writes:
            filled = self._connection.execute(_FILL_COUNT, (write.count, write.task_id, write.first)).fetchone()
            if filled is not None:
                filled_in[tuple(filled)] += write.count
        self._grow(0, filled_in)


def _conflict(error: sqlite3.IntegrityError, change: Change) -> Conflict:
    if "executions.id" in str(error):
        return Conflict(f"another execution has the id of one of task {task_id_of(change)} already")
    if "tasks.name" not in str(error):
        return Conflict(f"task {task_id_of(change)} breaks a rule of the store: {error}")
    definition = change.task.definition if isinstance(change, Create) else change.definition
    return Conflict(f"there is another task with the name {definition.name!r}" if definition else str(error))


def _stale_fence(row: Row) -> StaleFence:
    return StaleFence(f"execution {row[0]} has ended or has a newer attempt than fence {row[1]}")
