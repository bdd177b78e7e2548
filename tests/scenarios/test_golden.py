"""The golden definition: after two weeks from now, twice an hour, twelve times only."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from hypothesis import given, settings

import tocsin
from actors.handling.catalogue import Catalogue, task_type
from tests.seeds import scheduler_seeds
from tocsin import testing
from tocsin.testing import DEFAULT_START, VirtualNode

STARTS = DEFAULT_START + timedelta(weeks=2)
GRID = [STARTS + n * timedelta(minutes=30) for n in range(1000)]


async def work(ctx: tocsin.Context) -> int:
    return ctx.attempt


TYPES = Catalogue([task_type("work", work)])


async def golden(node: VirtualNode) -> str:
    """One definition says it all."""
    task = await node.new_task("work").named("golden").starting("2w").with_period("30m").times(12).schedule()
    return task.id


@testing.simulated(catalogue=TYPES)
async def test_it_runs_exactly_twelve_times_on_its_grid(node: VirtualNode):
    task = await golden(node)
    await node.advance(to=STARTS - timedelta(microseconds=1))
    assert await node.runs(task) == []
    await node.advance("1w")
    assert [run.nominal for run in await node.runs(task)] == GRID[:12]
    assert [slot.outcome for slot in await node.slots(task)] == ["fired"] * 12
    assert (await node.task(task)).state.phase.value == "finished"


@pytest.mark.parametrize("catch_up", ["latest", "skip", "earliest", "all"])
@settings(max_examples=3)
@given(scheduler_seeds)
def test_across_ten_random_kills_and_restarts_it_runs_exactly_twelve_times(catch_up: str, seed: int):
    chance = random.Random(seed)

    async def history(node: VirtualNode) -> None:
        builder = node.new_task("work").named("golden").starting("2w").with_period("30m").times(12)
        task = (await builder.catch_up(catch_up).schedule()).id  # type: ignore[arg-type]
        await node.advance("2w")
        for _ in range(10):
            await node.advance(f"{chance.randrange(1, 3600)}s")
            await node.crash(down=f"{chance.randrange(1, 5400)}s")
        await node.advance("1w")
        runs = await node.runs(task)
        nominal = [run.nominal for run in runs]
        assert len(runs) == len(set(nominal)) == 12
        assert set(nominal) <= set(GRID)
        assert nominal == sorted(nominal)
        assert {run.state for run in runs} == {"COMPLETED"}
        slots = [slot.nominal for slot in await node.slots(task)]
        assert slots == GRID[: len(slots)], "each slot up to the last run has one outcome"
        assert slots[-1] == nominal[-1] or catch_up == "earliest"

    testing.run(history, seed=seed, catalogue=TYPES)


@testing.simulated(catalogue=TYPES)
async def test_finished_is_not_gone(node: VirtualNode):
    task = await golden(node)
    await node.advance("3w")
    assert (await node.task("golden")).state.phase.value == "finished"
    await node.activate(task)
    await node.advance("1w")
    assert len(await node.runs(task)) == 24
    assert (await node.task("golden")).state.phase.value == "finished"


@testing.simulated(catalogue=TYPES)
async def test_manual_runs_do_not_count(node: VirtualNode):
    task = await golden(node)
    await node.run(task)
    await node.advance("3w")
    runs = await node.runs(task)
    assert len(runs) == 13
    assert [run.nominal for run in runs].count(None) == 1
