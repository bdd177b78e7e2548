"""Where a calendar changes its mind: the borders of windows, days and weekdays against a walk hour by hour."""

from __future__ import annotations

from datetime import date
from itertools import pairwise

import pytest

from actors.model.calendar import EPOCH_DAY, Calendar, CalendarRule, calendar_of
from actors.model.trigger import Bounds
from actors.when.calendars import border_after, excluded_spans
from runtime.clock import DAY, HOUR, Instant

MONDAY = date(2026, 6, 1).toordinal()
BEGIN = Instant((MONDAY - EPOCH_DAY) * DAY)
HOURS = 20 * 24


def at(hour: int) -> Instant:
    return Instant(BEGIN + hour * HOUR)


WINDOWS = [(at(5), at(9)), (at(9), at(10)), (at(30), at(80)), (at(200), at(201))]
DAYS = [(MONDAY + 2, MONDAY + 2), (MONDAY + 4, MONDAY + 8)]
CALENDARS = [
    calendar_of("", "windows", 1, windows=WINDOWS),
    calendar_of("", "days", 1, days=DAYS),
    calendar_of("", "weekend", 1, weekdays=[5, 6]),
    calendar_of("", "thursdays", 1, weekdays=[3]),
    calendar_of("", "all but Sundays", 1, weekdays=range(6)),
    calendar_of("", "everything", 1, days=DAYS, windows=WINDOWS, weekdays=[0, 6]),
]


def in_window(calendar: Calendar, instant: int) -> bool:
    return any(begin <= instant < end for begin, end in calendar.windows)


def in_days(calendar: Calendar, instant: int) -> bool:
    return any(first <= instant // DAY + EPOCH_DAY <= last for first, last in calendar.days)


def on_weekday(calendar: Calendar, instant: int) -> bool:
    return (instant // DAY + EPOCH_DAY - MONDAY) % 7 in calendar.weekdays


def changes(calendar: Calendar, instant: int, later: int) -> bool:
    """Whether the window it is in is over; else whether another one has begun, or a day of another kind."""
    if in_window(calendar, instant):
        return not in_window(calendar, later)
    if in_window(calendar, later) or in_days(calendar, later) != in_days(calendar, instant):
        return True
    return not in_days(calendar, instant) and on_weekday(calendar, later) != on_weekday(calendar, instant)


def border(calendar: Calendar, instant: Instant) -> int:
    return next(
        later for later in range(instant + HOUR, instant + 400 * HOUR, HOUR) if changes(calendar, instant, later)
    )


@pytest.mark.parametrize("calendar", CALENDARS, ids=lambda calendar: calendar.name)
def test_a_border_is_the_next_change(calendar: Calendar) -> None:
    rules = [CalendarRule(calendar)]
    last = (
        200 if calendar.windows and not calendar.weekdays else 190 if calendar.days and not calendar.weekdays else HOURS
    )
    for hour in range(-30, last):
        assert border_after(rules, at(hour)) == border(calendar, at(hour)), hour
    for edge in (at(5), at(72)):
        for beside in (-1, 1):
            beside_it = Instant(edge + beside)
            following = border_after(rules, beside_it)
            assert following > beside_it
            inside = [calendar.contains(Instant(one)) for one in range(beside_it, min(following, at(400)), HOUR // 4)]
            assert len(set(inside)) == 1


@pytest.mark.parametrize("calendar", CALENDARS, ids=lambda calendar: calendar.name)
def test_spans_are_what_a_walk_finds_excluded(calendar: Calendar) -> None:
    bounds = Bounds(calendars=(CalendarRule(calendar),))
    first, last = at(1), Instant(at(HOURS) - 1)
    hours = [at(hour) for hour in range(1, HOURS)]
    expected = [
        hour for hour in hours if in_window(calendar, hour) or in_days(calendar, hour) or on_weekday(calendar, hour)
    ]
    spans = list(excluded_spans(bounds, first, last))
    assert [hour for hour in hours if any(begin <= hour < end for begin, end, _ in spans)] == expected
    assert all(one[1] < other[0] for one, other in pairwise(spans)), "spans that touch are one"
    assert {name for _, _, name in spans} == {calendar.name}


def test_a_border_follows_the_clock_of_the_calendars_zone() -> None:
    """In Berlin a day begins at 22:00 UTC in summer, at 23:00 in winter; the day of the change has 25 hours."""
    sunday = date(2026, 10, 25).toordinal()
    rules = [CalendarRule(calendar_of("", "sunday", 1, "Europe/Berlin", days=[(sunday, sunday)]))]
    begin = Instant((sunday - EPOCH_DAY) * DAY - 2 * HOUR)
    changed = Instant(begin + 3 * HOUR)
    assert border_after(rules, Instant(begin - 1)) == begin
    assert border_after(rules, begin) == changed, "the change of the clocks is looked at anew"
    assert border_after(rules, changed) == begin + 25 * HOUR
