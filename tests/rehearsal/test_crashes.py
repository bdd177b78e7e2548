"""Actors that crash under load, and a store that is away for a while: nothing acknowledged is lost, nothing is doubled."""

from __future__ import annotations

import contextlib
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import Phase as Stage
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.command_messages import CancelExecution, PauseTask
from actors.model.lifecycle import Phase, State
from actors.model.policy import Overlap, Policies
from actors.model.trigger import Once
from actors.node import Node
from runtime.errors import StoreUnavailable, TocsinError
from tests.seeds import scheduler_seeds, seed_scheduler

from .kit import Diary, FlakyStore, add, check_exactly_once, flaky, history, interval, node_at, world_of

__all__ = ["flaky"]


class Boom(Exception):
    """What a failpoint raises."""


def crash_at(node: Node, failpoint: str, *passages: int) -> Counter[str]:
    """Raise at these passages of a failpoint, counted from now."""
    seen: Counter[str] = Counter()

    def pass_by() -> None:
        seen[failpoint] += 1
        if seen[failpoint] in passages:
            seen["raised"] += 1
            raise Boom(failpoint)

    world_of(node).failures[failpoint] = pass_by
    return seen


async def load(node: Node, seconds: int) -> list[Any]:
    """People at work: tasks are made, run and cancelled; what was acknowledged is answered, (name, task) each."""
    made: list[Any] = []
    for number in range(seconds):
        with contextlib.suppress(TocsinError):
            made.append(await add(node, f"made-{number}", interval(node, 5), parameters='{"seconds": 0.5}'))
        await trio.sleep(1)
    return made


async def all_ended(node: Node, tasks: list[Any]) -> None:
    """No execution runs in the store that no handler works on, and none waits."""
    for task in tasks:
        await node.command(task.id, lambda reply, task=task: PauseTask(task.id, None, "me", reply))
    await trio.sleep(30)
    for task in tasks:
        assert (await node.task(task.id)).open == ()


@pytest.mark.parametrize("failpoint", ["keeper.committed", "keeper.committing"])
@settings(max_examples=6, phases=[Stage.explicit, Stage.generate])
@given(seed=scheduler_seeds, passages=st.lists(st.integers(3, 40), min_size=1, max_size=3, unique=True))
def test_a_keeper_that_crashes_under_load_loses_nothing(failpoint: str, seed: int, passages: list[int]):
    async def rehearse(path: Path) -> None:
        diary = Diary()
        async with node_at(path, diary, seed=seed % 1000, slots=3) as node:
            steady = await add(node, "steady", interval(node, 1), parameters='{"seconds": 0.2}')
            crash_at(node, failpoint, *passages)
            made = await load(node, 12)
            await trio.sleep(30)
            for task in (steady, *made):
                rows = await check_exactly_once(node, task, node.world.now())
                assert sum(row.state is State.RUNNING for row in rows) <= 1
            await all_ended(node, [steady, *made])
            assert node.health() == []
            snapshot = node.snapshot()
            assert snapshot.children[0].children[0].restarts >= 1
        assert max(diary.most.values()) == 1

    seed_scheduler(seed)
    with TemporaryDirectory() as path:
        trio.run(rehearse, Path(path), clock=trio.testing.MockClock(autojump_threshold=0))


@pytest.mark.parametrize("actor", ["executor", "timer", "coordinator", "keeper"])
async def test_any_actor_may_crash_on_a_message(actor: str, tmp_path: Path, autojump_clock):
    diary = Diary()
    async with node_at(tmp_path, diary, slots=5) as node:
        tasks = [await add(node, f"t{n}", interval(node, 2), parameters='{"seconds": 1}') for n in range(8)]
        for _ in range(3):
            await trio.sleep(10.3)
            getattr(node._durable, actor).mailbox.tell_nowait("what is this?")
        await trio.sleep(10)
        for task in tasks:
            await check_exactly_once(node, task, node.world.now())
            fences = diary.fences[task.definition.name]
            assert fences == sorted(set(fences))
        await all_ended(node, tasks)
        assert node.health() == []
        core = node._durable.keeper._core
        assert core._claims.slots == 5
    assert max(diary.most.values()) == 1


async def test_a_crash_of_the_executor_costs_its_attempts_nothing(tmp_path: Path, autojump_clock):
    diary = Diary()
    async with node_at(tmp_path, diary, slots=2) as node:
        task = await add(node, "long", Once(node.world.now()), parameters='{"seconds": 10}')
        for _ in range(4):
            await trio.sleep(5)
            node._durable.executor.mailbox.tell_nowait("what is this?")
        await trio.sleep(15)
        (execution,) = await history(node, task)
        assert (execution.state, execution.failures, execution.crashes, execution.attempt) == (State.COMPLETED, 0, 0, 5)
        assert node._durable.keeper._core._claims.slots == 2


async def test_a_cancellation_reaches_what_runs_though_the_keeper_crashes(tmp_path: Path, autojump_clock):
    diary = Diary()
    async with node_at(tmp_path, diary) as node:
        task = await add(node, "long", Once(node.world.now()), parameters='{"seconds": 1000}')
        await trio.sleep(2)
        (running,) = (await node.task("long")).open
        crash_at(node, "keeper.committed", 1)
        with pytest.raises(TocsinError):
            await node.command(task.id, lambda reply: CancelExecution(task.id, running.id, "me", reply))
        await trio.sleep(5)
        (execution,) = await history(node, task)
    assert execution.state is State.CANCELLED
    assert diary.completed == []


@settings(max_examples=6, phases=[Stage.explicit, Stage.generate])
@given(
    seed=scheduler_seeds,
    away=st.sampled_from(["writes_fail", "reads_fail"]),
    seconds=st.sampled_from([0.3, 2, 20]),
    overlap=st.sampled_from(Overlap),
)
def test_a_store_that_is_away_for_a_while_loses_nothing(seed: int, away: str, seconds: float, overlap: Overlap):
    async def rehearse(path: Path) -> None:
        diary = Diary()
        async with node_at(path, diary, seed=seed % 1000, slots=4) as node:
            tasks = [
                await add(
                    node,
                    f"t{n}",
                    interval(node, 1 + n),
                    parameters='{"seconds": 0.7}',
                    policies=Policies(overlap=overlap),
                )
                for n in range(6)
            ]
            await trio.sleep(5.2)
            setattr(FlakyStore, away, True)
            await trio.sleep(seconds)
            if away == "writes_fail":
                with pytest.raises(StoreUnavailable):
                    await node.command(tasks[0].id, lambda reply: PauseTask(tasks[0].id, None, "me", reply))
                assert any("no space left" in complaint for complaint in node.health())
            setattr(FlakyStore, away, False)
            await trio.sleep(20)
            for task in tasks:
                await check_exactly_once(node, task, node.world.now())
            await all_ended(node, tasks)
            assert node.health() == []
            assert node._durable.keeper._core._claims.slots == 4
        # Whatever completed was recorded as such, once.
        assert len(diary.completed) == len(set(diary.completed))

    seed_scheduler(seed)
    with TemporaryDirectory() as path, pytest.MonkeyPatch.context() as patch:
        patch.setattr("actors.composition.SqliteStore", FlakyStore)
        patch.setattr(FlakyStore, "writes_fail", False)
        patch.setattr(FlakyStore, "reads_fail", False)
        trio.run(rehearse, Path(path), clock=trio.testing.MockClock(autojump_threshold=0))


async def test_a_node_stops_in_order_and_interrupts_at_no_cost(tmp_path: Path, autojump_clock):
    diary = Diary()
    async with node_at(tmp_path, diary, drain_seconds=2.0) as node:
        task = await add(node, "long", Once(node.world.now()), parameters='{"seconds": 1000}')
        await trio.sleep(2)
        start = node.world.now()
    async with node_at(tmp_path, diary, seed=1, start=start) as node:
        await trio.sleep(1500)
        (execution,) = await history(node, task)
        assert (execution.state, execution.failures, execution.attempt) == (State.COMPLETED, 0, 2)
        assert (await node.task("long")).state.phase is Phase.FINISHED
