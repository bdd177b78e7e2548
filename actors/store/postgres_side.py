"""What stands beside tasks and their executions: calendars, the outbox and what became of it, the pause of the scheduler."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal

import attrs

from runtime.clock import Instant
from runtime.errors import Conflict, TocsinError

from ..model.calendar import Calendar
from ..model.document import decode_calendar, encode_calendar
from ..model.task import Definition
from . import postgres_bulk as bulk
from .batch import OUTCOMES
from .port import RETRY, CountWrite, DeliveryWrite, EventState, OutboxEntry, SchedulerPause
from .postgres_bulk import Cursor
from .postgres_link import Connection
from .rows import Row

_PAUSE: Final = "pause"
"""The key of `meta` under which the scheduler's pause is kept."""

_OUTBOX_COLUMNS: Final = ("id", "task_id", "execution_id", "event", "at", "due", "payload", "tries")
_DELIVERY_COLUMNS: Final = ("entry_id", "task_id", "execution_id", "event", "at", "state", "detail", "due")

# A task or an execution to which something is added is locked against its deletion.
_INSERT_OUTBOX: Final = bulk.Bulk(
    f"INSERT INTO outbox ({', '.join(_OUTBOX_COLUMNS)}) SELECT v.* FROM {{values}} JOIN tasks AS t ON t.id = v.task_id "
    "FOR KEY SHARE OF t ON CONFLICT (id) DO NOTHING",
    _OUTBOX_COLUMNS,
)
_PUT_EVENT_STATES: Final = bulk.Bulk(
    "INSERT INTO event_states SELECT v.* FROM {values} JOIN tasks AS t ON t.id = v.task_id FOR KEY SHARE OF t "
    "ON CONFLICT (task_id, event) DO UPDATE SET held = excluded.held, delivered_at = excluded.delivered_at",
    ("task_id", "event", "held", "delivered_at"),
)
_INSERT_EDGES: Final = bulk.insert("edges", ("child", "parent"), "ON CONFLICT DO NOTHING")
_INSERT_USES: Final = bulk.insert("calendar_uses", ("tenant", "name", "task_id"), "ON CONFLICT DO NOTHING")

_DELIVER: Final = (
    f"INSERT INTO deliveries ({', '.join(_DELIVERY_COLUMNS)}) SELECT %s, %s, %s, %s, %s, %s, %s, %s FROM moved"
)
_RETRY: Final = (
    "WITH moved AS (UPDATE outbox SET due = coalesce(%s, due), tries = tries + 1 WHERE id = %s RETURNING 1) " + _DELIVER
)
_SETTLE: Final = "WITH moved AS (DELETE FROM outbox WHERE id = %s RETURNING 1) " + _DELIVER
_TRIM: Final = (
    "DELETE FROM deliveries WHERE task_id = %s AND sequence <= (SELECT sequence FROM deliveries "
    "WHERE task_id = %s ORDER BY sequence DESC LIMIT 1 OFFSET %s)"
)

_FILL_COUNTS: Final = bulk.Bulk(
    "WITH filled AS (UPDATE settled AS s SET count = v.count FROM {values} WHERE s.task_id = v.task_id "
    "AND s.first = v.first AND s.count IS NULL RETURNING s.outcome, s.reason, s.count) "
    "SELECT outcome, reason, count FROM filled",
    ("task_id", "first", "count"),
)


# -- what a definition refers to


def put_references(connection: Connection, definitions: Iterable[Definition]) -> None:
    """The edges and the uses of calendars of new definitions."""
    edges: list[Row] = []
    uses: list[Row] = []
    for definition in definitions:
        if definition.dependencies is not None:
            edges += [(definition.id, parent) for parent in definition.dependencies.parents]
        rules = definition.bounds.calendars
        uses += [(rule.calendar.tenant, rule.calendar.name, definition.id) for rule in rules]
    if edges:
        _INSERT_EDGES.run(connection, edges)
    if uses:
        _INSERT_USES.run(connection, uses)


def drop_references(connection: Connection, task_ids: Sequence[str]) -> None:
    """The edges from these tasks to their parents, and their uses of calendars. Their children keep their edges."""
    connection.execute("DELETE FROM edges WHERE child = ANY(%s)", (list(task_ids),))
    connection.execute("DELETE FROM calendar_uses WHERE task_id = ANY(%s)", (list(task_ids),))


# -- calendars


def put_calendars(connection: Connection, calendars: Iterable[Calendar]) -> list[tuple[Calendar, Cursor]]:
    """New versions, and questions for what is stored under them, for `refused_calendars`."""
    asked: list[tuple[Calendar, Cursor]] = []
    for calendar in calendars:
        key = (calendar.tenant, calendar.name, calendar.version)
        connection.execute(
            "INSERT INTO calendars VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING", (*key, encode_calendar(calendar))
        )
        stored = "SELECT document FROM calendars WHERE tenant = %s AND name = %s AND version = %s"
        asked.append((calendar, connection.execute(stored, key)))
    return asked


def refused_calendars(asked: Iterable[tuple[Calendar, Cursor]]) -> dict[str, TocsinError]:
    """Those of which there is another content, as `tenant/name`."""
    return {
        f"{calendar.tenant}/{calendar.name}": Conflict(
            f"there is a version {calendar.version} of the calendar {calendar.name!r} already"
        )
        for calendar, cursor in asked
        if cursor.fetchone()[0] != encode_calendar(calendar)
    }


def calendars(connection: Connection, tenant: str | None) -> list[Calendar]:
    """See the port."""
    rows = connection.execute(
        "SELECT DISTINCT ON (name, tenant) tenant, name, version, document FROM calendars "
        "WHERE tenant = coalesce(%s, tenant) ORDER BY name, tenant, version DESC",
        (tenant,),
    )
    return [decode_calendar(*row) for row in rows]


def calendar(connection: Connection, tenant: str, name: str, version: int | None) -> Calendar | None:
    """See the port."""
    row = connection.execute(
        "SELECT tenant, name, version, document FROM calendars WHERE tenant = %s AND name = %s "
        "AND version = coalesce(%s, version) ORDER BY version DESC LIMIT 1",
        (tenant, name, version),
    ).fetchone()
    return None if row is None else decode_calendar(*row)


def calendar_users(connection: Connection, tenant: str, name: str, *, after: str, limit: int) -> list[str]:
    """See the port."""
    rows = connection.execute(
        "SELECT task_id FROM calendar_uses WHERE tenant = %s AND name = %s AND task_id > %s ORDER BY task_id LIMIT %s",
        (tenant, name, after, limit),
    )
    return [task_id for (task_id,) in rows]


# -- the outbox


def put_outbox(connection: Connection, entries: Iterable[OutboxEntry]) -> None:
    """New entries of tasks that exist; one that is there already stays as it is."""
    rows = [attrs.astuple(entry) for entry in entries]
    if rows:
        _INSERT_OUTBOX.run(connection, rows)


def put_deliveries(connection: Connection, writes: Iterable[DeliveryWrite], kept: int) -> None:
    """What became of entries that are still there; of each task the newest `kept` stay."""
    touched: dict[str, None] = {}
    for write in writes:
        moved = (write.due, write.entry_id) if write.state == RETRY else (write.entry_id,)
        connection.execute(_RETRY if write.state == RETRY else _SETTLE, (*moved, *_storable(write)))
        touched[write.task_id] = None
    for task_id in touched:
        connection.execute(_TRIM, (task_id, task_id, kept))


def _storable(write: DeliveryWrite) -> Row:
    """What others said of a delivery may hold what cannot be stored."""
    detail = write.detail.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
    return attrs.astuple(attrs.evolve(write, detail=detail))


def put_event_states(connection: Connection, states: Iterable[EventState]) -> None:
    """What the triggers of tasks that exist remember from now on."""
    rows = [
        (state.task_id, state.event, None if state.held is None else int(state.held), state.delivered_at)
        for state in states
    ]
    if rows:
        _PUT_EVENT_STATES.run(connection, bulk.last_of(rows, 2))


def outbox_due(
    connection: Connection, until: Instant, limit: int, partitions: Sequence[int] | None
) -> list[OutboxEntry]:
    """See the port."""
    among = "" if partitions is None else "AND (SELECT partition FROM tasks WHERE id = task_id) = ANY(%s) "
    values = (until, limit) if partitions is None else (until, list(partitions), limit)
    rows = connection.execute(
        f"SELECT {', '.join(_OUTBOX_COLUMNS)} FROM outbox WHERE due <= %s {among}ORDER BY due, sequence LIMIT %s",
        values,
    )
    return [OutboxEntry(*row) for row in rows]


def deliveries(connection: Connection, task_id: str, *, offset: int, limit: int) -> tuple[list[DeliveryWrite], int]:
    """See the port."""
    rows = connection.execute(
        f"SELECT {', '.join(_DELIVERY_COLUMNS)} FROM deliveries WHERE task_id = %s ORDER BY sequence DESC "
        "LIMIT %s OFFSET %s",
        (task_id, limit, offset),
    )
    found = [DeliveryWrite(*row) for row in rows]
    total = connection.execute("SELECT count(*) FROM deliveries WHERE task_id = %s", (task_id,)).fetchone()
    return found, 0 if total is None else int(total[0])


def event_states(connection: Connection, task_ids: Sequence[str]) -> list[EventState]:
    """See the port."""
    rows = connection.execute(
        "SELECT task_id, event, held, delivered_at FROM event_states WHERE task_id = ANY(%s) ORDER BY task_id, event",
        (list(task_ids),),
    )
    return [
        EventState(task_id, event, None if held is None else bool(held), delivered_at)
        for task_id, event, held, delivered_at in rows
    ]


# -- counts that were left open


def fill_counts(connection: Connection, writes: Iterable[CountWrite]) -> dict[tuple[str, str], int]:
    """Fill them in where they are open; answers by how much each outcome and reason grows."""
    first = {(write.task_id, write.first): write.count for write in reversed(list(writes))}
    cursor = _FILL_COUNTS.run(connection, [(*key, count) for key, count in first.items()])
    grown: dict[tuple[str, str], int] = {}
    for outcome, reason, count in cursor.fetchall():
        grown[outcome, reason] = grown.get((outcome, reason), 0) + count
    return grown


def sums_of(tasks: int, numbers: Mapping[tuple[str, str], int]) -> tuple[int, ...]:
    """Tasks, then each outcome in the order of `OUTCOMES`."""
    sums = dict.fromkeys(OUTCOMES, 0)
    for (outcome, _), number in numbers.items():
        sums[outcome] += number
    return (tasks, *sums.values())


# -- the pause of the whole scheduler


def put_pause(connection: Connection, pause: SchedulerPause | Literal["resume"]) -> None:
    """Keep it, or forget it."""
    if pause == "resume":
        connection.execute("DELETE FROM meta WHERE key = %s", (_PAUSE,))
    else:
        connection.execute(
            "INSERT INTO meta VALUES (%s, %s) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            (_PAUSE, json.dumps(attrs.asdict(pause))),
        )


def scheduler_pause(connection: Connection) -> SchedulerPause | None:
    """See the port."""
    row = connection.execute("SELECT value FROM meta WHERE key = %s", (_PAUSE,)).fetchone()
    document: Mapping[str, Any] | None = None if row is None else json.loads(row[0])
    return None if document is None else SchedulerPause(**document)
