"""Cancelling, deleting and editing against what happens at the same moment; pausing everything."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest
import trio
import trio.lowlevel
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.command_messages import CancelExecution, DeleteTask, EditTask, RunTask
from actors.handling.context import Context
from actors.keeper_messages import PauseScheduler, ResumeScheduler
from actors.model.execution import Execution
from actors.model.lifecycle import State
from actors.model.occurrence import Outcome, Reason
from actors.model.policy import CatchUp, Overlap, Policies
from actors.model.trigger import Interval, Once
from runtime.clock import SECOND, Instant, Micros
from runtime.errors import Conflict
from runtime.records import evolve
from tests.actors.keeper_kit import Rig, definition
from tests.actors.lane_kit import FaultyStore, Running, SlowWorld, running_lane
from tests.seeds import scheduler_seeds, seed_scheduler

FAR = Once(Instant(2_000_000_000 * SECOND))
ROUND = 40
"""Executions of one example; with 25 examples that makes 1,000 interleavings."""


async def race(running: Running, task_id: str, delay: float, answers: dict[str, Any]) -> None:
    execution: Execution = await running.ask(lambda reply: RunTask(task_id, None, "rest", None, "me", reply))
    await trio.sleep(delay)
    try:
        answers[execution.id] = await running.ask(lambda reply: CancelExecution(task_id, execution.id, "me", reply))
    except Conflict as error:
        answers[execution.id] = error


@given(
    scheduler_seeds,
    st.lists(st.sampled_from([0, 0, 0.001, 0.002, 0.003, 0.004]), min_size=ROUND, max_size=ROUND),
    st.sampled_from([0, 0.001, 0.002]),
)
@settings(max_examples=25, deadline=None)
def test_e49_cancel_races_completion(seed: int, delays: list[float], commit_seconds: float) -> None:
    """1,000 interleavings: exactly one end each, and who cancelled was told what became of it."""

    async def work(_: Context) -> None:
        await trio.sleep(0.002)

    async def main() -> None:
        answers: dict[str, Any] = {}
        world = SlowWorld(writer=commit_seconds)
        async with running_lane(work, world=world, slots=8) as running:
            policies = Policies(overlap=Overlap.ALLOW)
            (task,) = await running.create(definition(trigger=FAR, policies=policies))
            async with trio.open_nursery() as nursery:
                for delay in delays:
                    nursery.start_soon(race, running, task.id, delay, answers)
            await trio.sleep(30)
            ended = {entry.id: entry for entry in running.executions(task.id)}
            (after,) = running.store.tasks([task.id])
        assert ended.keys() == answers.keys()
        for execution_id, answer in answers.items():
            final = ended[execution_id]
            assert final.state in (State.COMPLETED, State.CANCELLED)
            assert final.attempt <= 1
            if isinstance(answer, Conflict):
                assert final.state is State.COMPLETED, "refused as ended, yet it was cancelled"
            elif answer.state in (State.CANCELLED, State.COMPLETED):
                assert final == answer, "an end that was told has changed"
            else:
                assert answer.cancel_reason == "cancelled by me"
        assert after.open == ()
        assert after.state.completed == sum(entry.state is State.COMPLETED for entry in ended.values())

    seed_scheduler(seed)
    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


@given(scheduler_seeds, st.sampled_from([0, 0.001, 0.01]))
@settings(max_examples=25, deadline=None)
def test_e52_an_edit_at_the_instant_of_a_slot(seed: int, commit_seconds: float) -> None:
    """One of the two revisions owns the slot, never both, never none."""

    async def work(_: Context) -> None:
        await trio.lowlevel.checkpoint()

    async def main() -> None:
        async with running_lane(work, world=SlowWorld(writer=commit_seconds)) as running:
            every = Interval(Micros(SECOND), running.world.now())
            (task,) = await running.create(definition(trigger=every, policies=Policies(overlap=Overlap.ALLOW)))
            await trio.sleep(2.999)
            changed = evolve(task.definition, parameters='{"n": 1}')
            edited = await running.command(lambda reply: EditTask(changed, None, "me", reply))
            await trio.sleep(3)
            rows = [row for row in running.outcomes(task.id) if row.outcome is not None]
        slots = [row.first for row in rows]
        assert len(slots) == len(set(slots))
        assert slots == [every.anchor + n * SECOND for n in range(1, len(slots) + 1)]
        assert edited.state.revision == 2
        revisions = [row.revision for row in rows]
        assert revisions == sorted(revisions)

    seed_scheduler(seed)
    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_e51_cancel_of_what_waits_runs_waits_for_a_retry_or_has_ended() -> None:
    rig = Rig(slots=1)
    rig.create(definition("t1"), definition("t2"))
    rig.settle("t1", "t2", after=10)
    (pending,) = rig.task("t2").open
    assert rig.cancel_execution(pending.id, "t2").state is State.CANCELLED
    (running,) = rig.task("t1").open
    assert rig.cancel_execution(running.id).cancel_reason == "cancelled by me"
    assert rig.cancel_execution(running.id).cancel_reason == "cancelled by me"
    rig.end(State.CANCELLED, reason="cancelled by me")
    for refused in (running.id, "unknown"):
        with pytest.raises(Conflict, match=refused):
            rig.cancel_execution(refused)
    rig.run("t1")
    rig.end(State.FAILED)
    (waiting,) = rig.task("t1").open
    assert rig.cancel_execution(waiting.id).state is State.CANCELLED


async def test_e54_delete_with_a_running_attempt(autojump_clock: None) -> None:
    """It is told to stop, no new slot is fired, and its end does no harm."""
    stopped: list[str] = []

    async def work(ctx: Context) -> None:
        try:
            await trio.sleep_forever()
        finally:
            stopped.append(str(ctx.cancellation_reason))

    async with running_lane(work, slots=1) as running:
        every = Interval(Micros(SECOND), running.world.now())
        task, other = await running.create(definition("t1", every), definition("t2", FAR))
        await trio.sleep(1.5)
        await running.command(lambda reply: DeleteTask(task.id, "me", reply))
        await trio.sleep(5)
        assert stopped == ["cancelled by me"]
        assert running.store.tasks([task.id]) == []
        assert running.executions(task.id) == []
        await running.ask(lambda reply: RunTask(other.id, None, "rest", None, "me", reply))
        await trio.sleep(1)
        assert running.executions(other.id)[0].state is State.RUNNING
        assert running.crashes == []


# -- the whole scheduler's pause


async def test_while_everything_is_paused_the_timer_rests(autojump_clock: None) -> None:
    began = count()

    async def work(_: Context) -> None:
        next(began)

    store = FaultyStore()
    reads: list[None] = []
    async with running_lane(work, store=store) as running:
        every = Interval(Micros(SECOND), running.world.now())
        policies = Policies(catch_up=CatchUp.LATEST)
        (task,) = await running.create(definition(trigger=every, policies=policies))
        await trio.sleep(3.5)
        await running.ask(lambda reply: PauseScheduler("night", "me", reply))
        await trio.sleep(1)
        store.faults["due"] = lambda *_: reads.append(None)
        await trio.sleep(3600)
        assert reads == []
        assert running.lane.timer.lateness() == 0
        assert len(running.executions(task.id)) == 3
        del store.faults["due"]
        await running.ask(lambda reply: ResumeScheduler("me", reply))
        await trio.sleep(0.4)
        caught_up = running.outcomes(task.id)[3:]
        assert [(row.outcome, row.reason) for row in caught_up] == [
            (Outcome.COALESCED, Reason.CATCH_UP),
            (Outcome.FIRED, None),
        ]
        assert sum(row.count or 0 for row in caught_up) == (caught_up[-1].last - caught_up[0].first) // SECOND + 1
        await trio.sleep(2)
        assert next(began) == 6


async def test_a_pause_outlasts_crashes_of_keeper_and_timer(autojump_clock: None) -> None:
    async def work(_: Context) -> None:
        raise AssertionError("nothing runs while everything is paused")

    async with running_lane(work) as running:
        every = Interval(Micros(SECOND), running.world.now())
        await running.create(definition(trigger=every))
        await running.ask(lambda reply: PauseScheduler(None, "me", reply))
        crashed = running.crash_at()
        run: Any = trio.Cancelled
        try:
            run = await running.ask(lambda reply: RunTask("t1", None, "rest", None, "me", reply))
        except Exception as error:
            run = error
        await trio.sleep(60)
        assert crashed.is_set()
        assert run is not trio.Cancelled
        assert all(entry.state is State.WAITING for entry in running.executions("t1"))
        assert running.lane.keeper.claims.paused is not None
        assert running.lane.timer.lateness() == 0
