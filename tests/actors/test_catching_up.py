"""Recovery after a downtime: how fast, in which pieces, and with exact counts."""

from __future__ import annotations

from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.model.execution import Kind, WaitsFor
from actors.model.lifecycle import State
from actors.model.occurrence import Outcome
from actors.model.policy import CatchUp, Overlap, Policies
from actors.model.task import Definition
from actors.model.trigger import Bounds, Cron, Interval, Trigger
from actors.rules.catching_up import RECOVERY_AFTER, Governor, is_recovered
from runtime.clock import SECOND, Instant, Micros
from runtime.errors import InvalidRequest
from runtime.records import evolve

from .keeper_kit import EVERY_TEN, START, definition
from .progression_kit import FAST, Driver
from .test_settling_machine import definitions, ledger_of, with_place

SECONDLY = Interval(Micros(SECOND), START)


def at(seconds: float) -> Instant:
    return Instant(START + round(seconds * SECOND))


def driver(
    policies: Policies, trigger: Trigger = EVERY_TEN, bounds: Bounds | None = None, rate: float = FAST
) -> Driver:
    return Driver(definition("t1", trigger, bounds or Bounds(), policies), START, rate=rate)


# -- the governor


@given(st.integers(1, 500), st.integers(1, 20), st.lists(st.integers(0, 3 * SECOND), max_size=60))
def test_no_more_than_a_burst_and_the_rate(rate: int, burst: int, pauses: list[int]):
    governor, now, granted = Governor(rate, burst), int(START), []
    for pause in pauses:
        now += pause
        turn = governor.grant(Instant(now))
        assert turn >= now
        granted.append(turn)
    assert granted == sorted(granted)
    for first in range(len(granted)):
        for more in range(burst, len(granted) - first):
            assert granted[first + more] - granted[first] >= (more - burst + 1) * governor.interval


def test_the_first_ones_go_at_once():
    governor = Governor(10, 3)
    assert [governor.grant(START) - START for _ in range(5)] == [0, 0, 0, 100_000, 200_000]
    assert governor.grant(at(60)) == at(60)


def test_a_new_life_goes_on_behind_what_was_granted():
    governor = Governor(10, 3)
    governor.behind(at(30))
    assert [governor.grant(START) - START for _ in range(2)] == [30_100_000, 30_200_000]
    assert Governor(10, 3, at(5)).grant(at(60)) == at(60)


def test_a_clock_that_goes_back_takes_the_budget_along():
    governor = Governor(10, 1)
    governor.grant(at(3600))
    governor.grant(at(3600))
    assert governor.grant(at(0)) == at(0.2)


def test_what_is_recovered():
    found = driver(Policies())
    found.settle(at(10 + RECOVERY_AFTER / SECOND))
    assert not is_recovered(evolve(found.running[0], first_started_at=None))
    found = driver(Policies())
    found.settle(Instant(at(10) + RECOVERY_AFTER + 1))
    (late,) = found.running
    assert not is_recovered(late)
    assert is_recovered(evolve(late, first_started_at=None))
    assert not is_recovered(evolve(late, first_started_at=None, kind=Kind.MANUAL))
    assert not is_recovered(evolve(late, first_started_at=None, assigned=late.created_at))
    assert not is_recovered(evolve(late, first_started_at=None, nominal=None))


def test_recovered_executions_take_turns():
    policies = Policies(catch_up=CatchUp.ALL, overlap=Overlap.ALLOW)
    found = driver(policies, SECONDLY, rate=2)
    found.settle(at(14))
    assert len(found.running) == 8  # six are late by five seconds at the most, two are the burst
    assert [(entry.waits_for, entry.due) for entry in found.waiting] == [
        (WaitsFor.GOVERNOR, at(14 + turn / 2)) for turn in range(1, 7)
    ]
    found.settle(at(15))
    assert [entry.due for entry in found.waiting] == [at(15.5 + turn / 2) for turn in range(4)]
    assert {entry.outcome for entry in found.running} == {Outcome.LATE, Outcome.FIRED}


def test_what_runs_one_after_another_asks_for_its_turn_when_it_comes():
    found = driver(Policies(catch_up=CatchUp.ALL), EVERY_TEN, rate=0.1)
    found.settle(at(55))
    assert [entry.waits_for for entry in found.waiting] == [WaitsFor.OVERLAP] * 4
    found.end(found.running[0].id, at(56))
    found.end(found.running[0].id, at(56))
    assert (found.running, found.waiting[0].due) == ([], at(65))
    found.settle(at(65))
    assert found.running[0].nominal == at(30)


def test_catch_up_keeps_its_own_spacing():
    found = driver(Policies(catch_up=CatchUp.ALL, catch_up_spacing=Micros(30 * SECOND)), EVERY_TEN)
    found.settle(at(39))
    assert found.running[0].nominal == at(10)
    found.end(found.running[0].id, at(41))
    assert [entry.due for entry in found.waiting] == [at(69), None]
    found = driver(
        Policies(catch_up=CatchUp.ALL, catch_up_spacing=Micros(30 * SECOND), overlap=Overlap.ALLOW), EVERY_TEN
    )
    found.settle(at(39))
    assert [entry.due for entry in found.waiting] == [at(69), at(99)]


def test_with_latest_who_waits_for_his_turn_is_overtaken_by_the_next_occurrence():
    found = driver(Policies(), EVERY_TEN, rate=0.01)
    for _ in range(2):
        found.progression.governor.grant(at(16))
    found.settle(at(16))
    assert found.waiting[0].waits_for is WaitsFor.GOVERNOR
    found.settle(at(20))
    (gone,) = (entry for entry in found.executions.values() if entry.state is State.CANCELLED)
    assert (gone.nominal, gone.outcome, gone.reason) == (at(10), Outcome.SKIPPED, "too_late")
    assert found.running[0].nominal == at(20)


# -- exact counts


@pytest.mark.parametrize("missed", [0, 1, 99, 100, 101, 100_000])
@pytest.mark.parametrize("catch_up", CatchUp)
@pytest.mark.parametrize("trigger", [SECONDLY, Cron("* * * * * *")], ids=["interval", "cron"])
def test_however_many_are_missed_the_counts_are_exact(missed: int, catch_up: CatchUp, trigger: Trigger):
    found = driver(Policies(catch_up=catch_up, overlap=Overlap.QUEUE), trigger)
    now = at(missed + 0.5)
    found.settle_fully(now)
    while found.running:
        found.end(found.running[0].id, now)
        found.settle_fully(now)
    ran = {CatchUp.ALL: min(missed, 100)}.get(catch_up, min(missed, 1))
    assert sum(entry.first_started_at is not None for entry in found.executions.values()) == ran
    assert sum(row.count or 0 for row in found.rows) == missed - ran
    assert len(found.rows) == (missed > ran)
    assert found.task.state.settled_through == at(missed)
    assert found.task.open == ()


def test_a_long_catch_up_comes_in_pieces_and_drops_nothing_it_promised():
    found = driver(
        Policies(catch_up=CatchUp.ALL, catch_up_limit=1_000, lateness_limit=Micros(2_000 * SECOND)), SECONDLY
    )
    found.settle_fully(at(5_000))
    assert (len(found.task.open), found.task.state.next_fire) == (100, None)
    assert found.task.state.catching_up == at(5_000)
    now, most = 5_000, 0
    while found.task.state.catching_up == at(5_000):
        now += 10
        found.end(found.running[0].id, at(now))
        found.settle_fully(at(now))
        most = max(most, len(found.task.open))
    ran = sorted(entry.nominal or 0 for entry in found.executions.values())
    assert ran[:1_000] == [at(second) for second in range(4_001, 5_001)]
    assert most <= 100
    assert (found.rows[0].count, found.rows[0].outcome, found.rows[0].last) == (4_000, Outcome.MISSED, at(4_000))


def test_a_pause_an_edit_and_a_cancellation_end_a_catch_up():
    policies = Policies(catch_up=CatchUp.ALL, catch_up_limit=1_000)
    for change, outcome in (("pause", "skipped paused"), ("edit", "missed downtime"), ("cancel", "skipped cancelled")):
        found = driver(policies, SECONDLY)
        found.settle_fully(at(500))
        if change == "edit":
            found.edit(definition("t1", EVERY_TEN, policies=policies), at(500))
        else:
            getattr(found, change)(at(500))
        if change == "pause":
            found.activate(at(500))
        assert found.task.state.catching_up is None
        assert [(row.count, f"{row.outcome} {row.reason}") for row in found.rows] == [(400, outcome)]


def test_a_catch_up_goes_on_under_a_calendar_that_has_changed():
    policies = Policies(catch_up=CatchUp.ALL, catch_up_limit=1_000)
    found = driver(policies, SECONDLY)
    found.settle_fully(at(150))
    found.recalculate(evolve(found.task.definition, bounds=Bounds(end=at(1000))), at(150))
    assert (found.task.state.catching_up, found.task.state.next_fire) == (at(150), None)
    while found.running:
        found.end(found.running[0].id, at(150))
        found.settle_fully(at(150))
    assert found.task.state.settled_through == at(150)
    assert found.rows == []


@given(
    definitions,
    st.lists(st.tuples(st.sampled_from([1, 2, 7, 30, 90]), st.integers(0, 3)), min_size=1, max_size=12),
    st.integers(1, 3),
)
@settings(max_examples=60, deadline=None)
def test_in_small_pieces_it_comes_to_the_same(first: Definition, script: list[tuple[int, int]], steps: int):
    """Settlements cut into pieces of a few rows give the ledger that whole ones give."""
    first = with_place(first)
    if first.policies.overlap is Overlap.REPLACE or first.bounds.max_runs is not None:
        first = evolve(
            first, policies=evolve(first.policies, overlap=Overlap.QUEUE), bounds=evolve(first.bounds, max_runs=None)
        )
    try:
        whole, pieces = Driver(first, START), Driver(first, START)
    except InvalidRequest:
        return  # It never fires.
    now = 0
    for by, ends in script:
        now += by
        with patch("actors.rules.ledger.MAX_STEPS", 1_000):
            whole.settle_fully(at(now))
        with patch("actors.rules.ledger.MAX_STEPS", steps):
            pieces.settle_fully(at(now))
        for _ in range(ends):
            for one in (whole, pieces):
                if one.running:
                    one.end(one.running[0].id, at(now))
    assert ledger_of(pieces) == ledger_of(whole)
