"""What a node tells of the runs that it interrupts when it stops, and of those that it finds when it starts."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import trio

import tocsin
from actors.handling.catalogue import Catalogue, task_type
from actors.model.execution import Execution, Kind
from actors.model.lifecycle import State
from runtime.clock import Instant
from tocsin.lifetime import runs
from tocsin.lifetime.runs import Run, described, going_on, how_they_go_on, left_behind, listed
from tocsin.node import LocalNode
from tocsin.serving import _drain


async def saving(ctx: tocsin.Context) -> Any:
    await ctx.checkpoint({"done": 7})
    await trio.sleep_forever()


async def forgetful(_ctx: tocsin.Context) -> None:
    await trio.sleep_forever()


async def quick(_ctx: tocsin.Context) -> None:
    return None


CATALOGUE = Catalogue([task_type("saving", saving), task_type("forgetful", forgetful), task_type("quick", quick)])


async def begun(node: LocalNode, name: str, type_name: str, *, persistent: bool = True) -> str:
    await node.every("100d", type_name, name=name, persistent=persistent)
    execution = await node.run(name)
    with trio.fail_after(20):
        while True:
            found = (await node.execution(execution.id)).execution
            if found.checkpoints or (found.state is State.RUNNING and type_name != "saving"):
                return execution.id
            await trio.sleep(0.005)


async def test_what_a_stop_interrupts_is_named_and_named_again_at_the_next_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tocsin.serving")
    async with tocsin.open_node(data=tmp_path, catalogue=CATALOGUE, drain_timeout="100ms") as node:
        await begun(node, "import", "saving")
        await begun(node, "report", "forgetful")
        await begun(node, "passing", "forgetful", persistent=False)
        assert [run.name for run in await going_on(node.inner)] == ["import", "report", "passing"]
        assert await left_behind(node.inner, Instant(0)) == []
        with trio.CancelScope() as scope:
            await _drain(node, scope)
        assert scope.cancel_called
    waited, interrupted = (record.getMessage() for record in caplog.records)
    assert waited.startswith("3 runs go on: import (since ")
    assert waited.endswith("waiting for up to 0.1 s, then they are interrupted")
    kept = 'import goes on from its checkpoint {"done":7}; report starts again from the beginning: it had no checkpoint'
    lost = "; passing does not go on: it is not persistent"
    assert interrupted.replace(": 7", ":7") == f"3 runs interrupted: at the next start {kept}{lost}"
    async with tocsin.open_node(data=tmp_path, catalogue=CATALOGUE, drain_timeout="0s") as node:
        found = await left_behind(node.inner, node.world.now())
        told = "; ".join(await how_they_go_on(node.inner, found))
        assert told.replace(": 7", ":7") == kept


async def test_what_ended_in_time_was_not_interrupted(tmp_path: Path) -> None:
    async with tocsin.open_node(data=tmp_path, catalogue=CATALOGUE, drain_timeout="0s") as node:
        await node.every("100d", "quick", name="quick")
        execution = await node.run("quick")
        with trio.fail_after(20):
            while (await node.execution(execution.id)).execution.is_open:  # noqa: ASYNC110
                await trio.sleep(0.005)
        assert await how_they_go_on(node.inner, [Run("quick", execution)]) == []
        assert await going_on(node.inner) == []


def test_of_many_runs_only_some_are_named() -> None:
    execution = Execution("e", "t", Kind.MANUAL, State.RUNNING, Instant(0), started_at=Instant(0))
    text = described([Run("x", execution)] * (runs.MOST_NAMED + 2), Instant(13_000_000))
    assert text.count("x (since ") == runs.MOST_NAMED
    assert text.startswith("12 runs go on: ") and text.endswith("13 s), and 2 more")
    assert described([Run("x", execution)], Instant(0)).startswith("1 run goes on: x (")
    assert listed([]) == ""
