"""The dates of a recurrence rule (RFC 5545, 3.3.10) for rules of whole days: daily, weekly, monthly, yearly.

Goes through the days of each period up to a given last day and keeps those that match. No rule can make it go further, which is
why this is not left to a library: `FREQ=DAILY;BYSETPOS=2` keeps dateutil busy for a minute, to find nothing until the year 9999.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final

from runtime.errors import InvalidRequest
from runtime.records import record

_DAY: Final = timedelta(days=1)
_WEEKDAYS: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_FREQUENCIES: Final = ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")
_KNOWN: Final = {"FREQ", "INTERVAL", "BYMONTH", "BYMONTHDAY", "BYYEARDAY", "BYDAY", "BYSETPOS", "WKST"}
_BY_DAY: Final = re.compile(r"([+-]?[0-9]{1,2})?(MO|TU|WE|TH|FR|SA|SU)")


@record
class Rule:
    """A rule. `weekdays` are pairs of a position in the month or year, 0 for every one, and a weekday, 0 for Monday."""

    frequency: str
    interval: int
    months: tuple[int, ...]
    month_days: tuple[int, ...]
    year_days: tuple[int, ...]
    weekdays: tuple[tuple[int, int], ...]
    positions: tuple[int, ...]
    week_start: int


def rule_of(parts: Mapping[str, Sequence[Any]], begin: date) -> Rule:
    """The rule of its parts without `COUNT` and `UNTIL`, for a series that begins on this day. Raises InvalidRequest."""
    odd = sorted(parts.keys() - _KNOWN)
    frequency = str(parts.get("FREQ", ["none"])[0]).upper()
    if odd or frequency not in _FREQUENCIES:
        what = f"{odd[0]} is not supported" if odd else f"FREQ={frequency} is more often than daily or unknown"
        raise InvalidRequest(f"recurrence rule: {what}")
    interval = int(parts.get("INTERVAL", [1])[0])
    if interval < 1:
        raise InvalidRequest(f"recurrence rule: INTERVAL={interval} is less than 1")
    months, month_days = _numbers(parts, "BYMONTH", 12), _numbers(parts, "BYMONTHDAY", 31)
    year_days = _numbers(parts, "BYYEARDAY", 366)
    weekdays = tuple(_weekday(str(text).upper()) for text in parts.get("BYDAY", ()))
    if not (month_days or year_days or weekdays):
        if frequency == "WEEKLY":
            weekdays = ((0, begin.weekday()),)
        elif frequency in ("MONTHLY", "YEARLY"):
            month_days = (begin.day,)
            months = months or ((begin.month,) if frequency == "YEARLY" else ())
    week_start = _weekday(str(parts.get("WKST", ["MO"])[0]).upper())[1]
    positions = _numbers(parts, "BYSETPOS", 366)
    return Rule(frequency, interval, months, month_days, year_days, weekdays, positions, week_start)


def _numbers(parts: Mapping[str, Sequence[Any]], key: str, limit: int) -> tuple[int, ...]:
    found = tuple(int(value) for value in parts.get(key, ()))
    for value in found:
        if not 1 <= abs(value) <= limit:
            raise InvalidRequest(f"recurrence rule: {key}={value} is not within 1 to {limit}")
    return found


def _weekday(text: str) -> tuple[int, int]:
    match = _BY_DAY.fullmatch(text)
    if match is None:
        raise InvalidRequest(f"recurrence rule: {text!r} is no weekday")
    return int(match[1] or 0), _WEEKDAYS.index(match[2])


def dates(rule: Rule, begin: date, last: date) -> Iterator[date]:
    """The dates of the rule from `begin` to `last`, in order; `begin` itself only if it matches."""
    for first, end in _periods(rule, begin, last):
        days = [first + n * _DAY for n in range((end - first).days)]
        found = [day for day in days if _matches(rule, day)]
        if rule.positions:
            chosen = {p - 1 if p > 0 else len(found) + p for p in rule.positions}
            found = [day for index, day in enumerate(found) if index in chosen]
        yield from (day for day in found if begin <= day <= last)


def _periods(rule: Rule, begin: date, last: date) -> Iterator[tuple[date, date]]:
    """The periods of the rule that touch the span: first day, and the day after the last one."""
    if rule.frequency in ("DAILY", "WEEKLY"):
        length = timedelta(days=1 if rule.frequency == "DAILY" else 7)
        first = begin if rule.frequency == "DAILY" else begin - (begin.weekday() - rule.week_start) % 7 * _DAY
        while first <= last:
            yield first, first + length
            first += length * rule.interval
        return
    size = 1 if rule.frequency == "MONTHLY" else 12
    number = begin.year * 12 + (begin.month - 1 if size == 1 else 0)
    while (first := _month(number)) <= last:
        yield first, _month(number + size)
        number += size * rule.interval


def _month(number: int) -> date:
    return date(number // 12, number % 12 + 1, 1)


def _matches(rule: Rule, day: date) -> bool:
    length = calendar.monthrange(day.year, day.month)[1]
    in_year = day.timetuple().tm_yday
    year = 366 if calendar.isleap(day.year) else 365
    return (
        (not rule.months or day.month in rule.months)
        and (not rule.month_days or day.day in rule.month_days or day.day - length - 1 in rule.month_days)
        and (not rule.year_days or in_year in rule.year_days or in_year - year - 1 in rule.year_days)
        and (not rule.weekdays or any(_is_weekday(rule, day, *one) for one in rule.weekdays))
    )


def _is_weekday(rule: Rule, day: date, position: int, weekday: int) -> bool:
    """Whether this is the weekday, at its position in the month, or in the year where the rule goes by years alone."""
    if day.weekday() != weekday or position == 0:
        return day.weekday() == weekday
    if rule.frequency == "MONTHLY" or rule.months:
        number, length = day.day, calendar.monthrange(day.year, day.month)[1]
    else:
        number, length = day.timetuple().tm_yday, 366 if calendar.isleap(day.year) else 365
    return position in ((number - 1) // 7 + 1, -((length - number) // 7 + 1))
