"""The task types of the clusters under fault. Each handler writes what really happens to the record that `E2E_RECORD` names.

A line tells the fence under which the handler acts; its result and its checkpoints hold it too, so that the store can be held
against it. A handler that is interrupted writes `cut` where it would have written `end`.
"""

from __future__ import annotations

import time
from typing import Any

import trio

import tocsin
from tests.cluster.recording import Context, mark, recorded

Result = dict[str, Any]


def result(ctx: Context) -> Result:
    """Tells under which fence it was made."""
    return {"fence": ctx.fence}


@tocsin.task("brief")
async def brief(ctx: tocsin.Context) -> Result:
    """Start and end with nothing between."""
    with recorded(ctx):
        return result(ctx)


@tocsin.task("lasting")
async def lasting(ctx: tocsin.Context, *, seconds: float) -> Result:
    """Start and end with some time between."""
    with recorded(ctx):
        await trio.sleep(seconds)
    return result(ctx)


@tocsin.task("marked")
async def marked(ctx: tocsin.Context, *, edit: int) -> Result:
    """For tasks that are edited: the start tells under which edit."""
    with recorded(ctx, item=str(edit)):
        return result(ctx)


@tocsin.task("failing")
async def failing(ctx: tocsin.Context, *, attempts: int) -> Result:
    """Fails in its first attempts."""
    with recorded(ctx):
        if ctx.attempt <= attempts:
            raise RuntimeError(f"attempt {ctx.attempt} of {attempts} that fail")
        return result(ctx)


@tocsin.task("in a thread")
def in_a_thread(ctx: tocsin.SyncContext) -> Result:
    """A plain function."""
    with recorded(ctx):
        time.sleep(0.02)
    return result(ctx)


@tocsin.task("in a process", isolation="process")
def in_a_process(ctx: tocsin.SyncContext) -> Result:
    """A process of its own."""
    with recorded(ctx):
        return result(ctx)


@tocsin.task("long")
async def long(ctx: tocsin.Context, *, steps: int, rest: float) -> Result:
    """Counts, with a checkpoint at each number: each tells under which fence it was made."""
    former = ctx.resumed_from
    position = None if former is None else int(former["position"])
    with recorded(ctx, position=position):
        for number in range((position or 0) + 1, steps + 1):
            await trio.sleep(rest)
            mark("trying", ctx, position=number)
            await ctx.checkpoint({"position": number, "fence": ctx.fence})
            mark("kept", ctx, position=number)
    return result(ctx)
