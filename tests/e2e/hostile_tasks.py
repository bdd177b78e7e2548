"""Handlers that misbehave, and one that keeps time beside them. What really happened goes to the record in `E2E_RECORD`."""

from __future__ import annotations

import time
from typing import Any

import trio

import tocsin
from tests.e2e.record import note


class HardStop(BaseException):
    """Not an Exception: passes every `except Exception`."""


@tocsin.task("steady", every="100ms", retry=tocsin.Retry(max_retries=3, delay="200ms"))
async def steady(ctx: tocsin.Context) -> None:
    """Keeps time while others misbehave."""
    note("start", ctx)
    note("end", ctx)


@tocsin.task("hog")
async def hog(ctx: tocsin.Context, *, seconds: float) -> str:
    """Never yields while it runs."""
    note("start", ctx)
    time.sleep(seconds)  # noqa: ASYNC251
    note("end", ctx)
    return "done"


@tocsin.task("bad end", retry=tocsin.Retry(max_retries=0))
async def bad_end(ctx: tocsin.Context, *, how: str) -> Any:
    """Ends in one of the ways in which no handler should."""
    match how:
        case "error":
            raise ValueError("as any handler may")
        case "base exception":
            raise HardStop("passes every except")
        case "system exit":
            raise SystemExit(3)
        case "keyboard interrupt":
            raise KeyboardInterrupt
        case "cancelled":
            with trio.CancelScope() as scope:
                scope.cancel()
                await trio.lowlevel.checkpoint()
            raise RuntimeError("after a scope of its own")
        case "a set":
            return {1, 2}
        case "not a number":
            return float("nan")
        case "too large":
            return "x" * 300_000
    return None


@tocsin.task("bad end in a thread", retry=tocsin.Retry(max_retries=0))
def bad_end_in_a_thread(ctx: tocsin.SyncContext, *, how: str) -> Any:
    """The same in a thread."""
    match how:
        case "base exception":
            raise HardStop("passes every except")
        case "system exit":
            raise SystemExit(3)
        case "a set":
            return {1, 2}
    return None


@tocsin.task("chatter", retry=tocsin.Retry(max_retries=0))
async def chatter(ctx: tocsin.Context, *, lines: int) -> int:
    """Logs without end."""
    for number in range(lines):
        ctx.log.info("line %d", number)
        if number % 1_000 == 0:
            await trio.lowlevel.checkpoint()
    ctx.log.info("y" * 100_000)
    return lines


@tocsin.task("counting", retry=tocsin.Retry(max_retries=0))
async def counting(ctx: tocsin.Context, *, upto: int) -> int:
    """Counts, with a checkpoint at each number."""
    first = ctx.resumed_from
    note("start", ctx, position=first)
    for number in range((first or 0) + 1, upto + 1):
        note("work", ctx, item=str(number))
        note("trying", ctx, position=number)
        await ctx.checkpoint(number)
        note("kept", ctx, position=number)
        await trio.sleep(0.05)
    note("end", ctx)
    return upto
