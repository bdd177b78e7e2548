"""The figures of gossip: how long, how often, to how many.

The formulae are those of SWIM (Das, Gupta, Motivala, DSN 2002), of Lifeguard (Dadgar, Phillips, Currey, 2017) and of
memberlist, which made both of them well known.
"""

from __future__ import annotations

import math
from typing import Final

import attrs

HIGHEST_AWARENESS: Final = 8
"""The worst health a node gives itself; its probes then take nine times as long. Lifeguard's S."""

PUSH_PULL_THRESHOLD: Final = 32
"""Members up to which every node compares notes at the plain interval; with each doubling above, one interval more."""


@attrs.frozen
class GossipConfig:
    """Times in seconds, for nodes in one data centre. Where a default has a reason beyond memberlist's, it is told."""

    probe_seconds: float = attrs.field(default=0.5, validator=attrs.validators.gt(0))
    """Between two probes of a node, and the time in which one must be answered. Half of memberlist's: all of ten nodes
    shall know of a crash within five seconds."""
    timeout_seconds: float = attrs.field(default=0.25, validator=attrs.validators.gt(0))
    """After which others are asked to probe as well."""
    indirect: int = 3
    """How many others."""
    gossip_seconds: float = attrs.field(default=0.2, validator=attrs.validators.gt(0))
    """Between two rounds of passing news on; there are none without news."""
    fanout: int = attrs.field(default=3, validator=attrs.validators.ge(1))
    """To how many members in a round."""
    retransmit: int = 4
    """A piece of news is passed on `retransmit * ceil(log10(n + 1))` times."""
    load_retransmit: int = 2
    """The same for loads, which are soon replaced by newer ones."""
    suspicion: int = 4
    """A suspect has `suspicion * max(1, log10(n))` probe intervals to refute once enough others confirm: 2 s up to ten nodes."""
    suspicion_max: int = 6
    """So many times as long if nobody confirms."""
    push_pull_seconds: float = attrs.field(default=10.0, validator=attrs.validators.gt(0))
    """Between two comparisons of all that is known with one other, by digest. A third of memberlist's, since equal digests are
    the end of it."""
    load_seconds: float = 0.2
    """At most so often a node tells its load, up to `load_members` members, more seldom in proportion above."""
    load_members: int = 32
    """With more members the loads of all would be the most of the traffic."""
    urgent_seconds: float = 0.02
    """At most so often a node tells at once that it has its first free slot, or none any more."""
    urgent_fanout: int = 16
    """To how many members at once what is urgent is told: to all, in a full mesh."""
    remember_seconds: float = 3600.0
    """How long the dead are remembered, so that old gossip resurrects nobody, and tried again after a partition."""
    show_dead_seconds: float = 60.0
    """How long a dead node that the coordination service does not list is still shown."""
    peers_seconds: float = 0.1
    """At most so often a change of the peers is told."""
    stall_seconds: float = 0.2
    """An alarm that comes later than this shows that this node itself was stopped: nobody is accused of its own delay."""


def retransmit_limit(factor: int, members: int) -> int:
    """How often a piece of news is passed on among so many members."""
    return max(1, factor * math.ceil(math.log10(members + 1)))


def suspicion_bounds(config: GossipConfig, members: int) -> tuple[float, float]:
    """The shortest and the longest time in seconds that a suspect has to refute."""
    shortest = config.suspicion * max(1.0, math.log10(max(1, members))) * config.probe_seconds
    return shortest, shortest * config.suspicion_max


def confirmations_wanted(config: GossipConfig, members: int) -> int:
    """How many independent confirmations shorten a suspicion all the way; none where there are too few to give them."""
    wanted = config.suspicion - 2
    return wanted if members - 2 >= wanted else 0


def suspicion_seconds(shortest: float, longest: float, confirmations: int, wanted: int) -> float:
    """How long a suspicion lasts: Lifeguard's max - log(n + 1) / log(k + 1) * (max - min)."""
    if wanted <= 0:
        return shortest
    return max(shortest, longest - math.log(confirmations + 1) / math.log(wanted + 1) * (longest - shortest))


def push_pull_seconds(config: GossipConfig, members: int) -> float:
    """The interval between two comparisons of one node, so that all together do not make more of them as the cluster grows."""
    if members <= PUSH_PULL_THRESHOLD:
        return config.push_pull_seconds
    return config.push_pull_seconds * (math.ceil(math.log2(members) - math.log2(PUSH_PULL_THRESHOLD)) + 1)


def is_mesh(config: GossipConfig, members: int) -> bool:
    """Whether one of so many can tell all others at once."""
    return members - 1 <= config.urgent_fanout


def load_seconds(config: GossipConfig, members: int) -> float:
    """The interval between two tellings of one node's load: in a mesh it tells all others itself, and as many a second as it
    would in rounds."""
    share = (members - 1) / (config.fanout + 1) if is_mesh(config, members) else members / config.load_members
    return config.load_seconds * max(1.0, share)
