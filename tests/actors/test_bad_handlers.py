"""What handlers can do wrong, and what keeps it from the node: its loop, its memory, its descriptors, other attempts."""

from __future__ import annotations

import os
import threading
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
import trio

from actors.handling.catalogue import task_type
from actors.handling.context import Context, HandlerInterrupted, SyncContext
from actors.handling.logbook import MAX_LOG_CHARACTERS, MAX_LOG_LINES, TRUNCATED
from actors.handling.payload import MAX_CHECKPOINT, MAX_RESULT
from actors.keeper_messages import Interrupt, Release
from actors.model.lifecycle import State
from actors.model.policy import Policies
from runtime.clock import MILLISECOND, Micros
from runtime.errors import TooLarge
from runtime.world import RealWorld
from tests.actors.executor_kit import Keeper, real_world, running, start
from tests.actors.test_runners import in_process

FLAT = 64 * 1024 * 1024
"""Bytes that a node may need for an attempt that logs a gigabyte: what is kept of it, several times over."""


async def works(ctx: Context) -> int:
    return 1


async def still_works(executor: Any, keeper: Keeper) -> None:
    """Another attempt completes after the bad one."""
    told = len(keeper.ends)
    await executor.mailbox.tell(start(99, type="works"))
    await keeper.until(lambda keeper: len(keeper.ends) > told)
    assert (keeper.ends[-1].execution_id, keeper.ends[-1].state) == ("e99", State.COMPLETED)


WORKS = task_type("works", works)


# -- 41: one byte too many


@pytest.mark.parametrize("kind", ["async", "thread"])
async def test_41_checkpoint_one_byte_over_the_limit(kind: str) -> None:
    fits, too_much = "x" * (MAX_CHECKPOINT - 2), "x" * (MAX_CHECKPOINT - 1)

    async def handler(ctx: Context) -> str:
        await ctx.checkpoint(fits)
        with pytest.raises(TooLarge, match=f"{MAX_CHECKPOINT + 1} bytes"):
            await ctx.checkpoint(too_much)
        await ctx.checkpoint("after")
        return "went on"

    def threaded(ctx: SyncContext) -> str:
        ctx.checkpoint(fits)
        with pytest.raises(TooLarge, match=f"{MAX_CHECKPOINT + 1} bytes"):
            ctx.checkpoint(too_much)
        ctx.checkpoint("after")
        return "went on"

    async with running(handler if kind == "async" else threaded, world=real_world()) as (executor, keeper):
        await executor.mailbox.tell(start())
        end = await keeper.end()
        assert (end.state, end.result) == (State.COMPLETED, '"went on"')
        assert keeper.checkpoints == [f'"{fits}"', '"after"']


# -- 47: what user code can do to the process


class Odd(BaseException):
    pass


@pytest.mark.parametrize("error", [Odd("odd"), SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
@pytest.mark.parametrize("kind", ["async", "thread"])
async def test_47_base_exceptions_end_the_attempt_only(error: BaseException, kind: str) -> None:
    async def handler(ctx: Context) -> None:
        raise error

    def threaded(ctx: SyncContext) -> None:
        raise error

    bad = task_type("bad", handler if kind == "async" else threaded)
    async with running(bad, WORKS, world=real_world()) as (executor, keeper):
        await executor.mailbox.tell(start(type="bad"))
        end = await keeper.end()
        assert end.failure is not None
        assert (end.state, end.failure.type) == (State.FAILED, type(error).__name__)
        await still_works(executor, keeper)


async def test_47_a_process_that_exits_ends_the_attempt_only() -> None:
    async with running(in_process("exit_now"), WORKS, world=real_world()) as (executor, keeper):
        await executor.mailbox.tell(start(type="exit_now", parameters='{"code":7}'))
        end = await keeper.end()
        assert end.failure is not None
        assert (end.state, end.failure.type) == (State.FAILED, "WorkerDied")
        await still_works(executor, keeper)


async def test_47_a_leaked_task_does_not_outlive_its_nursery_nor_hold_the_executor_up() -> None:
    leaked = trio.Event()

    async def forever() -> None:
        try:
            await trio.sleep_forever()
        finally:
            leaked.set()

    async def handler(ctx: Context) -> None:
        trio.lowlevel.spawn_system_task(forever)

    async with running(handler, WORKS, world=real_world()) as (executor, keeper):
        await executor.mailbox.tell(start())
        assert (await keeper.end()).state is State.COMPLETED
        await still_works(executor, keeper)
    assert not leaked.is_set(), "a system task is the loop's, and nobody waits for it"


async def test_47_a_leaked_cancel_scope_reaches_no_other_attempt() -> None:
    async def handler(ctx: Context) -> None:
        trio.CancelScope(deadline=trio.current_time() + 0.01).__enter__()

    async with running(task_type("bad", handler), WORKS, world=real_world()) as (executor, keeper):
        await executor.mailbox.tell(start(type="bad"))
        await keeper.end()
        await trio.sleep(0.02)
        await still_works(executor, keeper)


async def test_47_a_process_that_closes_every_descriptor_ends_its_attempt_only() -> None:
    async with running(in_process("closes_descriptors"), WORKS, world=real_world()) as (executor, keeper):
        await executor.mailbox.tell(start(type="closes_descriptors"))
        end = await keeper.end()
        assert end.state is State.FAILED
        await still_works(executor, keeper)


async def test_47_a_handler_that_closes_its_own_descriptors_twice_harms_nobody() -> None:
    async def handler(ctx: Context) -> None:
        theirs, ours = os.pipe()
        os.close(theirs)
        os.close(ours)
        os.close(ours)

    async with running(handler, WORKS, world=real_world()) as (executor, keeper):
        await executor.mailbox.tell(start())
        end = await keeper.end()
        assert end.failure is not None
        assert end.failure.type == "OSError"
        await still_works(executor, keeper)


# -- 48: too much of everything


@pytest.mark.parametrize("kind", ["async", "thread", "process"])
async def test_48_a_result_of_five_megabytes_is_a_typed_error(kind: str) -> None:
    async def handler(ctx: Context) -> str:
        return "x" * 5_000_000

    def threaded(ctx: SyncContext) -> str:
        return "x" * 5_000_000

    bad = {"async": task_type("large_result", handler), "thread": task_type("large_result", threaded)}
    entry = bad[kind] if kind in bad else in_process("large_result")
    async with running(entry, WORKS, world=real_world()) as (executor, keeper):
        await executor.mailbox.tell(start(type="large_result"))
        end = await keeper.end()
        assert end.failure is not None
        assert (end.state, end.failure.type) == (State.FAILED, "TooLarge")
        assert f"5000002 bytes of JSON, the limit is {MAX_RESULT}" in end.failure.message
        await still_works(executor, keeper)


def asynchronous(lines: int, text: str) -> Callable[[Context], Any]:
    async def handler(ctx: Context) -> None:
        for number in range(lines):
            ctx.log.info(text)
            if number % 10_000 == 0:
                await trio.lowlevel.checkpoint()

    return handler


def threaded(lines: int, text: str) -> Callable[[SyncContext], Any]:
    def handler(ctx: SyncContext) -> None:
        for _ in range(lines):
            ctx.log.info(text)

    return handler


@pytest.mark.parametrize("make", [asynchronous, threaded])
@pytest.mark.parametrize(("lines", "size"), [(1_000_000, 1), (130_000, 8_000)])
async def test_48_a_million_lines_or_a_gigabyte_leave_the_memory_flat(make: Any, lines: int, size: int) -> None:
    async with running(make(lines, "x" * size), WORKS, world=real_world()) as (executor, keeper):
        tracemalloc.start()
        try:
            await executor.mailbox.tell(start())
            await keeper.end(120)
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert most < FLAT
        assert keeper.lines[-1] == TRUNCATED
        assert len(keeper.lines) <= MAX_LOG_LINES + 1
        assert sum(len(line) for line in keeper.lines) <= MAX_LOG_CHARACTERS + 10_000
        await still_works(executor, keeper)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("logs_without_end", '{"lines":200000,"size":1}'),
        ("logs_without_end", '{"lines":20000,"size":8000}'),
        ("prints_without_end", '{"size":50000000}'),
    ],
)
async def test_48_a_process_that_talks_without_end_is_cut_off(name: str, parameters: str) -> None:
    async with running(in_process(name), WORKS, world=real_world()) as (executor, keeper):
        await executor.mailbox.tell(start(type=name, parameters=parameters))
        assert (await keeper.end(120)).state is State.COMPLETED
        assert keeper.lines[-1] == TRUNCATED
        assert sum(len(line) for line in keeper.lines) <= MAX_LOG_CHARACTERS + 10_000
        await still_works(executor, keeper)


# -- cancel, with the reason visible


REASON = "cancelled by anna: wrong month"


async def test_cancel_of_an_async_handler_shows_the_reason_in_except_and_finally() -> None:
    seen: list[Any] = []

    async def handler(ctx: Context) -> None:
        ctx.log.info("ready")
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            seen.append(("except", ctx.cancelled, ctx.cancellation_reason))
            raise
        finally:
            seen.append(("finally", ctx.cancelled, ctx.cancellation_reason))

    async with running(handler, world=real_world()) as (executor, keeper):
        await executor.mailbox.tell(start())
        await keeper.until(lambda keeper: "ready" in keeper.lines)
        await executor.mailbox.tell(Interrupt("e1", 1, REASON))
        end = await keeper.end()
        assert (end.state, end.reason) == (State.CANCELLED, REASON)
    assert seen == [("except", True, REASON), ("finally", True, REASON)]


async def test_cancel_of_a_thread_is_seen_where_it_looks() -> None:
    seen: list[Any] = []

    def handler(ctx: SyncContext) -> None:
        ctx.log.info("ready")
        try:
            while True:
                ctx.raise_if_cancelled()
                time.sleep(0.002)
        except HandlerInterrupted:
            seen.append(("except", ctx.cancelled, ctx.cancellation_reason))
            raise
        finally:
            seen.append(("finally", ctx.cancelled, ctx.cancellation_reason))

    async with running(handler, world=real_world()) as (executor, keeper):
        await executor.mailbox.tell(start())
        await keeper.until(lambda keeper: "ready" in keeper.lines)
        await executor.mailbox.tell(Interrupt("e1", 1, REASON))
        end = await keeper.end()
        assert (end.state, end.reason, end.holds_slot) == (State.CANCELLED, REASON, False)
    assert seen == [("except", True, REASON), ("finally", True, REASON)]


async def test_cancel_of_a_deaf_thread_abandons_it_and_a_person_releases_its_slot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("actors.executor_core.ABANDON_SECONDS", 0.05)
    go_on = threading.Event()
    seen: list[Any] = []

    def handler(ctx: SyncContext) -> None:
        ctx.log.info("ready")
        go_on.wait()
        seen.append(ctx.cancellation_reason)

    def quick(ctx: SyncContext) -> None: ...

    types = (task_type("work", handler), task_type("quick", quick))
    async with running(*types, world=RealWorld({"handlers": 1}), slots=1) as (executor, keeper):
        await executor.mailbox.tell(start())
        await keeper.until(lambda keeper: "ready" in keeper.lines)
        await executor.mailbox.tell(Interrupt("e1", 1, REASON))
        end = await keeper.end()
        assert (end.state, end.reason, end.holds_slot) == (State.CANCELLED, REASON, True)
        await executor.mailbox.tell(Release("e1", 1))
        await keeper.until(lambda keeper: keeper.freed == 1)
        assert (executor.core.abandoned, executor.core.stuck) == (0, 1)
        await executor.mailbox.tell(start(2, type="quick"))
        await keeper.until(lambda keeper: len(keeper.ends) == 2)
        assert keeper.ends[1].state is State.COMPLETED, "there is a thread for it, although the pool has but one"
        go_on.set()
        with trio.fail_after(30):
            while executor.core.stuck:  # noqa: ASYNC110
                await trio.sleep(0.002)
        assert keeper.freed == 1, "its slot was given back already"
    assert seen == [REASON]


async def test_cancel_of_a_process_terminates_it_with_the_reason_visible() -> None:
    async with running(in_process("gives_way"), world=real_world()) as (executor, keeper):
        await executor.mailbox.tell(start(type="gives_way"))
        await keeper.until(lambda keeper: "ready" in keeper.lines)
        await executor.mailbox.tell(Interrupt("e1", 1, REASON))
        end = await keeper.end()
        assert (end.state, end.reason) == (State.CANCELLED, REASON)
        assert keeper.checkpoints == [f'["HandlerInterrupted","{REASON}"]']


async def test_cancel_of_an_async_handler_in_a_process_shows_the_reason() -> None:
    async with running(in_process("gives_way_async"), world=real_world()) as (executor, keeper):
        await executor.mailbox.tell(start(type="gives_way_async"))
        await keeper.until(lambda keeper: "ready" in keeper.lines)
        await executor.mailbox.tell(Interrupt("e1", 1, REASON))
        end = await keeper.end()
        assert (end.state, end.reason) == (State.CANCELLED, REASON)
        assert f"finally: {REASON}" in keeper.lines


async def test_cancel_of_a_deaf_process_kills_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.handling.runners.process.KILL_SECONDS", 0.1)
    async with running(in_process("deaf"), world=real_world()) as (executor, keeper):
        await executor.mailbox.tell(start(type="deaf", policies=Policies(timeout=Micros(60_000 * MILLISECOND))))
        line = await keeper.until(lambda keeper: [line for line in keeper.lines if line.startswith("ready")])
        await executor.mailbox.tell(Interrupt("e1", 1, REASON))
        end = await keeper.end()
        assert (end.state, end.reason, end.holds_slot) == (State.CANCELLED, REASON, False)
        with pytest.raises(ProcessLookupError):
            os.kill(int(line[0].split()[1]), 0)
