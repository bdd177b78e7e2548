"""Queues, concurrency keys, abandoned handlers, locks and the scheduler's pause, decided over a store in memory."""

from __future__ import annotations

import pytest

from actors.command_messages import PauseTask
from actors.keeper_messages import (
    AttemptsEnded,
    Counted,
    CreateTasks,
    Recover,
    Release,
    Reschedule,
    SchedulerPaused,
    Settle,
)
from actors.model.execution import WaitsFor
from actors.model.lifecycle import State, Status
from actors.model.occurrence import Outcome, Reason
from actors.model.policy import CatchUp, Concurrency, Overlap, Policies, Retry
from actors.store.port import Commit
from runtime.clock import SECOND, Instant, Micros
from runtime.errors import Conflict, NotFound, StoreUnavailable
from runtime.records import evolve

from .keeper_kit import START, Rig, definition

ALONE = Concurrency("k", 1)


def tasks(rig: Rig, *names: str, **policies: object) -> None:
    rig.create(*(definition(name, policies=Policies(**policies)) for name in names))  # type: ignore[arg-type]


def running(rig: Rig) -> list[str]:
    return [entry.task_id for entry in rig.running.values()]


# -- queues and keys


def test_a_queue_runs_no_more_than_its_limit_and_holds_up_nobody_else() -> None:
    rig = Rig(slots=10, limits={"mail": 2})
    tasks(rig, "m1", "m2", "m3", "m4", queue="mail")
    tasks(rig, "other")
    rig.settle("m1", "m2", "m3", "m4", "other", after=10)
    assert running(rig) == ["m1", "m2", "other"]
    assert rig.task("m3").open[0].waits_for is WaitsFor.QUEUE
    assert rig.task("m3").state.status is Status.WAITING
    rig.end()
    assert running(rig) == ["m2", "other", "m3"]
    (use,) = rig.core.claims.queues.queues()
    assert (use.running, use.waiting) == (2, 1)


def test_a_key_counts_over_tasks_and_queues_and_within_a_tenant() -> None:
    rig = Rig(slots=10)
    tasks(rig, "a", concurrency=ALONE)
    tasks(rig, "b", concurrency=ALONE, queue="q")
    rig.create(definition("c", policies=Policies(concurrency=ALONE), tenant="else"))
    rig.settle("a", "b", "c", after=10)
    assert running(rig) == ["a", "c"]
    assert rig.task("b").open[0].waits_for is WaitsFor.KEY
    assert rig.task("a").open[0].key == "k"
    first, second = rig.core.claims.queues.locks()
    assert (first.tenant, first.limit, [one.task_id for one in first.holders], first.waiting) == ("", 1, ["a"], 1)
    assert (second.tenant, second.waiting) == ("else", 0)
    rig.end()
    assert running(rig) == ["c", "b"]


def test_the_strictest_limit_of_those_present_counts() -> None:
    rig = Rig(slots=10)
    tasks(rig, "wide1", "wide2", "wide3", concurrency=Concurrency("k", 3))
    tasks(rig, "strict", concurrency=Concurrency("k", 1))
    rig.settle("wide1", "wide2", "strict", "wide3", after=10)
    assert running(rig) == ["wide1", "wide2"]
    rig.end()
    assert running(rig) == ["wide2"]
    rig.end()
    assert running(rig) == ["strict"]
    rig.end()
    assert running(rig) == ["wide3"]


def test_an_edit_changes_what_is_waited_for() -> None:
    rig = Rig(slots=10)
    tasks(rig, "a", "b", concurrency=ALONE)
    rig.settle("a", "b", after=10)
    assert running(rig) == ["a"]
    rig.edit(evolve(rig.task("b").definition, policies=Policies(concurrency=Concurrency("other"))))
    assert running(rig) == ["a", "b"]
    assert rig.task("b").open[0].key == "other"


def test_what_is_held_is_known_again_after_every_restart() -> None:
    rig = Rig(slots=10, limits={"mail": 1})
    tasks(rig, "a", "b", concurrency=ALONE)
    tasks(rig, "m1", "m2", queue="mail")
    rig.settle("a", "b", "m1", "m2", after=10)
    rig.restart_keeper()
    assert sorted(running(rig)) == ["a", "m1"]
    rig.end()
    assert sorted(running(rig)) == ["b", "m1"]
    again = Rig(slots=10, limits={"mail": 1}, boot="boot-2", store=rig.store, now=rig.now)
    assert not again.running, "the dead process holds until it is known to be dead"
    again.send(Recover(("b", "m1"), frozenset({"boot-2"})))
    assert sorted(running(again)) == ["b", "m1"]
    again.check_slots()


def test_newcomers_do_not_overtake_those_who_are_in_the_store_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.keeper_claims.BACKLOG_SIZE", 3)
    rig = Rig(slots=1)
    old = [f"t{n}" for n in range(10)]
    rig.create(*map(definition, old))
    rig.settle(*old, after=10)
    for number in range(25):
        rig.create(definition(f"new{number}"))
        rig.run(f"new{number}")
        rig.end()
    order = [entry.task_id for entry in rig.started]
    assert order[:10] == old
    assert order[10:] == [f"new{number}" for number in range(16)]


def test_a_backlog_that_is_blocked_altogether_does_not_hide_what_could_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.keeper_claims.BACKLOG_SIZE", 2)
    rig = Rig(slots=1)
    tasks(rig, *(f"k{n}" for n in range(9)), concurrency=ALONE)
    tasks(rig, "free1", "free2")
    rig.settle(*(f"k{n}" for n in range(9)), "free1", "free2", after=10)
    again = Rig(slots=3, boot="boot-2", store=rig.store, now=rig.now)
    assert sorted(running(again)) == ["free1", "free2"]


def test_who_waits_is_read_when_his_turn_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(slots=1)
    rig.create(*(definition(f"t{n}") for n in range(5)))
    rig.settle(*(f"t{n}" for n in range(5)), after=10)
    for left in (3, 2, 1, 0):
        rig.core._tasks.cache.clear()
        rig.end()
        assert len(rig.core.claims.queues) == left
    rig.delete("t4")
    assert [entry.task_id for entry in rig.started] == ["t0", "t1", "t2", "t3", "t4"]


def test_no_more_recovery_work_than_the_governor_allows() -> None:
    rig = Rig(slots=10, recovering=2)
    names = [f"t{n}" for n in range(5)]
    rig.create(*map(definition, names), definition("live"))
    rig.now = Instant(rig.now + 35 * SECOND - 5 * SECOND)
    rig.settle(*names, after=18)
    assert len(rig.running) == 2
    assert rig.task("t4").open[0].waits_for is WaitsFor.GOVERNOR
    rig.run("live")
    assert "live" in running(rig)
    rig.end()
    assert len(rig.running) == 3


# -- handlers that do not return


def abandoned(rig: Rig, state: State = State.TIMED_OUT, **fields: object) -> None:
    rig.end(state, holds_slot=True, **fields)


def test_an_abandoned_handler_occupies_its_task_until_it_returns() -> None:
    rig = Rig()
    tasks(rig, "t1", overlap=Overlap.SKIP, retry=Retry(max_retries=0))
    rig.settle(after=10)
    abandoned(rig)
    task = rig.task()
    assert (task.open[0].lingers, task.open[0].state) == (True, State.TIMED_OUT)
    assert task.state.status is Status.SCHEDULED
    rig.settle(after=10)
    assert rig.ledger()[-1] == (20.0, 20.0, Outcome.SKIPPED, Reason.OVERLAP)
    assert rig.outcomes()[-1].execution_id == task.open[0].id
    with pytest.raises(Conflict, match="has not returned"):
        rig.run()
    with pytest.raises(Conflict, match="released"):
        rig.cancel_execution(task.open[0].id)
    with pytest.raises(Conflict, match="release it first"):
        rig.retry()
    rig.handler_returns()
    assert rig.task().open == ()
    rig.settle(after=10)
    assert len(rig.running) == 1
    rig.check_slots()


def test_a_retry_waits_for_the_handler_of_the_former_attempt() -> None:
    rig = Rig()
    tasks(rig, "t1", overlap=Overlap.ALLOW, retry=Retry(delay=Micros(SECOND)))
    rig.settle(after=10)
    abandoned(rig)
    rig.settle(after=2)
    assert not rig.running
    assert rig.task().open[0].waits_for is WaitsFor.OVERLAP
    rig.handler_returns()
    assert [entry.attempt for entry in rig.running.values()] == [2]
    rig.check_slots()


def test_an_abandoned_handler_keeps_its_place_in_queue_and_key() -> None:
    rig = Rig(slots=10, limits={"q": 1})
    tasks(rig, "a", "b", queue="q")
    tasks(rig, "c", "d", concurrency=ALONE)
    rig.settle("a", "b", "c", "d", after=10)
    abandoned(rig, State.CANCELLED)
    abandoned(rig, State.CANCELLED)
    assert not rig.running
    rig.restart_keeper()
    assert not rig.running
    (lock,) = rig.core.claims.queues.locks()
    assert [(one.task_id, one.lingers) for one in lock.holders] == [("c", True)]
    rig.handler_returns()
    assert running(rig) == ["b"]
    rig.handler_returns()
    assert running(rig) == ["b", "d"]
    rig.check_slots()


def test_an_operator_releases_an_abandoned_handler() -> None:
    rig = Rig(slots=1)
    tasks(rig, "t1", overlap=Overlap.QUEUE)
    rig.settle(after=10)
    rig.settle(after=10)
    abandoned(rig, State.CANCELLED)
    assert not rig.running
    lingering = rig.task().open[0]
    assert rig.release(lingering.id).lingers is False
    assert any(isinstance(directive, Release) for directive in rig.told)
    assert len(rig.running) == 1
    with pytest.raises(Conflict, match="only an abandoned handler"):
        rig.release(lingering.id)
    rig.check_slots()


def test_a_handler_that_returned_while_the_keeper_was_away_is_not_waited_for() -> None:
    rig = Rig()
    tasks(rig, "t1")
    rig.settle(after=10)
    abandoned(rig, State.CANCELLED)
    rig.abandoned.clear()
    rig.restart_keeper()
    assert rig.task().open == ()
    rig.check_slots()


def test_an_abandoned_handler_ends_with_its_process() -> None:
    rig = Rig()
    tasks(rig, "t1")
    rig.settle(after=10)
    abandoned(rig, State.CANCELLED)
    assert rig.store.orphans(("boot-2",), 10) == ["t1"]
    again = Rig(boot="boot-2", store=rig.store, now=rig.now)
    again.send(Recover(("t1",), frozenset({"boot-2"})))
    assert again.task().open == ()


def test_that_a_handler_returned_outlasts_a_store_that_cannot_commit() -> None:
    rig = Rig()
    tasks(rig, "t1")
    rig.settle(after=10)
    rig.broken = True
    abandoned(rig, State.CANCELLED)
    rig.handler_returns()
    rig.broken = False
    rig.send(rig.own)
    assert rig.task().open == ()
    assert not rig.core.has_carried
    rig.check_slots()


# -- locks


def test_a_lock_is_taken_from_a_phantom() -> None:
    rig = Rig(slots=10)
    tasks(rig, "a", "b", concurrency=ALONE)
    rig.settle("a", "b", after=10)
    (held,) = rig.task("a").open
    with pytest.raises(NotFound):
        rig.release_lock("k", "nobody")
    assert rig.release_lock("k") == (held.id,)
    assert running(rig) == ["a", "b"]
    assert rig.task("a").open[0].key is None
    assert [(audit.action, audit.detail) for audit in rig.store.audits(offset=0, limit=1)] == [("ReleaseLock", "k")]
    rig.restart_keeper()
    (lock,) = rig.core.claims.queues.locks()
    assert [one.task_id for one in lock.holders] == ["b"]


def test_a_lock_that_could_not_be_released_is_held() -> None:
    rig = Rig(slots=10)
    tasks(rig, "a", "b", concurrency=ALONE)
    rig.settle("a", "b", after=10)
    rig.broken = True
    with pytest.raises(StoreUnavailable):
        rig.release_lock("k")
    rig.broken = False
    rig.send(rig.own)
    assert running(rig) == ["a"]
    (lock,) = rig.core.claims.queues.locks()
    assert [one.task_id for one in lock.holders] == ["a"]


def test_who_was_given_a_lock_and_lost_it_in_vain_does_not_hold_it() -> None:
    rig = Rig(slots=10)
    tasks(rig, "t1", concurrency=ALONE, overlap=Overlap.QUEUE, catch_up=CatchUp.ALL)
    rig.settle("t1", after=20)
    rig.broken = True
    rig.end()
    with pytest.raises(StoreUnavailable):
        rig.release_lock("k")
    rig.broken = False
    rig.send(rig.own)
    assert running(rig) == ["t1"]


# -- the whole scheduler's pause


def test_while_the_scheduler_is_paused_nothing_begins_and_what_runs_goes_on() -> None:
    rig = Rig()
    tasks(rig, "t1", "t2", catch_up=CatchUp.SKIP)
    rig.settle(after=10)
    pause = rig.pause_scheduler("maintenance")
    assert (pause.actor, pause.note, pause.since) == ("me", "maintenance", rig.now)
    assert rig.pause_scheduler("again") == pause
    assert rig.store.scheduler_pause() == pause
    told = rig.settle("t1", "t2", after=25)
    assert Reschedule((("t1", None), ("t2", None))) in told
    assert SchedulerPaused(True) in told
    assert rig.run("t2").state is State.WAITING
    rig.end()
    assert rig.task().state.completed == 1
    assert not rig.running
    rig.restart_keeper()
    rig.settle("t1", "t2")
    assert not rig.running
    rig.resume_scheduler()
    assert rig.store.scheduler_pause() is None
    assert running(rig) == ["t2"]
    rig.settle("t1", after=1)
    assert rig.ledger()[1:] == [(20.0, 30.0, Outcome.MISSED, Reason.PAUSED)]


def test_what_the_pause_delayed_says_so() -> None:
    rig = Rig()
    tasks(rig, "t1")
    rig.pause_scheduler()
    rig.settle(after=35)
    rig.resume_scheduler()
    rig.settle()
    assert rig.ledger() == [
        (10.0, 20.0, Outcome.COALESCED, Reason.CATCH_UP),
        (30.0, 30.0, Outcome.LATE, Reason.PAUSED),
    ]


def test_a_pause_that_was_not_committed_is_none() -> None:
    rig = Rig()
    tasks(rig, "t1")
    rig.broken = True
    with pytest.raises(StoreUnavailable):
        rig.pause_scheduler()
    rig.broken = False
    rig.settle(after=10)
    assert len(rig.running) == 1
    rig.resume_scheduler()


# -- the rest


def test_a_count_of_the_janitor_is_written() -> None:
    rig = Rig()
    seen: list[Commit] = []
    rig.before_commit = seen.append
    rig.send(Counted("t1", Instant(START), 7))
    assert [(one.task_id, one.first, one.count) for one in seen[-1].counts] == [("t1", START, 7)]


def test_tasks_are_made_though_the_epoch_is_raised_at_that_moment() -> None:
    rig = Rig()
    tasks(rig, "t1")
    rig.raise_epochs()
    rig.now = Instant(rig.now + 10 * SECOND)
    reply = rig.reply()
    rig.send(Settle(("t1",)), CreateTasks((definition("t2"), definition("t2")), "me", reply))
    made, refused = reply.result()
    assert made.id == "t2"
    assert isinstance(refused, Conflict)
    assert rig.task("t2").definition.id == "t2"


def test_what_waits_while_its_own_row_is_being_committed_has_its_turn_next() -> None:
    """A claim ends at a task whose commit is under way, and goes on with the next batch."""
    rig = Rig(slots=1)
    rig.create(definition("t1", policies=Policies(overlap=Overlap.ALLOW)))
    rig.settle(after=10)
    rig.settle(after=10)
    assert len(rig.running) == 1
    core = rig.core
    pause = PauseTask("t1", None, "me", rig.reply())
    core.needs([pause])
    plan, commit = core.decide([pause], [], rig.now)
    end = rig._end_of(rig.started[0], State.COMPLETED)
    core.claims.slots += 1
    core.claims.from_backlog(core._tasks.stage, core._in_flight, frozenset(), rig.now)
    assert core.wants_turn
    core.claims.slots -= 1
    rig.perform(core.committed(plan, rig.store.commit(commit))[0])
    rig._note_end(end)
    rig.send(AttemptsEnded((end,)))
    assert len(rig.started) == 2
    rig.check_slots()
