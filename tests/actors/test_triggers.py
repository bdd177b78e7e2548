"""The evaluation of triggers: against counting one by one, against the plain rule, and what is refused."""

from __future__ import annotations

import json
import random
from datetime import UTC, date, datetime
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.model.calendar import CalendarRule, calendar_of
from actors.model.task import spread_offset
from actors.model.trigger import (
    UNBOUNDED,
    Bounds,
    CalendarInterval,
    Cron,
    Interval,
    Once,
    Trigger,
    Union,
)
from actors.when import triggers
from actors.when.calendar_intervals import MAX_COUNTED
from actors.when.dst import dst_card
from actors.when.trigger_words import explain
from actors.when.triggers import (
    check_trigger,
    count_between,
    count_slices,
    last_through,
    next_after,
    next_allowed,
    previous_slots,
    upcoming,
)
from actors.when.zones import zone
from runtime.clock import DAY, HOUR, MINUTE, SECOND, Instant, Micros, isoformat
from runtime.errors import InternalError, InvalidRequest
from tests import strategies
from tests.source import ROOT

from .cron_reference import changes_of_offset, distinct_zones
from .keeper_kit import START
from .trigger_reference import compare, instant, random_case, random_single

BERLIN = "Europe/Berlin"
VECTORS: list[dict[str, Any]] = [
    vector
    for vector in json.loads((ROOT / "tests/data/cron_vectors.json").read_text(encoding="utf-8"))["vectors"]
    if vector["tzdata"] == "2026f"
]
TRIGGERS = st.one_of(strategies.triggers, strategies.calendar_intervals, strategies.unions)


def at(seconds: float) -> Instant:
    return Instant(START + round(seconds * SECOND))


def monthly(anchor: str, every: int = 1, **fields: Any) -> CalendarInterval:
    moment = datetime.fromisoformat(anchor)
    time_of_day = Micros((moment.hour * 60 + moment.minute) * MINUTE)
    return CalendarInterval(every, fields.pop("unit", "month"), moment.toordinal(), time_of_day, **fields)


def texts(trigger: Trigger, after: str, count: int) -> list[str]:
    return [isoformat(one) for one in upcoming(trigger, UNBOUNDED, instant(after), count)]


def slots(trigger: Trigger, bounds: Bounds, after: Instant, through: Instant) -> list[Instant]:
    found = []
    following = next_after(trigger, bounds, after)
    while following is not None and following <= through and len(found) < 300:
        found.append(following)
        following = next_after(trigger, bounds, following)
    return found


# ---- properties


@given(TRIGGERS, strategies.bounds, strategies.near_instants)
def test_the_next_is_strictly_later_and_within_bounds(trigger: Trigger, bounds: Bounds, after: Instant):
    found = next_after(trigger, bounds, after)
    if found is not None:
        assert found > after
        assert bounds.start is None or found >= bounds.start
        assert bounds.end is None or found <= bounds.end


@given(TRIGGERS, strategies.bounds, strategies.near_instants, st.integers(0, 30 * SECOND), st.integers(1, 9))
def test_the_newest_and_the_count_equal_counting(
    trigger: Trigger, bounds: Bounds, after: Instant, span: int, limit: int
):
    through = Instant(after + span)
    found = slots(trigger, bounds, after, through)
    if len(found) == 300:
        return
    assert last_through(trigger, bounds, after, through) == (found[-1] if found else None)
    assert previous_slots(trigger, bounds, after, through, limit) == found[-limit:]
    if found:
        assert count_between(trigger, bounds, found[0], found[-1]) in (len(found), None)
        assert sum(count_slices(trigger, bounds, found[0], found[-1])) == len(found)
    assert upcoming(trigger, bounds, after, 2)[: len(found)] == found[:2]


@pytest.mark.parametrize("seed", range(25))
def test_everything_equals_the_plain_rule_around_changes_of_offset(seed: int):
    rng = random.Random(seed)
    compare(random_case(rng), rng)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_a1_the_vectors(vector: dict[str, Any]):
    expected = vector["expected"]
    trigger = Cron(vector["expr"], vector["tz"])
    assert texts(trigger, vector["start"], len(expected)) == expected
    assert texts(Union((trigger, trigger)), vector["start"], len(expected)) == expected


@given(st.integers(0, 2**32), st.sampled_from(distinct_zones()), st.integers(0, 4_000_000_000))
def test_a2_the_next_is_strictly_greater(seed: int, name: str, start: int):
    rng = random.Random(seed)
    trigger = Union(tuple(random_single(rng, name, start) for _ in range(3)))
    moment = Instant(start * SECOND)
    for _ in range(20):
        following = next_after(trigger, UNBOUNDED, moment)
        if following is None:
            break
        assert following > moment
        moment = following


@given(st.integers(0, 2**32), st.data())
def test_a4_a_span_is_the_sum_of_its_parts(seed: int, data: st.DataObject):
    case = random_case(random.Random(seed))
    cut = Instant(data.draw(st.integers(case.first, case.last)))
    before = Instant(case.first - 1)
    whole = slots(case.trigger, case.bounds, before, case.last)
    if len(whole) < 300:
        parts = slots(case.trigger, case.bounds, before, cut) + slots(case.trigger, case.bounds, cut, case.last)
        assert parts == whole
        counts = [
            sum(count_slices(case.trigger, case.bounds, first, last))
            for first, last in ((case.first, cut), (Instant(cut + 1), case.last))
        ]
        assert sum(counts) == len(whole)


@given(
    st.sampled_from(distinct_zones()),
    st.integers(0, 24 * 60 - 1),
    st.integers(2007, 2037),
    st.sampled_from(["first", "last"]),
)
def test_a5_a_daily_slot_falls_once_on_each_day_there_is(name: str, minute: int, year: int, fold: Any):
    by_cron = Cron(f"{minute % 60} {minute // 60} * * *", name, fold=fold)
    by_days = CalendarInterval(
        1, "day", date(2000, 1, 1).toordinal(), Micros(minute * MINUTE), name, gap="shift", fold=fold
    )
    first, last = (instant(f"{one}-01-01T00:00:00Z") for one in (year, year + 1))
    found = slots_of(by_cron, first, last)
    assert slots_of(by_days, first, last) == found
    moves = [
        change
        for change in zone(name).changes(first // SECOND, last // SECOND)
        if abs(change.after - change.before) >= 3 * 3_600
    ]
    assert abs(len(found) - (last - first) // DAY) <= 1 + len(moves)
    if not moves:
        assert all(abs(later - earlier - DAY) < 4 * HOUR for earlier, later in pairwise(found))


def slots_of(trigger: Trigger, after: Instant, through: Instant) -> list[Instant]:
    return previous_slots(trigger, UNBOUNDED, after, through, 1_000)


@pytest.mark.parametrize(
    "expression",
    ["R * * * *", "H * * * *", "5-5/2 * * * *", "\u0661 * * * *", "0\u00a00 * * *", "0\n0 * * *", "?" * 300],
)
def test_a6_what_the_table_rejects(expression: str):
    with pytest.raises(InvalidRequest):
        check_trigger(Cron(expression), UNBOUNDED, START)
    with pytest.raises(InvalidRequest):
        check_trigger(Union((Once(at(9)), Cron(expression))), UNBOUNDED, START)


@pytest.mark.parametrize("expression", ["0 0 30 2 *", "0 0 31 2,4,6,9,11 *", "0 0 30W 2 *", "0 0 29 2 */1#5"])
def test_a7_what_never_fires(expression: str):
    with pytest.raises(InvalidRequest):
        check_trigger(Cron(expression), UNBOUNDED, START)


# ---- kinds


def test_an_interval_begins_at_its_anchor():
    grid = Interval(Micros(10 * SECOND), at(7))
    assert [next_after(grid, UNBOUNDED, at(n)) for n in (0, 6.9, 7, 16, 17)] == [at(7), at(7), at(17), at(17), at(27)]


def test_bounds_are_inclusive():
    grid = Interval(Micros(10 * SECOND), START)
    bounds = Bounds(start=at(20), end=at(30))
    assert upcoming(grid, bounds, START, 9) == [at(20), at(30)]
    assert upcoming(Once(at(5)), UNBOUNDED, START, 9) == [at(5)]
    assert count_between(Once(at(5)), UNBOUNDED, at(5), at(5)) == 1
    assert count_between(grid, bounds, START, at(99)) == 2
    assert next_allowed(grid, bounds, at(30)) is None


def test_after_two_weeks_twice_an_hour_twelve_times():
    start = Instant(START + 14 * DAY)
    twice, bounds = Interval(Micros(HOUR // 2), start), Bounds(start=start, max_runs=12)
    check_trigger(twice, bounds, START)
    assert upcoming(twice, bounds, START, 3) == [start, Instant(start + HOUR // 2), Instant(start + HOUR)]


def test_a_month_without_the_day():
    end_of_month = monthly("2026-01-31T09:00", missing="last_day")
    assert texts(end_of_month, "2026-01-01T00:00:00Z", 4) == [
        "2026-01-31T09:00:00Z",
        "2026-02-28T09:00:00Z",
        "2026-03-31T09:00:00Z",
        "2026-04-30T09:00:00Z",
    ]
    assert texts(monthly("2026-01-31T09:00"), "2026-01-31T09:00:00Z", 2) == [
        "2026-03-31T09:00:00Z",
        "2026-05-31T09:00:00Z",
    ]
    leap = monthly("2024-02-29T00:00", unit="year")
    assert texts(leap, "2096-02-29T00:00:00Z", 1) == ["2104-02-29T00:00:00Z"]
    assert texts(monthly("2024-02-29T00:00", unit="year", missing="last_day"), "2096-03-01T00:00:00Z", 1) == [
        "2097-02-28T00:00:00Z"
    ]


def test_days_and_weeks_keep_the_local_time():
    weekly = monthly("2026-03-23T09:00", unit="week", every=1, timezone=BERLIN)
    assert texts(weekly, "2026-03-01T00:00:00Z", 2) == ["2026-03-23T08:00:00Z", "2026-03-30T07:00:00Z"]
    nightly = monthly("2026-03-28T02:30", unit="day", timezone=BERLIN)
    assert texts(nightly, "2026-03-28T02:00:00Z", 1) == ["2026-03-29T01:00:00Z"]
    skipping = monthly("2026-03-28T02:30", unit="day", timezone=BERLIN, gap="skip")
    assert texts(skipping, "2026-03-28T02:00:00Z", 1) == ["2026-03-30T00:30:00Z"]
    both = monthly("2026-10-25T02:30", unit="day", timezone=BERLIN, fold="both")
    assert texts(both, "2026-10-24T12:00:00Z", 2) == ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"]


def test_a_calendar_interval_ends_with_the_dates():
    late = monthly("9999-12-01T00:00")
    assert next_after(late, UNBOUNDED, START) is None
    assert next_after(monthly("9999-12-30T00:00", unit="day"), UNBOUNDED, START) is None
    assert next_after(monthly("2026-01-01T00:00"), UNBOUNDED, instant("2025-01-01T00:00:00Z")) == START


def test_members_of_a_union_at_one_instant_are_one():
    union = Union((Cron("0 * * * *"), Interval(Micros(HOUR // 2), START), Once(at(0)), Once(at(60))))
    assert upcoming(union, UNBOUNDED, Instant(START - 1), 4) == [at(0), at(60), at(1_800), at(3_600)]
    assert count_between(union, UNBOUNDED, START, at(3_600)) == 4
    assert next_after(Union((Once(at(1)),)), UNBOUNDED, at(1)) is None


def test_the_newest_of_each_kind():
    year = Instant(START + 365 * DAY)
    assert previous_slots(Once(at(5)), UNBOUNDED, START, year, 3) == [at(5)]
    assert previous_slots(Once(at(5)), UNBOUNDED, at(5), year, 3) == []
    assert last_through(Interval(Micros(HOUR), year), UNBOUNDED, START, at(9)) is None
    weekend = calendar_of("", "w", 1, weekdays=[5, 6])
    working = Bounds(calendars=(CalendarRule(weekend),))
    sunday = instant("2026-11-22T12:00:00Z")
    assert previous_slots(Cron("0 9 * * *"), working, START, sunday, 2, allowed_only=True) == [
        instant("2026-11-19T09:00:00Z"),
        instant("2026-11-20T09:00:00Z"),
    ]


def test_a_trigger_that_goes_back_is_our_own_fault(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(triggers, "_evaluate", lambda trigger, after: Instant(after))
    with pytest.raises(InternalError, match="answered"):
        next_after(Once(at(5)), UNBOUNDED, START)


# ---- counting in slices


def test_what_is_too_much_to_count_is_counted_in_slices():
    year = Instant(START + 60 * DAY)
    dense = Union((Cron("* * * * *"), Interval(Micros(7 * MINUTE), START)))
    assert count_between(dense, UNBOUNDED, START, year) is None
    expected = 60 * 24 * 60 + 1
    pieces = list(count_slices(dense, UNBOUNDED, START, year))
    assert sum(pieces) == expected
    assert max(pieces) <= triggers.MAX_WALK
    weekend = Bounds(calendars=(CalendarRule(calendar_of("", "w", 1, weekdays=[5, 6]), "exclude", "next"),))
    assert count_between(Cron("0 * * * *"), weekend, START, year) is None
    assert sum(count_slices(Cron("0 * * * *"), weekend, START, year)) == 1 + 42 * 24  # 42 working days, and 00:00 after
    daily = CalendarInterval(1, "day", 1, Micros(0))
    assert count_between(daily, UNBOUNDED, START, Instant(START + (MAX_COUNTED + 9) * DAY)) is None
    assert sum(count_slices(daily, UNBOUNDED, START, Instant(START + (MAX_COUNTED + 9) * DAY))) == MAX_COUNTED + 10
    assert count_between(Union((daily, daily)), UNBOUNDED, START, Instant(START + 2_000 * DAY)) is None


def test_slices_jump_over_what_is_empty():
    far = Union((Once(START), Once(Instant(START + 3_000 * DAY))))
    assert list(count_slices(far, UNBOUNDED, START, Instant(START + 9_000 * DAY))) == [1, 1]


def test_a_year_is_counted_without_walking(monkeypatch: pytest.MonkeyPatch):
    calls = []
    evaluate = triggers._evaluate
    monkeypatch.setattr(triggers, "_evaluate", lambda one, after: calls.append(1) or evaluate(one, after))
    for expression in ("* * * * *", "* * * * * *"):
        for name in (BERLIN, "Africa/Casablanca", "Australia/Lord_Howe"):
            cron = Cron(expression, name)
            year = Instant(START + 365 * DAY)
            size = 60 if expression.count(" ") == 4 else 1
            assert count_between(cron, UNBOUNDED, START, year) == 365 * 86_400 // size + 1
            assert last_through(cron, UNBOUNDED, START, year) == year
            assert len(previous_slots(cron, UNBOUNDED, START, year, 100)) == 100
    assert len(calls) < 6 * 1_000


# ---- spread


def test_the_place_in_a_spread_window_is_stable_and_inside():
    bounds = Bounds(spread=Micros(HOUR))
    places = [spread_offset(bounds, f"task-{number}") for number in range(400)]
    assert places == [spread_offset(bounds, f"task-{number}") for number in range(400)]
    assert all(0 <= place < HOUR for place in places)
    quarters = [sum(place * 4 // HOUR == quarter for place in places) for quarter in range(4)]
    assert min(quarters) > 60
    assert spread_offset(UNBOUNDED, "task") == 0


# ---- when clocks change


def test_what_happens_when_the_clocks_change():
    nightly = Cron("30 2 * * *", BERLIN)
    spring, autumn = dst_card(nightly, UNBOUNDED, START)
    assert (spring.timezone, isoformat(spring.at), spring.before, spring.after) == (
        BERLIN,
        "2026-03-29T01:00:00Z",
        3_600,
        7_200,
    )
    assert (spring.effect, autumn.effect) == ("moved", "first")
    assert [isoformat(one) for one in spring.around] == ["2026-03-29T01:00:00Z"]
    assert [isoformat(one) for one in autumn.around] == ["2026-10-25T00:30:00Z"]


@pytest.mark.parametrize(
    ("trigger", "effects"),
    [
        (Cron("0 12 * * *", BERLIN), ["none", "none"]),
        (Cron("30 2 * * *", BERLIN, gap="skip", fold="last"), ["lost", "last"]),
        (Cron("30 2 * * *", BERLIN, fold="both"), ["moved", "twice"]),
        (Cron("*/5 * * * *", BERLIN), ["lost", "twice"]),
        (monthly("2026-01-01T02:15", unit="day", timezone=BERLIN), ["moved", "first"]),
        (monthly("2026-01-01T03:15", unit="day", timezone=BERLIN), ["none", "none"]),
        (monthly("2026-03-29T02:15", unit="year", timezone=BERLIN), ["moved", "none"]),
        (Union((Cron("0 12 * * *", BERLIN), Once(START), Cron("H 2 * * *", BERLIN, seed=5))), ["moved", "first"]),
        (Cron("0 12 * * *", "UTC"), []),
        (Interval(Micros(HOUR), START), []),
    ],
)
def test_effects_of_changes(trigger: Trigger, effects: list[str]):
    assert [card.effect for card in dst_card(trigger, UNBOUNDED, START)] == effects


def test_cards_of_several_zones_are_in_order_and_show_a_bounded_number():
    union = Union((Cron("* * * * *", BERLIN), Cron("30 2 * * *", "America/New_York")))
    cards = dst_card(union, UNBOUNDED, START)
    assert [card.timezone for card in cards] == ["America/New_York", BERLIN, BERLIN, "America/New_York"]
    assert {len(card.around) for card in cards} == {12}


@pytest.mark.parametrize("name", [BERLIN, "Australia/Lord_Howe", "Pacific/Apia", "America/Caracas", "Asia/Pyongyang"])
def test_the_effect_is_what_happens(name: str):
    for moment, before, after in list(changes_of_offset(name))[-4:]:
        low = moment + min(before, after)
        for minute in range(low // 60 - 5, low // 60 + 10, 5):
            wall = datetime.fromtimestamp(minute * 60, UTC)
            cron = Cron(f"{wall.minute} {wall.hour} * * *", name, fold="both")
            (card, *_) = dst_card(cron, UNBOUNDED, Instant((moment - 60) * SECOND))
            size = abs(after - before)
            near = slots_of(cron, Instant((moment - size) * SECOND - 1), Instant((moment + size) * SECOND - 1))
            inside = low <= minute * 60 < low + size
            if not inside and size < DAY // SECOND:
                assert card.effect == "none"
            elif size < 3 * 3_600:
                assert card.effect == ("moved" if after > before else "twice")
                assert len(near) == (1 if after > before else 2)


# ---- in words


@pytest.mark.parametrize(
    ("trigger", "words"),
    [
        (Once(START), "once, at 2026-01-01T00:00:00Z"),
        (Interval(Micros(90 * MINUTE), START), "every 1 hour and 30 minutes, counted from 2026-01-01T00:00:00Z"),
        (Interval(Micros(DAY + SECOND), START), "every 1 day and 1 second, counted from 2026-01-01T00:00:00Z"),
        (Interval(Micros(10_000), START, fixed_delay=True), "0.01 seconds after the end of the execution before"),
        (Interval(Micros(2 * MINUTE), START, fixed_delay=True), "2 minutes after the end of the execution before"),
        (Interval(Micros(0), START, fixed_delay=True), "0 seconds after the end of the execution before"),
        (Cron("30 2 * * *", BERLIN), "at 02:30, every day (Europe/Berlin)"),
        (Cron("0 1,2,3,4,5,6,7 * * *"), "at minute 0 of hour 1, 2, 3, 4, 5, 6 and 7, every day (UTC)"),
        (Cron("0 9 LW * *"), "at 09:00, on the last day from Monday to Friday of the month (UTC)"),
        (
            Cron("0 9 1,L,15W * 5L,1#2"),
            "at 09:00, on day 1, the last day and the day from Monday to Friday nearest to day 15 of the month or on the "
            "last Friday of the month and the 2nd Monday of the month (UTC)",
        ),
        (monthly("2026-01-31T09:00"), "every month at 09:00, from 2026-01-31, not in a month without a day 31 (UTC)"),
        (
            monthly("2026-01-31T09:00", every=2, missing="last_day"),
            "every 2 months at 09:00, from 2026-01-31, on the last day of the month (UTC)",
        ),
        (monthly("2026-01-28T09:30"), "every month at 09:30, from 2026-01-28 (UTC)"),
        (monthly("2026-01-31T09:00", unit="week"), "every week at 09:00, from 2026-01-31 (UTC)"),
        (Union((Once(START), Cron("@hourly"))), "once, at 2026-01-01T00:00:00Z; and at minute 0 of every hour (UTC)"),
    ],
)
def test_triggers_in_words(trigger: Trigger, words: str):
    assert explain(trigger) == words


# ---- what is refused


def odd(**fields: Any) -> CalendarInterval:
    return CalendarInterval(**{"every": 1, "unit": "day", "anchor_day": 739_000, "time_of_day": Micros(0), **fields})


@pytest.mark.parametrize(
    ("trigger", "bounds", "match"),
    [
        (Interval(Micros(9_999), START), UNBOUNDED, r"every: from 10 ms .* 0\.009999 s"),
        (Interval(Micros(40_000 * 24 * HOUR), START), UNBOUNDED, "100 years"),
        (Interval(Micros(HOUR), Instant(START + 4_000 * DAY)), UNBOUNDED, "not fire within ten years, first at 2036"),
        (Interval(Micros(HOUR), START), Bounds(start=Instant(START + 4_000 * DAY)), "not fire within ten years"),
        (Interval(Micros(DAY), Instant(START - 1)), Bounds(end=at(9)), "never fires .* until the end"),
        (Cron("0 0 30 2 *"), UNBOUNDED, "30 2"),
        (Cron("0 0 1 1 *"), Bounds(start=at(1), end=at(9)), "never fires"),
        (Cron("H * * * *"), UNBOUNDED, "by the id of the task"),
        (Cron("* * * * *", "Mars/Olympus"), UNBOUNDED, "Mars/Olympus"),
        (Once(at(9)), Bounds(end=at(8)), "after the end"),
        (Once(at(9)), Bounds(start=at(10)), "before the start"),
        (Once(at(9)), Bounds(max_runs=0), "at least 1"),
        (Once(at(9)), Bounds(start=at(10), end=at(9)), "after the end"),
        (Once(at(9)), Bounds(spread=Micros(-1)), "spread: from 0 to 366 days"),
        (Once(at(9)), Bounds(spread=Micros(367 * DAY)), "spread: from 0 to 366 days"),
        (odd(timezone="Mars/Olympus"), UNBOUNDED, "Mars/Olympus"),
        (odd(unit="decade"), UNBOUNDED, "unit: one of day, week, month, year, not 'decade'"),
        (odd(every=0), UNBOUNDED, "every: from 1 to 36525 days, not 0"),
        (odd(every=101, unit="year"), UNBOUNDED, "every: from 1 to 100 years, not 101"),
        (odd(anchor_day=0), UNBOUNDED, "anchor_day: an ordinal"),
        (odd(time_of_day=Micros(DAY)), UNBOUNDED, "time_of_day: within a day, not 86400 s"),
        (odd(missing="jump"), UNBOUNDED, "missing: skip or last_day, not 'jump'"),
        (Union(()), UNBOUNDED, "a union of 1 to 16 triggers, not 0"),
        (Union((Once(START),) * 17), UNBOUNDED, "not 17"),
        (Union((Union((Once(START),)),)), UNBOUNDED, "holds no other union"),  # type: ignore[arg-type]
        (Union((Interval(Micros(HOUR), START, fixed_delay=True),)), UNBOUNDED, "no interval with a fixed delay"),
        (Union((Once(at(-9)),)), UNBOUNDED, "never fires"),
    ],
)
def test_triggers_that_are_refused(trigger: Trigger, bounds: Bounds, match: str):
    with pytest.raises(InvalidRequest, match=match):
        check_trigger(trigger, bounds, START)


@pytest.mark.parametrize("trigger", [Interval(Micros(MINUTE), START), Cron("@hourly", BERLIN), Once(at(9)), odd()])
def test_triggers_that_are_fine(trigger: Trigger):
    check_trigger(trigger, Bounds(start=START, end=at(9), max_runs=1, spread=Micros(HOUR)), START)
    assert next_after(trigger, UNBOUNDED, at(-10)) is not None
    assert next_after(Once(at(-9)), UNBOUNDED, at(-10)) == at(-9)
    check_trigger(Once(at(-9)), UNBOUNDED, START)
