"""Whose turn it is beyond the own partitions: what waits with one node, and another one has to run or to make way for.

Theory of operation. An offer is for a node that has room. One that never says it has, because it fills every slot at once from
its own partitions, is offered nothing; and who frees a concurrency key gives it to his own waiters in the same commit. So at
each look the owner tells his peers of two kinds of waiting executions, as a *standing offer*:

- those that the owner may not run itself go to the peers that may: they wait there as well, among those of the peer's own
  partitions, in the order of priority and age that holds for all. Where many wait that any of several peers may run, only the
  oldest go to all of these at once;
- those with a concurrency key go to all peers. Who uses that key lets them wait among his own waiters, so whoever frees it
  serves the one that has waited longest, wherever it waits; if that one may not run there, the key is left to it for a while.

A standing offer is not answered, nothing of it is stored, and the next one of the same peer replaces it. It is a hint like any
other: the claim is made in the store under the version of the task's row, so one that is over or lost costs a second at most.
Where nothing of these kinds waits, nothing is told, and no claim takes a step more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from .keeper_claims import Claims, is_claimable
from .keeper_places import ClusterPlaces
from .keeper_tasks import Tasks
from .model.execution import Execution
from .model.peer import Peer
from .model.task import Definition, Task
from .sharing_messages import Offered, SendOffer

STANDING_MOST: Final = 64
"""Executions in one standing offer: more than a node starts between two looks when it is the bottleneck, and one brief read."""

KEY_MOST: Final = 16
"""Of those that need one and the same concurrency key. If more run between two looks, their order is kept only roughly."""

TO_ALL: Final = 8
"""Of those that must run elsewhere: so many, the oldest, are told to every node that may run them, the others to one each,
another one at each look. Where several wait for the same, all but the first who claims it try in vain."""

Pair = tuple[str, str]
"""Task id and execution id; or a tenant and his concurrency key."""

ELSEWHERE: Final[Pair] = ("\0", "elsewhere")
"""Stands among the keys for having to run elsewhere. No tenant's name has such a character."""


class StandingOffers:
    """See the module's docstring: what is told to peers, and what they have told."""

    def __init__(self, claims: Claims, places: ClusterPlaces) -> None:
        self._claims = claims
        self._places = places
        self._told: frozenset[str] = frozenset()
        self._looks = 0
        self._heard: dict[str, frozenset[str]] = {}

    # -- the owner

    def to_send(self, waiting: Iterable[Task]) -> list[SendOffer]:
        """What the peers are told at a look. waiting: tasks of the own partitions, in the order of waiting."""
        found: dict[str, list[Pair]] = {}
        seen: Counter[Pair] = Counter()
        self._looks += 1
        for task in waiting:
            for execution in task.open:
                if is_claimable(execution):
                    for peer in self._concerned(task.definition, execution, seen):
                        some = found.setdefault(peer.boot, [])
                        if len(some) < STANDING_MOST:
                            some.append((task.id, execution.id))
        over = sorted(self._told - found.keys())
        self._told = frozenset(found)
        return [SendOffer(boot, tuple(found.get(boot, ())), stands=True) for boot in [*found, *over]]

    def _concerned(self, definition: Definition, execution: Execution, seen: Counter[Pair]) -> Sequence[Peer]:
        """Whom an execution that waits is told of. seen: how many there were before it, by key, and of those for elsewhere."""
        concurrency = definition.policies.concurrency
        if concurrency is not None and self._claims.lacks(definition, execution)[0] is not None:
            key = (definition.tenant, concurrency.key)
            seen[key] += 1
            if seen[key] <= KEY_MOST:
                return [peer for peer in self._places.others if peer.takes_work]
        if self._places.may_run_here(definition, execution):
            return ()
        may = self._places.who_may_run(definition, execution)
        seen[ELSEWHERE] += 1
        if len(may) < 2 or seen[ELSEWHERE] <= TO_ALL:
            return may
        return (may[(seen[ELSEWHERE] + self._looks) % len(may)],)

    # -- the peer

    def hear(self, message: Offered, tasks: Tasks) -> None:
        """What a peer says that waits with it: let it wait here too where this concerns us, and nothing else of that peer."""
        waits: set[str] = set()
        for task_id, execution_id in message.executions[:STANDING_MOST]:
            staged = tasks.stage(task_id)
            execution = None if staged is None else staged.executions.get(execution_id)
            if staged is None or execution is None or not is_claimable(execution):
                continue
            urgent = self._is_ours(message.boot, staged.definition, execution)
            if self._claims.stand(staged.definition, execution, urgent=urgent):
                waits.add(execution_id)
        self._replace(message.boot, frozenset(waits))

    def _is_ours(self, boot: str, definition: Definition, execution: Execution) -> bool:
        """Whether it may run here, and not where it waits."""
        places = self._places
        return places.may_run_here(definition, execution) and not places.may_run_at(boot, definition, execution)

    def _replace(self, boot: str, waits: frozenset[str]) -> None:
        for execution_id in sorted(self._heard.pop(boot, frozenset()) - waits):
            self._claims.no_longer_told(execution_id)
        if waits:
            self._heard[boot] = waits

    def forget(self, peers: Iterable[Peer]) -> None:
        """What nodes have told that are not known any more."""
        for boot in sorted(self._heard.keys() - {peer.boot for peer in peers}):
            self._replace(boot, frozenset())
