"""Edges of settling: the last instant that still counts, what comes after the run limit, and where half of a catch-up is."""

from __future__ import annotations

import pytest

from actors.keeper_messages import AttemptEnd
from actors.model.calendar import CalendarRule, calendar_of
from actors.model.execution import Kind
from actors.model.lifecycle import State
from actors.model.occurrence import Outcome, Reason
from actors.model.policy import LATE_AFTER, CatchUp, Policies
from actors.model.task import Task, TaskState
from actors.model.trigger import Bounds, Interval
from actors.rules import attempts
from actors.rules.selecting import CATCH_UP_SLICE
from actors.rules.settling import (
    drop_owed,
    gives_back,
    go_on_catching_up,
    newest_start,
    outcome_of_start,
    settle,
)
from runtime.clock import HOUR, SECOND, Instant, Micros
from runtime.records import evolve

from .keeper_kit import START, definition

HOURLY = Interval(HOUR, START)


def hour(number: float) -> Instant:
    return Instant(START + round(number * HOUR))


def closed(*spans: tuple[int, int]) -> tuple[CalendarRule, ...]:
    return (CalendarRule(calendar_of("", "closed", 1, windows=[(hour(begin), hour(end)) for begin, end in spans])),)


def owing(bounds: Bounds, catch_up: CatchUp = CatchUp.ALL) -> Task:
    return Task(
        definition(trigger=HOURLY, bounds=bounds, policies=Policies(catch_up=catch_up)),
        TaskState(next_fire=hour(1), settled_through=hour(0)),
    )


def test_what_lies_behind_the_run_limit_is_not_settled():
    found = settle(owing(Bounds(max_runs=1, calendars=closed((2, 4), (5, 7)))), hour(9.5))
    assert [one.nominal for one in found.admitted] == [hour(1)]
    assert (found.finished, found.next_fire) == (True, None)
    assert found.settled_through < hour(4), "the first that the limit holds back"
    assert all(row.last < hour(4) for row in found.dropped)


def test_excluded_time_up_to_now_is_settled_with_what_comes_before_it():
    found = settle(owing(Bounds(calendars=closed((3, 5)))), hour(4.5))
    assert [one.nominal for one in found.admitted] == [hour(1), hour(2)]
    assert [(row.first, row.last, row.count, row.reason) for row in found.dropped] == [
        (hour(3), hour(4), 2, Reason.CALENDAR)
    ]
    assert found.next_fire == hour(5)


def test_excluded_time_between_two_that_run_reaches_up_to_the_second():
    found = settle(owing(Bounds(calendars=closed((2, 4)))), hour(4.5))
    assert [one.nominal for one in found.admitted] == [hour(1), hour(4)]
    assert [(row.first, row.last, row.count) for row in found.dropped] == [(hour(2), hour(3), 2)]


def test_the_very_next_microsecond_after_what_is_settled_is_owed():
    dense = Task(definition(trigger=Interval(Micros(1), START)), TaskState(settled_through=START))
    (row,) = drop_owed(dense, Instant(START + 3), Reason.PAUSED)
    assert (row.first, row.last, row.count) == (START + 1, START + 3, 3)


def test_a_fixed_delay_that_is_due_at_this_very_instant_is_owed():
    trigger = Interval(Micros(10 * SECOND), START, fixed_delay=True)
    due = Task(definition(trigger=trigger), TaskState(next_fire=hour(1), settled_through=START))
    assert [row.first for row in drop_owed(due, hour(1), Reason.PAUSED)] == [hour(1)]
    assert drop_owed(due, Instant(hour(1) - 1), Reason.PAUSED) == ()


def test_admitted_in_time_and_started_late_is_late_by_what_it_waited_for():
    late = Instant(START + LATE_AFTER)
    assert outcome_of_start(START, START, late) == (Outcome.FIRED, None)
    after = Instant(late + 1)
    assert outcome_of_start(START, late, after, Reason.OVERLAP) == (Outcome.LATE, Reason.OVERLAP)
    assert outcome_of_start(START, after, after, Reason.OVERLAP) == (Outcome.LATE, Reason.DOWNTIME)


WAITING = attempts.new_execution("e", "t1", Kind.OCCURRENCE, START, revision=1, nominal=START)


def test_only_an_occurrence_that_never_started_gives_its_count_back():
    assert gives_back(WAITING)
    assert not gives_back(evolve(WAITING, kind=Kind.MANUAL))
    running = attempts.claim(WAITING, 1, "boot", "node", START)
    assert not gives_back(running)
    interrupted = attempts.end(
        running,
        AttemptEnd("t1", "e", 1, State.WAITING, START, START),
        Policies(),
        random=None,  # type: ignore[arg-type]
    )
    assert interrupted.execution.state is State.WAITING
    assert not gives_back(interrupted.execution)


@pytest.mark.parametrize(("still_open", "goes_on"), [(CATCH_UP_SLICE // 2, True), (CATCH_UP_SLICE // 2 + 1, False)])
def test_a_catch_up_goes_on_when_half_of_it_has_ended(still_open: int, goes_on: bool):
    entries = tuple(evolve(WAITING, id=f"e{number:04}") for number in range(still_open))
    task = evolve(owing(Bounds()), open=entries)
    assert go_on_catching_up(task) == (hour(1) if goes_on else None)


def test_of_two_starts_the_newer_counts_and_one_that_is_unknown_does_not():
    early, late = hour(1), hour(2)
    assert newest_start(None, None) is None
    assert newest_start(early, None) == newest_start(None, early) == early
    assert newest_start(early, late) == newest_start(late, early) == late


def test_between_the_densest_slots_none_is_left_without_an_outcome():
    windows = [(Instant(START + 2), Instant(START + 4)), (Instant(START + 6), Instant(START + 8))]
    bounds = Bounds(calendars=(CalendarRule(calendar_of("", "closed", 1, windows=windows)),))
    task = Task(
        definition(trigger=Interval(Micros(1), START), bounds=bounds, policies=Policies(catch_up=CatchUp.ALL)),
        TaskState(next_fire=Instant(START + 1), settled_through=START),
    )
    found = settle(task, Instant(START + 7))
    assert [one.nominal - START for one in found.admitted] == [1, 4, 5]
    assert [(row.first - START, row.last - START, row.count) for row in found.dropped] == [(2, 3, 2), (6, 7, 2)]
    assert found.settled_through == START + 7
