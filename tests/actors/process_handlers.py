"""Handlers that the tests run in worker processes."""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import time
from typing import Any, NoReturn

import attrs
import trio

from actors.handling.catalogue import DECLARED, task_type
from actors.handling.context import Context, HandlerInterrupted, SyncContext
from actors.handling.typed import checkpointed


def everything(ctx: SyncContext, *, size: int) -> dict[str, Any]:
    sys.stdout.write("printed\n")
    sys.stderr.write("complained\n")
    ctx.log.info("logged %d", size)
    ctx.progress(done=1, total=2)
    ctx.heartbeat()
    ctx.checkpoint({"size": size})
    return {
        "pid": os.getpid(),
        "resumed": ctx.resumed_from,
        "extra": None if ctx.extra is None else ctx.extra.hex(),
        "key": ctx.idempotency_key,
        "facts": [ctx.task_id, ctx.task, ctx.type, ctx.execution_id, ctx.attempt, ctx.fence, ctx.node, ctx.kind],
        "times": [str(ctx.nominal), str(ctx.assigned)],
        "secret": os.environ.get("TOCSIN_TOKEN"),
    }


async def asynchronous(ctx: Context, *, size: int) -> dict[str, Any]:
    ctx.log.info("logged %d", size)
    await ctx.checkpoint({"size": size})
    ctx.progress(done=1)
    return {"pid": os.getpid(), "resumed": ctx.resumed_from}


def fail(ctx: SyncContext) -> None:
    raise ConnectionResetError("no line")


async def fail_async(ctx: Context) -> None:
    raise ConnectionResetError("no line")


def checkpoint_too_much(ctx: SyncContext) -> str:
    try:
        ctx.checkpoint("x" * 300_000)
    except ValueError as error:
        return type(error).__name__
    return "nothing"


def return_set(ctx: SyncContext) -> Any:
    return {1}


def exit_now(ctx: SyncContext, *, code: int) -> None:
    os._exit(code)


def kill_itself(ctx: SyncContext) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def gives_way(ctx: SyncContext) -> None:
    ctx.log.info("ready")
    try:
        time.sleep(60)
    except BaseException as error:
        ctx.checkpoint([type(error).__name__, ctx.cancellation_reason])
        raise


async def gives_way_async(ctx: Context) -> None:
    ctx.log.info("ready")
    try:
        await trio.sleep_forever()
    except trio.Cancelled:
        sys.stdout.write("given way\n")
        raise
    finally:
        ctx.log.info("finally: %s", ctx.cancellation_reason)


def finishes_anyway(ctx: SyncContext) -> str:
    ctx.log.info("ready")
    try:
        time.sleep(60)
    except BaseException:
        ctx.log.info("nearly done")
    return "done"


async def finishes_anyway_async(ctx: Context) -> str:
    ctx.log.info("ready")
    try:
        await trio.sleep_forever()
    except trio.Cancelled:
        return "done"


def closes_descriptors(ctx: SyncContext) -> None:
    os.closerange(3, 256)


def logs_without_end(ctx: SyncContext, *, lines: int, size: int) -> None:
    text = "x" * size
    for _ in range(lines):
        ctx.log.info(text)


def prints_without_end(ctx: SyncContext, *, size: int) -> None:
    for _ in range(size // 1_000_000):
        sys.stdout.write("x" * 999_999 + "\n")


def large_result(ctx: SyncContext) -> str:
    return "x" * 5_000_000


def deaf(ctx: SyncContext) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ctx.log.info("ready %d", os.getpid())
    while True:
        time.sleep(60)


def sees_the_drain(ctx: SyncContext) -> str | None:
    ctx.log.info("ready")
    while not ctx.cancelled:
        time.sleep(0.01)
    return ctx.cancellation_reason


def obeys_the_drain(ctx: SyncContext) -> NoReturn:
    ctx.checkpoint(7)
    ctx.log.info("ready")
    while True:
        time.sleep(0.01)
        ctx.raise_if_cancelled()


async def obeys_the_drain_async(ctx: Context) -> None:
    ctx.log.info("ready")
    await ctx.interrupted.wait()
    raise HandlerInterrupted(ctx.cancellation_reason)


def resumes_after_the_drain(ctx: SyncContext) -> Any:
    if ctx.resumed_from is not None:
        return ctx.resumed_from
    return obeys_the_drain(ctx)


def invokes(ctx: SyncContext, *, task: str, wait: bool = True) -> Any:
    ctx.log.info("invokes %s", task)
    made = ctx.tasks.create("greet", name="made by a process", trigger={"every": "5m"})
    return [ctx.invoke(task, {"region": "us"}, wait=wait), made["name"], ctx.trigger_kind, ctx.channel]


async def invokes_async(ctx: Context, *, task: str) -> Any:
    try:
        return await ctx.invoke(task, {"region": 5})
    except ValueError as error:
        return str(error)


def keeps_extra(ctx: SyncContext) -> str:
    return "" if ctx.extra is None else hashlib.sha256(ctx.extra).hexdigest()


@checkpointed("process scan", version=2, migrate={1: lambda old: {"at": old["position"], "seen": []}})
@attrs.define
class Scan:
    at: int
    seen: list[str]


def scans(ctx: SyncContext) -> Any:
    state = ctx.resume(Scan) or Scan(0, [])
    ctx.checkpoint(Scan(state.at + 1, [*state.seen, "process"]))
    return state.at


for _handler in (
    invokes,
    invokes_async,
    keeps_extra,
    closes_descriptors,
    logs_without_end,
    prints_without_end,
    large_result,
    scans,
    everything,
    asynchronous,
    fail,
    fail_async,
    checkpoint_too_much,
    return_set,
    exit_now,
    kill_itself,
    gives_way,
    gives_way_async,
    finishes_anyway,
    finishes_anyway_async,
    deaf,
    sees_the_drain,
    obeys_the_drain,
    obeys_the_drain_async,
    resumes_after_the_drain,
):
    DECLARED.register(task_type(_handler.__name__, _handler, isolation="process"))
