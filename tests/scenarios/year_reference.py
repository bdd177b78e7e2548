"""A year's nominal times by brute force, day by day, sharing nothing with the product but the records of triggers.

Each wall time of each matching day is looked for under every offset that its zone has around that day. The rule at changes of
offset is told in the words of Debian's cron: a fixed time that the clock shows twice runs at the first showing, one that the
clock steps over by less than three hours runs at the first minute after it; wildcard jobs run whenever the clock shows their
time.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta

from actors.model.calendar import CalendarRule
from actors.model.trigger import CalendarInterval, Cron, Interval, Trigger, Union
from tests.actors.cron_reference import Expression, reference_zone

MICRO = 1_000_000
DAY = 86_400
MINUTE = 60
LONGEST = 3 * 3_600
"""Seconds by which a clock may step over a fixed time that still runs."""


class Year:
    """The nominal times with begin < instant <= end, both in seconds since 1970."""

    def __init__(self, begin: int, end: int) -> None:
        self._begin, self._end = begin, end
        first = datetime.fromtimestamp(begin, reference_zone("UTC")).date()
        self._days = [first + timedelta(days=n) for n in range(-1, (end - begin) // DAY + 2)]
        self._offsets: dict[tuple[str, date], list[int]] = {}

    def slots(self, trigger: Trigger) -> list[int]:
        """In microseconds, in order, each once."""
        found = sorted(set(self._all(trigger)))
        return [at for at in found if self._begin * MICRO < at <= self._end * MICRO]

    def _all(self, trigger: Trigger) -> Iterable[int]:
        match trigger:
            case Interval(every=every, anchor=anchor):
                return range(anchor, self._end * MICRO + 1, every)
            case Cron(expression=text, timezone=zone):
                return (at * MICRO for at in self._cron(Expression(text), zone))
            case CalendarInterval():
                return (at * MICRO for at in self._calendar_interval(trigger))
            case Union(triggers=members):
                return (at for member in members for at in self._all(member))
            case _:
                raise NotImplementedError(trigger)

    def _cron(self, expression: Expression, zone: str) -> Iterator[int]:
        for day in self._days:
            if expression.matches_day(day):
                for hour in expression.hour:
                    for minute in expression.minute:
                        yield from self._shown(zone, day, hour * 60 + minute, expression.wildcard)

    def _calendar_interval(self, trigger: CalendarInterval) -> Iterator[int]:
        first = date.fromordinal(trigger.anchor_day)
        minute = trigger.time_of_day // (MINUTE * MICRO)
        for number in range(100_000):
            day = _nth(first, number * trigger.every, trigger.unit, trigger.missing)
            if day is not None and day > self._days[-1]:
                return
            if day is not None:
                yield from self._shown(trigger.timezone, day, minute, wildcard=False)

    def _shown(self, zone: str, day: date, minute: int, wildcard: bool) -> list[int]:
        """The instants at which a zone's clock shows a time of a day, in the sense of the rule."""
        wall = calendar.timegm(day.timetuple()) + minute * MINUTE
        found = [wall - offset for offset in self._around(zone, day) if _offset(zone, wall - offset) == offset]
        if found:
            return sorted(found) if wildcard else [min(found)]
        return [] if wildcard else self._after_gap(zone, day, wall)

    def _after_gap(self, zone: str, day: date, wall: int) -> list[int]:
        """The first minute whose wall time is later, unless the clock stepped too far; the clock never showed `wall`."""
        least, most = min(self._around(zone, day)), max(self._around(zone, day))
        if most - least >= LONGEST:
            return []
        return [next(at for at in range(wall - most, wall - least + DAY, MINUTE) if at + _offset(zone, at) > wall)]

    def _around(self, zone: str, day: date) -> list[int]:
        """Every offset that a zone has from the day before to the day after."""
        if (zone, day) not in self._offsets:
            noon = calendar.timegm(day.timetuple()) + DAY // 2
            self._offsets[zone, day] = sorted({_offset(zone, noon + n * 3_600) for n in range(-48, 49)})
        return self._offsets[zone, day]


def _offset(zone: str, at: int) -> int:
    found = datetime.fromtimestamp(at, reference_zone(zone)).utcoffset()
    assert found is not None
    return int(found.total_seconds())


def _nth(first: date, steps: int, unit: str, missing: str) -> date | None:
    if unit in ("day", "week"):
        return first + timedelta(days=steps * (7 if unit == "week" else 1))
    months = first.month - 1 + steps * (12 if unit == "year" else 1)
    year, month = first.year + months // 12, months % 12 + 1
    last = calendar.monthrange(year, month)[1]
    if first.day > last and missing == "skip":
        return None
    return date(year, month, min(first.day, last))


def excluded(rule: CalendarRule, at: int) -> bool:
    """Whether the rule, which excludes days and weekdays, keeps an instant (microseconds) from running."""
    day = datetime.fromtimestamp(at // MICRO, reference_zone(rule.calendar.timezone)).date()
    named = any(first <= day.toordinal() <= last for first, last in rule.calendar.days)
    return named or day.weekday() in rule.calendar.weekdays
