"""Handlers that invoke: once, whatever attempt they are in, and no longer than they live."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import trio

import tocsin
from actors.handling.catalogue import Catalogue, task_type
from actors.handling.context import Context, SyncContext
from actors.model.lifecycle import State
from actors.model.policy import Policies, Retry
from runtime.clock import Micros
from tests.tocsin.test_context_tools import node_with
from tests.tocsin.test_node import ended
from tocsin import testing
from tocsin.access.caller import FIRST_ADMINISTRATOR
from tocsin.channels.invoking import Wanted, begin, invoke
from tocsin.channels.tasks import MAX_DEPTH
from tocsin.node import LocalNode
from tocsin.testing import VirtualCluster, VirtualNode

AGAIN = Policies(retry=Retry(max_retries=5, delay=Micros(10_000)))


async def ran(node: LocalNode, type_name: str) -> tuple[Any, ...]:
    """Run a type, and tell how it ended."""
    detail = await invoke(node.inner, FIRST_ADMINISTRATOR, type_name, Wanted(), channel="rest", wait=30)
    return detail.execution.state, detail.execution.failure, detail.result


async def children(node: LocalNode, name: str) -> list[str]:
    task = await node.task(f"invoke {name}")
    rows, _ = await node.inner.executions(task.id, offset=0, limit=100)
    return [row.state.value for row in rows]


async def test_a_later_attempt_gets_what_a_former_one_invoked(tmp_path: Path) -> None:
    async def parent(ctx: Context) -> Any:
        async with trio.open_nursery() as nursery:
            for count in (1, 2):
                nursery.start_soon(ctx.invoke, "greet", {"count": count})
        same = [await ctx.invoke("greet"), await ctx.invoke("greet"), await ctx.invoke("greet", key="mine")]
        if ctx.attempt < 3:
            raise ConnectionResetError
        return same

    catalogue = Catalogue([*_types(), task_type("parent", parent, policies=AGAIN)])
    async with tocsin.open_node(data=tmp_path, catalogue=catalogue, synchronous="NORMAL", drain_timeout="0s") as node:
        assert (await ran(node, "parent"))[0] is State.COMPLETED
        assert await children(node, "greet") == ["COMPLETED"] * 5


async def test_what_follows_a_checkpoint_is_invoked_anew(tmp_path: Path) -> None:
    async def parent(ctx: Context) -> None:
        for step in range(ctx.resumed_from or 0, 4):
            await ctx.invoke("greet")
            await ctx.checkpoint(step + 1)
            if ctx.attempt == step == 1:
                raise ConnectionResetError

    catalogue = Catalogue([*_types(), task_type("parent", parent, policies=AGAIN)])
    async with tocsin.open_node(data=tmp_path, catalogue=catalogue, synchronous="NORMAL", drain_timeout="0s") as node:
        assert (await ran(node, "parent"))[0] is State.COMPLETED
        assert await children(node, "greet") == ["COMPLETED"] * 4


async def test_what_has_failed_is_tried_again_with_the_next_attempt(tmp_path: Path) -> None:
    tries: list[str] = []

    async def child(ctx: Context) -> str:
        tries.append(ctx.execution_id)
        if len(tries) < 3:
            raise ConnectionResetError
        return "done"

    async def parent(ctx: Context) -> Any:
        return await ctx.invoke("child")

    types = [task_type("child", child), task_type("parent", parent, policies=AGAIN)]
    async with tocsin.open_node(
        data=tmp_path, catalogue=Catalogue(types), synchronous="NORMAL", drain_timeout="0s"
    ) as node:
        assert (await ran(node, "parent"))[2] == '"done"'
    assert len(set(tries)) == 3


def _types() -> list[Any]:
    from tests.tocsin.conftest import CATALOGUE

    return list(CATALOGUE)


async def test_a_recursion_comes_to_an_end(tmp_path: Path) -> None:
    depths: list[int] = []

    async def odd(ctx: Context) -> None:
        depths.append(ctx.invocation.depth)
        await ctx.invoke("even")

    async def even(ctx: Context) -> None:
        depths.append(ctx.invocation.depth)
        await ctx.invoke("odd")

    async with node_with(tmp_path, odd, even) as node:
        state, failure, _ = await ran(node, "odd")
    assert state is State.FAILED
    assert "at most 16 may" in failure.message
    assert depths == list(range(MAX_DEPTH + 1))


async def test_what_is_waited_for_is_cancelled_with_who_waits(tmp_path: Path) -> None:
    async def parent(ctx: Context) -> None:
        await ctx.invoke("wait")

    def threaded(ctx: SyncContext) -> None:
        ctx.invoke("wait")

    async with node_with(tmp_path, parent, threaded) as node:
        for name, cancelled in (("parent", 1), ("threaded", 2)):
            execution = await begin(node.inner, FIRST_ADMINISTRATOR, name, Wanted(), channel="rest")
            with trio.fail_after(30):
                while await running(node) != 1:  # noqa: ASYNC110
                    await trio.sleep(0.01)
            await node.cancel_execution(execution.id)
            assert (await ended(node, execution)).state is State.CANCELLED
            with trio.fail_after(30):
                while await children(node, "wait") != ["CANCELLED"] * cancelled:  # noqa: ASYNC110
                    await trio.sleep(0.01)


async def running(node: LocalNode) -> int:
    try:
        return (await children(node, "wait")).count("RUNNING")
    except tocsin.NotFound:
        return 0


TRIES: list[str] = []


async def long_child(ctx: Context) -> str:
    TRIES.append(ctx.execution_id)
    await trio.sleep(60)
    return "done"


async def patient(ctx: Context) -> Any:
    return await ctx.invoke("long_child", timeout=3600)


LONG = Catalogue([task_type("long_child", long_child), task_type("patient", patient)])


@testing.simulated(catalogue=LONG)
async def test_a_crash_of_the_node_invokes_nothing_twice(node: VirtualNode) -> None:
    TRIES.clear()
    execution = await begin(node.inner, FIRST_ADMINISTRATOR, "patient", Wanted(), channel="rest")
    await node.advance("10s")
    await node.crash(down="1s")
    await node.advance("10m")
    detail = await node.execution(execution.id)
    assert (detail.execution.state, detail.execution.attempt, detail.result) == (State.COMPLETED, 2, '"done"')
    assert await children(node, "long_child") == ["COMPLETED"]
    assert len(set(TRIES)) == 1
    assert len(TRIES) == 2


@testing.simulated(nodes=3, catalogue=Catalogue([*_types(), task_type("patient", patient)]))
async def test_a_parent_and_its_child_may_be_on_two_nodes(cluster: VirtualCluster) -> None:
    async def parent(name: str) -> None:
        detail = await invoke(cluster.node(name).inner, FIRST_ADMINISTRATOR, "greet", Wanted(), channel="rest", wait=30)
        assert detail.execution.state is State.COMPLETED

    async with trio.open_nursery() as nursery:
        for name in cluster.nodes:
            nursery.start_soon(parent, name)
        await cluster.advance("20s")
    assert await children(cluster, "greet") == ["COMPLETED"] * 3
