"""Removal of what has been kept long enough, slice by slice.

What a slice removes from the ledger it folds in the same transaction. Walks by age follow an index on the instant; walks task
by task follow the ids. Nothing is looked at twice in one walk.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal, assert_never

import attrs

from runtime.clock import HOUR, Instant

from ..model.lifecycle import Phase
from ..model.retention import FAR, FINAL_STATES, SYSTEM, Cursor, Purged, Slice, Stage, before

TASKS_AT_ONCE: Final = 100
"""Tasks that one slice looks at: one index lookup each, where nothing is to be done."""

LOOKED_AT: Final = 1_000
"""Rows of tasks' histories that one slice looks at: some milliseconds."""

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


@attrs.define
class _Step:
    """What was done about one task: rows that went and that were looked at, and where to go on with it; None: it is done."""

    removed: int = 0
    looked: int = 0
    next: Cursor | None = None


def _task_by_task(connection: sqlite3.Connection, wanted: Slice) -> Purged:
    tasks = _tasks(connection, wanted)
    if wanted.stage is Stage.LEDGER and wanted.retention.folded is not None:
        _drop_folded(connection, [task[0] for task in tasks], before(wanted.retention.folded, wanted.now))
    removed = looked = 0
    for task in tasks:
        begun = wanted.after if wanted.after.id == task[0] else Cursor(FAR, task[0])
        step = _of_task(connection, wanted, task, begun, wanted.limit - removed, LOOKED_AT - looked)
        removed += step.removed
        looked += step.looked
        if step.next is not None or removed >= wanted.limit or looked >= LOOKED_AT:
            return Purged(removed, step.next or Cursor(id=task[0]))
    return Purged(removed, Cursor(id=tasks[-1][0]) if len(tasks) == _at_once(wanted) else None)


def _tasks(connection: sqlite3.Connection, wanted: Slice) -> list[Any]:
    """The next tasks, beginning with the one that is not done."""
    which = "id > :id" if wanted.after.at == -FAR else "id >= :id"
    if wanted.task_id is not None:
        which = f"id = :task AND {which}"
    values = {"id": wanted.after.id, "task": wanted.task_id, "limit": _at_once(wanted)}
    tasks: list[Any] = json.loads(connection.execute(_TASKS.format(which=which), values).fetchone()[0])
    return tasks


def _at_once(wanted: Slice) -> int:
    return min(TASKS_AT_ONCE, wanted.limit)


def _of_task(
    connection: sqlite3.Connection, wanted: Slice, task: Sequence[Any], begun: Cursor, room: int, look: int
) -> _Step:
    """Remove at most `room` rows of a task, or the task itself, after looking at no more than `look`."""
    task_id, name, phase, ttl, since, through, settled = task
    retention = wanted.retention
    limit = None if ttl is None else Instant(wanted.now - ttl)
    values = {"task": task_id, "through": through, "before": limit, "at": begun.at, "look": look}
    if wanted.stage is Stage.LEDGER:
        caps = {"rows": retention.rows.last, "skipped": retention.skipped.last}
        return _surplus(connection, wanted, "settled", values, caps, begun, room)
    kept = before(retention.tasks if ttl is None else ttl, wanted.now)
    inactive = phase in (Phase.FINISHED, Phase.CANCELLED) and settled and kept is not None and since <= kept
    if inactive and connection.execute(_FREE, {"task": task_id}).fetchone()[0]:
        return _remove_task(connection, task_id, name, wanted.now, room)
    caps = {state.value: keep.last for state, keep in retention.states.items()}
    return _surplus(connection, wanted, "executions", values, caps, begun, room)


def _surplus(
    connection: sqlite3.Connection,
    wanted: Slice,
    table: Literal["executions", "settled"],
    values: dict[str, Any],
    caps: Mapping[str, int | None],
    begun: Cursor,
    room: int,
) -> _Step:
    """Remove rows beyond the number of their kind or beyond their task's own time, from the newest to the oldest.

    The cursor holds how many of each kind are newer, so that every row is looked at once however long the walk is.
    """
    seen = Counter(dict(begun.seen))
    if not seen and not _over(connection, table, values, caps):
        return _Step(looked=1)
    statement = _EXECUTIONS if table == "executions" else _ROWS
    found = json.loads(connection.execute(statement, values).fetchone()[0])
    gone: list[Any] = []
    looked = 0
    for _, kind, key, aged in found:
        looked += 1
        seen[kind] += 1
        cap = caps.get(kind)
        if (
            key is not None
            and seen.total() > wanted.retention.newest
            and (aged or (cap is not None and seen[kind] > cap))
        ):
            gone.append(key)
            if len(gone) == room:
                break
    _remove_executions(connection, gone) if table == "executions" else _fold_rows(connection, gone)
    more = looked < len(found) or looked == values["look"]
    if not more:
        return _Step(len(gone), looked)
    place = found[looked - 1][0] if looked else begun.at
    return _Step(len(gone), looked, Cursor(place, values["task"], seen=tuple(sorted(seen.items()))))


def _over(
    connection: sqlite3.Connection, table: str, values: Mapping[str, Any], caps: Mapping[str, int | None]
) -> bool:
    """Whether a closer look is worth it: there are more rows than allowed of one kind, or the task has a time of its own."""
    if values["before"] is not None:
        return True
    least = min((cap for cap in caps.values() if cap is not None), default=None)
    if least is None:
        return False
    return bool(_count_up_to(connection, table, values["task"], least + 1) > least)


def _count_up_to(connection: sqlite3.Connection, table: str, task_id: str, most: int) -> int:
    number: int = connection.execute(_MORE_THAN.format(table=table), (task_id, most)).fetchone()[0]
    return number


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


def _remove_task(connection: sqlite3.Connection, task_id: str, name: str, now: Instant, room: int) -> _Step:
    """An inactive task with all that belongs to it; first its rows, where there are too many for one slice."""
    some = "SELECT json_group_array(id) FROM (SELECT id FROM executions WHERE task_id = ? ORDER BY number LIMIT ?)"
    executions = json.loads(connection.execute(some, (task_id, room)).fetchone()[0])
    _remove_executions(connection, executions)
    if len(executions) == room:
        return _Step(room, next=Cursor(FAR, task_id))
    for table, column in (("settled", "first"), ("folded", "hour")):
        few = f"SELECT {column} FROM {table} WHERE task_id = ?1 LIMIT ?2"
        gone = connection.execute(
            f"DELETE FROM {table} WHERE task_id = ?1 AND {column} IN ({few})", (task_id, LOOKED_AT)
        ).rowcount
        if gone >= LOOKED_AT:
            return _Step(len(executions), next=Cursor(FAR, task_id))
    for table in PARTS_OF_TASK:
        connection.execute(f"DELETE FROM {table} WHERE task_id = ?", (task_id,))
    connection.execute("DELETE FROM edges WHERE child = ?", (task_id,))
    connection.execute("DELETE FROM tasks WHERE id = ?", (task_id,))
    connection.execute("UPDATE totals SET tasks = tasks - 1")
    audit = (now, SYSTEM, "purge", task_id, name)
    connection.execute("INSERT INTO audit (at, actor, action, task_id, detail) VALUES (?, ?, ?, ?, ?)", audit)
    return _Step(len(executions) + 1, looked=1)


def _audits(connection: sqlite3.Connection, wanted: Slice) -> Purged:
    oldest = (
        "DELETE FROM audit WHERE sequence IN (SELECT sequence FROM audit WHERE sequence <= "
        "(SELECT max(sequence) FROM audit) - :kept ORDER BY sequence LIMIT :limit)"
    )
    gone = connection.execute(oldest, {"kept": wanted.retention.audits, "limit": wanted.limit}).rowcount
    return Purged(gone, wanted.after if gone == wanted.limit else None)
