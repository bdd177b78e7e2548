"""Trouble that must stay where it is: a task that kills its node, a store that dawdles, everything failing at once, a handler
that never returns; and pauses, purges and counts that outlast all of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import trio

import tocsin
from actors.composition import open_node
from actors.handling.catalogue import Catalogue, task_type
from actors.keeper_messages import Settle
from actors.model.lifecycle import State
from actors.model.occurrence import Outcome
from actors.model.policy import Policies, Retry
from actors.model.retention import Slice, Stage
from actors.model.trigger import Interval, Once
from actors.node import Node, NodeConfig
from runtime.clock import DAY, SECOND, Instant, Micros
from runtime.simulation import SimulatedWorld
from tests.actors.keeper_kit import START, Rig, definition
from tests.actors.lane_kit import SlowWorld, running_lane
from tests.rehearsal.kit import add, history, interval, keeping
from tocsin import testing
from tocsin.testing import VirtualNode

OTHERS = 100


@asynccontextmanager
async def node_with(data: Path, handler: Callable[..., Awaitable[Any]], **settings: Any) -> AsyncIterator[Node]:
    # Nothing is lost here that a sweep would have to find, and hours go by sooner without it.
    config = NodeConfig(
        data=data,
        synchronous="OFF",
        system_tasks=False,
        sweep_every=Micros(DAY),
        watch_seconds=DAY / SECOND,
        **settings,
    )
    async with open_node(config, Catalogue([task_type("work", handler)]), SimulatedWorld(0)) as node:
        yield node


async def quick(ctx: tocsin.Context) -> None:
    pass


async def endless(ctx: tocsin.Context) -> None:
    await trio.sleep_forever()


@testing.simulated(catalogue=Catalogue([task_type("quick", quick), task_type("endless", endless)]))
async def test_74_one_task_that_kills_its_node_is_put_aside_and_the_others_go_on(node: VirtualNode):
    poison = await node.once("1m", "endless")
    builders = [node.new_task("quick").named(f"t{number}").with_period("30m") for number in range(OTHERS)]
    others = await node.add_many(builders)
    await node.advance("2m")
    for _ in range(3):
        await node.crash()
        await node.advance("20m")
    (run,) = await node.runs(poison.id)
    assert (run.state, run.attempts) == ("CRASHED", 3)
    assert run.failure is not None
    assert run.failure.startswith("Poison: 3 crashes in a row")
    await node.advance("1d")
    assert len(await node.runs(poison.id)) == 1, "nobody starts it again"
    for other in others:
        assert not isinstance(other, Exception)
        slots = await node.slots(other.id)
        assert {slot.outcome for slot in slots} == {"fired"}
        assert len(slots) == (24 * 60 + 62) // 30


async def test_d42_a_slow_store_kills_no_healthy_long_job(autojump_clock: None):
    """Every commit and every read takes five seconds; the work takes a minute and is alive all the time."""
    began: list[int] = []

    async def work(ctx: tocsin.Context) -> None:
        began.append(ctx.attempt)
        await trio.sleep(60)

    async with running_lane(work, world=SlowWorld(writer=5, reads=5)) as running:
        await running.create(definition(trigger=Once(START)))
        await trio.sleep(200)
        (execution,) = running.executions()
    assert (execution.state, execution.attempt, execution.crashes, began) == (State.COMPLETED, 1, 0, [1])
    assert running.crashes == []


async def test_d45_everything_that_failed_at_once_comes_back_without_a_stampede(tmp_path: Path, autojump_clock: None):
    """What all depend on dies for ten minutes: no more run at once than there are slots, and jitter keeps them apart."""
    slots, working, most = 8, 0, 0
    again: list[Instant] = []
    up_again = trio.current_time() + 600

    async def work(ctx: tocsin.Context) -> None:
        nonlocal working, most
        working, most = working + 1, max(most, working + 1)
        try:
            await trio.sleep(0.01)
            if trio.current_time() < up_again:
                raise ConnectionError("nobody answers")
        finally:
            working -= 1
        again.append(Instant(round(trio.current_time() * SECOND)))

    retry = Retry(max_retries=50, delay=Micros(60 * SECOND), backoff="exponential", factor=1.5, jitter=1.0)
    async with node_with(tmp_path, work, slots=slots) as node:
        due = Once(Instant(node.world.now() + SECOND))
        tasks = [await add(node, f"t{number}", due, policies=Policies(retry)) for number in range(OTHERS)]
        await trio.sleep(2 * 3600)
        ends = [(await history(node, task))[0] for task in tasks]
    assert most <= slots
    assert Counter(entry.state for entry in ends) == {State.COMPLETED: OTHERS}
    assert min(entry.failures for entry in ends) >= 2
    assert max(Counter(instant // SECOND for instant in again).values()) <= OTHERS // 10, "they came back as a herd"


async def test_d46_while_a_zombie_has_not_returned_its_task_skips_and_never_runs_twice(
    tmp_path: Path, autojump_clock: None
):
    """A handler that no cancellation reaches is frozen for an hour after its timeout."""
    running = most = 0
    starts: list[Instant] = []

    async def deaf(ctx: tocsin.Context) -> None:
        nonlocal running, most
        running, most = running + 1, max(most, running + 1)
        starts.append(ctx._execution.nominal)
        with trio.CancelScope(shield=True):
            await trio.sleep(3_595 if len(starts) == 1 else 1)
        running -= 1

    async with node_with(tmp_path, deaf) as node:
        trigger = interval(node, 600)
        policies = Policies(Retry(max_retries=0), timeout=Micros(60 * SECOND))
        task = await add(node, "deaf", trigger, policies=policies)
        await trio.sleep(2 * 3_600 + 30)
        rows = await node.outcomes(task.id, since=Instant(0), until=node.world.now(), limit=100)
        first = (await history(node, task))[-1]
    assert most == 1
    assert first.state is State.TIMED_OUT
    found = {(row.first - trigger.anchor) // trigger.every: row.outcome for row in rows}
    assert found == {number: Outcome.SKIPPED if 2 <= number <= 6 else Outcome.FIRED for number in range(1, 13)}


@testing.simulated(catalogue=Catalogue([task_type("quick", quick)]), seeds=2)
async def test_e53_a_pause_survives_a_crash_and_its_time_is_settled_once(node: VirtualNode):
    task = await node.every("1h", "quick")
    begin = node.now
    await node.advance("2h 30m")
    await node.pause(task.id, "maintenance")
    await node.crash(down="3h")
    await node.advance("2h")
    paused = await node.task(task.id)
    assert (paused.state.phase.value, paused.state.note) == ("paused", "maintenance")
    assert len(await node.runs(task.id)) == 2
    await node.activate(task.id)
    await node.crash()
    await node.advance("2h")
    slots = await node.slots(task.id)
    assert [slot.nominal for slot in slots] == [begin + timedelta(hours=number) for number in range(1, 10)]
    assert [slot.outcome for slot in slots] == ["fired"] * 2 + ["skipped"] * 5 + ["fired"] * 2


def test_e55_what_was_purged_is_not_made_again_by_a_late_word_of_it():
    """The timer tells of slots whose rows are gone: the watermark on the task's row knows them."""
    rig = Rig()
    rig.create(definition())
    for _ in range(3):
        rig.settle(after=10)
        rig.end()
    retention = keeping(Micros(0))
    for stage in (Stage.LEDGER, Stage.EXECUTIONS):
        rig.store.purge(Slice(stage, retention, Instant(rig.now + SECOND), limit=100))
    assert rig.store.executions("t1", offset=0, limit=10) == ([], 0)
    rig.now = Instant(START + 10 * SECOND)
    rig.send(Settle(("t1",)))
    rig.now = Instant(START + 35 * SECOND)
    rig.send(Settle(("t1",)))
    assert rig.store.executions("t1", offset=0, limit=10) == ([], 0)
    assert rig.task().state.settled_through == START + 30 * SECOND


async def test_83_each_end_is_counted_once_and_85_progress_leaves_the_history_alone(
    tmp_path: Path, autojump_clock: None
):
    async def work(ctx: tocsin.Context) -> None:
        for step in range(3):
            ctx.progress(done=step, total=3, step=f"step {step}")
            await trio.sleep(1)
        if ctx._execution.nominal == START + 20 * SECOND:
            raise ValueError("the second one fails")

    async with node_with(tmp_path, work) as node:
        trigger = Interval(Micros(10 * SECOND), START)
        task = await add(node, "counted", trigger, policies=Policies(Retry(max_retries=0)))
        await trio.sleep(34)
        state, found = (await node.task(task.id)).state, await history(node, task)
    assert (state.completed, state.failed) == (2, 1)
    assert [entry.state for entry in found] == [State.COMPLETED, State.FAILED, State.COMPLETED]
    assert found[1].failure is not None
    assert "the second one fails" in found[1].failure.message
