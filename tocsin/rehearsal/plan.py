"""What a rehearsal does, as data: the cluster, its tasks, what is asked of it, and what goes wrong when.

A plan and its seed give one history. Its `repr` is a Python expression, which is how a failing one is kept as a test.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

import attrs

SESSION: Final = 4.0
"""What the coordination servers wait for a silent node, seconds, of a rhythm of 1."""


def node_names(number: int) -> tuple[str, ...]:
    """What the nodes of a rehearsal are called."""
    return tuple(f"n{one}" for one in range(1, number + 1))


class FaultKind(StrEnum):
    """What can go wrong. What is hit is in `Fault.target`."""

    KILL = "kill"
    """A node's process dies at once, and begins anew when the fault is over. amount 1: at its next checkpoint."""
    STOP = "stop"
    """A node is stopped in order, and begins anew when the fault is over."""
    FREEZE = "freeze"
    """A node's process stands still, as in a debugger or a paused virtual machine, and goes on as if nothing had been.
    amount 1: from its next checkpoint on."""
    DRAIN = "drain"
    """A node is told to take nothing new and to give its partitions up."""
    CUT = "cut"
    """Nothing passes between two nodes, in both directions."""
    CUT_ONE_WAY = "cut one way"
    """Nothing passes from the first node to the second."""
    RESET = "reset"
    """Connections of a node break."""
    VANISH = "vanish"
    """Connections of a node are forgotten without a word: the other ends are half open."""
    SLOW_LINKS = "slow links"
    """What a node sends takes `amount` seconds more, in small pieces."""
    CORRUPT = "corrupt"
    """Of what a node sends, one piece in `1 / amount` has a flipped bit."""
    LOSE_COORDINATION = "lose coordination"
    """The coordination servers do not hear a node."""
    LOSE_REPLIES = "lose replies"
    """The coordination servers hear a node, and it does not hear them."""
    LOSE_REPLY = "lose reply"
    """The answer to the next write at the coordination servers is lost, for a node or, without one, for anybody."""
    EXPIRE = "expire"
    """The coordination servers end a node's session."""
    KILL_LEADER = "kill leader"
    """The leading coordination server dies; the others elect another. amount 1: as soon as a partition has no owner."""
    FREEZE_COORDINATION = "freeze coordination"
    """All coordination servers stand still."""
    LOSE_QUORUM = "lose quorum"
    """Too few coordination servers are left to write."""
    LOSE_STORE = "lose store"
    """A node cannot reach the store: its calls hang."""
    STOP_STORE = "stop store"
    """The store refuses everybody."""
    SLOW_STORE = "slow store"
    """Every call of the store takes up to `amount` seconds more, for a node or, without one, for all."""
    FULL_STORE = "full store"
    """Nothing more can be written to the store."""
    FLAKY_STORE = "flaky store"
    """Of a node's calls of the store, the part `amount` fails."""
    TEAR = "tear"
    """The process of a node dies in the middle of its next write, and begins anew when the fault is over. Of what it wrote any
    part may be on the disk, where it has one of its own."""
    COMMIT_UNKNOWN = "commit unknown"
    """The answer to a node's next commit is lost; `amount` below one half: it was not carried out either."""
    DROP_WAKES = "drop wakes"
    """Wake-ups between nodes are lost."""
    STEP_CLOCK = "step clock"
    """A node's wall clock is moved by `amount` seconds, and back when the fault is over."""


@attrs.frozen
class Fault:
    """At `at` seconds for `seconds`. target: names of nodes; empty: what is hit has none."""

    at: float
    kind: FaultKind
    target: tuple[str, ...] = ()
    seconds: float = 0.0
    amount: float = 0.0

    def __repr__(self) -> str:
        return f"Fault({self.at}, FaultKind.{self.kind.name}, {self.target}, {self.seconds}, {self.amount})"


@attrs.frozen
class Job:
    """A task of the rehearsal. One of `every` (seconds), `cron` (6 fields, UTC), `after` (seconds from the beginning).

    type: one of `work.py`. policies: of the record `Policies`, with plain values. placement: `any` or `all`.
    """

    name: str
    type: str = "brief"
    every: float | None = None
    cron: str | None = None
    after: float | None = None
    parameters: Mapping[str, Any] = attrs.field(factory=dict)
    policies: Mapping[str, Any] = attrs.field(factory=dict)
    placement: str = "any"
    max_runs: int | None = None


@attrs.frozen
class Call:
    """What a client asks for at `at` seconds. job: empty: of all of them.

    verb: `run`; `run twice`: the same run, of two nodes at once; `pause`, `resume`, `cancel`; `cancel running`: `amount` seconds
    after its next start; `edit`: `amount` seconds between fires from then on; `delete`; `pause all`, `resume all`; `purge`: what
    ended `amount` seconds ago.
    """

    at: float
    verb: str
    job: str = ""
    amount: float = 0.0


@attrs.frozen
class Knobs:
    """The configuration of all nodes; swarms draw silly ones too. Times in seconds.

    rhythm: everything that is done regularly is so many times slower than by default, and sessions and leases are so many times
    longer. slots: attempts of a node at the same time. latency, jitter: of the network, one way. chunk: bytes received at once
    at the most. store_latency: of a call of the store, at the most. skew: of wall clocks from the true one, at the most; drift:
    of their speed, as a part of it. min_nodes: before anything is owned. store: `memory`: a server's, that all nodes share;
    `sqlite`: in a file of the only node, which is in no cluster.
    """

    rhythm: float = 4.0
    slots: int = 50
    latency: float = 0.001
    jitter: float = 0.001
    chunk: int | None = None
    store_latency: float = 0.002
    skew: float = 0.0
    drift: float = 0.0
    min_nodes: int = 1
    heartbeat: float | None = None
    probe: float | None = None
    store: str = "memory"


@attrs.frozen
class Plan:
    """See the module's docstring. seconds: of the phase in which things go wrong; then everything is healed and has to be well
    within `heal` seconds, counted in rhythms."""

    seed: int
    nodes: int = 3
    partitions: int = 8
    seconds: float = 300.0
    knobs: Knobs = Knobs()
    jobs: tuple[Job, ...] = ()
    calls: tuple[Call, ...] = ()
    faults: tuple[Fault, ...] = ()

    @property
    def is_alone(self) -> bool:
        """Whether there is one node, in no cluster."""
        return self.knobs.store == "sqlite"

    @property
    def names(self) -> tuple[str, ...]:
        """The nodes."""
        return node_names(self.nodes)
