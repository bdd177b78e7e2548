"""One page of the tasks of a whole cluster: those of the store, and those that each node has in its memory."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

import attrs

from actors.model.peer import Peer
from actors.model.task import Task
from actors.store.answers import SortKey, TaskFilter, TaskPage, sort_key

from ..operations.calls import Call
from ..peers.peer_calls import ask_nodes
from ..vocabulary.views import Json, page_view, task_view
from .memory_tasks import KEYS, ROWS, filter_json, keys

if TYPE_CHECKING:
    from actors.cluster import Cluster
    from actors.node import Node

VIEWS_AT_ONCE: Final = 10
"""Tasks that are shown before others have a turn in the loop: about a millisecond."""

HERE: Final = ""
"""Stands for the boot id of the node that makes the list."""


@attrs.frozen
class Seat:
    """Where a task stands in the list, and who has it: a peer by its boot id, this node, or the store if it is here in full."""

    key: SortKey
    boot: str
    task: Task | None = None


async def views(node: Node, tasks: Sequence[Task]) -> list[Json]:
    """Tasks as a list shows them, made piece by piece so that the timer does not wait for a long list."""
    shown: list[Json] = []
    for start in range(0, len(tasks), VIEWS_AT_ONCE):
        await node.turns.take()
        shown += [task_view(task, node.config.name) for task in tasks[start : start + VIEWS_AT_ONCE]]
    return shown


async def cluster_page(node: Node, cluster: Cluster, wanted: TaskFilter, call: Call) -> Json:
    """The page, with `node` for each memory task, `covers` and `unreachable`: whose memory tasks are in it and in `totalSize`."""
    peers = cluster.others()
    asked = filter_json(wanted)
    told = await ask_nodes(cluster, [(peer, asked) for peer in peers], KEYS, call)
    told[HERE] = await keys(node, asked)
    while True:
        page, total = await _seats(node, wanted, told)
        rows = await _foreign_rows(cluster, [peer for peer in peers if peer.boot in told], page, call)
        silent = {seat.boot for seat in page if seat.task is None and seat.boot != HERE} - rows.keys()
        if not silent:
            break
        # Who is gone between two questions is left out of the list altogether.
        told = {boot: answer for boot, answer in told.items() if boot not in silent}
    found = {row["itemId"]: row for listed in rows.values() for row in listed}
    own = [seat.key[2] for seat in page if seat.boot == HERE and seat.task is None]
    here = [*await node.control.in_memory(own), *(seat.task for seat in page if seat.task is not None)]
    found |= {row["itemId"]: row for row in await views(node, here)}
    listed = [found[seat.key[2]] for seat in page if seat.key[2] in found]
    return page_view(listed, wanted.offset, wanted.limit, total) | _coverage(node, peers, told)


def _coverage(node: Node, peers: Iterable[Peer], told: Collection[str]) -> Json:
    return {
        "covers": sorted([node.config.name, *(peer.name for peer in peers if peer.boot in told)]),
        "unreachable": sorted(peer.name for peer in peers if peer.boot not in told),
    }


async def _seats(node: Node, wanted: TaskFilter, told: dict[str, Any]) -> tuple[list[Seat], int]:
    """Who stands on the page, in order, and the number of all."""
    seats = [Seat((key[0], key[1], key[2]), boot) for boot, answer in told.items() for key in answer["keys"]]
    window = stored_window(wanted, len(seats))
    [stored] = await node.control.pages(stored=window)
    total = stored.total + sum(answer["total"] for answer in told.values())
    return merge(wanted, window.offset, stored, seats), total


def stored_window(wanted: TaskFilter, memory: int) -> TaskFilter:
    """The part of the store's own list that can lie on the page, when so many memory tasks may stand between."""
    offset = max(0, wanted.offset - memory)
    return attrs.evolve(wanted, offset=offset, limit=wanted.offset - offset + wanted.limit)


def merge(wanted: TaskFilter, first: int, stored: TaskPage, memory: Iterable[Seat]) -> list[Seat]:
    """The page of a list made of stored tasks, known from their place `first` on, and of all memory tasks.

    Before the stored task at `first` stand as many stored ones, and at most all memory tasks; so from the page's offset on,
    places in the merged rest are places in the whole list less `first`.
    """
    seats = [*memory, *(Seat(sort_key(task, wanted.sort), HERE, task) for task in stored.tasks)]
    seats.sort(key=lambda seat: seat.key, reverse=wanted.descending)
    return seats[wanted.offset - first :][: wanted.limit]


async def _foreign_rows(
    cluster: Cluster, peers: Iterable[Peer], page: Iterable[Seat], call: Call
) -> dict[str, list[Json]]:
    """The rows of other nodes, by boot id; without those of nodes that do not answer."""
    wanted: dict[str, list[str]] = {}
    for seat in page:
        if seat.task is None and seat.boot != HERE:
            wanted.setdefault(seat.boot, []).append(seat.key[2])
    asked = [(peer, {"ids": wanted[peer.boot]}) for peer in peers if peer.boot in wanted]
    told = await ask_nodes(cluster, asked, ROWS, call)
    return {boot: answer["list"] for boot, answer in told.items()}
