"""The world of one life of one node: a wall clock that is not quite right, and a store that takes time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import trio

from actors.cluster_coordinator import LEASES
from actors.lanes import READS, WRITER
from actors.lookout import WAKES
from runtime.clock import SECOND, Instant
from runtime.simulation import SimulatedWorld

from .database import Client

T = TypeVar("T")


class NodeWorld(SimulatedWorld):
    """Calls of the store go through `client`, one after the other in the lanes that have one thread. drift: by how much faster
    its wall clock goes than the true one. threaded: see `SimulatedWorld`."""

    def __init__(
        self,
        seed: int | str,
        client: Client,
        start: Instant,
        *,
        skew: float = 0.0,
        drift: float = 0.0,
        threaded: Callable[[str], bool] = lambda lane: False,
    ) -> None:
        super().__init__(seed, Instant(start + round(skew * SECOND)), 0.0, threaded, 1.0 + drift)
        self._client = client
        self._locks = {lane: trio.Lock() for lane in (WRITER, LEASES)}

    async def blocking(self, function: Callable[..., T], *arguments: Any, lane: str, abandon: bool = False) -> T:
        if lane == WAKES:
            await self._client.woken(*arguments)
            return await super().blocking(function, *arguments, lane=lane)
        if lane == READS:
            return await self._call(function, arguments)
        if (lock := self._locks.get(lane)) is None:
            return await super().blocking(function, *arguments, lane=lane, abandon=abandon)
        # A thread cannot be cancelled; whoever waits for its turn can.
        async with lock:
            scope = trio.CancelScope(shield=not abandon)
            with scope:
                return await self._call(function, arguments)
        raise AssertionError(f"nobody cancels this scope: {scope}")

    async def _call(self, function: Callable[..., T], arguments: tuple[Any, ...]) -> T:
        await trio.lowlevel.checkpoint()
        await self._client.reach()
        result = function(*arguments)
        await self._client.come_back(self._client.done())
        return result
