"""What the keeper hears and wants done because other nodes work on the same store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.records import record

from .model.peer import Peer

if TYPE_CHECKING:
    from .store.port import SchedulerPause

# What the keeper hears.


@record
class Changed:
    """Another node has written these tasks, or may have: look at their rows, not at what is remembered of them."""

    task_ids: tuple[str, ...]


@record
class Offered:
    """Another node: these executions (task id, execution id) may be claimed here.

    stands: they have to wait, and do so here too, in their turn; nobody waits for an answer, and the next such offer of the same
    node replaces this one.
    """

    boot: str
    executions: tuple[tuple[str, str], ...]
    stands: bool = False


@record
class Declined:
    """The node to which these were offered does not claim them now."""

    boot: str
    executions: tuple[tuple[str, str], ...]


@record
class PeersChanged:
    """Gossip: the nodes of the cluster as they are seen from here, this one among them."""

    peers: tuple[Peer, ...]


@record
class Observed:
    """What the store said when it was looked at: what holds for all nodes, and who waits in the partitions of this one.

    `graph`, `calendars`: as in `store/shared.py`. `waiting`: tasks with claimable executions, those that come first;
    `complete`: there are no others. `stopping`: tasks whose attempts here were told to stop. `pauses`: how often the scheduler
    had been paused or resumed here when the look began.
    """

    pause: SchedulerPause | None
    graph: int
    calendars: int
    waiting: tuple[str, ...]
    complete: bool
    stopping: tuple[str, ...] = ()
    pauses: int = 0


@record
class LeaseDoubted:
    """The coordinator: the node's lease may have lapsed, so nothing may be claimed; or it was renewed."""

    doubted: bool


@record
class ZonesSwitched:
    """All nodes have another time zone database now: next fires are computed anew."""


# What the keeper wants done.


@record
class SendOffer:
    """Tell a node that it may claim these executions. stands: as in `Offered`."""

    boot: str
    executions: tuple[tuple[str, str], ...]
    stands: bool = False


@record
class SendDeclined:
    """Tell a node that what it offered is not claimed here now."""

    boot: str
    executions: tuple[tuple[str, str], ...]


@record
class EndTasks:
    """The executor: these tasks are gone for good, deleted on another node. End what runs of them."""

    task_ids: tuple[str, ...]


SharingEvent = Changed | Offered | Declined | PeersChanged | Observed | LeaseDoubted | ZonesSwitched
SharingDirective = SendOffer | SendDeclined
