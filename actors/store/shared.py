"""What a store offers to several nodes that work on it at the same time, beyond what one node needs of it.

- **Leases.** A node's row says until when its attempts count as alive, by the clock of the store. A lease that has lapsed and
  whose node has no session is *buried*: for ever, in one transaction. Only then are its attempts lost. A commit of a buried boot
  claims nothing (`Commit.boot`): such tasks are refused with `LeaseLost`; ends of attempts are judged by their fences alone.
- **Concurrency keys.** A claim with a key (`ExecutionWrite.key_limit`) is made under a lock on the key, and refused with
  `LimitReached` when so many executions with it run or linger already, over all tasks of the tenant and all nodes.
- **Wake-ups.** A commit may name tasks that concern other nodes (`Commit.wakes`): those who listen hear of them after it. Hints.
- **Edges.** A commit that changes dependencies names the `graph` number under which it was decided (`Commit.graph`); tasks with
  dependencies are refused with `StaleVersion` if it has grown since.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from runtime.records import record

from .port import SchedulerPause, Store


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

    # -- the writer's lane

    def enrol(self, boot: str, node: str, seconds: float) -> None:
        """A lease for a new boot. Raises Conflict if a boot of that node name has a lease that has neither lapsed nor ended."""
        ...

    def renew(self, boot: str, seconds: float) -> bool:
        """Make the lease last for so many seconds from now. False: it was buried; the boot must not act any more."""
        ...

    def leave(self, boot: str) -> None:
        """End a lease: as if it had lapsed and were buried."""
        ...

    def bury(self, members: Sequence[str]) -> tuple[str, ...]:
        """Bury the lapsed leases of boots that are not members. Answers the boots that are to be treated as alive:
        the members, and those whose leases have not lapsed yet."""
        ...

    def raise_floor(self, above: Mapping[int, int]) -> None:
        """An operator's word after a loss of authority: every partition's epoch becomes at least the given one plus one."""
        ...

    # -- reads

    def shared(self) -> Shared:
        """One small read."""
        ...

    def epochs(self) -> Mapping[int, int]:
        """The epoch of every partition that was ever taken."""
        ...

    def told_to_stop(self, boot: str, limit: int) -> list[str]:
        """Ids of tasks with an execution RUNNING under this boot whose cancellation was asked for (`cancel_reason`)."""
        ...

    # -- the lane of wake-ups, one thread of its own

    def wakes(self, seconds: float) -> list[str] | None:
        """Wait up to so many seconds for wake-ups; ids of the tasks they name. None: there are none here, do not ask again."""
        ...
