"""Edges of the model's own rules: what is due, what is open, and the words of states."""

from __future__ import annotations

import pytest

from actors.model.document import decode_definition, encode_definition
from actors.model.execution import WaitsFor
from actors.model.lifecycle import EXECUTION_TRANSITIONS, FAILED_STATES, OPEN_STATES, TASK_TRANSITIONS, State
from actors.model.policy import Overlap, Policies, Retry
from actors.model.task import Task, TaskState, assigned
from actors.model.trigger import Bounds, CalendarInterval, Cron, Interval, Once, Trigger, Union
from runtime.clock import SECOND, Instant, Micros
from runtime.records import evolve

from .records import definition, running

SPREAD = Bounds(spread=Micros(60 * SECOND))


def test_a_task_with_a_place_in_a_spread_window_is_due_there_if_it_fires_at_all():
    spread = definition(bounds=SPREAD)
    place = assigned(spread, Instant(1000))
    assert 1000 < place < 1000 + 60 * SECOND
    assert Task(spread, TaskState(next_fire=Instant(1000))).due == place
    assert Task(spread, TaskState(next_fire=None)).due is None
    assert Task(definition(), TaskState(next_fire=Instant(1000))).due == 1000


def test_a_task_is_due_when_the_first_of_its_executions_waits_no_longer():
    waiting = evolve(running(), state=State.WAITING, waits_for=WaitsFor.RETRY, due=Instant(700), expires=Instant(900))
    for fire in (None, Instant(800), Instant(1000)):
        assert Task(definition(), TaskState(next_fire=fire), (waiting,)).due == 700
    assert Task(definition(), TaskState(next_fire=None), (evolve(waiting, due=None),)).due == 900
    assert Task(definition(), TaskState(next_fire=Instant(600)), (waiting,)).due == 600


def test_who_lingers_is_open_though_its_attempt_has_ended():
    ended = running(state=State.TIMED_OUT)
    assert not ended.is_open
    assert evolve(ended, lingers=True).is_open
    assert [running(state=state).is_open for state in (State.WAITING, State.RUNNING, State.CRASHED)] == [
        True,
        True,
        False,
    ]


MONTHLY = CalendarInterval(1, "month", 738_000, Micros(9 * SECOND), "Europe/Berlin", missing="last_day")


@pytest.mark.parametrize(
    "trigger",
    [Once(Instant(7)), Interval(SECOND, Instant(0)), Cron("* * * * *"), MONTHLY, Union((MONTHLY, Once(Instant(7))))],
    ids=lambda trigger: type(trigger).__name__,
)
@pytest.mark.parametrize("policies", [Policies(), Policies(overlap=Overlap.ALLOW), Policies(Retry(max_retries=9))])
def test_a_definition_of_every_kind_comes_back_from_its_document(trigger: Trigger, policies: Policies):
    made = definition(trigger=trigger, policies=policies)
    assert decode_definition(encode_definition(made), None) == made


def test_the_life_cycles_are_these_and_no_others():
    assert {f"{phase} {change}: {after}" for (phase, change), after in TASK_TRANSITIONS.items()} == {
        "active edit: active",
        "active pause: paused",
        "active finish: finished",
        "active cancel: cancelled",
        "paused edit: paused",
        "paused activate: active",
        "paused cancel: cancelled",
        "finished edit: finished",
        "finished activate: active",
        "finished cancel: cancelled",
        "cancelled activate: active",
    }
    assert {f"{state} {event}: {after}" for (state, event), after in EXECUTION_TRANSITIONS.items()} == {
        "WAITING claim: RUNNING",
        "WAITING cancel: CANCELLED",
        "WAITING lose the node of: CRASHED",
        "RUNNING complete: COMPLETED",
        "RUNNING fail: FAILED",
        "RUNNING time out: TIMED_OUT",
        "RUNNING cancel: CANCELLED",
        "RUNNING crash: CRASHED",
        "RUNNING interrupt: WAITING",
        "FAILED retry: WAITING",
        "TIMED_OUT retry: WAITING",
        "CRASHED retry: WAITING",
        "CRASHED resume: WAITING",
        "CRASHED cancel: CANCELLED",
    }
    assert ({State.WAITING, State.RUNNING}, {State.FAILED, State.TIMED_OUT}) == (OPEN_STATES, FAILED_STATES)
