"""Which nodes may run an execution of a stored task, and which of them is asked to.

Theory of operation. What nodes know of each other is hearsay (`Peer`), so this only decides whom to ask: the node that is asked
claims the execution in the store, and an offer that was wrong costs one more try. Two questions stay apart:

    eligible    may run it: has the task type, is an executor, takes work, and is among the nodes that the task names
    a strategy  chooses among those of them that have a free slot; if none has one, the execution waits

A node is loaded as it said last, and with what it was offered since: `Candidate.offered`. Without that a node that reported
free slots would be offered everything until it reports again.

`least_loaded` compares two that are drawn at random, not all: those who decide at the same time see the same numbers, and would
all ask the same node. The node that decides keeps an execution for itself unless another one is clearly less loaded
(`NEARLY_ALIKE`): that saves the offer and a commit.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Final, Protocol

from runtime.clock import MINUTE, Instant, Micros
from runtime.errors import InvalidRequest
from runtime.records import record

from ..model.execution import Execution, WaitsFor
from ..model.lifecycle import State
from ..model.peer import Peer, Standing
from ..model.placement import LEAST_LOADED, PINNED, RANDOM, ROUND_ROBIN, RULES, Placement, Where
from ..model.task import Definition
from ..model.trigger import Once, Trigger, Union

if TYPE_CHECKING:
    from random import Random

NEARLY_ALIKE: Final = 0.1
"""The part of its slots by which a node may be more loaded than the best other and still keep what it decides about."""

NODE_GONE_AFTER: Final = Micros(10 * MINUTE)
"""A node that has been away for so long is gone for good: a restart, an upgrade and a reboot of its machine take less."""

NODES_REMEMBERED: Final = 1_024
"""Names whose turn `round_robin` remembers: more than a cluster has nodes, so only those of nodes that left are forgotten."""

MAX_ORDER: Final = 1_024
"""Nodes of an order that a strategy gives: as many as a cluster has."""

PROBLEM_SHOWN: Final = 500
"""Characters of what a user's strategy raised: enough for its message, short enough for a line of the log."""

Labels = tuple[tuple[str, str], ...]


# -- who may


def check_goes_with(placement: Placement, trigger: Trigger) -> None:
    """Refuse a task that runs on all nodes and fires once: whether a node was there at that instant would be chance.

    Raises InvalidRequest.
    """
    singles = trigger.triggers if isinstance(trigger, Union) else (trigger,)
    if placement.where is Where.ALL and all(isinstance(one, Once) for one in singles):
        raise InvalidRequest(
            "placement.on: all does not go with a trigger that fires once: name the nodes, or leave it out"
        )


def allows(definition: Definition, peer: Peer) -> bool:
    """Whether a task may run on a node as the task was written: by the node's name or its labels."""
    placement = definition.placement
    match placement.where:
        case Where.NAMED:
            return peer.name in placement.nodes
        case Where.SELECTOR:
            return has_labels(peer, placement.labels)
        case _:
            return True


def has_labels(peer: Peer, labels: Labels) -> bool:
    """Whether a node has every one of these labels, with the same value."""
    return all(pair in peer.labels for pair in labels)


def eligible(definition: Definition, execution: Execution, peers: Sequence[Peer]) -> list[Peer]:
    """The nodes that may run an execution of a stored task now, in the order given, whether or not they have a free slot.

    An execution with a `target` is for the node of that name alone, wherever its task would run by now. A task in memory lives
    on its node, and nobody asks for it.
    """
    target = execution.target
    return [
        peer
        for peer in peers
        if peer.takes_work
        and peer.has_type(definition.type)
        and (peer.name == target if target is not None else allows(definition, peer))
    ]


def targets(definition: Definition, peers: Iterable[Peer], live: Collection[str] | None = None) -> tuple[str, ...]:
    """The names of the nodes on each of which a slot runs that is settled now, for a task that runs on all; sorted.

    live: the boots with a session; None: what gossip does not call dead. What it suspects counts while its session lives: a slow
    node must not lose its share. One that drains takes nothing new. Empty: there is none, and the slot is skipped.
    """
    names = {
        peer.name
        for peer in peers
        if (peer.standing is not Standing.DEAD if live is None else peer.boot in live)
        and peer.executor
        and not peer.draining
        and peer.has_type(definition.type)
    }
    return tuple(sorted(names))


def lost(executions: Iterable[Execution], absent: Mapping[str, Instant], now: Instant) -> tuple[Execution, ...]:
    """The waiting executions whose target is gone for good. absent: name of a node -> since when it has had no session.

    A node that comes back under its name within `NODE_GONE_AFTER` finds them as they were. What runs is not judged here: its
    lease in the store guards it, and when that has lapsed it has crashed, and waits.
    """
    return tuple(
        entry
        for entry in executions
        if entry.state is State.WAITING
        and entry.target is not None
        and (since := absent.get(entry.target)) is not None
        and now - since >= NODE_GONE_AFTER
    )


# -- who is asked


@record
class Candidate:
    """A node that may run it. `offered`: executions that the one who decides has offered it and that it has not counted yet."""

    peer: Peer
    offered: int = 0

    @property
    def free(self) -> int:
        """Slots that are free, as far as can be known."""
        return max(0, self.peer.free - self.offered)

    @property
    def share(self) -> float:
        """The part of its slots that is free, 0 to 1."""
        return self.free / self.peer.slots if self.peer.slots else 0.0


@record
class Facts:
    """What a strategy may look at beside the candidates. Nodes by name: the `last` that ran the task, and `here`, who decides.

    `random`: chance that a rehearsal repeats, for a strategy that draws.
    """

    definition: Definition
    last: str | None = None
    here: str = ""
    random: Random | None = None


Wanted = Peer | Candidate | str
"""A node as a strategy names it: what it was given, or its name."""


class Strategy(Protocol):
    """A way to choose. Users write their own: any object with this method, which must not block."""

    def choose(self, candidates: Sequence[Candidate], facts: Facts) -> Wanted | Iterable[Wanted] | None:
        """One of the candidates that has a free slot, or several in the order in which they are preferred.

        None, or an order of none that has one: the execution waits until it is asked for again.
        """
        ...


def with_room(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Those that have a free slot."""
    return [one for one in candidates if one.free > 0]


class LeastLoaded:
    """Of two drawn at random the one with the larger free share; who decides keeps it if no other is clearly better."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def choose(self, candidates: Sequence[Candidate], facts: Facts) -> Peer | None:
        """See the class."""
        free = with_room(candidates)
        for one in free:
            if one.peer.name == facts.here and one.share + NEARLY_ALIKE >= max(other.share for other in free):
                return one.peer
        if len(free) < 2:
            return free[0].peer if free else None
        first, second = self._random.sample(free, 2)
        return second.peer if second.share > first.share else first.peer


class Randomly:
    """Any of them."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def choose(self, candidates: Sequence[Candidate], facts: Facts) -> Peer | None:
        """See the class."""
        free = with_room(candidates)
        return self._random.choice(free).peer if free else None


class RoundRobin:
    """The one whose last turn is the longest ago, so that tasks which may run on different nodes do not starve one of them."""

    def __init__(self) -> None:
        self._turns: dict[str, int] = {}
        self._turn = 0

    def choose(self, candidates: Sequence[Candidate], facts: Facts) -> Peer | None:
        """See the class."""
        free = with_room(candidates)
        if not free:
            return None
        chosen = min(free, key=lambda one: (self._turns.get(one.peer.name, 0), one.peer.name)).peer
        self._turn += 1
        self._turns[chosen.name] = self._turn
        if len(self._turns) > NODES_REMEMBERED:
            del self._turns[min(self._turns, key=self._turns.__getitem__)]
        return chosen


class Pinned:
    """The node of the task's last execution while it takes work and has a free slot; `otherwise` says who else."""

    def __init__(self, otherwise: LeastLoaded) -> None:
        self._otherwise = otherwise

    def choose(self, candidates: Sequence[Candidate], facts: Facts) -> Peer | None:
        """See the class."""
        for one in with_room(candidates):
            if one.peer.name == facts.last:
                return one.peer
        return self._otherwise.choose(candidates, facts)


@record
class Rule:
    """Tasks that are all of what is said here are preferred on nodes with the labels `nodes`. None and empty: not said.

    `type`: a task type, or with * at its end all that begin so. `tags`, `labels`: the task has each of them.
    """

    nodes: Labels
    type: str | None = None
    tags: tuple[str, ...] = ()
    labels: Labels = ()
    queue: str | None = None

    def fits(self, definition: Definition) -> bool:
        """Whether the rule is about this task."""
        return (
            (self.type is None or _matches(self.type, definition.type))
            and (self.queue is None or self.queue == definition.policies.queue)
            and all(tag in definition.tags for tag in self.tags)
            and all(pair in definition.labels for pair in self.labels)
        )


def _matches(pattern: str, name: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern


class ByRules:
    """The nodes of the first rule that fits and of whose nodes one has a free slot; all of them if there is no such rule.

    Rules prefer. What may not run elsewhere at all has a selector.
    """

    def __init__(self, rules: Sequence[Rule], otherwise: LeastLoaded) -> None:
        self._rules = tuple(rules)
        self._otherwise = otherwise

    def choose(self, candidates: Sequence[Candidate], facts: Facts) -> Peer | None:
        """See the class."""
        free = with_room(candidates)
        for rule in self._rules:
            if rule.fits(facts.definition):
                preferred = [one for one in free if has_labels(one.peer, rule.nodes)]
                if preferred:
                    return self._otherwise.choose(preferred, facts)
        return self._otherwise.choose(free, facts)


@record
class Choice:
    """Whom to ask. `waits_for`, where there is nobody: a NODE that may run it, or a SLOT on one.

    `problem`: what was wrong with the strategy, for the log; `least_loaded` chose in its place.
    """

    peer: Peer | None = None
    waits_for: WaitsFor | None = None
    problem: str | None = None


class NoCandidate(Exception):
    """A strategy chose what may not run it, or is full."""


def _picked(answer: object, candidates: Sequence[Candidate]) -> Peer | None:
    """The node that an answer means. Raises NoCandidate, and TypeError for what is no answer."""
    if answer is None:
        return None
    alone = isinstance(answer, Peer | Candidate | str)
    order = (answer,) if alone else tuple(islice(answer, MAX_ORDER))  # type: ignore[call-overload]
    known = True
    for wanted in order:
        found = next(
            (one for one in candidates if wanted is one or wanted is one.peer or wanted == one.peer.name), None
        )
        if found is not None and found.free > 0:
            return found.peer
        known = known and found is not None and not alone
    if not known:
        raise NoCandidate("chose what is no candidate with a free slot")
    return None


class Placer:
    """The strategies of one node, by name.

    random: draws. rules: of the strategy `rules`. own: the user's strategies by class path or entry point. usual: what a task has
    that names none.
    """

    def __init__(
        self,
        random: Random,
        rules: Sequence[Rule] = (),
        own: Mapping[str, Strategy] | None = None,
        usual: str = LEAST_LOADED,
    ) -> None:
        self._random = random
        self._fallback = LeastLoaded(random)
        self._usual = usual
        self._strategies: dict[str, Strategy] = {
            **(own or {}),
            LEAST_LOADED: self._fallback,
            ROUND_ROBIN: RoundRobin(),
            RANDOM: Randomly(random),
            PINNED: Pinned(self._fallback),
            RULES: ByRules(rules, self._fallback),
        }

    def strategy_of(self, definition: Definition) -> str:
        """The name of the strategy that chooses for a task."""
        return definition.placement.strategy or self._usual

    @property
    def keeps_here(self) -> bool:
        """Whether a node that has much room keeps what says nothing of where it runs: no other strategy is asked by then."""
        return self._usual == LEAST_LOADED

    def place(
        self,
        definition: Definition,
        execution: Execution,
        peers: Sequence[Peer],
        *,
        here: str,
        last: str | None = None,
        offered: Mapping[str, int] | None = None,
    ) -> Choice:
        """Whom to ask to run an execution of a stored task: one of `peers`.

        here: the name of the node that decides. last: the name of that of the task's last execution. offered: executions that
        a node was offered, by its name, and that its load does not show yet.
        """
        candidates = [
            Candidate(peer, offered.get(peer.name, 0) if offered else 0)
            for peer in eligible(definition, execution, peers)
        ]
        if not candidates:
            return Choice(waits_for=WaitsFor.NODE)
        name = self.strategy_of(definition)
        peer, problem = self._choose(name, candidates, Facts(definition, last, here, self._random))
        return Choice(peer, None if peer is not None else WaitsFor.SLOT, problem)

    def _choose(self, name: str, candidates: Sequence[Candidate], facts: Facts) -> tuple[Peer | None, str | None]:
        """What the strategy says, if it is sound. A user's code may raise, or name what may not run it or is full."""
        strategy = self._strategies.get(name)
        if strategy is None:
            wrong = "this node does not have it"
        else:
            try:
                return _picked(strategy.choose(candidates, facts), candidates), None
            except Exception as error:
                kind = "" if isinstance(error, NoCandidate) else f"{type(error).__name__}: "
                wrong = f"{kind}{error}"[:PROBLEM_SHOWN]
        return self._fallback.choose(candidates, facts), f"placement strategy {name!r}: {wrong}"
