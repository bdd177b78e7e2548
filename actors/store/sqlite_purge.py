"""What a purge asks of SQLite's tables and does to them; its way is in `purging.py`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from runtime.clock import HOUR, Instant
from runtime.records import evolve

from ..model.retention import FAR, FINAL_STATES, Purged, Slice
from . import purging
from . import sqlite_access as access
from .port import Audit
from .purging import Limits, Table
from .sqlite_link import Link

PARTS_OF_EXECUTION: Final = ("attempts", "results", "checkpoints", "progress", "logs")
PARTS_OF_TASK: Final = (
    "executions",
    "settled",
    "folded",
    "revisions",
    "parcels",
    "outbox",
    "deliveries",
    "event_states",
    "calendar_uses",
)

_IDS: Final = "(SELECT value FROM json_each(:ids))"
_FINAL: Final = f"state IN ({', '.join(repr(state.value) for state in FINAL_STATES)}) AND NOT lingers"
_FOLD: Final = (
    "INSERT INTO folded SELECT task_id, {hour}, outcome, coalesce(reason, ''), min({first}), max({last}), {count} "
    "FROM {table} WHERE {where} GROUP BY 1, 2, 3, 4 ON CONFLICT DO UPDATE SET count = count + excluded.count, "
    "first = min(first, excluded.first), last = max(last, excluded.last)"
)
_FOLD_EXECUTIONS: Final = _FOLD.format(
    hour=f"nominal - (nominal % {HOUR} + {HOUR}) % {HOUR}",
    first="nominal",
    last="nominal",
    count="count(*)",
    table="executions",
    where=f"id IN {_IDS} AND nominal IS NOT NULL AND outcome IS NOT NULL",
)
_ROW_KEYS: Final = "(task_id, first) IN (SELECT value ->> 0, value ->> 1 FROM json_each(:keys))"
_FOLD_ROWS: Final = _FOLD.format(
    hour=f"first - (first % {HOUR} + {HOUR}) % {HOUR}",
    first="first",
    last="last",
    count="sum(count)",
    table="settled",
    where=_ROW_KEYS,
)

# The newest `:newest` of each task stay: a row goes if there are that many newer ones.
_OLD_EXECUTIONS: Final = (
    "SELECT json_group_array(json_array(id, ended_at, goes)) FROM (SELECT e.id, e.ended_at, "
    f"ifnull(e.{_FINAL.replace(' lingers', ' e.lingers')} AND (e.nominal IS NULL OR e.nominal <= t.settled_through) "
    "AND e.ended_at <= coalesce(:now - t.ttl, CASE e.state {limits} END) "
    "AND EXISTS (SELECT 1 FROM executions AS n WHERE n.task_id = e.task_id AND n.number >= e.number "
    "LIMIT 1 OFFSET :newest), 0) AS goes "
    "FROM executions AS e CROSS JOIN tasks AS t ON t.id = e.task_id "
    "WHERE e.ended_at IS NOT NULL AND e.ended_at BETWEEN :at AND :horizon AND (e.ended_at > :at OR e.id > :id) {one}"
    "ORDER BY e.ended_at, e.id LIMIT :limit)"
)
_OLD_ROWS: Final = (
    "SELECT json_group_array(json_array(task_id, first, last, goes)) FROM (SELECT s.task_id, s.first, s.last, "
    "ifnull(s.count IS NOT NULL AND s.last <= t.settled_through "
    "AND s.last <= coalesce(:now - t.ttl, CASE s.outcome WHEN 'skipped' THEN :skipped ELSE :rows END) "
    "AND EXISTS (SELECT 1 FROM settled AS n WHERE n.task_id = s.task_id AND n.first >= s.first "
    "LIMIT 1 OFFSET :newest), 0) AS goes "
    "FROM settled AS s CROSS JOIN tasks AS t ON t.id = s.task_id WHERE s.last BETWEEN :at AND :horizon "
    "AND (s.last > :at OR (s.task_id, s.first) > (:id, :first)) {one}"
    "ORDER BY s.last, s.task_id, s.first LIMIT :limit)"
)
_TASKS: Final = (
    "SELECT json_group_array(json_array(id, name, phase, ttl, since, settled_through, catching_up IS NULL)) "
    "FROM (SELECT id, name, phase, ttl, max(coalesce(last_ended_at, 0), settled_through, created_at, began_at) AS since, "
    "settled_through, catching_up FROM tasks AS t WHERE {which} ORDER BY id LIMIT :limit)"
)
_MORE_THAN: Final = "SELECT count(*) FROM (SELECT 1 FROM {table} WHERE task_id = ? LIMIT ?)"

# From the newest to the oldest: place in the order, kind, id or None if it must stay, whether its task's own time is over.
_EXECUTIONS: Final = (
    "SELECT json_group_array(json_array(number, state, CASE WHEN goes THEN id END, aged)) FROM (SELECT number, state, id, "
    f"{_FINAL} AND (nominal IS NULL OR nominal <= :through) AS goes, ifnull(ended_at <= :before, 0) AS aged "
    "FROM executions WHERE task_id = :task AND number < :at ORDER BY number DESC LIMIT :look)"
)
_ROWS: Final = (
    "SELECT json_group_array(json_array(first, kind, CASE WHEN goes THEN json_array(:task, first) END, aged)) "
    "FROM (SELECT first, CASE outcome WHEN 'skipped' THEN 'skipped' ELSE 'rows' END AS kind, "
    "count IS NOT NULL AND last <= :through AS goes, ifnull(last <= :before, 0) AS aged "
    "FROM settled WHERE task_id = :task AND first < :at ORDER BY first DESC LIMIT :look)"
)
_FREE: Final = (
    "SELECT NOT EXISTS (SELECT 1 FROM executions WHERE task_id = :task "
    "AND (state IN ('WAITING', 'RUNNING', 'CRASHED') OR lingers)) "
    "AND NOT EXISTS (SELECT 1 FROM edges WHERE parent = :task) "
    "AND NOT EXISTS (SELECT 1 FROM outbox WHERE task_id = :task)"
)


def purge(connection: Link, wanted: Slice) -> Purged:
    """See the port. Runs inside the caller's transaction."""
    return purging.purge(_Tables(connection), wanted)


@attrs.frozen
class _Tables:
    connection: Link

    def old_executions(self, wanted: Slice, limits: Limits, horizon: Instant) -> Sequence[tuple[str, int, bool]]:
        statement = _OLD_EXECUTIONS.format(limits=_cases(limits), one=_one(wanted, "e."))
        return self._walk(statement, wanted, horizon, {})

    def old_rows(self, wanted: Slice, limits: Limits, horizon: Instant) -> Sequence[tuple[str, int, int, bool]]:
        return self._walk(_OLD_ROWS.format(one=_one(wanted, "s.")), wanted, horizon, limits)

    def _walk(self, statement: str, wanted: Slice, horizon: Instant, more: Mapping[str, Any]) -> list[Any]:
        after = wanted.after
        values = {
            "at": after.at,
            "id": after.id,
            "first": after.first,
            "horizon": horizon,
            "limit": wanted.limit,
            **more,
        }
        return self._all(
            statement, {**values, "now": wanted.now, "task": wanted.task_id, "newest": wanted.retention.newest}
        )

    def _all(self, statement: str, values: Any) -> list[Any]:
        """The rows of a statement that answers one JSON array."""
        rows: list[Any] = json.loads(self.connection.execute(statement, values).fetchone()[0])
        return rows

    def tasks(self, wanted: Slice, limit: int) -> Sequence[Any]:
        which = "id > :id" if wanted.after.at == -FAR else "id >= :id"
        if wanted.task_id is not None:
            which = f"id = :task AND {which}"
        values = {"id": wanted.after.id, "task": wanted.task_id, "limit": limit}
        return self._all(_TASKS.format(which=which), values)

    def newest(
        self, table: Table, task_id: str, place: int, through: int, limit: int | None, look: int
    ) -> Sequence[Any]:
        values = {"task": task_id, "at": place, "through": through, "before": limit, "look": look}
        return self._all(_EXECUTIONS if table == "executions" else _ROWS, values)

    def number_up_to(self, table: Table, task_id: str, most: int) -> int:
        number: int = self.connection.execute(_MORE_THAN.format(table=table), (task_id, most)).fetchone()[0]
        return number

    def is_free(self, task_id: str, kept: Instant) -> bool:
        return bool(self.connection.execute(_FREE, {"task": task_id}).fetchone()[0])

    def some_executions(self, task_id: str, limit: int) -> Sequence[str]:
        some = "SELECT json_group_array(id) FROM (SELECT id FROM executions WHERE task_id = ? ORDER BY number LIMIT ?)"
        return self._all(some, (task_id, limit))

    def remove_executions(self, ids: Sequence[str]) -> None:
        if not ids:
            return
        values = {"ids": json.dumps(ids)}
        for table in PARTS_OF_EXECUTION:
            self.connection.execute(f"DELETE FROM {table} WHERE execution_id IN {_IDS}", values)
        self.connection.execute(_FOLD_EXECUTIONS, values)
        self.connection.execute(f"DELETE FROM executions WHERE id IN {_IDS}", values)

    def fold_rows(self, keys: Sequence[Sequence[Any]]) -> None:
        if keys:
            values = {"keys": json.dumps(keys)}
            self.connection.execute(_FOLD_ROWS, values)
            self.connection.execute(f"DELETE FROM settled WHERE {_ROW_KEYS}", values)

    def drop_folded(self, task_ids: Sequence[str], limit: Instant | None) -> None:
        self.connection.execute(
            f"DELETE FROM folded WHERE task_id IN {_IDS} AND last <= :limit",
            {"ids": json.dumps(task_ids), "limit": limit},
        )

    def drop_ledger(self, task_id: str, limit: int) -> int:
        gone = 0
        for table, column in (("settled", "first"), ("folded", "hour")):
            few = f"SELECT {column} FROM {table} WHERE task_id = ?1 LIMIT ?2"
            gone = self.connection.execute(
                f"DELETE FROM {table} WHERE task_id = ?1 AND {column} IN ({few})", (task_id, limit)
            ).rowcount
            if gone >= limit:
                break
        return gone

    def drop_task(self, task_id: str, audit: Audit) -> None:
        (tenant,) = self.connection.execute("SELECT tenant FROM tasks WHERE id = ?", (task_id,)).fetchone()
        for table in PARTS_OF_TASK:
            self.connection.execute(f"DELETE FROM {table} WHERE task_id = ?", (task_id,))
        self.connection.execute("DELETE FROM edges WHERE child = ?", (task_id,))
        self.connection.execute("DELETE FROM tasks WHERE id = ?", (task_id,))
        self.connection.execute("UPDATE totals SET tasks = tasks - 1")
        access.append(self.connection, [evolve(audit, tenant=tenant)])

    def drop_audits(self, kept: int, limit: int) -> int:
        return access.drop_audits(self.connection, kept, limit)


def _one(wanted: Slice, prefix: str) -> str:
    return "" if wanted.task_id is None else f"AND {prefix}task_id = :task "


def _cases(values: Limits) -> str:
    """The branches of a CASE over states, whose names and numbers are ours."""
    return " ".join(f"WHEN '{state}' THEN {'NULL' if value is None else int(value)}" for state, value in values.items())
