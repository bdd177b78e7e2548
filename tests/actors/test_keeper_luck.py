"""The keeper's core: checkpoints, slots, and stores that refuse, fail or have been changed by others."""

from __future__ import annotations

import pytest

from actors.command_messages import CancelTask, PauseTask, RunTask
from actors.keeper_messages import (
    AttemptsEnded,
    Checkpoint,
    InSync,
    Interrupt,
    Logged,
    Own,
    Progress,
    Purge,
    Recorded,
    Recover,
    RequestSync,
    Reschedule,
    Settle,
    SlotsFreed,
    Start,
    StopClaiming,
)
from actors.model.execution import WaitsFor
from actors.model.lifecycle import Phase, State
from actors.model.policy import Overlap, Policies
from actors.model.retention import Retention, Slice, Stage
from actors.store.port import Commit
from runtime.clock import SECOND, Instant
from runtime.errors import Conflict, StaleFence, StoreUnavailable
from runtime.records import evolve

from .keeper_kit import START, Rig, definition
from .sharing_kit import Nodes

QUEUE = Policies(overlap=Overlap.QUEUE)
ALLOW = Policies(overlap=Overlap.ALLOW)


def kinds(directives: list) -> list[type]:
    return [type(directive) for directive in directives]


@pytest.fixture
def rig() -> Rig:
    rig = Rig()
    rig.create(definition())
    return rig


# -- checkpoints and notes


def test_a_checkpoint_is_durable_when_answered_and_counts_for_a_crash(rig: Rig):
    rig.settle(after=10)
    execution = rig.started[0]
    version = rig.task().state.version
    rig.ask(lambda reply: Checkpoint("t1", execution.id, execution.fence, "[1]", reply))
    assert rig.store.checkpoint(execution.id) == "[1]"
    assert rig.task().state.version == version
    assert rig.task().open[0].checkpoints == 1
    with pytest.raises(StaleFence):
        rig.ask(lambda reply: Checkpoint("t1", execution.id, 99, "[2]", reply))
    rig.end()
    assert rig.store.checkpoint(execution.id) is None


def test_a_checkpoint_and_the_end_in_one_batch(rig: Rig):
    rig.settle(after=10)
    execution = rig.started[0]
    end = rig._end_of(execution, State.FAILED, retryable=False)
    rig._note_end(end)
    reply = rig.reply()
    rig.send(Checkpoint("t1", execution.id, execution.fence, "[1]", reply), AttemptsEnded((end,)))
    assert reply.result() is None
    assert rig.store.checkpoint(execution.id) == "[1]"
    assert rig.task().state.last_state is State.FAILED


def test_progress_and_lines_are_written(rig: Rig):
    rig.settle(after=10)
    execution = rig.started[0]
    rig.send(Progress(execution.id, 1, "{}"), Logged(execution.id, 1, ((rig.now, "info", "hello"),)))
    assert rig.store.execution(execution.id).progress == "{}"
    assert [line.text for line in rig.store.logs(execution.id, after=0, limit=9)] == ["hello"]


def test_a_purge_goes_to_the_shell(rig: Rig):
    assert rig.ask(lambda reply: Purge(Slice(Stage.EXECUTIONS, Retention(), rig.now), reply)) == 0


# -- slots


def test_nothing_is_claimed_before_the_executor_has_answered():
    rig = Rig()
    core = rig.core = rig.new_core()
    rig.send(rig.own)
    rig.create(definition())
    rig.settle(after=10)
    assert rig.task().open[0].waits_for is WaitsFor.SLOT
    rig.send(InSync(4, frozenset(), "another request's"))
    assert not rig.running
    rig.send(InSync(4, frozenset(), core.sync_request.token))
    assert len(rig.running) == 1
    rig.check_slots()


def test_what_the_executor_says_at_its_start_is_only_a_reason_to_ask():
    """It may be older than a Start that is on its way."""
    rig = Rig()
    rig.create(definition())
    told = rig.settle(after=10)
    assert Start in kinds(told)
    late_word = InSync(4, frozenset())
    told = rig.send(late_word)
    assert RequestSync in kinds(told)
    assert len(rig.running) == 1
    assert len(rig.started) == 1
    rig.check_slots()


def test_the_request_comes_behind_every_start_of_its_batch(rig: Rig):
    rig.now = Instant(START + 10 * SECOND)
    told = rig.send(Settle(("t1",)), InSync(4, frozenset()))
    assert kinds(told).index(Start) < kinds(told).index(RequestSync)
    assert len(rig.started) == 1
    rig.check_slots()


def test_the_request_comes_behind_every_start_that_is_being_committed(rig: Rig):
    rig.create(definition("t2"))
    rig.now = Instant(rig.now + 10 * SECOND)
    core = rig.core
    first, one = core.decide([Settle(("t1",))], [], rig.now)
    second, other = core.decide([Settle(("t2",)), InSync(4, frozenset())], [], rig.now)
    told, _ = core.committed(first, rig.store.commit(one))
    assert RequestSync not in kinds(told)
    told, _ = core.committed(second, rig.store.commit(other))
    assert kinds(told).index(Start) < kinds(told).index(RequestSync)


def test_what_is_claimed_while_an_answer_is_lost_is_not_taken_for_lost_itself():
    nodes = Nodes(1)
    nodes[0].create(definition("t1"), definition("t2"))
    nodes.advance(10)
    core = nodes[0].core
    first, unanswered = core.decide([Settle(("t1",))], [], nodes[0].now)
    second, commit = core.decide([Settle(("t2",))], [], nodes[0].now)
    nodes.store.commit(unanswered)
    heard = nodes[0].perform(core.failed(first, StoreUnavailable("the answer is lost")))
    directives, _ = core.committed(second, nodes.store.commit(commit))
    nodes[0].send(*heard, *nodes[0].perform(directives))
    # An executor that was asked before it heard of the second start knows nothing of it.
    assert [(one.task_id, one.attempt) for one in nodes[0].started] == [("t2", 1), ("t1", 2)]
    assert len(nodes[0].running) == 2
    nodes[0].check_slots()


def test_a_lost_start_runs_again_at_no_cost(rig: Rig):
    rig.crashed = True
    rig.settle(after=10)
    rig.crashed = False
    assert not rig.running
    rig.restart_keeper()
    (execution,) = rig.running.values()
    assert (execution.attempt, execution.failures, execution.crashes, execution.fence) == (2, 0, 0, 2)
    rig.check_slots()


def test_a_lost_end_is_told_again_after_a_restart(rig: Rig):
    rig.settle(after=10)
    rig.crashed = True
    rig.end()
    rig.crashed = False
    assert rig.unrecorded
    rig.restart_keeper()
    assert not rig.unrecorded
    assert rig.task().state.completed == 1
    rig.check_slots()


def test_an_end_told_twice_counts_once(rig: Rig):
    rig.settle(after=10)
    end = rig._end_of(rig.started[0], State.COMPLETED)
    rig._note_end(end)
    told = rig.send(AttemptsEnded((end,)), AttemptsEnded((evolve(end, counted=True),)))
    assert sum(isinstance(directive, Recorded) for directive in told) == 1
    assert rig.task().state.completed == 1
    rig.check_slots()


def test_an_end_of_another_attempt_is_only_recorded(rig: Rig):
    rig.settle(after=10)
    end = evolve(rig._end_of(rig.started[0], State.COMPLETED), fence=9, counted=True)
    assert Recorded(((end.execution_id, 9),)) in rig.send(AttemptsEnded((end,)))
    assert rig.task().state.completed == 0


def test_an_abandoned_handler_keeps_its_slot_until_it_returns():
    rig = Rig(slots=1)
    rig.create(definition("a"), definition("b"))
    rig.settle("a", "b", after=10)
    rig.end(State.TIMED_OUT, holds_slot=True, retryable=False)
    assert not rig.running
    rig.send(SlotsFreed(1))
    assert [entry.task_id for entry in rig.running.values()] == ["b"]


def test_draining_claims_nothing(rig: Rig):
    rig.send(StopClaiming())
    rig.settle(after=10)
    assert rig.task().open[0].waits_for is WaitsFor.SLOT


def test_the_backlog_in_the_store_is_found_at_the_start():
    rig = Rig(slots=0)
    rig.create(*(definition(f"t{n}") for n in range(3)))
    rig.settle("t0", "t1", "t2", after=10)
    again = Rig(boot="boot-2", store=rig.store, now=rig.now)
    assert len(again.running) == 3
    again.check_slots()


def test_who_waits_is_found_again_though_his_entry_was_dropped(monkeypatch: pytest.MonkeyPatch):
    """Stale entries let the backlog run past the tasks that were read for the batch."""
    rig = Rig(slots=1)
    rig.create(definition("busy"), *(definition(f"t{n}") for n in range(4)))
    rig.settle("busy", "t0", "t1", "t2", "t3", after=10)
    rig.cancel("t0")
    rig.cancel("t1")
    rig.core._tasks.cache.clear()
    for _ in range(3):
        rig.end()
        rig.check_slots()
    assert {entry.task_id for entry in rig.started} == {"busy", "t2", "t3"}


def test_a_full_backlog_leaves_the_rest_to_the_store(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("actors.keeper_claims.BACKLOG_SIZE", 2)
    rig = Rig(slots=1)
    ids = [f"t{n}" for n in range(7)]
    rig.create(*map(definition, ids))
    rig.settle(*ids, after=10)
    for _ in ids:
        rig.end()
        rig.check_slots()
    assert sorted(entry.task_id for entry in rig.started) == ids


def test_the_cache_is_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("actors.keeper_tasks.CACHE_SIZE", 3)
    rig = Rig()
    ids = [f"t{n}" for n in range(9)]
    rig.create(*map(definition, ids))
    assert len(rig.core._tasks.cache) == 3
    rig.settle(*ids, after=10)
    assert len(rig.started) == 4
    for _ in ids:
        rig.end()
    assert len(rig.started) == 9


# -- a store that refuses, fails, or has been changed


def test_another_writer_makes_the_batch_be_decided_again(rig: Rig):
    writes = []

    def meddle(commit: Commit) -> None:
        writes.append(commit)
        if len(writes) <= 2:
            rig.bump()

    rig.before_commit = meddle
    rig.settle(after=10)
    assert len(writes) == 3
    assert len(rig.started) == 1
    assert rig.task().state.note == "another writer"
    rig.check_slots()


@pytest.mark.parametrize(
    "make",
    [
        lambda rig: rig.settle(after=10),
        lambda rig: rig.pause(),
        lambda rig: rig.run(),
        lambda rig: rig.cancel(),
    ],
)
def test_every_message_survives_another_writer(rig: Rig, make):
    once = iter([True])
    rig.before_commit = lambda commit: rig.bump() if next(once, False) else None
    make(rig)
    assert all(reply.answered for reply in rig.replies)
    assert rig.task().state.note in ("another writer", "a note")
    rig.check_slots()


def test_a_recovery_survives_another_writer(rig: Rig):
    rig.settle(after=10)
    rig = Rig(boot="boot-2", store=rig.store, now=rig.now)
    once = iter([True])
    rig.before_commit = lambda commit: rig.bump() if next(once, False) else None
    rig.send(Recover(("t1",), frozenset({"boot-2"})))
    assert rig.task().open[0].attempt == 2
    rig.check_slots()


def test_an_end_and_a_checkpoint_survive_another_writer(rig: Rig):
    rig.settle(after=10)
    execution = rig.started[0]
    end = rig._end_of(execution, State.COMPLETED)
    rig._note_end(end)
    once = iter([True])
    rig.before_commit = lambda commit: rig.bump() if next(once, False) else None
    reply = rig.reply()
    rig.send(Checkpoint("t1", execution.id, 1, "[]", reply), AttemptsEnded((end,)))
    assert rig.task().state.completed == 1
    assert reply.answered
    rig.check_slots()


def test_a_lost_start_is_found_though_the_row_has_changed(rig: Rig):
    rig.crashed = True
    rig.settle(after=10)
    rig.crashed = False
    once = iter([True])
    rig.before_commit = lambda commit: rig.bump() if next(once, False) else None
    rig.restart_keeper()
    assert rig.started[-1].attempt == 2
    rig.check_slots()


def test_a_store_that_cannot_commit_refuses_who_asks_and_keeps_the_ends(rig: Rig):
    rig.create(definition("t2"))
    rig.settle(after=10)
    rig.broken = True
    with pytest.raises(StoreUnavailable):
        rig.pause()
    with pytest.raises(StoreUnavailable):
        rig.create(definition("t3"))
    with pytest.raises(StoreUnavailable):
        rig.ask(lambda reply: Checkpoint("t1", rig.started[0].id, 1, "[]", reply))
    with pytest.raises(StoreUnavailable):
        rig.ask(lambda reply: Purge(Slice(Stage.EXECUTIONS, Retention(), rig.now), reply))
    rig.end()
    rig.settle("t2")
    assert rig.core.has_carried
    assert rig.unrecorded
    rig.check_slots()
    rig.broken = False
    rig.send(rig.own)
    assert not rig.unrecorded
    assert not rig.core.has_carried
    assert rig.task().state.completed == 1
    rig.settle("t2")
    assert rig.started[-1].task_id == "t2"
    rig.check_slots()


def test_a_request_to_the_executor_survives_a_store_that_cannot_commit(rig: Rig):
    rig.now = Instant(START + 10 * SECOND)
    rig.broken = True
    rig.send(Settle(("t1",)), InSync(4, frozenset()))
    rig.broken = False
    rig.settle()
    assert len(rig.running) == 1
    rig.check_slots()


def test_lost_starts_are_found_though_the_store_fails_just_then(rig: Rig):
    rig.crashed = True
    rig.settle(after=10)
    rig.crashed = False
    rig.broken = True
    rig.restart_keeper()
    assert not rig.running
    rig.broken = False
    rig.send(rig.own)
    assert [entry.attempt for entry in rig.running.values()] == [2]
    rig.check_slots()


def test_a_stale_epoch_drops_what_only_the_owner_may_do_and_nothing_else(rig: Rig):
    rig.create(definition("t2"))
    rig.settle(after=10)
    own = rig.raise_epochs()
    rig.end()
    assert rig.task().state.completed == 1
    assert rig.settle("t2")[0] == Reschedule((("t2", None),))
    assert rig.pause().state.phase is Phase.PAUSED
    rig.send(own)
    rig.settle("t2")
    assert rig.started[-1].task_id == "t2"
    rig.check_slots()


def test_tasks_of_foreign_partitions_are_not_settled(rig: Rig):
    rig.send(Own({}))
    assert rig.settle(after=10) == [Reschedule((("t1", None),))]


def test_executions_alive_elsewhere_are_left_alone(rig: Rig):
    rig.settle(after=10)
    rig.send(Recover(("t1", "nobody"), frozenset({"boot-1"})))
    assert rig.task().open[0].state is State.RUNNING
    other = Rig(boot="boot-2", store=rig.store, now=rig.now)
    assert other.task().open[0].boot == "boot-1"


def test_a_batch_of_everything_answers_everybody_once(rig: Rig):
    rig.settle(after=10)
    replies = [rig.reply() for _ in range(5)]
    rig.send(
        PauseTask("t1", None, "me", replies[0]),
        RunTask("t1", None, "rest", None, "me", replies[1]),
        CancelTask("t1", "me", replies[2]),
        CancelTask("t1", "me", replies[3]),
        PauseTask("nobody", None, "me", replies[4]),
    )
    assert all(reply.answered for reply in replies)
    assert len([entry for entry in rig.interrupted if isinstance(entry, Interrupt)]) == 2
    with pytest.raises(Conflict):
        replies[1].result()
