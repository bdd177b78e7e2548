"""The task type of `bench_console`: it does nothing, often."""

from __future__ import annotations

import tocsin


@tocsin.task("bench.update")
async def update(ctx: tocsin.Context) -> None:
    """Do nothing: that it ran is the news."""
