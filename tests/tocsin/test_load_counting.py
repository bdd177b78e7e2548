"""How many nominal times lie in each minute: by arithmetic as by walking every one of them."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.model.lifecycle import Phase
from actors.model.task import TaskState
from actors.model.trigger import Bounds, CalendarInterval, Cron, Interval, Once, Trigger, Union
from actors.when.triggers import upcoming
from runtime.clock import DAY, HOUR, MILLISECOND, MINUTE, SECOND, Instant, Micros
from tests.actors.records import task
from tocsin.load import counting
from tocsin.load.counting import Group, Minutes, by_the_minute, fires_in, group_of, run_lengths

BEGIN = Instant(29_000_000 * MINUTE)
UNBOUNDED = Bounds()


def counted(group: Group, minutes: int = 120, tasks: int = 1) -> list[int]:
    found = Minutes(BEGIN, minutes)
    assert found.add(group, tasks)
    return found.counts()


def walked(group: Group, minutes: int = 120) -> list[int]:
    """The same one by one."""
    found = [0] * minutes
    after = Instant(BEGIN - group.offset - 1)
    while slots := upcoming(group.trigger, group.bounds, after, 1, allowed_only=True):
        [after] = slots
        place = (after + group.offset - BEGIN) // MINUTE
        if place >= minutes:
            break
        found[place] += 1
    return found


PERIODS = st.sampled_from([MINUTE, 5 * MINUTE, HOUR, 10 * SECOND, 7 * SECOND, 90 * SECOND, 61 * SECOND, 30 * SECOND])


@given(
    PERIODS,
    st.integers(-3 * HOUR, 3 * HOUR),
    st.none() | st.integers(-HOUR, 3 * HOUR),
    st.none() | st.integers(-HOUR, 3 * HOUR),
    st.integers(0, 10 * MINUTE),
)
def test_intervals_are_counted_as_they_are_walked(
    every: int, anchor: int, start: int | None, end: int | None, offset: int
) -> None:
    bounds = Bounds(None if start is None else Instant(BEGIN + start), None if end is None else Instant(BEGIN + end))
    group = Group(Interval(Micros(every), Instant(BEGIN + anchor)), bounds, Micros(offset))
    assert counted(group) == walked(group)


@pytest.mark.parametrize(
    "trigger",
    [
        Cron("*/7 * * * *"),
        Cron("5,10-15 * * * *", "Europe/Berlin"),
        Cron("*/20 */3 * * * *"),
        Cron("0,30 * * * * *", "Asia/Kolkata"),
        Cron("H H(0-3) * * *", seed=12345),
        Once(Instant(BEGIN + 61 * SECOND)),
        CalendarInterval(1, "day", 735_000, Micros(3 * HOUR)),
        Union((Cron("*/5 * * * *"), Interval(Micros(10 * MINUTE), BEGIN))),
    ],
    ids=str,
)
@pytest.mark.parametrize("offset", [0, 95 * SECOND])
def test_what_is_no_interval_is_counted_by_its_minutes(trigger: Trigger, offset: int) -> None:
    group = Group(trigger, UNBOUNDED, Micros(offset))
    assert counted(group, 2_000) == walked(group, 2_000)


def test_several_tasks_of_a_group_count_as_many() -> None:
    group = Group(Cron("0 * * * *"), UNBOUNDED)
    assert counted(group, tasks=7) == [7 * one for one in counted(group)]


def test_a_limit_ends_the_count() -> None:
    group = Group(Interval(Micros(MINUTE), BEGIN), UNBOUNDED, left=3)
    assert counted(group, 10) == [1, 1, 1, 0, 0, 0, 0, 0, 0, 0]


def test_what_is_too_much_to_walk_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "MAX_WALKED", 5)
    found = Minutes(BEGIN, 60)
    assert not found.add(Group(Cron("* * * * *"), UNBOUNDED))
    assert sum(found.counts()) == 5
    assert Minutes(BEGIN, 60).add(Group(Cron("* * * * *"), UNBOUNDED, left=5))


def test_seconds_are_a_number_for_each_minute() -> None:
    assert by_the_minute(Cron("*/10 5 * * * *")) == (Cron("0 5 * * * *"), 6)
    assert by_the_minute(Cron("5 * * * *")) == (Cron("5 * * * *"), 1)


def test_one_minute_by_itself() -> None:
    group = Group(Interval(Micros(7 * SECOND), BEGIN), UNBOUNDED)
    whole = counted(group)
    for place in (0, 1, 59):
        begin = Instant(BEGIN + place * MINUTE)
        assert fires_in(group, begin, Instant(begin + MINUTE)) == whole[place]


def test_equal_times_are_one_group() -> None:
    cron = {"trigger": Cron("0 3 * * *", "Europe/Berlin"), "next_fire": BEGIN}
    assert group_of(task("a", **cron)) == group_of(task("b", **cron))
    spread = {**cron, "bounds": Bounds(spread=Micros(HOUR))}
    assert group_of(task("a", **spread)) != group_of(task("b", **spread))
    limited = group_of(task("a", **{**cron, "bounds": Bounds(max_runs=5)}))
    assert limited is not None and limited.left == 5


def test_a_fixed_delay_counts_from_its_next_fire() -> None:
    delayed = Interval(Micros(MINUTE), Instant(0), fixed_delay=True)
    assert group_of(task(trigger=delayed, next_fire=BEGIN + 30 * SECOND)) == Group(
        Interval(Micros(MINUTE), Instant(BEGIN + 30 * SECOND)), UNBOUNDED
    )


@pytest.mark.parametrize("phase", [Phase.PAUSED, Phase.FINISHED, Phase.CANCELLED])
def test_what_will_not_fire_is_in_no_group(phase: Phase) -> None:
    assert group_of(task(state=TaskState(phase=phase, next_fire=BEGIN))) is None
    assert group_of(attrs.evolve(task(), state=TaskState(next_fire=None))) is None


def test_equal_counts_in_a_row_are_told_once() -> None:
    assert run_lengths([0, 0, 3, 3, 3, 1]) == [[0, 2], [3, 3], [1, 1]]
    assert run_lengths([]) == []


def test_a_week_of_the_shortest_interval_is_arithmetic() -> None:
    group = Group(Interval(Micros(10 * MILLISECOND), BEGIN), UNBOUNDED)
    assert counted(group, 7 * DAY // MINUTE) == [6_000] * 10_080
