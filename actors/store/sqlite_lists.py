"""Pages of tasks and their exact totals.

A page is read along an index in its order. Two orders have none, because each fire would have to change it: what comes next, and
the status. Their lists are made of segments that follow one another, each with an index of its own; a segment is counted only
where a page begins beyond it.

Totals of all tasks, of the scheduled ones and of those of a type are kept; all others are counted, in the smallest index.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from typing import Final

import attrs

from runtime.errors import InvalidRequest

from ..model.lifecycle import Status
from .access_rows import OWNER
from .answers import TASK_SORTS, TaskFilter
from .reading import OWN, asks_for_all

_COUNT: Final = "SELECT count(*) FROM tasks"
_USUAL: Final = "'SCHEDULED'"
_RESTING: Final = "(due IS NULL OR phase = 'paused')"
"""Written as in the partial index: SQLite uses it only for the same words."""


@attrs.frozen
class Segment:
    """A part of a sorted list: which tasks, and by which columns, the first one first."""

    condition: str
    columns: tuple[str, ...]


def segments(sort: str) -> tuple[Segment, ...]:
    """The parts of a list sorted by a column, upwards. Raises InvalidRequest for what nothing is sorted by."""
    if sort not in TASK_SORTS:
        raise InvalidRequest(f"tasks cannot be sorted by {sort!r}; possible: {', '.join(TASK_SORTS)}")
    if sort == "coming":
        return Segment(_RESTING, ("id",)), Segment(f"due IS NOT NULL AND NOT {_RESTING}", ("due", "id"))
    if sort == "status":
        return tuple(Segment(status_is(status), ("id",)) for status in sorted(Status))
    return (Segment("", ("id",) if sort == "id" else (sort, "id")),)


def status_is(status: Status) -> str:
    """The condition that a task has a status, such that the index of all but the usual one is used."""
    usual = "" if status is Status.SCHEDULED else f"status <> {_USUAL} AND "
    return f"{usual}status = '{status.value}'"


def numbers(connection: sqlite3.Connection, wanted: TaskFilter) -> list[int]:
    """The numbers of the tasks of a page, in its order."""
    conditions, values = _conditions(wanted, along=_goes_along(connection, wanted))
    direction = "DESC" if wanted.descending else "ASC"
    parts = segments(wanted.sort)
    found: list[int] = []
    offset = wanted.offset
    for part in reversed(parts) if wanted.descending else parts:
        where = _where([*conditions, part.condition])
        order = ", ".join(f"{column} {direction}" for column in part.columns)
        rows = connection.execute(
            f"SELECT number FROM tasks {where} ORDER BY {order} LIMIT ? OFFSET ?",
            (*values, wanted.limit - len(found), offset),
        ).fetchall()
        found += [number for (number,) in rows]
        if len(found) >= wanted.limit or len(parts) == 1:
            break
        if rows or not offset:
            offset = 0
        else:
            offset -= connection.execute(f"{_COUNT} {where}", values).fetchone()[0]
    return found


def _goes_along(connection: sqlite3.Connection, wanted: TaskFilter) -> bool:
    """Whether a page of one type is found sooner along its order, passing over other types, than by sorting all of the type."""
    if wanted.type is None or wanted.sort in ("id", "type"):
        return False
    (tasks,) = connection.execute("SELECT tasks FROM totals").fetchone()
    of_type = _of_type(connection, wanted.type)
    return of_type * of_type > (wanted.offset + wanted.limit) * int(tasks)


def _of_type(connection: sqlite3.Connection, kind: str) -> int:
    row = connection.execute("SELECT tasks FROM kinds WHERE type = ?", (kind,)).fetchone()
    return 0 if row is None else int(row[0])


def total(connection: sqlite3.Connection, wanted: TaskFilter) -> int:
    """How many tasks fit. What is left out of a list is counted apart: that is a handful, found by type."""
    everything = _total(connection, attrs.evolve(wanted, system=True))
    if wanted.system:
        return everything
    conditions, values = _conditions(attrs.evolve(wanted, system=True))
    hidden = connection.execute(f"{_COUNT} INDEXED BY tasks_type {_where([f'type IN {OWN}', *conditions])}", values)
    return everything - int(hidden.fetchone()[0])


def _total(connection: sqlite3.Connection, wanted: TaskFilter) -> int:
    if asks_for_all(wanted):
        return int(connection.execute("SELECT tasks FROM totals").fetchone()[0])
    if wanted.status is Status.SCHEDULED:
        # Nearly all have this status: fewer rows are looked at when the others are counted.
        conditions, values = _conditions(attrs.evolve(wanted, status=None))
        others = connection.execute(f"{_COUNT} {_where([f'status <> {_USUAL}', *conditions])}", values).fetchone()
        return _total(connection, attrs.evolve(wanted, status=None)) - int(others[0])
    if wanted.type is not None and asks_for_all(attrs.evolve(wanted, type=None)):
        return _of_type(connection, wanted.type)
    conditions, values = _conditions(wanted)
    return int(connection.execute(f"{_COUNT} {_where(conditions)}", values).fetchone()[0])


def _escaped(text: str) -> str:
    """A text as a pattern that fits it alone."""
    return re.sub(r"[\\%_]", r"\\\g<0>", text)


def _where(conditions: Sequence[str]) -> str:
    given = [condition for condition in conditions if condition]
    return f"WHERE {' AND '.join(given)}" if given else ""


def _conditions(wanted: TaskFilter, *, along: bool = False) -> tuple[list[str], list[str]]:
    pairs = {
        # With the plus sign SQLite does not look for the type in its index.
        "+type = ?" if along else "type = ?": wanted.type,
        "tenant = ?": wanted.tenant,
        f"{OWNER} = ?": wanted.owner,
        # Twice as fast as to look into the lower case of each name.
        "name LIKE ? ESCAPE '\\'": None if wanted.text is None else f"%{_escaped(wanted.text)}%",
        "instr(type, ?) = 1": wanted.type_prefix,
        "instr(id, ?) = 1": wanted.id_prefix,
    }
    given = {condition: value for condition, value in pairs.items() if value is not None}
    fixed = [] if wanted.status is None else [status_is(wanted.status)]
    if not wanted.system:
        fixed.append(f"type NOT IN {OWN}")
    return [*fixed, *given], list(given.values())
