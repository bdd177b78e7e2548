"""What triggers and calendars mean, in the plainest words, to compare the real evaluation with.

Every look at the wall clock is a look through `zoneinfo`, and every answer is a set made by going through all there is. It
shares nothing with the real one: no stretches, no bisection, no masks.
"""

from __future__ import annotations

import calendar as months
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta

from actors.model.calendar import Calendar, CalendarRule
from actors.model.trigger import Bounds, CalendarInterval, Cron, Interval, Once, Single, Trigger, Union
from runtime.clock import DAY, SECOND, Instant, from_datetime

from .cron_reference import Window, reference_zone

HOUR = 3_600 * SECOND
EPOCH = datetime.fromisoformat("1970-01-01")
FARTHEST = 366


def wall(zone: str, instant: int) -> datetime:
    """The wall clock at an instant."""
    second, rest = divmod(instant, SECOND)
    shown = datetime.fromtimestamp(second, reference_zone(zone)).replace(tzinfo=None, fold=0)
    return shown + timedelta(microseconds=rest)


def instants_showing(zone: str, shown: datetime) -> list[int]:
    """Every instant at which a wall clock shows this: each offset in use within two days is tried."""
    local = (shown - EPOCH) // timedelta(microseconds=1)
    offsets = {
        (wall(zone, local + hours * HOUR) - EPOCH) // timedelta(microseconds=1) - (local + hours * HOUR)
        for hours in range(-48, 49)
    }
    return sorted({local - offset for offset in offsets if wall(zone, local - offset) == shown})


def end_of_gap(zone: str, shown: datetime) -> tuple[int, int]:
    """For a local time that no clock shows: the instant its gap ends, and the gap's size in microseconds."""
    low = (shown - EPOCH) // timedelta(microseconds=1) - 30 * HOUR
    high = low + 60 * HOUR
    while high - low > SECOND:
        middle = (low + high) // 2 // SECOND * SECOND
        if middle == low:
            break
        if wall(zone, middle) > shown:
            high = middle
        else:
            low = middle
    high -= high % SECOND
    step = wall(zone, high) - wall(zone, high - SECOND)
    return high, step // timedelta(microseconds=1) - SECOND


def fixed_time(zone: str, shown: datetime, gap: str, fold: str) -> list[int]:
    """When a fixed-time job for one local time runs."""
    found = instants_showing(zone, shown)
    if not found:
        at, size = end_of_gap(zone, shown)
        return [at] if gap == "shift" and size < 3 * HOUR else []
    if len(found) > 1 and found[-1] - found[0] <= 3 * HOUR and fold != "both":
        return [found[0] if fold == "first" else found[-1]]
    return found


def dates(trigger: CalendarInterval, last: date) -> Iterator[date]:
    """The dates of a calendar interval, each from the anchor."""
    anchor = date.fromordinal(trigger.anchor_day)
    for number in range(1_000_000):
        if trigger.unit in ("day", "week"):
            day = anchor + timedelta(days=number * trigger.every * (7 if trigger.unit == "week" else 1))
        else:
            added = anchor.month - 1 + number * trigger.every * (12 if trigger.unit == "year" else 1)
            year, month = anchor.year + added // 12, added % 12 + 1
            length = months.monthrange(year, month)[1]
            if date(year, month, 1) > last:
                return
            if anchor.day > length and trigger.missing == "skip":
                continue
            day = date(year, month, min(anchor.day, length))
        if day > last:
            return
        yield day


def slots(trigger: Trigger, first: Instant, last: Instant) -> set[int]:
    """Every time that a trigger names in [first, last]."""
    if isinstance(trigger, Union):
        return {slot for member in trigger.triggers for slot in slots(member, first, last)}
    return {slot for slot in _single(trigger, first, last) if first <= slot <= last}


def _single(trigger: Single, first: Instant, last: Instant) -> Iterator[int]:
    match trigger:
        case Once(at):
            yield at
        case Interval(every, anchor):
            yield from range(max(anchor, first - (first - anchor) % every), last + 1, every)
        case Cron():
            step = 60 if len(trigger.expression.split()) < 6 else 1
            window = Window(trigger.timezone, first // SECOND - 1, last // SECOND, step=step)
            yield from (
                at * SECOND for at in window.fires(trigger.expression, trigger.gap, trigger.fold, trigger.seed or 0)
            )
        case CalendarInterval():
            until = wall(trigger.timezone, last + 2 * DAY).date()
            for day in dates(trigger, until):
                if day >= wall(trigger.timezone, first - 2 * DAY).date():
                    shown = datetime.combine(day, time()) + timedelta(microseconds=trigger.time_of_day)
                    yield from fixed_time(trigger.timezone, shown, trigger.gap, trigger.fold)


def holds_day(calendar: Calendar, day: date) -> bool:
    ordinal = day.toordinal()
    return day.weekday() in calendar.weekdays or any(low <= ordinal <= high for low, high in calendar.days)


def excludes(rule: CalendarRule, instant: int) -> bool:
    inside = holds_day(rule.calendar, wall(rule.calendar.timezone, instant).date()) or any(
        begin <= instant < end for begin, end in rule.calendar.windows
    )
    return inside if rule.mode == "exclude" else not inside


def excluded_by(bounds: Bounds, instant: int) -> str | None:
    return next((rule.calendar.name for rule in bounds.calendars if excludes(rule, instant)), None)


def moved(rules: list[CalendarRule], slot: int) -> int:
    """Where a slot is after the rules that move it."""
    zone = rules[0].calendar.timezone
    step = timedelta(days=1 if rules[0].shift == "next" else -1)
    shown = wall(zone, slot)

    def excluded(day: date) -> bool:
        return any(holds_day(rule.calendar, day) == (rule.mode == "exclude") for rule in rules)

    day = shown
    for _ in range(FARTHEST + 1):
        if not excluded(day.date()):
            break
        day += step
    else:
        return slot
    if day == shown:
        return slot
    found = instants_showing(zone, day)
    return found[0] if found else end_of_gap(zone, day)[0]


def nominal(trigger: Trigger, bounds: Bounds, first: Instant, last: Instant, farthest: int = FARTHEST + 2) -> list[int]:
    """Every nominal time in [first, last]; no slot moves there from more than `farthest` days away."""
    rules = [rule for rule in bounds.calendars if rule.shift != "skip"]
    if rules:
        around = farthest * DAY
        named = slots(trigger, Instant(first - around), Instant(last + around))
        found = {moved(rules, slot) for slot in named}
    else:
        found = slots(trigger, first, last)
    low = first if bounds.start is None else max(first, bounds.start)
    high = last if bounds.end is None else min(last, bounds.end)
    return sorted(slot for slot in found if low <= slot <= high)


def instant(text: str) -> Instant:
    return from_datetime(datetime.fromisoformat(text).astimezone(UTC))
