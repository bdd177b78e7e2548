"""The slots of a calendar interval: every n days, weeks, months or years at a local time.

A slot is found by its number: which day it falls on is computed from the anchor, and which slot comes next after an instant
by a division. Nothing is chained and nothing walks over what was missed.
"""

from __future__ import annotations

from datetime import date
from typing import Final

from runtime.clock import DAY, Instant, isoformat
from runtime.errors import InvalidRequest

from ..model.calendar import EPOCH_DAY, FIRST_DAY, LAST_DAY
from ..model.trigger import UNITS_IN_CENTURY, CalendarInterval
from .cron_search import days_in
from .wall_clock import instants_of, local_day, midnight
from .zones import Zone, zone

MAX_STEPS: Final = 1_000
"""Slots looked at for one answer. 29 February comes back within 400 steps of any number of years; nothing is rarer."""

MAX_COUNTED: Final = 1_000
"""Slots counted at a time, about 2 microseconds each."""

_MARGIN: Final = 3
"""Days around an instant in which its slots are looked for: more than any change of offset moves them."""

_DAYS: Final = {"day": 1, "week": 7}
_MONTHS: Final = {"month": 1, "year": 12}


def next_slot(trigger: CalendarInterval, after: Instant) -> Instant | None:
    """The first slot strictly later than `after`, or None if there is none before the last day of a date."""
    where = zone(trigger.timezone)
    number = _number_before(trigger, where, after)
    for step in range(number, number + MAX_STEPS):
        for instant in _slots(trigger, where, step):
            if instant > after:
                return instant
    return None


def newest_slots(trigger: CalendarInterval, after: Instant, through: Instant, limit: int) -> list[Instant]:
    """The newest `limit` slots in (after, through], oldest first."""
    where = zone(trigger.timezone)
    lowest = _number_before(trigger, where, after)
    found: list[Instant] = []
    number = _number_before(trigger, where, through) + 2 * _MARGIN
    while number >= lowest and len(found) < limit:
        found += [instant for instant in reversed(_slots(trigger, where, number)) if after < instant <= through]
        number -= 1
    return found[:limit][::-1]


def count_slots(trigger: CalendarInterval, after: Instant, through: Instant) -> int | None:
    """How many slots lie in (after, through]; None if more than `MAX_COUNTED` would have to be looked at."""
    where = zone(trigger.timezone)
    first, last = _number_before(trigger, where, after), _number_before(trigger, where, through) + 2 * _MARGIN
    if last - first > MAX_COUNTED:
        return None
    slots = (instant for number in range(first, last + 1) for instant in _slots(trigger, where, number))
    return sum(after < instant <= through for instant in slots)


def names_local_time(trigger: CalendarInterval, low: int, high: int) -> bool:
    """Whether a slot has a local time with `low <= time < high`, in microseconds since 1970 of the wall clock."""
    number = _number_at(trigger, low // DAY + EPOCH_DAY - _MARGIN)
    days = (day_of_slot(trigger, near) for near in range(number, number + 3 * _MARGIN))
    return any(day is not None and low <= midnight(day) + trigger.time_of_day < high for day in days)


def check(trigger: CalendarInterval) -> None:
    """Raises InvalidRequest, naming field and value, for sizes outside their limits and an unknown zone."""
    zone(trigger.timezone)
    if trigger.unit not in UNITS_IN_CENTURY:
        raise InvalidRequest(f"trigger.unit: one of {', '.join(UNITS_IN_CENTURY)}, not {trigger.unit!r}")
    if not 1 <= trigger.every <= UNITS_IN_CENTURY[trigger.unit]:
        limit = UNITS_IN_CENTURY[trigger.unit]
        raise InvalidRequest(f"trigger.every: from 1 to {limit} {trigger.unit}s, not {trigger.every}")
    if not FIRST_DAY <= trigger.anchor_day <= LAST_DAY:
        raise InvalidRequest(f"trigger.anchor_day: an ordinal from {FIRST_DAY} to {LAST_DAY}, not {trigger.anchor_day}")
    if not 0 <= trigger.time_of_day < midnight(1) - midnight(0):
        raise InvalidRequest(f"trigger.time_of_day: within a day, not {trigger.time_of_day / 1_000_000:g} s")
    if trigger.missing not in ("skip", "last_day"):
        raise InvalidRequest(f"trigger.missing: skip or last_day, not {trigger.missing!r}")


def _number_before(trigger: CalendarInterval, where: Zone, instant: Instant) -> int:
    """A number whose slot, and every slot before it, is not later than an instant, near it; 0 before the anchor."""
    return _number_at(trigger, local_day(where, instant) - _MARGIN)


def _number_at(trigger: CalendarInterval, day: int) -> int:
    """A number whose slot is not later than a day, near it; 0 before the anchor."""
    if day < trigger.anchor_day:
        return 0
    if trigger.unit in _DAYS:
        return (day - trigger.anchor_day) // (trigger.every * _DAYS[trigger.unit])
    anchor, moment = date.fromordinal(trigger.anchor_day), date.fromordinal(min(day, LAST_DAY))
    months = (moment.year - anchor.year) * 12 + moment.month - anchor.month
    return max(0, months // (trigger.every * _MONTHS[trigger.unit]) - 1)


def day_of_slot(trigger: CalendarInterval, number: int) -> int | None:
    """The ordinal of the day of a slot; None if its month has no such day, or no date can hold it."""
    if trigger.unit in _DAYS:
        day = trigger.anchor_day + number * trigger.every * _DAYS[trigger.unit]
        return day if day <= LAST_DAY - _MARGIN else None
    anchor = date.fromordinal(trigger.anchor_day)
    year, month = divmod(anchor.year * 12 + anchor.month - 1 + number * trigger.every * _MONTHS[trigger.unit], 12)
    if year > 9998:
        return None
    length = days_in(year, month + 1)
    if anchor.day > length and trigger.missing == "skip":
        return None
    return date(year, month + 1, min(anchor.day, length)).toordinal()


def _slots(trigger: CalendarInterval, where: Zone, number: int) -> list[Instant]:
    day = day_of_slot(trigger, number)
    if day is None:
        return []
    return instants_of(where, midnight(day) + trigger.time_of_day, trigger.gap, trigger.fold)


def explain(trigger: CalendarInterval) -> str:
    """In plain English, e.g. `every 2 months at 09:00, from 2026-01-31, on the last day of shorter months`."""
    every = f"every {trigger.unit}" if trigger.every == 1 else f"every {trigger.every} {trigger.unit}s"
    clock = isoformat(Instant(trigger.time_of_day)).removesuffix("Z").partition("T")[2].removesuffix(":00")
    anchor = date.fromordinal(trigger.anchor_day)
    words = f"{every} at {clock}, from {anchor.isoformat()}"
    if trigger.unit in _DAYS or anchor.day <= 28:
        return words
    if trigger.missing == "last_day":
        which = "the" if anchor.day == 31 and trigger.unit == "month" else "a shorter"
        return f"{words}, on the last day of {which} month"
    return f"{words}, not in a month without a day {anchor.day}"
