"""What a store offers to several nodes that work on it at the same time, beyond what one node needs of it.

- **Leases.** A node's row says until when its attempts count as alive, by the clock of the store. A lease that has lapsed and
  whose node has no session is *buried*: for ever, in one transaction. Only then are its attempts lost. A commit of a buried boot
  claims nothing (`Commit.boot`): such tasks are refused with `LeaseLost`; ends of attempts are judged by their fences alone.
  A boot without a row is as one that is buried.
- **Concurrency keys.** A claim with a key (`ExecutionWrite.key_limit`) is made under a lock on the key, and refused with
  `LimitReached` when so many executions with it run or linger already, over all tasks of the tenant and all nodes. In one
  commit the updates with such claims are made last, one after another: each is judged with all that it writes itself.
- **Wake-ups.** A commit may name tasks that concern other nodes (`Commit.wakes`): those who listen hear of them after it. Hints.
- **Edges.** A commit that changes dependencies names the `graph` number under which it was decided (`Commit.graph`); tasks with
  dependencies are refused with `StaleVersion` if it has grown since.

Where several guards do not hold, the lease is told after the epoch, then the graph, then those of one node (`port.py`), then
the limit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from runtime.clock import DAY, Instant, Micros
from runtime.records import record

from ..model.execution import Execution
from ..model.lifecycle import State
from .port import Commit, Create, SchedulerPause, Store, Update

LEASES_KEPT: Final = Micros(7 * DAY)
"""How long the row of a buried lease stays: somebody who looks for what became of a node finds it, and rows do not pile up."""


@record
class Shared:
    """What holds for all nodes, to be compared every second. `graph`, `calendars`: grow with every change of those.

    `live`: the boots whose leases are neither buried nor lapsed.
    """

    pause: SchedulerPause | None
    graph: int
    calendars: int
    timezone_database: str
    live: tuple[str, ...] = ()


class SharedStore(Store, Protocol):
    """See the module's docstring."""

    # -- the lane of leases, one thread of its own

    def enrol(self, boot: str, node: str, seconds: float) -> None:
        """A lease for a new boot. Raises Conflict if a boot of that node name has a lease that has neither lapsed nor ended.

        Enrolled again, as after a lost answer, a boot's lease is renewed; LeaseLost if it was buried meanwhile.
        """
        ...

    def renew(self, boot: str, seconds: float) -> bool:
        """Make the lease last for so many seconds from now. False: it was buried; the boot must not act any more.

        A lease that has lapsed and was not buried is renewed like any other.
        """
        ...

    def leave(self, boot: str) -> None:
        """End a lease: as if it had lapsed and were buried."""
        ...

    def bury(self, members: Sequence[str]) -> tuple[str, ...]:
        """Bury the lapsed leases of boots that are not members. Answers the boots that are to be treated as alive:
        the members, and those whose leases have not lapsed yet; never one whose lease is buried."""
        ...

    # -- the writer's lane

    def raise_floor(self, above: Mapping[int, int]) -> None:
        """An operator's word after a loss of authority: every partition's epoch becomes at least the given one plus one.

        The recorded grants stay.
        """
        ...

    # -- reads

    def shared(self) -> Shared:
        """One small read."""
        ...

    def dead_boots(self) -> list[str]:
        """Boots under which executions are RUNNING or lingering, and which have no lease or a buried one; in order.

        As of one moment: a boot that was enrolled since, and what it has claimed, are not looked at.
        """
        ...

    def told_to_stop(self, boot: str, limit: int) -> list[str]:
        """Ids of tasks with an execution RUNNING under this boot whose cancellation was asked for (`cancel_reason`)."""
        ...

    # -- the lane of wake-ups, one thread of its own

    def wakes(self, seconds: float) -> list[str] | None:
        """Wait up to so many seconds for wake-ups; ids of the tasks they name. None: there are none here, do not ask again."""
        ...


def until(now: Instant, seconds: float) -> Instant:
    """When a lease ends that begins now."""
    return Instant(now + round(seconds * 1_000_000))


def is_claim(execution: Execution, former: Execution | None) -> bool:
    """Whether a write makes an attempt run that did not run before."""
    if execution.state is not State.RUNNING:
        return False
    return former is None or former.state is not State.RUNNING or former.fence != execution.fence


def has_claim(change: Create | Update) -> bool:
    """Whether a change of a task claims an execution."""
    if isinstance(change, Create):
        return any(is_claim(execution, None) for execution in change.task.open)
    return not change.delete and any(is_claim(write.execution, write.former) for write in change.executions)


def needs_graph(change: Create | Update) -> bool:
    """Whether a change of a task gives it dependencies, or leaves it some."""
    definition = change.task.definition if isinstance(change, Create) else change.definition
    return definition is not None and definition.dependencies is not None


def is_guarded(commit: Commit) -> bool:
    """Whether a commit has a guard of those that several nodes need."""
    if commit.boot is not None or commit.graph is not None:
        return True
    limits = [write.key_limit for update in commit.updates for write in update.executions]
    return limits.count(None) != len(limits)


def limits_of(change: Create | Update) -> dict[str, int]:
    """How many may hold each of the concurrency keys that a change claims under a limit; of several the strictest."""
    limits: dict[str, int] = {}
    for write in () if isinstance(change, Create) or change.delete else change.executions:
        key, limit = write.execution.key, write.key_limit
        if key is not None and limit is not None and is_claim(write.execution, write.former):
            limits[key] = min(limit, limits.get(key, limit))
    return limits
