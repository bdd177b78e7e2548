"""Calendar intervals against a plain enumeration of their days, at every edge of a span, and the edges of what they take."""

from __future__ import annotations

from calendar import monthrange
from datetime import date, timedelta
from itertools import islice

import pytest

from actors.model.calendar import EPOCH_DAY, FIRST_DAY, LAST_DAY
from actors.model.trigger import CalendarInterval, Missing, Unit
from actors.when.calendar_intervals import (
    MAX_COUNTED,
    check,
    count_slots,
    day_of_slot,
    explain,
    names_local_time,
    newest_slots,
    next_slot,
)
from actors.when.wall_clock import midnight
from runtime.clock import DAY, HOUR, MINUTE, Instant, Micros
from runtime.errors import InvalidRequest
from runtime.records import evolve

ANCHOR = date(2024, 1, 31)


def trigger(unit: Unit, every: int = 1, missing: Missing = "skip", anchor: date = ANCHOR) -> CalendarInterval:
    return CalendarInterval(every, unit, anchor.toordinal(), Micros(9 * HOUR), missing=missing)


def instant(day: int) -> Instant:
    return Instant((day - EPOCH_DAY) * DAY + 9 * HOUR)


def enumerated(one: CalendarInterval, until: date) -> list[Instant]:
    """Every slot up to a day, from the anchor on, by the calendar of the standard library."""
    anchor, found = date.fromordinal(one.anchor_day), []
    for number in range(20_000):
        if one.unit in ("day", "week"):
            day = anchor + timedelta(days=number * one.every * (7 if one.unit == "week" else 1))
        else:
            months = anchor.month - 1 + number * one.every * (12 if one.unit == "year" else 1)
            year, month = anchor.year + months // 12, months % 12 + 1
            length = monthrange(year, month)[1]
            if anchor.day > length and one.missing == "skip":
                if date(year, month, 1) > until:
                    break
                continue
            day = date(year, month, min(anchor.day, length))
        if day > until:
            break
        found.append(instant(day.toordinal()))
    return found


SHAPES = [
    trigger("day"),
    trigger("day", 10),
    trigger("week", 2),
    trigger("month"),
    trigger("month", 1, "last_day"),
    trigger("month", 5, "last_day"),
    trigger("month", 7, anchor=date(2023, 12, 1)),
    trigger("year", 1, anchor=date(2020, 2, 29)),
    trigger("year", 3, "last_day", anchor=date(2020, 2, 29)),
]


@pytest.mark.parametrize("one", SHAPES, ids=lambda one: f"{one.every}-{one.unit}-{one.missing}")
def test_next_newest_and_count_equal_the_enumeration_at_every_edge(one: CalendarInterval) -> None:
    # Far enough for slots of every kind, and for daily ones not too far to be counted.
    slots = enumerated(one, date(2026, 6, 1) if one.unit == "day" else date(2099, 1, 1))
    edges = [Instant(slot + beside) for slot in slots[:4] + slots[7:-3][:9] for beside in (-1, 0, 1)]
    begin = Instant(slots[0] - 400 * DAY)
    for after in (begin, *edges):
        assert next_slot(one, after) == next(slot for slot in slots if slot > after)
        for through in edges[-9:]:
            inside = [slot for slot in slots if after < slot <= through]
            assert count_slots(one, after, through) == len(inside)
            for limit in (1, 3, 10_000):
                assert newest_slots(one, after, through, limit) == inside[-limit:]


def test_what_is_too_much_to_count_is_not_counted() -> None:
    daily = trigger("day")
    first = instant(daily.anchor_day)
    # The margins on both sides of the span are looked at as well.
    through = Instant(first + (MAX_COUNTED - 3) * DAY)
    assert count_slots(daily, Instant(first - 1), through) == MAX_COUNTED - 2
    assert count_slots(daily, Instant(first - 1), Instant(through + DAY)) is None


def test_a_series_ends_with_the_dates() -> None:
    late = trigger("day", anchor=date.fromordinal(LAST_DAY - 3))
    assert day_of_slot(late, 0) == LAST_DAY - 3
    assert day_of_slot(late, 1) is None
    assert next_slot(late, instant(LAST_DAY - 3)) is None
    yearly = trigger("year", anchor=date(9990, 5, 5))
    assert day_of_slot(yearly, 8) == date(9998, 5, 5).toordinal()
    assert day_of_slot(yearly, 9) is None
    assert newest_slots(yearly, instant(LAST_DAY - 9_000), instant(LAST_DAY), 2) == [
        instant(date(year, 5, 5).toordinal()) for year in (9997, 9998)
    ]


@pytest.mark.parametrize(
    "fine",
    [
        {"every": 1},
        {"every": 36_525},
        {"anchor_day": FIRST_DAY},
        {"anchor_day": LAST_DAY},
        {"time_of_day": 0},
        {"time_of_day": DAY - 1},
        {"missing": "last_day"},
    ],
)
def test_what_is_just_within_its_limits_is_taken(fine: dict) -> None:
    check(evolve(trigger("day"), **fine))


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"every": 0}, "every"),
        ({"every": 36_526}, "every"),
        ({"anchor_day": FIRST_DAY - 1}, "anchor_day"),
        ({"anchor_day": LAST_DAY + 1}, "anchor_day"),
        ({"time_of_day": -1}, "time_of_day"),
        ({"time_of_day": DAY}, "time_of_day"),
        ({"missing": "first_day"}, "missing"),
        ({"unit": "hour"}, "unit"),
        ({"timezone": "Mars/Base"}, "Mars/Base"),
    ],
)
def test_what_is_just_beyond_its_limits_is_named(wrong: dict, named: str) -> None:
    with pytest.raises(InvalidRequest, match=named):
        check(evolve(trigger("day"), **wrong))


@pytest.mark.parametrize("one", SHAPES[:5], ids=lambda one: f"{one.every}-{one.unit}-{one.missing}")
def test_a_local_time_is_named_from_its_beginning_to_before_its_end(one: CalendarInterval) -> None:
    slots = enumerated(one, date(2033, 1, 1))
    local = slots[-5]
    assert midnight(local // DAY + EPOCH_DAY) + one.time_of_day == local
    assert names_local_time(one, local, local + 1)
    assert names_local_time(one, local - HOUR, local + HOUR)
    assert not names_local_time(one, local - HOUR, local)
    assert not names_local_time(one, local + 1, local + HOUR)
    before = slots[0] - 10 * DAY
    assert not names_local_time(one, before, before + MINUTE)


def test_the_shorter_months_are_mentioned_only_where_there_are_some() -> None:
    days = {day: explain(trigger("month", anchor=date(2024, 1, day))) for day in (28, 29)}
    assert "month without" not in days[28]
    assert "not in a month without a day 29" in days[29]
    last = {day: explain(trigger("month", 1, "last_day", anchor=date(2024, 1, day))) for day in (30, 31)}
    assert last[30].endswith("on the last day of a shorter month")
    assert last[31].endswith("on the last day of the month")


def test_the_numbers_of_a_series_go_on() -> None:
    days = [day_of_slot(trigger("month", 1, "last_day"), number) for number in islice(range(99), 4)]
    assert days == [date(2024, *day).toordinal() for day in ((1, 31), (2, 29), (3, 31), (4, 30))]


def test_a_slot_that_comes_twice_counts_twice_and_only_its_newest_is_wanted() -> None:
    """On 27 October 2024 it was 02:30 in Berlin at 00:30 and at 01:30 UTC."""
    day = date(2024, 10, 27).toordinal()
    twice = CalendarInterval(1, "week", day - 7, Micros(150 * MINUTE), "Europe/Berlin", fold="both")
    begin = Instant(midnight(day))
    both = [Instant(begin + 30 * MINUTE), Instant(begin + 90 * MINUTE)]
    assert newest_slots(twice, begin, Instant(begin + DAY), 9) == both
    assert newest_slots(twice, begin, Instant(begin + DAY), 1) == both[1:]
    assert count_slots(twice, begin, Instant(begin + DAY)) == 2
    assert count_slots(twice, begin, both[0]) == 1


def test_a_short_span_is_counted_however_far_from_the_anchor() -> None:
    daily = trigger("day")
    far = instant(daily.anchor_day + 10 * MAX_COUNTED)
    assert count_slots(daily, Instant(far - 1), Instant(far + 2 * DAY)) == 3
