"""The stage of a rehearsal: real nodes in one loop, over a simulated network, simulated coordination servers, and a shared store.

A node has one life after the other. Each is a process of its own, with a world of its own; all that survives it is what it wrote
to the store, and its session at the coordination servers until that lapses.
"""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from actors.cluster import Surroundings
from actors.cluster_config import ClusterConfig
from actors.composition import open_node
from actors.handling.catalogue import Catalogue
from actors.lanes import NodeConfig
from actors.node import Node
from actors.rhythm import Rhythm
from actors.store.memory import MemoryStore
from runtime.clock import SECOND, Instant, Micros
from runtime.errors import TocsinError
from runtime.simulated_network import SimulatedNetwork
from runtime.simulated_process import SimulatedProcess
from runtime.simulated_registry import SimulatedRegistry
from runtime.simulated_service import SimulatedService
from runtime.simulation import SimulatedWorld

from ..checker.history import Span
from .database import PATIENCE, Client, Database
from .plan import SESSION, Knobs
from .record import Record, Trace
from .tree_view import members
from .world import NodeWorld

logger = logging.getLogger(__name__)

KEY: Final = b"a rehearsal's cluster key, 32 by"
"""Of the links: the handshake of a real cluster is made."""

LEASE: Final = 5.0
STORE_GRACE: Final = 2.0
OFFER: Final = 1.0
"""Seconds of a cluster with the default rhythm, as `SESSION`."""

RESTART_SECONDS: Final = 1.0
"""Before a node that could not start, or that has ended by itself, is started again, times the rhythm."""


class Life:
    """One process of a node."""

    def __init__(self, name: str, number: int, world: NodeWorld, client: Client) -> None:
        self.process = SimulatedProcess(f"{name}.{number}")
        self.world = world
        self.client = client
        self.node: Node | None = None
        self.scope = trio.CancelScope()
        self.stopping = trio.Event()
        self.ended = trio.Event()


class Stage:
    """See the module's docstring. `start`: the true time at the beginning. `types`: makes the catalogue of a life."""

    def __init__(
        self,
        seed: int,
        names: tuple[str, ...],
        partitions: int,
        knobs: Knobs,
        start: Instant,
        types: Callable[[Record], Catalogue],
    ) -> None:
        self.seed, self.names, self.partitions, self.knobs = seed, names, partitions, knobs
        self.start = start
        self.clock = SimulatedWorld(f"{seed}:client", start, origin=0.0)
        self.trace = Trace()
        self.record = Record(self.clock.now, self.trace)
        self.catalogue = types(self.record)
        self.service = SimulatedService(self.rng("coordination"))
        self.network = SimulatedNetwork(seed)
        self.database = self._new_database(self.rng("store"), self.clock.now, self.trace, PATIENCE * knobs.rhythm)
        self.lives: dict[str, Life] = {}
        self.buried: list[Life] = []
        self.spans: list[Span] = []
        self.failed: Counter[str] = Counter()
        self._numbers: Counter[str] = Counter()
        self._wanted: set[str] = set()
        self._nursery: trio.Nursery
        self._set_up_ways()

    def rng(self, stream: str) -> random.Random:
        """Chance of its own for each purpose."""
        return random.Random(f"{self.seed}:{stream}")

    def now(self) -> Instant:
        """The true time."""
        return self.clock.now()

    def _new_database(self, *arguments: Any) -> Database:
        return Database(MemoryStore(clock=self.clock.now), *arguments)

    def _set_up_ways(self) -> None:
        for source in self.names:
            self.database.way(source).latency = self.knobs.store_latency
            for target in self.names:
                faults = self.network.faults(source, target)
                faults.latency, faults.jitter, faults.chunk = self.knobs.latency, self.knobs.jitter, self.knobs.chunk

    # -- the loop

    @asynccontextmanager
    async def played(self) -> AsyncIterator[trio.Nursery]:
        """All nodes begin; the block is what happens to them, the nursery for what else is to go on until its end.

        However the block ends, what is left of dead and frozen processes unwinds then: it would never come to an end by itself.
        """
        async with trio.open_nursery() as nursery:
            await nursery.start(self.run)
            try:
                for name in self.names:
                    self.begin(name)
                yield nursery
            finally:
                self.clear()
                nursery.cancel_scope.cancel()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """The coordination servers and the nodes that are started, until cancelled."""
        async with trio.open_nursery() as self._nursery:
            await self._nursery.start(self.service.run)
            task_status.started()
            await trio.sleep_forever()

    def begin(self, name: str) -> None:
        """Start a node, and again whenever it ends by itself."""
        self._wanted.add(name)
        self._nursery.start_soon(self._keep, name)

    async def _keep(self, name: str) -> None:
        while name in self._wanted and name not in self.lives:
            life = self._new_life(name)
            with life.process.inside():
                self._nursery.start_soon(self._live, name, life)
            await life.ended.wait()
            if life.process.dead:
                return
            self.lives.pop(name, None)
            await trio.sleep(RESTART_SECONDS * self.knobs.rhythm)

    def _new_life(self, name: str) -> Life:
        self._numbers[name] += 1
        if name in members(self.service.tree()).values():
            self.database.noted["a node began within its former session"] += 1
        number = self._numbers[name]
        rng = self.rng(f"clock {name}")
        skew, drift = rng.uniform(-1, 1) * self.knobs.skew, rng.uniform(-1, 1) * self.knobs.drift
        client = self.database.client(name, self.rng(f"store {name} {number}"))
        world = NodeWorld(f"{self.seed}:{name}:{number}", client, self.start, skew=skew, drift=drift)
        life = self.lives[name] = Life(name, number, world, client)
        return life

    async def _live(self, name: str, life: Life) -> None:
        try:
            with life.scope:
                surroundings = Surroundings(life.client, self._registry(name), self.network.host(name))
                async with self._opened(name, life, surroundings) as node:
                    life.node = node
                    await life.stopping.wait()
        except* TocsinError as group:
            for error in group.exceptions:
                self.failed[f"{type(error).__name__}: {error}"] += 1
                logger.info("%s ended: %r", name, error)
        finally:
            life.node = None
            life.ended.set()

    def _opened(self, name: str, life: Life, surroundings: Surroundings) -> AbstractAsyncContextManager[Node]:
        return open_node(self.config(name), self.catalogue, life.world, surroundings=surroundings)

    def _registry(self, name: str) -> SimulatedRegistry:
        return SimulatedRegistry(self.service, name, SESSION * self.knobs.rhythm)

    def config(self, name: str) -> NodeConfig:
        """Of a node."""
        slow = self.knobs.rhythm
        address = f"{name}:{7400 + self.names.index(name)}"
        # The time is looked at more seldom than by default, beside what depends on it: half of what an idle cluster does.
        rhythm = attrs.evolve(Rhythm(), watch_seconds=0.25, tell_seconds=0.5, poll_seconds=0.5).slower(slow)
        if self.knobs.heartbeat is not None:
            rhythm = attrs.evolve(rhythm, links=attrs.evolve(rhythm.links, heartbeat_seconds=self.knobs.heartbeat))
        if self.knobs.probe is not None:
            gossip = attrs.evolve(rhythm.gossip, probe_seconds=self.knobs.probe, timeout_seconds=self.knobs.probe / 2)
            rhythm = attrs.evolve(rhythm, gossip=gossip)
        cluster = ClusterConfig(
            name,
            ("coordination:2181",),
            "",
            session_seconds=SESSION * slow,
            lease_seconds=LEASE * slow,
            store_grace_seconds=STORE_GRACE * slow,
            offer_seconds=OFFER * slow,
            min_nodes=self.knobs.min_nodes,
            listen=address,
            advertise=address,
            key=KEY,
            rhythm=rhythm,
        )
        return NodeConfig(
            Path(f"/{name}"),
            name,
            slots=self.knobs.slots,
            partitions=self.partitions,
            sweep_every=Micros(round(slow * SECOND)),
            watch_seconds=slow,
            purge_every_seconds=60 * slow,
            cluster=cluster,
        )

    # -- what becomes of a life

    def kill(self, name: str) -> None:
        """Its process dies at once."""
        life = self.lives.pop(name, None)
        self._wanted.discard(name)
        if life is None:
            return
        life.process.kill()
        life.client.is_dead = True
        self.network.crash(name)
        self.buried.append(life)
        self.spans.append(Span("dead", life.process.name, self.now()))
        self.trace.add("dead", life.process.name, self.now())

    def tear(self, name: str) -> None:
        """Its process dies in the middle of a write: what comes of that is for the servers' disks, and all the same here."""
        self.kill(name)

    def stop(self, name: str) -> None:
        """Let it end in order."""
        self._wanted.discard(name)
        if (life := self.lives.get(name)) is not None:
            life.stopping.set()

    def freeze(self, name: str) -> Life | None:
        """Its process stands still."""
        life = self.lives.get(name)
        if life is not None and not life.process.stopped:
            life.process.stop()
            return life
        return None

    def thaw(self, life: Life, since: Instant) -> None:
        """It goes on."""
        if not life.process.dead:
            life.process.go_on()
            self.database.thawed.add(life.process.name)
        self.spans.append(Span("frozen", life.process.name, since, self.now()))

    def living(self) -> Mapping[str, Node]:
        """The nodes that are up, and not frozen."""
        return {
            name: life.node for name, life in self.lives.items() if life.node is not None and not life.process.stopped
        }

    def clear(self) -> None:
        """After everything was read: let what is left of dead processes unwind."""
        for life in self.buried:
            life.scope.cancel()
            life.process.go_on()
        for life in self.lives.values():
            if life.process.stopped:
                life.process.go_on()
