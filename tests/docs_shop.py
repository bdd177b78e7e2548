"""Task types for the pictures of the documentation: a shop, with the troubles of one."""

from __future__ import annotations

import random

import trio

import tocsin

CHANCE = random.Random(7)


@tocsin.task("shop.report", retry=tocsin.Retry(max_retries=2, delay="3s"))
async def report(ctx: tocsin.Context, *, region: str = "eu") -> dict[str, int]:
    """Ask the warehouse, which does not always answer."""
    ctx.log.info("asking the warehouse about %s", region)
    await trio.sleep(CHANCE.uniform(0.5, 3))
    if CHANCE.random() < 0.3:
        raise RuntimeError("the warehouse did not answer within 30 s")
    return {"rows": CHANCE.randrange(1000, 9000)}


@tocsin.task("shop.sync")
async def sync(ctx: tocsin.Context) -> str:
    """Bring the shop up to date."""
    await trio.sleep(CHANCE.uniform(0.1, 1.5))
    return "up to date"


@tocsin.task("shop.mail")
async def mail(ctx: tocsin.Context) -> int:
    """Send what waits."""
    await trio.sleep(CHANCE.uniform(0.1, 0.6))
    return CHANCE.randrange(20)


@tocsin.task("shop.backup")
async def backup(ctx: tocsin.Context, *, volumes: int = 240) -> int:
    """Copy one volume after the other; after a crash go on with the next."""
    for done in range(int(ctx.resumed_from or 0), volumes):
        ctx.progress(done=done, total=volumes, step=f"volume {done}")
        ctx.log.info("volume %d copied", done)
        await ctx.checkpoint(done)
        await trio.sleep(1)
    return volumes
