"""What the nodes of a cluster tell each other, and what they write at ZooKeeper, for so many nodes; measured for `bench_units`.

Gossip: its real cores under an event queue, messages counted as the codec writes them, every node's load changing all the time.
Coordination: the real one of each node, over the simulated service, on virtual time; the service numbers its transactions as the
real servers do. Both are deterministic but for the processor time.
"""

from __future__ import annotations

import time
from typing import Final

import trio
import trio.testing

from actors.gossip_messages import TAGS, Mine
from actors.gossip_rules import GossipConfig
from actors.model.peer import Peer
from actors.rhythm import Rhythm
from actors.store.port import DEFAULT_PARTITIONS
from runtime.codec import Codec
from runtime.records import evolve
from tests.actors.gossip_simulation import Cluster, Node
from tests.runtime import coordination_kit as kit

SESSION_SECONDS: Final = 5.0
"""The default of `coordination.session_timeout`."""

IDLE_SECONDS: Final = 30.0
"""Of virtual time, in which nothing happens but probes."""

SETTLE_SECONDS: Final = 300.0


class Counting(Cluster):
    """A cluster of gossip cores that adds up the bytes of messages."""

    def __init__(self, members: int) -> None:
        self.codec = Codec()
        for tag, kind in TAGS.items():
            self.codec.register(tag, kind)
        self.bytes = 0
        super().__init__(members, 1, GossipConfig())

    def _send(self, node: Node, boot: str, message: object) -> None:
        self.bytes += len(self.codec.encode(message))
        super()._send(node, boot, message)


def gossip(members: int, seconds: float) -> dict[str, float]:
    """Messages and bytes that a node sends in a second, while all nodes' loads change, and when none does."""
    found: dict[str, float] = {}
    for busy in (True, False):
        cluster = Counting(members)
        cluster.run(2.0)
        messages, size, events = cluster.messages, cluster.bytes, cluster.events
        began, end, turn = time.process_time(), cluster.now + seconds, 0
        while cluster.now < end:
            turn += 1
            for node in cluster.nodes.values() if busy else ():
                cluster.tell(node, Mine(_loaded(node, turn)))
            cluster.run(Rhythm().tell_seconds)
        used, sent = time.process_time() - began, cluster.messages - messages
        label = "busy" if busy else "idle"
        found |= {
            f"gossip messages per node and second, {members} nodes, {label}": sent / members / seconds,
            f"gossip bytes per node and second, {members} nodes, {label}": (cluster.bytes - size) / members / seconds,
            f"gossip bytes per message, {members} nodes, {label}": (cluster.bytes - size) / max(1, sent),
            f"gossip CPU us per event, {members} nodes, {label}": used / max(1, cluster.events - events) * 1e6,
        }
    return found


def _loaded(node: Node, turn: int) -> Peer:
    me = Peer(node.name, node.boot, address=f"{node.name}:1", slots=4, free=4, types=frozenset({"a"}))
    return evolve(me, slots=1_000, free=1_000 - turn % 100, running=turn % 100)


def coordination(members: int, slots: int = DEFAULT_PARTITIONS) -> dict[str, float]:
    """ZooKeeper's transactions: of a node in a second where nothing happens, and by one node's death; bytes that lie there."""
    found: dict[str, float] = {}

    async def run() -> None:
        found.update(await _coordinate(members, slots))

    trio.run(run, clock=trio.testing.MockClock(autojump_threshold=0))
    return {f"{label}, {members} nodes": value for label, value in found.items()}


async def _coordinate(members: int, slots: int) -> dict[str, float]:
    names = [f"node-{number:03}" for number in range(members)]
    async with kit.cluster(slots=slots) as made:
        for name in names:
            registry = made.registry(name, SESSION_SECONDS)
            await made.start(made.node(name, registry=registry, min_nodes=members, gate_seconds=SETTLE_SECONDS))
        await _settled(made)
        number, began = made.service._number, trio.current_time()
        await trio.sleep(IDLE_SECONDS)
        usual = (made.service._number - number) / (trio.current_time() - began)
        tree = made.service.tree()
        found = {
            "ZooKeeper writes per node and second": usual / members,
            "bytes of the plan": float(len(tree["/assignment"].data)),
            "bytes at ZooKeeper": float(sum(len(path) + len(node.data) for path, node in tree.items())),
            "bytes of a partition's nodes": float(len("/slots/255") + 20 + len("/slots/255/owner")),
        }
        if members > 1:
            number, began = made.service._number, trio.current_time()
            victim = made.kill(names[-1])
            lost = len(victim.grants)
            await _settled(made)
            seconds = trio.current_time() - began
            found |= {
                "partitions of the node that died": float(lost),
                "s from a death to new owners": seconds,
                "ZooKeeper writes by a death": made.service._number - number - usual * seconds,
            }
        return found


async def _settled(made: kit.Cluster) -> None:
    """Looked at seldom: it goes over all slots and nodes."""
    with trio.fail_after(SETTLE_SECONDS):
        while not made.settled():  # noqa: ASYNC110
            await trio.sleep(0.05)


def measure(sizes: tuple[int, ...], seconds: float) -> dict[str, float]:
    """All of it, for clusters of these sizes."""
    found: dict[str, float] = {}
    for members in sizes:
        found |= gossip(members, seconds) | coordination(members)
    return found
