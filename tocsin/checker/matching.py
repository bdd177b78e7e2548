"""The largest matching of starts with the times at which something had to start, by time alone.

Each target is a stretch of time in which one start is wanted, each start an instant that serves one target at most. Going through
the starts in order and giving each to the open target that ends first is optimal, because what a target takes is one stretch:
a target that ends later can always wait longer. No names are looked at, so this finds what wrong names would hide.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence


def match(targets: Sequence[tuple[int, int]], points: Sequence[int]) -> list[tuple[int, int]]:
    """Pairs (index of a target, index of a point), as many as there can be. A target [begin, end] includes both its ends."""
    waiting = sorted(range(len(targets)), key=lambda index: targets[index][0], reverse=True)
    open_now: list[tuple[int, int]] = []
    pairs: list[tuple[int, int]] = []
    for point in sorted(range(len(points)), key=lambda index: points[index]):
        at = points[point]
        while waiting and targets[waiting[-1]][0] <= at:
            target = waiting.pop()
            heapq.heappush(open_now, (targets[target][1], target))
        while open_now and open_now[0][0] < at:
            heapq.heappop(open_now)
        if open_now:
            pairs.append((heapq.heappop(open_now)[1], point))
    return pairs
