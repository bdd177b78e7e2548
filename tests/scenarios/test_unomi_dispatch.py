"""Basics and dispatch safety: the cases 1 to 20 of the behaviours that users of schedulers rely on, under their numbers."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import trio

from actors.composition import open_node
from actors.handling.catalogue import Catalogue, task_type
from actors.handling.context import Context
from actors.keeper_messages import Settle
from actors.model.execution import WaitsFor
from actors.model.lifecycle import Phase, State, Status
from actors.model.occurrence import Outcome
from actors.model.policy import Concurrency, Overlap, Policies
from actors.model.task import Task
from actors.model.trigger import Interval, Once
from actors.node import Node, NodeConfig
from runtime.clock import SECOND, Instant, Micros
from runtime.simulation import SimulatedWorld
from tests.actors.keeper_kit import Rig, definition
from tests.actors.lane_kit import running_lane
from tests.rehearsal.kit import Diary, add, history, interval, ledger, node_at

MILLISECOND = 0.001


def after(node: Node, seconds: float) -> Once:
    return Once(Instant(node.world.now() + round(seconds * SECOND)))


async def test_case_1_one_shot_runs_and_completes(tmp_path: Path, autojump_clock: None) -> None:
    diary = Diary()
    async with node_at(tmp_path, diary) as node:
        task = await add(node, "once", after(node, 0))
        await trio.sleep(5)
        task = await node.task(task.id)
        assert len(diary.began) == 1
        assert (task.state.phase, task.state.status, task.state.next_fire) == (Phase.FINISHED, Status.COMPLETED, None)
        assert [one.state for one in await history(node, task)] == [State.COMPLETED]


async def test_case_2_status_inside_the_run(tmp_path: Path, autojump_clock: None) -> None:
    seen: list[Task] = []

    async def work(ctx: Context) -> None:
        seen.append(await node.task(ctx._definition.id))

    config = NodeConfig(data=tmp_path, synchronous="OFF", name="here")
    async with open_node(config, Catalogue([task_type("work", work)]), SimulatedWorld(0)) as node:
        await add(node, "self", after(node, 1))
        await trio.sleep(3)
    (task,) = seen
    (execution,) = task.open
    assert task.state.status is Status.RUNNING
    assert (execution.state, execution.node) == (State.RUNNING, "here")
    assert execution.started_at is not None


async def test_case_4_fixed_rate_with_slow_work(tmp_path: Path, autojump_clock: None) -> None:
    diary = Diary()
    async with node_at(tmp_path, diary) as node:
        trigger = interval(node, 0.1)
        task = await add(node, "slow", trigger, parameters='{"seconds": 0.2}')
        await trio.sleep(3)
        rows = [row for row in await ledger(node, task) if row.state is not None]
    assert len(rows) >= 3
    assert diary.most["slow"] == 1
    assert all((row.first - trigger.anchor) % trigger.every == 0 for row in rows)


async def test_case_5_fixed_delay_gap(tmp_path: Path, autojump_clock: None) -> None:
    async with node_at(tmp_path, Diary()) as node:
        every = Micros(SECOND // 10)
        trigger = Interval(every, node.world.now(), fixed_delay=True)
        task = await add(node, "gap", trigger, parameters='{"seconds": 0.05}')
        await trio.sleep(3)
        runs = (await history(node, task))[::-1]
    assert len(runs) >= 10
    for former, latter in pairwise(runs):
        assert former.ended_at is not None
        assert latter.started_at is not None
        assert latter.started_at - former.ended_at >= every


async def test_case_7_initial_delay(tmp_path: Path, autojump_clock: None) -> None:
    diary = Diary()
    async with node_at(tmp_path, diary) as node:
        await add(node, "later", after(node, 0.1))
        await trio.sleep(99 * MILLISECOND)
        assert diary.began == []
        await trio.sleep(2 * MILLISECOND)
        assert len(diary.began) == 1


async def test_case_8_once_is_not_rescheduled(tmp_path: Path, autojump_clock: None) -> None:
    diary = Diary()
    async with node_at(tmp_path, diary) as node:
        task = await add(node, "now", after(node, 0), policies=Policies(overlap=Overlap.ALLOW))
        await trio.sleep(120)
        assert len(diary.began) == 1
        assert [row.outcome for row in await ledger(node, task)] == [Outcome.FIRED]


async def test_case_11_slow_start_is_not_dispatched_twice(tmp_path: Path, autojump_clock: None) -> None:
    diary = Diary()
    async with node_at(tmp_path, diary) as node:
        task = await add(node, "slow", after(node, 0), parameters='{"seconds": 2.5}')
        for _ in range(10):
            await node._durable.keeper.mailbox.tell(Settle((task.id,)))
            await trio.sleep(0.5)
    assert (len(diary.began), diary.most["slow"]) == (1, 1)


def test_case_13_not_due_is_refused_and_nothing_written() -> None:
    rig = Rig()
    rig.create(definition(policies=Policies(concurrency=Concurrency("k"))))
    before = rig.task()
    rig.settle(after=1)
    assert rig.task() == before
    assert not rig.running
    assert list(rig.core.claims.queues.locks()) == []


def test_case_14_disabled_or_finished_is_refused() -> None:
    rig = Rig()
    rig.create(definition("paused"), definition("cancelled"), definition("finished", Once(rig.now)))
    rig.pause("paused")
    rig.cancel("cancelled")
    rig.settle("finished")
    rig.end()
    before = rig.store.tasks(["paused", "cancelled", "finished"])
    rig.settle("paused", "cancelled", "finished", after=100)
    assert rig.store.tasks(["paused", "cancelled", "finished"]) == before
    assert not rig.running


async def test_case_16_claim_is_released_on_early_exit(autojump_clock: None) -> None:
    """The keeper dies between the commit of a claim and the word to the executor: it runs later, at no cost."""
    began: list[int] = []

    async def work(ctx: Context) -> None:
        began.append(ctx.attempt)

    async with running_lane(work) as running:
        policies = Policies(concurrency=Concurrency("k"))
        (task,) = await running.create(
            definition(trigger=Once(Instant(running.world.now() + SECOND)), policies=policies)
        )
        await trio.sleep(0.5)
        crashed = running.crash_at()
        await trio.sleep(10)
        assert crashed.is_set()
        (execution,) = running.executions(task.id)
        assert execution.state is State.COMPLETED
        assert began == [2]
        assert (execution.failures, execution.crashes) == (0, 0)
        assert list(running.lane.keeper.claims.queues.locks()) == []


def test_case_17_waiting_fields_are_cleared_on_start() -> None:
    rig = Rig()
    policies = Policies(concurrency=Concurrency("k"), max_wait=Micros(60 * SECOND))
    rig.create(definition("a", policies=policies), definition("b", policies=policies))
    rig.settle("a", "b", after=10)
    (waiting,) = rig.task("b").open
    assert (waiting.state, waiting.waits_for) == (State.WAITING, WaitsFor.KEY)
    assert waiting.expires is not None
    rig.end()
    (started,) = rig.task("b").open
    assert (started.state, started.waits_for, started.due, started.expires) == (State.RUNNING, None, None, None)


async def test_case_19_other_jobs_of_the_same_type_are_not_blocked(tmp_path: Path, autojump_clock: None) -> None:
    diary = Diary()
    async with node_at(tmp_path, diary) as node:
        when = after(node, 1)
        await add(node, "long", when, parameters='{"seconds": 60}')
        await add(node, "short", when)
        await trio.sleep(2)
        assert [name for name, _ in diary.completed] == ["short"]


async def test_case_20_no_executor_registered(tmp_path: Path, autojump_clock: None) -> None:
    config = NodeConfig(data=tmp_path, synchronous="OFF")
    async with open_node(config, Catalogue([]), SimulatedWorld(0)) as node:
        task = await add(node, "orphan", after(node, 1))
        await trio.sleep(30)
        (execution,) = (await node.task(task.id)).open
        assert (execution.state, execution.waits_for) == (State.WAITING, WaitsFor.NODE)
        assert (execution.attempt, execution.failures) == (0, 0)
