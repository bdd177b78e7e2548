"""The evaluation of triggers: which nominal times they name, and which of them calendars exclude.

Pure functions of (trigger, bounds, instant); the zone database's version is part of the trigger's meaning and is checked when
a node starts. Every function is strictly increasing in time: `next_after(t) > t`, always.

The nominal times of a task are those of its trigger, moved off excluded days by the rules that move (`moves`), within start
and end. Those that a calendar excludes are nominal times too: they are owed an outcome, and it is not to run.

Every evaluation is bounded. What would take longer than some milliseconds is answered None, or in slices.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final, assert_never

from runtime.clock import DAY, HOUR, LAST_INSTANT, Instant, Micros, isoformat
from runtime.errors import InternalError, InvalidRequest
from runtime.records import evolve

from ..model.calendar import MAX_CALENDARS
from ..model.trigger import (
    LONGEST_INTERVAL,
    LONGEST_SPREAD,
    MAX_MEMBERS,
    SHORTEST_INTERVAL,
    Bounds,
    CalendarInterval,
    Cron,
    Interval,
    Once,
    Single,
    Trigger,
    Union,
)
from . import calendar_intervals, cron, cron_search
from .calendars import border_after, excluded_by, excluded_spans
from .cron_search import LATEST_FIRST_FIRE
from .moves import FARTHEST_MOVE, Moved, Moves, Next, check_moves, moves_of
from .zones import zone

__all__ = [
    "check_trigger",
    "count_between",
    "count_slices",
    "excluded_by",
    "excluded_spans",
    "last_through",
    "members",
    "next_after",
    "next_allowed",
    "previous_slots",
    "upcoming",
]

SHORTEST_LOOK: Final = HOUR
"""The first span in which the newest slots are looked for: the usual schedule has a few in it."""

MAX_LOOKS: Final = 3_000
"""Looks at a calendar's rule in the search for an allowed slot, about 3 microseconds each."""

_LOOKS_MOVED: Final = 16
"""What the next slot of a trigger costs in looks if its slots move."""

MAX_WALK: Final = 1_000
"""Slots that a count walks through one by one, about 3 microseconds each and member of a union."""

MAX_WALK_MOVED: Final = 100
"""The same for slots that move, of which one costs some 50 microseconds."""

_CRON_SLICE: Final = Micros(2 * 366 * DAY)
"""The span that is counted at a time at the most: 24 months of a microsecond, and a zone's offsets if not yet known."""


_LATEST: Final = Instant(1 << 62)
"""Later than any slot."""


# ---- the next


def next_after(trigger: Trigger, bounds: Bounds, after: Instant) -> Instant | None:
    """The first nominal time strictly after `after` that the bounds allow, excluded ones included; None if there is none."""
    if bounds.start is not None and after < bounds.start:
        after = Instant(bounds.start - 1)
    moves = moves_of(bounds) if bounds.calendars else None
    found = _evaluate(trigger, after) if moves is None else _series(trigger, moves)(after)
    if found is None or (bounds.end is not None and found > bounds.end):
        return None
    if found <= after:
        raise InternalError(f"{trigger!r} answered {isoformat(found)} for the next after {isoformat(after)}")
    return found


def next_allowed(trigger: Trigger, bounds: Bounds, after: Instant) -> Instant | None:
    """The first nominal time strictly after `after` that no calendar excludes; None if there is none within ten years.

    Steps over excluded spans, not slots. Where calendars are so fine that this takes more than `MAX_LOOKS`, the answer is the
    excluded slot at which the search stopped: whoever settles it goes on from there. `check_trigger` refuses such a pair.
    """
    moves = moves_of(bounds) if bounds.calendars else None
    following, cost = _series(trigger, moves), len(members(trigger)) * (_LOOKS_MOVED if moves else 1)
    after = after if bounds.start is None else max(after, Instant(bounds.start - 1))
    horizon = min(after + LATEST_FIRST_FIRE, LAST_INSTANT if bounds.end is None else bounds.end)
    looks, found = 0, following(after)
    while found is not None and found <= horizon and looks < MAX_LOOKS:
        at = found
        while at <= horizon and looks < MAX_LOOKS and excluded_by(bounds, at) is not None:
            at = border_after(bounds.calendars, at)
            looks += 2 * len(bounds.calendars)
        if at == found:
            return found
        found = following(Instant(at - 1))
        looks += cost
    return None if found is None or found > horizon else found


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
        case CalendarInterval():
            return calendar_intervals.next_slot(trigger, after)
        case Union(triggers):
            found = (_evaluate(member, after) for member in triggers)
            return min((instant for instant in found if instant is not None), default=None)
        case _:
            assert_never(trigger)


class _Earliest:
    """The next slot of several series: each is asked again only when its last answer has been passed."""

    def __init__(self, series: list[Next]) -> None:
        self._series = series
        self._asked: list[tuple[Instant, Instant]] = [(_LATEST, _LATEST)] * len(series)

    def __call__(self, after: Instant) -> Instant | None:
        earliest = _LATEST
        for index, (asked, answer) in enumerate(self._asked):
            if not asked <= after < answer:
                found = self._series[index](after)
                answer = _LATEST if found is None else found
                self._asked[index] = after, answer
            earliest = min(earliest, answer)
        return None if earliest == _LATEST else earliest


def _series(trigger: Trigger, moves: Moves | None) -> Next:
    """The next slot of a trigger as a function to be asked many times. A union's members move each for itself."""
    series = [_single_series(one, moves) for one in members(trigger)]
    return series[0] if len(series) == 1 else _Earliest(series)


def _single_series(trigger: Single, moves: Moves | None) -> Next:
    following = partial(_evaluate, trigger)
    if moves is None:
        return following
    return Moved(following, moves, daily=isinstance(trigger, Cron | CalendarInterval)).next


def members(trigger: Trigger) -> tuple[Single, ...]:
    """The triggers of a union, or the trigger itself."""
    return trigger.triggers if isinstance(trigger, Union) else (trigger,)


def upcoming(
    trigger: Trigger, bounds: Bounds, after: Instant, count: int, *, allowed_only: bool = False
) -> list[Instant]:
    """The next `count` nominal times after an instant, or the next that no calendar excludes."""
    find = next_allowed if allowed_only else next_after
    found: list[Instant] = []
    while len(found) < count and (following := find(trigger, bounds, after)) is not None:
        found.append(following)
        after = following
    return found


# ---- the newest


def last_through(trigger: Trigger, bounds: Bounds, after: Instant, through: Instant) -> Instant | None:
    """The newest nominal time in (after, through], or None. Costs some fifty evaluations, whatever lies between."""
    found = previous_slots(trigger, bounds, after, through, 1)
    return found[0] if found else None


def previous_slots(
    trigger: Trigger, bounds: Bounds, after: Instant, through: Instant, limit: int, *, allowed_only: bool = False
) -> list[Instant]:
    """The newest `limit` nominal times in (after, through], oldest first; or the newest that no calendar excludes."""
    after = max(after, Instant(bounds.start - 1)) if bounds.start is not None else after
    through = min(through, bounds.end) if bounds.end is not None else through
    if allowed_only and bounds.calendars:
        # The search for an allowed slot goes on for ten years where nothing ends it.
        ended = evolve(bounds, end=through)
        return _newest(lambda at: next_allowed(trigger, ended, at), after, through, limit)
    moves = moves_of(bounds) if bounds.calendars else None
    if moves is not None or isinstance(trigger, Union):
        return _newest(_series(trigger, moves), after, through, limit)
    match trigger:
        case Interval(every=every, anchor=anchor):
            after = max(after, Instant(anchor - 1))
            newest = through - (through - anchor) % every
            oldest = max(after + 1, newest - (limit - 1) * every)
            return [Instant(at) for at in range(newest, oldest - 1, -every)][::-1]
        case Once(at=at):
            return [at] if after < at <= through else []
        case CalendarInterval():
            return calendar_intervals.newest_slots(trigger, after, through, limit)
        case Cron():
            return _newest(_series(trigger, None), after, through, limit)
        case _:
            assert_never(trigger)


def _newest(following: Next, after: Instant, through: Instant, limit: int) -> list[Instant]:
    """The newest `limit` slots in (after, through]: looks back piece by piece, each of which ends with a slot.

    Pieces grow while they hold little. One with more than twice what is wanted is cut instead of walked through.
    """
    found: list[Instant] = []
    span, end = SHORTEST_LOOK, _last(following, after, through)
    while end is not None:
        begin = max(after, Instant(end - span))
        piece = _walk(following, begin, end, 2 * limit + 2) if limit > 1 else [end]
        if len(piece) > 2 * limit + 2:
            span = Micros(max(min(span // 4, (piece[-1] - begin) * 3 // 4), 1))
            continue
        found = piece[len(found) - limit :] + found
        if len(found) >= limit or begin == after:
            break
        end = _last(following, after, begin)
        span = Micros(span * 4 if len(piece) < limit else span)
    return found


def _last(following: Next, after: Instant, through: Instant) -> Instant | None:
    """The newest slot in (after, through], by bisection: some fifty looks, whatever lies between."""
    first = following(after)
    if first is None or first > through:
        return None
    low, high = first, through
    while low < high:
        middle = Instant((low + high) // 2)
        candidate = following(middle)
        if candidate is not None and candidate <= through:
            low = candidate
        else:
            high = middle
    return low


def _walk(following: Next, after: Instant, through: Instant, most: int) -> list[Instant]:
    """The slots in (after, through]; the first `most` and one more if there are more than that."""
    found: list[Instant] = []
    at = following(after)
    while at is not None and at <= through and len(found) <= most:
        found.append(at)
        at = following(at)
    return found


# ---- how many


def count_between(trigger: Trigger, bounds: Bounds, first: Instant, last: Instant) -> int | None:
    """How many nominal times lie in [first, last]; None if that is too much work for one step: see `count_slices`.

    Intervals and cron are counted by arithmetic and by the month. Calendar intervals are counted slot by slot up to a limit,
    and so are unions, whose equal instants count once, and slots that move.
    """
    after, through = _clipped(bounds, first, last)
    moves = moves_of(bounds) if bounds.calendars else None
    return _count(trigger, moves, after, through)


def _clipped(bounds: Bounds, first: Instant, last: Instant) -> tuple[Instant, Instant]:
    """(after, through] for [first, last] within start and end."""
    begin = first if bounds.start is None else max(first, bounds.start)
    return Instant(begin - 1), last if bounds.end is None else min(last, bounds.end)


def _count(trigger: Trigger, moves: Moves | None, after: Instant, through: Instant) -> int | None:
    if moves is not None:
        found = _walk(_series(trigger, moves), after, through, MAX_WALK_MOVED)
        return None if len(found) > MAX_WALK_MOVED else len(found)
    if not isinstance(trigger, Union):
        return _count_single(trigger, after, through)
    total = 0
    for member in trigger.triggers:
        count = _count_single(member, after, through)
        total += MAX_WALK + 1 if count is None else count
        if total > MAX_WALK:
            return None
    return len(_walk(_series(trigger, None), after, through, MAX_WALK))


def _count_single(trigger: Single, after: Instant, through: Instant) -> int | None:
    match trigger:
        case Interval(every=every, anchor=anchor):
            after = max(after, Instant(anchor - 1))
            return max(0, (through - anchor) // every - (after - anchor) // every)
        case Cron():
            spec, where = cron.parse(trigger.expression, trigger.seed), zone(trigger.timezone)
            return cron_search.count_fires(spec, where, after, through, gap=trigger.gap, fold=trigger.fold)
        case Once(at=at):
            return int(after < at <= through)
        case CalendarInterval():
            return calendar_intervals.count_slots(trigger, after, through)
        case _:
            assert_never(trigger)


def count_slices(trigger: Trigger, bounds: Bounds, first: Instant, last: Instant) -> Iterator[int]:
    """The count of the nominal times in [first, last] in pieces, each of some milliseconds; their sum is the count.

    To be taken piece by piece off the hot path. A piece without any slot yields 0, so that the caller may pause there.
    """
    after, through = _clipped(bounds, first, last)
    moves = moves_of(bounds) if bounds.calendars else None
    span = _CRON_SLICE
    while after < through:
        end = min(through, Instant(after + span))
        count = _count(trigger, moves, after, end)
        if count is None:
            span = Micros(max(span // 4, 1))
            yield 0
            continue
        yield count
        after = end
        following = _series(trigger, moves)(after)
        after = through if following is None else max(after, Instant(following - 1))
        span = Micros(min(span * 2, _CRON_SLICE))


# ---- checks


def check_trigger(trigger: Trigger, bounds: Bounds, now: Instant) -> None:
    """Raise InvalidRequest, naming field and value, for a trigger that cannot be evaluated or never fires."""
    _check_bounds(bounds)
    moves = moves_of(bounds)
    if isinstance(trigger, Union):
        _check_union(trigger)
    for member in members(trigger):
        _check_single(member, max(now, bounds.start or now))
        if moves is not None:
            _check_moving(member, moves)
    if not isinstance(trigger, Once):
        _check_first(trigger, bounds, now)
    else:
        _check_once(trigger, bounds)


def _check_union(trigger: Union) -> None:
    if not 1 <= len(trigger.triggers) <= MAX_MEMBERS:
        raise InvalidRequest(f"trigger: a union of 1 to {MAX_MEMBERS} triggers, not {len(trigger.triggers)}")
    for member in trigger.triggers:
        if isinstance(member, Union):
            raise InvalidRequest("trigger: a union holds no other union")
        if isinstance(member, Interval) and member.fixed_delay:
            raise InvalidRequest("trigger: a union holds no interval with a fixed delay, which has no times of its own")


def _check_single(trigger: Single, now: Instant) -> None:
    match trigger:
        case Interval(every=every):
            if not SHORTEST_INTERVAL <= every <= LONGEST_INTERVAL:
                raise InvalidRequest(f"trigger.every: from 10 ms to 100 years, not {every / 1_000_000:g} s")
        case Cron():
            spec = cron.parse(trigger.expression, trigger.seed)
            cron_search.check_fires(spec, zone(trigger.timezone), now, gap=trigger.gap, fold=trigger.fold)
        case CalendarInterval():
            calendar_intervals.check(trigger)
        case Once():
            pass
        case _:
            assert_never(trigger)


def _check_moving(trigger: Single, moves: Moves) -> None:
    match trigger:
        case Interval(every=every, fixed_delay=fixed_delay):
            if every < DAY or fixed_delay:
                raise InvalidRequest(
                    "calendars: an interval shorter than a day, or with a fixed delay, has no days to move between "
                    f"({every / 1_000_000:g} s); write shift 'skip'"
                )
        case Cron(timezone=timezone) | CalendarInterval(timezone=timezone):
            if timezone != moves.zone.name:
                raise InvalidRequest(
                    f"calendars: slots of {timezone} do not move by the days of {moves.zone.name}; "
                    "write shift 'skip', or a calendar in the zone of the trigger"
                )
        case Once():
            pass
        case _:
            assert_never(trigger)


def _check_once(trigger: Once, bounds: Bounds) -> None:
    if bounds.end is not None and trigger.at > bounds.end:
        raise InvalidRequest(f"trigger.at: {isoformat(trigger.at)} is after the end {isoformat(bounds.end)}")
    if bounds.start is not None and trigger.at < bounds.start and not bounds.calendars:
        raise InvalidRequest(f"trigger.at: {isoformat(trigger.at)} is before the start {isoformat(bounds.start)}")
    if bounds.calendars:
        _check_first(trigger, bounds, Instant(trigger.at - (FARTHEST_MOVE + 1) * DAY))


def _check_first(trigger: Trigger, bounds: Bounds, now: Instant) -> None:
    """That the trigger fires within ten years, by its own times and by what calendars leave of them."""
    after = Instant(now - 1)
    first = next_after(trigger, bounds, after)
    if first is None:
        raise InvalidRequest(f"trigger: never fires from {isoformat(now)} on{_end_words(bounds)}")
    if first > now + LATEST_FIRST_FIRE:
        raise InvalidRequest(f"trigger: does not fire within ten years, first at {isoformat(first)}")
    allowed = next_allowed(trigger, bounds, after)
    name = excluded_by(bounds, first if allowed is None else allowed)
    if allowed is None:
        raise InvalidRequest(
            f"calendars: {name!r} and the others exclude every time within ten years{_end_words(bounds)}"
        )
    if name is not None:
        raise InvalidRequest(f"calendars: {name!r} excludes so many times one by one that none that is left was found")


def _end_words(bounds: Bounds) -> str:
    return "" if bounds.end is None else f" until the end {isoformat(bounds.end)}"


def _check_bounds(bounds: Bounds) -> None:
    if bounds.max_runs is not None and bounds.max_runs < 1:
        raise InvalidRequest(f"max_runs: at least 1, not {bounds.max_runs}")
    if bounds.start is not None and bounds.end is not None and bounds.start > bounds.end:
        raise InvalidRequest(f"start: {isoformat(bounds.start)} is after the end {isoformat(bounds.end)}")
    if not 0 <= bounds.spread <= LONGEST_SPREAD:
        raise InvalidRequest(f"spread: from 0 to 366 days, not {bounds.spread / 1_000_000:g} s")
    if len(bounds.calendars) > MAX_CALENDARS:
        raise InvalidRequest(f"calendars: at most {MAX_CALENDARS}, not {len(bounds.calendars)}")
    check_moves(bounds)
