"""What the tables hold for several nodes: leases, marks of changes, and the guards of a commit that go with them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from runtime.clock import Instant
from runtime.errors import Conflict, LeaseLost, LimitReached, StaleVersion, TocsinError

from .batch import Change, task_id_of
from .port import Commit
from .shared import LEASES_KEPT, Shared, has_claim, needs_graph, until
from .sqlite_link import Connection, Link, Step
from .sqlite_side import scheduler_pause

_IDS: Final = "(SELECT value FROM json_each(?))"


# -- leases


def clock(connection: Connection) -> Instant:
    """The time of day as SQLite reads it, to the millisecond."""
    (milliseconds,) = connection.execute("SELECT round((julianday('now') - 2440587.5) * 86400000)").fetchone()
    return Instant(int(milliseconds) * 1_000)


def enrol(connection: Connection, boot: str, node: str, now: Instant, seconds: float) -> None:
    """See the port."""
    taken = connection.execute(
        "SELECT boot FROM leases WHERE node = ? AND boot <> ? AND NOT buried AND until > ?", (node, boot, now)
    ).fetchone()
    if taken is not None:
        raise Conflict(f"the node name {node!r} is in use: its boot {taken[0]} has a lease")
    connection.execute("DELETE FROM leases WHERE buried AND until <= ?", (now - LEASES_KEPT,))
    written = connection.execute(
        "INSERT INTO leases VALUES (?, ?, ?, 0) ON CONFLICT DO UPDATE SET until = excluded.until WHERE NOT buried",
        (boot, node, until(now, seconds)),
    )
    if written.rowcount != 1:
        raise LeaseLost(f"the lease of boot {boot} has ended for ever")


def renew(connection: Connection, boot: str, now: Instant, seconds: float) -> bool:
    """See the port."""
    changed = connection.execute(
        "UPDATE leases SET until = ? WHERE boot = ? AND NOT buried", (until(now, seconds), boot)
    )
    return changed.rowcount == 1


def leave(connection: Connection, boot: str) -> None:
    """See the port."""
    connection.execute("UPDATE leases SET buried = 1 WHERE boot = ?", (boot,))


def bury(connection: Connection, members: Sequence[str], now: Instant) -> tuple[str, ...]:
    """See the port."""
    connection.execute(
        f"UPDATE leases SET buried = 1 WHERE NOT buried AND until <= ? AND boot NOT IN {_IDS}",
        (now, json.dumps(list(members))),
    )
    rows = dict(connection.execute("SELECT boot, NOT buried FROM leases"))
    return tuple(sorted(boot for boot in {*members, *rows} if rows.get(boot, True)))


# -- epochs


def raise_floor(link: Link, above: Mapping[int, int]) -> None:
    """See the port. A partition that nobody has taken yet gets the floor with grant 0, which every grant is higher than."""
    raised = "INSERT INTO partitions VALUES (?, ?, 0, '') ON CONFLICT DO UPDATE SET epoch = max(epoch, excluded.epoch)"
    steps = [Step(raised, (partition, epoch + 1)) for partition, epoch in above.items()]
    link.run([*steps, Step("UPDATE totals SET takeovers = takeovers + 1", ())])


def epochs(connection: Connection) -> Mapping[int, int]:
    """See the port."""
    return dict(connection.execute("SELECT id, epoch FROM partitions"))


# -- what holds for all


def shared(connection: Connection, now: Instant) -> Shared:
    """See the port."""
    graph, calendars, database, live = connection.execute(
        "SELECT graph, (SELECT count(*) FROM calendars), (SELECT value FROM meta WHERE key = 'timezone_database'), "
        "(SELECT json_group_array(boot) FROM (SELECT boot FROM leases WHERE NOT buried AND until > ? ORDER BY boot)) "
        "FROM totals",
        (now,),
    ).fetchone()
    return Shared(scheduler_pause(connection), graph, calendars, database, tuple(json.loads(live)))


def dead_boots(connection: Connection) -> list[str]:
    """See the port."""
    rows = connection.execute(
        "SELECT DISTINCT boot FROM executions INDEXED BY executions_open "
        "WHERE (state IN ('WAITING', 'RUNNING', 'CRASHED') OR lingers) AND (state = 'RUNNING' OR lingers) "
        "AND boot IS NOT NULL AND boot NOT IN (SELECT boot FROM leases WHERE NOT buried) ORDER BY boot"
    )
    return [boot for (boot,) in rows]


def told_to_stop(connection: Connection, boot: str, limit: int) -> list[str]:
    """See the port."""
    rows = connection.execute(
        "SELECT DISTINCT task_id FROM executions INDEXED BY executions_open "
        "WHERE (state IN ('WAITING', 'RUNNING', 'CRASHED') OR lingers) AND state = 'RUNNING' AND boot = ? "
        "AND cancel_reason IS NOT NULL ORDER BY task_id LIMIT ?",
        (boot, limit),
    )
    return [task_id for (task_id,) in rows]


# -- guards of a commit


def refusals(connection: Connection, commit: Commit, changes: Iterable[Change]) -> dict[str, TocsinError]:
    """The changes that the lease of the commit's boot or the number of its graph do not allow."""
    refused: dict[str, TocsinError] = {}
    dead = commit.boot is not None and not _lives(connection, commit.boot)
    grown = commit.graph is not None and _graph(connection) != commit.graph
    for change in changes:
        if dead and has_claim(change):
            refused[task_id_of(change)] = LeaseLost(f"boot {commit.boot} has no lease and may not claim")
        elif grown and needs_graph(change):
            refused[task_id_of(change)] = StaleVersion("dependencies have changed since this was decided")
    return refused


def _lives(connection: Connection, boot: str) -> bool:
    found = connection.execute("SELECT 1 FROM leases WHERE boot = ? AND NOT buried", (boot,)).fetchone()
    return found is not None


def _graph(connection: Connection) -> int:
    (graph,) = connection.execute("SELECT graph FROM totals").fetchone()
    return int(graph)


def reached(connection: Connection, task_id: str, limits: Mapping[str, int]) -> LimitReached | None:
    """Why an update of a task, which has just been written, claims too much, if it does."""
    for key, limit in limits.items():
        (holders,) = connection.execute(
            "SELECT count(*) FROM executions AS e INDEXED BY executions_key CROSS JOIN tasks AS t ON t.id = e.task_id "
            "WHERE e.key = ?1 AND (e.state = 'RUNNING' OR e.lingers) "
            "AND t.tenant = (SELECT tenant FROM tasks WHERE id = ?2)",
            (key, task_id),
        ).fetchone()
        if holders > limit:
            return LimitReached(f"{limit} executions hold the concurrency key {key!r} already")
    return None
