"""Task types of the tests in the browser: what ends well, what fails, what takes long and says how far it is."""

from __future__ import annotations

import trio

import tocsin


@tocsin.task("console.quick")
async def quick(ctx: tocsin.Context, *, word: str = "done") -> str:
    """End at once, with the word as the result."""
    ctx.log.info("saying %s", word)
    return word


@tocsin.task("console.fails", retry=tocsin.Retry(max_retries=1, delay="2s"))
async def fails(ctx: tocsin.Context, *, why: str = "the disk is full") -> None:
    """Fail each time, and say why."""
    ctx.log.warning("about to fail")
    raise RuntimeError(why)


@tocsin.task("console.long")
async def long(ctx: tocsin.Context, *, steps: int = 1000, rest: float = 0.1) -> int:
    """Go on for a while, with progress, log lines and a checkpoint at each step."""
    for done in range(int(ctx.resumed_from or 0), steps):
        ctx.progress(done=done, total=steps, step=f"step {done}")
        ctx.log.info("step %d of %d", done, steps)
        await ctx.checkpoint(done)
        await trio.sleep(rest)
    return steps


@tocsin.task("console.typed")
async def typed(
    ctx: tocsin.Context,
    *,
    region: str,
    limit: int = 10,
    ratio: float = 0.5,
    dry: bool = False,
    names: list[str] | None = None,
) -> str:
    """Take parameters of all kinds."""
    return f"{region} {limit} {ratio} {dry} {names}"
