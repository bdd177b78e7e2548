"""Executions that wait, are given up, replaced or let go on; pauses of exhausted tasks; and the reasons that are recorded."""

from __future__ import annotations

import pytest

from actors.keeper_staging import Staged
from actors.model.calendar import CalendarRule, calendar_of
from actors.model.execution import Execution, Kind, WaitsFor
from actors.model.lifecycle import Phase, State
from actors.model.occurrence import Outcome, Reason
from actors.model.policy import CatchUp, OnExhausted, Overlap, Policies, Retry
from actors.model.task import Task, TaskState
from actors.model.trigger import UNBOUNDED, Bounds, Interval, Once, Trigger
from actors.rules.attempts import new_execution
from actors.rules.definition_changes import activate, edit, first_state, recalculate, revive
from runtime.clock import DAY, HOUR, SECOND, Instant, Micros
from runtime.errors import Conflict
from runtime.records import evolve

from .keeper_kit import EVERY_TEN, START, definition
from .progression_kit import Driver

DELAYED = Interval(Micros(10 * SECOND), START, fixed_delay=True)


def at(seconds: float) -> Instant:
    return Instant(START + round(seconds * SECOND))


def driver(trigger: Trigger = EVERY_TEN, bounds: Bounds = UNBOUNDED, *, slots: int = 1_000_000, **policies) -> Driver:
    return Driver(definition("t1", trigger, bounds, Policies(**policies)), START, slots=slots)


def closed(*spans: tuple[float, float]) -> Bounds:
    windows = [(at(begin), at(end)) for begin, end in spans]
    return Bounds(calendars=(CalendarRule(calendar_of("", "closed", 1, windows=windows)),))


def rows(found: Driver) -> list[str]:
    return [
        f"{(row.first - START) // SECOND}-{(row.last - START) // SECOND} x{row.count} {row.outcome} {row.reason}"
        for row in found.rows
    ]


def by_slot(found: Driver) -> dict[int, Execution]:
    return {(one.nominal - START) // SECOND: one for one in found.executions.values() if one.nominal is not None}


# -- ends of waiting


@pytest.mark.parametrize(
    ("waits_for", "reason"),
    [
        (WaitsFor.SLOT, Reason.QUEUE),
        (WaitsFor.QUEUE, Reason.QUEUE),
        (WaitsFor.KEY, Reason.QUEUE),
        (WaitsFor.OVERLAP, Reason.OVERLAP),
        (WaitsFor.NODE, Reason.NO_NODE),
        (WaitsFor.DEPENDENCY, Reason.DEPENDENCY),
        (WaitsFor.GOVERNOR, Reason.TOO_LATE),
    ],
)
def test_who_has_waited_too_long_is_given_up_with_what_it_waited_for(waits_for: WaitsFor, reason: Reason):
    found = driver(bounds=Bounds(max_runs=9), slots=0, max_wait=Micros(5 * SECOND))
    found.settle(at(10))
    waiting = evolve(found.waiting[0], waits_for=waits_for)
    assert (waiting.expires, found.task.due, found.task.state.runs) == (at(15), at(15), 1)
    found.task = evolve(found.task, open=(waiting,))
    found.settle(at(15))
    ended = found.executions[waiting.id]
    assert (ended.state, ended.outcome, ended.reason, ended.expires) == (State.CANCELLED, Outcome.SKIPPED, reason, None)
    assert (ended.cancel_reason or "").startswith(f"{reason}: waited 5 s for {waits_for}")
    assert (found.task.open, found.task.state.runs, found.task.due) == ((), 0, at(20))


def test_a_run_by_hand_is_given_up_too_and_has_no_outcome():
    found = driver(slots=0, max_wait=Micros(5 * SECOND))
    name = found.run(at(1))
    assert name is not None
    found.settle(at(6))
    ended = found.executions[name]
    assert (ended.state, ended.outcome, ended.cancel_reason) == (State.CANCELLED, None, "queue: waited 5 s for slot")


def test_who_has_started_is_not_given_up():
    found = driver(max_wait=Micros(5 * SECOND))
    found.settle(at(10))
    assert (found.running[0].expires, found.task.due) == (None, at(20))


@pytest.mark.parametrize("waits_for", [WaitsFor.NODE, WaitsFor.DEPENDENCY])
def test_what_waits_until_the_next_occurrence(waits_for: WaitsFor):
    found = driver(slots=0)
    found.settle(at(10))
    found.task = evolve(found.task, open=(evolve(found.waiting[0], waits_for=waits_for),))
    found.settle(at(20))
    first, second = by_slot(found)[10], by_slot(found)[20]
    assert (first.outcome, second.state) == (Outcome.SKIPPED, State.WAITING)
    patient = driver(slots=0, max_wait=Micros(60 * SECOND))
    patient.settle(at(10))
    patient.task = evolve(patient.task, open=(evolve(patient.waiting[0], waits_for=waits_for),))
    patient.settle(at(20))
    assert by_slot(patient)[10].state is State.WAITING
    assert rows(patient) == ["20-20 x1 skipped overlap"]


# -- why it was late


@pytest.mark.parametrize(
    ("waited_for", "reason"), [(WaitsFor.OVERLAP, Reason.OVERLAP), (WaitsFor.DEPENDENCY, Reason.DEPENDENCY)]
)
def test_a_late_start_says_what_it_waited_for(waited_for: WaitsFor, reason: Reason):
    found = driver(overlap=Overlap.QUEUE)
    waiting = new_execution("e1", "t1", Kind.OCCURRENCE, at(10), revision=1, nominal=at(10), waits_for=waited_for)
    staged = Staged.of(evolve(found.task, open=(waiting,)), 0)
    found.progression.go_on(staged, waiting, at(13))
    (started,) = staged.executions.values()
    assert (started.state, started.outcome, started.reason) == (State.RUNNING, Outcome.LATE, reason)


# -- replace


def test_the_newest_replaces_what_runs_and_what_waits():
    found = driver(overlap=Overlap.REPLACE, bounds=Bounds(max_runs=3))
    found.settle(at(10))
    found.settle(at(20))
    first, second = by_slot(found)[10], by_slot(found)[20]
    assert first.cancel_reason == f"cancelled: replaced by execution {second.id}"
    assert [one.execution_id for one in found.interrupted] == [first.id]
    assert (second.waits_for, found.task.state.runs) == (WaitsFor.OVERLAP, 2)
    found.settle(at(30))
    third = by_slot(found)[30]
    gone = by_slot(found)[20]
    assert (gone.outcome, gone.reason) == (Outcome.SKIPPED, Reason.OVERLAP)
    assert gone.cancel_reason == f"cancelled: replaced by execution {third.id}"
    assert (found.task.state.runs, found.task.state.phase) == (2, Phase.ACTIVE)
    found.end(first.id, at(31), State.CANCELLED)
    assert (by_slot(found)[30].state, by_slot(found)[30].reason) == (State.RUNNING, None)


def test_a_run_by_hand_replaces_too():
    found = driver(overlap=Overlap.REPLACE)
    found.settle(at(10))
    name = found.run(at(11))
    assert by_slot(found)[10].cancel_reason == f"cancelled: replaced by execution {name}"
    assert found.waiting[0].kind is Kind.MANUAL


def test_a_replaced_fixed_delay_counts_from_the_end_of_the_newest():
    found = driver(DELAYED, overlap=Overlap.REPLACE)
    found.settle(at(10))
    name = found.run(at(11))
    assert name is not None
    found.end(by_slot(found)[10].id, at(12), State.CANCELLED)
    assert found.task.state.next_fire == at(22)


# -- exhausted


@pytest.mark.parametrize("state", [State.FAILED, State.TIMED_OUT])
def test_a_recurring_task_pauses_when_its_retries_are_used_up(state: State):
    found = driver(on_exhausted=OnExhausted.PAUSE, retry=Retry(max_retries=0))
    found.settle(at(10))
    found.end(found.running[0].id, at(11), state)
    after = found.task.state
    assert (after.phase, after.next_fire, after.changed_by) == (Phase.PAUSED, None, "scheduler")
    assert after.note == f"execution e000001 is {state} after 1 failures"
    found.activate(at(35))
    assert rows(found) == ["20-30 x2 skipped paused"]


@pytest.mark.parametrize("case", ["wait", "once", "by hand", "completed"])
def test_what_does_not_pause(case: str):
    trigger = Once(at(10)) if case == "once" else EVERY_TEN
    policy = OnExhausted.WAIT if case == "wait" else OnExhausted.PAUSE
    found = driver(trigger, on_exhausted=policy, retry=Retry(max_retries=0))
    if case == "by hand":
        found.run(at(1))
    else:
        found.settle(at(10))
    found.end(found.running[0].id, at(11), State.COMPLETED if case == "completed" else State.FAILED)
    assert found.task.state.phase is (Phase.FINISHED if case == "once" else Phase.ACTIVE)


# -- finished and revived


def test_a_finished_task_gets_its_count_and_its_next_fire_back():
    found = driver(slots=0, bounds=Bounds(max_runs=1), max_wait=Micros(25 * SECOND))
    found.settle(at(10))
    assert (found.task.state.phase, found.task.state.next_fire) == (Phase.FINISHED, None)
    found.settle(at(35))
    assert (found.task.state.phase, found.task.state.next_fire) == (Phase.ACTIVE, at(40))
    assert rows(found) == ["20-30 x2 skipped limit"]
    delayed = driver(DELAYED, slots=0, bounds=Bounds(max_runs=1), max_wait=Micros(25 * SECOND))
    delayed.settle(at(10))
    delayed.settle(at(35))
    assert (delayed.task.state.phase, delayed.task.state.next_fire) == (Phase.ACTIVE, at(45))
    unlimited = Task(definition(), TaskState(phase=Phase.FINISHED))
    assert revive(unlimited, at(5)) == (unlimited.state, ())


# -- calendars and spread windows


def test_excluded_time_is_a_row_of_its_own_and_does_not_count():
    found = driver(bounds=evolve(closed((15, 35), (55, 75)), max_runs=3), catch_up=CatchUp.LATEST)
    assert found.task.state.next_fire == at(10)
    found.settle(at(10))
    assert found.task.state.next_fire == at(40)
    found.end(found.running[0].id, at(11))
    found.settle(at(85))
    assert rows(found) == [
        "20-30 x2 skipped calendar",
        "40-50 x2 coalesced catch_up",
        "60-70 x2 skipped calendar",
    ]
    assert found.rows[1].execution == by_slot(found)[80].id
    assert found.task.state.runs == 2


def test_paused_time_leaves_excluded_time_apart():
    found = driver(bounds=closed((15, 35)))
    found.pause(at(1))
    found.activate(at(55))
    assert rows(found) == ["10-10 x1 skipped paused", "20-30 x2 skipped calendar", "40-50 x2 skipped paused"]


def test_paused_time_with_many_changes_ends_in_one_row():
    found = driver(bounds=closed(*((n * 20 - 5, n * 20 + 5) for n in range(1, 9))))
    found.pause(at(1))
    found.activate(at(165))
    assert [row.count for row in found.rows] == [1, 1, 1, 1, 12]
    assert [row.reason for row in found.rows[-2:]] == [Reason.CALENDAR, Reason.PAUSED]


def test_a_fixed_delay_passes_over_excluded_time():
    found = driver(DELAYED, bounds=closed((15, 47)))
    found.settle(at(10))
    found.end(found.running[0].id, at(12))
    assert (found.task.state.next_fire, rows(found)) == (at(52), [])


def test_a_place_in_the_spread_window():
    found = driver(bounds=Bounds(spread=Micros(8 * SECOND)))
    place = found.task.due
    assert place is not None
    assert at(10) < place < at(18)
    found.settle(Instant(place - 1))
    assert found.executions == {}
    found.settle(place)
    (run,) = found.running
    assert (run.nominal, run.assigned, run.outcome) == (at(10), place, Outcome.FIRED)


def test_an_edit_runs_what_had_its_place_still_to_come():
    found = driver(bounds=Bounds(spread=Micros(8 * SECOND)))
    found.edit(definition("t1", Interval(Micros(3 * SECOND), START)), at(10))
    assert by_slot(found)[10].state is State.RUNNING
    assert found.task.state.next_fire == at(12)


# -- edits and recalculated times


def test_times_that_have_changed_finish_what_has_none_left():
    def of(trigger: Trigger, **state) -> Task:
        return Task(definition(trigger=trigger), TaskState(settled_through=at(0), **state))

    everything = closed((0, 100_000))
    never = evolve(everything, end=at(50))
    active = of(EVERY_TEN, next_fire=at(10))
    _, state, found = recalculate(active, evolve(active.definition, bounds=never), at(5))
    assert (state.phase, state.next_fire, state.revision, found) == (Phase.FINISHED, None, 2, ())
    same, state, _ = recalculate(active, active.definition, at(5))
    assert (same is active.definition, state.revision, state.next_fire) == (True, 1, at(10))
    delayed = of(DELAYED, next_fire=at(17))
    assert recalculate(delayed, evolve(delayed.definition, bounds=closed((15, 30))), at(5))[1].next_fire == at(37)
    assert recalculate(delayed, evolve(delayed.definition, bounds=never), at(5))[1].phase is Phase.FINISHED
    running = of(DELAYED)
    assert recalculate(running, evolve(running.definition, bounds=never), at(5))[1].phase is Phase.ACTIVE
    ended = of(EVERY_TEN, phase=Phase.FINISHED)
    assert recalculate(ended, ended.definition, at(5))[1] == ended.state
    paused = of(EVERY_TEN, phase=Phase.PAUSED)
    _, state, (row,) = recalculate(paused, evolve(paused.definition, bounds=never), at(25))
    assert (row.count, row.reason, state.settled_through) == (2, Reason.PAUSED, at(25))


def test_an_edit_settles_excluded_time_and_what_a_catch_up_has_left():
    task = Task(definition(bounds=closed((5, 25))), TaskState(settled_through=at(0), next_fire=at(30)))
    _, state, (row,) = edit(task, definition(), None, at(24))
    assert (row.count, row.reason, state.next_fire) == (2, Reason.CALENDAR, at(30))


def test_a_one_time_task_that_a_calendar_has_moved_to_the_past_is_due_at_once():
    day = START // DAY * DAY
    closed_day = calendar_of("", "holidays", 1, windows=[])
    weekday = (START // DAY + 3) % 7
    closed_day = calendar_of("", "holidays", 1, weekdays=[weekday])
    bounds = Bounds(calendars=(CalendarRule(closed_day, shift="previous"),))
    once = definition(trigger=Once(Instant(day + 12 * HOUR)), bounds=bounds)
    state = first_state(once, Instant(day + 13 * HOUR))
    assert state.next_fire == day - 12 * HOUR
    finished = Task(once, TaskState(phase=Phase.FINISHED))
    assert activate(finished, once.trigger, None, Instant(day + 13 * HOUR))[1].next_fire == day - 12 * HOUR
    beyond = evolve(once, bounds=evolve(bounds, end=Instant(day - DAY)))
    with pytest.raises(Conflict, match="settled"):
        activate(evolve(finished, definition=beyond), once.trigger, None, Instant(day + 13 * HOUR))


# -- cases of the reliability programme that are sequences


def test_e52_a_slot_is_of_the_old_revision_or_of_the_new_one():
    for edited in (at(9.999_999), at(10), at(10.000_001)):
        found = driver()
        found.edit(definition("t1", Interval(Micros(5 * SECOND), START)), edited)
        found.settle_fully(at(12))
        assert [one.nominal for one in found.executions.values()] == [at(10)]


def test_e53_a_paused_state_survives_and_the_policy_is_applied_once():
    found = driver(catch_up=CatchUp.LATEST)
    found.pause(at(5))
    found.settle_fully(at(100))
    assert (found.executions, found.rows) == ({}, [])
    found.activate(at(105))
    assert rows(found) == ["10-100 x10 skipped paused"]
    with pytest.raises(Conflict, match="active"):
        found.activate(at(105))
