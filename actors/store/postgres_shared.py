"""What the tables hold for several nodes: leases, epochs, marks of changes; and the connection that hears wake-ups."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Final

import psycopg

from runtime.clock import Instant
from runtime.errors import Conflict, LeaseLost

from . import postgres_bulk as bulk
from .postgres_activity import note_handovers
from .postgres_link import Connection, PostgresLimits, connect
from .postgres_read import HOLDS, OPEN
from .postgres_side import scheduler_pause
from .postgres_write import CHANNEL
from .shared import LEASES_KEPT, Shared, until

PROBE_AFTER: Final = 5.0
"""Seconds of silence after which the listening connection is asked whether it still lives."""

# A takeover waits here for the commits that hold the partition's row, and the next ones see the new epoch.
_RAISE: Final = bulk.Bulk(
    "INSERT INTO partitions AS p SELECT v.partition, 1, v.attempt, v.boot FROM {values} "
    "ON CONFLICT (id) DO UPDATE SET epoch = p.epoch + 1, granted = excluded.granted, boot = excluded.boot "
    "WHERE excluded.granted > p.granted RETURNING p.id, p.epoch",
    ("partition", "attempt", "boot"),
)
_FLOOR: Final = bulk.Bulk(
    "INSERT INTO partitions AS p SELECT v.partition, v.attempt, 0, '' FROM {values} "
    "ON CONFLICT (id) DO UPDATE SET epoch = greatest(p.epoch, excluded.epoch)",
    ("partition", "attempt"),
)
# A client that was stopped while it was sending: no timeout of the server ends what it has begun. The server takes the pause
# between two messages for work of the client, and a flush request behind a whole message stops the clock that measures idleness.
# Only who has a transaction number holds what others may wait for.
_END_SILENT: Final = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
    "AND usename = current_user AND application_name LIKE 'tocsin %%' AND pid <> pg_backend_pid() "
    "AND backend_xid IS NOT NULL AND wait_event_type = 'Client' AND state <> 'idle' "
    "AND greatest(query_start, state_change) < clock_timestamp() - make_interval(secs => %s)"
)
_ENROL: Final = (
    "INSERT INTO leases AS l VALUES (%s, %s, %s, false) ON CONFLICT (boot) DO UPDATE SET until = excluded.until "
    "WHERE NOT l.buried"
)


# -- epochs


def raise_epochs(
    connection: Connection, grants: Mapping[int, int], boot: str, now: Instant | None = None
) -> Mapping[int, int]:
    """See the port. now: by the store's clock; None: the server's."""
    rows = [(partition, grant, boot) for partition, grant in sorted(grants.items())]
    if not rows:
        return {}
    # Locked in the order of the raising, so that nobody else takes one of them in between.
    former = connection.execute(
        "SELECT id, boot FROM partitions WHERE id = ANY(%s) ORDER BY id FOR UPDATE", (sorted(grants),)
    ).fetchall()
    raised: dict[int, int] = dict(_RAISE.run(connection, rows).fetchall())
    note_handovers(connection, raised, dict(former), boot, clock(connection) if now is None else now)
    return raised


def raise_floor(connection: Connection, above: Mapping[int, int]) -> None:
    """See the port. A partition that nobody has taken yet gets the floor with grant 0, which every grant is higher than."""
    if above:
        _FLOOR.run(connection, [(partition, epoch + 1) for partition, epoch in sorted(above.items())])


def epochs(connection: Connection) -> Mapping[int, int]:
    """See the port."""
    return dict(connection.execute("SELECT id, epoch FROM partitions").fetchall())


# -- leases


def clock(connection: Connection) -> Instant:
    """The time of day at the server."""
    row = connection.execute("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint").fetchone()
    assert row is not None
    return Instant(row[0])


def enrol(connection: Connection, boot: str, node: str, now: Instant, seconds: float) -> None:
    """See the port."""
    # Of two that come with one name at the same time, the second must see the first.
    connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 1))", (node,))
    taken = connection.execute(
        "SELECT boot FROM leases WHERE node = %s AND boot <> %s AND NOT buried AND until > %s", (node, boot, now)
    ).fetchone()
    if taken is not None:
        raise Conflict(f"the node name {node!r} is in use: its boot {taken[0]} has a lease")
    connection.execute("DELETE FROM leases WHERE buried AND until <= %s", (now - LEASES_KEPT,))
    if connection.execute(_ENROL, (boot, node, until(now, seconds))).rowcount != 1:
        raise LeaseLost(f"the lease of boot {boot} has ended for ever")


def renew(connection: Connection, boot: str, now: Instant, seconds: float) -> bool:
    """See the port."""
    renewed = "UPDATE leases SET until = %s WHERE boot = %s AND NOT buried"
    return connection.execute(renewed, (until(now, seconds), boot)).rowcount == 1


def leave(connection: Connection, boot: str) -> None:
    """See the port."""
    connection.execute("SELECT boot FROM leases WHERE boot = %s FOR UPDATE", (boot,))
    connection.execute("UPDATE leases SET buried = true WHERE boot = %s", (boot,))


def bury(connection: Connection, members: Sequence[str], now: Instant) -> tuple[str, ...]:
    """See the port."""
    # Locked first and in order, so that a lease which is being renewed or used is looked at as it is afterwards.
    connection.execute("SELECT boot FROM leases WHERE NOT buried AND until <= %s ORDER BY boot FOR UPDATE", (now,))
    connection.execute(
        "UPDATE leases SET buried = true WHERE NOT buried AND until <= %s AND boot <> ALL(%s)", (now, list(members))
    )
    rows = dict(connection.execute("SELECT boot, NOT buried FROM leases").fetchall())
    return tuple(sorted(boot for boot in {*members, *rows} if rows.get(boot, True)))


def end_silent(connection: Connection, seconds: float) -> None:
    """Roll back the transactions of nodes that have stopped in the middle of one: it may hold what the others wait for."""
    connection.execute(_END_SILENT, (seconds,))


# -- what holds for all


def shared(connection: Connection, now: Instant | None) -> Shared:
    """See the port. `now` None: by the server's clock."""
    at = clock(connection) if now is None else now
    row = connection.execute(
        "SELECT (SELECT changes FROM graph), (SELECT count(*) FROM calendars), "
        "(SELECT value FROM meta WHERE key = 'timezone_database'), "
        "ARRAY(SELECT boot FROM leases WHERE NOT buried AND until > %s ORDER BY boot)",
        (at,),
    ).fetchone()
    assert row is not None
    graph, calendars, database, live = row
    return Shared(scheduler_pause(connection), graph, calendars, database, tuple(live))


# In the words of the index of open executions, which is looked into once a second by every node.
DEAD_BOOTS: Final = (
    f"SELECT DISTINCT e.boot FROM executions AS e WHERE {OPEN} AND {HOLDS} AND e.boot IS NOT NULL "
    "AND e.boot NOT IN (SELECT boot FROM leases WHERE NOT buried) ORDER BY e.boot"
)


def dead_boots(connection: Connection) -> list[str]:
    """See the port."""
    rows = connection.execute(DEAD_BOOTS)
    return [boot for (boot,) in rows]


def told_to_stop(connection: Connection, boot: str, limit: int) -> list[str]:
    """See the port."""
    rows = connection.execute(
        "SELECT DISTINCT task_id FROM executions WHERE state = 'RUNNING' AND boot = %s AND cancel_reason IS NOT NULL "
        "ORDER BY task_id LIMIT %s",
        (boot, limit),
    )
    return [task_id for (task_id,) in rows]


class Listener:
    """The connection that hears wake-ups. For one thread."""

    def __init__(self, dsn: str, limits: PostgresLimits) -> None:
        self._dsn = dsn
        self._limits = limits
        self._connection: Connection | None = None
        self._heard = 0.0

    def listen(self, seconds: float, own: int) -> list[str]:
        """Ids of tasks of which others spoke, in this time. `own`: the server's process whose words are our own."""
        if self._connection is None:
            self._connection = connect(self._dsn, self._limits, "tocsin wakes", writes=False)
            self._connection.execute(f"LISTEN {CHANNEL}")
            self._heard = time.monotonic()
        try:
            return self._listen(self._connection, seconds, own)
        except psycopg.Error:
            self.close()
            raise

    def _listen(self, connection: Connection, seconds: float, own: int) -> list[str]:
        ids: dict[str, None] = {}
        for notification in connection.notifies(timeout=seconds, stop_after=1):
            self._heard = time.monotonic()
            if notification.pid != own:
                ids |= dict.fromkeys(json.loads(notification.payload))
        if time.monotonic() - self._heard > PROBE_AFTER:
            # A server that is gone without a word is silent too.
            connection.execute("SELECT 1")
            self._heard = time.monotonic()
        return list(ids)

    def close(self) -> None:
        """Idempotent; the next one who listens connects anew."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None
