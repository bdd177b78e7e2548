"""The questions to the tables.

Answers of many rows come as one JSON text: one step of the statement instead of one per row, for the reason told in
`sqlite_bulk.py`. One statement is also one snapshot: a task and its open executions belong together.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from runtime.clock import Instant

from ..model.document import decode_definition
from ..model.execution import Execution
from ..model.occurrence import Settled
from ..model.task import Extra, Task
from . import sqlite_lists
from .answers import Counts, ExecutionDetail, LogLine, OutcomeRow, Revision, TaskFilter, TaskPage
from .port import Audit
from .reading import OWN, counts_of, extra_of, read_outcome
from .rows import (
    ATTEMPT_COLUMNS,
    EXECUTION_COLUMNS,
    SETTLED_COLUMNS,
    STATE_COLUMNS,
    read_attempt,
    read_execution,
    read_settled,
    read_task,
)
from .sqlite_schema import Reader

TASKS_AT_ONCE: Final = 2_000
"""Tasks of one statement: some megabytes of answer."""

_OPEN: Final = "(state IN ('WAITING', 'RUNNING', 'CRASHED') OR lingers)"
_E_OPEN: Final = "(e.state IN ('WAITING', 'RUNNING', 'CRASHED') OR e.lingers)"
"""Written as in the partial index: SQLite uses it only for the same words."""

_EXECUTION: Final = f"json_array({', '.join(EXECUTION_COLUMNS)})"
_TASK: Final = (
    f"json_array(t.id, t.definition, "
    f"(SELECT json_group_array(json_array({', '.join('e.' + column for column in EXECUTION_COLUMNS)})) "
    f"FROM (SELECT * FROM executions INDEXED BY executions_open WHERE task_id = t.id AND {_OPEN} ORDER BY number) AS e), "
    f"{', '.join('t.' + column for column in STATE_COLUMNS)})"
)
_APART: Final = "json_group_array(t.id) FILTER (WHERE t.parcel)"
_IDS: Final = "(SELECT value FROM json_each(?))"
_TASKS_BY_ID: Final = f"SELECT json_group_array({_TASK}), {_APART} FROM tasks AS t WHERE t.id IN {_IDS}"


def tasks(connection: Reader, ids: Sequence[str]) -> list[Task]:
    """See the port."""
    found: list[Task] = []
    for start in range(0, len(ids), TASKS_AT_ONCE):
        answer = connection.execute(_TASKS_BY_ID, (json.dumps(ids[start : start + TASKS_AT_ONCE]),)).fetchone()
        found += _tasks(connection, *answer)
    return found


def _tasks(connection: Reader, text: str, with_parcel: str) -> list[Task]:
    parcels = {} if with_parcel == "[]" else _parcels(connection, with_parcel)
    return [read_task(row, parcels, connection.calendar) for row in json.loads(text)]


def _parcels(connection: sqlite3.Connection, ids: str) -> dict[str, tuple[str, Extra | None]]:
    rows = connection.execute(
        f"SELECT task_id, definition, content_type, extra FROM parcels WHERE task_id IN {_IDS}", (ids,)
    )
    return {task_id: (document, extra_of(content_type, data)) for task_id, document, content_type, data in rows}


def last_grants(connection: sqlite3.Connection) -> Mapping[int, int]:
    """See the port."""
    return dict(connection.execute("SELECT id, granted FROM partitions"))


def find(connection: sqlite3.Connection, tenant: str, name: str) -> str | None:
    """See the port."""
    row = connection.execute("SELECT id FROM tasks WHERE tenant = ? AND name = ?", (tenant, name)).fetchone()
    return None if row is None else str(row[0])


def due(
    connection: sqlite3.Connection, partitions: Sequence[int] | None, until: Instant, limit: int
) -> list[tuple[Instant, str]]:
    """See the port."""
    among, values = _among("partition", partitions)
    return [
        (instant, task_id)
        for instant, task_id in _all(
            connection,
            f"SELECT json_group_array(json_array(due, id)) FROM (SELECT due, id FROM tasks "
            f"WHERE due IS NOT NULL AND due <= ? {among}ORDER BY due LIMIT ?)",
            (until, *values, limit),
        )
    ]


def _all(connection: sqlite3.Connection, statement: str, values: Iterable[Any]) -> list[Any]:
    """The rows of a statement that answers one JSON array."""
    rows: list[Any] = json.loads(connection.execute(statement, tuple(values)).fetchone()[0])
    return rows


def orphans(
    connection: sqlite3.Connection, live_boots: Sequence[str], limit: int, partitions: Sequence[int] | None
) -> list[str]:
    """See the port."""
    among, values = _among("(SELECT partition FROM tasks AS t WHERE t.id = task_id)", partitions)
    return _all(
        connection,
        f"SELECT json_group_array(task_id) FROM (SELECT DISTINCT task_id FROM executions INDEXED BY executions_open "
        f"WHERE {_OPEN} AND (state = 'RUNNING' OR lingers) AND coalesce(boot, '') NOT IN {_IDS} {among}LIMIT ?)",
        (json.dumps(list(live_boots)), *values, limit),
    )


def _among(column: str, values: Sequence[int] | Sequence[str] | None) -> tuple[str, tuple[str, ...]]:
    """The condition that a column is one of these values (None: any), with what is to be bound."""
    return ("", ()) if values is None else (f"AND {column} IN {_IDS} ", (json.dumps(list(values)),))


def granted_until(connection: sqlite3.Connection) -> Instant | None:
    """See the port."""
    found: Instant | None = connection.execute(
        f"SELECT max(due) FROM executions INDEXED BY executions_open "
        f"WHERE {_OPEN} AND state = 'WAITING' AND waits_for = 'governor'"
    ).fetchone()[0]
    return found


def occupied(connection: sqlite3.Connection) -> list[str]:
    """See the port."""
    return _all(
        connection,
        "SELECT json_group_array(task_id) FROM (SELECT DISTINCT task_id FROM executions INDEXED BY executions_open "
        f"WHERE {_OPEN} AND (state = 'RUNNING' OR lingers) ORDER BY task_id)",
        (),
    )


def locks(connection: sqlite3.Connection, limit: int) -> list[Execution]:
    """See the port."""
    rows = _all(
        connection,
        f"SELECT json_group_array({_EXECUTION}) FROM (SELECT * FROM executions INDEXED BY executions_key "
        "WHERE key IS NOT NULL AND (state = 'RUNNING' OR lingers) ORDER BY key, id LIMIT ?)",
        (limit,),
    )
    return [read_execution(row) for row in rows]


def task_ids(connection: sqlite3.Connection, after: str, limit: int) -> list[str]:
    """See the port."""
    rows = connection.execute("SELECT id FROM tasks WHERE id > ? ORDER BY id LIMIT ?", (after, limit))
    return [task_id for (task_id,) in rows]


def edges(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    """See the port."""
    rows = _all(connection, "SELECT json_group_array(json_array(child, parent)) FROM edges", ())
    return [(child, parent) for child, parent in rows]


def uncounted(connection: sqlite3.Connection, limit: int) -> list[Settled]:
    """See the port."""
    rows = connection.execute(
        f"SELECT {', '.join(SETTLED_COLUMNS)} FROM settled INDEXED BY settled_uncounted WHERE count IS NULL "
        "ORDER BY task_id, first LIMIT ?",
        (limit,),
    )
    return [read_settled(row) for row in rows]


def waiting(
    connection: sqlite3.Connection, limit: int, types: Sequence[str] | None, partitions: Sequence[int] | None
) -> list[str]:
    """See the port."""
    of_type, type_values = _among("t.type", types)
    of_partition, partition_values = _among("t.partition", partitions)
    return _all(
        connection,
        f"SELECT json_group_array(task_id) FROM (SELECT e.task_id FROM executions AS e INDEXED BY executions_open "
        f"CROSS JOIN tasks AS t ON t.id = e.task_id WHERE {_E_OPEN} AND e.state = 'WAITING' "
        f"AND e.waits_for IN ('slot', 'node', 'queue', 'key', 'governor') AND e.due IS NULL {of_type}{of_partition}"
        "GROUP BY e.task_id ORDER BY t.priority, min(e.id) LIMIT ?)",
        (*type_values, *partition_values, limit),
    )


def page(connection: Reader, wanted: TaskFilter) -> TaskPage:
    """See the port."""
    with _snapshot(connection):
        return _page(connection, wanted)


@contextmanager
def _snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    """Several statements that see the same."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")


def _page(connection: Reader, wanted: TaskFilter) -> TaskPage:
    # Numbers first: what is looked through are indexes, and not whole rows.
    chosen = json.dumps(sqlite_lists.numbers(connection, wanted))
    answer = connection.execute(
        f"SELECT json_group_array({_TASK}), {_APART} FROM (SELECT key, value FROM json_each(?) ORDER BY key) AS n "
        "CROSS JOIN tasks AS t ON t.number = n.value",
        (chosen,),
    ).fetchone()
    return TaskPage(tuple(_tasks(connection, *answer)), sqlite_lists.total(connection, wanted))


def executions(connection: sqlite3.Connection, task_id: str, *, offset: int, limit: int) -> tuple[list[Execution], int]:
    """See the port."""
    rows = _all(
        connection,
        f"SELECT json_group_array({_EXECUTION}) FROM "
        "(SELECT * FROM executions WHERE task_id = ? ORDER BY number DESC LIMIT ? OFFSET ?)",
        (task_id, limit, offset),
    )
    (total,) = connection.execute("SELECT count(*) FROM executions WHERE task_id = ?", (task_id,)).fetchone()
    return [read_execution(row) for row in rows], int(total)


def execution(connection: sqlite3.Connection, execution_id: str) -> ExecutionDetail | None:
    """See the port."""
    row = connection.execute(
        f"SELECT {_EXECUTION}, (SELECT result FROM results WHERE execution_id = id), "
        "(SELECT data FROM checkpoints WHERE execution_id = id), "
        "(SELECT progress FROM progress WHERE execution_id = id) FROM executions WHERE id = ?",
        (execution_id,),
    ).fetchone()
    if row is None:
        return None
    former = connection.execute(
        f"SELECT {', '.join(ATTEMPT_COLUMNS)} FROM attempts WHERE execution_id = ? ORDER BY number", (execution_id,)
    )
    return ExecutionDetail(read_execution(json.loads(row[0])), tuple(map(read_attempt, former)), *row[1:])


def checkpoint(connection: sqlite3.Connection, execution_id: str) -> str | None:
    """See the port."""
    row = connection.execute("SELECT data FROM checkpoints WHERE execution_id = ?", (execution_id,)).fetchone()
    return None if row is None else str(row[0])


def logs(connection: sqlite3.Connection, execution_id: str, *, after: int, limit: int) -> list[LogLine]:
    """See the port."""
    rows = connection.execute(
        "SELECT sequence, attempt, at, level, text FROM logs WHERE execution_id = ? AND sequence > ? "
        "ORDER BY sequence LIMIT ?",
        (execution_id, after, limit),
    )
    return [LogLine(*row) for row in rows]


def outcomes(
    connection: sqlite3.Connection, task_id: str, *, since: Instant, until: Instant, limit: int, newest: bool
) -> list[OutcomeRow]:
    """See the port."""
    order = "first DESC, last DESC" if newest else "first, last"
    rows = connection.execute(
        "SELECT nominal AS first, nominal AS last, 1, outcome, reason, id, state, first_started_at, revision, 0, "
        "target FROM executions WHERE task_id = :task AND nominal BETWEEN :since AND :until UNION ALL "
        "SELECT first, last, count, outcome, reason, execution, NULL, NULL, revision, 0, NULL "
        "FROM settled WHERE task_id = :task AND last >= :since AND first <= :until UNION ALL "
        "SELECT first, last, count, outcome, nullif(reason, ''), NULL, NULL, NULL, 0, 1, NULL "
        "FROM folded WHERE task_id = :task AND hour <= :until AND last >= :since AND first <= :until "
        f"ORDER BY {order} LIMIT :limit",
        {"task": task_id, "since": since, "until": until, "limit": limit},
    )
    return [read_outcome(row) for row in rows]


def revisions(connection: Reader, task_id: str) -> list[Revision]:
    """See the port."""
    rows = connection.execute(
        "SELECT revision, began_at, definition, content_type, extra FROM revisions WHERE task_id = :task UNION ALL "
        "SELECT t.revision, t.began_at, coalesce(nullif(p.definition, ''), t.definition), p.content_type, p.extra "
        "FROM tasks AS t LEFT JOIN parcels AS p ON p.task_id = t.id WHERE t.id = :task ORDER BY revision",
        {"task": task_id},
    )
    return [
        Revision(revision, decode_definition(document, extra_of(content_type, data), connection.calendar), began_at)
        for revision, began_at, document, content_type, data in rows
    ]


def audits(connection: sqlite3.Connection, *, offset: int, limit: int) -> list[Audit]:
    """See the port."""
    rows = connection.execute(
        "SELECT at, actor, action, task_id, detail, tenant, origin, change FROM audit ORDER BY sequence DESC LIMIT ? OFFSET ?",
        (limit, offset),
    )
    return [Audit(*row) for row in rows]


def counts(connection: sqlite3.Connection) -> Counts:
    """See the port."""
    # One statement, so that the numbers belong together; SCHEDULED is what is left when the others are counted.
    (text,) = connection.execute(
        "SELECT json_object('tasks', tasks, 'others', (SELECT json_group_object(status, number) FROM "
        "(SELECT status, count(*) AS number FROM tasks WHERE status <> 'SCHEDULED' GROUP BY status)), "
        "'system', (SELECT json_group_object(status, number) FROM "
        f"(SELECT status, count(*) AS number FROM tasks WHERE type IN {OWN} GROUP BY status)), "
        "'reasons', (SELECT json_group_array(json_array(outcome, reason, count)) FROM tallies), "
        "'outcomes', json_object('fired', fired, 'late', late, 'coalesced', coalesced, 'missed', missed, "
        "'skipped', skipped)) FROM totals"
    ).fetchone()
    answer = json.loads(text)
    return counts_of(answer["tasks"], answer["others"], answer["outcomes"], answer["reasons"], answer["system"])
