"""Short ways to make calendars and tasks that use them."""

from __future__ import annotations

from typing import Any

from actors.calendar_messages import DeleteCalendar, PutCalendar
from actors.model.calendar import Calendar, CalendarRule, calendar_of
from actors.model.task import Definition, Task
from actors.model.trigger import Bounds, Interval, Trigger
from runtime.clock import HOUR, Instant

from .keeper_kit import START, Rig, definition

HOURLY = Interval(HOUR, START)


def holidays(*windows: tuple[int, int], version: int = 0, name: str = "holidays") -> Calendar:
    """A calendar of windows, in hours after the start."""
    spans = [(Instant(START + begin * HOUR), Instant(START + end * HOUR)) for begin, end in windows]
    return calendar_of("", name, version, windows=spans)


def put(rig: Rig, calendar: Calendar) -> Calendar:
    found = rig.ask(lambda reply: PutCalendar(calendar, "me", reply))
    assert isinstance(found, Calendar)
    return found


def delete(rig: Rig, name: str = "holidays") -> Calendar:
    found = rig.ask(lambda reply: DeleteCalendar("", name, "me", reply))
    assert isinstance(found, Calendar)
    return found


def user(calendar: Calendar, task_id: str = "t1", trigger: Trigger = HOURLY, **fields: Any) -> Definition:
    return definition(task_id, trigger, Bounds(calendars=(CalendarRule(calendar),)), **fields)


def version_of(rig: Rig, task_id: str = "t1") -> int:
    return rig.task(task_id).definition.bounds.calendars[0].calendar.version


def audits(rig: Rig, action: str) -> list[tuple[str, str]]:
    return [(one.task_id, one.detail) for one in rig.store.audits(offset=0, limit=10_000) if one.action == action]


def made(rig: Rig, *definitions: Definition) -> None:
    answers = rig.create(*definitions)
    assert all(isinstance(answer, Task) for answer in answers), answers
