"""What `commit` does to the tables.

The way of a batch: all statements are sent at once, as if no guard failed, and their answers tell whether all guards held; then
COMMIT follows. So a commit takes two exchanges with the server, and no lock is held while this side thinks. Where a guard did not
hold, the transaction is rolled back and done again with care: what the answers name is refused at once, and where only an error
came the batch is cut in halves, each under a savepoint, until the refused task stands alone.

The order of locks: partitions, lease, graph, concurrency keys, tasks by id, executions by id; then what has no rivals.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import attrs

from runtime.errors import LeaseLost, StaleEpoch, StaleVersion

from . import postgres_access as access
from . import postgres_bulk as bulk
from . import postgres_side as side
from .batch import Change, Numbers, accepted_audits, changes_of, counted, log_rows, progress_rows, task_id_of
from .port import Commit, CommitResult, Update
from .postgres_bulk import Cursor
from .postgres_link import Connection
from .postgres_tasks import UNWRITABLE, Refused, Sent, apply, reason
from .postgres_transaction import Stamp, Transactions
from .shared import has_claim, limits_of, needs_graph

CHANNEL: Final = "tocsin_wakes"
"""Of the notifications that carry wake-ups."""

PAYLOAD: Final = 7_000
"""Bytes of one notification; PostgreSQL takes less than 8,000."""

# An execution to which something is added is locked against its deletion.
_PUT_PROGRESS: Final = bulk.Bulk(
    "INSERT INTO progress SELECT v.id, v.progress FROM {values} JOIN executions AS e ON e.id = v.id "
    "AND e.fence = v.fence AND e.state = 'RUNNING' FOR KEY SHARE OF e "
    "ON CONFLICT (execution_id) DO UPDATE SET progress = excluded.progress",
    ("id", "fence", "progress"),
)
_INSERT_LOGS: Final = bulk.Bulk(
    "INSERT INTO logs (execution_id, attempt, at, level, text) SELECT v.* FROM {values} "
    "JOIN executions AS e ON e.id = v.execution_id FOR KEY SHARE OF e",
    ("execution_id", "attempt", "at", "level", "text"),
)
_TALLY: Final = bulk.insert(
    "tallies",
    ("writer", "outcome", "reason", "count"),
    "ON CONFLICT (writer, outcome, reason) DO UPDATE SET count = tallies.count + excluded.count",
)

_FENCES: Final = "SELECT id, epoch FROM partitions WHERE id = ANY(%s) ORDER BY id FOR SHARE"
# A renewal goes through beside it, a burial does not.
_LEASE: Final = "SELECT NOT buried FROM leases WHERE boot = %s FOR KEY SHARE"
_GRAPH: Final = "SELECT changes FROM graph FOR UPDATE"
_LOCK_TASKS: Final = "SELECT id FROM tasks WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE"
_LOCK_KEYS: Final = bulk.Bulk(
    "SELECT pg_advisory_xact_lock(place) FROM (SELECT DISTINCT hashtextextended(d.tenant || chr(31) || v.key, 0) AS place "
    "FROM {values} JOIN definitions AS d ON d.task_id = v.task_id ORDER BY place) AS places",
    ("task_id", "key"),
)


class Writer:
    """The writing half of the store. Used by one thread at a time."""

    def __init__(self, transactions: Transactions, deliveries_kept: int) -> None:
        self._transactions = transactions
        self._deliveries_kept = deliveries_kept

    def commit(self, commit: Commit) -> CommitResult:
        """See the port."""
        changes = changes_of(commit)
        limits = {task_id_of(change): some for change in changes if (some := limits_of(change))}
        plan = _Plan(commit, changes, limits, self._deliveries_kept)
        return self._transactions.run(plan.carry_out, commit)


@attrs.define
class _Plan:
    """One commit, as it is carried out in a transaction. `limits`: of concurrency keys, by task."""

    commit: Commit
    changes: Sequence[Change]
    limits: Mapping[str, Mapping[str, int]]
    deliveries_kept: int

    def carry_out(self, connection: Connection, stamp: Stamp) -> CommitResult:
        """All but COMMIT."""
        try:
            refused = self._at_once(connection, stamp)
        except UNWRITABLE:
            refused = None
        if refused is None:
            connection.execute("ROLLBACK")
            refused = self._with_care(connection, stamp)
        return CommitResult(refused)

    def _at_once(self, connection: Connection, stamp: Stamp) -> Refused | None:
        """As if no guard failed; None if one did."""
        with connection.pipeline():
            sent = self._begin(connection)
            for some in self._groups(self.changes):
                apply(connection, sent, some, self.limits)
            calendars = self._write_notes(connection, {})
            self._finish(connection, stamp, self.changes)
        if sent.refused():
            return None
        return side.refused_calendars(calendars)

    def _with_care(self, connection: Connection, stamp: Stamp) -> Refused:
        with connection.pipeline():
            guards = self._begin(connection)
        refused = guards.refused()
        for some in self._groups([change for change in self.changes if task_id_of(change) not in refused]):
            self._settle(connection, some, refused)
        with connection.pipeline():
            calendars = self._write_notes(connection, refused)
            self._finish(connection, stamp, [change for change in self.changes if task_id_of(change) not in refused])
        return refused | side.refused_calendars(calendars)

    def _groups(self, changes: Sequence[Change]) -> tuple[Sequence[Change], Sequence[Change]]:
        """Claims of limited keys are made last."""
        if not self.limits:
            return changes, ()
        return (
            [change for change in changes if task_id_of(change) not in self.limits],
            [change for change in changes if task_id_of(change) in self.limits],
        )

    def _settle(self, connection: Connection, changes: Sequence[Change], refused: Refused) -> None:
        """Write what can be written of these changes, and name the others."""
        while len(changes) > 1:
            sent = Sent()
            try:
                with connection.pipeline():
                    connection.execute("SAVEPOINT part")
                    apply(connection, sent, changes, self.limits)
                found = sent.refused()
            except UNWRITABLE:
                connection.execute("ROLLBACK TO part")
                middle = len(changes) // 2
                self._settle(connection, changes[:middle], refused)
                changes = changes[middle:]
                continue
            if not found:
                return
            connection.execute("ROLLBACK TO part")
            refused |= found
            changes = [change for change in changes if task_id_of(change) not in found]
        if changes:
            self._settle_one(connection, changes[0], refused)

    def _settle_one(self, connection: Connection, change: Change, refused: Refused) -> None:
        """Step by step, so that the error that is told is that of the first guard that does not hold."""
        connection.execute("SAVEPOINT part")
        try:
            apply(connection, Sent(step_by_step=True), [change], self.limits)
        except UNWRITABLE as error:
            connection.execute("ROLLBACK TO part")
            refused[task_id_of(change)] = reason(error, change)

    # -- guards

    def _begin(self, connection: Connection) -> Sent:
        """Begin, lock what guards the whole, and write progress: the attempt that made it may end in the same commit."""
        commit, sent = self.commit, Sent()
        connection.execute("BEGIN")
        touched = sorted({change.partition for change in self.changes} & commit.epochs.keys())
        if touched:
            epochs = connection.execute(_FENCES, (touched,))
            sent.ask(partial(self._stale_epochs, epochs))
        if commit.boot is not None and (claims := [change for change in self.changes if has_claim(change)]):
            lease = connection.execute(_LEASE, (commit.boot,))
            sent.ask(partial(self._lost, lease, claims))
        if commit.graph is not None and (graphic := [change for change in self.changes if needs_graph(change)]):
            graph = connection.execute(_GRAPH)
            sent.ask(partial(self._grown, graph, graphic))
        if self.limits:
            keys = sorted({(task_id, key) for task_id, limits in self.limits.items() for key in limits})
            _LOCK_KEYS.run(connection, keys)
        if any(isinstance(change, Update) and change.checkpoints for change in self.changes):
            # Checkpoints are stored first and lock executions: here the tasks must be locked before them.
            connection.execute(_LOCK_TASKS, (sorted(map(task_id_of, self.changes)),))
        if commit.progress:
            _PUT_PROGRESS.run(connection, bulk.last_of(progress_rows(commit.progress), 2))
        return sent

    def _stale_epochs(self, cursor: Cursor) -> Refused:
        epochs, expected = dict(cursor.fetchall()), self.commit.epochs
        return {
            task_id_of(change): StaleEpoch(
                f"partition {number} is at epoch {epochs.get(number, 0)}, not {expected[number]}"
            )
            for change in self.changes
            if (number := change.partition) in expected and epochs.get(number, 0) != expected[number]
        }

    def _lost(self, cursor: Cursor, claims: Iterable[Change]) -> Refused:
        if cursor.fetchone() == (True,):
            return {}
        error = f"boot {self.commit.boot} has no lease and may not claim"
        return {task_id_of(change): LeaseLost(error) for change in claims}

    def _grown(self, cursor: Cursor, graphic: Iterable[Change]) -> Refused:
        if cursor.fetchone() == (self.commit.graph,):
            return {}
        return {
            task_id_of(change): StaleVersion("dependencies have changed since this was decided") for change in graphic
        }

    # -- what belongs to no task's guard

    def _write_notes(self, connection: Connection, refused: Refused) -> list[tuple[Any, Cursor]]:
        commit = self.commit
        calendars = side.put_calendars(connection, commit.calendars) if commit.calendars else []
        if logs := log_rows(commit.logs):
            _INSERT_LOGS.run(connection, logs)
        if commit.outbox:
            side.put_outbox(connection, (entry for entry in commit.outbox if entry.task_id not in refused))
        if commit.event_states:
            side.put_event_states(connection, (one for one in commit.event_states if one.task_id not in refused))
        if commit.deliveries:
            writes = (write for write in commit.deliveries if write.task_id not in refused)
            side.put_deliveries(connection, writes, self.deliveries_kept)
        if commit.pause is not None:
            side.put_pause(connection, commit.pause)
        if audits := accepted_audits(commit.audits, refused):
            access.append(connection, audits)
        for payload in payloads(commit.wakes):
            connection.execute("SELECT pg_notify(%s, %s)", (CHANNEL, payload))
        return calendars

    def _finish(self, connection: Connection, stamp: Stamp, changes: Sequence[Change]) -> None:
        """The counts, and the stamp."""
        tasks, numbers = counted(changes)
        if self.commit.counts:
            numbers.update(side.fill_counts(connection, self.commit.counts))
        stamp.put(connection, side.sums_of(tasks, numbers))
        tally(connection, stamp.writer, numbers)


def tally(connection: Connection, writer: str, numbers: Numbers) -> None:
    """Add to the numbers of outcomes that have a reason."""
    rows = [(writer, outcome, reason, number) for (outcome, reason), number in numbers.items() if reason and number]
    if rows:
        _TALLY.run(connection, sorted(rows))


def payloads(ids: Iterable[str]) -> list[str]:
    """The ids as JSON arrays, none too long for a notification; one that is too long alone is left out."""
    texts: list[str] = []
    some: list[str] = []
    size = 2
    for text in map(json.dumps, dict.fromkeys(ids)):
        if len(text) + 3 > PAYLOAD:
            continue
        if size + len(text) + 1 > PAYLOAD:
            texts.append(f"[{','.join(some)}]")
            some, size = [], 2
        some.append(text)
        size += len(text) + 1
    return [*texts, f"[{','.join(some)}]"] if some else texts
