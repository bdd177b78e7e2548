"""Coordinators of several nodes over one store in memory and a simulated coordination service; keepers only listen."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import trio

from actors.cluster_coordinator import ClusterCoordinator, LeaseCalls
from actors.cluster_coordinator_core import ZONES_ATTRIBUTE
from actors.cluster_coordinator_messages import Drain
from actors.keeper_messages import Own, Recover
from actors.sharing_messages import ZonesSwitched
from actors.store.memory import MemoryStore
from runtime.cluster_coordination import ClusterCoordination, CoordinationSettings
from runtime.coordination_messages import Member
from runtime.errors import StoreUnavailable
from runtime.mailbox import Mailbox
from runtime.simulated_registry import SimulatedRegistry
from runtime.simulated_service import SimulatedService
from runtime.simulation import SimulatedWorld
from tests.runtime.coordination_kit import until

PARTITIONS = 8
ZONES = "2026f"


class Link:
    """A node's way to the store, which can be cut."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self.down = False

    def __getattr__(self, name: str) -> Any:
        if self.down:
            raise StoreUnavailable("the store is gone")
        return getattr(self._store, name)


class CoordinatorNode:
    """One node: its coordination, its coordinator, and a keeper that writes down what it hears."""

    def __init__(self, cluster: CoordinatorCluster, name: str, zones: str = ZONES, **settings: Any) -> None:
        self.name = name
        self.cluster = cluster
        self.world = SimulatedWorld(origin=0.0)
        self.link = Link(cluster.store)
        self.registry = SimulatedRegistry(cluster.service, name)
        self.coordination = ClusterCoordination(
            self.registry,
            world=self.world,
            slots=PARTITIONS,
            cluster_id="c1",
            settings=CoordinationSettings(**settings),
        )
        self.keeper: Mailbox[Any] = Mailbox("keeper")
        self.timer: Mailbox[Any] = Mailbox("timer")
        self.told: list[Any] = []
        self.timer_told: list[Any] = []
        self.calls: list[Any] = []
        self.own = Own({})
        calls = LeaseCalls(
            new_boot=lambda: f"{name}-{next(cluster.lives)}",
            doubted=lambda: self.calls.append("doubted"),
            trusted=lambda boot: self.calls.append("trusted"),
            lost=lambda former, boot: self.calls.append((former, boot)),
        )
        self.actor = ClusterCoordinator(
            f"{name} coordinator",
            member=Member(f"{name}-{next(cluster.lives)}", name, 1, {ZONES_ATTRIBUTE: zones}),
            partitions=PARTITIONS,
            coordination=self.coordination,
            store=self.link,  # type: ignore[arg-type]
            world=self.world,
            keeper=self.keeper,
            timer=self.timer,
            writer="writer",
            reader="reads",
            calls=calls,
        )
        self._scope = trio.CancelScope()

    @property
    def owned(self) -> dict[int, int]:
        """The partitions that its keeper acts for, with their epochs."""
        return dict(self.own.epochs)

    def heard(self, kind: type) -> list[Any]:
        return [message for message in self.told if isinstance(message, kind)]

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        with self._scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._listen, self.keeper, self.told)
                nursery.start_soon(self._listen, self.timer, self.timer_told)
                await nursery.start(self.coordination.run)
                await nursery.start(self.actor.run)
                task_status.started()
                await trio.sleep_forever()

    async def _listen(self, mailbox: Mailbox[Any], heard: list[Any]) -> None:
        while batch := await mailbox.receive(64):
            for message in batch:
                heard.append(message)
                if isinstance(message, Own):
                    self.own = message

    async def drain(self) -> None:
        await self.actor.mailbox.tell(Drain())

    def die(self) -> None:
        """As by kill -9."""
        self.cluster.service.cut(self.name)
        del self.cluster.nodes[self.name]
        self.own = Own({})
        self._scope.cancel()


class CoordinatorCluster:
    """Nodes over one store and one service."""

    def __init__(self, service: SimulatedService, nursery: trio.Nursery) -> None:
        self.service = service
        self.nursery = nursery
        self.lives = count(1)
        self.world = SimulatedWorld(origin=0.0)
        self.store = MemoryStore(clock=self.world.now)
        self.store.open(new_cluster_id="c1", partitions=PARTITIONS, timezone_database=ZONES)
        self.nodes: dict[str, CoordinatorNode] = {}

    async def add(self, *names: str, **options: Any) -> CoordinatorNode:
        for name in names:
            self.nodes[name] = CoordinatorNode(self, name, **options)
            self.service.heal(name)
            await self.nursery.start(self.nodes[name].run)
        return self.nodes[names[-1]]

    def owners(self) -> dict[int, list[str]]:
        return {slot: [node.name for node in self.nodes.values() if slot in node.owned] for slot in range(PARTITIONS)}

    def covered(self) -> bool:
        """Every partition has one owner, whose epoch is the store's."""
        epochs = self.store.epochs()
        current = all(epochs[slot] == epoch for node in self.nodes.values() for slot, epoch in node.owned.items())
        return current and all(len(owners) == 1 for owners in self.owners().values())

    async def settle(self, seconds: float = 30.0) -> float:
        begun = trio.current_time()
        await until(lambda: self.covered() and self.even(), seconds)
        return trio.current_time() - begun

    def even(self) -> bool:
        counts = [len(node.owned) for node in self.nodes.values()]
        return max(counts) - min(counts) <= 1


def recoveries(node: CoordinatorNode) -> list[Recover]:
    return node.heard(Recover)


def switches(node: CoordinatorNode) -> list[ZonesSwitched]:
    return node.heard(ZonesSwitched)


@asynccontextmanager
async def coordinators(*names: str, seed: int = 1, **options: Any) -> AsyncIterator[CoordinatorCluster]:
    """Some coordinators that share all partitions evenly."""
    async with trio.open_nursery() as nursery:
        service = SimulatedService(random.Random(seed))
        await nursery.start(service.run)
        made = CoordinatorCluster(service, nursery)
        if names:
            await made.add(*names, **options)
            await made.settle()
        yield made
        nursery.cancel_scope.cancel()
