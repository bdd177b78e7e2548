"""Calendars: the sets themselves, what rules exclude, and slots that move."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.model.calendar import MAX_ENTRIES, Calendar, CalendarRule, Mode, Shift, calendar_of
from actors.model.trigger import UNBOUNDED, Bounds, CalendarInterval, Cron, Interval, Once, Trigger, Union
from actors.when import moves
from actors.when.calendars import border_after, excluded_by, excluded_spans
from actors.when.triggers import check_trigger, count_between, next_after, next_allowed, upcoming
from runtime.clock import DAY, HOUR, LAST_INSTANT, MINUTE, SECOND, Instant, Micros, isoformat
from runtime.errors import InternalError, InvalidRequest

from . import trigger_reference
from .trigger_reference import instant

BERLIN = "Europe/Berlin"
NOW = instant("2026-11-20T12:00:00Z")  # a Friday


def day(text: str) -> int:
    return date.fromisoformat(text).toordinal()


def holidays(*texts: str, zone: str = BERLIN, name: str = "holidays") -> Calendar:
    return calendar_of("acme", name, 1, zone, [(day(text), day(text)) for text in texts])


WEEKEND = calendar_of("acme", "weekend", 1, BERLIN, weekdays=[6, 5, 5])


def bounds(*rules: tuple[Calendar, Mode, Shift]) -> Bounds:
    return Bounds(calendars=tuple(CalendarRule(*rule) for rule in rules))


def texts(trigger: Trigger, limits: Bounds, after: str, count: int, *, allowed_only: bool = False) -> list[str]:
    found = upcoming(trigger, limits, instant(after), count, allowed_only=allowed_only)
    return [isoformat(one) for one in found]


# ---- the set


def test_a_calendar_is_in_its_normal_form() -> None:
    one = calendar_of("", "c", 1, "UTC", [(7, 8), (3, 4), (5, 5), (8, 9)], [(30, 40), (10, 20), (20, 25)], [6, 0, 6])
    assert one.days == ((3, 5), (7, 9))
    assert one.windows == ((10, 25), (30, 40))
    assert one.weekdays == (0, 6)


@given(
    st.lists(st.tuples(st.integers(1, 60), st.integers(0, 5)).map(lambda span: (span[0], sum(span))), max_size=8),
    st.lists(st.tuples(st.integers(1, 60), st.integers(1, 5)).map(lambda span: (span[0], sum(span))), max_size=8),
)
def test_merging_keeps_the_set(days: list[tuple[int, int]], windows: list[tuple[int, int]]) -> None:
    made = calendar_of("", "c", 1, "UTC", days, [(Instant(a), Instant(b)) for a, b in windows])
    for value in range(70):
        assert made.holds_day(value) == any(a <= value <= b for a, b in days)
        near_epoch = any(a <= value < b for a, b in windows)
        assert made.contains(Instant(value)) == near_epoch
    assert made == calendar_of("", "c", 1, "UTC", reversed(days), [(Instant(a), Instant(b)) for a, b in windows])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": ""}, "name: 1 to 128"),
        ({"name": " c"}, "name: 1 to 128"),
        ({"name": "a\nb"}, "name: 1 to 128"),
        ({"timezone": "Mars/Olympus"}, "Mars/Olympus"),
        ({"weekdays": [7]}, "weekdays: .* not 7"),
        ({"days": [(5, 4)]}, "days: 5 to 4 ends before"),
        ({"days": [(0, 4)]}, "days: ordinals from 1"),
        ({"days": [(5, 4_000_000)]}, "days: ordinals from 1"),
        ({"windows": [(Instant(5), Instant(5))]}, "windows: 5 to 5 ends before"),
        ({"days": [(n, n) for n in range(1, MAX_ENTRIES + 2)]}, "days: at most 10000"),
    ],
)
def test_calendars_that_are_refused(fields: dict, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        calendar_of(**{"tenant": "", "name": "c", "version": 1, **fields})


def test_the_days_are_those_of_the_calendars_zone() -> None:
    christmas = holidays("2026-12-25")
    assert not christmas.contains(instant("2026-12-24T22:59:59Z"))
    assert christmas.contains(instant("2026-12-24T23:00:00Z"))
    assert not christmas.contains(instant("2026-12-25T23:00:00Z"))


# ---- what is excluded


def test_include_means_only_inside() -> None:
    office = CalendarRule(WEEKEND, "include")
    assert office.excludes(instant("2026-11-20T12:00:00Z"))
    assert not office.excludes(instant("2026-11-21T12:00:00Z"))
    assert not office.excludes_day(day("2026-11-21"))


def test_the_first_rule_gives_the_name() -> None:
    both = bounds((WEEKEND, "exclude", "skip"), (holidays("2026-11-21", "2026-11-23"), "exclude", "skip"))
    assert excluded_by(both, instant("2026-11-21T12:00:00Z")) == "weekend"
    assert excluded_by(both, instant("2026-11-23T12:00:00Z")) == "holidays"
    assert excluded_by(both, instant("2026-11-24T12:00:00Z")) is None
    spans = [(isoformat(a), isoformat(b), name) for a, b, name in excluded_spans(both, NOW, Instant(NOW + 4 * DAY))]
    assert spans == [
        ("2026-11-20T23:00:00Z", "2026-11-22T23:00:00Z", "weekend"),
        ("2026-11-22T23:00:00Z", "2026-11-23T23:00:00Z", "holidays"),
    ]


def test_a_span_ends_with_the_question() -> None:
    always = bounds((calendar_of("", "all", 1, weekdays=range(7)), "exclude", "skip"))
    assert list(excluded_spans(always, Instant(5), Instant(5))) == [(5, 6, "all")]
    assert list(excluded_spans(UNBOUNDED, Instant(5), Instant(5))) == []
    assert border_after([], NOW) == LAST_INSTANT


def test_excluded_slots_stay_nominal_times() -> None:
    weekdays = bounds((WEEKEND, "exclude", "skip"))
    nine = Cron("0 9 * * *", BERLIN)
    assert texts(nine, weekdays, "2026-11-20T00:00:00Z", 3) == [
        "2026-11-20T08:00:00Z",
        "2026-11-21T08:00:00Z",
        "2026-11-22T08:00:00Z",
    ]
    assert texts(nine, weekdays, "2026-11-20T00:00:00Z", 2, allowed_only=True) == [
        "2026-11-20T08:00:00Z",
        "2026-11-23T08:00:00Z",
    ]
    assert count_between(nine, weekdays, NOW, Instant(NOW + 7 * DAY)) == 7


def test_the_end_holds_for_allowed_slots_too() -> None:
    weekdays = Bounds(end=instant("2026-11-22T12:00:00Z"), calendars=(CalendarRule(WEEKEND),))
    assert next_allowed(Cron("0 9 * * *", BERLIN), weekdays, NOW) is None
    started = Bounds(start=instant("2026-11-24T12:00:00Z"), calendars=(CalendarRule(WEEKEND),))
    assert next_allowed(Cron("0 9 * * *", BERLIN), started, NOW) == instant("2026-11-25T08:00:00Z")


# ---- slots that move


def test_a_slot_moves_to_the_next_or_the_previous_working_day() -> None:
    first = CalendarInterval(1, "month", day("2026-08-01"), Micros(9 * HOUR), BERLIN)
    onward, back = bounds((WEEKEND, "exclude", "next")), bounds((WEEKEND, "exclude", "previous"))
    assert texts(first, onward, "2026-07-01T00:00:00Z", 3) == [
        "2026-08-03T07:00:00Z",
        "2026-09-01T07:00:00Z",
        "2026-10-01T07:00:00Z",
    ]
    assert texts(first, back, "2026-07-01T00:00:00Z", 2) == ["2026-07-31T07:00:00Z", "2026-09-01T07:00:00Z"]


def test_slots_that_come_to_one_instant_are_one() -> None:
    daily = Cron("0 9 * * *", BERLIN)
    onward = bounds((WEEKEND, "exclude", "next"), (holidays("2026-11-23"), "exclude", "next"))
    assert texts(daily, onward, "2026-11-20T00:00:00Z", 3) == [
        "2026-11-20T08:00:00Z",
        "2026-11-24T08:00:00Z",
        "2026-11-25T08:00:00Z",
    ]
    assert count_between(daily, onward, NOW, Instant(NOW + 7 * DAY)) == 4


def test_rules_that_skip_are_judged_after_the_move() -> None:
    rules = bounds((holidays("2026-11-23"), "exclude", "skip"), (WEEKEND, "exclude", "next"))
    weekly = CalendarInterval(1, "week", day("2026-11-21"), Micros(9 * HOUR), BERLIN)
    assert texts(weekly, rules, "2026-11-20T00:00:00Z", 2) == ["2026-11-23T08:00:00Z", "2026-11-30T08:00:00Z"]
    assert excluded_by(rules, instant("2026-11-23T08:00:00Z")) == "holidays"
    assert texts(weekly, rules, "2026-11-20T00:00:00Z", 1, allowed_only=True) == ["2026-11-30T08:00:00Z"]


def test_a_slot_without_a_day_to_move_to_stays_and_is_excluded() -> None:
    rules = bounds((holidays("2020-01-01"), "include", "next"))
    slot = Once(NOW)
    assert next_after(slot, rules, Instant(NOW - 1)) == NOW
    assert excluded_by(rules, NOW) == "holidays"
    assert next_allowed(slot, rules, Instant(NOW - 1)) is None


@pytest.mark.parametrize(
    ("slot", "target", "expected"),
    [
        ("2026-03-28T01:30:00Z", "2026-03-29", "2026-03-29T01:00:00Z"),  # 02:30 was swallowed: the end of the gap
        ("2026-10-24T00:30:00Z", "2026-10-25", "2026-10-25T00:30:00Z"),  # 02:30 comes twice: the first time
    ],
)
def test_a_moved_local_time_that_is_missing_or_repeated(slot: str, target: str, expected: str) -> None:
    only = bounds((holidays(target), "include", "next"))
    assert texts(Once(instant(slot)), only, "2026-01-01T00:00:00Z", 3) == [expected]
    assert next_after(Once(instant(slot)), only, instant(expected)) is None


def test_a_day_that_was_left_out_is_moved_to_as_the_end_of_the_gap() -> None:
    only = bounds((holidays("2011-12-30", zone="Pacific/Apia"), "include", "next"))
    assert texts(Once(instant("2011-12-29T20:00:00Z")), only, "2011-12-01T00:00:00Z", 2) == ["2011-12-30T10:00:00Z"]
    daily = Cron("0 9 * * *", "Pacific/Apia")
    around = bounds((holidays("2011-12-29", zone="Pacific/Apia"), "exclude", "previous"))
    assert texts(daily, around, "2011-12-29T12:00:00Z", 2) == ["2011-12-30T19:00:00Z", "2011-12-31T19:00:00Z"]


def test_dense_triggers_move_as_a_whole() -> None:
    minutes = Cron("* 2-3 * * *", BERLIN)
    onward = bounds((calendar_of("", "quarter", 1, BERLIN, [(day("2027-01-04"),) * 2]), "include", "next"))
    found = upcoming(minutes, onward, NOW, 200)
    assert len(found) == 200
    assert [isoformat(found[0]), isoformat(found[119])] == ["2027-01-04T01:00:00Z", "2027-01-04T02:59:00Z"]
    assert isoformat(found[120]) == "2027-01-05T01:00:00Z"  # nothing left to move to: excluded where it is
    assert excluded_by(onward, found[120]) == "quarter"


def test_an_interval_that_was_never_checked_does_not_spin() -> None:
    with pytest.raises(InternalError, match="should not move"):
        next_after(Interval(Micros(10_000), NOW), bounds((WEEKEND, "exclude", "next")), Instant(NOW + 2 * DAY))


def test_the_farthest_move_is_a_year(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moves, "FARTHEST_MOVE", 3)
    run = calendar_of("", "run", 1, BERLIN, [(day("2026-11-21"), day("2026-11-25"))])
    daily = Cron("0 9 * * *", BERLIN)
    found = texts(daily, bounds((run, "exclude", "next")), "2026-11-20T12:00:00Z", 4)
    assert [text[8:10] for text in found] == ["21", "22", "26", "27"]
    found = texts(daily, bounds((run, "exclude", "previous")), "2026-11-19T12:00:00Z", 4)
    assert [text[8:10] for text in found] == ["20", "24", "25", "26"]


# ---- what is refused


@pytest.mark.parametrize(
    ("trigger", "rules", "message"),
    [
        (Cron("0 9 * * 6", BERLIN), [(WEEKEND, "exclude", "skip")], "'weekend' and the others exclude every time"),
        (Once(instant("2026-11-21T12:00:00Z")), [(WEEKEND, "exclude", "skip")], "exclude every time"),
        (Cron("0 9 * * *", BERLIN), [(WEEKEND, "exclude", "skip")] * 9, "calendars: at most 8, not 9"),
        (Cron("0 9 * * *"), [(WEEKEND, "exclude", "next")], "slots of UTC do not move by the days of Europe/Berlin"),
        (
            CalendarInterval(1, "day", 739_000, Micros(0)),
            [(WEEKEND, "exclude", "next")],
            "slots of UTC do not move",
        ),
        (Interval(Micros(HOUR), NOW), [(WEEKEND, "exclude", "next")], "shorter than a day"),
        (Interval(Micros(2 * DAY), NOW, fixed_delay=True), [(WEEKEND, "exclude", "next")], "with a fixed delay"),
        (
            Cron("0 9 * * *", BERLIN),
            [(WEEKEND, "exclude", "next"), (holidays("2026-12-25", name="other"), "exclude", "previous")],
            "'other' moves slots to the previous day in Europe/Berlin, 'weekend' to the next day .* must agree",
        ),
        (
            Cron("0 9 * * *", BERLIN),
            [(WEEKEND, "exclude", "next"), (holidays("2026-12-25", zone="UTC"), "exclude", "next")],
            "rules that move must agree",
        ),
        (
            Cron("0 9 * * *", BERLIN),
            [(calendar_of("", "w", 1, BERLIN, windows=[(Instant(1), Instant(2))]), "exclude", "next")],
            "'w' has windows",
        ),
    ],
)
def test_rules_that_are_refused(trigger: Trigger, rules: list, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        check_trigger(trigger, bounds(*rules), NOW)


def test_rules_that_are_fine() -> None:
    onward = bounds((WEEKEND, "exclude", "next"), (WEEKEND, "exclude", "skip"))
    for trigger in (
        Once(NOW),
        Once(Instant(NOW + DAY)),
        Interval(Micros(2 * DAY), NOW),
        Union((Cron("0 9 * * *", BERLIN), CalendarInterval(1, "day", 739_000, Micros(0), BERLIN))),
    ):
        check_trigger(trigger, onward, NOW)


def test_a_calendar_too_fine_to_step_through() -> None:
    minutes = [(Instant(NOW + n * HOUR), Instant(NOW + n * HOUR + MINUTE)) for n in range(9_000)]
    fine = bounds((calendar_of("", "fine", 1, windows=minutes), "exclude", "skip"))
    hourly = Interval(Micros(HOUR), NOW)
    stopped = next_allowed(hourly, fine, NOW)
    assert stopped is not None
    assert excluded_by(fine, stopped) == "fine"
    with pytest.raises(InvalidRequest, match="'fine' excludes so many times one by one"):
        check_trigger(hourly, fine, NOW)


def test_the_reference_itself() -> None:
    assert trigger_reference.fixed_time(BERLIN, trigger_reference.wall(BERLIN, NOW), "shift", "first") == [NOW]
    shown = trigger_reference.wall("UTC", instant("2026-03-29T02:30:00Z"))
    assert trigger_reference.fixed_time(BERLIN, shown, "shift", "first") == [instant("2026-03-29T01:00:00Z")]
    assert trigger_reference.fixed_time(BERLIN, shown, "skip", "first") == []
    twice = trigger_reference.wall("UTC", instant("2026-10-25T02:30:00Z"))
    assert len(trigger_reference.fixed_time(BERLIN, twice, "shift", "both")) == 2
    assert SECOND == 1_000_000
