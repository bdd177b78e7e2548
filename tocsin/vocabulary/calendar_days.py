"""The first day of a calendar interval, from what a person says about it: "every three months on the 31st"."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator
from datetime import date
from typing import Final

import attrs

from actors.model.calendar import EPOCH_DAY
from actors.model.trigger import Unit
from runtime.clock import DAY
from runtime.errors import InvalidRequest

from .words import WEEKDAYS

_LOOK: Final = 48
"""Periods or months that are looked at: every length of a month comes by within eight years, or never."""

_FIRST_YEAR: Final = 1970


@attrs.frozen
class Wanted:
    """What was said: the period, and the day in it. `clamp`: a month without the day has its last one instead."""

    every: int
    unit: Unit
    day: int | str | None
    weekday: str | None
    month: int | None
    clamp: bool


def first_day(wanted: Wanted, wall: int, at: int, path: str) -> int:
    """The ordinal of a day to count from, so that the first slot is the first fitting one not before the wall clock's time.

    wall: microseconds of the wall clock since 1970; at: the slots' time of day, in microseconds. Where a month lacks the day
    and its last one stands in, the count begins in an earlier month of the same series that has the day.
    Raises InvalidRequest, naming the field, for a day that no month has.
    """
    today = wall // DAY + EPOCH_DAY + (at < wall % DAY)
    if wanted.weekday is not None:
        return today + (WEEKDAYS.index(wanted.weekday) - (today + 6)) % 7
    if wanted.day is None:
        return today
    day = 31 if wanted.day == "last" else int(wanted.day)
    if wanted.month is not None and day > (limit := monthrange(2024, wanted.month)[1]) and wanted.day != "last":
        raise InvalidRequest(f"{path}.day: month {wanted.month} has {limit} days at most, not {day}")
    if wanted.day == "last" and wanted.month is not None:
        day = monthrange(2024, wanted.month)[1]
    return _in_months(wanted, day, today)


def _in_months(wanted: Wanted, day: int, today: int) -> int:
    step = wanted.every * (12 if wanted.unit == "year" else 1)
    candidates = _months(today, wanted.month)
    fitting = next(month for month in candidates if _fits(month, day, today, wanted.clamp))
    for _ in range(_LOOK):
        if _length(fitting) >= day:
            break
        fitting -= step
    if _length(fitting) < day or fitting < _FIRST_YEAR * 12:
        # No month of that series has the day, so the series is the one of the next month that has it.
        fitting = next(month for month in _months(today, wanted.month) if _fits(month, day, today, False))
    return date(fitting // 12, fitting % 12 + 1, day).toordinal()


def _months(today: int, month: int | None) -> Iterator[int]:
    """Months from today's on, as months since year 0; with `month` only those of that name."""
    start = date.fromordinal(today)
    number = start.year * 12 + start.month - 1
    while True:
        if month is None or number % 12 == month - 1:
            yield number
        number += 1


def _length(month: int) -> int:
    return monthrange(month // 12, month % 12 + 1)[1]


def _fits(month: int, day: int, today: int, clamp: bool) -> bool:
    """Whether the month's slot is there and not past."""
    length = _length(month)
    if day > length and not clamp:
        return False
    return date(month // 12, month % 12 + 1, min(day, length)).toordinal() >= today
