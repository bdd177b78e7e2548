"""The port to whatever decides who may act for which slot: sessions, members, leadership, grants of numbered slots.

A *grant* is the right to try for a slot, with a number that grows with every change of holder. It is not yet ownership: the
store decides that, by its fence (the epoch). Adapters: `SoloCoordination` here, one node and no server; others speak to a
coordination service.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import trio

from .coordination_messages import CoordinationEvent, Granted


class Coordination(Protocol):
    """What a node needs of a coordination service."""

    async def join(self, boot: str) -> trio.MemoryReceiveChannel[CoordinationEvent]:
        """Begin a session for this process; what it holds follows as events. Joining again begins a new session."""
        ...

    async def request(self, former: Mapping[int, int]) -> None:
        """Ask for slots, telling the highest grant number known of each: grants will be higher."""
        ...

    def members(self) -> tuple[str, ...]:
        """The boot ids of all live members."""
        ...


class SoloCoordination:
    """One node that owns every slot and needs no server. What makes it alone is the lock on its data directory."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._boot: str | None = None
        self._send: trio.MemorySendChannel[CoordinationEvent] | None = None

    async def join(self, boot: str) -> trio.MemoryReceiveChannel[CoordinationEvent]:
        if self._send is not None:
            self._send.close()
        # One event per request, and a node requests once per session.
        self._send, receive = trio.open_memory_channel[CoordinationEvent](2)
        self._boot = boot
        await trio.lowlevel.checkpoint()
        return receive

    async def request(self, former: Mapping[int, int]) -> None:
        if self._send is not None:
            await self._send.send(Granted({slot: former.get(slot, 0) + 1 for slot in range(self._slots)}))

    def members(self) -> tuple[str, ...]:
        return () if self._boot is None else (self._boot,)
