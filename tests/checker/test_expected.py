"""The second opinion on nominal times, and the matching by time alone, each against something more simple still."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.checker.histories import BEGIN, SECOND, sec
from tocsin.checker.expected import Unreadable, expected_times, parse, times
from tocsin.checker.history import Revision, Task
from tocsin.checker.matching import match

DAY = 86_400 * SECOND


def at(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * SECOND


@pytest.mark.parametrize(
    ("trigger", "after", "through", "expected"),
    [
        ({"every": 10, "anchor": 5}, 5, 35, [15, 25, 35]),
        ({"every": 10, "anchor": 5}, -100, 15, [5, 15]),
        ({"every": 10, "anchor": 5}, 24, 24, []),
        ({"at": 7}, 6, 7, [7]),
        ({"at": 7}, 7, 70, []),
        ({"union": [{"every": 10, "anchor": 0}, {"every": 15, "anchor": 0}, {"at": 4}]}, 0, 30, [4, 10, 15, 20, 30]),
        (
            {"unit": "days", "every": 2, "anchor_day": 719_163, "time_of_day": 5},
            0,
            5 * DAY,
            [5, 2 * DAY + 5, 4 * DAY + 5],
        ),
        ({"unit": "week", "every": 1, "anchor_day": 719_163, "time_of_day": 0}, 0, 8 * DAY, [7 * DAY]),
    ],
)
def test_plain_triggers(trigger: dict[str, Any], after: int, through: int, expected: list[int]) -> None:
    assert times(trigger, {}, after, through) == expected


def test_bounds_include_both_ends() -> None:
    assert times({"every": 10, "anchor": 0}, {"start": 20, "end": 40}, 0, 100) == [20, 30, 40]
    assert times({"every": 10, "anchor": 0}, {"start": 20}, 30, 50) == [40, 50]
    assert times({"every": 10, "anchor": 0}, {"end": 40}, 30, 35) == []


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("* * * * *", ["2027-02-28 23:59", "2027-03-01 00:00", "2027-03-01 00:01"]),
        ("*/30 0 * * *", ["2027-03-01 00:00", "2027-03-01 00:30", "2027-03-02 00:00"]),
        ("5-7/2 12 1 3 *", ["2027-03-01 12:05", "2027-03-01 12:07", "2028-03-01 12:05"]),
        ("0 3 * * sun", ["2027-03-07 03:00", "2027-03-14 03:00", "2027-03-21 03:00"]),
        ("0 3 * * 7", ["2027-03-07 03:00", "2027-03-14 03:00", "2027-03-21 03:00"]),
        ("0 3 2 * wed", ["2027-03-02 03:00", "2027-03-03 03:00", "2027-03-10 03:00"]),
        ("0 3 */2 * wed", ["2027-03-03 03:00", "2027-03-17 03:00", "2027-03-31 03:00"]),
        ("0 0 29 feb *", ["2028-02-29 00:00", "2032-02-29 00:00", "2036-02-29 00:00"]),
        ("10/20 1 1 mar *", ["2027-03-01 01:10", "2027-03-01 01:30", "2027-03-01 01:50"]),
        ("15,45 * * * * *", ["2027-02-28 23:58:45", "2027-02-28 23:59:15", "2027-02-28 23:59:45"]),
        ("@daily", ["2027-03-01 00:00", "2027-03-02 00:00", "2027-03-03 00:00"]),
    ],
)
def test_cron(expression: str, expected: list[str]) -> None:
    wanted = [at(text) for text in expected]
    found = times({"cron": expression}, {}, at("2027-02-28 23:58:30"), wanted[-1])
    assert found == wanted


@given(
    st.sampled_from(["*/7 */5 * * *", "3 4-9/2 */3 * *", "*/10 8 1,15 * mon-fri", "0 0 31 * *", "* 1 * 2 *"]),
    st.integers(0, 400 * 1440),
    st.integers(0, 3 * 1440),
)
def test_cron_by_the_fields_of_each_minute(expression: str, begin: int, minutes: int) -> None:
    """No day is jumped over here."""
    cron, first = parse(expression), datetime(2027, 1, 1, tzinfo=UTC) + timedelta(minutes=begin)
    moments = [first + timedelta(minutes=n) for n in range(1, minutes + 1)]
    wanted = [one for one in moments if one.minute in cron.minutes and one.hour in cron.hours and cron.has_day(one)]
    start = round(first.timestamp()) * SECOND
    found = times({"cron": expression}, {}, start, start + minutes * 60 * SECOND)
    assert found == [round(one.timestamp()) * SECOND for one in wanted]


@pytest.mark.parametrize(
    "trigger",
    [
        {"cron": "* * * *"},
        {"cron": "61 * * * *"},
        {"cron": "5-1 * * * *"},
        {"cron": "*/0 * * * *"},
        {"cron": "L * * * *"},
        {"cron": "0 0 * * *", "timezone": "Europe/Berlin"},
        {"unit": "months", "every": 1, "anchor_day": 1, "time_of_day": 0},
        {"unit": "days", "every": 1, "anchor_day": 1, "time_of_day": 0, "timezone": "Europe/Berlin"},
        {"sundial": 1},
    ],
)
def test_nothing_is_guessed(trigger: dict[str, Any]) -> None:
    with pytest.raises(Unreadable):
        times(trigger, {}, BEGIN, BEGIN + DAY)


def task(*revisions: Revision, created_at: int = BEGIN) -> Task:
    return Task("id", "name", created_at, revisions, "active", 0)


def every(seconds: float, anchor: float = 0) -> dict[str, int]:
    return {"every": round(seconds * SECOND), "anchor": sec(anchor)}


def test_the_slot_at_the_instant_of_creation_or_of_an_edit_belongs_to_what_was_before() -> None:
    edited = task(Revision(BEGIN, every(10)), Revision(sec(30), every(15)))
    assert expected_times(edited, sec(60)) == [sec(10), sec(20), sec(30), sec(45), sec(60)]
    assert expected_times(edited, sec(25)) == [sec(10), sec(20)]
    assert expected_times(task(), sec(60)) == []


def test_a_one_time_task_whose_instant_is_past_is_due_all_the_same() -> None:
    given_late = task(Revision(sec(-6), {"at": sec(-5)}))
    assert expected_times(given_late, BEGIN) == [sec(-5)]
    moved = task(Revision(BEGIN, {"at": sec(50)}), Revision(sec(20), {"at": sec(70)}))
    assert expected_times(moved, sec(100)) == [sec(70)]


# -- the matching


def brute_force(targets: list[tuple[int, int]], points: list[int]) -> int:
    """The largest number of pairs, by trying for every set of targets whether its own points suffice."""

    def fits(chosen: tuple[tuple[int, int], ...]) -> bool:
        # Hall's condition: of any of them, together they reach as many points.
        for size in range(1, len(chosen) + 1):
            for some in combinations(chosen, size):
                reached = sum(any(begin <= point <= end for begin, end in some) for point in points)
                if reached < size:
                    return False
        return True

    sizes = range(min(len(targets), len(points)), -1, -1)
    return next(size for size in sizes if any(fits(chosen) for chosen in combinations(targets, size)))


@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 8)), max_size=6),
    st.lists(st.integers(0, 20), max_size=6),
)
def test_the_matching_is_as_large_as_any(stretches: list[tuple[int, int]], points: list[int]) -> None:
    targets = [(begin, begin + length) for begin, length in stretches]
    pairs = match(targets, points)
    assert len({target for target, _ in pairs}) == len({point for _, point in pairs}) == len(pairs)
    assert all(targets[target][0] <= points[point] <= targets[target][1] for target, point in pairs)
    assert len(pairs) == brute_force(targets, points)


def test_the_matching_of_none_is_empty() -> None:
    assert match([], [1]) == match([(0, 1)], []) == []
