"""Task types for node processes. The tests open gates for them, which are files in the directory `GATES`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import trio

import tocsin

GATES = Path(os.environ["GATES"])


@tocsin.task("dataSync")
async def data_sync(ctx: tocsin.Context, **parameters: object) -> None:
    """Do what the contract's examples show, and wait for the gate."""
    with (GATES / "resumed").open("a") as file:
        file.write(json.dumps(ctx.resumed_from) + "\n")
    ctx.progress(done=500, total=1000, step="Processing records")
    if ctx.resumed_from is None:
        await ctx.checkpoint({"lastProcessedId": "12345", "progress": 50})
    while not (GATES / "dataSync").exists():  # noqa: ASYNC110 - files have no events
        await trio.sleep(0.05)


@tocsin.task("quick")
async def quick(ctx: tocsin.Context, **parameters: object) -> None:
    """Complete at once."""


@tocsin.task("waiter")
async def waiter(ctx: tocsin.Context, **parameters: object) -> None:
    """Run until cancelled."""
    await trio.sleep_forever()


@tocsin.task("filler")
async def filler(ctx: tocsin.Context, **parameters: object) -> None:
    """Complete at once; there are so many of these that they do not fit on a page."""


@tocsin.task("failing")
async def failing(ctx: tocsin.Context, gate: str = "", **parameters: object) -> None:
    """Fail until the gate is open."""
    if not gate or not (GATES / gate).exists():
        raise RuntimeError("the gate is shut")
