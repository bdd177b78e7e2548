"""What triggers and calendars mean, in the plainest words, to compare the real evaluation with.

Every look at the wall clock is a look through `zoneinfo`, and every answer is a set made by going through all there is. It
shares nothing with the real one: no stretches, no bisection, no masks. `python -m tests.actors.trigger_reference --seconds 600`
compares random triggers under random calendars around changes of offset for that long.
"""

from __future__ import annotations

import argparse
import calendar as months
import random
import sys
import time as clock
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta

import attrs

from actors.model.calendar import Calendar, CalendarRule, Shift, calendar_of
from actors.model.trigger import Bounds, CalendarInterval, Cron, Interval, Once, Single, Trigger, Union
from actors.when import triggers
from runtime.clock import DAY, SECOND, Instant, Micros, from_datetime

from .cron_reference import FOLDS, GAPS, Window, changes_of_offset, random_expression, reference_zone

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


# ---- random cases

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "America/St_Johns",
    "Africa/Casablanca",
    "America/Santiago",
    "Asia/Gaza",
)
QUIET = 1_800_000_000
"""An instant of 2027, in seconds, for zones in which nothing changes."""


def random_single(rng: random.Random, zone: str, at: int) -> Single:
    """A trigger that names times near an instant in seconds. Its intervals are long enough to move."""
    gap, fold = rng.choice(GAPS), rng.choice(FOLDS)
    day = datetime.fromtimestamp(at, UTC).toordinal()
    match rng.randrange(4):
        case 0:
            return Once(Instant(at * SECOND + rng.randint(-3 * DAY, 3 * DAY)))
        case 1:
            every = rng.choice([DAY, 2 * DAY, 7 * DAY, DAY + HOUR, 3 * DAY + 7 * SECOND])
            return Interval(Micros(every), Instant(at * SECOND - rng.randint(0, 100 * DAY)))
        case 2:
            text = random_expression(rng, at, forms=True, hashed=rng.random() < 0.3)
            return Cron(text, zone, gap, fold, seed=rng.randrange(99))
        case _:
            time_of_day = Micros(rng.randrange(24 * 12) * 300 * SECOND + rng.choice([0, 0, 123]))
            anchor = day - rng.choice([0, 1, 30, 365, 366 * 3, rng.randint(0, 1_500)])
            unit = rng.choice(["day", "week", "month", "year"])
            missing = rng.choice(["skip", "last_day"])
            return CalendarInterval(rng.choice([1, 1, 2, 3]), unit, anchor, time_of_day, zone, missing, gap, fold)


def random_calendar(rng: random.Random, zone: str, at: int, *, moving: bool) -> Calendar:
    """A calendar with something in it near an instant in seconds."""
    day = datetime.fromtimestamp(at, UTC).date().toordinal()
    firsts = [day + rng.randint(-6, 6) for _ in range(rng.randint(0, 3))]
    begins = [Instant(at * SECOND + rng.randint(-5 * DAY, 5 * DAY)) for _ in range(rng.randint(0, 3))]
    return calendar_of(
        "",
        f"calendar {rng.randint(0, 9)}",
        1,
        zone,
        [(first, first + rng.randint(0, 4)) for first in firsts],
        [] if moving else [(begin, Instant(begin + rng.randint(1, 2 * DAY))) for begin in begins],
        rng.sample(range(7), rng.choice([0, 0, 1, 2])),
    )


def random_rules(rng: random.Random, zone: str, other: str, at: int) -> tuple[CalendarRule, ...]:
    """Up to three rules; those that move are in the first zone and of one direction."""
    shift: Shift = rng.choice(["next", "previous"])
    count = rng.choice([0, 1, 2])
    rules = [CalendarRule(random_calendar(rng, zone, at, moving=True), "exclude", shift) for _ in range(count)]
    if rng.random() < 0.5:
        mode = rng.choice(["exclude", "include"])
        rules.append(CalendarRule(random_calendar(rng, other, at, moving=False), mode, "skip"))
    rng.shuffle(rules)
    return tuple(rules)


@attrs.frozen
class Case:
    """A trigger, its bounds, and a span to look at."""

    trigger: Trigger
    bounds: Bounds
    first: Instant
    last: Instant


def random_case(rng: random.Random) -> Case:
    """A case around a change of offset of its zone."""
    zone, other = rng.choice(ZONES), rng.choice(ZONES)
    at = rng.choice([*changes_of_offset(zone), (QUIET, 0, 0)])[0]
    rules = random_rules(rng, zone, other, at)
    second = zone if any(rule.shift != "skip" for rule in rules) else other
    members = tuple(random_single(rng, rng.choice([zone, second]), at) for _ in range(rng.choice([1, 1, 2, 3])))
    first = Instant(at * SECOND - 3 * DAY + rng.randint(0, DAY))
    start, end = Instant(at * SECOND - DAY), Instant(at * SECOND + 2 * DAY)
    bounds = Bounds(rng.choice([None, None, start]), rng.choice([None, None, end]), calendars=rules)
    trigger = members[0] if len(members) == 1 and rng.random() < 0.8 else Union(members)
    return Case(trigger, bounds, first, Instant(first + 6 * DAY))


def compare(case: Case, rng: random.Random) -> None:
    """Asserts that every function of `triggers` agrees with the plain answers."""
    trigger, bounds, first, last = case.trigger, case.bounds, case.first, case.last
    before = Instant(first - 1)
    expected = nominal(trigger, bounds, first, last, farthest=25)
    assert _walk(triggers.next_after, case) == expected
    allowed = [slot for slot in expected if excluded_by(bounds, slot) is None]
    assert _walk(triggers.next_allowed, case) == allowed
    for limit in (1, 3, 100):
        through = Instant(rng.randint(first, last))
        newest = [slot for slot in expected if slot <= through][-limit:]
        assert triggers.previous_slots(trigger, bounds, before, through, limit) == newest
    assert triggers.count_between(trigger, bounds, first, last) in (None, len(expected))
    assert sum(triggers.count_slices(trigger, bounds, first, last)) == len(expected)
    spans = list(triggers.excluded_spans(bounds, first, last))
    for moment in [rng.randint(first, last) for _ in range(20)] + expected[:20]:
        name = excluded_by(bounds, moment)
        assert triggers.excluded_by(bounds, Instant(moment)) == name
        assert [span[2] for span in spans if span[0] <= moment < span[1]] == ([] if name is None else [name])


def _walk(following: Callable[[Trigger, Bounds, Instant], Instant | None], case: Case) -> list[int]:
    found: list[int] = []
    at = following(case.trigger, case.bounds, Instant(case.first - 1))
    while at is not None and at <= case.last:
        found.append(at)
        at = following(case.trigger, case.bounds, at)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description="Compares the evaluation of triggers with the plain rule.")
    parser.add_argument("--seconds", type=float, default=60, help="how long")
    parser.add_argument("--seed", type=int, default=0, help="of the first case")
    options = parser.parse_args()
    begun, seed = clock.monotonic(), options.seed
    while clock.monotonic() - begun < options.seconds:
        rng = random.Random(seed)
        case = random_case(rng)
        try:
            compare(case, rng)
        except AssertionError:
            sys.stdout.write(f"seed {seed} differs: {case}\n")
            return 1
        seed += 1
    sys.stdout.write(f"{seed - options.seed} cases, no difference\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
