"""What handlers ask of their node: other tasks run, made and changed from the loop, from threads and from processes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

import tocsin
import tocsin.testing
from actors.handling.catalogue import Catalogue, task_type
from actors.handling.context import Context, SyncContext
from actors.handling.hooks import Hook
from actors.model.execution import Execution
from actors.model.lifecycle import State
from runtime.errors import Conflict, InvalidRequest, InvocationFailed, NotFound, ReplyTimeout
from tests.actors import process_handlers
from tests.tocsin.conftest import CATALOGUE
from tests.tocsin.test_node import ended
from tocsin.node import LocalNode

Handler = Any


@asynccontextmanager
async def node_with(path: Path, *handlers: Handler, **more: Handler) -> AsyncIterator[LocalNode]:
    """A node with the conftest's types and these functions under their own names."""
    catalogue = Catalogue([*CATALOGUE, *[task_type(one.__name__, one) for one in handlers]])
    for name, process in more.items():
        catalogue.register(task_type(name, process, isolation="process"))
    async with tocsin.open_node(data=path, catalogue=catalogue, synchronous="NORMAL", drain_timeout="0s") as node:
        yield node


async def result_of(node: LocalNode, type_name: str, **parameters: Any) -> Execution:
    """Run a handler once, as a task of its own in memory."""
    builder = node.new_task(type_name).named(f"the {type_name}").with_period("1h").non_persistent()
    task = await builder.with_parameters(parameters).retry(tocsin.Retry(max_retries=0)).schedule()
    return await ended(node, await node.run(task.id))


async def test_a_task_is_run_and_its_result_comes_back(tmp_path: Path) -> None:
    async def parent(ctx: Context) -> Any:
        return await ctx.invoke("eu", {"region": "us"})

    async with node_with(tmp_path, parent) as node:
        child = await node.every("1h", "greet", name="eu")
        execution = await result_of(node, "parent")
        assert (await node.execution(execution.id)).result == '{"region":"us","count":1}'
        [run] = await node.executions(child.id)
    assert (run.channel, run.correlation, run.state) == ("task", execution.id, State.COMPLETED)


async def test_the_correlation_id_is_handed_on(tmp_path: Path) -> None:
    async def child(ctx: Context) -> Any:
        return [ctx.correlation_id, ctx.channel, ctx.trigger_kind]

    async def middle(ctx: Context) -> Any:
        return [ctx.correlation_id, await ctx.invoke("child")]

    async def parent(ctx: Context) -> Any:
        return [ctx.execution_id, await ctx.invoke("middle")]

    async with node_with(tmp_path, child, middle, parent) as node:
        execution = await result_of(node, "parent")
        first = execution.id
        assert (await node.execution(first)).result == f'["{first}",["{first}",["{first}","task","manual"]]]'


async def test_without_waiting_the_answer_is_the_execution(tmp_path: Path) -> None:
    async def parent(ctx: Context) -> Any:
        return await ctx.invoke("eu", wait=False)

    async with node_with(tmp_path, parent) as node:
        child = await node.every("1h", "greet", name="eu")
        execution = await result_of(node, "parent")
        [run] = await node.executions(child.id)
        assert (await node.execution(execution.id)).result == f'"{run.id}"'


async def test_what_fails_fails_the_invocation(tmp_path: Path) -> None:
    seen: list[Any] = []

    async def parent(ctx: Context) -> None:
        for task, parameters, timeout in [
            ("broken", None, 60),
            ("slow", None, 0.05),
            ("nobody", None, 60),
            ("eu", {"x": 1}, 1),
        ]:
            try:
                await ctx.invoke(task, parameters, timeout=timeout)
            except tocsin.TocsinError as error:
                seen.append((type(error), str(error)))

    async with node_with(tmp_path, parent) as node:
        await node.new_task("fail").named("broken").with_period("1h").retry(tocsin.Retry(max_retries=0)).schedule()
        await node.every("1h", "wait", name="slow")
        await node.every("1h", "greet", name="eu")
        assert (await result_of(node, "parent")).state is State.COMPLETED
    assert [one[0] for one in seen] == [InvocationFailed, ReplyTimeout, NotFound, InvalidRequest]
    assert "task 'broken' is FAILED in execution" in seen[0][1]
    assert seen[0][1].endswith("ValueError: boom")
    assert "task 'slow' still goes on as execution" in seen[1][1]
    assert "no task type of that name" in seen[2][1]
    assert "unknown parameter 'x'" in seen[3][1]


async def test_a_failure_is_not_told_before_the_last_retry(tmp_path: Path) -> None:
    tries: list[int] = []

    async def flaky(ctx: Context) -> int:
        tries.append(ctx.attempt)
        if ctx.attempt < 3:
            raise ConnectionResetError
        return ctx.attempt

    async def parent(ctx: Context) -> Any:
        return await ctx.invoke("often")

    async with node_with(tmp_path, flaky, parent) as node:
        retry = tocsin.Retry(max_retries=5, delay="10ms")
        await node.new_task("flaky").named("often").with_period("1h").retry(retry).schedule()
        execution = await result_of(node, "parent")
        assert (await node.execution(execution.id)).result == "3"
    assert tries == [1, 2, 3]


async def test_waiting_for_oneself_is_refused(tmp_path: Path) -> None:
    async def parent(ctx: Context) -> Any:
        await ctx.invoke(ctx.task)

    async with node_with(tmp_path, parent) as node:
        execution = await result_of(node, "parent")
    assert execution.failure is not None
    assert (execution.failure.type, "cannot wait for itself" in execution.failure.message) == ("InvalidRequest", True)


async def test_a_running_task_that_forbids_overlap_is_a_conflict(tmp_path: Path) -> None:
    seen: list[str] = []

    async def parent(ctx: Context) -> Any:
        await ctx.invoke("slow", wait=False)
        try:
            await ctx.invoke("slow")
        except Conflict as error:
            seen.append(str(error))

    async with node_with(tmp_path, parent) as node:
        await node.every("1h", "wait", name="slow")
        assert (await result_of(node, "parent")).state is State.COMPLETED
    assert len(seen) == 1


@pytest.mark.parametrize("bad", [{"timeout": 0}, {"timeout": 10**9}, {"timeout": "1s"}, {"parameters": [1]}])
async def test_an_invocation_that_makes_no_sense_is_refused(tmp_path: Path, bad: dict[str, Any]) -> None:
    async def parent(ctx: Context) -> None:
        await ctx.invoke("greet", **bad)

    async with node_with(tmp_path, parent) as node:
        execution = await result_of(node, "parent")
    assert execution.failure is not None
    assert execution.failure.type == "InvalidRequest"
    assert next(iter(bad)) in execution.failure.message


async def test_a_type_is_invoked_through_one_task_of_its_own(tmp_path: Path) -> None:
    async def parent(ctx: Context) -> Any:
        async with trio.open_nursery() as nursery:
            for count in range(5):
                nursery.start_soon(ctx.invoke, "greet", {"count": count})
        return await ctx.invoke("greet")

    async with node_with(tmp_path, parent) as node:
        execution = await result_of(node, "parent")
        assert (await node.execution(execution.id)).result == '{"region":"eu","count":1}'
        task = await node.task("invoke greet")
        assert len(await node.executions(task.id)) == 6
        assert (task.definition.persistent, task.state.phase.value) == (True, "paused")


async def test_tasks_are_made_and_changed_in_the_tasks_name(tmp_path: Path) -> None:
    told: list[Any] = []

    async def parent(ctx: Context) -> Any:
        made = await ctx.tasks.create("greet", name="child", trigger={"every": "5m"})
        told.append((await ctx.tasks.get("child"))["itemId"] == made["itemId"])
        told.append((await ctx.tasks.list(type="greet", limit=10))["totalSize"])
        told.append((await ctx.tasks.edit("child", parameters={"region": "us"}))["parameters"])
        told.append((await ctx.tasks.pause("child", "for a while"))["paused"])
        told.append((await ctx.tasks.run("child", {"count": 7}))["channel"])
        told.append((await ctx.tasks.activate("child"))["paused"])
        told.append(await ctx.tasks.cancel("child"))
        told.append((await ctx.tasks.get("child"))["status"])
        told.append(await ctx.tasks.delete("child"))
        with pytest.raises(NotFound):
            await ctx.tasks.get("child")
        with pytest.raises(InvalidRequest, match="unknown argument 'typ'; did you mean 'type'"):
            await ctx.tasks.list(typ="greet")
        with pytest.raises(InvalidRequest, match="limit"):
            await ctx.tasks.list(limit=-1)
        with pytest.raises(InvalidRequest, match="cannot ask for 'show_node'"):
            await ctx.call("show_node", {})

    async with node_with(tmp_path, parent) as node:
        execution = await result_of(node, "parent")
        assert execution.failure is None
    assert told == [True, 1, {"region": "us"}, True, "task", False, None, "CANCELLED", None]


async def test_threads_ask_too(tmp_path: Path) -> None:
    def threaded(ctx: SyncContext) -> Any:
        made = ctx.tasks.create("greet", name="child", trigger={"every": "5m"})
        with pytest.raises(NotFound):
            ctx.tasks.get("nobody")
        return [made["name"], ctx.invoke("child", {"region": "us"})["region"]]

    async with node_with(tmp_path, threaded) as node:
        execution = await result_of(node, "threaded")
        assert (await node.execution(execution.id)).result == '["child","us"]'


async def test_a_thread_that_waits_for_another_task_can_be_cancelled(tmp_path: Path) -> None:
    seen: list[str | None] = []

    def threaded(ctx: SyncContext) -> None:
        ctx.log.info("ready")
        try:
            ctx.invoke("slow")
        finally:
            seen.append(ctx.cancellation_reason)

    async with node_with(tmp_path, threaded) as node:
        await node.every("1h", "wait", name="slow")
        task = await node.every("1h", "threaded", persistent=False)
        execution = await node.run(task.id)
        with trio.fail_after(30):
            while not await node.inner.logs(execution.id, after=0, limit=10):  # noqa: ASYNC110
                await trio.sleep(0.01)
        await node.cancel(task.id)
        ending = await ended(node, execution)
        assert (ending.state, ending.lingers) == (State.CANCELLED, False)
    assert seen == [ending.cancel_reason]


async def test_processes_ask_too(tmp_path: Path) -> None:
    handlers = {"invokes": process_handlers.invokes, "invokes_async": process_handlers.invokes_async}
    async with node_with(tmp_path, **handlers) as node:
        await node.every("1h", "greet", name="eu")
        execution = await result_of(node, "invokes", task="eu")
        detail = await node.execution(execution.id)
        assert detail.result == '[{"region":"us","count":1},"made by a process","manual","task"]'
        assert (await node.task("made by a process")).definition.owner == "task:the invokes"
        execution = await result_of(node, "invokes_async", task="eu")
        assert "parameter 'region' must be str, not 5" in ((await node.execution(execution.id)).result or "")


async def test_a_process_that_waits_is_heard_meanwhile(tmp_path: Path) -> None:
    async with node_with(tmp_path, invokes=process_handlers.invokes) as node:
        await node.every("1h", "wait", name="slow")
        task = await node.every("1h", "invokes", persistent=False, task="slow")
        execution = await node.run(task.id)
        with trio.fail_after(30):
            while not await node.inner.logs(execution.id, after=0, limit=10):  # noqa: ASYNC110
                await trio.sleep(0.01)
        await node.cancel(task.id)
        assert (await ended(node, execution)).state is State.CANCELLED


def test_invocations_and_hooks_work_on_virtual_time() -> None:
    heard: list[Any] = []

    async def parent(ctx: Context) -> Any:
        return [await ctx.invoke("child", {"hours": 2}, timeout=86_000), ctx.trigger_kind]

    async def child(ctx: Context, *, hours: int) -> int:
        await trio.sleep(hours * 3600)
        return hours

    async def after(ctx: Context, state: tocsin.Ended) -> None:
        heard.append(("after", ctx.type, state.result))

    def outcome(settled: tocsin.Settled) -> None:
        heard.append(("outcome", settled.type, settled.outcome, settled.state))

    catalogue = Catalogue([task_type("parent", parent), task_type("child", child)])
    catalogue.hooks.extend([Hook("after", after), Hook("on_outcome", outcome, type="parent")])

    @tocsin.testing.simulated(start="2026-01-01T00:00:00Z", catalogue=catalogue)
    async def plays(node: tocsin.testing.VirtualNode) -> None:
        await node.cron("0 6 * * *", "parent", name="daily")
        await node.advance("10h")
        [run] = await node.runs("daily")
        assert await node.result(run) == [2, "cron"]

    plays()
    assert heard == [
        ("after", "child", 2),
        ("after", "parent", [2, "cron"]),
        ("outcome", "parent", "fired", State.COMPLETED),
    ]
