"""What a stop of the node makes of handlers that give way to it: nothing is lost, and nothing counts as a failure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

import tocsin
from actors.handling.catalogue import DECLARED, Catalogue, TaskType, task_type
from actors.model.lifecycle import State
from tests.actors import process_handlers
from tocsin.node import LocalNode


def in_thread(ctx: tocsin.SyncContext) -> Any:
    if ctx.resumed_from is not None:
        return ctx.resumed_from
    return process_handlers.obeys_the_drain(ctx)


async def asynchronous(ctx: tocsin.Context) -> Any:
    if ctx.resumed_from is not None:
        return ctx.resumed_from
    await ctx.checkpoint(7)
    ctx.log.info("ready")
    await ctx.interrupted.wait()
    raise tocsin.HandlerInterrupted(ctx.cancellation_reason)


async def until_checkpoint(node: LocalNode, execution_id: str) -> None:
    with trio.fail_after(30):
        while not (await node.execution(execution_id)).execution.checkpoints:  # noqa: ASYNC110
            await trio.sleep(0.005)


@pytest.mark.parametrize(
    "entry",
    [task_type("work", in_thread), task_type("work", asynchronous), DECLARED.get("resumes_after_the_drain")],
    ids=["thread", "async", "process"],
)
async def test_who_gives_way_to_a_stop_goes_on_at_the_next_start(tmp_path: Path, entry: TaskType) -> None:
    catalogue = Catalogue([entry])
    async with tocsin.open_node(data=tmp_path, catalogue=catalogue, drain_timeout="20s") as node:
        await node.every("100d", entry.name, name="careful")
        execution = await node.run("careful")
        await until_checkpoint(node, execution.id)
    async with tocsin.open_node(data=tmp_path, catalogue=catalogue) as node:
        with trio.fail_after(20):
            while (detail := await node.execution(execution.id)).execution.is_open:  # noqa: ASYNC110
                await trio.sleep(0.005)
        ended = detail.execution
        assert (ended.state, ended.failures, ended.crashes, ended.attempt) == (State.COMPLETED, 0, 0, 2)
        assert detail.result == "7"
        assert [(one.failure.type, one.failure.message) for one in detail.attempts if one.failure] == [
            ("Interrupted", "drain")
        ]
