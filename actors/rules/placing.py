"""Which nodes may run an execution of a stored task, and which of them is asked to.

Theory of operation. What nodes know of each other is hearsay (`Peer`), so this only decides whom to ask: the node that is asked
claims the execution in the store, and an offer that was wrong costs one more try. Two questions stay apart:

    eligible    may run it: has the task type, is an executor, takes work, and is among the nodes that the task names
    a strategy  chooses among those of them that have a free slot; if none has one, the execution waits

A node is loaded as it said last, less what it was offered since: `Candidate.free`. Without that a node that reported free slots
would be offered everything until it reports again.

`least_loaded` compares two that are drawn at random, not all: those who decide at the same time see the same numbers, and would
all ask the same node. The node that decides keeps an execution for itself unless another one is clearly less loaded
(`NEARLY_ALIKE`): that saves the offer and a commit.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Protocol

from runtime.clock import MINUTE, Instant, Micros
from runtime.records import record

from ..model.execution import Execution
from ..model.lifecycle import State
from ..model.peer import Peer, Standing
from ..model.placement import LEAST_LOADED, PINNED, RANDOM, ROUND_ROBIN, RULES, Where
from ..model.task import Definition

if TYPE_CHECKING:
    from random import Random

NEARLY_ALIKE: Final = 0.1
"""The part of its slots by which a node may be more loaded than the best other and still keep what it decides about."""

NODE_GONE_AFTER: Final = Micros(10 * MINUTE)
"""A node that has been away for so long is gone for good: a restart, an upgrade and a reboot of its machine take less."""

NODES_REMEMBERED: Final = 1_024
"""Names whose turn `round_robin` remembers: more than a cluster has nodes, so only those of nodes that left are forgotten."""

PROBLEM_SHOWN: Final = 500
"""Characters of what a user's strategy raised: enough for its message, short enough for a line of the log."""

Labels = tuple[tuple[str, str], ...]


# -- who may


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
        and definition.type in peer.types
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
        and definition.type in peer.types
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
    """A node that may run it. `free`: its slots that are free as far as can be known. `here`: it is the one who decides."""

    peer: Peer
    free: int
    here: bool = False

    @property
    def share(self) -> float:
        """The part of its slots that is free, 0 to 1."""
        return max(0, self.free) / self.peer.slots if self.peer.slots else 0.0


@record
class Facts:
    """What a strategy may look at beside the candidates: the task, the execution, and the `last` node that ran the task, by name.

    `random`: all chance that a strategy may use.
    """

    definition: Definition
    execution: Execution
    random: Random
    last: str | None = None


class Strategy(Protocol):
    """A way to choose. Users write their own: any object with this method, which must not block."""

    def choose(self, candidates: Sequence[Candidate], facts: Facts) -> Peer | None:
        """One of the candidates that has a free slot; None: the execution waits until it is asked for again."""
        ...


def with_room(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Those that have a free slot."""
    return [one for one in candidates if one.free > 0]


class LeastLoaded:
    """Of two drawn at random the one with the larger free share; who decides keeps it if no other is clearly better."""

    def choose(self, candidates: Sequence[Candidate], facts: Facts) -> Peer | None:
        """See the class."""
        free = with_room(candidates)
        for one in free:
            if one.here and one.share + NEARLY_ALIKE >= max(other.share for other in free):
                return one.peer
        if len(free) < 2:
            return free[0].peer if free else None
        first, second = facts.random.sample(free, 2)
        return second.peer if second.share > first.share else first.peer


class Randomly:
    """Any of them."""

    def choose(self, candidates: Sequence[Candidate], facts: Facts) -> Peer | None:
        """See the class."""
        free = with_room(candidates)
        return facts.random.choice(free).peer if free else None


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

    def __init__(self, otherwise: Strategy) -> None:
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

    def __init__(self, rules: Sequence[Rule], otherwise: Strategy) -> None:
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


class Guarded:
    """A user's strategy: where it raises, or names what is no candidate with a free slot, `otherwise` chooses.

    `tell` hears what was wrong, each time.
    """

    def __init__(self, name: str, strategy: Strategy, otherwise: Strategy, tell: Callable[[str], None]) -> None:
        self._name = name
        self._strategy = strategy
        self._otherwise = otherwise
        self._tell = tell

    def choose(self, candidates: Sequence[Candidate], facts: Facts) -> Peer | None:
        """See the class."""
        try:
            chosen = self._strategy.choose(candidates, facts)
        except Exception as error:
            wrong = f"{type(error).__name__}: {error}"[:PROBLEM_SHOWN]
        else:
            if chosen is None or any(one.peer is chosen and one.free > 0 for one in candidates):
                return chosen
            wrong = "chose what is no candidate with a free slot"
        self._tell(f"placement strategy {self._name!r}: {wrong}")
        return self._otherwise.choose(candidates, facts)


class Strategies:
    """The strategies of one node, by name; called with the name that a task's placement has.

    rules: of the strategy `rules`. own: the user's, by class path or entry point. usual: for tasks that name none. tell: hears
    what is wrong with a user's one, or that this node does not have the one that a task names; `least_loaded` chooses then.
    """

    def __init__(
        self,
        rules: Sequence[Rule] = (),
        own: Mapping[str, Strategy] | None = None,
        usual: str = LEAST_LOADED,
        tell: Callable[[str], None] = lambda problem: None,
    ) -> None:
        self._least_loaded = LeastLoaded()
        self._usual = usual
        self._tell = tell
        guarded = {name: Guarded(name, one, self._least_loaded, tell) for name, one in (own or {}).items()}
        self._known: dict[str, Strategy] = {
            **guarded,
            LEAST_LOADED: self._least_loaded,
            ROUND_ROBIN: RoundRobin(),
            RANDOM: Randomly(),
            PINNED: Pinned(self._least_loaded),
            RULES: ByRules(rules, self._least_loaded),
        }

    def __call__(self, name: str) -> Strategy:
        """The strategy of that name; of no name the usual one."""
        found = self._known.get(name or self._usual)
        if found is None:
            self._tell(f"this node has no placement strategy {name or self._usual!r}")
            return self._least_loaded
        return found
