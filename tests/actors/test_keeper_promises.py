"""The keeper's core: single promises that one changed line would break."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from actors.keeper_messages import AttemptsEnded, Checkpoint, Recover, Settle
from actors.model.execution import Execution, WaitsFor
from actors.model.lifecycle import Phase, State, Status
from actors.model.policy import OnCrash, Policies, Retry
from actors.model.trigger import Bounds, Interval
from runtime.clock import SECOND, Instant, Micros
from runtime.errors import Conflict

from .keeper_kit import START, Rig, definition

EVERY_SEVEN = Interval(Micros(7 * SECOND), START)


def edit(rig: Rig) -> None:
    rig.edit(definition(trigger=EVERY_SEVEN))


def edit_while_paused(rig: Rig) -> None:
    rig.pause()
    edit(rig)


def activate(rig: Rig) -> None:
    rig.pause()
    rig.activate()


def activate_anew(rig: Rig) -> None:
    rig.cancel()
    rig.activate(trigger=EVERY_SEVEN)


def cancel(rig: Rig) -> None:
    rig.cancel()


@pytest.mark.parametrize("change", [edit, edit_while_paused, activate, activate_anew, cancel])
def test_nothing_is_settled_twice_though_the_clock_goes_back(change: Callable[[Rig], None]):
    rig = Rig()
    rig.create(definition())
    for _ in range(3):
        rig.settle(after=10)
        rig.end()
    settled = rig.task().state.settled_through
    rig.now = Instant(START + 5 * SECOND)
    change(rig)
    state = rig.task().state
    assert state.settled_through >= settled == START + 30 * SECOND
    if state.phase is Phase.PAUSED:
        state = rig.activate().state
    assert state.next_fire is None or state.next_fire > settled


# -- slots


def test_who_comes_beside_a_freed_slot_goes_behind_those_who_wait():
    rig = Rig(slots=1)
    rig.create(definition("first"), definition("waits"), definition("comes"))
    rig.settle("first", after=10)
    rig.settle("waits")
    end = rig._end_of(rig.started[0], State.COMPLETED)
    rig._note_end(end)
    rig.send(AttemptsEnded((end,)), Settle(("comes",)))
    rig.end()
    assert [entry.task_id for entry in rig.started] == ["first", "waits", "comes"]


def test_who_was_claimed_in_a_commit_that_failed_is_not_forgotten():
    rig = Rig(slots=1)
    rig.create(definition("first"), definition("waits"))
    rig.settle("first", after=10)
    rig.settle("waits")
    rig.broken = True
    rig.end()
    assert [entry.task_id for entry in rig.started] == ["first"]
    rig.broken = False
    rig.send(rig.own)
    assert [entry.task_id for entry in rig.started] == ["first", "waits"]
    rig.check_slots()


def test_nothing_is_claimed_between_the_executors_restart_and_its_answer():
    rig = Rig()
    rig.create(definition())
    core = rig.core
    core._claims.lose_sync()
    rig.settle(after=10)
    assert [entry.waits_for for entry in rig.task().open] == [WaitsFor.SLOT]
    rig.restart_executor()
    assert rig.task().state.status is Status.RUNNING


def test_a_recovery_leaves_attempts_of_live_processes_alone():
    rig = Rig()
    rig.create(definition())
    rig.settle(after=10)
    rig.send(Recover(("t1",), frozenset({rig.boot})))
    assert [(entry.state, entry.crashes) for entry in rig.task().open] == [(State.RUNNING, 0)]


# -- retries


def test_a_retry_waits_for_its_instant():
    rig = Rig()
    rig.create(definition(policies=Policies(Retry(max_retries=1, delay=Micros(60 * SECOND)))))
    rig.settle(after=10)
    rig.end(State.FAILED)
    rig.settle(after=59)
    assert [entry.waits_for for entry in rig.task().open] == [WaitsFor.RETRY]
    rig.settle(after=1)
    assert rig.task().state.status is Status.RUNNING


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_an_execution_is_tried_once_and_again_as_often_as_the_policy_says(retries: int):
    rig = Rig()
    policies = Policies(Retry(max_retries=retries, delay=Micros(SECOND)))
    rig.create(definition(trigger=Interval(Micros(3_600 * SECOND), START), policies=policies))
    rig.settle(after=3_600)
    while rig.running:
        rig.end(State.FAILED)
        rig.settle(after=1)
    assert [entry.attempt for entry in rig.started] == list(range(1, retries + 2))
    assert rig.task().state.failed == 1


def test_a_retry_by_hand_is_never_beside_another():
    rig = Rig(slots=1)
    rig.create(definition(policies=Policies(Retry(max_retries=0))), definition("busy"))
    rig.settle(after=10)
    rig.end(State.FAILED)
    rig.settle("busy")
    # It waits for the slot, so the one that failed is still the last that was started.
    rig.run()
    with pytest.raises(Conflict, match="cannot retry"):
        rig.retry()


# -- checkpoints


def with_checkpoint(policies: Policies) -> tuple[Rig, Execution]:
    rig = Rig()
    rig.create(definition(policies=policies))
    rig.settle(after=10)
    execution = rig.started[0]
    rig.ask(lambda reply: Checkpoint("t1", execution.id, execution.fence, "[7]", reply))
    return rig, execution


def died(rig: Rig) -> Rig:
    again = Rig(boot=f"{rig.boot}x", store=rig.store, now=rig.now)
    again.send(Recover(("t1",), frozenset({again.boot})))
    return again


def kept(rig: Rig, execution: Execution) -> tuple[int, str | None]:
    """What the next attempt begins from: the count it was started with, and what is stored."""
    (started,) = [entry for entry in rig.running.values() if entry.id == execution.id]
    assert started.fence > execution.fence
    return started.checkpoints, rig.store.checkpoint(execution.id)


def test_a_checkpoint_outlives_a_crash():
    rig, execution = with_checkpoint(Policies())
    assert kept(died(rig), execution) == (1, "[7]")


def test_a_checkpoint_outlives_a_failure():
    rig, execution = with_checkpoint(Policies(Retry(max_retries=1, delay=Micros(0))))
    rig.end(State.FAILED)
    rig.settle()
    assert kept(rig, execution) == (1, "[7]")


def test_a_checkpoint_outlives_an_interruption():
    rig, execution = with_checkpoint(Policies())
    rig.end(State.WAITING, reason="drain")
    assert kept(rig, execution) == (1, "[7]")


def test_a_checkpoint_outlives_a_time_on_hold():
    rig, execution = with_checkpoint(Policies(on_crash=OnCrash.HOLD))
    rig = died(rig)
    assert not rig.running
    rig.resume()
    assert kept(rig, execution) == (1, "[7]")


def test_a_checkpoint_outlives_a_retry_by_hand():
    rig, execution = with_checkpoint(Policies(Retry(max_retries=0)))
    rig.end(State.FAILED)
    rig.retry()
    assert kept(rig, execution) == (1, "[7]")


def test_a_rerun_begins_from_nothing():
    rig, execution = with_checkpoint(Policies(on_crash=OnCrash.RERUN))
    assert kept(died(rig), execution) == (0, None)


# -- what a restart and an activation begin from


def test_a_retry_that_waits_is_what_is_due_for_whoever_reads_the_store():
    rig = Rig()
    policies = Policies(Retry(max_retries=1, delay=Micros(5 * SECOND)))
    rig.create(definition(trigger=Interval(Micros(3_600 * SECOND), START), policies=policies))
    rig.settle(after=3_600)
    rig.end(State.FAILED)
    retry = Instant(START + 3_605 * SECOND)
    assert rig.store.due(None, retry, 10) == [(retry, "t1")]
    again = Rig(boot="boot-2", store=rig.store, now=retry)
    again.settle()
    assert [entry.attempt for entry in again.started] == [2]


def test_an_activation_counts_the_runs_anew():
    rig = Rig()
    rig.create(definition(bounds=Bounds(max_runs=2)))
    for _ in range(2):
        rig.settle(after=10)
        rig.end()
    assert rig.task().state.phase is Phase.FINISHED
    rig.activate()
    for _ in range(4):
        rig.settle(after=10)
        if rig.running:
            rig.end()
    assert (rig.task().state.phase, len(rig.started)) == (Phase.FINISHED, 4)


def test_a_deletion_interrupts_what_runs():
    rig = Rig()
    rig.create(definition())
    rig.settle(after=10)
    rig.delete()
    (running,) = rig.started
    assert [(entry.execution_id, entry.fence) for entry in rig.interrupted] == [(running.id, running.fence)]
    assert rig.interrupted[0].reason.startswith("cancel")


def test_who_changed_what_is_on_record_and_refused_requests_are_not():
    rig = Rig()
    rig.create(definition())
    rig.pause()
    with pytest.raises(Conflict):
        rig.pause()
    rig.activate()
    rig.delete()
    found = [(audit.actor, audit.action, audit.task_id) for audit in rig.store.audits(offset=0, limit=9)]
    assert found[::-1] == [("me", action, "t1") for action in ("CreateTask", "PauseTask", "ActivateTask", "DeleteTask")]
