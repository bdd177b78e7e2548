"""Calendars as JSON gives and shows them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, Final

from actors.model.calendar import MAX_CALENDAR_NAME, MAX_ENTRIES, Calendar, calendar_of
from actors.when.ics import calendar_from_ics
from runtime.clock import DAY, Instant
from runtime.errors import InvalidRequest

from .fields import Fields, one_of, parse_instant, proper_text, show, whole_number
from .kinds import Moment
from .words import MAX_VERSION, WEEKDAYS

_EXACT: Final = Moment()

NOT_IN_NAMES: Final = "/\\?#%"
"""Characters that a path of the REST interface cannot hold in one piece."""

ICS_BEFORE: Final = 2 * 366 * DAY
ICS_AFTER: Final = 10 * 366 * DAY
"""How much time around now recurring events of an ICS file are written out over, if it is not said."""


def check_calendar_name(name: str) -> str:
    """The name, if a calendar may have it. Raises InvalidRequest."""
    proper_text(name, "calendar")
    wrong = [character for character in NOT_IN_NAMES if character in name]
    if wrong or name in (".", "..") or not 1 <= len(name) <= MAX_CALENDAR_NAME:
        raise InvalidRequest(
            f"calendar: a name of 1 to {MAX_CALENDAR_NAME} characters without {' '.join(NOT_IN_NAMES)}, not {show(name)}"
        )
    return name


def calendar_from_json(name: str, value: object, now: Instant, tenant: str = "") -> Calendar:
    """A calendar from its JSON, or from the text of an ICS file in its field `ics`. Version 0: it is not kept yet.

    Days are dates or objects with `first` and `last`, windows objects with `begin` and `end`. Of an ICS file's recurring events
    those from two years ago to ten years ahead count, or those `from` ... `until`. Takes up to seconds for a large file.
    Raises InvalidRequest and TooLarge that name the field and show the value.
    """
    check_calendar_name(name)
    fields = Fields(value)
    timezone = fields.text("timezone") or "UTC"
    if fields.has("ics"):
        return _from_ics(name, fields, timezone, now, tenant)
    days = [_days(entry, f"days[{index}]") for index, entry in enumerate(_listed(fields, "days"))]
    windows = [_window(entry, f"windows[{index}]", timezone) for index, entry in enumerate(_listed(fields, "windows"))]
    names = _listed(fields, "weekdays")
    weekdays = [WEEKDAYS.index(one_of(entry, f"weekdays[{index}]", WEEKDAYS)) for index, entry in enumerate(names)]
    fields.finish()
    return calendar_of(tenant, name, 0, timezone, days, windows, weekdays)


def drop_version(body: dict[str, Any]) -> None:
    """Take the version out that a shown calendar has: it is counted up anyway. Raises InvalidRequest for what is none."""
    if "version" in body:
        whole_number(body.pop("version"), "version", 0, MAX_VERSION)


def _from_ics(name: str, fields: Fields, timezone: str, now: Instant, tenant: str) -> Calendar:
    text, first, last = fields.text("ics"), fields.instant("from", timezone), fields.instant("until", timezone)
    fields.finish()
    if text is None:
        raise InvalidRequest("ics: the text of a file, not null")
    return calendar_from_ics(
        text.encode(),
        tenant=tenant,
        name=name,
        version=0,
        timezone=timezone,
        first=Instant(now - ICS_BEFORE) if first is None else first,
        last=Instant(now + ICS_AFTER) if last is None else last,
    )


def _listed(fields: Fields, key: str) -> list[Any]:
    value = fields.take(key)
    if value is None:
        return []
    if not isinstance(value, list | tuple):
        raise InvalidRequest(f"{key}: a list, not {show(value)}")
    if len(value) > MAX_ENTRIES:
        raise InvalidRequest(f"{key}: at most {MAX_ENTRIES} entries, not {len(value)}")
    return list(value)


def _days(value: object, field: str) -> tuple[int, int]:
    """The ordinals of one day, or of a run of days."""
    if not isinstance(value, Mapping):
        day = _day(value, field)
        return day, day
    fields = Fields(value, f"{field}.")
    first, last = fields.take("first"), fields.take("last")
    fields.finish()
    begin = _day(first, f"{field}.first")
    end = begin if last is None else _day(last, f"{field}.last")
    if end < begin:
        raise InvalidRequest(f"{field}: {show(first)} to {show(last)} ends before it begins")
    return begin, end


def _day(value: object, field: str) -> int:
    try:
        if isinstance(value, str) and len(value) == len("2026-01-01"):
            return date.fromisoformat(value).toordinal()
    except ValueError:
        pass
    raise InvalidRequest(f"{field}: a day such as 2026-12-25, not {show(value)}")


def _window(value: object, field: str, timezone: str) -> tuple[Instant, Instant]:
    fields = Fields(value, f"{field}.")
    first, last = fields.take("begin"), fields.take("end")
    fields.finish()
    begin, end = parse_instant(first, f"{field}.begin", timezone), parse_instant(last, f"{field}.end", timezone)
    if end <= begin:
        raise InvalidRequest(f"{field}: {show(first)} to {show(last)} ends before it begins")
    return begin, end


def calendar_json(calendar: Calendar) -> dict[str, Any]:
    """A calendar in full, in the form that is read."""
    return {
        "name": calendar.name,
        "version": calendar.version,
        "timezone": calendar.timezone,
        "days": [_days_json(first, last) for first, last in calendar.days],
        "windows": [{"begin": _EXACT.show(begin), "end": _EXACT.show(end)} for begin, end in calendar.windows],
        "weekdays": [WEEKDAYS[weekday] for weekday in calendar.weekdays],
    }


def _days_json(first: int, last: int) -> object:
    begin, end = date.fromordinal(first).isoformat(), date.fromordinal(last).isoformat()
    return begin if first == last else {"first": begin, "last": end}
