"""What the calendars of a task exclude: asked for an instant, and as spans of time.

Whether a rule excludes changes only where a window begins or ends, at midnights, and where an offset changes. So everything
here steps from one such border to the next, whatever the number of slots between.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Final

from runtime.clock import LAST_INSTANT, SECOND, Instant

from ..model.calendar import LAST_DAY, Calendar, CalendarRule
from ..model.trigger import Bounds
from .wall_clock import local_day, midnight
from .zones import zone

_FAR: Final = 1 << 62


def excluded_by(bounds: Bounds, instant: Instant) -> str | None:
    """The name of the first calendar that excludes an instant; None if it is allowed."""
    for rule in bounds.calendars:
        if rule.excludes(instant):
            return rule.calendar.name
    return None


def border_after(rules: Sequence[CalendarRule], instant: Instant) -> Instant:
    """An instant later than this one before which no rule changes its mind; the last one there is for want of any."""
    return Instant(min([LAST_INSTANT, *(_border(rule.calendar, instant) for rule in rules)]))


def excluded_spans(bounds: Bounds, first: Instant, last: Instant) -> Iterator[tuple[Instant, Instant, str]]:
    """The spans of [first, last] that calendars exclude, lazily and in order: begin, end (not included), calendar's name.

    Where several rules exclude, the first of them gives the name. Spans that touch and have one name are one.
    """
    begin, name, at = first, None, first
    while at <= last:
        found = excluded_by(bounds, at)
        if found != name:
            if name is not None:
                yield begin, at, name
            begin, name = at, found
        at = border_after(bounds.calendars, at)
    if name is not None:
        yield begin, Instant(last + 1), name


def _border(calendar: Calendar, instant: Instant) -> int:
    """Up to where the calendar holds all of the time from `instant` on, or none of it."""
    index = bisect_right(calendar.windows, (instant, _FAR))
    if index and instant < calendar.windows[index - 1][1]:
        return calendar.windows[index - 1][1]
    window = calendar.windows[index][0] if index < len(calendar.windows) else _FAR
    where = zone(calendar.timezone)
    stretch = where.stretch(instant // SECOND)
    day = local_day(where, instant)
    end = midnight(_next_change(calendar, day)) - stretch.offset * SECOND
    return min(window, stretch.end * SECOND, end)


def _next_change(calendar: Calendar, day: int) -> int:
    """The first day later than this one that may be otherwise; weekdays are looked at for a week at the most."""
    index = bisect_right(calendar.days, (day, _FAR))
    if index and day <= calendar.days[index - 1][1]:
        return calendar.days[index - 1][1] + 1
    limit = calendar.days[index][0] if index < len(calendar.days) else LAST_DAY + 1
    if calendar.weekdays:
        held = calendar.holds_day(day)
        limit = min(limit, next((day + n for n in range(1, 7) if calendar.holds_day(day + n) is not held), day + 7))
    return limit
