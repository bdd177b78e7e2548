"""The keeper's core: given events, expect directives and a ledger."""

from __future__ import annotations

import pytest

from actors.command_messages import ConfigureTask, DeleteTask, EditTask, PauseTask, RetryTask
from actors.keeper_messages import AttemptsEnded, CreateTasks, Happened, Recover, Reschedule, Start
from actors.model.execution import WaitsFor
from actors.model.lifecycle import Phase, State, Status
from actors.model.policy import CatchUp, OnCrash, Overlap, Policies, Retry
from actors.model.trigger import Bounds, Interval, Once
from runtime.clock import SECOND, Instant, Micros
from runtime.errors import Conflict, InvalidRequest, NotFound, StaleVersion
from runtime.records import evolve

from .keeper_kit import START, Rig, definition

QUEUE = Policies(overlap=Overlap.QUEUE)
ALLOW = Policies(overlap=Overlap.ALLOW)


def kinds(directives: list) -> list[type]:
    return [type(directive) for directive in directives]


@pytest.fixture
def rig() -> Rig:
    rig = Rig()
    rig.create(definition())
    return rig


# -- one task


def test_a_new_task_is_answered_and_scheduled():
    rig = Rig()
    (task,) = rig.create(definition())
    assert task.state.next_fire == START + 10 * SECOND
    assert Reschedule((("t1", Instant(START + 10 * SECOND)),)) in rig.told


def test_a_task_that_never_fires_is_refused():
    rig = Rig()
    past, good = rig.create(definition("p", bounds=Bounds(end=Instant(START - 1))), definition("g"))
    assert isinstance(past, InvalidRequest)
    assert good.id == "g"


def test_a_name_is_taken_once():
    rig = Rig()
    first, second = rig.create(definition("a"), evolve(definition("b"), name="name of a"))
    assert first.id == "a"
    assert isinstance(second, Conflict)


def test_an_id_is_taken_once(rig: Rig):
    assert isinstance(rig.create(definition())[0], Conflict)
    twice = rig.create(definition("x"), definition("x"))
    assert isinstance(twice[1], Conflict)


def test_a_due_task_is_claimed_and_started_in_one_commit(rig: Rig):
    told = rig.settle(after=10)
    assert kinds(told) == [Start, Reschedule, Happened]
    assert told[0].execution.fence == 1
    assert rig.task().state.status is Status.RUNNING
    assert rig.ledger() == [(10, 10, "fired", None)]


def test_a_task_told_too_early_is_only_rescheduled(rig: Rig):
    assert rig.settle(after=9)[0] == Reschedule((("t1", Instant(START + 10 * SECOND)),))
    assert not rig.outcomes()


def test_an_unknown_task_is_forgotten_by_the_timer(rig: Rig):
    assert rig.settle("nobody") == [Reschedule((("nobody", None),))]


def test_an_end_is_recorded_and_gives_its_slot_back(rig: Rig):
    rig.settle(after=10)
    rig.end(result="1")
    assert not rig.unrecorded
    assert rig.task().state.completed == 1
    rig.check_slots()


def test_a_failure_waits_for_its_retry_and_then_runs_again(rig: Rig):
    rig.settle(after=10)
    rig.end(State.FAILED)
    assert rig.task().due == START + 20 * SECOND
    assert rig.task().state.status is Status.SCHEDULED
    rig.now = Instant(START + 70 * SECOND)
    rig.settle()
    assert rig.task().open[0].attempt == 2
    assert rig.task().open[0].fence == 2
    rig.end()
    assert rig.task().state.failure_count == 0


def test_an_exhausted_one_time_task_fails_and_is_retried_by_hand():
    rig = Rig()
    rig.create(definition(trigger=Once(Instant(START + SECOND)), policies=Policies(Retry(max_retries=0))))
    rig.settle(after=1)
    rig.end(State.FAILED)
    assert (rig.task().state.phase, rig.task().state.status) == (Phase.FINISHED, Status.FAILED)
    assert rig.retry(reset=True).state.status is Status.RUNNING
    rig.end()
    assert (rig.task().state.failed, rig.task().state.completed, rig.task().state.failure_count) == (0, 1, 0)


def test_slots_are_taken_in_order_of_priority():
    rig = Rig(slots=1)
    for number, priority in enumerate((5, 9, 1)):
        rig.create(definition(f"t{number}", policies=Policies(priority=priority)))
    rig.settle("t0", "t1", "t2", after=10)
    order = []
    for _ in range(3):
        rig.check_slots()
        order.append(next(iter(rig.running.values())).task_id)
        rig.end()
    assert order == ["t2", "t0", "t1"]
    assert [rig.task(f"t{n}").state.completed for n in range(3)] == [1, 1, 1]


def test_what_waited_too_long_for_a_slot_is_late():
    rig = Rig(slots=1)
    rig.create(definition("a"), definition("b"))
    rig.settle("a", "b", after=10)
    rig.now = Instant(rig.now + 5 * SECOND)
    rig.end()
    assert rig.ledger("b") == [(10, 10, "late", "queue")]


def test_overlap_skips_by_default_and_names_the_blocker(rig: Rig):
    rig.settle(after=10)
    rig.settle(after=10)
    assert rig.ledger()[1] == (20, 20, "skipped", "overlap")
    assert rig.outcomes()[1].execution_id == rig.started[0].id
    assert rig.most == 1


def test_overlap_queue_lets_one_wait():
    rig = Rig()
    rig.create(definition(policies=QUEUE))
    for _ in range(3):
        rig.settle(after=10)
    assert [entry.waits_for for entry in rig.task().open] == [None, WaitsFor.OVERLAP]
    rig.end()
    assert [entry.state for entry in rig.task().open] == [State.RUNNING]
    assert [row[2] for row in rig.ledger()] == ["fired", "late", "skipped"]
    assert rig.most == 1


def test_catch_up_of_all_runs_one_after_another():
    rig = Rig()
    rig.create(definition(policies=Policies(catch_up=CatchUp.ALL, catch_up_limit=3)))
    rig.settle(after=50)
    assert len(rig.running) == 1
    for _ in range(3):
        rig.end()
    assert rig.most == 1
    assert rig.ledger() == [
        (10, 20, "missed", "downtime"),
        (30, 30, "late", "downtime"),
        (40, 40, "late", "downtime"),
        (50, 50, "fired", None),
    ]


def test_a_limit_finishes_the_task():
    rig = Rig()
    rig.create(definition(bounds=Bounds(max_runs=2)))
    for _ in range(4):
        rig.settle(after=10)
        if rig.running:
            rig.end()
    assert (rig.task().state.phase, rig.task().state.runs, len(rig.started)) == (Phase.FINISHED, 2, 2)


def test_a_limit_that_an_edit_lowers_is_not_exceeded():
    rig = Rig()
    rig.create(definition(bounds=Bounds(max_runs=5)))
    for _ in range(3):
        rig.settle(after=10)
        rig.end()
    rig.edit(definition(bounds=Bounds(max_runs=2)))
    rig.settle(after=10)
    assert (rig.task().state.phase, len(rig.started)) == (Phase.FINISHED, 3)
    assert rig.ledger()[-1] == (40, 40, "skipped", "limit")


def test_a_fixed_delay_counts_from_the_end():
    rig = Rig()
    rig.create(definition(trigger=Interval(Micros(10 * SECOND), START, fixed_delay=True)))
    rig.settle(after=10)
    assert rig.task().state.next_fire is None
    rig.now = Instant(rig.now + 3 * SECOND)
    rig.end()
    assert rig.task().state.next_fire == START + 23 * SECOND


def test_a_fixed_delay_never_goes_back_with_the_clock():
    rig = Rig()
    rig.create(definition(trigger=Interval(Micros(10 * SECOND), START, fixed_delay=True)))
    rig.settle(after=10)
    rig.now = Instant(START - 3600 * SECOND)
    rig.end()
    assert rig.task().state.next_fire == START + 20 * SECOND


def test_a_fixed_delay_ends_with_its_bounds():
    rig = Rig()
    trigger = Interval(Micros(10 * SECOND), START, fixed_delay=True)
    rig.create(definition(trigger=trigger, bounds=Bounds(end=Instant(START + 15 * SECOND))))
    rig.settle(after=10)
    rig.end()
    assert rig.task().state.phase is Phase.FINISHED


# -- pause, edit, activate, cancel


def test_paused_time_is_one_row():
    rig = Rig()
    rig.create(definition())
    rig.pause()
    assert (rig.task().state.next_fire, rig.task().state.status) == (None, Status.SCHEDULED)
    rig.now = Instant(START + 35 * SECOND)
    rig.activate()
    assert rig.ledger() == [(10, 30, "skipped", "paused")]
    assert rig.outcomes()[0].count == 3


def test_an_edit_while_paused_settles_the_paused_time_under_the_old_trigger():
    rig = Rig()
    rig.create(definition())
    rig.pause()
    rig.now = Instant(START + 35 * SECOND)
    rig.edit(definition(trigger=Interval(Micros(7 * SECOND), START)))
    rig.now = Instant(START + 43 * SECOND)
    rig.activate()
    assert rig.ledger() == [(10, 30, "skipped", "paused"), (42, 42, "skipped", "paused")]


def test_an_edit_settles_what_the_old_trigger_owed(rig: Rig):
    rig.now = Instant(START + 10 * SECOND)
    rig.edit(definition(trigger=Interval(Micros(3 * SECOND), START)))
    assert rig.ledger() == [(10, 10, "fired", None)]
    assert rig.task().state.next_fire == START + 12 * SECOND
    assert rig.task().state.revision == 2


def test_an_edit_of_an_old_version_is_refused(rig: Rig):
    with pytest.raises(StaleVersion):
        rig.edit(definition(parameters='{"a":1}'), expected=7)
    assert rig.task().definition.parameters == "{}"


def test_an_edit_to_a_taken_name_does_not_lose_what_came_with_it(rig: Rig):
    rig.create(definition("t2"))
    rig.settle(after=10)
    end = rig._end_of(rig.started[0], State.COMPLETED)
    rig._note_end(end)
    edited, paused = rig.reply(), rig.reply()
    clash = evolve(definition(), name="name of t2")
    rig.send(EditTask(clash, None, "me", edited), AttemptsEnded((end,)), PauseTask("t1", None, "me", paused))
    with pytest.raises(Conflict, match="name"):
        edited.result()
    assert paused.result().state.phase is Phase.PAUSED
    assert rig.task().state.completed == 1
    assert not rig.unrecorded
    rig.check_slots()


def test_configuring_changes_only_the_retries(rig: Rig):
    changed = rig.ask(lambda reply: ConfigureTask("t1", 7, 5, "me", reply))
    assert (changed.definition.policies.retry.max_retries, changed.definition.policies.retry.delay) == (7, 5)
    same = rig.ask(lambda reply: ConfigureTask("t1", None, None, "me", reply))
    assert same.definition.policies.retry == changed.definition.policies.retry


def test_nothing_fires_after_a_cancellation_and_what_runs_is_interrupted(rig: Rig):
    rig.settle(after=10)
    task = rig.cancel()
    assert (task.state.phase, task.state.status) == (Phase.CANCELLED, Status.CANCELLED)
    assert [entry.reason for entry in rig.interrupted] == ["cancelled by me"]
    rig.end(State.CANCELLED, reason="cancelled by me")
    assert rig.cancel().state.phase is Phase.CANCELLED
    assert rig.settle(after=100) and len(rig.started) == 1


def test_cancelling_never_starts_what_waits(rig: Rig):
    rig = Rig(slots=1)
    rig.create(definition("busy"), definition(policies=QUEUE))
    rig.settle("busy", after=10)
    rig.settle()
    rig.settle(after=10)
    assert [entry.waits_for for entry in rig.task().open] == [WaitsFor.SLOT, WaitsFor.OVERLAP]
    rig.cancel()
    assert rig.task().open == ()
    assert [row[2:] for row in rig.ledger()] == [("skipped", "cancelled")] * 2
    rig.end()
    assert [entry.task_id for entry in rig.started] == ["busy"]
    rig.check_slots()


@pytest.mark.parametrize("whole_task", [True, False])
@pytest.mark.parametrize("loss", ["keeper", "executor", "node"])
def test_a_cancellation_survives_the_loss_of_its_interruption(whole_task: bool, loss: str):
    rig = Rig()
    rig.create(definition())
    rig.settle(after=10)
    rig.cancel() if whole_task else rig.cancel_execution(rig.started[0].id)
    rig.interrupted.clear()
    if loss == "keeper":
        rig.restart_keeper()
        assert [entry.reason for entry in rig.interrupted] == ["cancelled by me"]
        rig.end(State.WAITING, reason="drain")
    elif loss == "executor":
        rig.restart_executor()
    else:
        rig = Rig(boot="boot-2", store=rig.store, now=rig.now)
        rig.send(Recover(("t1",), frozenset({"boot-2"})))
    (execution,), _ = rig.store.executions("t1", offset=0, limit=10)
    assert (execution.state, execution.cancel_reason) == (State.CANCELLED, "cancelled by me")
    assert not rig.running
    rig.check_slots()


def test_a_cancelled_execution_is_not_tried_again(rig: Rig):
    rig.settle(after=10)
    rig.cancel_execution(rig.started[0].id)
    rig.end(State.FAILED)
    assert rig.task().open == ()
    assert rig.task().state.last_state is State.FAILED
    rig.retry()
    rig.end(State.WAITING, reason="drain")
    assert [entry.state for entry in rig.task().open] == [State.RUNNING]


def test_what_completed_before_its_cancellation_arrived_was_not_cancelled(rig: Rig):
    rig.settle(after=10)
    rig.cancel_execution(rig.started[0].id)
    rig.end(State.COMPLETED)
    (execution,), _ = rig.store.executions("t1", offset=0, limit=10)
    assert (execution.state, execution.cancel_reason) == (State.COMPLETED, None)


def test_cancelling_what_waits_closes_its_outcome_and_gives_its_count_back():
    rig = Rig(slots=0)
    rig.create(definition())
    rig.settle(after=10)
    waiting = rig.task().open[0]
    assert rig.cancel_execution(waiting.id).state is State.CANCELLED
    assert rig.ledger() == [(10, 10, "skipped", "cancelled")]
    assert rig.task().state.runs == 0
    with pytest.raises(Conflict, match="has ended"):
        rig.cancel_execution(waiting.id)


def test_a_deleted_task_is_gone(rig: Rig):
    rig.settle(after=10)
    rig.delete()
    assert rig.store.tasks(["t1"]) == []
    with pytest.raises(NotFound):
        rig.pause()
    rig.end(State.CANCELLED)
    assert not rig.unrecorded
    rig.check_slots()


def test_create_and_delete_in_one_batch_leave_nothing():
    rig = Rig()
    created, deleted, paused = rig.reply(), rig.reply(), rig.reply()
    rig.send(
        CreateTasks((definition(),), "me", created),
        DeleteTask("t1", "me", deleted),
        PauseTask("t1", None, "me", paused),
    )
    assert rig.store.tasks(["t1"]) == []
    assert deleted.result().id == "t1"
    assert created.answered
    with pytest.raises(NotFound):
        paused.result()


@pytest.mark.parametrize("broken", [False, True])
def test_an_end_beside_a_deletion_is_recorded_with_it(rig: Rig, broken: bool):
    rig.settle(after=10)
    end = rig._end_of(rig.started[0], State.COMPLETED)
    rig._note_end(end)
    rig.broken = broken
    rig.send(DeleteTask("t1", "me", rig.reply()), AttemptsEnded((end,)))
    rig.broken = False
    rig.send(rig.own)
    assert not rig.unrecorded
    if broken:
        assert rig.task().state.completed == 1
    rig.check_slots()


# -- by hand


def test_a_run_by_hand_works_when_paused_and_has_no_nominal_time(rig: Rig):
    rig.pause()
    execution = rig.run()
    assert (execution.state, execution.nominal) == (State.RUNNING, None)
    assert rig.outcomes() == []
    with pytest.raises(Conflict, match="overlap is skip"):
        rig.run()


def test_runs_by_hand_queue_where_the_policy_says_so():
    rig = Rig()
    rig.create(definition(policies=QUEUE))
    assert [rig.run().state, rig.run().waits_for] == [State.RUNNING, WaitsFor.OVERLAP]
    with pytest.raises(Conflict):
        rig.run()
    rig.end()
    assert rig.most == 1
    assert len(rig.started) == 2


def test_nothing_by_hand_for_a_cancelled_task(rig: Rig):
    rig.settle(after=10)
    rig.end(State.FAILED, retryable=False)
    rig.cancel()
    for attempt in (rig.run, rig.retry, rig.resume):
        with pytest.raises(Conflict):
            attempt()


def test_a_retry_by_hand_is_of_the_last_execution_as_it_is(rig: Rig):
    with pytest.raises(Conflict, match="no last execution"):
        rig.retry()
    rig.settle(after=10)
    with pytest.raises(Conflict):
        rig.retry()
    rig.end(State.FAILED, retryable=False)
    stale = rig.store.execution(rig.started[0].id).execution
    assert rig.retry().state.status is Status.RUNNING
    rig.end()
    with pytest.raises(Conflict, match="COMPLETED"):
        rig.ask(lambda reply: RetryTask("t1", stale, False, "me", reply))


def hold(rig: Rig) -> Rig:
    """The node dies while the task runs, and comes back."""
    again = Rig(boot=f"{rig.boot}x", store=rig.store, now=rig.now)
    again.send(Recover(("t1",), frozenset({again.boot})))
    return again


def test_a_held_execution_is_resumed_but_never_beside_another():
    rig = Rig()
    rig.create(definition(policies=Policies(on_crash=OnCrash.HOLD)))
    rig.settle(after=10)
    rig = hold(rig)
    assert rig.task().state.status is Status.CRASHED
    rig.settle(after=10)
    with pytest.raises(Conflict, match="cannot resume"):
        rig.resume()
    rig.end()
    assert rig.resume().state.status is Status.RUNNING
    rig.end()
    assert (rig.task().state.completed, rig.task().state.failed, rig.most) == (2, 0, 1)
    with pytest.raises(Conflict, match="only a CRASHED"):
        rig.resume()


def test_an_execution_that_kills_its_process_is_held_as_poison():
    rig = Rig()
    rig.create(definition())
    rig.settle(after=10)
    for _ in range(2):
        rig = hold(rig)
        assert rig.task().state.status is Status.RUNNING
    rig = hold(rig)
    assert rig.task().open[0].failure.type == "Poison"
    assert rig.task().state.status is Status.CRASHED
