"""The evaluation of triggers: which nominal times they name.

Pure functions of (trigger, bounds, instant); the zone database's version is part of the trigger's meaning and is checked when
a node starts. Every function is strictly increasing in time: `next_after(t) > t`, always.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from runtime.clock import HOUR, Instant, Micros, isoformat
from runtime.errors import InternalError, InvalidRequest

from . import cron, cron_search
from .model.trigger import (
    LONGEST_INTERVAL,
    SHORTEST_INTERVAL,
    Bounds,
    CalendarInterval,
    Cron,
    Interval,
    Once,
    Trigger,
    Union,
)
from .zones import zone

SHORTEST_LOOK: Final = HOUR
"""The first span in which the newest slots are looked for: the usual schedule has a few in it."""


def next_after(trigger: Trigger, bounds: Bounds, after: Instant) -> Instant | None:
    """The first nominal time strictly after `after` that the bounds allow, or None if there is none."""
    if bounds.start is not None and after < bounds.start:
        after = Instant(bounds.start - 1)
    found = _evaluate(trigger, after)
    if found is None or (bounds.end is not None and found > bounds.end):
        return None
    if found <= after:
        raise InternalError(f"{trigger!r} answered {isoformat(found)} for the next after {isoformat(after)}")
    return found


def _evaluate(trigger: Trigger, after: Instant) -> Instant | None:
    match trigger:
        case Interval(every=every, anchor=anchor):
            return anchor if after < anchor else Instant(after + every - (after - anchor) % every)
        case Cron():
            return cron_search.next_fire(
                cron.parse(trigger.expression, trigger.seed),
                zone(trigger.timezone),
                after,
                gap=trigger.gap,
                fold=trigger.fold,
            )
        case Once(at=at):
            return at if after < at else None
        case CalendarInterval() | Union():
            raise InvalidRequest(f"trigger: {trigger!r} is not evaluated by this version")


def last_through(trigger: Trigger, bounds: Bounds, after: Instant, through: Instant) -> Instant | None:
    """The newest nominal time in (after, through], or None.

    By bisection over `next_after`, which never goes backwards: about 60 evaluations whatever the number of slots between.
    """
    first = next_after(trigger, bounds, after)
    if first is None or first > through:
        return None
    low, high = first, through
    while low < high:
        middle = Instant((low + high) // 2)
        candidate = next_after(trigger, bounds, middle)
        if candidate is not None and candidate <= through:
            low = candidate
        else:
            high = middle
    return low


def count_between(trigger: Trigger, first: Instant, last: Instant) -> int:
    """How many nominal times lie in [first, last], both being such. Costs a step per month at the most, not per slot."""
    match trigger:
        case Interval(every=every):
            return (last - first) // every + 1
        case Cron():
            spec, where = cron.parse(trigger.expression, trigger.seed), zone(trigger.timezone)
            return cron_search.count_fires(spec, where, Instant(first - 1), last, gap=trigger.gap, fold=trigger.fold)
        case Once():
            return 1
        case CalendarInterval() | Union():
            raise InvalidRequest(f"trigger: {trigger!r} is not evaluated by this version")


def previous_slots(trigger: Trigger, bounds: Bounds, after: Instant, through: Instant, limit: int) -> list[Instant]:
    """The newest `limit` nominal times in (after, through], oldest first.

    Looks back over a span that grows until it holds enough, then walks through it once.
    """
    span = SHORTEST_LOOK
    while True:
        begin = max(after, Instant(through - span))
        found = _slots(trigger, bounds, begin, through, limit)
        if len(found) == limit or begin == after:
            return found
        span = Micros(span * 4)


def _slots(trigger: Trigger, bounds: Bounds, after: Instant, through: Instant, limit: int) -> list[Instant]:
    if isinstance(trigger, Interval):
        after = max(after, Instant(through - limit * trigger.every - 1))
    newest: deque[Instant] = deque(maxlen=limit)
    following = next_after(trigger, bounds, after)
    while following is not None and following <= through:
        newest.append(following)
        following = next_after(trigger, bounds, following)
    return list(newest)


def upcoming(trigger: Trigger, bounds: Bounds, after: Instant, count: int) -> list[Instant]:
    """The next `count` nominal times after an instant."""
    found: list[Instant] = []
    while len(found) < count and (following := next_after(trigger, bounds, after)) is not None:
        found.append(following)
        after = following
    return found


def check_trigger(trigger: Trigger, bounds: Bounds, now: Instant) -> None:
    """Raise InvalidRequest, naming field and value, for a trigger that cannot be evaluated or never fires."""
    _check_bounds(bounds)
    match trigger:
        case Interval(every=every):
            if not SHORTEST_INTERVAL <= every <= LONGEST_INTERVAL:
                raise InvalidRequest(f"trigger.every: from 10 ms to 100 years, not {every / 1_000_000:g} s")
        case Cron():
            cron_search.check_fires(cron.parse(trigger.expression, trigger.seed), zone(trigger.timezone), now)
        case CalendarInterval() | Union():
            raise InvalidRequest(f"trigger: {trigger!r} is not evaluated by this version")
        case Once():
            if bounds.end is not None and trigger.at > bounds.end:
                raise InvalidRequest(f"trigger.at: {isoformat(trigger.at)} is after the end {isoformat(bounds.end)}")


def _check_bounds(bounds: Bounds) -> None:
    if bounds.max_runs is not None and bounds.max_runs < 1:
        raise InvalidRequest(f"max_runs: at least 1, not {bounds.max_runs}")
    if bounds.start is not None and bounds.end is not None and bounds.start > bounds.end:
        raise InvalidRequest(f"start: {isoformat(bounds.start)} is after the end {isoformat(bounds.end)}")
