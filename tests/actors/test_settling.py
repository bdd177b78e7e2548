"""Settling: every combination of catch-up, overlap, lateness and limit on small grids against a naive reference."""

from __future__ import annotations

from itertools import product

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.model.execution import Execution, Kind, WaitsFor
from actors.model.lifecycle import State
from actors.model.occurrence import Outcome, Reason, Settled
from actors.model.policy import CatchUp, Overlap, Policies
from actors.model.task import Task, TaskState
from actors.model.trigger import UNBOUNDED, Bounds, Cron, Interval, Once, Trigger
from actors.rules.attempts import new_execution
from actors.rules.settling import Settlement, after_delay, drop_owed, outcome_of_start, settle
from actors.when import triggers
from runtime.clock import DAY, MILLISECOND, MINUTE, SECOND, Instant, Micros
from runtime.records import evolve

from .keeper_kit import START, definition

EVERY = Micros(10 * SECOND)


def execution(number: int, state: State = State.RUNNING, waits_for: WaitsFor | None = None) -> Execution:
    fresh = new_execution(f"e{number}", "t1", Kind.OCCURRENCE, Instant(START), revision=1)
    return evolve(fresh, state=state, waits_for=waits_for)


def task_of(
    trigger: Trigger,
    *,
    settled: int = 0,
    bounds: Bounds = UNBOUNDED,
    policies: Policies | None = None,
    runs: int = 0,
    opened: tuple[Execution, ...] = (),
) -> Task:
    """`settled`: microseconds after START through which all is settled."""
    through = Instant(START + settled)
    first = triggers.next_after(trigger, bounds, through)
    state = TaskState(next_fire=first, settled_through=through, runs=runs)
    return Task(definition(trigger=trigger, bounds=bounds, policies=policies or Policies()), state, opened)


def grid(every: int = EVERY, *, fixed_delay: bool = False) -> Interval:
    return Interval(Micros(every), START, fixed_delay)


def at(seconds: float) -> Instant:
    return Instant(round(START + seconds * SECOND))


def admitted(settlement: Settlement) -> list[tuple[float, WaitsFor | None]]:
    return [((entry.nominal - START) / SECOND, entry.waits_for) for entry in settlement.admitted]


def rows(settlement: Settlement) -> list[tuple[float, float, int | None, str, str]]:
    return [
        ((row.first - START) / SECOND, (row.last - START) / SECOND, row.count, row.outcome.value, row.reason.value)
        for row in settlement.dropped
    ]


# -- examples


def test_one_slot_that_is_due_runs():
    found = settle(task_of(grid()), at(10))
    assert admitted(found) == [(10, None)]
    assert (found.dropped, found.settled_through, found.next_fire, found.finished) == ((), at(10), at(20), False)


def test_nothing_may_be_settled_before_it_is_due():
    with pytest.raises(AssertionError, match="owes nothing"):
        settle(task_of(grid()), at(9))


def test_once_in_the_past_runs_and_finishes():
    found = settle(task_of(Once(at(1))), at(500))
    assert admitted(found) == [(1, None)]
    assert (found.next_fire, found.finished) == (None, True)


def test_once_beyond_its_lateness_limit_is_too_late():
    found = settle(task_of(Once(at(1)), policies=Policies(lateness_limit=SECOND)), at(500))
    assert rows(found) == [(1, 1, 1, "skipped", "too_late")]
    assert found.finished


@pytest.mark.parametrize(
    ("catch_up", "ran", "dropped"),
    [
        (CatchUp.LATEST, [(50, None)], [(10, 40, 4, "coalesced", "catch_up")]),
        (CatchUp.EARLIEST, [(10, None)], [(20, 50, 4, "coalesced", "catch_up")]),
        (CatchUp.SKIP, [], [(10, 50, 5, "missed", "downtime")]),
        (CatchUp.ALL, [(40, None), (50, WaitsFor.OVERLAP)], [(10, 30, 3, "missed", "downtime")]),
    ],
)
def test_catch_up_after_a_downtime(catch_up: CatchUp, ran: list, dropped: list):
    found = settle(task_of(grid(), policies=Policies(catch_up=catch_up, catch_up_limit=2)), at(55))
    assert admitted(found) == ran
    assert rows(found) == dropped
    assert (found.settled_through, found.next_fire) == (at(50), at(60))


def test_catch_up_skip_runs_the_newest_if_it_is_on_time():
    found = settle(task_of(grid(), policies=Policies(catch_up=CatchUp.SKIP)), at(51))
    assert admitted(found) == [(50, None)]
    assert rows(found) == [(10, 40, 4, "missed", "downtime")]


def test_the_earliest_that_reaches_the_limit_settles_what_it_stands_for():
    """A clock that goes back after an activation must not settle these slots again."""
    limited = task_of(grid(), policies=Policies(catch_up=CatchUp.EARLIEST), bounds=Bounds(max_runs=1))
    found = settle(limited, at(55))
    assert found.finished
    assert found.settled_through == at(50)


def test_a_skipped_slot_names_its_blocker_and_does_not_count_against_the_limit():
    blocked = task_of(grid(), bounds=Bounds(max_runs=3), runs=2, opened=(execution(1),))
    found = settle(blocked, at(10))
    assert found.dropped[0].execution == "e1"
    assert not found.finished


def test_a_held_execution_blocks_nobody():
    assert admitted(settle(task_of(grid(), opened=(execution(1, State.CRASHED),)), at(10))) == [(10, None)]


def test_the_end_finishes_the_series():
    found = settle(task_of(grid(), bounds=Bounds(end=at(15))), at(10))
    assert (found.next_fire, found.finished) == (None, True)


def test_a_fixed_delay_owes_one_slot_and_waits_for_the_end():
    found = settle(task_of(grid(fixed_delay=True)), at(1000))
    assert admitted(found) == [(10, None)]
    assert (found.next_fire, found.settled_through, found.finished) == (None, at(10), False)


def test_a_fixed_delay_that_is_blocked_tries_again_after_the_delay():
    found = settle(task_of(grid(fixed_delay=True), opened=(execution(1),)), at(12))
    assert rows(found) == [(10, 10, 1, "skipped", "overlap")]
    assert (found.next_fire, found.finished) == (at(22), False)


def test_a_fixed_delay_beyond_its_end_finishes():
    last = task_of(grid(fixed_delay=True), bounds=Bounds(end=at(15)), opened=(execution(1),))
    found = settle(last, at(12))
    assert (found.next_fire, found.finished) == (None, True)
    assert after_delay(last, at(5)) == at(15)
    assert after_delay(last, at(6)) is None


def test_a_fixed_delay_is_after_what_is_settled():
    assert after_delay(task_of(grid(fixed_delay=True), settled=100 * SECOND), at(3)) == at(110)


def test_what_is_owed_is_dropped_as_one_row():
    (row,) = drop_owed(task_of(grid()), at(35), Reason.PAUSED)
    assert row == Settled("t1", at(10), at(30), 3, Outcome.SKIPPED, Reason.PAUSED, at(35), 1)
    assert drop_owed(task_of(grid()), at(9), Reason.PAUSED) == ()
    fixed = task_of(grid(fixed_delay=True))
    assert [row.count for row in drop_owed(fixed, at(35), Reason.CANCELLED)] == [1]
    assert drop_owed(fixed, at(9), Reason.CANCELLED) == ()


@pytest.mark.parametrize(
    ("created", "started", "expected"),
    [
        (0, 1, (Outcome.FIRED, None)),
        (0, 1.000001, (Outcome.LATE, Reason.QUEUE)),
        (2, 3, (Outcome.LATE, Reason.DOWNTIME)),
    ],
)
def test_the_outcome_of_a_start(created: float, started: float, expected: tuple):
    assert outcome_of_start(START, at(created), at(started)) == expected


# -- many slots


@pytest.mark.parametrize("catch_up", CatchUp)
@pytest.mark.parametrize(
    ("trigger", "missed"),
    [
        (grid(10 * MILLISECOND), 100_000),
        (Cron("* * * * *"), 69 * 1440),
        (Cron("*/15 * * * *", "Europe/Berlin"), 4 * 24 * 365),
    ],
    ids=["interval", "cron", "zone"],
)
def test_a_hundred_thousand_missed_slots_take_a_bounded_number_of_steps(
    catch_up: CatchUp, trigger: Trigger, missed: int, monkeypatch: pytest.MonkeyPatch
):
    steps = 0
    evaluate = triggers._evaluate

    def counted(*arguments):
        nonlocal steps
        steps += 1
        return evaluate(*arguments)

    monkeypatch.setattr(triggers, "_evaluate", counted)
    span = {"* * * * *": MINUTE, "*/15 * * * *": 15 * MINUTE}.get(getattr(trigger, "expression", ""), 10 * MILLISECOND)
    found = settle(task_of(trigger, policies=Policies(catch_up=catch_up)), Instant(START + missed * span))
    assert steps < 12_000
    assert found.settled_through == START + missed * span
    assert len(found.admitted) <= 100


@given(st.integers(1, 3000), st.sampled_from(["* * * * *", "*/20 * * * *"]))
def test_ranges_are_counted_rightly(slots: int, expression: str):
    span = MINUTE if expression == "* * * * *" else 20 * MINUTE
    found = settle(task_of(Cron(expression)), Instant(START + slots * span))
    for row in found.dropped:
        assert row.count == slots - 1


# -- the naive reference


@attrs.frozen
class Expected:
    outcomes: dict[int, tuple[str, object]]
    finished: bool


def reference(task: Task, slots: list[int], now: int) -> Expected:
    """Slot by slot, as the page on semantics says it."""
    policies, limit = task.definition.policies, task.definition.bounds.max_runs
    outcomes: dict[int, tuple[str, object]] = {}

    def late(slot: int) -> bool:
        return policies.lateness_limit is not None and now - slot > policies.lateness_limit

    in_time = [slot for slot in slots if not late(slot)]
    candidates: list[int] = []
    match policies.catch_up:
        case CatchUp.LATEST:
            candidates = [slot for slot in slots[-1:] if not late(slot)]
            why = ("coalesced", Reason.CATCH_UP) if candidates else ("skipped", Reason.TOO_LATE)
            outcomes.update((slot, why) for slot in slots)
        case CatchUp.EARLIEST:
            candidates = in_time[:1]
            outcomes.update((slot, ("skipped", Reason.TOO_LATE)) for slot in slots if late(slot))
            outcomes.update((slot, ("coalesced", Reason.CATCH_UP)) for slot in in_time)
        case CatchUp.SKIP:
            most = SECOND if policies.lateness_limit is None else policies.lateness_limit
            candidates = [slot for slot in slots[-1:] if now - slot <= most]
            outcomes.update((slot, ("missed", Reason.DOWNTIME)) for slot in slots)
        case CatchUp.ALL:
            newest = slots[-policies.catch_up_limit :]
            candidates = [slot for slot in newest if not late(slot)]
            outcomes.update((slot, ("skipped", Reason.TOO_LATE)) for slot in newest)
            outcomes.update((slot, ("missed", Reason.DOWNTIME)) for slot in slots if slot not in newest)
    for slot in candidates:
        del outcomes[slot]
    runs = task.state.runs
    busy = any(entry.is_open for entry in task.open)
    queued = sum(entry.waits_for is WaitsFor.OVERLAP for entry in task.open)
    caught = False
    for slot in candidates:
        if limit is not None and runs >= limit:
            outcomes[slot] = ("skipped", Reason.LIMIT)
            return Expected(outcomes, True)
        waiting = policies.catch_up is CatchUp.ALL and (caught or now - slot > SECOND)
        room = {Overlap.QUEUE: 1, Overlap.QUEUE_ALL: policies.overlap_limit}.get(policies.overlap, 0)
        if policies.overlap is Overlap.ALLOW or not busy:
            outcomes[slot] = ("run", None)
        elif waiting or queued < room:
            outcomes[slot] = ("run", WaitsFor.OVERLAP)
            queued += 1
        elif policies.overlap is Overlap.REPLACE:
            # Those that wait have gone; what runs is waited for.
            runs -= sum(entry.state is State.WAITING and entry.first_started_at is None for entry in task.open)
            running = any(entry.state is State.RUNNING for entry in task.open)
            outcomes[slot] = ("run", WaitsFor.OVERLAP if running else None)
        else:
            outcomes[slot] = ("skipped", Reason.OVERLAP)
            continue
        runs, busy, caught = runs + 1, True, True
        if limit is not None and runs >= limit:
            return Expected(outcomes, True)
    return Expected(outcomes, False)


def expand(settlement: Settlement) -> list[tuple[int, tuple[str, object]]]:
    found = [(entry.nominal, ("run", entry.waits_for)) for entry in settlement.admitted]
    for row in settlement.dropped:
        times = range(row.first, row.last + 1, EVERY)
        assert len(times) == row.count
        found.extend((time, (row.outcome.value, row.reason)) for time in times)
    return sorted(found, key=lambda entry: entry[0])


OPEN = [
    (),
    (execution(1),),
    (execution(1, State.WAITING, WaitsFor.RETRY),),
    (execution(1), execution(2, State.WAITING, WaitsFor.OVERLAP)),
    (execution(1, State.CRASHED),),
]


@pytest.mark.parametrize("catch_up", CatchUp)
@pytest.mark.parametrize("overlap", Overlap)
def test_every_combination_equals_the_reference(catch_up: CatchUp, overlap: Overlap):
    nows = (10, 10.5, 19, 20, 21.5, 30, 30.5, 49, 50)
    limits: list[tuple[int | None, int]] = [(None, 0), (1, 0), (2, 0), (3, 2), (3, 3)]
    for now, opened, lateness, (limit, runs), most in product(
        nows, OPEN, (None, 0, SECOND, 15 * SECOND), limits, (1, 2, 9)
    ):
        policies = Policies(
            overlap=overlap,
            overlap_limit=2,
            catch_up=catch_up,
            catch_up_limit=most,
            lateness_limit=None if lateness is None else Micros(lateness),
        )
        task = task_of(grid(), bounds=Bounds(max_runs=limit), policies=policies, runs=runs, opened=opened)
        slots = [at(n) for n in range(10, int(now) + 1, 10)]
        found, expected = settle(task, at(now)), reference(task, slots, at(now))
        shown = (now, opened, lateness, limit, runs, most)
        assert expand(found) == sorted(expected.outcomes.items()), shown
        assert found.finished is expected.finished, shown
        assert found.settled_through == max(expected.outcomes), shown
        assert found.next_fire == (None if expected.finished else slots[-1] + EVERY), shown


@given(
    st.integers(1, 5),
    st.integers(0, 60),
    st.sampled_from(CatchUp),
    st.integers(1, 4),
    st.lists(st.integers(0, 40), min_size=1, max_size=6),
)
def test_however_it_is_split_each_slot_is_settled_once(
    every: int, end: int, catch_up: CatchUp, most: int, steps: list[int]
):
    """Settling again and again at later and later instants covers every slot exactly once."""
    trigger, bounds = grid(every * SECOND), Bounds(end=at(end + every))
    task = task_of(trigger, bounds=bounds, policies=Policies(catch_up=catch_up, catch_up_limit=most))
    covered: list[int] = []
    now = 0
    for step in steps:
        now += step
        if task.state.next_fire is None or task.state.next_fire > at(now):
            continue
        found = settle(task, at(now))
        covered.extend(entry.nominal for entry in found.admitted)
        for row in found.dropped:
            times = range(row.first, row.last + 1, every * SECOND)
            assert len(times) == row.count
            covered.extend(times)
        state = evolve(task.state, next_fire=found.next_fire, settled_through=found.settled_through)
        task = evolve(task, state=state)
    last = (task.state.settled_through - START) // SECOND
    assert sorted(covered) == [at(n) for n in range(every, last + 1, every)]


def test_the_newest_slots_of_years_of_a_rare_cron():
    rare = task_of(Cron("0 0 29 2 *"), policies=Policies(catch_up=CatchUp.ALL))
    found = settle(rare, Instant(START + 9 * 366 * DAY))
    assert len(found.admitted) == 2
    assert found.dropped == ()
