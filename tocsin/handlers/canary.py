"""The task type `canary`: does nothing but tell when it ran. Drills are made of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from actors.handling.context import Context
from runtime.clock import to_datetime
from runtime.world import World


def make_canary(world: World) -> Callable[[Context], Awaitable[str]]:
    """The handler. world: whose clock it reads."""

    async def canary(_ctx: Context) -> str:
        """Do nothing; the result is when."""
        return to_datetime(world.now()).isoformat()

    return canary
