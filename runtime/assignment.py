"""Who is to hold which slot: weighted rendezvous hashing with exact shares and bounded movement. Pure.

Plain rendezvous hashing moves only what it must, but its shares scatter: three equal nodes get between 75 and 95 of 256 slots.
So everybody gets a target first, his share rounded down or up, and rendezvous decides only who takes what is free and what is
given up. A slot moves if its holder is gone or has more than his target, and for no other reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from math import log
from typing import Final

_HASH_BITS: Final = 64


def assign(slots: int, weights: Mapping[str, int], present: Mapping[int, str]) -> dict[int, str]:
    """Every slot to the name of its holder; empty if nobody has a weight.

    weights: names of those who may hold slots, with their shares compared with one another; 0: takes none. present: who
    holds what now; names without a weight and unknown slots are overlooked. The same arguments always give the same answer.
    """
    members = {name: weight for name, weight in weights.items() if weight > 0}
    if not members:
        return {}
    held: dict[str, list[int]] = {name: [] for name in sorted(members)}
    for slot in range(slots):
        if (name := present.get(slot)) in held:
            held[name].append(slot)
    goals = targets(slots, members, {name: len(own) for name, own in held.items()})
    assigned: dict[int, str] = {}
    for name, own in held.items():
        own.sort(key=lambda slot: (-_score(slot, name, members[name]), slot))
        assigned.update(dict.fromkeys(own[: goals[name]], name))
    room = {name: goals[name] - min(len(own), goals[name]) for name, own in held.items()}
    for slot in range(slots):
        if slot not in assigned:
            best = max(
                (name for name in room if room[name]), key=lambda name: (_score(slot, name, members[name]), name)
            )
            room[best] -= 1
            assigned[slot] = best
    return assigned


def targets(slots: int, weights: Mapping[str, int], held: Mapping[str, int]) -> dict[str, int]:
    """How many slots each gets: his share by weight, rounded down or up, together exactly `slots`.

    Who has more than his share rounded down now is rounded up first: that saves movement.
    """
    total = sum(weights.values())
    goals = {name: slots * weight // total for name, weight in weights.items()}
    left = slots - sum(goals.values())
    by_claim = sorted(
        (name for name in weights if slots * weights[name] % total),
        key=lambda name: (held.get(name, 0) <= goals[name], -(slots * weights[name] % total), _digest(name)),
    )
    for name in by_claim[:left]:
        goals[name] += 1
    return goals


def _score(slot: int, name: str, weight: int) -> float:
    """The weighted rendezvous score: the highest takes the slot."""
    chance = (_digest(f"{slot}:{name}") + 1) / (2**_HASH_BITS + 2)
    return -weight / log(chance)


def _digest(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=_HASH_BITS // 8).digest(), "big")
