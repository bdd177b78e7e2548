"""The one way in which operations are carried out: on this node, or on the one that alone has the task in its memory.

What a node does not know by itself it asks the others for. Where something was found is remembered, so that a node that cannot
be reached can be named. What another node has forwarded is not dispatched again: it cannot go round in circles.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import attrs

from actors.model.peer import Peer
from actors.node import SHORTEST_PREFIX
from actors.store.answers import TaskFilter
from runtime.errors import NotFound, PeerUnreachable, ReplyTimeout

from ..access.permissions import check
from ..peers.peer_calls import arguments_of, ask_node, ask_nodes
from ..peers.places import REFERENCES, Place, Places
from ..services.memory_tasks import FIND
from ..services.table import SERVICES, task_filter
from ..services.task_lists import cluster_page
from .calls import Call
from .table import BY_NAME

if TYPE_CHECKING:
    from actors.cluster import Cluster
    from actors.node import Node


RELEASE: Final = "release_execution"
"""The operation that concerns the node where the handler is, whoever may decide about the execution."""


async def perform(node: Node, operation: str, call: Call) -> Any:
    """Carry out an operation on this node, of which the caller sees what is his. Raises its errors, Unauthenticated, Forbidden.

    Whoever carries out operations does it through here or through `Dispatcher`, which check permissions before anything else;
    tenants are kept apart in what both end in.
    """
    check(BY_NAME[operation], call.caller)
    return await _carry_out(node, operation, call)


async def _carry_out(node: Node, operation: str, call: Call) -> Any:
    """The operation, once it is known that the caller may ask for it."""
    return await SERVICES[operation](node.seen_by(call.caller.scope), call)


class Dispatcher:
    """Carries out operations for those who ask this node: programs, people and its own handlers."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._places = Places()

    async def __call__(self, operation: str, call: Call) -> Any:
        """What the operation answers.

        Raises its errors, Unauthenticated and Forbidden, and PeerUnreachable naming the node that has the task and is silent.
        """
        check(BY_NAME[operation], call.caller)
        cluster = self._node.cluster
        if cluster is None:
            return await _carry_out(self._node, operation, call)
        if operation == "list_tasks":
            return await self._list(cluster, call)
        if operation == RELEASE and (runner := await self._runner(cluster, call)) is not None:
            with suppress(PeerUnreachable):
                return await self._forward(cluster, runner, call[REFERENCES[RELEASE]], operation, call)
        try:
            return await _carry_out(self._node, operation, call)
        except NotFound as error:
            if operation not in REFERENCES:
                raise
            unknown = error
        return await self._elsewhere(cluster, operation, call, unknown)

    async def _runner(self, cluster: Cluster, call: Call) -> Peer | None:
        """The other node on which an execution runs or ran, which has the slot of an abandoned handler to give back."""
        try:
            execution = (await self._seen(call).execution(call[REFERENCES[RELEASE]])).execution
        except NotFound:
            return None
        return next((peer for peer in cluster.others() if peer.name == execution.node), None)

    async def _list(self, cluster: Cluster, call: Call) -> Any:
        page = await cluster_page(self._seen(call), cluster, task_filter(call), call)
        boots = {peer.name: peer.boot for peer in cluster.others()}
        for row in page["list"]:
            if row["node"] in boots:
                place = Place(boots[row["node"]], row["node"], row["itemId"])
                self._places.learn(place, call.caller.scope, (row["itemId"], row["name"]))
        return page

    async def _elsewhere(self, cluster: Cluster, operation: str, call: Call, unknown: NotFound) -> Any:
        reference: str = call[REFERENCES[operation]]
        if await self._is_ambiguous(reference, call):
            raise unknown
        peers = {peer.boot: peer for peer in cluster.others()}
        place = self._places.known(call.caller.scope, reference)
        if place is not None and place.boot in peers:
            try:
                return await self._forward(cluster, peers[place.boot], place.id, operation, call)
            except NotFound:
                self._places.forget(call.caller.scope, reference)
        found, silent = await self._find(cluster, peers.values(), operation, reference, call)
        if not found:
            gone = place if place is not None and place.boot not in peers else None
            raise NotFound(f"{unknown}{_where_not(gone, silent)}") from None
        if len(found) > 1:
            names = ", ".join(sorted({one.node for one in found}))
            raise NotFound(f"{len(found)} tasks with the id or name {reference!r}, in the memory of {names}") from None
        self._places.learn(found[0], call.caller.scope, (reference, found[0].id))
        return await self._forward(cluster, peers[found[0].boot], found[0].id, operation, call)

    def _seen(self, call: Call) -> Node:
        """This node as the caller sees it."""
        return self._node.seen_by(call.caller.scope)

    async def _is_ambiguous(self, reference: str, call: Call) -> bool:
        """Whether tasks of this node and of the store are meant, more than one."""
        if len(reference) < SHORTEST_PREFIX:
            return False
        wanted = TaskFilter(id_prefix=reference.lower(), limit=1)
        pages = await self._seen(call).control.pages(memory=wanted, stored=wanted)
        return any(page.total for page in pages)

    async def _find(
        self, cluster: Cluster, peers: Iterable[Peer], operation: str, reference: str, call: Call
    ) -> tuple[list[Place], list[str]]:
        """The places in the memory of other nodes that a reference leads to, and the names of those that do not answer."""
        peers = list(peers)
        told = await ask_nodes(cluster, [(peer, {"reference": reference}) for peer in peers], FIND, call)
        about_executions = REFERENCES[operation] == "execution"
        found: list[Place] = []
        for peer in peers:
            answer = told.get(peer.boot, {"tasks": [], "execution": False})
            tasks = [] if about_executions else answer["tasks"]
            found += [Place(peer.boot, peer.name, task_id) for task_id, _ in tasks]
            # What is asked about a task may be asked about one of its executions, and who has it tells.
            if answer["execution"] and not tasks:
                found.append(Place(peer.boot, peer.name, reference))
        return found, [peer.name for peer in peers if peer.boot not in told]

    async def _forward(self, cluster: Cluster, peer: Peer, reference: str, operation: str, call: Call) -> Any:
        """Have a peer carry out an operation about what is there. Raises what it raises, PeerUnreachable, ReplyTimeout."""
        about = attrs.evolve(call, arguments={**call.arguments, REFERENCES[operation]: reference})
        arguments = arguments_of(BY_NAME[operation], about)
        try:
            return await ask_node(cluster, peer, operation, arguments, call=call)
        except (PeerUnreachable, ReplyTimeout) as error:
            raise type(error)(f"{reference} is on node {peer.name!r}, which does not answer: {error}") from None


def _where_not(gone: Place | None, silent: list[str]) -> str:
    """What else there is to say about something that was not found."""
    if gone is not None:
        return f"; it was in the memory of node {gone.node!r}, which is gone"
    if silent:
        return f"; {', '.join(sorted(silent))} did not answer, and may have it in memory"
    return ""
