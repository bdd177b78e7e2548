"""What a purge asks of PostgreSQL's tables and does to them; its way is in `purging.py`.

Other nodes write meanwhile. What goes is deleted by the condition that lets it go, judged once more under its lock, and what was
deleted is what is folded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from runtime.clock import HOUR, Instant
from runtime.records import evolve

from ..model.retention import FAR, FINAL_STATES, Purged, Slice
from . import postgres_access as access
from . import postgres_bulk as bulk
from . import purging
from .port import Audit
from .postgres_link import Connection
from .postgres_tasks import PARTS_OF_EXECUTION, drop_parts
from .purging import Limits, Table

_FINAL: Final = f"state IN ({', '.join(repr(state.value) for state in FINAL_STATES)}) AND lingers = 0"
_E_FINAL: Final = f"e.{_FINAL.replace(' lingers', ' e.lingers')}"

_FOLD: Final = (
    "INSERT INTO folded AS f SELECT task_id, {hour}, outcome, coalesce(reason, ''), min({first}), max({last}), {count} "
    "FROM gone {where} GROUP BY 1, 2, 3, 4 ON CONFLICT (task_id, hour, outcome, reason) DO UPDATE "
    "SET count = f.count + excluded.count, first = least(f.first, excluded.first), last = greatest(f.last, excluded.last)"
)
_REMOVE_EXECUTIONS: Final = (
    f"WITH gone AS (DELETE FROM executions WHERE id = ANY(%s) AND {_FINAL} RETURNING *), folding AS ("
    + _FOLD.format(
        hour=f"nominal - (nominal %% {HOUR} + {HOUR}) %% {HOUR}",
        first="nominal",
        last="nominal",
        count="count(*)",
        where="WHERE nominal IS NOT NULL AND outcome IS NOT NULL",
    )
    + ") SELECT id FROM gone"
)
_FOLD_ROWS: Final = bulk.Bulk(
    "WITH gone AS (DELETE FROM settled AS s USING {values} WHERE s.task_id = v.task_id AND s.first = v.first "
    "AND s.count IS NOT NULL RETURNING s.*) "
    + _FOLD.format(
        hour=f"first - (first %% {HOUR} + {HOUR}) %% {HOUR}", first="first", last="last", count="sum(count)", where=""
    ),
    ("task_id", "first"),
)

# The newest `newest` of each task stay: a row goes if there are that many newer ones.
_OLD_EXECUTIONS: Final = (
    f"SELECT e.id, e.ended_at, coalesce({_E_FINAL} AND (e.nominal IS NULL OR e.nominal <= t.settled_through) "
    "AND e.ended_at <= coalesce(%(now)s - d.ttl, CASE e.state {limits} END) "
    "AND EXISTS (SELECT 1 FROM executions AS n WHERE n.task_id = e.task_id AND n.number >= e.number "
    "LIMIT 1 OFFSET %(newest)s), false) FROM executions AS e JOIN tasks AS t ON t.id = e.task_id "
    "JOIN definitions AS d ON d.task_id = e.task_id WHERE e.ended_at IS NOT NULL "
    "AND (e.ended_at, e.id) > (%(at)s, %(id)s) AND e.ended_at <= %(horizon)s {one}"
    "ORDER BY e.ended_at, e.id LIMIT %(limit)s"
)
_OLD_ROWS: Final = (
    "SELECT s.task_id, s.first, s.last, coalesce(s.count IS NOT NULL AND s.last <= t.settled_through AND s.last <= "
    "coalesce(%(now)s - d.ttl, CASE s.outcome WHEN 'skipped' THEN %(skipped)s::bigint ELSE %(rows)s::bigint END) "
    "AND EXISTS (SELECT 1 FROM settled AS n WHERE n.task_id = s.task_id AND n.first >= s.first "
    "LIMIT 1 OFFSET %(newest)s), false) FROM settled AS s JOIN tasks AS t ON t.id = s.task_id "
    "JOIN definitions AS d ON d.task_id = s.task_id "
    "WHERE (s.last, s.task_id, s.first) > (%(at)s, %(id)s, %(first)s) AND s.last <= %(horizon)s {one}"
    "ORDER BY s.last, s.task_id, s.first LIMIT %(limit)s"
)
_CHANGED: Final = "greatest(coalesce(t.last_ended_at, 0), t.settled_through, d.created_at, d.began_at)"
_TASKS: Final = (
    f"SELECT t.id, d.name, t.phase, d.ttl, {_CHANGED}, t.settled_through, t.catching_up IS NULL "
    "FROM tasks AS t JOIN definitions AS d ON d.task_id = t.id WHERE {which} ORDER BY t.id LIMIT %(limit)s"
)

# From the newest to the oldest: place in the order, kind, id or None if it must stay, whether its task's own time is over.
_EXECUTIONS: Final = (
    f"SELECT number, state, CASE WHEN {_FINAL} AND (nominal IS NULL OR nominal <= %(through)s) THEN id END, "
    "coalesce(ended_at <= %(before)s::bigint, false) "
    "FROM executions WHERE task_id = %(task)s AND number < %(at)s ORDER BY number DESC LIMIT %(look)s"
)
_ROWS: Final = (
    "SELECT first, CASE outcome WHEN 'skipped' THEN 'skipped' ELSE 'rows' END, "
    "CASE WHEN count IS NOT NULL AND last <= %(through)s THEN first END, coalesce(last <= %(before)s::bigint, false) "
    "FROM settled WHERE task_id = %(task)s AND first < %(at)s ORDER BY first DESC LIMIT %(look)s"
)
_LOCK: Final = (
    "SELECT 1 FROM tasks AS t JOIN definitions AS d ON d.task_id = t.id WHERE t.id = %s "
    f"AND t.phase IN ('finished', 'cancelled') AND t.catching_up IS NULL AND {_CHANGED} <= %s FOR UPDATE OF t"
)
_FREE: Final = (
    "SELECT NOT EXISTS (SELECT 1 FROM executions WHERE task_id = %(task)s "
    "AND (state IN ('WAITING', 'RUNNING', 'CRASHED') OR lingers = 1)) "
    "AND NOT EXISTS (SELECT 1 FROM edges WHERE parent = %(task)s) "
    "AND NOT EXISTS (SELECT 1 FROM outbox WHERE task_id = %(task)s)"
)


def purge(connection: Connection, wanted: Slice) -> tuple[Purged, int]:
    """See the port; and how many tasks went. Runs inside the caller's transaction."""
    tables = _Tables(connection)
    return purging.purge(tables, wanted), tables.tasks_gone


@attrs.define
class _Tables:
    connection: Connection
    tasks_gone: int = 0

    def _all(self, statement: str, values: Mapping[str, Any]) -> list[Any]:
        return self.connection.execute(statement, values).fetchall()

    def old_executions(self, wanted: Slice, limits: Limits, horizon: Instant) -> Sequence[tuple[str, int, bool]]:
        cases = " ".join(f"WHEN '{state}' THEN {'NULL' if at is None else int(at)}" for state, at in limits.items())
        statement = _OLD_EXECUTIONS.format(limits=cases, one=_one(wanted, "e."))
        return self._all(statement, _walk(wanted, horizon))

    def old_rows(self, wanted: Slice, limits: Limits, horizon: Instant) -> Sequence[tuple[str, int, int, bool]]:
        return self._all(_OLD_ROWS.format(one=_one(wanted, "s.")), {**_walk(wanted, horizon), **limits})

    def tasks(self, wanted: Slice, limit: int) -> Sequence[Any]:
        which = "t.id > %(id)s" if wanted.after.at == -FAR else "t.id >= %(id)s"
        if wanted.task_id is not None:
            which = f"t.id = %(task)s AND {which}"
        values = {"id": wanted.after.id, "task": wanted.task_id, "limit": limit}
        return self._all(_TASKS.format(which=which), values)

    def newest(
        self, table: Table, task_id: str, place: int, through: int, limit: int | None, look: int
    ) -> Sequence[Any]:
        values = {"task": task_id, "at": place, "through": through, "before": limit, "look": look}
        found = self._all(_EXECUTIONS if table == "executions" else _ROWS, values)
        if table == "executions":
            return found
        return [(at, kind, None if first is None else (task_id, first), aged) for at, kind, first, aged in found]

    def number_up_to(self, table: Table, task_id: str, most: int) -> int:
        some = f"SELECT count(*) FROM (SELECT 1 FROM {table} WHERE task_id = %(task)s LIMIT %(most)s) AS found"
        ((number,),) = self._all(some, {"task": task_id, "most": most})
        return int(number)

    def is_free(self, task_id: str, kept: Instant) -> bool:
        # Locked, so that nobody adds to it; what was added until then the second statement sees.
        if not self.connection.execute(_LOCK, (task_id, kept)).fetchall():
            return False
        ((free,),) = self._all(_FREE, {"task": task_id})
        return bool(free)

    def some_executions(self, task_id: str, limit: int) -> Sequence[str]:
        some = "SELECT id FROM executions WHERE task_id = %(task)s ORDER BY number LIMIT %(limit)s"
        return [execution_id for (execution_id,) in self._all(some, {"task": task_id, "limit": limit})]

    def remove_executions(self, ids: Sequence[str]) -> None:
        if not ids:
            return
        gone = [row[0] for row in self.connection.execute(_REMOVE_EXECUTIONS, (sorted(ids),))]
        for table in PARTS_OF_EXECUTION if gone else ():
            self.connection.execute(f"DELETE FROM {table} WHERE execution_id = ANY(%s)", (gone,))

    def fold_rows(self, keys: Sequence[Sequence[Any]]) -> None:
        if keys:
            _FOLD_ROWS.run(self.connection, sorted(map(tuple, keys)))

    def drop_folded(self, task_ids: Sequence[str], limit: Instant | None) -> None:
        self.connection.execute("DELETE FROM folded WHERE task_id = ANY(%s) AND last <= %s", (list(task_ids), limit))

    def drop_ledger(self, task_id: str, limit: int) -> int:
        gone = 0
        for table, column in (("settled", "first"), ("folded", "hour")):
            few = f"SELECT {column} FROM {table} WHERE task_id = %s LIMIT %s"
            statement = f"DELETE FROM {table} WHERE task_id = %s AND {column} IN ({few})"
            gone = self.connection.execute(statement, (task_id, task_id, limit)).rowcount
            if gone >= limit:
                break
        return gone

    def drop_task(self, task_id: str, audit: Audit) -> None:
        row = self.connection.execute("SELECT tenant FROM definitions WHERE task_id = %s", (task_id,)).fetchone()
        audit = evolve(audit, tenant="" if row is None else row[0])
        self.connection.execute("DELETE FROM tasks WHERE id = %s", (task_id,))
        drop_parts(self.connection, [task_id])
        access.append(self.connection, [audit])
        self.tasks_gone += 1

    def drop_audits(self, kept: int, limit: int) -> int:
        return access.drop_audits(self.connection, kept, limit)


def _walk(wanted: Slice, horizon: Instant) -> dict[str, Any]:
    after = wanted.after
    return {
        "at": after.at,
        "id": after.id,
        "first": after.first,
        "horizon": horizon,
        "limit": wanted.limit,
        "now": wanted.now,
        "task": wanted.task_id,
        "newest": wanted.retention.newest,
    }


def _one(wanted: Slice, prefix: str) -> str:
    return "" if wanted.task_id is None else f"AND {prefix}task_id = %(task)s "
