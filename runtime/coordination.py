"""The port to whatever decides who may act for which slot: sessions, members, leadership, grants of numbered slots.

A *grant* is the right to try for a slot, with a number that grows with every change of holder. It is not yet ownership: the
store decides that, by its fence (the epoch). Adapters: `SoloCoordination` here, one node and no server; `ClusterCoordination`
over a registry, which is ZooKeeper or its simulated twin.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import attrs
import trio

from .coordination_messages import CoordinationEvent, Granted, Member


@attrs.frozen
class CoordinationStatus:
    """What there is to see of the coordination.

    `connected`: a server answers. `trusted`: the trust window is open: this node may lead. `leader`: the
    name of the leading node. `owners`: slot to the name of the node that holds its owner node. `gate`: what a cold start waits
    for. `problem`: why this node does not take part.
    """

    session: str | None = None
    connected: bool = False
    trusted: bool = False
    leader: str | None = None
    owners: Mapping[int, str] = attrs.field(factory=dict)
    gate: str | None = None
    problem: str | None = None


class Coordination(Protocol):
    """What a node needs of a coordination service. No call waits for a server longer than its own deadline."""

    async def join(self, member: Member) -> trio.MemoryReceiveChannel[CoordinationEvent]:
        """Begin to take part as this member; what it holds follows as events. Joining again begins anew.

        The caller must read the events until the channel ends.
        """
        ...

    async def request(self, former: Mapping[int, int]) -> None:
        """Ask for slots, telling the highest grant number that the store knows of each: grants will be higher.

        Also called for a slot that the store has refused as stale: a new grant is asked for if it is still assigned here.
        """
        ...

    async def released(self, slots: frozenset[int]) -> None:
        """Revoked slots are not acted for any more: others may take them."""
        ...

    async def record(self, epochs: Mapping[int, int]) -> None:
        """Keep the raised epochs beside the slots, for ever: a store with lower ones was restored from an older copy."""
        ...

    async def recorded(self) -> Mapping[int, int]:
        """The highest epoch recorded of every slot. Raises Conflict where the service is another cluster's."""
        ...

    async def describe(self, member: Member) -> None:
        """Change weight and attributes of this member."""
        ...

    async def leave(self) -> None:
        """End the session: what is held goes to others at once."""
        ...

    def members(self) -> tuple[Member, ...]:
        """All live members as last heard, by name."""
        ...

    def status(self) -> CoordinationStatus:
        """What there is to see."""
        ...


class SoloCoordination:
    """One node that owns every slot and needs no server. What makes it alone is the lock on its data directory."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._member: Member | None = None
        self._epochs: dict[int, int] = {}
        self._send: trio.MemorySendChannel[CoordinationEvent] | None = None

    async def join(self, member: Member) -> trio.MemoryReceiveChannel[CoordinationEvent]:
        if self._send is not None:
            self._send.close()
        # One event per request, and a node requests once per session.
        self._send, receive = trio.open_memory_channel[CoordinationEvent](2)
        self._member = member
        await trio.lowlevel.checkpoint()
        return receive

    async def request(self, former: Mapping[int, int]) -> None:
        if self._send is not None:
            await self._send.send(Granted({slot: former.get(slot, 0) + 1 for slot in range(self._slots)}))

    async def released(self, slots: frozenset[int]) -> None:
        """Nobody else is there to take them."""

    async def record(self, epochs: Mapping[int, int]) -> None:
        self._epochs.update(epochs)

    async def recorded(self) -> Mapping[int, int]:
        return dict(self._epochs)

    async def describe(self, member: Member) -> None:
        self._member = member

    async def leave(self) -> None:
        if self._send is not None:
            self._send.close()
        self._send = self._member = None

    def members(self) -> tuple[Member, ...]:
        return () if self._member is None else (self._member,)

    def status(self) -> CoordinationStatus:
        if self._member is None:
            return CoordinationStatus()
        name = self._member.name
        owners = dict.fromkeys(range(self._slots), name)
        return CoordinationStatus(self._member.boot, connected=True, trusted=True, leader=name, owners=owners)
