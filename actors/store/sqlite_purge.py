"""Removal of what has been kept long enough, slice by slice.

What a slice removes from the ledger it folds in the same transaction. Walks by age follow an index on the instant; walks task
by task follow the ids. Nothing is looked at twice in one walk, except a task from which there was more to remove than fits.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, assert_never

from runtime.clock import HOUR, Instant

from ..model.lifecycle import Phase
from ..model.retention import FINAL_STATES, SYSTEM, Cursor, Purged, Slice, Stage, before

TASKS_AT_ONCE: Final = 100
"""Tasks that one slice looks at: one index lookup each, where nothing is to be done."""

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
    "SELECT json_group_array(json_array(id, name, phase, ttl, since, settled_through, catching_up IS NULL, number)) "
    "FROM (SELECT id, name, phase, ttl, max(coalesce(last_ended_at, 0), settled_through, created_at, began_at) AS since, "
    "settled_through, catching_up, (SELECT count(*) FROM {table} WHERE task_id = t.id) AS number "
    "FROM tasks AS t WHERE {which} ORDER BY id LIMIT :limit)"
)
_SURPLUS_EXECUTIONS: Final = (
    "SELECT json_group_array(id) FROM (SELECT id FROM (SELECT id, number, state, lingers, nominal, ended_at, "
    "row_number() OVER (ORDER BY number DESC) AS place, "
    "row_number() OVER (PARTITION BY state ORDER BY number DESC) AS rank FROM executions WHERE task_id = :task) "
    f"WHERE {_FINAL} AND place > :newest AND (nominal IS NULL OR nominal <= :through) "
    "AND (ended_at <= :before OR rank > CASE state {caps} END) ORDER BY number LIMIT :limit)"
)
_SURPLUS_ROWS: Final = (
    "SELECT json_group_array(json_array(task_id, first)) FROM (SELECT task_id, first FROM "
    "(SELECT task_id, first, last, count, outcome, "
    "row_number() OVER (ORDER BY first DESC) AS place, "
    "row_number() OVER (PARTITION BY outcome = 'skipped' ORDER BY first DESC) AS rank "
    "FROM settled WHERE task_id = :task) WHERE count IS NOT NULL AND place > :newest AND last <= :through "
    "AND (last <= :before OR rank > CASE outcome WHEN 'skipped' THEN :skipped ELSE :rows END) ORDER BY first LIMIT :limit)"
)
_FREE: Final = (
    "SELECT NOT EXISTS (SELECT 1 FROM executions WHERE task_id = :task "
    "AND (state IN ('WAITING', 'RUNNING', 'CRASHED') OR lingers)) "
    "AND NOT EXISTS (SELECT 1 FROM edges WHERE parent = :task) "
    "AND NOT EXISTS (SELECT 1 FROM outbox WHERE task_id = :task)"
)


def purge(connection: sqlite3.Connection, wanted: Slice) -> Purged:
    """See the port. Runs inside the caller's transaction."""
    match wanted.stage:
        case Stage.EXECUTIONS:
            return _old_executions(connection, wanted)
        case Stage.ROWS:
            return _old_rows(connection, wanted)
        case Stage.TASKS | Stage.LEDGER:
            return _task_by_task(connection, wanted)
        case Stage.AUDITS:
            return _audits(connection, wanted)
        case _:
            assert_never(wanted.stage)


# -- by age


def _old_executions(connection: sqlite3.Connection, wanted: Slice) -> Purged:
    limits = {state.value: before(keep.ttl, wanted.now) for state, keep in wanted.retention.states.items()}
    horizon = _horizon(limits.values())
    if horizon is None:
        return Purged()
    statement = _OLD_EXECUTIONS.format(limits=_cases(limits), one=_one(wanted, "e."))
    found = _walk(connection, statement, wanted, horizon, {})
    _remove_executions(connection, [key for key, _, goes in found if goes])
    last = found[-1] if len(found) == wanted.limit else None
    return Purged(sum(goes for *_, goes in found), None if last is None else Cursor(last[1], last[0]))


def _old_rows(connection: sqlite3.Connection, wanted: Slice) -> Purged:
    retention = wanted.retention
    limits = {"rows": before(retention.rows.ttl, wanted.now), "skipped": before(retention.skipped.ttl, wanted.now)}
    horizon = _horizon(limits.values())
    if horizon is None:
        return Purged()
    found = _walk(connection, _OLD_ROWS.format(one=_one(wanted, "s.")), wanted, horizon, limits)
    _fold_rows(connection, [(task_id, first) for task_id, first, _, goes in found if goes])
    last = found[-1] if len(found) == wanted.limit else None
    return Purged(sum(goes for *_, goes in found), None if last is None else Cursor(last[2], last[0], last[1]))


def _walk(
    connection: sqlite3.Connection, statement: str, wanted: Slice, horizon: Instant, more: Mapping[str, Any]
) -> list[Any]:
    after = wanted.after
    values = {"at": after.at, "id": after.id, "first": after.first, "horizon": horizon, "limit": wanted.limit, **more}
    values |= {"now": wanted.now, "task": wanted.task_id, "newest": wanted.retention.newest}
    rows: list[Any] = json.loads(connection.execute(statement, values).fetchone()[0])
    return rows


def _horizon(limits: Iterable[Instant | None]) -> Instant | None:
    """The newest instant at which something may have been kept long enough."""
    return max((limit for limit in limits if limit is not None), default=None)


def _one(wanted: Slice, prefix: str) -> str:
    return "" if wanted.task_id is None else f"AND {prefix}task_id = :task "


def _cases(values: Mapping[str, int | None]) -> str:
    """The branches of a CASE over states, whose names and numbers are ours."""
    return " ".join(f"WHEN '{state}' THEN {'NULL' if value is None else int(value)}" for state, value in values.items())


# -- task by task


def _task_by_task(connection: sqlite3.Connection, wanted: Slice) -> Purged:
    table = "executions" if wanted.stage is Stage.TASKS else "settled"
    which = "id > :id" if wanted.task_id is None else "id = :task AND id > :id"
    values = {"id": wanted.after.id, "task": wanted.task_id, "limit": min(TASKS_AT_ONCE, wanted.limit)}
    statement = _TASKS.format(table=table, which=which)
    tasks = json.loads(connection.execute(statement, values).fetchone()[0])
    if wanted.stage is Stage.LEDGER and wanted.retention.folded is not None:
        _drop_folded(connection, [task[0] for task in tasks], before(wanted.retention.folded, wanted.now))
    removed, done = 0, wanted.after
    for task in tasks:
        gone = _of_task(connection, wanted, task, wanted.limit - removed)
        removed += gone
        if removed >= wanted.limit:
            return Purged(removed, done)
        done = Cursor(id=task[0])
    return Purged(removed, done if len(tasks) == values["limit"] else None)


def _of_task(connection: sqlite3.Connection, wanted: Slice, task: Sequence[Any], room: int) -> int:
    """Remove at most `room` rows of a task, or the task itself; answers how many."""
    task_id, name, phase, ttl, since, through, settled, number = task
    retention = wanted.retention
    if wanted.stage is Stage.LEDGER:
        caps = {"rows": retention.rows.last, "skipped": retention.skipped.last}
        return _surplus_rows(connection, wanted, task_id, ttl, through, room) if _over(number, ttl, caps) else 0
    limit = before(retention.tasks if ttl is None else ttl, wanted.now)
    inactive = phase in (Phase.FINISHED, Phase.CANCELLED) and settled and limit is not None and since <= limit
    if inactive and connection.execute(_FREE, {"task": task_id}).fetchone()[0]:
        return _remove_task(connection, task_id, name, number, wanted.now, room)
    caps = {state.value: keep.last for state, keep in retention.states.items()}
    return _surplus_executions(connection, wanted, task_id, ttl, through, room) if _over(number, ttl, caps) else 0


def _over(number: int, ttl: int | None, caps: Mapping[str, int | None]) -> bool:
    """Whether a closer look is worth it: there are more rows than allowed of one kind, or the task has a time of its own."""
    least = min((cap for cap in caps.values() if cap is not None), default=None)
    return number > 0 and (ttl is not None or (least is not None and number > least))


def _surplus_executions(
    connection: sqlite3.Connection, wanted: Slice, task_id: str, ttl: int | None, through: int, room: int
) -> int:
    caps = _cases({state.value: keep.last for state, keep in wanted.retention.states.items()})
    values = _surplus(wanted, task_id, ttl, through, room)
    ids = json.loads(connection.execute(_SURPLUS_EXECUTIONS.format(caps=caps), values).fetchone()[0])
    _remove_executions(connection, ids)
    return len(ids)


def _surplus_rows(
    connection: sqlite3.Connection, wanted: Slice, task_id: str, ttl: int | None, through: int, room: int
) -> int:
    caps = {"rows": wanted.retention.rows.last, "skipped": wanted.retention.skipped.last}
    values = {**_surplus(wanted, task_id, ttl, through, room), **caps}
    keys = json.loads(connection.execute(_SURPLUS_ROWS, values).fetchone()[0])
    _fold_rows(connection, keys)
    return len(keys)


def _surplus(wanted: Slice, task_id: str, ttl: int | None, through: int, room: int) -> dict[str, Any]:
    limit = None if ttl is None else wanted.now - ttl
    return {"task": task_id, "newest": wanted.retention.newest, "through": through, "before": limit, "limit": room}


# -- removal


def _remove_executions(connection: sqlite3.Connection, ids: Sequence[str]) -> None:
    """Executions with all that belongs to them; their ledger rows are folded."""
    if not ids:
        return
    values = {"ids": json.dumps(ids)}
    for table in PARTS_OF_EXECUTION:
        connection.execute(f"DELETE FROM {table} WHERE execution_id IN {_IDS}", values)
    connection.execute(_FOLD_EXECUTIONS, values)
    connection.execute(f"DELETE FROM executions WHERE id IN {_IDS}", values)


def _fold_rows(connection: sqlite3.Connection, keys: Sequence[Sequence[Any]]) -> None:
    if keys:
        values = {"keys": json.dumps(keys)}
        connection.execute(_FOLD_ROWS, values)
        connection.execute(f"DELETE FROM settled WHERE {_ROW_KEYS}", values)


def _drop_folded(connection: sqlite3.Connection, task_ids: Sequence[str], limit: Instant | None) -> None:
    connection.execute(
        f"DELETE FROM folded WHERE task_id IN {_IDS} AND last <= :limit", {"ids": json.dumps(task_ids), "limit": limit}
    )


def _remove_task(
    connection: sqlite3.Connection, task_id: str, name: str, executions: int, now: Instant, room: int
) -> int:
    """An inactive task with all that belongs to it; first its executions, where there are too many for one slice."""
    if executions >= room:
        some = "SELECT json_group_array(id) FROM (SELECT id FROM executions WHERE task_id = ? ORDER BY number LIMIT ?)"
        _remove_executions(connection, json.loads(connection.execute(some, (task_id, room)).fetchone()[0]))
        return room
    ids = "(SELECT id FROM executions WHERE task_id = ?)"
    for table in PARTS_OF_EXECUTION:
        connection.execute(f"DELETE FROM {table} WHERE execution_id IN {ids}", (task_id,))
    for table in PARTS_OF_TASK:
        connection.execute(f"DELETE FROM {table} WHERE task_id = ?", (task_id,))
    connection.execute("DELETE FROM edges WHERE child = ?", (task_id,))
    connection.execute("DELETE FROM tasks WHERE id = ?", (task_id,))
    connection.execute("UPDATE totals SET tasks = tasks - 1")
    audit = (now, SYSTEM, "purge", task_id, name)
    connection.execute("INSERT INTO audit (at, actor, action, task_id, detail) VALUES (?, ?, ?, ?, ?)", audit)
    return executions + 1


def _audits(connection: sqlite3.Connection, wanted: Slice) -> Purged:
    oldest = (
        "DELETE FROM audit WHERE sequence IN (SELECT sequence FROM audit WHERE sequence <= "
        "(SELECT max(sequence) FROM audit) - :kept ORDER BY sequence LIMIT :limit)"
    )
    gone = connection.execute(oldest, {"kept": wanted.retention.audits, "limit": wanted.limit}).rowcount
    return Purged(gone, wanted.after if gone == wanted.limit else None)
