"""What is going on and what was lately, over all tasks: by the index of what is open, and by that of what has ended.

Both are there for other reasons; nothing is paid for them here when an execution changes. Ids tell no time: whoever runs a task
by hand may choose them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from runtime.clock import Instant

from .access_rows import OWNER
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
from .reading import look
from .rows import EXECUTION_COLUMNS, SETTLED_COLUMNS, read_execution, read_settled
from .sqlite_link import Connection, Found, Link, Step

_OPEN: Final = "(state IN ('WAITING', 'RUNNING', 'CRASHED') OR lingers)"
"""Written as in the partial index: SQLite uses it only for the same words."""

_ROW: Final = f"json_array({', '.join('e.' + column for column in EXECUTION_COLUMNS)}), tasks.name, tasks.type"
_OF_TASK: Final = "CROSS JOIN tasks ON tasks.id = e.task_id"


def activity(connection: Connection, wanted: ActivityFilter) -> Activity:
    """See the port."""
    conditions, values = _conditions(wanted)
    ended, bounds = _ended(wanted)

    def present(limit: int) -> list[Active]:
        of_task, task = ("", ()) if wanted.task_id is None else (" AND task_id = ?", (wanted.task_id,))
        rows = connection.execute(
            f"SELECT {_ROW} FROM (SELECT * FROM executions INDEXED BY executions_open WHERE {_OPEN}{of_task} LIMIT ?) AS e "
            f"{_OF_TASK} {conditions}ORDER BY e.created_at DESC, e.id DESC LIMIT ?",
            (*task, wanted.scanned, *values, limit),
        )
        return _read(rows)

    def past(offset: int, limit: int) -> list[Active]:
        rows = connection.execute(
            f"SELECT {_ROW} FROM (SELECT * {ended} LIMIT ?) AS e {_OF_TASK} {conditions}"
            "ORDER BY e.ended_at DESC, e.id DESC LIMIT ? OFFSET ?",
            (*bounds, wanted.scanned, *values, limit, offset),
        )
        return _read(rows)

    def bound() -> Instant | None:
        row = connection.execute(f"SELECT ended_at {ended} LIMIT 1 OFFSET ?", (*bounds, wanted.scanned)).fetchone()
        return None if row is None else Instant(row[0])

    return look(wanted, present, past, bound)


def _ended(wanted: ActivityFilter) -> tuple[str, tuple[Any, ...]]:
    """The executions that ended in the time that is asked for, the last one first, and what is to be bound."""
    values: tuple[Any, ...] = (wanted.since, wanted.until)
    if wanted.task_id is None:
        source = "executions INDEXED BY executions_ended WHERE"
    else:
        source, values = "executions INDEXED BY executions_task WHERE task_id = ? AND", (wanted.task_id, *values)
    return (
        f"FROM {source} ended_at IS NOT NULL AND ended_at >= ? AND ended_at <= ? AND NOT {_OPEN} "
        "ORDER BY ended_at DESC, id DESC"
    ), values


def _conditions(wanted: ActivityFilter) -> tuple[str, list[str]]:
    pairs = {
        "tasks.type = ?": wanted.type,
        "tasks.tenant = ?": wanted.tenant,
        f"{OWNER} = ?": wanted.owner,
        "e.node = ?": wanted.node,
    }
    given = {condition: value for condition, value in pairs.items() if value is not None}
    if wanted.states is not None:
        given["e.state IN (SELECT value FROM json_each(?))"] = json.dumps([state.value for state in wanted.states])
    return (f"WHERE {' AND '.join(given)} " if given else ""), list(given.values())


def _read(rows: Found) -> list[Active]:
    return [Active(read_execution(json.loads(text)), name, type_) for text, name, type_ in rows]


_EXECUTION: Final = f"json_array({', '.join(EXECUTION_COLUMNS)})"
_NEWEST: Final = f"SELECT {_EXECUTION} FROM executions WHERE task_id = ? ORDER BY number DESC LIMIT ?"
_SETTLED: Final = f"SELECT {', '.join(SETTLED_COLUMNS)} FROM settled WHERE task_id = ? ORDER BY first DESC LIMIT ?"


def newest(connection: Connection, ids: Sequence[str], count: int) -> Mapping[str, Newest]:
    """See the port."""
    known = connection.execute(
        "SELECT id FROM tasks WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(list(ids)),)
    ).fetchall()
    return {
        task_id: Newest(
            tuple(read_execution(json.loads(text)) for (text,) in connection.execute(_NEWEST, (task_id, count))),
            tuple(map(read_settled, connection.execute(_SETTLED, (task_id, count)))),
        )
        for (task_id,) in known
    }


# -- who took partitions from whom


def note_handovers(link: Link, raised: Mapping[int, int], former: Mapping[int, str], boot: str, now: Instant) -> None:
    """Write down what a raising of epochs was, in its transaction; the oldest rows beyond what is kept go."""
    leases = {
        one: LeaseRow(node, until, bool(buried))
        for one, node, until, buried in link.execute("SELECT boot, node, until, buried FROM leases")
    }
    insert = (
        f"INSERT INTO handovers ({', '.join(HANDOVER_COLUMNS)}) VALUES ({', '.join('?' for _ in HANDOVER_COLUMNS)})"
    )
    cut = "DELETE FROM handovers WHERE sequence <= (SELECT max(sequence) FROM handovers) - ?"
    steps = [Step(insert, row_of(one)) for one in handovers_of(raised, former, leases, boot, now)]
    link.run([*steps, Step(cut, (HANDOVERS_KEPT,))])


def handovers(connection: Connection, wanted: HandoverFilter) -> list[Handover]:
    """See the port."""
    where, values = handover_conditions(wanted, "?")
    rows = connection.execute(
        f"SELECT {', '.join(HANDOVER_COLUMNS)} FROM handovers WHERE {where} ORDER BY sequence DESC LIMIT ?",
        (*values, wanted.limit),
    )
    return [read_handover(row) for row in rows]
