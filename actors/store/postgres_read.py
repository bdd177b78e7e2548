"""The questions to the tables. One statement is one snapshot: a task and its open executions belong together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from runtime.clock import Instant
from runtime.errors import InvalidRequest, StoreDamaged

from ..model.calendar import Calendar
from ..model.document import Resolve, decode_calendar, decode_definition
from ..model.execution import Execution
from ..model.lifecycle import Status
from ..model.occurrence import Settled
from ..model.task import Task
from .answers import TASK_SORTS, Counts, ExecutionDetail, LogLine, OutcomeRow, Revision, TaskFilter, TaskPage
from .port import Audit
from .postgres_link import Connection
from .reading import OWN, asks_for_all, asks_for_scheduled, counts_of, extra_of, read_outcome
from .rows import (
    ATTEMPT_COLUMNS,
    EXECUTION_COLUMNS,
    SETTLED_COLUMNS,
    STATE_COLUMNS,
    last_instant,
    read_attempt,
    read_execution,
    read_settled,
    read_task,
)

CALENDARS_HELD: Final = 1_000
"""Versions of calendars that are kept decoded; beyond, all are forgotten and looked up anew."""

TASKS_AT_ONCE: Final = 2_000
"""Tasks of one statement: some megabytes of answer."""

OPEN: Final = "(e.state IN ('WAITING', 'RUNNING', 'CRASHED') OR e.lingers = 1)"
HOLDS: Final = "(e.state = 'RUNNING' OR e.lingers = 1)"
_EXECUTION: Final = ", ".join(f"e.{column}" for column in EXECUTION_COLUMNS)
_TASK: Final = (
    f"SELECT t.id, d.definition, (SELECT json_agg(json_build_array({_EXECUTION}) ORDER BY e.number) FROM executions AS e "
    f"WHERE e.task_id = t.id AND {OPEN}), {', '.join('t.' + column for column in STATE_COLUMNS)}, d.content_type, d.extra "
)
_BOTH: Final = "FROM tasks AS t JOIN definitions AS d ON d.task_id = t.id "
_TASKS_BY_ID: Final = f"{_TASK}{_BOTH}WHERE t.id = ANY(%s)"
_SORTED_BY: Final = {
    "id": "t.id",
    "name": "d.name",
    "type": "d.type",
    "status": "t.status",
    "coming": "CASE WHEN t.phase = 'paused' THEN NULL ELSE t.due END",
    "last_started_at": "t.last_started_at",
    "failure_count": "t.failure_count",
    "created_at": "d.created_at",
}

Known = dict[tuple[str, str, int], Calendar]
"""The calendars that have been seen: a version never changes."""


def resolving(connection: Connection, known: Known) -> Resolve:
    """Finds a version of a calendar, at best among the known ones."""

    def resolve(tenant: str, name: str, version: int) -> Calendar:
        found = known.get(key := (tenant, name, version))
        if found is None:
            row = connection.execute(
                "SELECT document FROM calendars WHERE tenant = %s AND name = %s AND version = %s", key
            ).fetchone()
            if row is None:
                raise StoreDamaged(f"there is no version {version} of the calendar {name!r} of tenant {tenant!r}")
            if len(known) >= CALENDARS_HELD:
                known.clear()
            known[key] = found = decode_calendar(*key, row[0])
        return found

    return resolve


def tasks(connection: Connection, ids: Sequence[str], known: Known) -> list[Task]:
    """See the port."""
    found: list[Task] = []
    for start in range(0, len(ids), TASKS_AT_ONCE):
        rows = connection.execute(_TASKS_BY_ID, (list(ids[start : start + TASKS_AT_ONCE]),)).fetchall()
        found += _tasks(rows, resolving(connection, known))
    return found


def _tasks(rows: Iterable[Sequence[Any]], resolve: Resolve) -> list[Task]:
    return [
        read_task(list(row), {} if data is None else {row[0]: ("", extra_of(kind, data))}, resolve)
        for *row, kind, data in rows
    ]


def last_grants(connection: Connection) -> Mapping[int, int]:
    """See the port."""
    return dict(connection.execute("SELECT id, granted FROM partitions").fetchall())


def find(connection: Connection, tenant: str, name: str) -> str | None:
    """See the port."""
    row = connection.execute(
        "SELECT task_id FROM definitions WHERE tenant = %s AND name = %s", (tenant, name)
    ).fetchone()
    return None if row is None else str(row[0])


def due(
    connection: Connection, partitions: Sequence[int] | None, until: Instant, limit: int
) -> list[tuple[Instant, str]]:
    """See the port."""
    among, values = _among("partition", partitions)
    rows = connection.execute(
        f"SELECT due, id FROM tasks WHERE due IS NOT NULL AND due <= %s {among}ORDER BY due LIMIT %s",
        (until, *values, limit),
    )
    return [(instant, task_id) for instant, task_id in rows]


def _among(column: str, values: Sequence[int] | Sequence[str] | None) -> tuple[str, tuple[list[Any], ...]]:
    """The condition that a column is one of these values (None: any), with what is to be bound."""
    return ("", ()) if values is None else (f"AND {column} = ANY(%s) ", (list(values),))


def _ids(connection: Connection, statement: str, values: Sequence[Any] = ()) -> list[str]:
    return [row[0] for row in connection.execute(statement, values)]


def orphans(
    connection: Connection, live_boots: Sequence[str], limit: int, partitions: Sequence[int] | None
) -> list[str]:
    """See the port."""
    among, values = _among("(SELECT partition FROM tasks AS t WHERE t.id = e.task_id)", partitions)
    return _ids(
        connection,
        f"SELECT DISTINCT e.task_id FROM executions AS e WHERE {OPEN} AND {HOLDS} "
        f"AND coalesce(e.boot, '') <> ALL(%s) {among}LIMIT %s",
        (list(live_boots), *values, limit),
    )


def granted_until(connection: Connection) -> Instant | None:
    """See the port."""
    row = connection.execute(
        f"SELECT max(e.due) FROM executions AS e WHERE {OPEN} AND e.state = 'WAITING' AND e.waits_for = 'governor'"
    ).fetchone()
    return None if row is None else last_instant(row[0])


def occupied(connection: Connection) -> list[str]:
    """See the port."""
    return _ids(
        connection,
        f"SELECT DISTINCT e.task_id FROM executions AS e WHERE {OPEN} AND {HOLDS} ORDER BY e.task_id",
    )


def locks(connection: Connection, limit: int) -> list[Execution]:
    """See the port."""
    rows = connection.execute(
        f"SELECT {_EXECUTION} FROM executions AS e WHERE e.key IS NOT NULL AND {HOLDS} ORDER BY e.key, e.id LIMIT %s",
        (limit,),
    )
    return [read_execution(list(row)) for row in rows]


def task_ids(connection: Connection, after: str, limit: int) -> list[str]:
    """See the port."""
    return _ids(connection, "SELECT id FROM tasks WHERE id > %s ORDER BY id LIMIT %s", (after, limit))


def edges(connection: Connection) -> list[tuple[str, str]]:
    """See the port."""
    return [(child, parent) for child, parent in connection.execute("SELECT child, parent FROM edges")]


def uncounted(connection: Connection, limit: int) -> list[Settled]:
    """See the port."""
    rows = connection.execute(
        f"SELECT {', '.join(SETTLED_COLUMNS)} FROM settled WHERE count IS NULL ORDER BY task_id, first LIMIT %s",
        (limit,),
    )
    return [read_settled(row) for row in rows]


def waiting(
    connection: Connection, limit: int, types: Sequence[str] | None, partitions: Sequence[int] | None
) -> list[str]:
    """See the port."""
    of_type, type_values = _among("d.type", types)
    of_partition, partition_values = _among("t.partition", partitions)
    return _ids(
        connection,
        f"SELECT e.task_id FROM executions AS e JOIN tasks AS t ON t.id = e.task_id "
        f"JOIN definitions AS d ON d.task_id = e.task_id WHERE {OPEN} AND e.state = 'WAITING' "
        f"AND e.waits_for IN ('slot', 'node', 'queue', 'key', 'governor') AND e.due IS NULL {of_type}{of_partition}"
        "GROUP BY e.task_id, d.priority ORDER BY d.priority, min(e.id) LIMIT %s",
        (*type_values, *partition_values, limit),
    )


# -- lists


def page(connection: Connection, wanted: TaskFilter, known: Known) -> TaskPage:
    """See the port."""
    if wanted.sort not in TASK_SORTS:
        raise InvalidRequest(f"tasks cannot be sorted by {wanted.sort!r}; possible: {', '.join(TASK_SORTS)}")
    where, values = _conditions(wanted)
    # As in the other adapters a missing value is the lowest.
    direction, nulls = ("DESC", "LAST") if wanted.descending else ("ASC", "FIRST")
    order = f"{_SORTED_BY[wanted.sort]} {direction} NULLS {nulls}, t.id {direction}"
    rows = connection.execute(
        f"{_TASK}{_BOTH}{where}ORDER BY {order} LIMIT %s OFFSET %s", (*values, wanted.limit, wanted.offset)
    ).fetchall()
    return TaskPage(tuple(_tasks(rows, resolving(connection, known))), _total(connection, wanted, where, values))


def _conditions(wanted: TaskFilter) -> tuple[str, list[str]]:
    pairs = {"t.status = %s": wanted.status, "d.type = %s": wanted.type, "d.tenant = %s": wanted.tenant}
    given = {condition: str(value) for condition, value in pairs.items() if value is not None}
    if wanted.status is not None and wanted.status is not Status.SCHEDULED:
        given = {f"t.status <> 'SCHEDULED' AND {condition}": value for condition, value in given.items()}
    if wanted.owner is not None:
        given["coalesce(d.definition::json ->> 'owner', '') = %s"] = wanted.owner
    if wanted.text is not None:
        given["strpos(lower(d.name), lower(%s)) > 0"] = wanted.text
    if wanted.type_prefix is not None:
        given["starts_with(d.type, %s)"] = wanted.type_prefix
    if wanted.id_prefix is not None:
        given["starts_with(t.id, %s)"] = wanted.id_prefix
    conditions = [*given, *(() if wanted.system else (f"d.type NOT IN {OWN}",))]
    return (f"WHERE {' AND '.join(conditions)} " if conditions else ""), list(given.values())


def _total(connection: Connection, wanted: TaskFilter, where: str, values: Sequence[str]) -> int:
    statement = f"SELECT count(*) {_BOTH}{where}"
    own = "0" if wanted.system else f"(SELECT count(*) {_BOTH}WHERE d.type IN {OWN}{{}})"
    if asks_for_all(wanted):
        statement = f"SELECT coalesce(sum(tasks), 0)::bigint - {own.format('')} FROM totals"
    elif asks_for_scheduled(wanted):
        others = "(SELECT count(*) FROM tasks WHERE status <> 'SCHEDULED')"
        scheduled = own.format(" AND t.status = 'SCHEDULED'")
        statement, values = f"SELECT coalesce(sum(tasks), 0)::bigint - {others} - {scheduled} FROM totals", ()
    row = connection.execute(statement, list(values)).fetchone()
    return 0 if row is None else int(row[0])


def executions(connection: Connection, task_id: str, *, offset: int, limit: int) -> tuple[list[Execution], int]:
    """See the port."""
    rows = connection.execute(
        f"SELECT {_EXECUTION} FROM executions AS e WHERE e.task_id = %s ORDER BY e.number DESC LIMIT %s OFFSET %s",
        (task_id, limit, offset),
    ).fetchall()
    total = connection.execute("SELECT count(*) FROM executions WHERE task_id = %s", (task_id,)).fetchone()
    return [read_execution(list(row)) for row in rows], 0 if total is None else int(total[0])


def execution(connection: Connection, execution_id: str) -> ExecutionDetail | None:
    """See the port."""
    row = connection.execute(
        "SELECT (SELECT result FROM results WHERE execution_id = e.id), "
        "(SELECT data FROM checkpoints WHERE execution_id = e.id), "
        f"(SELECT progress FROM progress WHERE execution_id = e.id), {_EXECUTION} FROM executions AS e WHERE e.id = %s",
        (execution_id,),
    ).fetchone()
    if row is None:
        return None
    former = connection.execute(
        f"SELECT {', '.join(ATTEMPT_COLUMNS)} FROM attempts WHERE execution_id = %s ORDER BY number", (execution_id,)
    )
    return ExecutionDetail(read_execution(list(row[3:])), tuple(map(read_attempt, former)), *row[:3])


def checkpoint(connection: Connection, execution_id: str) -> str | None:
    """See the port."""
    row = connection.execute("SELECT data FROM checkpoints WHERE execution_id = %s", (execution_id,)).fetchone()
    return None if row is None else str(row[0])


def logs(connection: Connection, execution_id: str, *, after: int, limit: int) -> list[LogLine]:
    """See the port."""
    rows = connection.execute(
        "SELECT sequence, attempt, at, level, text FROM logs WHERE execution_id = %s AND sequence > %s "
        "ORDER BY sequence LIMIT %s",
        (execution_id, after, limit),
    )
    return [LogLine(*row) for row in rows]


def outcomes(
    connection: Connection, task_id: str, *, since: Instant, until: Instant, limit: int, newest: bool
) -> list[OutcomeRow]:
    """See the port."""
    order = "first DESC, last DESC" if newest else "first, last"
    rows = connection.execute(
        "SELECT nominal AS first, nominal AS last, 1 AS count, outcome, reason, id, state, first_started_at, revision, false, "
        "target FROM executions WHERE task_id = %(task)s AND nominal BETWEEN %(since)s AND %(until)s UNION ALL "
        "SELECT first, last, count, outcome, reason, execution, NULL, NULL, revision, false, NULL "
        "FROM settled WHERE task_id = %(task)s AND last >= %(since)s AND first <= %(until)s UNION ALL "
        "SELECT first, last, count, outcome, nullif(reason, ''), NULL, NULL, NULL, 0, true, NULL "
        "FROM folded WHERE task_id = %(task)s AND hour <= %(until)s AND last >= %(since)s AND first <= %(until)s "
        f"ORDER BY {order} LIMIT %(limit)s",
        {"task": task_id, "since": since, "until": until, "limit": limit},
    )
    return [read_outcome(row) for row in rows]


def revisions(connection: Connection, task_id: str, known: Known) -> list[Revision]:
    """See the port."""
    rows = connection.execute(
        "SELECT revision, began_at, definition, content_type, extra FROM revisions WHERE task_id = %(task)s UNION ALL "
        "SELECT t.revision, d.began_at, d.definition, d.content_type, d.extra "
        f"{_BOTH}WHERE t.id = %(task)s ORDER BY revision",
        {"task": task_id},
    ).fetchall()
    resolve = resolving(connection, known)
    return [
        Revision(revision, decode_definition(document, extra_of(content_type, data), resolve), began_at)
        for revision, began_at, document, content_type, data in rows
    ]


def audits(connection: Connection, *, offset: int, limit: int) -> list[Audit]:
    """See the port."""
    rows = connection.execute(
        "SELECT at, actor, action, task_id, detail, tenant, origin, change FROM audit ORDER BY sequence DESC LIMIT %s OFFSET %s",
        (limit, offset),
    )
    return [Audit(*row) for row in rows]


# One statement, so that the numbers belong together; SCHEDULED is what is left when the others are counted.
_COUNTS: Final = (
    "SELECT coalesce(sum(tasks), 0)::bigint, (SELECT coalesce(json_object_agg(status, number), '{}') FROM "
    f"(SELECT t.status, count(*) AS number {_BOTH}WHERE d.type IN {OWN} GROUP BY t.status) AS own), "
    "(SELECT coalesce(json_object_agg(status, number), '{}') FROM "
    "(SELECT status, count(*) AS number FROM tasks WHERE status <> 'SCHEDULED' GROUP BY status) AS others), "
    "(SELECT coalesce(json_agg(json_build_array(outcome, reason, number)), '[]') FROM "
    "(SELECT outcome, reason, sum(count)::bigint AS number FROM tallies GROUP BY outcome, reason) AS reasons), "
    "json_build_object('fired', coalesce(sum(fired), 0)::bigint, 'late', coalesce(sum(late), 0)::bigint, "
    "'coalesced', coalesce(sum(coalesced), 0)::bigint, 'missed', coalesce(sum(missed), 0)::bigint, "
    "'skipped', coalesce(sum(skipped), 0)::bigint) FROM totals"
)


def counts(connection: Connection) -> Counts:
    """See the port."""
    row = connection.execute(_COUNTS).fetchone()
    assert row is not None
    number, system, by_status, reasons, by_outcome = row
    return counts_of(number, by_status, by_outcome, reasons, system)
