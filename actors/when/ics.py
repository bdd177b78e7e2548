"""The one door to iCalendar: a calendar read from an ICS file (RFC 5545).

All-day events become days, timed ones windows. Recurring events are written out over a given span, so what comes out is a
plain set. Local times are taken through the pinned zone database wherever it knows their zone; a zone that only the file
describes is taken from there.

Left out: events that are cancelled, and instances that `EXDATE` or an event of its own (`RECURRENCE-ID`) replaces. Reading
a large file takes seconds: call it in a thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import Any, Final

import icalendar

from runtime.clock import DAY, SECOND, Instant, Micros, from_datetime, from_timedelta, to_datetime
from runtime.errors import InvalidRequest, TooLarge
from runtime.records import record

from ..model.calendar import EPOCH_DAY, MAX_ENTRIES, Calendar, calendar_of
from .recurrence import dates, rule_of
from .wall_clock import local_day, local_time, moved_to
from .zones import zone, zone_names

MAX_ICS: Final = 4 * 1024 * 1024
"""Bytes of a file: ten thousand events of four hundred bytes."""

LONGEST_SPAN: Final = Micros(50 * 366 * DAY)
"""How much time recurring events may be written out over: more than any calendar of holidays is kept for."""

MAX_SERIES: Final = 1_000
"""Recurring events in a file, each of which may cost a tenth of a second."""

_EARLIEST: Final = datetime.fromisoformat("1900-01-01")
"""A series that began before is gone through day by day from there, and no calendar of ours needs it."""

_EPOCH: Final = datetime.fromisoformat("1970-01-01")
_MICROSECOND: Final = timedelta(microseconds=1)


@record
class _Event:
    """One event: when its first instance begins, by its own wall clock, and how long each lasts.

    `whole_days`: the event has dates and no times. `tzid` is None for a floating time, which is that of the calendar's zone.
    `foreign` is the zone as the file describes it, for a name that the database does not know.
    """

    begin: datetime
    length: Micros
    whole_days: bool
    tzid: str | None
    foreign: Any


def calendar_from_ics(
    data: bytes, *, tenant: str, name: str, version: int, timezone: str, first: Instant, last: Instant
) -> Calendar:
    """The calendar of a file: what its events cover of [first, last].

    Raises InvalidRequest for what is no calendar, for rules that recur more often than daily, and for more than `MAX_ENTRIES`
    instances; TooLarge for more than `MAX_ICS` bytes.
    """
    if len(data) > MAX_ICS:
        raise TooLarge(f"ics: {len(data)} bytes, at most {MAX_ICS}")
    if not first <= last <= first + LONGEST_SPAN:
        raise InvalidRequest(f"ics: from {first} to {last} is no span of at most 50 years")
    try:
        days, windows = _read(data, timezone, first, last)
    except InvalidRequest:
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise InvalidRequest(f"ics: not a readable iCalendar file: {error}") from error
    place = zone(timezone)
    low, high = local_day(place, first), local_day(place, last)
    return calendar_of(
        tenant,
        name,
        version,
        timezone,
        [(max(begin, low), min(end, high)) for begin, end in days if end >= low and begin <= high],
        [(max(begin, first), min(end, last)) for begin, end in windows if end > first and begin < last],
    )


def _read(
    data: bytes, timezone: str, first: Instant, last: Instant
) -> tuple[list[tuple[int, int]], list[tuple[Instant, Instant]]]:
    """Runs of days and windows, not yet cut to the span."""
    file = icalendar.Calendar.from_ical(data)
    days: list[tuple[int, int]] = []
    windows: list[tuple[Instant, Instant]] = []
    for event, begin in islice(_instances(file, first, last), MAX_ENTRIES + 1):
        if event.whole_days:
            ordinal = begin.date().toordinal()
            days.append((ordinal, ordinal + event.length // DAY - 1))
        else:
            at = _instant(event, begin, timezone)
            windows.append((at, Instant(at + event.length)))
    if len(days) + len(windows) > MAX_ENTRIES:
        raise InvalidRequest(f"ics: more than {MAX_ENTRIES} instances of events")
    return days, windows


def _instances(file: Any, first: Instant, last: Instant) -> Iterator[tuple[_Event, datetime]]:
    """Each instance of each event that may touch the span: the event, and the wall clock where the instance begins."""
    components = list(file.walk("VEVENT"))
    # What a name means is taken from this file alone: the library remembers the zones of files that it read before.
    zones = {str(one["TZID"]): one.to_tz(lookup_tzid=False) for one in file.walk("VTIMEZONE") if "TZID" in one}
    if sum("RRULE" in component for component in components) > MAX_SERIES:
        raise InvalidRequest(f"ics: more than {MAX_SERIES} recurring events")
    replaced = {
        (str(one.get("UID")), _by_clock_of(_event(one, zones), one["RECURRENCE-ID"].dt))
        for one in components
        if "RECURRENCE-ID" in one
    }
    for component in components:
        if str(component.get("STATUS", "")).upper() == "CANCELLED":
            continue
        event = _event(component, zones)
        low = _wall(first - event.length - DAY)
        high = _wall(last + DAY)
        uid = str(component.get("UID"))
        own = "RECURRENCE-ID" in component
        for begin in _begins(component, event, high):
            if low <= begin <= high and (own or (uid, begin) not in replaced):
                yield event, begin


def _event(component: Any, zones: dict[str, Any]) -> _Event:
    try:
        start = component["DTSTART"]
        begin = start.dt
        end = component["DTEND"].dt if "DTEND" in component else None
        length = component["DURATION"].dt if "DURATION" in component else None
    except (KeyError, ValueError, AttributeError) as error:
        raise InvalidRequest(f"ics: event {_title(component)} has no readable {error}") from error
    whole_days = not isinstance(begin, datetime)
    if length is None:
        length = _length(component, begin, end) if end is not None else timedelta(days=int(whole_days))
    if length < timedelta(0) or (whole_days and length < timedelta(days=1)):
        raise InvalidRequest(f"ics: event {_title(component)} ends before it begins")
    tzid = start.params.get("TZID") or ("UTC" if isinstance(begin, datetime) and _is_utc(begin) else None)
    foreign = None if tzid is None else zones.get(tzid)
    return _Event(_naive(begin), max(from_timedelta(length), Micros(1)), whole_days, tzid, foreign)


def _length(component: Any, begin: date, end: date) -> timedelta:
    """From begin to end; where both have a zone by the instants, else by the dates or the wall clock."""
    if isinstance(begin, datetime) is not isinstance(end, datetime):
        raise InvalidRequest(f"ics: event {_title(component)} has a date at one end and a time at the other")
    if isinstance(begin, datetime) and isinstance(end, datetime) and begin.tzinfo and end.tzinfo:
        return end.astimezone(UTC) - begin.astimezone(UTC)
    return _naive(end) - _naive(begin)


def _begins(component: Any, event: _Event, high: datetime) -> Iterator[datetime]:
    """Where the instances begin, by the event's wall clock, up to `high`."""
    left_out = {_by_clock_of(event, value) for value in _listed(component, "EXDATE")}
    rules = component.get("RRULE", [])
    if rules and event.begin < _EARLIEST:
        raise InvalidRequest(f"ics: event {_title(component)} recurs since {event.begin.date()}, before 1900")
    yield from ([event.begin] if event.begin not in left_out else [])
    seen = {event.begin}
    for rule in rules if isinstance(rules, list) else [rules]:
        for begin in _recurrences(component, event, rule, high):
            if begin not in left_out and begin not in seen:
                seen.add(begin)
                yield begin
    yield from (
        begin for value in _listed(component, "RDATE") if (begin := _by_clock_of(event, value)) not in left_out | seen
    )


def _recurrences(component: Any, event: _Event, rule: Any, high: datetime) -> Iterator[datetime]:
    """The instances of a rule up to `high`, the first one left out if the rule does not name it."""
    parts = {key.upper(): values for key, values in rule.items()}
    until, count = parts.pop("UNTIL", [None])[0], parts.pop("COUNT", [None])[0]
    limit = high if until is None else min(high, _until(event, until))
    try:
        series = dates(rule_of(parts, event.begin.date()), event.begin.date(), limit.date())
    except (InvalidRequest, ValueError, TypeError) as error:
        raise InvalidRequest(f"ics: event {_title(component)}: {error}") from error
    time = event.begin - datetime.combine(event.begin.date(), datetime.min.time())
    for day in islice(series, None if count is None else max(0, int(count))):
        begin = _naive(day) + time
        if begin > limit:
            return
        yield begin


def _until(event: _Event, until: date) -> datetime:
    """The last moment of a rule by the event's wall clock; it is given in UTC for an event with a zone."""
    if not isinstance(until, datetime):
        return _naive(until) + timedelta(days=1) - _MICROSECOND
    return _by_clock_of(event, until)


def _by_clock_of(event: _Event, value: date) -> datetime:
    """A date or time by the event's wall clock: rules and exceptions may be given in UTC."""
    if not isinstance(value, datetime) or not _is_utc(value) or event.tzid not in zone_names():
        return _naive(value)
    return _wall(local_time(zone(str(event.tzid)), from_datetime(value)))


def _is_utc(value: datetime) -> bool:
    return value.tzinfo is not None and value.tzname() == "UTC"


def _listed(component: Any, key: str) -> Iterator[Any]:
    """The values of a property that may be given many times, each with many values."""
    found = component.get(key, [])
    for group in found if isinstance(found, list) else [found]:
        for value in group.dts:
            yield value.dt[0] if isinstance(value.dt, tuple) else value.dt


def _instant(event: _Event, begin: datetime, timezone: str) -> Instant:
    local = (begin - _EPOCH) // _MICROSECOND
    if event.tzid is None:
        return moved_to(zone(timezone), local)
    if event.tzid in zone_names():
        return moved_to(zone(event.tzid), local)
    if event.foreign is None:
        raise InvalidRequest(f"ics: unknown time zone {event.tzid!r}")
    return from_datetime(begin.replace(tzinfo=event.foreign))


def _naive(value: date) -> datetime:
    """A date or time by its own wall clock."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=None)
    return _EPOCH + timedelta(days=value.toordinal() - EPOCH_DAY)


def _wall(micros: int) -> datetime:
    return to_datetime(Instant(micros // SECOND * SECOND)).replace(tzinfo=None)


def _title(component: Any) -> str:
    return repr(str(component.get("SUMMARY", component.get("UID", "without a name")))[:80])
