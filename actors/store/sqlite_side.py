"""What stands beside tasks and their executions: calendars, the outbox and what became of it, the pause of the scheduler."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal

import attrs

from runtime.clock import Instant
from runtime.errors import Conflict, TocsinError

from ..model.calendar import Calendar
from ..model.document import decode_calendar, encode_calendar
from ..model.task import Definition
from . import sqlite_bulk as bulk
from .port import RETRY, DeliveryWrite, EventState, OutboxEntry, SchedulerPause
from .sqlite_link import Connection, Step

_PAUSE: Final = "pause"
"""The key of `meta` under which the scheduler's pause is kept."""

_IDS: Final = "(SELECT value FROM json_each(?))"

_OUTBOX_COLUMNS: Final = ("id", "task_id", "execution_id", "event", "at", "due", "payload", "tries")
_DELIVERY_COLUMNS: Final = ("entry_id", "task_id", "execution_id", "event", "at", "state", "detail", "due")

_INSERT_OUTBOX: Final = bulk.Bulk(
    f"INSERT OR IGNORE INTO outbox ({', '.join(_OUTBOX_COLUMNS)}) SELECT v.* FROM {{values}} AS v "
    "CROSS JOIN tasks AS t WHERE t.id = v.column2",
    len(_OUTBOX_COLUMNS),
)
_PUT_EVENT_STATES: Final = bulk.Bulk(
    "INSERT OR REPLACE INTO event_states SELECT v.* FROM {values} AS v CROSS JOIN tasks AS t WHERE t.id = v.column1", 4
)
_INSERT_EDGES: Final = bulk.insert("edges", ("child", "parent"), "INSERT OR IGNORE")
_DELETE_EDGES: Final = bulk.delete("edges", "child IN {values}")
_INSERT_USES: Final = bulk.insert("calendar_uses", ("tenant", "name", "task_id"), "INSERT OR IGNORE")
_DELETE_USES: Final = bulk.delete("calendar_uses", "task_id IN {values}")


# -- what a definition refers to


def references(definitions: Iterable[Definition]) -> Iterator[Step]:
    """The edges and the uses of calendars of new definitions."""
    edges: list[tuple[str, str]] = []
    uses: list[tuple[str, str, str]] = []
    for definition in definitions:
        if definition.dependencies is not None:
            edges += [(definition.id, parent) for parent in definition.dependencies.parents]
        rules = definition.bounds.calendars
        uses += [(rule.calendar.tenant, rule.calendar.name, definition.id) for rule in rules]
    if edges:
        yield from _INSERT_EDGES.steps(edges)
    if uses:
        yield from _INSERT_USES.steps(uses)


def without_references(task_ids: Sequence[str]) -> Iterator[Step]:
    """The edges from these tasks to their parents, and their uses of calendars. Their children keep their edges."""
    rows = [(task_id,) for task_id in task_ids]
    yield from _DELETE_EDGES.steps(rows)
    yield from _DELETE_USES.steps(rows)


# -- calendars


def put_calendars(connection: Connection, calendars: Iterable[Calendar]) -> dict[str, TocsinError]:
    """New versions; answers the refused ones, as `tenant/name`: those of which there is another content."""
    refused: dict[str, TocsinError] = {}
    for calendar in calendars:
        key = (calendar.tenant, calendar.name, calendar.version)
        row = connection.execute(
            "SELECT document FROM calendars WHERE tenant = ? AND name = ? AND version = ?", key
        ).fetchone()
        document = encode_calendar(calendar)
        if row is None:
            connection.execute("INSERT INTO calendars VALUES (?, ?, ?, ?)", (*key, document))
        elif row[0] != document:
            refused[f"{calendar.tenant}/{calendar.name}"] = Conflict(
                f"there is a version {calendar.version} of the calendar {calendar.name!r} already"
            )
    return refused


def calendars(connection: Connection, tenant: str | None) -> list[Calendar]:
    """See the port."""
    among = "" if tenant is None else "WHERE tenant = ? "
    rows = connection.execute(
        f"SELECT tenant, name, max(version), document FROM calendars {among}GROUP BY tenant, name ORDER BY name, tenant",
        () if tenant is None else (tenant,),
    )
    return [decode_calendar(*row) for row in rows]


def calendar(connection: Connection, tenant: str, name: str, version: int | None) -> Calendar | None:
    """See the port."""
    one = "" if version is None else "AND version = ? "
    row = connection.execute(
        "SELECT tenant, name, version, document FROM calendars WHERE tenant = ? AND name = ? "
        f"{one}ORDER BY version DESC LIMIT 1",
        (tenant, name) if version is None else (tenant, name, version),
    ).fetchone()
    return None if row is None else decode_calendar(*row)


def calendar_users(connection: Connection, tenant: str, name: str, *, after: str, limit: int) -> list[str]:
    """See the port."""
    rows = connection.execute(
        "SELECT task_id FROM calendar_uses WHERE tenant = ? AND name = ? AND task_id > ? ORDER BY task_id LIMIT ?",
        (tenant, name, after, limit),
    )
    return [task_id for (task_id,) in rows]


# -- the outbox


def outbox(entries: Iterable[OutboxEntry]) -> Iterator[Step]:
    """New entries of tasks that exist; one that is there already stays as it is."""
    rows = [attrs.astuple(entry) for entry in entries]
    if rows:
        yield from _INSERT_OUTBOX.steps(rows)


def put_deliveries(connection: Connection, writes: Iterable[DeliveryWrite], kept: int) -> None:
    """What became of entries that are still there; of each task the newest `kept` stay."""
    touched: set[str] = set()
    for write in writes:
        if _moved(connection, write):
            connection.execute(
                f"INSERT INTO deliveries ({', '.join(_DELIVERY_COLUMNS)}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                attrs.astuple(write),
            )
            touched.add(write.task_id)
    for task_id in touched:
        connection.execute(
            "DELETE FROM deliveries WHERE task_id = ?1 AND sequence <= (SELECT sequence FROM deliveries "
            "WHERE task_id = ?1 ORDER BY sequence DESC LIMIT 1 OFFSET ?2)",
            (task_id, kept),
        )


def _moved(connection: Connection, write: DeliveryWrite) -> bool:
    if write.state != RETRY:
        return connection.execute("DELETE FROM outbox WHERE id = ?", (write.entry_id,)).rowcount == 1
    again = "UPDATE outbox SET due = coalesce(?, due), tries = tries + 1 WHERE id = ?"
    return connection.execute(again, (write.due, write.entry_id)).rowcount == 1


def remembered(states: Iterable[EventState]) -> Iterator[Step]:
    """What the triggers of tasks that exist remember from now on."""
    rows = [
        (state.task_id, state.event, None if state.held is None else int(state.held), state.delivered_at)
        for state in states
    ]
    if rows:
        yield from _PUT_EVENT_STATES.steps(rows)


def outbox_due(
    connection: Connection, until: Instant, limit: int, partitions: Sequence[int] | None
) -> list[OutboxEntry]:
    """See the port."""
    among = "" if partitions is None else f"AND (SELECT partition FROM tasks AS t WHERE t.id = task_id) IN {_IDS} "
    rows = connection.execute(
        f"SELECT {', '.join(_OUTBOX_COLUMNS)} FROM outbox INDEXED BY outbox_due WHERE due <= ? {among}"
        "ORDER BY due, sequence LIMIT ?",
        (until, limit) if partitions is None else (until, json.dumps(list(partitions)), limit),
    )
    return [OutboxEntry(*row) for row in rows]


def deliveries(connection: Connection, task_id: str, *, offset: int, limit: int) -> tuple[list[DeliveryWrite], int]:
    """See the port."""
    rows = connection.execute(
        f"SELECT {', '.join(_DELIVERY_COLUMNS)} FROM deliveries WHERE task_id = ? ORDER BY sequence DESC LIMIT ? OFFSET ?",
        (task_id, limit, offset),
    )
    found = [DeliveryWrite(*row) for row in rows]
    (total,) = connection.execute("SELECT count(*) FROM deliveries WHERE task_id = ?", (task_id,)).fetchone()
    return found, int(total)


def event_states(connection: Connection, task_ids: Sequence[str]) -> list[EventState]:
    """See the port."""
    rows = connection.execute(
        f"SELECT task_id, event, held, delivered_at FROM event_states WHERE task_id IN {_IDS} ORDER BY task_id, event",
        (json.dumps(list(task_ids)),),
    )
    return [
        EventState(task_id, event, None if held is None else bool(held), delivered_at)
        for task_id, event, held, delivered_at in rows
    ]


# -- the pause of the whole scheduler


def put_pause(connection: Connection, pause: SchedulerPause | Literal["resume"]) -> None:
    """Keep it, or forget it."""
    if pause == "resume":
        connection.execute("DELETE FROM meta WHERE key = ?", (_PAUSE,))
    else:
        connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_PAUSE, json.dumps(attrs.asdict(pause))))


def scheduler_pause(connection: Connection) -> SchedulerPause | None:
    """See the port."""
    row = connection.execute("SELECT value FROM meta WHERE key = ?", (_PAUSE,)).fetchone()
    document: Mapping[str, Any] | None = None if row is None else json.loads(row[0])
    return None if document is None else SchedulerPause(**document)
