"""What the operations about the nodes of a cluster do: who is there, who owns what, drain, executors, the fence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from actors.model.peer import Peer
from actors.store.handovers import Handover, HandoverFilter
from runtime.clock import DAY, MILLISECOND, Instant
from runtime.coordination import CoordinationStatus
from runtime.errors import InvalidRequest

from ..operations.calls import Call
from ..vocabulary.fields import show_instant
from ..vocabulary.views import Json
from .cluster_view import ClusterFacade, facade_of, find
from .node import plain, show_node
from .own_process import own_process

if TYPE_CHECKING:
    from actors.node import Node


async def list_nodes(node: Node, _call: Call) -> Json:
    """The nodes, with what they carry, and the coordination."""
    cluster = facade_of(node)
    status = cluster.coordination()
    return {
        "list": [_node_view(peer, status, node) for peer in cluster.peers()],
        "coordination": _coordination_view(status, node),
    }


async def show_member(node: Node, call: Call) -> Json:
    """One node in full."""
    return _one(facade_of(node), node, call["node"])


def _one(cluster: ClusterFacade, node: Node, name: str) -> Json:
    peer, status = find(cluster.peers(), name), cluster.coordination()
    owned = sorted(slot for slot, owner in status.owners.items() if owner == peer.name)
    return _node_view(peer, status, node) | {"owned": owned, "types": sorted(peer.types)}


def _node_view(peer: Peer, status: CoordinationStatus, node: Node) -> Json:
    return {
        "name": peer.name,
        "boot": peer.boot,
        "address": peer.address,
        "state": "draining" if peer.draining else peer.standing.value,
        "here": peer.name == node.config.name,
        "leader": peer.name == status.leader,
        "executor": peer.executor,
        "slots": peer.slots,
        "free": peer.free,
        "running": peer.running,
        "partitions": sum(owner == peer.name for owner in status.owners.values()),
        "offsetMs": None if peer.offset is None else peer.offset / MILLISECOND,
        "version": peer.version,
        "timezoneDatabase": peer.timezone_database,
        "labels": dict(peer.labels),
    }


def _coordination_view(status: CoordinationStatus, node: Node) -> Json:
    return {
        "session": status.session,
        "connected": status.connected,
        "trusted": status.trusted,
        "leader": status.leader,
        "partitions": node.identity.partitions,
        "owned": len(status.owners),
        "gate": status.gate,
        "problem": status.problem,
    }


async def drain_node(node: Node, call: Call) -> Json:
    """Have a node take nothing new and give its partitions away, or take part again."""
    cluster = facade_of(node)
    said = await cluster.drain(call["node"], not call["undo"], call)
    if said is None:
        # Where it was carried out, which is here.
        await node.access.note(call.actor, "DrainNode", f"{call['node']}{', undone' if call['undo'] else ''}")
    return _one(cluster, node, call["node"]) if said is None else said | {"here": False}


async def switch_executor(node: Node, call: Call) -> Json:
    """Have a node take executions, or no new ones."""
    cluster = facade_of(node)
    said = await cluster.set_executor(call["node"], call["on"], call)
    if said is None:
        await node.access.note(call.actor, "SwitchExecutor", f"{call['node']} {'on' if call['on'] else 'off'}")
    return _one(cluster, node, call["node"]) if said is None else said | {"here": False}


async def show_process(node: Node, call: Call) -> Json:
    """The process that a node is, as the machine tells it from others."""
    said = await facade_of(node).process(call["node"], call)
    return {"node": call["node"], "boot": node.boot, **plain(own_process())} if said is None else said


async def show_tree(node: Node, call: Call) -> Json:
    """The tree of actors of a node."""
    said = await facade_of(node).tree(call["node"], call)
    return await show_node(node, call) | {"here": True} if said is None else said | {"here": False}


async def list_partitions(node: Node, _call: Call) -> Json:
    """Every partition with its owner and its epoch."""
    cluster = facade_of(node)
    owners, epochs = cluster.coordination().owners, await cluster.epochs()
    return {"list": [_partition_view(slot, owners, epochs) for slot in range(node.identity.partitions)]}


async def list_handovers(node: Node, call: Call) -> Json:
    """Who took each partition from whom."""
    until = node.world.now() if call["until"] is None else call["until"]
    since = Instant(until - DAY) if call["since"] is None else call["since"]
    if since > until:
        raise InvalidRequest(f"since: {show_instant(since)} is after until, {show_instant(until)}")
    limit: int = call["limit"]
    wanted = HandoverFilter(since, until, call["partition"], None if node.cluster is None else call["node"], limit + 1)
    found = await node.control.handovers(wanted)
    # A node that is alone has no lease that tells its name.
    own = node.config.name if node.cluster is None else None
    return {"list": [_handover_view(one, own) for one in found[:limit]], "more": len(found) > limit}


def _handover_view(one: Handover, own: str | None) -> Json:
    return {
        "partition": one.partition,
        "epoch": one.epoch,
        "at": show_instant(one.at),
        "node": one.node or own,
        "boot": one.boot,
        "from": one.former_node or (own if one.former_boot else None),
        "fromBoot": one.former_boot,
        "cause": one.cause.value,
    }


def _partition_view(number: int, owners: Mapping[int, str], epochs: Mapping[int, int]) -> Json:
    return {"number": number, "owner": owners.get(number), "epoch": epochs.get(number)}


async def raise_fence(node: Node, call: Call) -> Json:
    """Lift every partition's epoch above all that were ever handed out."""
    cluster = facade_of(node)
    await cluster.raise_fence()
    epochs = await cluster.epochs()
    await node.access.note(
        call.actor, "RaiseFence", f"{len(epochs)} partitions, epochs up to {max(epochs.values(), default=0)}"
    )
    return {"raised": len(epochs)}
