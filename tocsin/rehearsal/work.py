"""The task types of our own rehearsals. Each writes down what it really does, and tells its fence in its result."""

from __future__ import annotations

from typing import Any

import trio

from actors.handling.catalogue import TaskType, task_type
from actors.handling.context import Context

from .record import Record


def work_types(record: Record) -> list[TaskType]:
    """`brief`, `lasting`, `failing`, `long`."""

    async def brief(ctx: Context) -> dict[str, Any]:
        with record.attempt(ctx):
            record.write("effect", ctx, key=ctx.execution_id)
            return {"fence": ctx.fence}

    async def lasting(ctx: Context, *, seconds: float) -> dict[str, Any]:
        with record.attempt(ctx):
            await trio.sleep(seconds)
            record.write("effect", ctx, key=ctx.execution_id)
            return {"fence": ctx.fence}

    async def failing(ctx: Context, *, attempts: int) -> dict[str, Any]:
        with record.attempt(ctx):
            if ctx.attempt <= attempts:
                raise RuntimeError(f"attempt {ctx.attempt} of {attempts} that fail")
            return {"fence": ctx.fence}

    async def long(ctx: Context, *, steps: int, rest: float) -> dict[str, Any]:
        former = ctx.resumed_from
        position = None if former is None else int(former["position"])
        with record.attempt(ctx, position):
            for number in range((position or 0) + 1, steps + 1):
                await trio.sleep(rest)
                record.write("trying", ctx, number)
                await ctx.checkpoint({"position": number, "fence": ctx.fence})
                record.write("kept", ctx, number)
            return {"fence": ctx.fence}

    return [task_type(one.__name__, one, source="") for one in (brief, lasting, failing, long)]
