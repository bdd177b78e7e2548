"""The cron search against what must hold for every expression, zone and start, and against the plain reference."""

from __future__ import annotations

import itertools
import random
from calendar import monthrange
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.when.cron import parse
from actors.when.cron_search import count_fires, fires, next_fire
from actors.when.zones import zone
from runtime.clock import DAY, SECOND, Instant
from tests.actors.cron_reference import (
    FOLDS,
    GAPS,
    MINUTE,
    Expression,
    Window,
    changes_of_offset,
    difference,
    distinct_zones,
    one_of_each_shape,
    random_expression,
)

HOUR = 3_600
STARTS = st.integers(min_value=0, max_value=int(datetime(2100, 1, 1, tzinfo=UTC).timestamp()) * SECOND).map(Instant)
SEEDS = st.integers(min_value=0, max_value=2**32)
ZONES = st.sampled_from(distinct_zones())
POLICIES = st.tuples(st.sampled_from(GAPS), st.sampled_from(FOLDS))
ODD_ZONES = (
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Africa/Casablanca",
    "Antarctica/Troll",
    "Asia/Gaza",
)


@given(SEEDS, ZONES, STARTS, st.booleans(), POLICIES)
def test_the_next_fire_is_strictly_later(seed: int, name: str, start: Instant, seconds: bool, policies: tuple) -> None:
    gap, fold = policies
    spec = parse(
        random_expression(random.Random(seed), start // SECOND, seconds=seconds, forms=True, hashed=True), seed
    )
    moment = start
    for _ in range(20):
        following = next_fire(spec, zone(name), moment, gap=gap, fold=fold)
        if following is None:
            break
        assert following > moment
        assert following % SECOND == 0
        moment = following


@given(SEEDS, st.sampled_from(ODD_ZONES), st.data(), POLICIES)
def test_a_span_is_the_sum_of_its_parts(seed: int, name: str, data: st.DataObject, policies: tuple) -> None:
    (gap, fold), odd = policies, zone(name)
    at, before, _ = data.draw(st.sampled_from(list(changes_of_offset(name))))
    spec = parse(random_expression(random.Random(seed), at + before))
    begin, end = Instant((at - 5 * HOUR) * SECOND), Instant((at + 30 * HOUR) * SECOND)
    cut = Instant(data.draw(st.integers(min_value=begin, max_value=end)))
    whole = fires(spec, odd, begin, end, 10_000, gap=gap, fold=fold)
    first = fires(spec, odd, begin, cut, 10_000, gap=gap, fold=fold)
    second = fires(spec, odd, cut, end, 10_000, gap=gap, fold=fold)
    assert first + second == whole
    assert count_fires(spec, odd, begin, cut, gap=gap, fold=fold) == len(first)
    assert count_fires(spec, odd, cut, end, gap=gap, fold=fold) == len(second)


QUIET = 1_800_000_000
"""An instant of 2027, for zones in which nothing changes."""


def test_it_equals_the_reference_at_each_shape_of_change() -> None:
    shapes = one_of_each_shape()
    assert len(shapes) > 30
    for name, at in shapes:
        window, rng = Window(name, at - 30 * HOUR, at + 30 * HOUR), random.Random(at)
        for _ in range(8):
            text = random_expression(
                rng, zone(name).to_local(at - 1), forms=rng.random() < 0.4, hashed=rng.random() < 0.2
            )
            found = [difference(window, name, text, gap, fold, at) for gap in GAPS for fold in FOLDS]
            assert found == [None] * 6


@given(SEEDS, ZONES, st.data())
def test_it_equals_the_reference_around_any_change(seed: int, name: str, data: st.DataObject) -> None:
    at, before, _ = data.draw(st.sampled_from([*changes_of_offset(name), (QUIET, zone(name).offset(QUIET), 0)]))
    window, rng = Window(name, at - 2 * 24 * HOUR, at + 2 * 24 * HOUR), random.Random(seed)
    for kind in ({}, {"forms": True}, {"forms": True, "hashed": True}):
        assert difference(window, name, random_expression(rng, at + before, **kind), seed=seed) is None


@pytest.mark.parametrize("name", ["Europe/Berlin", "Australia/Lord_Howe", "Antarctica/Troll"])
def test_seconds_equal_the_reference(name: str) -> None:
    for at, before, _ in list(changes_of_offset(name))[-2:]:
        window, rng = Window(name, at - HOUR, at + HOUR, step=1), random.Random(at)
        for _ in range(10):
            assert difference(window, name, random_expression(rng, at + before, seconds=True)) is None


@given(SEEDS)
def test_fields_mean_the_same_as_in_the_reference(seed: int) -> None:
    text = random_expression(random.Random(seed), seed, seconds=True, forms=True, hashed=True)
    spec, plain = parse(text, seed), Expression(text, seed)
    assert spec.seconds == sum(1 << second for second in plain.second)
    assert spec.minutes == sum(1 << (hour * 60 + minute) for hour in plain.hour for minute in plain.minute)
    assert spec.wildcard == plain.wildcard
    for day in (date(2027, 1, 1) + timedelta(days=n) for n in range(2 * 366)):
        shape = 7 * (monthrange(day.year, day.month)[1] - 28) + day.replace(day=1).isoweekday() % 7
        matches = bool(spec.months >> day.month & 1 and spec.days[shape] >> day.day & 1)
        assert matches == plain.matches_day(day)


@given(ZONES, st.integers(min_value=0, max_value=24 * 60 - 1), st.integers(min_value=2007, max_value=2060))
def test_a_daily_job_runs_once_on_each_day(name: str, minute: int, year: int) -> None:
    spec, place = parse(f"{minute % 60} {minute // 60} * * *"), zone(name)
    begin = int(datetime(year, 1, 1, tzinfo=UTC).timestamp())
    end = int(datetime(year + 1, 1, 1, tzinfo=UTC).timestamp())
    found = fires(spec, place, Instant(begin * SECOND), Instant(end * SECOND), 400)
    # A wall time may fall before the year's first instant here and the last one there: at most one more or less.
    moves = [change for change in place.changes(begin, end) if abs(change.after - change.before) >= 3 * HOUR]
    assert abs(len(found) - (end - begin) // (24 * HOUR)) <= 1 + len(moves)
    gaps = [(later - earlier) // SECOND for earlier, later in itertools.pairwise(found)]
    assert min(gaps) > 18 * HOUR
    assert max(gaps) <= 27 * HOUR + sum(abs(move.after - move.before) for move in moves)


def test_the_reference_sees_what_the_rule_says() -> None:
    at, _, _ = next(changes_of_offset("America/New_York"))
    window = Window("America/New_York", at - HOUR, at + HOUR)
    assert window.fires("30 2 * * *") == [at]
    assert window.fires("30 2 * * *", gap="skip") == []
    assert window.fires("*/30 2 * * *") == []
    assert len(window.fires("* * * * *")) == 2 * HOUR // MINUTE
    assert DAY // SECOND == 24 * HOUR
