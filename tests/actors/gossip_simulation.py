"""Gossip among many cores under an event queue: no loop, no network, no threads, all chance from one seed.

    python -m tests.actors.gossip_simulation [members] [seeds]    convergence after a join, a crash and a partition
    python -m tests.actors.gossip_simulation day [hours]          false deaths among ten, one of which is stalled

Messages are datagrams: they may be lost, and overtake one another.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
import sys
import time
from collections.abc import Callable, Iterable

import attrs

from actors.gossip_core import GossipCore
from actors.gossip_messages import Event, Gone, Members, PeersChanged, Received, Send, SetAlarm, Tick
from actors.gossip_queue import NewsQueue, Timer
from actors.gossip_rules import GossipConfig, push_pull_seconds, suspicion_bounds
from actors.model.peer import Peer, Standing
from runtime.coordination_messages import Member
from runtime.records import evolve

TICK = Tick()
NEVER = math.inf
QUIET = GossipConfig(peers_seconds=1e9)
"""Where nobody looks at the peers they need not be made."""


def spread_seconds(config: GossipConfig, members: int) -> float:
    """Until everybody has heard some news: log_{f+1} n + ln n / f rounds (Pittel, On spreading a rumor, 1987)."""
    rounds = math.log(members) / math.log(config.fanout + 1) + math.log(members) / config.fanout
    return rounds * config.gossip_seconds


def detection_seconds(config: GossipConfig) -> float:
    """Until the first probe of a crashed member has failed: SWIM's expected T' / (1 - e^-1) to its start, and T' for itself."""
    return config.probe_seconds / (1 - math.exp(-1)) + config.probe_seconds


def join_seconds(config: GossipConfig, members: int) -> float:
    """Until all know of a new member: an exchange with one, and the spread."""
    return config.timeout_seconds + spread_seconds(config, members)


def crash_seconds(config: GossipConfig, members: int) -> float:
    """Until all hold a crashed member dead: detection, the time to refute once it is confirmed, and the spread."""
    return detection_seconds(config) + suspicion_bounds(config, members)[0] + spread_seconds(config, members)


def heal_seconds(config: GossipConfig, members: int) -> float:
    """Until both sides of a partition know each other again: one interval of comparing notes, a refutation, its spread."""
    return push_pull_seconds(config, members) + config.probe_seconds + spread_seconds(config, members)


@attrs.define(eq=False)
class Node:
    """One core. `resumes`: until when it is stalled at a time, or the time itself."""

    name: str
    boot: str
    core: GossipCore
    resumes: Callable[[float], float] | None = None
    alarm: float = NEVER
    up: bool = True
    peers: tuple[Peer, ...] = ()
    changes: list[tuple[float, str, Standing]] = attrs.Factory(list)


class Cluster:
    """Nodes n0000, n0001, ... that all know each other. `latency`: seconds, from and to. `loss`: of a message, 0 to 1.

    `cut`: whether what the first boot sends to the second is lost. `gone`: who told whom to be gone, and when.
    """

    def __init__(
        self,
        members: int,
        seed: int = 0,
        config: GossipConfig = QUIET,
        latency: tuple[float, float] = (0.0005, 0.005),
        loss: float = 0.0,
    ) -> None:
        self.config, self.latency, self.loss = config, latency, loss
        self.now = 0.0
        self.rng = random.Random(seed)
        self.cut: Callable[[str, str], bool] = lambda source, target: False
        self.nodes: dict[str, Node] = {}
        self.gone: list[tuple[float, str, str]] = []
        self.messages = self.events = 0
        self._queue: list[tuple[float, int, Node, Event]] = []
        self._order = itertools.count()
        for number in range(members):
            self.make(f"n{number:04}")
        self._introduce()

    def make(self, name: str, boot: str = "", **facts: object) -> Node:
        """A new node that knows nobody."""
        boot = boot or f"{name}-1"
        me = evolve(Peer(name, boot, address=f"{name}:1", slots=4, free=4, types=frozenset({"a"})), **facts)
        core = GossipCore(me, self.config, random.Random(self.rng.random()), self.now)
        node = self.nodes[boot] = Node(name, boot, core)
        self.tell(node, TICK)
        return node

    def _introduce(self) -> None:
        """All know all, and nothing of it is news."""
        records = [node.core._myself.known for node in self.nodes.values()]
        for node in self.nodes.values():
            state = node.core._state
            for record in records:
                if record.claim.name != node.name:
                    known = state.table.put(record.claim, 0.0)
                    state.table.describe(known, record.profile)
                    state.table.load(known, record.load)
                    state._order.append(record.claim.name)
            state._entered.update(state._order)
            state.rng.shuffle(state._order)
            state.queue = NewsQueue()
            state.timers.set(state.rng.uniform(0, push_pull_seconds(self.config, len(records))), Timer.PUSH_PULL)

    def tell(self, node: Node, event: Event, after: float = 0.0) -> None:
        """Have a node hear this."""
        heapq.heappush(self._queue, (self.now + after, next(self._order), node, event))

    def run(self, seconds: float, until: Callable[[], bool] | None = None, every: float = 0.05) -> bool:
        """Go on for so long, or until this holds, which is looked at now and then. True if it does, or was not asked."""
        end, look = self.now + seconds, self.now
        queue = self._queue
        while queue and queue[0][0] <= end:
            at, _, node, event = heapq.heappop(queue)
            self.now = at
            if until is not None and at >= look:
                if until():
                    return True
                look = at + every
            if node.up and (event is not TICK or at == node.alarm or node.alarm == NEVER):
                resumes = at if node.resumes is None else node.resumes(at)
                if resumes > at:
                    if event is TICK:
                        node.alarm = resumes
                    heapq.heappush(queue, (resumes, next(self._order), node, event))
                else:
                    self._handle(node, event)
        self.now = end
        return until is None or until()

    def _handle(self, node: Node, event: Event) -> None:
        self.events += 1
        for directive in node.core.handle(event, self.now):
            match directive:
                case Send(boot=boot, message=message):
                    self._send(node, boot, message)
                case SetAlarm(at=at):
                    node.alarm = max(at, self.now)
                    heapq.heappush(self._queue, (node.alarm, next(self._order), node, TICK))
                case Gone(boot=boot):
                    self.gone.append((self.now, node.name, boot))
                case PeersChanged(peers=peers):
                    self._note_changes(node, peers)

    def _note_changes(self, node: Node, peers: tuple[Peer, ...]) -> None:
        before = {peer.name: peer.standing for peer in node.peers}
        node.changes += [
            (self.now, peer.name, peer.standing)
            for peer in peers
            if before.get(peer.name, peer.standing) is not peer.standing
        ]
        node.peers = peers

    def _send(self, node: Node, boot: str, message: object) -> None:
        self.messages += 1
        target = self.nodes.get(boot)
        if target is None or self.cut(node.boot, boot) or (self.loss and self.rng.random() < self.loss):
            return
        self.tell(target, Received(node.boot, message), self.rng.uniform(*self.latency))

    # What happens to the nodes.

    def alive(self) -> list[Node]:
        return [node for node in self.nodes.values() if node.up]

    def join(self, name: str, contacts: Iterable[str], boot: str = "") -> Node:
        """A new node that the coordination service tells of a few others."""
        node = self.make(name, boot)
        self.tell(
            node, Members(tuple(Member(self.nodes[contact].boot, self.nodes[contact].name) for contact in contacts))
        )
        return node

    def list_members(self) -> None:
        """Tell all who is up, as the coordination service would."""
        members = tuple(Member(node.boot, node.name, 1, {"address": f"{node.name}:1"}) for node in self.alive())
        for node in self.alive():
            self.tell(node, Members(members))

    def split(self, sides: Callable[[str], int]) -> None:
        """Nothing passes between boots of different sides."""
        self.cut = lambda source, target: sides(source) != sides(target)

    def heal(self) -> None:
        self.cut = lambda source, target: False

    def all_hold(self, name: str, test: Callable[[int], bool]) -> bool:
        """Whether the life of a member passes this test in the eyes of all others."""
        return all(
            (claim := node.core.claim(name)) is not None and test(claim.life)
            for node in self.alive()
            if node.name != name
        )

    def agree(self) -> bool:
        """Whether all who are up hold all who are up alive, and know the same of them."""
        nodes = self.alive()
        return all(node.core._state.table.live == len(nodes) for node in nodes) and (
            len({node.core.digest for node in nodes}) == 1
        )


def stalled(rng: random.Random, part: float = 0.9, longest: float = 2.0) -> Callable[[float], float]:
    """A node that runs in the first tenth of every cycle only; cycles are drawn, up to `longest` seconds."""
    cycle = [0.0, 0.0]

    def resumes(at: float) -> float:
        while at >= cycle[0] + cycle[1]:
            cycle[0] += cycle[1]
            cycle[1] = rng.uniform(0.05, longest)
        return at if at < cycle[0] + (1 - part) * cycle[1] else cycle[0] + cycle[1]

    return resumes


def measure_join(members: int, seed: int) -> float:
    cluster = Cluster(members, seed)
    cluster.run(1)
    began = cluster.now
    cluster.join("x", ["n0000-1", "n0001-1"])
    assert cluster.run(120, lambda: cluster.all_hold("x", lambda life: life == 0) and cluster.agree())
    return cluster.now - began


def measure_crash(members: int, seed: int) -> float:
    cluster = Cluster(members, seed)
    cluster.run(1)
    began = cluster.now
    cluster.nodes["n0001-1"].up = False
    assert cluster.run(300, lambda: cluster.all_hold("n0001", lambda life: life == 2))
    return cluster.now - began


def measure_heal(members: int, seed: int, split: float = 30.0) -> float:
    cluster = Cluster(members, seed)
    cluster.run(1)
    half = f"n{members // 2:04}"
    cluster.split(lambda boot: boot < half)
    cluster.run(split)
    cluster.heal()
    began = cluster.now
    assert cluster.run(600, cluster.agree)
    return cluster.now - began


MEASURES = {
    "join": (measure_join, join_seconds),
    "crash": (measure_crash, crash_seconds),
    "heal": (measure_heal, heal_seconds),
}


def day(hours: float, seed: int = 0, members: int = 10) -> tuple[Cluster, Node]:
    """Members of which one is stalled nine tenths of the time."""
    cluster = Cluster(members, seed, GossipConfig())
    slow = cluster.nodes["n0003-1"]
    slow.resumes = stalled(random.Random(seed))
    cluster.run(hours * 3600)
    return cluster, slow


def main(arguments: list[str]) -> None:
    if arguments[:1] == ["day"]:
        began = time.perf_counter()
        cluster, slow = day(float(arguments[1]) if len(arguments) > 1 else 24.0)
        sys.stdout.write(
            f"{cluster.now / 3600:.1f} h, 10 members, one stalled 90 %: {len(cluster.gone)} false deaths, slow node's awareness "
            f"{slow.core.awareness}, {cluster.events:,} events in {time.perf_counter() - began:.0f} s\n"
        )
        return
    members = int(arguments[0]) if arguments else 1_000
    seeds = int(arguments[1]) if len(arguments) > 1 else 3
    for name, (measure, formula) in MEASURES.items():
        began = time.perf_counter()
        taken = [measure(members, seed) for seed in range(seeds)]
        expected = formula(QUIET, members)
        sys.stdout.write(
            f"{name}: {members} members, {', '.join(f'{seconds:.2f}' for seconds in taken)} s; formula {expected:.2f} s, "
            f"bound {2 * expected:.2f} s; {time.perf_counter() - began:.0f} s of work\n"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
