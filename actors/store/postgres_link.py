"""A connection to PostgreSQL that never waits without a deadline, and what the driver's errors mean.

A server that is frozen neither answers nor closes: the driver's own timeouts end the making of a connection, the server's own
end statements, locks and forgotten transactions, and `Connection.wait` ends all that is left. Whoever waited in vain closes the
connection, for what comes over it afterwards belongs to another question.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import attrs
import psycopg
from psycopg.abc import PQGen

from runtime.errors import StoreDamaged, StoreUnavailable, TocsinError

T = TypeVar("T")

SCHEMA: Final = "tocsin"
"""Everything lies in a schema of its own, so that the database may hold other things too."""

_INTERVAL: Final = 0.1
"""Seconds after which the driver looks for signals while it waits."""

_TEMPORARY: Final = ("25", "28", "42501", "53", "57", "58")
"""Beginnings of codes for what time or an administrator mends: a transaction cut off, who may do what, disk full, shut down."""

# It reports what becomes of the rest of a pipeline after an error, which has been raised already.
logging.getLogger("psycopg").setLevel(logging.ERROR)


@attrs.frozen
class PostgresLimits:
    """How long anything may take, in seconds.

    `wait`: a statement, kept by the server. `lock`: the wait for a lock, and a pause inside a transaction: so short that the
    writing of leases behind a commit that waits comes in time, and that a node which stops inside a transaction has lost it
    long before another one takes over. `answer`: a whole transaction, kept by this side; then the server is taken for gone.
    `read`: one question. `connect`: the making of a connection. `doubt`: how long it is tried to learn whether a COMMIT without
    an answer was carried out.
    """

    wait: float = 2.0
    lock: float = 0.8
    answer: float = 3.0
    read: float = 10.0
    connect: float = 2.0
    doubt: float = 5.0


def translated(error: psycopg.Error) -> TocsinError:
    """Our error for the driver's: the database is not ours or damaged, or it cannot be used at the moment."""
    code = error.sqlstate or ""
    temporary = isinstance(error, psycopg.OperationalError) or code.startswith(_TEMPORARY)
    if temporary or isinstance(error, psycopg.InterfaceError):
        return StoreUnavailable(f"the store cannot be used now: {error} ({code or 'no code'})")
    return StoreDamaged(f"the store's database is damaged or not ours: {error} ({code or 'no code'})")


@contextmanager
def door() -> Iterator[None]:
    """No error of the driver passes."""
    try:
        yield
    except psycopg.Error as error:
        raise translated(error) from error


class Connection(psycopg.Connection[tuple[Any, ...]]):
    """A connection on which every wait ends after `seconds`."""

    seconds: float = 3.0

    def wait(self, gen: PQGen[T], interval: float = _INTERVAL, timeout: float | None = None) -> T:
        """As the driver's; who gives no timeout gets ours, after which the connection is closed."""
        if timeout is not None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, self.seconds)
        except psycopg.OperationalError as error:
            # Without a code it is not the server that speaks: it was silent, or is gone. What was asked after an error in a
            # pipeline was not carried out, which is neither.
            if error.sqlstate is None and not isinstance(error, psycopg.errors.PipelineAborted):
                self.pgconn.finish()
            raise


_SETTINGS: Final = (
    "SELECT set_config('search_path', %s, false), set_config('statement_timeout', %s, false), "
    "set_config('lock_timeout', %s, false), set_config('idle_in_transaction_session_timeout', %s, false), "
    "set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on' "
    "ELSE current_setting('synchronous_commit') END, false), set_config('default_transaction_isolation', "
    "'read committed', false), set_config('jit', 'off', false), set_config('plan_cache_mode', %s, false), "
    "set_config('enable_hashjoin', %s, false), set_config('enable_mergejoin', %s, false), "
    "set_config('enable_seqscan', %s, false)"
)


def connect(dsn: str, limits: PostgresLimits, name: str, *, writes: bool) -> Connection:
    """A connection in autocommit mode, with our settings. `name`: its application name.

    One that writes makes each statement's plan once, and only plans that go through the batch row by row over an index: what is
    right for a batch into a large table, where the planner, which sees an empty table or no statistics, would read it all.
    """
    seconds = limits.wait if writes else limits.read
    connection = Connection.connect(
        dsn,
        autocommit=True,
        prepare_threshold=0,
        client_encoding="utf8",
        application_name=name,
        connect_timeout=max(1, round(limits.connect)),
        keepalives=1,
        keepalives_idle=5,
        keepalives_interval=2,
        keepalives_count=3,
        tcp_user_timeout=round(limits.read * 1000),
    )
    try:
        connection.seconds = limits.answer if writes else limits.read + 1.0
        timeout, planner = f"{round(seconds * 1000)}ms", "off" if writes else "on"
        lock = f"{round(limits.lock * 1000)}ms" if writes else timeout
        plans = "force_generic_plan" if writes else "auto"
        connection.execute(_SETTINGS, (SCHEMA, timeout, lock, lock, plans, planner, planner, planner))
    except BaseException:
        connection.close()
        raise
    return connection
