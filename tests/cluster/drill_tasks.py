"""The task types of the drills. Each handler writes start and end to the record, see `recording`."""

from __future__ import annotations

import os

import trio

import tocsin
from tests.cluster.recording import mark, recorded


@tocsin.task("brief")
async def brief(ctx: tocsin.Context, *, note: str | None = None) -> None:
    """Start and end with nothing between."""
    with recorded(ctx, **({} if note is None else {"note": note})):
        pass


@tocsin.task("lasting")
async def lasting(ctx: tocsin.Context, *, seconds: float) -> None:
    """Start and end with some time between."""
    with recorded(ctx):
        await trio.sleep(seconds)


@tocsin.task("deadly")
async def deadly(ctx: tocsin.Context) -> None:
    """Takes its node with it."""
    mark("start", ctx)
    os.kill(os.getpid(), 9)


@tocsin.task("deadly in a process", isolation="process")
def deadly_in_a_process(ctx: tocsin.SyncContext) -> None:
    """Takes the process with it that it has for itself."""
    mark("start", ctx)
    os.kill(os.getpid(), 9)
