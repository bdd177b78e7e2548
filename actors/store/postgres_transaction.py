"""Transactions on the one connection that writes: begun anew where that is safe, and what a COMMIT without an answer did.

Every transaction leaves its token in the writer's own row of `totals`. When the connection breaks after COMMIT was sent, that row
is read again, locked: the server's old process holds the lock until it has carried the transaction out or rolled it back, so the
answer is final. Only where even that cannot be learned in time does the caller hear `StoreUnavailable` with the outcome open; the
question is then settled before anything else is written, and the same request, made again, gets the answer of the first.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

import attrs
import psycopg

from runtime.errors import InternalError, StoreUnavailable

from .postgres_link import Connection, PostgresLimits, connect

T = TypeVar("T")

TRIES: Final = 5
"""How often a transaction is begun that the server rolled back for the sake of others, or that lost its connection."""

PAUSE: Final = 0.05
"""Seconds between two tries to reach a server that was lost."""

FOLDED_AFTER: Final = 24 * 3600
"""Seconds after which the counters of a writer that is gone are added to the common ones: longer than anybody stays in doubt."""

_AGAIN: Final = (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected)

_END_OTHERS: Final = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE application_name = %s AND pid <> pg_backend_pid() AND usename = current_user"
)
_FOLD: Final = (
    "WITH gone AS (DELETE FROM totals WHERE writer <> '' AND seen < extract(epoch FROM clock_timestamp()) - %s RETURNING *) "
    "INSERT INTO totals SELECT '', 0, 0, sum(tasks), sum(fired), sum(late), sum(coalesced), sum(missed), sum(skipped) "
    "FROM gone HAVING count(*) > 0 ON CONFLICT (writer) DO UPDATE SET tasks = totals.tasks + excluded.tasks, "
    "fired = totals.fired + excluded.fired, late = totals.late + excluded.late, "
    "coalesced = totals.coalesced + excluded.coalesced, missed = totals.missed + excluded.missed, "
    "skipped = totals.skipped + excluded.skipped",
    "WITH gone AS (DELETE FROM tallies AS t WHERE writer <> '' "
    "AND NOT EXISTS (SELECT 1 FROM totals WHERE totals.writer = t.writer) RETURNING *) "
    "INSERT INTO tallies SELECT '', outcome, reason, sum(count) FROM gone GROUP BY outcome, reason "
    "ON CONFLICT (writer, outcome, reason) DO UPDATE SET count = tallies.count + excluded.count",
)
_STAMP: Final = (
    "INSERT INTO totals AS t VALUES (%s, %s, extract(epoch FROM clock_timestamp()), %s, %s, %s, %s, %s, %s) "
    "ON CONFLICT (writer) DO UPDATE SET token = excluded.token, seen = excluded.seen, tasks = t.tasks + excluded.tasks, "
    "fired = t.fired + excluded.fired, late = t.late + excluded.late, coalesced = t.coalesced + excluded.coalesced, "
    "missed = t.missed + excluded.missed, skipped = t.skipped + excluded.skipped"
)
_NOTHING: Final = (0, 0, 0, 0, 0, 0)


@attrs.frozen
class Stamp:
    """Marks a transaction as this one, and adds to the writer's counters."""

    writer: str
    token: int

    def put(self, connection: Connection, sums: tuple[int, ...] = _NOTHING) -> None:
        """Once in every transaction. `sums`: tasks, then each outcome in the order of `OUTCOMES`."""
        connection.execute(_STAMP, (self.writer, self.token, *sums))


Work = Callable[[Connection, Stamp], T]
"""All of a transaction from BEGIN up to COMMIT, the stamp included."""


@attrs.frozen
class _Doubt(Generic[T]):
    """A transaction of which it is not known whether it was carried out: its token, who asked for what, and the answer."""

    token: int
    request: object
    answer: T


class Transactions:
    """The writing connection. For one thread at a time."""

    def __init__(self, dsn: str, limits: PostgresLimits) -> None:
        self._dsn = dsn
        self._limits = limits
        self._connection: Connection | None = None
        self._writer = ""
        self._token = 0
        self._doubt: _Doubt[Any] | None = None

    @property
    def process(self) -> int:
        """The number of the server's process that writes for this store; 0: there is none."""
        return 0 if self._connection is None else self._connection.info.backend_pid

    def open(self) -> Connection:
        """Connect and take a name, if that is not done. Raises psycopg.Error."""
        if self._connection is not None:
            return self._connected()
        connection = connect(self._dsn, self._limits, "tocsin", writes=True)
        row = connection.execute("SELECT gen_random_uuid()::text").fetchone()
        assert row is not None
        self._writer = row[0]
        connection.execute("SELECT set_config('application_name', %s, false)", (self._name,))
        self._connection = connection
        return connection

    def fold(self) -> None:
        """Add up the counters of writers that are gone."""

        def work(connection: Connection, stamp: Stamp) -> None:
            connection.execute("BEGIN")
            connection.execute(_FOLD[0], (FOLDED_AFTER,))
            stamp.put(connection)
            connection.execute(_FOLD[1])

        self.run(work)

    def close(self) -> None:
        """Idempotent."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def settle(self) -> None:
        """Learn what became of a COMMIT without an answer; after this none can come to its end unseen.

        Raises StoreUnavailable and psycopg.Error.
        """
        self._settled(None)

    def run(self, work: Work[T], request: object = None) -> T:
        """Do it in one transaction and answer what it answers, durable. `request`: what it was made of, to know it again.

        Raises StoreUnavailable and psycopg.Error; nothing is written then, but for what the module's docstring says.
        """
        until = time.monotonic() + self._limits.answer
        settled = self._settled(request)
        if settled is not None:
            return settled[0]  # type: ignore[no-any-return]
        for _ in range(TRIES):
            done = self._try(work, request)
            if done is not None:
                return done[0]
            if time.monotonic() >= until:
                raise StoreUnavailable("the database did not carry the transaction out in time")
        raise StoreUnavailable(f"the database gave the transaction up {TRIES} times for the sake of others")

    def _try(self, work: Work[T], request: object) -> tuple[T] | None:
        """Its answer in a tuple, or None where it may be begun anew."""
        connection = self._connected()
        self._token += 1
        try:
            answer = work(connection, Stamp(self._writer, self._token))
        except _AGAIN:
            self._undo(connection)
            return None
        except psycopg.Error:
            if self._undo(connection):
                raise
            # Nothing can have been committed: COMMIT was not sent.
            return None
        except BaseException:
            self._undo(connection)
            raise
        return (answer,) if self._committed(connection, request, answer) else None

    def _committed(self, connection: Connection, request: object, answer: object) -> bool:
        try:
            done = connection.execute("COMMIT", prepare=False)
        except psycopg.Error as error:
            if not connection.closed and not connection.broken:
                # The server said no, and rolled it back.
                if isinstance(error, _AGAIN):
                    return False
                raise
            self._drop(connection)
            self._doubt = _Doubt(self._token, request, answer)
            return self._settled(request) is not None
        if done.statusmessage != "COMMIT":
            raise InternalError("a transaction that had failed was to be committed")
        return True

    # -- connections

    @property
    def _name(self) -> str:
        return f"tocsin {self._writer}"

    def _connected(self) -> Connection:
        if self._connection is None or self._connection.closed:
            if not self._writer:
                raise StoreUnavailable("the store is not open")
            self._connection = connect(self._dsn, self._limits, self._name, writes=True)
        return self._connection

    def _undo(self, connection: Connection) -> bool:
        """Roll back; False: the connection is gone, and the transaction with it."""
        try:
            if not connection.closed and not connection.broken:
                connection.execute("ROLLBACK")
                return True
        except psycopg.Error:
            pass
        self._drop(connection)
        return False

    def _drop(self, connection: Connection) -> None:
        connection.close()
        self._connection = None

    # -- doubt

    def _settled(self, request: object) -> tuple[Any] | None:
        """Settle what became of a COMMIT without an answer, if there is one.

        The answer in a tuple if it was carried out and was this request; else None. Raises StoreUnavailable.
        """
        doubt = self._doubt
        if doubt is None:
            return None
        until = time.monotonic() + self._limits.doubt
        while self._doubt is not None:
            try:
                applied = self._was_applied(doubt.token)
            except psycopg.Error as error:
                if time.monotonic() >= until:
                    raise StoreUnavailable(f"whether a commit was carried out is not known yet: {error}") from error
                time.sleep(PAUSE)
            else:
                self._doubt = None
                return (doubt.answer,) if applied and doubt.request is request else None
        return None

    def _was_applied(self, token: int) -> bool:
        connection = self._connected()
        try:
            connection.execute(_END_OTHERS, (self._name,))
            row = connection.execute(
                "SELECT token FROM totals WHERE writer = %s FOR UPDATE", (self._writer,)
            ).fetchone()
        except psycopg.Error:
            self._drop(connection)
            raise
        return row is not None and row[0] == token
