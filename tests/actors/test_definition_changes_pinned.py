"""Edges of changed definitions: what is settled through, what a catch-up leaves, what a limit with room again does."""

from __future__ import annotations

from datetime import date

import pytest

from actors.model.calendar import CalendarRule, calendar_of
from actors.model.lifecycle import Phase
from actors.model.occurrence import Outcome, Reason
from actors.model.task import Task, TaskState, assigned
from actors.model.trigger import Bounds, Interval, Once
from actors.rules.definition_changes import activate, cancel_definition, edit, first_state, pause, recalculate, revive
from actors.when.moves import FARTHEST_MOVE
from runtime.clock import DAY, SECOND, Instant, Micros
from runtime.records import evolve

from .keeper_kit import START, definition
from .test_definition_changes import FASTER, at, task

CATCHING_UP = {"catching_up": at(30)}


def test_a_one_time_task_in_the_past_has_everything_before_it_settled():
    assert first_state(definition(trigger=Once(at(1))), at(9)).settled_through == at(1) - 1


def days_before(count: int) -> Bounds:
    """Bounds that move a one-time task at the start back by `count` days: those in between are excluded."""
    last = date(2026, 1, 1).toordinal()
    closed = calendar_of("", "c", 1, days=[(last + 1 - count, last)])
    return Bounds(calendars=(CalendarRule(closed, shift="previous"),))


@pytest.mark.parametrize("count", [1, FARTHEST_MOVE])
def test_a_one_time_task_that_calendars_move_back_is_due_where_they_put_it(count: int):
    moved = definition(trigger=Once(START), bounds=days_before(count))
    state = first_state(moved, at(9))
    assert state.next_fire == START - count * DAY
    assert state.settled_through == START - count * DAY - 1


def test_an_edit_to_other_times_settles_up_to_now_and_ends_a_catch_up():
    owing = task(settled=0, **CATCHING_UP)
    _, state, rows = edit(owing, definition(trigger=FASTER), None, at(25))
    assert (state.settled_through, state.next_fire, state.catching_up, state.phase) == (
        at(25),
        at(27),
        None,
        Phase.ACTIVE,
    )
    assert [(row.count, row.outcome, row.reason) for row in rows] == [(2, Outcome.MISSED, Reason.DOWNTIME)]


def spread(phase: Phase = Phase.ACTIVE, **state) -> Task:
    """A task with a place in a spread window, and what is owed up to 29 seconds on its own clock."""
    wide = definition(bounds=Bounds(spread=Micros(60 * SECOND)))
    fire = at(10) if phase is Phase.ACTIVE else None
    return Task(wide, TaskState(phase=phase, settled_through=at(0), next_fire=fire, **state))


PLACE = assigned(spread().definition, Instant(0))


@pytest.mark.parametrize("phase", [Phase.ACTIVE, Phase.PAUSED])
def test_slots_whose_place_is_still_to_come_stay_owed_when_times_change(phase: Phase):
    assert 10 * SECOND < PLACE
    one = spread(phase)
    now = Instant(at(29) + PLACE)
    _, state, rows = recalculate(one, evolve(one.definition, parameters='{"a":1}'), now)
    assert (state.settled_through, state.revision, sum(row.count for row in rows)) == (at(29), 2, 2)
    assert state.next_fire == (at(30) if phase is Phase.ACTIVE else None)


def test_times_that_change_during_a_catch_up_leave_its_promise():
    behind = task(settled=5, **CATCHING_UP)
    faster = evolve(behind.definition, trigger=FASTER)
    changed, state, rows = recalculate(behind, faster, at(25))
    assert (changed, rows) == (faster, ())
    assert (state.next_fire, state.settled_through, state.catching_up) == (at(6), at(5), at(30))
    parked = evolve(behind, state=evolve(behind.state, next_fire=None))
    assert recalculate(parked, faster, at(25))[1].next_fire is None


def test_times_that_change_for_a_task_that_waits_for_nothing_settle_what_is_over():
    _, state, rows = recalculate(task(settled=5), evolve(definition(), trigger=FASTER), at(25))
    assert (state.settled_through, state.next_fire) == (at(25), at(27))
    assert [(row.first, row.last) for row in rows] == [(at(10), at(20))]


def test_a_pause_and_a_cancellation_end_a_catch_up():
    assert pause(task(**CATCHING_UP), None, "me").catching_up is None
    state, _ = cancel_definition(task(**CATCHING_UP), "me", at(5))
    assert (state.catching_up, state.changed_by) == (None, "me")


def test_activation_begins_a_new_count_under_the_bounds_it_was_given():
    bounds = Bounds(max_runs=7)
    before = task(Phase.FINISHED, runs=9, note="n", changed_by="you")
    changed, state, _ = activate(before, None, bounds, at(7))
    assert (changed.bounds, changed.trigger) == (bounds, before.definition.trigger)
    assert state == evolve(
        before.state,
        phase=Phase.ACTIVE,
        revision=2,
        next_fire=at(10),
        settled_through=at(7),
        runs=0,
        note=None,
        changed_by=None,
    )
    triggered, _, _ = activate(task(Phase.CANCELLED), FASTER, None, at(7))
    assert (triggered.trigger, triggered.bounds) == (FASTER, before.definition.bounds)


def finished(runs: int, **bounds) -> Task:
    return Task(definition(bounds=Bounds(**bounds)), TaskState(phase=Phase.FINISHED, settled_through=at(20), runs=runs))


def test_a_count_given_back_revives_a_finished_task_while_there_are_slots():
    state, rows = revive(finished(1, max_runs=2), at(35))
    assert (state.phase, state.next_fire, state.settled_through) == (Phase.ACTIVE, at(40), at(35))
    assert [(row.first, row.count, row.reason) for row in rows] == [(at(30), 1, Reason.LIMIT)]


@pytest.mark.parametrize(
    "one",
    [finished(2, max_runs=2), finished(1, max_runs=2, end=at(30)), finished(0)],
    ids=["full", "over", "unlimited"],
)
def test_who_has_no_count_or_no_slot_left_stays_finished(one: Task):
    assert revive(one, at(35)) == (one.state, ())


def test_a_fixed_delay_is_revived_a_delay_from_now():
    delayed = Task(
        definition(trigger=Interval(Micros(10 * SECOND), START, fixed_delay=True), bounds=Bounds(max_runs=2)),
        TaskState(phase=Phase.FINISHED, settled_through=at(20), runs=1),
    )
    state, rows = revive(delayed, at(33))
    assert (state.next_fire, rows) == (at(43), ())
