"""What there is to see of a cluster from one of its nodes, and what an operator can do to it. A node alone answers too."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Protocol

from actors.lanes import READS
from actors.model.peer import Peer, Standing
from actors.when.zones import database_version
from runtime.clock import Micros
from runtime.coordination import CoordinationStatus
from runtime.errors import Conflict, NotFound, PeerUnreachable

from ..operations.calls import Call
from ..peers.peer_calls import FORWARD_SECONDS, asked_of, value_of
from ..vocabulary.views import Json

if TYPE_CHECKING:
    from actors.cluster import Cluster
    from actors.node import Node

_DOUBT: Final = {Standing.ALIVE: 0, Standing.SUSPECT: 1, Standing.DEAD: 2}

ALONE: Final = "this node is alone, nobody else would do its work"


class ClusterFacade(Protocol):
    """See the module's docstring. Calls may raise errors of `runtime/errors.py`: NotFound for the name of no node."""

    def peers(self) -> tuple[Peer, ...]:
        """Every node that is known, by name, this one among them."""
        ...

    def coordination(self) -> CoordinationStatus:
        """What there is to see of the coordination."""
        ...

    async def epochs(self) -> Mapping[int, int]:
        """The epoch of every partition that was ever taken."""
        ...

    async def drain(self, name: str, on: bool, call: Call) -> Json | None:
        """Have a node take nothing new and give its partitions to others, or take part again. What runs there goes on.

        Answers what another node then says of itself, None for this one.
        """
        ...

    async def set_executor(self, name: str, on: bool, call: Call) -> Json | None:
        """Have a node take executions, or no new ones; what runs there goes on. Answers as `drain`."""
        ...

    async def process(self, name: str, call: Call) -> Json | None:
        """The process of another node, as it says itself; None for this one."""
        ...

    async def tree(self, name: str, call: Call) -> Json | None:
        """What another node says of itself and its actors; None for this one."""
        ...

    async def raise_fence(self) -> None:
        """An operator's word after a loss of authority: lift the store's epochs above all that were ever handed out."""
        ...


def facade_of(node: Node) -> ClusterFacade:
    """The cluster as this node sees it."""
    return SoloView(node) if node.cluster is None else SharedView(node, node.cluster)


class SoloView:
    """A node that is alone: its only peer is itself, and it owns every partition."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def peers(self) -> tuple[Peer, ...]:
        node = self._node
        slots, free, running = node.control.load()
        me = Peer(
            node.config.name,
            node.boot,
            types=frozenset(node.catalogue.names()),
            slots=slots,
            free=free,
            running=running,
            offset=Micros(0),
            timezone_database=database_version(),
            version=node.config.version,
        )
        return (me,)

    def coordination(self) -> CoordinationStatus:
        name = self._node.config.name
        owners = dict.fromkeys(range(self._node.identity.partitions), name)
        return CoordinationStatus(self._node.boot, connected=True, trusted=True, leader=name, owners=owners)

    async def epochs(self) -> Mapping[int, int]:
        return await self._node.control.epochs()

    async def drain(self, name: str, on: bool, call: Call) -> Json | None:
        find(self.peers(), name)
        raise Conflict(f"{ALONE}: stop it, which drains it, or pause the scheduler")

    async def set_executor(self, name: str, on: bool, call: Call) -> Json | None:
        find(self.peers(), name)
        raise Conflict(f"{ALONE}: pause the scheduler instead")

    async def process(self, name: str, call: Call) -> Json | None:
        find(self.peers(), name)
        return None

    async def tree(self, name: str, call: Call) -> Json | None:
        find(self.peers(), name)
        return None

    async def raise_fence(self) -> None:
        raise Conflict("this node is alone: no coordination service can disagree with its store")


class SharedView:
    """A node of a cluster. What concerns another node is carried out there."""

    def __init__(self, node: Node, cluster: Cluster) -> None:
        self._node = node
        self._cluster = cluster

    def peers(self) -> tuple[Peer, ...]:
        return self._cluster.peers()

    def coordination(self) -> CoordinationStatus:
        return self._cluster.status()

    async def epochs(self) -> Mapping[int, int]:
        return await self._node.world.blocking(self._cluster.store.epochs, lane=READS)

    async def drain(self, name: str, on: bool, call: Call) -> Json | None:
        peer = find(self.peers(), name)
        if peer.boot != self._cluster.boot:
            return await self._forward(peer, "drain_node", {"undo": not on}, call)
        self._cluster.drain(on)
        return None

    async def set_executor(self, name: str, on: bool, call: Call) -> Json | None:
        peer = find(self.peers(), name)
        if peer.boot != self._cluster.boot:
            return await self._forward(peer, "switch_executor", {"on": on}, call)
        self._cluster.switch_executor(on)
        return None

    async def process(self, name: str, call: Call) -> Json | None:
        return await self._said_by(name, "show_process", call)

    async def tree(self, name: str, call: Call) -> Json | None:
        return await self._said_by(name, "show_tree", call)

    async def _said_by(self, name: str, operation: str, call: Call) -> Json | None:
        peer = find(self.peers(), name)
        return None if peer.boot == self._cluster.boot else await self._forward(peer, operation, {}, call)

    async def raise_fence(self) -> None:
        await self._cluster.raise_fence()

    async def _forward(self, peer: Peer, operation: str, arguments: Mapping[str, object], call: Call) -> Json:
        if peer.standing is Standing.DEAD:
            raise PeerUnreachable(f"{peer.name} is dead")
        asked = asked_of(operation, {"node": peer.name, **arguments}, call)
        result = value_of(await self._cluster.ask(peer.boot, asked, FORWARD_SECONDS))
        said: Json = json.loads(result.value or "{}")
        return said


def find(peers: tuple[Peer, ...], name: str) -> Peer:
    """The node of this name; the one that lives, if a former one of that name is still remembered. Raises NotFound."""
    named = sorted((peer for peer in peers if peer.name == name), key=lambda peer: _DOUBT[peer.standing])
    if not named:
        raise NotFound(f"no node {name!r}; there are {', '.join(sorted({peer.name for peer in peers}))}")
    return named[0]
