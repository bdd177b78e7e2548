"""The evaluation of triggers against counting one by one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors import triggers
from actors.model.trigger import UNBOUNDED, Bounds, Cron, Interval, Once, Trigger
from actors.triggers import check_trigger, count_between, last_through, next_after, previous_slots, upcoming
from runtime.clock import HOUR, MINUTE, SECOND, Instant, Micros
from runtime.errors import InternalError, InvalidRequest
from tests import strategies

from .keeper_kit import START


def at(seconds: float) -> Instant:
    return Instant(START + round(seconds * SECOND))


def slots(trigger: Trigger, bounds: Bounds, after: Instant, through: Instant) -> list[Instant]:
    found = []
    following = next_after(trigger, bounds, after)
    while following is not None and following <= through and len(found) < 300:
        found.append(following)
        following = next_after(trigger, bounds, following)
    return found


@given(strategies.triggers, strategies.bounds, strategies.near_instants)
def test_the_next_is_strictly_later_and_within_bounds(trigger: Trigger, bounds: Bounds, after: Instant):
    found = next_after(trigger, bounds, after)
    if found is not None:
        assert found > after
        assert bounds.start is None or found >= bounds.start
        assert bounds.end is None or found <= bounds.end


@given(strategies.triggers, strategies.bounds, strategies.near_instants, st.integers(0, 30 * SECOND), st.integers(1, 9))
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
        assert count_between(trigger, bounds, found[0], found[-1]) == len(found)
    assert upcoming(trigger, bounds, after, 2)[: len(found)] == found[:2]


def test_an_interval_begins_at_its_anchor():
    grid = Interval(Micros(10 * SECOND), at(7))
    assert [next_after(grid, UNBOUNDED, at(n)) for n in (0, 6.9, 7, 16, 17)] == [at(7), at(7), at(17), at(17), at(27)]


def test_bounds_are_inclusive():
    grid = Interval(Micros(10 * SECOND), START)
    bounds = Bounds(start=at(20), end=at(30))
    assert upcoming(grid, bounds, START, 9) == [at(20), at(30)]
    assert upcoming(Once(at(5)), UNBOUNDED, START, 9) == [at(5)]
    assert count_between(Once(at(5)), UNBOUNDED, at(5), at(5)) == 1


def test_a_trigger_that_goes_back_is_our_own_fault(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(triggers, "_evaluate", lambda trigger, after: Instant(after))
    with pytest.raises(InternalError, match="answered"):
        next_after(Once(at(5)), UNBOUNDED, START)


@pytest.mark.parametrize(
    ("trigger", "bounds", "match"),
    [
        (Interval(Micros(9_999), START), UNBOUNDED, r"every: from 10 ms .* 0\.009999 s"),
        (Interval(Micros(40_000 * 24 * HOUR), START), UNBOUNDED, "100 years"),
        (Cron("0 0 30 2 *"), UNBOUNDED, "30 2"),
        (Cron("* * * * *", "Mars/Olympus"), UNBOUNDED, "Mars/Olympus"),
        (Once(at(9)), Bounds(end=at(8)), "after the end"),
        (Once(at(9)), Bounds(start=at(10)), "before the start"),
        (Once(at(9)), Bounds(max_runs=0), "at least 1"),
        (Once(at(9)), Bounds(start=at(10), end=at(9)), "after the end"),
    ],
)
def test_triggers_that_are_refused(trigger: Trigger, bounds: Bounds, match: str):
    with pytest.raises(InvalidRequest, match=match):
        check_trigger(trigger, bounds, START)


@pytest.mark.parametrize("trigger", [Interval(Micros(MINUTE), START), Cron("@hourly", "Europe/Berlin"), Once(at(9))])
def test_triggers_that_are_fine(trigger: Trigger):
    check_trigger(trigger, Bounds(start=START, end=at(9), max_runs=1), START)
    assert next_after(trigger, UNBOUNDED, at(-10)) is not None
