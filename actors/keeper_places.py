"""Where executions may run as this node sees it: here, on a peer that is offered them, or nowhere now.

Theory of operation. Whoever makes an execution claimable places it. The node itself comes first where it may run the task and
has room, because that costs no further commit. Otherwise the strategy chooses among the peers that may and have room, by what
gossip says less what was offered since; the chosen one is told after the commit and claims in the store, or declines. Nothing
of an offer is stored: one that leads to nothing is forgotten after `offer_seconds`, and who still waits is found in the store
by the next look.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from enum import Enum
from typing import Final, Protocol

from runtime.clock import SECOND, Instant, Micros
from runtime.records import evolve

from .model.execution import Execution, WaitsFor
from .model.peer import Peer
from .model.placement import ANYWHERE, PINNED, Where
from .model.task import Definition
from .rules.placing import Placer, eligible, targets

OFFER_TIMEOUT: Final = Micros(SECOND)
"""How long an offered execution is left to the peer: a hundred times what a claim takes, short enough to try another one."""

FULL_ABOVE: Final = 0.75
"""The share of its own slots up to which a node prefers itself: below it, nobody else would start the work sooner."""


PROBLEMS_KEPT: Final = 20
"""Different problems with strategies that are remembered: somebody's code may put anything into its errors."""

PINNED_REMEMBERED: Final = 10_000
"""Tasks whose last node is remembered for the strategy `pinned`; one that is forgotten is placed by load once."""


class Room(Enum):
    """What is said where no peer is named."""

    HERE = "here"
    BUSY = "busy"
    NOBODY = "nobody"


Place = Room | Peer


class Places(Protocol):
    """Where an execution may run."""

    @property
    def is_alone(self) -> bool:
        """Whether there is no other node."""
        ...

    def prefers_here(self, definition: Definition, free: int) -> bool:
        """Whether a claim here needs no further thought, with so many of the own slots free."""
        ...

    def choose(self, definition: Definition, execution: Execution, free: int) -> Place:
        """HERE; a peer with room; BUSY: those who may have none; NOBODY: no node may. `free`: slots that may be taken here."""
        ...

    def may_run_here(self, definition: Definition, execution: Execution) -> bool:
        """Whether this node may run it at all."""
        ...

    def offered(self, execution_id: str, peer: Peer, now: Instant) -> None:
        """An execution is offered to a peer."""
        ...

    def is_offered(self, execution_id: str, now: Instant) -> bool:
        """Whether an execution is left to a peer that it was offered to."""
        ...

    @property
    def has_room_elsewhere(self) -> bool:
        """Whether any peer can be offered work."""
        ...

    def targets(self, definition: Definition) -> tuple[str, ...]:
        """The names of the nodes on each of which a task that runs on all shall run now."""
        ...


class OnlyHere:
    """The places of a node that is alone. `runs`: whether it has a task type; `name`: of the node."""

    is_alone: Final = True
    has_room_elsewhere: Final = False

    def __init__(self, runs: Callable[[str], bool], name: str) -> None:
        self._runs = runs
        self._name = name

    def prefers_here(self, definition: Definition, free: int) -> bool:
        return definition.placement is ANYWHERE and self._runs(definition.type)

    def choose(self, definition: Definition, execution: Execution, free: int) -> Place:
        return Room.HERE if self.may_run_here(definition, execution) else Room.NOBODY

    def may_run_here(self, definition: Definition, execution: Execution) -> bool:
        if not self._runs(definition.type) or execution.target not in (None, self._name):
            return False
        placement = definition.placement
        return placement is ANYWHERE or placement.where is not Where.NAMED or self._name in placement.nodes

    def offered(self, execution_id: str, peer: Peer, now: Instant) -> None:
        raise NotImplementedError("there is no other node")

    def is_offered(self, execution_id: str, now: Instant) -> bool:
        return False

    def targets(self, definition: Definition) -> tuple[str, ...]:
        return (self._name,) if self._runs(definition.type) else ()


class ClusterPlaces:
    """The places of one node among others. `me`: what it says of itself; `live`: the boots with a session.

    `absent`: nodes that were there once, and since when they have no session; `problems`: what was wrong with strategies, and how
    often, the newest last; `trouble`: by strategy, what was wrong with it the last time, if it was;
    `failures`: decisions that `least_loaded` made for another one. `warn`: writes to the log.
    """

    is_alone: Final = False

    def __init__(
        self,
        me: Callable[[], Peer],
        live: Callable[[], Collection[str]],
        placer: Placer,
        offer_timeout: Micros = OFFER_TIMEOUT,
        warn: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._warn = warn
        self._me = me
        self._live = live
        self._placer = placer
        self._offer_timeout = offer_timeout
        self._others: tuple[Peer, ...] = ()
        self._offers: dict[str, tuple[str, Instant]] = {}
        self._offered: dict[str, int] = {}
        self._last: OrderedDict[str, str] = OrderedDict()
        self._names: set[str] = set()
        self.absent: dict[str, Instant] = {}
        self.problems: dict[str, int] = {}
        self.trouble: dict[str, str] = {}
        self.failures = 0

    def learn(self, peers: Sequence[Peer], now: Instant) -> None:
        """The nodes as gossip has them. What was offered to them before is in their own figures by now, or soon."""
        mine, live = self._me().boot, self._live()
        self._others = tuple(peer for peer in peers if peer.boot != mine)
        self._offered.clear()
        present = {peer.name for peer in peers if peer.boot in live}
        self._names.update(present)
        self.absent = {name: self.absent.get(name, now) for name in self._names if name not in present}

    def prefers_here(self, definition: Definition, free: int) -> bool:
        me = self._me()
        return (
            definition.placement is ANYWHERE
            and self._placer.keeps_here
            and me.takes_work
            and me.has_type(definition.type)
            and (free >= me.slots * (1 - FULL_ABOVE) or not self.has_room_elsewhere)
        )

    def choose(self, definition: Definition, execution: Execution, free: int) -> Place:
        if free > 0 and self.prefers_here(definition, free):
            return Room.HERE
        me = evolve(self._me(), free=free)
        last = execution.node or self._last.get(definition.id)
        choice = self._placer.place(
            definition, execution, (me, *self._others), here=me.name, last=last, offered=self._offered
        )
        if choice.problem is not None:
            self._note(self._placer.strategy_of(definition), choice.problem)
        elif self.trouble:
            self.trouble.pop(self._placer.strategy_of(definition), None)
        if choice.peer is None:
            return Room.NOBODY if choice.waits_for is WaitsFor.NODE else Room.BUSY
        self._remember(definition, choice.peer.name)
        return Room.HERE if choice.peer is me else choice.peer

    def _note(self, strategy: str, problem: str) -> None:
        if strategy in self.trouble or len(self.trouble) < PROBLEMS_KEPT:
            self.trouble[strategy] = problem
        self.failures += 1
        times = self.problems[problem] = self.problems.pop(problem, 0) + 1
        if len(self.problems) > PROBLEMS_KEPT:
            del self.problems[next(iter(self.problems))]
        if times & (times - 1) == 0:
            # The first time, the second, the fourth, ...: a strategy that is always wrong must not fill the log.
            self._warn(f"{problem}; least_loaded chose in its place ({times} times)")

    def _remember(self, definition: Definition, name: str) -> None:
        if definition.placement.strategy == PINNED:
            self._last[definition.id] = name
            self._last.move_to_end(definition.id)
            if len(self._last) > PINNED_REMEMBERED:
                self._last.popitem(last=False)

    def trouble_with(self, definition: Definition) -> str | None:
        """What was wrong the last time with the strategy that chooses for a task, if something was."""
        return self.trouble.get(self._placer.strategy_of(definition))

    def may_run_here(self, definition: Definition, execution: Execution) -> bool:
        return bool(eligible(definition, execution, (self._me(),)))

    @property
    def others(self) -> Sequence[Peer]:
        """The other nodes, as gossip has them."""
        return self._others

    def who_may_run(self, definition: Definition, execution: Execution) -> Sequence[Peer]:
        """The other nodes that may run it, whether or not they have room."""
        return eligible(definition, execution, self._others)

    def may_run_at(self, boot: str, definition: Definition, execution: Execution) -> bool:
        """Whether another node may run it."""
        return any(peer.boot == boot for peer in self.who_may_run(definition, execution))

    def offered(self, execution_id: str, peer: Peer, now: Instant) -> None:
        self._offers[execution_id] = (peer.boot, Instant(now + self._offer_timeout))
        self._offered[peer.name] = self._offered.get(peer.name, 0) + 1

    def is_offered(self, execution_id: str, now: Instant) -> bool:
        offer = self._offers.get(execution_id)
        return offer is not None and offer[1] > now

    def forget(self, now: Instant) -> None:
        """Offers that have led to nothing, or to what the store knows by now."""
        self._offers = {key: offer for key, offer in self._offers.items() if offer[1] > now}

    def declined(self, boot: str, execution_ids: Sequence[str]) -> None:
        """A peer has no room for these now."""
        for execution_id in execution_ids:
            self._offers.pop(execution_id, None)
        self._others = tuple(evolve(peer, free=0) if peer.boot == boot else peer for peer in self._others)

    @property
    def has_room_elsewhere(self) -> bool:
        return any(peer.takes_work and peer.free > self._offered.get(peer.name, 0) for peer in self._others)

    def targets(self, definition: Definition) -> tuple[str, ...]:
        return targets(definition, (self._me(), *self._others), self._live())
