"""Creating, editing, pausing, activating and cancelling, function by function."""

from __future__ import annotations

import pytest

from actors.model.lifecycle import Phase
from actors.model.occurrence import Outcome, Reason
from actors.model.task import Task, TaskState
from actors.model.trigger import Bounds, Interval, Once
from actors.rules.definition_changes import activate, cancel_definition, configure, edit, first_state, pause
from runtime.clock import SECOND, Instant, Micros
from runtime.errors import Conflict, InvalidRequest, StaleVersion
from runtime.records import evolve

from .keeper_kit import EVERY_TEN, START, definition


def at(seconds: float) -> Instant:
    return Instant(START + round(seconds * SECOND))


def task(phase: Phase = Phase.ACTIVE, settled: float = 0, trigger=EVERY_TEN, **state) -> Task:
    fire = at((settled // 10 + 1) * 10) if phase is Phase.ACTIVE else None
    return Task(
        definition(trigger=trigger), TaskState(phase=phase, settled_through=at(settled), next_fire=fire, **state)
    )


FASTER = Interval(Micros(3 * SECOND), START)


def test_a_new_task_begins_now():
    assert first_state(definition(), at(4)) == TaskState(next_fire=at(10), settled_through=at(4))


def test_a_one_time_task_in_the_past_is_due_at_once():
    assert first_state(definition(trigger=Once(at(1))), at(9)).next_fire == at(1)
    assert first_state(definition(trigger=Once(at(20))), at(9)) == TaskState(next_fire=at(20), settled_through=at(9))


def test_a_task_that_never_fires_is_refused():
    with pytest.raises(InvalidRequest, match="never fires"):
        first_state(definition(bounds=Bounds(end=at(3))), at(9))


def test_an_edit_of_other_fields_leaves_the_times_alone():
    changed, state, rows = edit(task(settled=7), definition(parameters='{"a":1}'), 1, at(9))
    assert (changed.parameters, state.settled_through, state.revision, rows) == ('{"a":1}', at(7), 2, ())


def test_a_new_trigger_begins_after_now_and_after_what_is_settled():
    assert edit(task(), definition(trigger=FASTER), None, at(7))[1].next_fire == at(9)
    ahead = edit(task(settled=50), definition(trigger=FASTER), None, at(7))[1]
    assert (ahead.next_fire, ahead.settled_through) == (at(51), at(50))


def test_an_edit_of_a_paused_task_closes_the_paused_time():
    _, state, (row,) = edit(task(Phase.PAUSED), definition(trigger=FASTER), None, at(25))
    assert (state.next_fire, state.settled_through) == (None, at(25))
    assert (row.first, row.last, row.count, row.reason) == (at(10), at(20), 2, Reason.PAUSED)
    assert edit(task(Phase.PAUSED), definition(trigger=FASTER), None, at(5))[2] == ()


def test_edits_that_are_refused():
    with pytest.raises(StaleVersion, match="version 1"):
        edit(task(), definition(), 4, at(0))
    with pytest.raises(Conflict, match="cancelled"):
        edit(task(Phase.CANCELLED), definition(), None, at(0))
    with pytest.raises(Conflict, match="no nominal time"):
        edit(task(), definition(trigger=Once(at(1))), None, at(5))


def test_an_edit_of_a_finished_task_fires_nothing():
    assert edit(task(Phase.FINISHED), definition(trigger=FASTER), None, at(5))[1].next_fire is None


def test_retry_numbers():
    assert configure(definition(), 9, None).policies.retry.max_retries == 9
    assert configure(definition(), None, 8).policies.retry.delay == 8


def test_a_pause_keeps_its_note():
    state = pause(task(), "holidays", "me")
    assert (state.phase, state.next_fire, state.note, state.changed_by) == (Phase.PAUSED, None, "holidays", "me")
    with pytest.raises(Conflict):
        pause(task(Phase.PAUSED), None, "me")


def test_activation_after_a_pause():
    changed, state, (row,) = activate(task(Phase.PAUSED, note="n", runs=4), None, None, at(35))
    assert changed is not None
    assert (state.phase, state.next_fire, state.runs, state.note, state.revision) == (Phase.ACTIVE, at(40), 0, None, 1)
    assert (row.first, row.last, row.outcome) == (at(10), at(30), Outcome.SKIPPED)


def test_activation_with_another_trigger_is_a_revision():
    _, state, rows = activate(task(Phase.CANCELLED, settled=5), FASTER, None, at(7))
    assert (state.next_fire, state.revision, rows) == (at(9), 2, ())
    _, bounded, _ = activate(task(Phase.FINISHED), None, Bounds(max_runs=1), at(7))
    assert bounded.revision == 2


def test_activation_once_just_past_is_due_at_once():
    assert activate(task(Phase.FINISHED), Once(at(3)), None, at(7))[1].next_fire == at(3)


def test_no_slot_of_the_paused_time_comes_again_by_activation_once():
    with pytest.raises(Conflict, match="settled"):
        activate(task(Phase.PAUSED), Once(at(10)), None, at(12))


def test_activations_that_are_refused():
    with pytest.raises(Conflict, match="active"):
        activate(task(), None, None, at(0))
    with pytest.raises(Conflict, match="with a trigger"):
        activate(task(Phase.CANCELLED), None, None, at(0))
    with pytest.raises(Conflict, match=r"every nominal time of .once, at"):
        activate(task(Phase.FINISHED, settled=5, trigger=Once(at(5))), None, None, at(9))


@pytest.mark.parametrize(
    ("phase", "reason"), [(Phase.ACTIVE, Reason.CANCELLED), (Phase.PAUSED, Reason.PAUSED), (Phase.FINISHED, None)]
)
def test_cancelling_settles_what_is_owed(phase: Phase, reason: Reason | None):
    state, rows = cancel_definition(task(phase), "me", at(25))
    assert (state.phase, state.next_fire, state.settled_through) == (Phase.CANCELLED, None, at(25))
    assert [row.reason for row in rows] == ([] if reason is None else [reason])


def test_a_clock_that_went_back_moves_nothing_back():
    state, rows = cancel_definition(task(settled=50), "me", at(7))
    assert (state.settled_through, rows) == (at(50), ())
    _, active, _ = activate(evolve(task(Phase.PAUSED, settled=50)), None, None, at(7))
    assert (active.settled_through, active.next_fire) == (at(50), at(60))
