"""What is going on and what was lately, over all tasks: by the index of what is open, and by that of what has ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from runtime.clock import Instant

from .answers import Active, Activity, ActivityFilter, Newest
from .handovers import (
    HANDOVER_COLUMNS,
    HANDOVERS_KEPT,
    Handover,
    HandoverFilter,
    LeaseRow,
    handover_conditions,
    handovers_of,
    read_handover,
    row_of,
)
from .postgres_link import Connection
from .reading import look
from .rows import EXECUTION_COLUMNS, SETTLED_COLUMNS, last_instant, read_execution, read_settled

_OPEN: Final = "(e.state IN ('WAITING', 'RUNNING', 'CRASHED') OR e.lingers = 1)"
_EXECUTION: Final = ", ".join(f"e.{column}" for column in EXECUTION_COLUMNS)
_ROW: Final = f"d.name, d.type, {_EXECUTION}"
_OF_TASK: Final = "JOIN definitions AS d ON d.task_id = e.task_id"


def activity(connection: Connection, wanted: ActivityFilter) -> Activity:
    """See the port."""
    conditions, values = _conditions(wanted)
    of_task, task = ("", ()) if wanted.task_id is None else ("AND e.task_id = %s ", (wanted.task_id,))
    ended = (
        f"FROM executions AS e WHERE e.ended_at IS NOT NULL AND e.ended_at >= %s AND e.ended_at <= %s AND NOT {_OPEN} "
        f"{of_task}ORDER BY e.ended_at DESC, e.id DESC"
    )
    bounds = (wanted.since, wanted.until, *task)

    def present(limit: int) -> list[Active]:
        rows = connection.execute(
            f"SELECT {_ROW} FROM (SELECT * FROM executions AS e WHERE {_OPEN} {of_task}LIMIT %s) AS e {_OF_TASK} "
            f"{conditions}ORDER BY e.created_at DESC, e.id DESC LIMIT %s",
            (*task, wanted.scanned, *values, limit),
        )
        return _read(rows)

    def past(offset: int, limit: int) -> list[Active]:
        rows = connection.execute(
            f"SELECT {_ROW} FROM (SELECT * {ended} LIMIT %s) AS e {_OF_TASK} {conditions}"
            "ORDER BY e.ended_at DESC, e.id DESC LIMIT %s OFFSET %s",
            (*bounds, wanted.scanned, *values, limit, offset),
        )
        return _read(rows)

    def bound() -> Instant | None:
        statement = f"SELECT e.ended_at {ended} LIMIT 1 OFFSET %s"
        row = connection.execute(statement, (*bounds, wanted.scanned)).fetchone()
        return None if row is None else last_instant(row[0])

    return look(wanted, present, past, bound)


def _conditions(wanted: ActivityFilter) -> tuple[str, list[Any]]:
    pairs = {
        "d.type = %s": wanted.type,
        "d.tenant = %s": wanted.tenant,
        "coalesce(d.definition::json ->> 'owner', '') = %s": wanted.owner,
        "e.node = %s": wanted.node,
        "e.state = ANY(%s)": None if wanted.states is None else [state.value for state in wanted.states],
    }
    given: dict[str, Any] = {condition: value for condition, value in pairs.items() if value is not None}
    return (f"WHERE {' AND '.join(given)} " if given else ""), list(given.values())


def _read(rows: Iterable[Sequence[Any]]) -> list[Active]:
    return [Active(read_execution(list(row)), name, type_) for name, type_, *row in rows]


_NEWEST: Final = (
    f"SELECT t.id, {_EXECUTION} FROM tasks AS t CROSS JOIN LATERAL "
    "(SELECT * FROM executions WHERE task_id = t.id ORDER BY number DESC LIMIT %s) AS e WHERE t.id = ANY(%s) "
    "ORDER BY e.number DESC"
)
_SETTLED: Final = (
    f"SELECT {', '.join('s.' + column for column in SETTLED_COLUMNS)} FROM unnest(%s::text[]) AS t (id) CROSS JOIN LATERAL "
    "(SELECT * FROM settled WHERE task_id = t.id ORDER BY first DESC LIMIT %s) AS s ORDER BY s.first DESC"
)


def newest(connection: Connection, ids: Sequence[str], count: int) -> Mapping[str, Newest]:
    """See the port."""
    known = connection.execute("SELECT id FROM tasks WHERE id = ANY(%s)", (list(ids),)).fetchall()
    ran: dict[str, list[Any]] = {task_id: [] for (task_id,) in known}
    settled: dict[str, list[Any]] = {task_id: [] for task_id in ran}
    for task_id, *row in connection.execute(_NEWEST, (count, list(ran))):
        ran[task_id].append(read_execution(row))
    for found in map(read_settled, connection.execute(_SETTLED, (list(ran), count))):
        settled[found.task_id].append(found)
    return {task_id: Newest(tuple(ran[task_id]), tuple(settled[task_id])) for task_id in ran}


# -- who took partitions from whom

_NOTE: Final = (
    f"INSERT INTO handovers ({', '.join(HANDOVER_COLUMNS)}) SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], "
    "%s::text[], %s::text[], %s::text[], %s::text[], %s::text[])"
)


def note_handovers(
    connection: Connection, raised: Mapping[int, int], former: Mapping[int, str], boot: str, now: Instant
) -> None:
    """Write down what a raising of epochs was, in its transaction; the oldest rows beyond what is kept go."""
    leases = {
        one: LeaseRow(node, Instant(until), buried)
        for one, node, until, buried in connection.execute("SELECT boot, node, until, buried FROM leases").fetchall()
    }
    if rows := [row_of(one) for one in handovers_of(raised, former, leases, boot, now)]:
        connection.execute(_NOTE, [list(column) for column in zip(*rows, strict=True)])
    connection.execute(
        "DELETE FROM handovers WHERE sequence <= (SELECT max(sequence) FROM handovers) - %s", (HANDOVERS_KEPT,)
    )


def handovers(connection: Connection, wanted: HandoverFilter) -> list[Handover]:
    """See the port."""
    where, values = handover_conditions(wanted, "%s")
    rows = connection.execute(
        f"SELECT {', '.join(HANDOVER_COLUMNS)} FROM handovers WHERE {where} ORDER BY sequence DESC LIMIT %s",
        (*values, wanted.limit),
    )
    return [read_handover(row) for row in rows]
