"""Task types for tests about what one node sees of another."""

from __future__ import annotations

import trio

import tocsin


@tocsin.task("steps")
async def steps(ctx: tocsin.Context, *, rounds: int = 1, note: str = "") -> None:
    """Say something, and how far it is, every tenth of a second."""
    for number in range(1, rounds + 1):
        ctx.log.info("round %d", number)
        ctx.progress(done=number, total=rounds, step="rounds")
        await trio.sleep(0.1)


@tocsin.task("brief")
async def brief(ctx: tocsin.Context) -> None:
    """Nothing."""
