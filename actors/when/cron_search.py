"""The search for the next fire of a cron expression, by the rule of Debian's cron.

Theory of operation. `cron.parse` has made bit masks of an expression. The search runs over a zone's stretches of constant
offset. Inside a stretch the wall clock is plain arithmetic, so the next match is the lowest bit of a shifted mask. What is
special happens at the stretch's ends only:

- A *wildcard job*, whose minute or hour begins with `*`, runs whenever the wall clock matches: in both passes of an
  overlap, never for a wall time that a gap swallowed. The policies `gap` and `fold` do not touch it.
- A *fixed-time job*, any other, runs in the first pass of an overlap only (`fold`), and if a gap swallowed one or more
  of its wall times, once at the instant the gap ends (`gap`). That holds for gaps under three hours and overlaps up to
  three hours; a larger change is a move of the zone, where swallowed times are lost and repeated ones run again.

The rule is that of cron 3.0pl1 as Debian ships it (main loop of cron.c, flags of entry.c, man page cron(8)); its integer
overflow in 2038 is not copied. A job of seconds follows the same rule to the second.

Work is bounded by construction: a search ends at `HORIZON`, and takes one step per month and per stretch until there.
"""

from __future__ import annotations

from datetime import date
from typing import Final

from runtime.clock import DAY, SECOND, Instant, Micros
from runtime.errors import InvalidRequest

from ..model.calendar import EPOCH_DAY
from ..model.trigger import Fold, Gap
from .cron import CronSpec, lowest
from .zones import Stretch, Zone

HORIZON: Final = Micros(50 * 36_525 * DAY // 100)
"""How far ahead a search looks. The rarest day, 29 February on one weekday, comes at the latest after 40 years."""

LATEST_FIRST_FIRE: Final = Micros(10 * 36_525 * DAY // 100)
"""A trigger that first fires later than this, ten years, is refused: far more often a mistake than a plan."""

ZONE_MOVE: Final = 3 * 3_600
"""Seconds. Debian's cron catches up over forward changes under this, and holds back over backward ones up to it."""

_DAY: Final = 86_400
_EARLIEST: Final = -62_135_596_800 + 3 * _DAY
_LATEST: Final = 253_402_300_799 - 3 * _DAY
_MONTH_DAYS: Final = (0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_WEEKDAY_OF_EPOCH: Final = 4


def next_fire(
    spec: CronSpec, zone: Zone, after: Instant, *, gap: Gap = "shift", fold: Fold = "first"
) -> Instant | None:
    """The first instant strictly later than `after` at which `spec` fires by the clock of `zone`.

    None if there is none within `HORIZON`. `gap` and `fold` touch fixed-time jobs only, at changes of offset that are
    no move of the zone (see above).
    """
    begin = max(after // SECOND + 1, _EARLIEST)
    limit = min(begin + HORIZON // SECOND, _LATEST)
    while begin < limit:
        stretch = zone.stretch(begin)
        if begin == stretch.start and _shifts(spec, stretch, gap):
            return Instant(begin * SECOND)
        low, high = begin, min(stretch.end, limit)
        if not spec.wildcard:
            low, high = first_passes(stretch, low, high, fold)
        found = _next_local(spec, low + stretch.offset, high + stretch.offset)
        if found is not None:
            return Instant((found - stretch.offset) * SECOND)
        begin = stretch.end
    return None


def fires(
    spec: CronSpec, zone: Zone, after: Instant, until: Instant, limit: int, *, gap: Gap = "shift", fold: Fold = "first"
) -> list[Instant]:
    """The instants of firing with `after < instant <= until`, in order, no more than the first `limit` of them."""
    found: list[Instant] = []
    instant = next_fire(spec, zone, after, gap=gap, fold=fold)
    while instant is not None and instant <= until and len(found) < limit:
        found.append(instant)
        instant = next_fire(spec, zone, instant, gap=gap, fold=fold)
    return found


def count_fires(
    spec: CronSpec, zone: Zone, after: Instant, until: Instant, *, gap: Gap = "shift", fold: Fold = "first"
) -> int:
    """How many instants of firing have `after < instant <= until`; costs a step per month, not per instant."""
    begin, limit = max(after // SECOND + 1, _EARLIEST), min(until // SECOND + 1, _LATEST)
    count = 0
    while begin < limit:
        stretch = zone.stretch(begin)
        low, high = begin, min(stretch.end, limit)
        if not spec.wildcard:
            low, high = first_passes(stretch, low, high, fold)
        if begin == stretch.start and _shifts(spec, stretch, gap):
            count += 1
            low = max(low, begin + 1)
        if low < high:
            count += _count_local(spec, low + stretch.offset, high + stretch.offset)
        begin = stretch.end
    return count


def check_fires(spec: CronSpec, zone: Zone, after: Instant, *, gap: Gap = "shift", fold: Fold = "first") -> None:
    """Raises InvalidRequest if `spec` never fires after `after`, or not within ten years of it."""
    today = max(after // DAY, _EARLIEST // _DAY)
    never = _next_day(spec, today - 1, today + HORIZON // DAY) is None
    instant = None if never else next_fire(spec, zone, after, gap=gap, fold=fold)
    if instant is None:
        raise InvalidRequest(f"cron expression {spec.text!r} never fires")
    if instant > after + LATEST_FIRST_FIRE:
        year = date.fromordinal(instant // DAY + EPOCH_DAY).year
        raise InvalidRequest(f"cron expression {spec.text!r} does not fire within ten years, first in {year}")


def names_local_time(spec: CronSpec, low: int, high: int) -> bool:
    """Whether the wall clock matches at a second with `low <= second < high`, counted from 1970 by that clock."""
    return _next_local(spec, low, high) is not None


def _shifts(spec: CronSpec, stretch: Stretch, gap: Gap) -> bool:
    """Whether a run that the gap before this stretch swallowed moves to its start."""
    if spec.wildcard or gap != "shift" or not 0 < stretch.offset - stretch.before < ZONE_MOVE:
        return False
    return _next_local(spec, stretch.start + stretch.before, stretch.start + stretch.offset) is not None


def first_passes(stretch: Stretch, low: int, high: int, fold: Fold) -> tuple[int, int]:
    """The part of `low <= second < high` in a stretch where a fixed-time job may run: without the other pass of an overlap."""
    if fold == "first" and 0 < stretch.before - stretch.offset <= ZONE_MOVE:
        return max(low, stretch.start + stretch.before - stretch.offset), high
    if fold == "last" and 0 < stretch.offset - stretch.after <= ZONE_MOVE:
        return low, min(high, stretch.end + stretch.after - stretch.offset)
    return low, high


def _next_local(spec: CronSpec, low: int, high: int) -> int | None:
    """The first matching second of the wall clock with `low <= second < high`."""
    if low >= high:
        return None
    day, second = divmod(low, _DAY)
    last = (high - 1) // _DAY
    matching = _next_day(spec, day, last)
    if matching == day:
        in_day = _next_in_day(spec, second)
        if in_day is not None:
            found = day * _DAY + in_day
            return found if found < high else None
        matching = _next_day(spec, day + 1, last)
    if matching is None:
        return None
    found = matching * _DAY + spec.first
    return found if found < high else None


def _next_in_day(spec: CronSpec, second: int) -> int | None:
    minute, second = divmod(second, 60)
    rest = spec.minutes >> minute
    if rest & 1:
        seconds = spec.seconds >> second
        if seconds:
            return minute * 60 + second + lowest(seconds)
        rest -= 1
    return (minute + lowest(rest)) * 60 + lowest(spec.seconds) if rest else None


def _next_day(spec: CronSpec, day: int, last: int) -> int | None:
    """The first matching day with `day <= matching <= last`, in days since 1970-01-01."""
    moment = date.fromordinal(day + EPOCH_DAY)
    year, month, day_of_month = moment.year, moment.month, moment.day
    first = day - day_of_month
    while first < last:
        length = days_in(year, month)
        if spec.months >> month & 1:
            rest = spec.days[_shape(length, first)] >> day_of_month
            if rest:
                found = first + day_of_month + lowest(rest)
                return found if found <= last else None
        first += length
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)
        day_of_month = 1
    return None


def _shape(length: int, before: int) -> int:
    """Where `CronSpec.days` keeps a month of this length, from the day before its first."""
    return 7 * (length - 28) + (before + 1 + _WEEKDAY_OF_EPOCH) % 7


def days_in(year: int, month: int) -> int:
    """The days of a month, 28 to 31."""
    if month == 2 and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0):
        return 29
    return _MONTH_DAYS[month]


def _count_local(spec: CronSpec, low: int, high: int) -> int:
    """How many matching seconds of the wall clock have `low <= second < high`."""
    (first, low_second), (last, high_second) = divmod(low, _DAY), divmod(high, _DAY)
    count = _count_days(spec, first, last) * spec.minutes.bit_count() * spec.seconds.bit_count()
    count -= _count_days(spec, first, first + 1) * _count_before(spec, low_second)
    return count + _count_days(spec, last, last + 1) * _count_before(spec, high_second)


def _count_before(spec: CronSpec, second: int) -> int:
    minute, second = divmod(second, 60)
    whole = (spec.minutes & ((1 << minute) - 1)).bit_count() * spec.seconds.bit_count()
    return whole + (spec.minutes >> minute & 1) * (spec.seconds & ((1 << second) - 1)).bit_count()


def _count_days(spec: CronSpec, day: int, end: int) -> int:
    """How many matching days have `day <= matching < end`, month by month."""
    moment = date.fromordinal(day + EPOCH_DAY)
    year, month = moment.year, moment.month
    first = day - moment.day
    count = 0
    while first + 1 < end:
        length = days_in(year, month)
        if spec.months >> month & 1:
            from_day, to_day = max(day - first, 1), min(end - first - 1, length)
            span = (2 << to_day) - (1 << from_day) if to_day >= from_day else 0
            count += (spec.days[_shape(length, first)] & span).bit_count()
        first += length
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)
    return count
