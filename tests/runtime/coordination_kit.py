"""Nodes that take part in a cluster's coordination and do nothing else."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio

from runtime.cluster_coordination import ClusterCoordination, CoordinationSettings
from runtime.coordination import Coordination
from runtime.coordination_messages import (
    Barred,
    CoordinationEvent,
    Granted,
    Member,
    MembersChanged,
    Revoked,
    SessionLost,
)
from runtime.registry import Registry
from runtime.simulated_registry import SimulatedRegistry
from runtime.simulated_service import SimulatedService
from runtime.simulation import SimulatedWorld

SLOTS = 16


class Node:
    """A member that takes what it is granted, and gives up what is revoked (unless it `clings`)."""

    def __init__(self, coordination: Coordination, member: Member) -> None:
        self.coordination = coordination
        self.member = member
        self.grants: dict[int, int] = {}
        self.history: list[CoordinationEvent] = []
        self.members: list[str] = []
        self.former: dict[int, int] = {}
        self.clings = False
        self._scope = trio.CancelScope()

    @property
    def name(self) -> str:
        return self.member.name

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        run = getattr(self.coordination, "run", None)
        with self._scope:
            async with trio.open_nursery() as nursery:
                if run is not None:
                    await nursery.start(run)
                await self.join(nursery)
                task_status.started()
                await trio.sleep_forever()

    async def join(self, nursery: trio.Nursery) -> None:
        """Take part, or do so from the beginning."""
        self.grants.clear()
        events = await self.coordination.join(self.member)
        nursery.start_soon(self._listen, events)
        await self.coordination.request(self.former)

    async def _listen(self, events: trio.MemoryReceiveChannel[CoordinationEvent]) -> None:
        async for event in events:
            await self._hear(event)

    async def _hear(self, event: CoordinationEvent) -> None:
        self.history.append(event)
        match event:
            case Granted(grants=grants):
                assert all(grant > self.former.get(slot, 0) for slot, grant in grants.items()), "a grant came again"
                self.former.update(grants)
                self.grants.update(grants)
            case Revoked(slots=slots):
                if not self.clings:
                    await self.give_up(slots)
            case SessionLost():
                self.grants.clear()
            case MembersChanged(members=members):
                self.members = [member.name for member in members]
            case Barred():
                pass

    async def give_up(self, slots: frozenset[int]) -> None:
        for slot in slots:
            self.grants.pop(slot, None)
        await self.coordination.released(slots)

    def heard(self, kind: type) -> list[Any]:
        return [event for event in self.history if isinstance(event, kind)]

    def die(self) -> None:
        """As by kill -9, but that the servers may be told: cut the client off before to have it silent."""
        self._scope.cancel()


class Cluster:
    """Nodes over one simulated service."""

    def __init__(self, service: SimulatedService, nursery: trio.Nursery, slots: int) -> None:
        self.service = service
        self.slots = slots
        self.nodes: dict[str, Node] = {}
        self._nursery = nursery

    def registry(self, client: str, timeout: float = 4.0) -> SimulatedRegistry:
        return SimulatedRegistry(self.service, client, timeout)

    def node(
        self,
        name: str,
        boot: str = "",
        *,
        client: str = "",
        weight: int = 1,
        cluster_id: str = "c1",
        slots: int | None = None,
        registry: Registry | None = None,
        **settings: Any,
    ) -> Node:
        """A node, not started yet. `client`: the name under which its connection is cut, its own unless given."""
        coordination = ClusterCoordination(
            registry or self.registry(client or name),
            world=SimulatedWorld(),
            slots=self.slots if slots is None else slots,
            cluster_id=cluster_id,
            settings=CoordinationSettings(**settings),
        )
        return Node(coordination, Member(boot or f"{name}-boot", name, weight))

    async def add(self, *names: str, **options: Any) -> Node:
        for name in names:
            node = self.nodes[name] = self.node(name, **options)
            await self._nursery.start(node.run)
        return self.nodes[names[-1]]

    async def start(self, node: Node) -> Node:
        self.nodes[node.name] = node
        await self._nursery.start(node.run)
        return node

    def kill(self, name: str) -> Node:
        """The node is gone without a word; the servers notice by its silence."""
        node = self.nodes.pop(name)
        self.service.cut(name)
        node.die()
        return node

    def holders(self) -> dict[int, list[str]]:
        """Who believes to hold a slot."""
        return {slot: [node.name for node in self.nodes.values() if slot in node.grants] for slot in range(self.slots)}

    def owner_nodes(self) -> dict[int, str | None]:
        """The sessions that have owner nodes, as the servers know."""
        tree = self.service.tree()
        paths = {slot: f"/slots/{slot}/owner" for slot in range(self.slots)}
        return {slot: tree[path].owner for slot, path in paths.items() if path in tree}

    def settled(self) -> bool:
        """Everything is held once, by whom the servers know as its owner, and shares are even."""
        sessions = {node.coordination.status().session: node for node in self.nodes.values()}
        held = {slot: sessions[session].name for slot, session in self.owner_nodes().items() if session in sessions}
        counts = [len(node.grants) for node in self.nodes.values() if node.member.weight]
        even = not counts or max(counts) - min(counts) <= 1
        return (
            even
            and self.holders() == {slot: [held[slot]] if slot in held else [] for slot in range(self.slots)}
            and (len(held) == self.slots)
        )

    async def settle(self, seconds: float = 30.0) -> float:
        """Wait until `settled`; answers how long it took."""
        begun = trio.current_time()
        await until(self.settled, seconds)
        return trio.current_time() - begun


async def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait for a condition, looked at every millisecond."""
    with trio.fail_after(seconds):
        while not condition():  # noqa: ASYNC110 - nothing tells of a condition
            await trio.sleep(0.001)


@asynccontextmanager
async def cluster(
    *names: str, slots: int = SLOTS, seed: int = 1, service: Any = None, **options: Any
) -> AsyncIterator[Cluster]:
    """A cluster with some nodes, settled."""
    async with trio.open_nursery() as nursery:
        served = SimulatedService(random.Random(seed), **(service or {}))
        await nursery.start(served.run)
        made = Cluster(served, nursery, slots)
        if names:
            await made.add(*names, **options)
            await made.settle()
        yield made
        nursery.cancel_scope.cancel()
