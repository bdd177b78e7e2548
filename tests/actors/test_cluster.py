"""What makes a node one of several: links, gossip and coordination together, over a simulated network and simulated servers."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import attrs
import pytest
import trio

from actors.cluster import KEEPER, OPERATIONS, Cluster, Surroundings, _security
from actors.cluster_config import ClusterConfig, TlsFiles
from actors.cluster_coordinator import ClusterCoordinator, LeaseCalls
from actors.keeper_messages import Own
from actors.model.peer import Peer
from actors.peer_messages import Call, Offer, Result
from actors.rules.placing import Placer
from actors.sharing_messages import Declined, Offered, PeersChanged, SendDeclined, SendOffer
from actors.store.memory import MemoryStore
from runtime.coordination_messages import Member
from runtime.errors import PeerUnreachable
from runtime.fabric_messages import Security, Tls
from runtime.mailbox import Mailbox
from runtime.simulated_network import SimulatedNetwork
from runtime.simulated_registry import SimulatedRegistry
from runtime.simulated_service import SimulatedService
from runtime.simulation import SimulatedWorld
from runtime.supervisor import ChildSpec, Supervisor
from tests.runtime.coordination_kit import until

PARTITIONS = 6
ZONES = "2026f"
KEY = b"k" * 32


@attrs.define
class StandIn:
    """Stands for the keeper: an open ear."""

    mailbox: Mailbox[Any] = attrs.field(factory=lambda: Mailbox("keeper"))


class Grid:
    """The store, the servers and the network that all nodes of a test share."""

    def __init__(self, seed: int = 1) -> None:
        self.world = SimulatedWorld(origin=0.0)
        self.store = MemoryStore(clock=self.world.now)
        self.store.open(new_cluster_id="c1", partitions=PARTITIONS, timezone_database=ZONES)
        self.service = SimulatedService(random.Random(seed))
        self.network = SimulatedNetwork(seed)
        self.nodes: list[ClusterNode] = []

    def settled(self) -> bool:
        """Everybody sees everybody alive, and every partition has an owner."""
        names = [node.name for node in self.nodes]
        owned = sorted(slot for node in self.nodes for slot in node.own.epochs)
        alike = all([peer.name for peer in node.peers if peer.takes_work] == names for node in self.nodes)
        return alike and owned == list(range(PARTITIONS))

    async def settle(self) -> None:
        await until(self.settled, 60)


class ClusterNode:
    """A node without lanes: its `Cluster`, its coordinator, and who listens in the keeper's place."""

    def __init__(self, grid: Grid, name: str, **settings: Any) -> None:
        self.name = name
        self.boot = f"{name}-process"
        self.load = (4, 4, 0)
        self.heard: list[Any] = []
        self.peers: tuple[Peer, ...] = ()
        self.own = Own({})
        self.scope = trio.CancelScope()
        world = SimulatedWorld(seed=sum(map(ord, name)), origin=0.0)
        config = ClusterConfig(name, ("s:1",), "", **{"key": KEY, **settings})
        self.cluster = Cluster(
            config,
            Surroundings(grid.store, SimulatedRegistry(grid.service, name), grid.network.host(name)),
            world,
            cluster_id="c1",
            partitions=PARTITIONS,
            boot=self.boot,
            types=("work",),
            placer=Placer(random.Random(1)),
            version="1",
            timezone_database=ZONES,
        )
        self.keeper = StandIn()
        self.coordinator = ClusterCoordinator(
            "coordinator",
            member=Member(f"{name}-lease", name, 1, self.cluster.attributes()),
            partitions=PARTITIONS,
            coordination=self.cluster.coordination,
            store=grid.store,
            world=world,
            keeper=self.keeper.mailbox,
            timer=Mailbox("timer"),
            writer="writer",
            reader="reads",
            calls=LeaseCalls(lambda: world.new_id(), lambda: None, lambda boot: None, lambda former, new: None),
        )
        self.cluster.connect(cast(Any, self.keeper), self.coordinator, lambda: self.load)
        children = [*self.cluster.children(), ChildSpec(self.coordinator)]
        self.root = Supervisor("node", children, rng=world.rng("supervisor"))

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        with self.scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.listen)
                await nursery.start(self.root.run)
                task_status.started()

    async def listen(self) -> None:
        while batch := await self.keeper.mailbox.receive(64):
            for message in batch:
                if isinstance(message, PeersChanged):
                    self.peers = message.peers
                elif isinstance(message, Own):
                    self.own = message
                else:
                    self.heard.append(message)

    def peer(self, name: str) -> Peer:
        """A node as this one's keeper knows it."""
        (found,) = (peer for peer in self.peers if peer.name == name)
        return found


@asynccontextmanager
async def clustered(*names: str, **settings: Any) -> AsyncIterator[Grid]:
    """Nodes that have found each other."""
    grid = Grid()
    async with trio.open_nursery() as nursery:
        await nursery.start(grid.service.run)
        for number, name in enumerate(names):
            address = f"{name}:{7401 + number}"
            node = ClusterNode(grid, name, listen=address, advertise=address, **settings)
            grid.nodes.append(node)
            await nursery.start(node.run)
        await grid.settle()
        yield grid
        nursery.cancel_scope.cancel()


async def test_nodes_find_each_other_through_the_members_of_the_coordination(autojump_clock):
    async with clustered("a", "b", "c", labels=(("zone", "eu"),)) as grid:
        for node in grid.nodes:
            assert [peer.boot for peer in node.cluster.peers()] == ["a-process", "b-process", "c-process"]
            assert {peer.boot for peer in node.cluster.others()} == {one.boot for one in grid.nodes if one is not node}
        peer = grid.nodes[0].peer("b")
        assert (peer.address, peer.labels, peer.types, peer.slots) == ("b:7402", (("zone", "eu"),), {"work"}, 4)
        assert (peer.timezone_database, peer.version) == (ZONES, "1")
        assert grid.nodes[0].cluster.status().problem is None
        assert [node.cluster.complaints() for node in grid.nodes] == [[], [], []]


async def test_offers_and_refusals_reach_the_keeper_of_the_other_node(autojump_clock):
    async with clustered("a", "b") as grid:
        a, b = grid.nodes
        a.cluster.send(SendOffer(b.boot, (("t1", "e1"),)))
        await until(lambda: bool(b.heard))
        a.cluster.send(SendOffer(b.boot, (("t2", "e2"),), stands=True))
        await until(lambda: len(b.heard) == 2)
        assert b.heard == [Offered(a.boot, (("t1", "e1"),)), Offered(a.boot, (("t2", "e2"),), stands=True)]
        b.cluster.send(SendDeclined(a.boot, (("t1", "e1"),)))
        await until(lambda: bool(a.heard))
        assert a.heard == [Declined(b.boot, (("t1", "e1"),))]
        a.cluster.send(SendOffer("nobody", (("t1", "e1"),)))
        await trio.sleep(1)
        assert (len(a.heard), len(b.heard)) == (1, 2)


async def test_what_is_no_word_for_a_keeper_is_left_aside(autojump_clock, caplog):
    async with clustered("a", "b") as grid:
        a, b = grid.nodes
        assert a.cluster.fabric.tell(b.boot, KEEPER, Call("stop", "{}", "me"))
        await until(lambda: "a-process told the keeper Call" in caplog.text)
        assert b.heard == []


async def test_load_and_switches_are_seen_by_the_others(autojump_clock):
    async with clustered("a", "b") as grid:
        a, b = grid.nodes
        a.load = (4, 1, 3)
        await until(lambda: (b.peer("a").free, b.peer("a").running) == (1, 3))
        assert a.cluster.executor
        a.cluster.switch_executor(True)
        a.cluster.switch_executor(False)
        assert not a.cluster.executor
        await until(lambda: not b.peer("a").executor)
        await until(lambda: not a.peer("a").executor)
        a.cluster.switch_executor(True)
        await until(lambda: b.peer("a").executor)


async def test_a_node_that_drains_gives_its_partitions_up_and_takes_them_again(autojump_clock):
    async with clustered("a", "b") as grid:
        a, b = grid.nodes
        a.cluster.drain()
        await until(lambda: b.peer("a").draining and len(b.own.epochs) == PARTITIONS and not a.own.epochs)
        assert not b.peer("a").takes_work
        assert a.cluster.complaints() == []
        a.cluster.drain(False)
        await until(grid.settled)
        assert a.own.epochs


async def test_a_node_with_another_key_than_the_leader_owns_nothing(autojump_clock):
    async with clustered("n1", "n2") as grid:
        stranger = ClusterNode(grid, "n3", listen="n3:7409", advertise="n3:7409", key=b"x" * 32)
        async with trio.open_nursery() as nursery:
            await nursery.start(stranger.run)
            await trio.sleep(20)
            assert stranger.own.epochs == {}
            assert "another cluster key than n" in (stranger.cluster.status().problem or "")
            assert sorted(slot for node in grid.nodes for slot in node.own.epochs) == list(range(PARTITIONS))
            stranger.scope.cancel()


async def test_a_node_with_the_next_key_and_the_leaders_belongs(autojump_clock):
    async with clustered("n1", "n2") as grid:
        newer = ClusterNode(
            grid, "n3", listen="n3:7409", advertise="n3:7409", key=b"x" * 32, also=(grid.nodes[0].cluster.config.key,)
        )
        async with trio.open_nursery() as nursery:
            await nursery.start(newer.run)
            await trio.sleep(20)
            assert "another cluster key" not in (newer.cluster.status().problem or "")
            newer.scope.cancel()


async def test_a_node_that_dies_is_no_place_to_run_at(autojump_clock):
    async with clustered("a", "b") as grid:
        a, b = grid.nodes
        grid.service.cut("b")
        grid.network.vanish("b")
        grid.network.cut("a", "b")
        b.scope.cancel()
        await until(lambda: all(not peer.takes_work for peer in a.peers if peer.name == "b"), 60)
        await until(lambda: len(a.own.epochs) == PARTITIONS, 60)
        await until(lambda: a.cluster.others() == ())
        assert a.cluster.places.has_room_elsewhere is False


async def test_operations_are_asked_of_another_node(autojump_clock):
    async with clustered("a", "b") as grid:
        a, b = grid.nodes
        call = Call("list_nodes", "{}", "me")
        assert (await a.cluster.ask(b.boot, call, 5)).title == "Not available"

        async def answer(asker: str, asked: Call) -> Result:
            return Result(f"{asker} {asked.operation}")

        b.cluster.answer = answer
        assert await a.cluster.ask(b.boot, call, 5) == Result("a-process list_nodes")
        wrong = await a.cluster.fabric.ask(b.boot, OPERATIONS, Offer(()), 5)
        assert wrong.title == "Not available"
        with pytest.raises(PeerUnreachable):
            await a.cluster.ask("nobody", call, 1)


async def test_the_fence_is_raised_by_the_coordinator(autojump_clock):
    async with clustered("a") as grid:
        before = grid.store.epochs()
        await grid.nodes[0].cluster.raise_fence()
        assert all(epoch > before[slot] for slot, epoch in grid.store.epochs().items())


def config(**settings: Any) -> ClusterConfig:
    return ClusterConfig("n1", ("s:1",), "", **settings)


def test_links_are_secured_by_certificates_where_there_are_all_of_them():
    own = TlsFiles(Path("ca"), Path("cert"), Path("key"))
    assert _security(config(tls=own, key=KEY)) == Security(Tls(Path("ca"), Path("cert"), Path("key")), KEY)
    assert _security(config(tls=TlsFiles(Path("ca")), key=KEY)) == Security(key=KEY)
    assert _security(config()) == Security(key=b"")
