"""A whole lane in virtual time: what its actors do when a commit is slow, refused or cut off, and when one of them crashes."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Any

import pytest
import trio

import actors.timer_core
from actors.command_messages import PauseTask, RunTask
from actors.executor_messages import Drain
from actors.keeper_messages import AttemptEnd, AttemptsEnded, CreateTasks, Happened, Purge, Settle, StopClaiming
from actors.keeper_slices import slices, weight
from actors.model.lifecycle import Phase, State
from actors.model.policy import Overlap, Policies
from actors.model.retention import Purged, Retention, Slice, Stage
from actors.model.trigger import Interval, Once
from runtime.clock import SECOND, Instant, Micros
from runtime.errors import ActorCrashed, ActorStopped, StoreUnavailable
from runtime.mailbox import Reply, ask

from .keeper_kit import START, Rig, definition
from .lane_kit import FaultyStore, Running, SlowWorld, running_lane, times

EVERY_SECOND = Interval(Micros(SECOND), START)
FAR_AWAY = Interval(Micros(3_600 * SECOND), START)


async def nothing(ctx: Any) -> None:
    pass


async def two_seconds(ctx: Any) -> None:
    await trio.sleep(2)


def run_now(task_id: str = "t1") -> Any:
    return lambda reply: RunTask(task_id, None, "rest", None, "me", reply)


def unavailable() -> StoreUnavailable:
    return StoreUnavailable("not now")


def lateness(running: Running, task_id: str = "t1") -> list[float]:
    """How late each occurrence started, seconds."""
    return [
        (one.first_started_at - one.nominal) / SECOND
        for one in running.executions(task_id)
        if one.first_started_at is not None and one.nominal is not None
    ]


async def test_what_is_due_starts_at_its_instant(autojump_clock: trio.testing.MockClock) -> None:
    async with running_lane(nothing) as running:
        await running.create(definition(trigger=EVERY_SECOND))
        await trio.sleep(20.5)
        assert [row.outcome for row in running.outcomes()] == ["fired"] * 20
        assert max(lateness(running)) < 0.01
        assert running.lane.keeper.completed == 20
        heard = [message for message in await running.herald.receive(1_000) if isinstance(message, Happened)]
        watched = [one for message in heard for one in message.executions]
        assert sum(one.state is State.COMPLETED for one in watched) == 20


async def test_nobody_is_answered_before_the_commit(autojump_clock: trio.testing.MockClock) -> None:
    async with running_lane(nothing, world=SlowWorld(writer=1.0)) as running:
        began = trio.current_time()
        await running.create(definition(trigger=FAR_AWAY))
        assert running.store.tasks(["t1"])
        assert trio.current_time() - began >= 1.0


async def test_who_asks_while_the_store_cannot_commit_is_told(autojump_clock: trio.testing.MockClock) -> None:
    async with running_lane(nothing) as running:
        running.store.faults["commit"] = times(1, unavailable)
        with pytest.raises(StoreUnavailable):
            await running.create(definition(trigger=FAR_AWAY))
        assert running.lane.keeper.trouble == "not now"
        await running.create(definition(trigger=FAR_AWAY))
        assert running.lane.keeper.trouble is None
        assert not running.crashes


async def test_an_end_that_could_not_be_committed_is_written_later(autojump_clock: trio.testing.MockClock) -> None:
    async with running_lane(two_seconds) as running:
        await running.create(definition(trigger=FAR_AWAY))
        await running.command(run_now())
        running.store.faults["commit"] = times(5, unavailable)
        await trio.sleep(10)
        assert [one.state for one in running.executions()] == [State.COMPLETED]


async def test_a_store_that_cannot_be_read_at_the_start_holds_up_nothing_for_ever(
    autojump_clock: trio.testing.MockClock,
) -> None:
    store = FaultyStore()
    former = Rig(store=store)
    former.create(definition(trigger=EVERY_SECOND))
    fault = times(3, unavailable)
    # The keeper's question, which the coordinator's differs from by naming who lives.
    store.faults["orphans"] = lambda live, limit: fault() if live == () else None
    async with running_lane(nothing, store=store) as running:
        await trio.sleep(10.5)
        assert len(lateness(running)) > 5
        assert not running.crashes


async def test_who_asks_about_what_cannot_be_read_is_told(autojump_clock: trio.testing.MockClock) -> None:
    store = FaultyStore()
    Rig(store=store).create(definition(trigger=FAR_AWAY))
    async with running_lane(nothing, store=store) as running:
        await trio.sleep(1)
        store.faults["tasks"] = times(1, unavailable)
        with pytest.raises(StoreUnavailable):
            await running.command(run_now())
        assert (await running.command(run_now())).state is State.RUNNING


@pytest.mark.parametrize("failpoint", ["keeper.committing", "keeper.committed"])
async def test_who_waits_for_a_commit_that_a_crash_cuts_off_is_told(
    failpoint: str, autojump_clock: trio.testing.MockClock
) -> None:
    async with running_lane(nothing) as running:
        await running.create(definition(trigger=FAR_AWAY))
        await trio.sleep(1)
        running.crash_at(failpoint)
        began = trio.current_time()
        with pytest.raises((ActorCrashed, ActorStopped)):
            await running.command(run_now())
        assert trio.current_time() - began < 1
        await trio.sleep(1)
        assert running.crashes == ["test keeper"]


async def test_who_waits_for_a_commit_of_a_former_batch_is_told_of_the_crash(
    autojump_clock: trio.testing.MockClock,
) -> None:
    store = FaultyStore()
    Rig(store=store).create(definition("t1", trigger=FAR_AWAY), definition("t2", trigger=FAR_AWAY))
    async with running_lane(nothing, store=store, world=SlowWorld(reads=0.1, writer=1.0)) as running:
        await trio.sleep(10)
        running.crash_at("keeper.committing")
        replies: list[Reply[Any]] = [Reply(), Reply()]
        await running.lane.keeper.mailbox.tell(run_now("t1")(replies[0]))
        await trio.sleep(0.05)
        # The first is decided when its task was read, and its commit is not waited for, since another one has come.
        await running.lane.keeper.mailbox.tell(run_now("t2")(replies[1]))
        with pytest.raises((ActorCrashed, ActorStopped)):
            await replies[0].wait(10)
        # The crash may find this one still in the mailbox, which outlives it.
        with suppress(ActorCrashed, ActorStopped):
            await replies[1].wait(10)


async def test_a_keeper_that_crashed_goes_on_for_its_partitions(autojump_clock: trio.testing.MockClock) -> None:
    async with running_lane(nothing) as running:
        await running.create(definition(trigger=EVERY_SECOND))
        for _ in range(3):
            await trio.sleep(20)
            await running.crash_at().wait()
        await trio.sleep(20)
        late = lateness(running)
        assert running.crashes == ["test keeper"] * 3
        # A crash loses what was told to the timer and the executor; the timer tells it again after five seconds.
        assert max(late) < 10
        assert late[-5:] == pytest.approx([0] * 5, abs=0.01)
        assert sum(row.count or 1 for row in running.outcomes()) >= 78
        assert {one.state for one in running.executions()[:-1]} == {State.COMPLETED}


async def test_what_waits_in_the_store_is_found_after_a_crash(autojump_clock: trio.testing.MockClock) -> None:
    async with running_lane(two_seconds, slots=1) as running:
        names = [f"t{number}" for number in range(5)]
        await running.create(*(definition(name, trigger=FAR_AWAY) for name in names))
        async with trio.open_nursery() as nursery:
            for name in names:
                nursery.start_soon(running.command, run_now(name))
        await running.crash_at().wait()
        await trio.sleep(30)
        assert [one.state for name in names for one in running.executions(name)] == [State.COMPLETED] * 5


async def test_a_draining_keeper_that_crashed_still_claims_nothing(autojump_clock: trio.testing.MockClock) -> None:
    async with running_lane(nothing) as running:
        await running.create(definition(trigger=FAR_AWAY))
        await running.lane.keeper.mailbox.tell(StopClaiming())
        await trio.sleep(1)
        running.crash_at()
        with pytest.raises(ActorCrashed):
            await running.command(lambda reply: PauseTask("t1", None, "me", reply))
        await trio.sleep(1)
        assert (await running.command(run_now())).state is State.WAITING
        await trio.sleep(10)
        assert [one.state for one in running.executions()] == [State.WAITING]
        await ask(running.lane.executor.mailbox, lambda reply: Drain(0.0, reply), 10)


@pytest.mark.parametrize("crashes", [0, 3])
async def test_what_dead_processes_left_is_run_again_though_the_keeper_crashes(
    crashes: int, autojump_clock: trio.testing.MockClock
) -> None:
    store = FaultyStore()
    former = Rig(slots=1_000, store=store)
    names = [f"t{number:03}" for number in range(600)]
    former.create(*(definition(name, trigger=FAR_AWAY) for name in names))
    for name in names:
        former.run(name)
    async with running_lane(nothing, store=store, slots=1_000) as running:
        for _ in range(crashes):
            await running.crash_at().wait()
        await trio.sleep(60)
        found = [one for name in names for one in running.executions(name)]
        assert {one.state for one in found} == {State.COMPLETED}
        assert min(one.attempt for one in found) == 2


async def test_a_lost_recovery_is_made_good_after_a_failed_commit(autojump_clock: trio.testing.MockClock) -> None:
    store = FaultyStore()
    former = Rig(store=store)
    former.create(definition(trigger=FAR_AWAY))
    former.run()
    fault = times(2, unavailable)
    store.faults["commit"] = lambda commit: fault() if commit.updates else None
    async with running_lane(nothing, store=store) as running:
        await trio.sleep(30)
        assert [one.state for one in running.executions()] == [State.COMPLETED]


async def test_attempts_of_live_processes_are_left_alone(autojump_clock: trio.testing.MockClock) -> None:
    async with running_lane(two_seconds) as running:
        await running.create(definition(trigger=FAR_AWAY))
        await running.command(run_now())
        running.store.faults["last_grants"] = times(1, lambda: ZeroDivisionError("a bug"))
        running.lane.coordinator.suspend()
        await trio.sleep(10)
        assert [(one.state, one.attempt, one.crashes) for one in running.executions()] == [(State.COMPLETED, 1, 0)]


async def test_a_row_that_changed_under_a_command_is_decided_again(autojump_clock: trio.testing.MockClock) -> None:
    async with running_lane(nothing) as running:
        await running.create(definition(trigger=FAR_AWAY))
        running.bump()
        paused = await running.command(lambda reply: PauseTask("t1", "a note", "me", reply))
        assert (paused.state.phase, paused.state.note) == (Phase.PAUSED, "a note")


async def test_what_is_asked_about_a_task_whose_commit_is_under_way_is_decided_on_it(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with running_lane(nothing, world=SlowWorld(writer=1.0)) as running:
        # More than one slice: the second is decided while the first is being committed.
        many = tuple(definition(f"t{number}", trigger=FAR_AWAY) for number in range(600))
        replies: list[Reply[Any]] = [Reply() for _ in range(3)]
        await running.lane.keeper.mailbox.tell(CreateTasks(many, "me", replies[0]))
        for name, reply in (("t1", replies[1]), ("t599", replies[2])):
            await running.lane.keeper.mailbox.tell(run_now(name)(reply))
        for reply in replies:
            await reply.wait(60)
        assert all(len(running.executions(name)) == 1 for name in ("t1", "t599"))


async def test_a_batch_larger_than_a_commit_is_handled_whole(autojump_clock: trio.testing.MockClock) -> None:
    async with running_lane(nothing, slots=2_000) as running:
        names = [f"t{number}" for number in range(1_500)]
        await running.create(*(definition(name, trigger=Once(Instant(START + 5 * SECOND))) for name in names))
        await trio.sleep(6)
        assert [one.state for name in names for one in running.executions(name)] == [State.COMPLETED] * 1_500


async def test_a_timer_that_crashed_reads_its_window_again(autojump_clock: trio.testing.MockClock) -> None:
    async with running_lane(nothing) as running:
        await running.create(definition(trigger=EVERY_SECOND))
        await trio.sleep(5)
        running.store.faults["due"] = times(1, lambda: ZeroDivisionError("a bug"))
        await trio.sleep(10.5)
        assert running.crashes == ["test timer"]
        assert len(lateness(running)) >= 14
        assert lateness(running)[-5:] == pytest.approx([0] * 5, abs=0.01)


async def test_a_timer_that_cannot_read_tries_again(autojump_clock: trio.testing.MockClock) -> None:
    store = FaultyStore()
    Rig(store=store).create(definition(trigger=EVERY_SECOND))
    store.faults["due"] = times(3, unavailable)
    async with running_lane(nothing, store=store) as running:
        await trio.sleep(10.5)
        assert not running.crashes
        assert lateness(running)[-5:] == pytest.approx([0] * 5, abs=0.01)


@pytest.mark.parametrize(("first", "apart"), [(300_000, 50_000), (10_500_000, 100_000)])
async def test_a_window_that_is_full_does_not_hide_what_lies_behind_it(
    first: int, apart: int, monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    monkeypatch.setattr(actors.timer_core, "WINDOW_LIMIT", 3)
    store = FaultyStore()
    names = [f"t{number}" for number in range(12)]
    Rig(store=store).create(
        *(definition(name, trigger=Once(Instant(START + first + number * apart))) for number, name in enumerate(names))
    )
    async with running_lane(nothing, store=store) as running:
        await trio.sleep(20)
        assert [late for name in names for late in lateness(running, name)] == pytest.approx([0] * 12, abs=0.01)


async def test_a_step_of_the_clock_is_noticed(autojump_clock: trio.testing.MockClock) -> None:
    async with running_lane(nothing) as running:
        await running.create(definition(trigger=FAR_AWAY))
        await trio.sleep(5)
        running.world.step(Micros(3_600 * SECOND))
        await trio.sleep(2)
        assert len(running.executions()) == 1


async def test_each_life_takes_the_partitions_under_a_higher_epoch(autojump_clock: trio.testing.MockClock) -> None:
    store, world = FaultyStore(), SlowWorld()
    for life in range(3):
        async with running_lane(nothing, store=store, world=world, boot=f"boot-{life}") as running:
            if not life:
                await running.create(definition(trigger=EVERY_SECOND))
            before = len(running.executions())
            await trio.sleep(5)
            assert len(running.executions()) > before
    assert store.last_grants() == {0: 3}


async def test_a_purge_that_failed_is_told(autojump_clock: trio.testing.MockClock) -> None:
    async with running_lane(nothing) as running:
        running.store.faults["purge"] = times(1, unavailable)
        purge = partial(Purge, Slice(Stage.EXECUTIONS, Retention(), Instant(START)))
        with pytest.raises(StoreUnavailable):
            await running.ask(purge)
        assert await running.ask(purge) == Purged()


async def test_overlapping_runs_wait_for_each_other_also_through_a_crash(
    autojump_clock: trio.testing.MockClock,
) -> None:
    most, now = 0, 0

    async def watched(ctx: Any) -> None:
        nonlocal most, now
        now += 1
        most = max(most, now)
        await trio.sleep(1.5)
        now -= 1

    async with running_lane(watched) as running:
        await running.create(definition(trigger=EVERY_SECOND, policies=Policies(overlap=Overlap.SKIP)))
        for _ in range(5):
            await trio.sleep(5)
            await running.crash_at().wait()
        await trio.sleep(10)
        assert most == 1
        assert sum(row.count or 1 for row in running.outcomes()) >= 30


async def test_the_parameters_of_a_run_come_before_the_tasks(autojump_clock: trio.testing.MockClock) -> None:
    async def tell(ctx: Any, *, answer: int) -> int:
        return answer

    async with running_lane(tell) as running:
        await running.create(definition(trigger=FAR_AWAY, parameters='{"answer":7}'))
        results = []
        for own in (None, '{"answer":8}'):
            execution = await running.command(partial(RunTask, "t1", own, "rest", None, "me"))
            await trio.sleep(1)
            detail = running.store.execution(execution.id)
            assert detail is not None
            results.append(detail.result)
        assert results == ["7", "8"]


def test_long_messages_are_cut_and_nothing_of_them_is_lost() -> None:
    ids = tuple(f"t{number}" for number in range(1_300))
    ends = tuple(AttemptEnd(name, name, 1, State.COMPLETED, START, START) for name in ids)
    pieces = list(slices([Settle(ids), Settle(("last",)), AttemptsEnded(ends), StopClaiming()], 512))
    assert all(sum(weight(message) for message in piece) <= 512 for piece in pieces)
    flat = [message for piece in pieces for message in piece]
    assert [name for message in flat if isinstance(message, Settle) for name in message.task_ids] == [*ids, "last"]
    assert [end for message in flat if isinstance(message, AttemptsEnded) for end in message.ends] == list(ends)
    assert flat[-1] == StopClaiming()
