"""Two queues of the gossip core: the news still to be passed on, and what is to be done when.

Theory of operation. News that has been passed on least goes first: it lies in a bucket of its count, and taking it moves it to a
later bucket, until its limit is reached. So taking costs as much as is taken, however much waits. A newer piece of news about
the same thing takes the place of the older one and begins anew; but the suspicions of several accusers stand side by side until
something else is said of the suspect, because each of them counts.

A timer is named by its kind and key and rings once. Setting it again replaces it; the entries that lie stale in the heap are
skipped when they come up.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Collection
from enum import IntEnum
from itertools import islice
from typing import Final

from .gossip_messages import NOTHING, Claim, Life, Load, News, Profile

Item = Claim | Profile | Load
Key = tuple[type, str, str]

COMPACT_ABOVE: Final = 1_024
"""Heap entries below which stale ones are not worth removing."""


class NewsQueue:
    """See the module's docstring."""

    def __init__(self) -> None:
        self._buckets: dict[int, dict[Key, Item]] = {}
        self._counts: dict[Key, int] = {}
        self._accusers: dict[str, list[str]] = {}

    def __len__(self) -> int:
        return len(self._counts)

    @property
    def presses(self) -> bool:
        """Whether there is anything but loads, which can wait for an occasion."""
        return any(kind is not Load for kind, _, _ in self._counts)

    def add(self, item: Item, told: int = 0) -> None:
        """Pass this on, in place of what is queued of its kind about the same member. `told`: as if so many had been told."""
        if type(item) is not Claim:
            key = (type(item), item.name, "")
        elif item.life is Life.SUSPECT:
            key = (Claim, item.name, item.by)
            self._remove((Claim, item.name, ""))
            self._accusers.setdefault(item.name, []).append(item.by)
        else:
            key = (Claim, item.name, "")
            for accuser in self._accusers.pop(item.name, ()):
                self._remove((Claim, item.name, accuser))
        self._remove(key)
        self._put(told, key, item)

    def take(self, most: int, copies: int, limit: int) -> News:
        """At most so many pieces, which are about to be told to so many members; what has been told `limit` times is dropped."""
        if not self._counts:
            return NOTHING
        taken: list[tuple[int, Key, Item]] = []
        for count in sorted(self._buckets):
            bucket = self._buckets[count]
            chosen = list(islice(bucket, most - len(taken)))
            taken += [(count, key, bucket.pop(key)) for key in chosen]
            if not bucket:
                del self._buckets[count]
            if len(taken) >= most:
                break
        for count, key, item in taken:
            if count + copies < limit:
                self._put(count + copies, key, item)
            else:
                del self._counts[key]
        return sort_out([item for _, _, item in taken])

    def _put(self, count: int, key: Key, item: Item) -> None:
        self._counts[key] = count
        self._buckets.setdefault(count, {})[key] = item

    def _remove(self, key: Key) -> None:
        count = self._counts.pop(key, None)
        if count is None:
            return
        bucket = self._buckets[count]
        del bucket[key]
        if not bucket:
            del self._buckets[count]


def sort_out(items: Collection[Item]) -> News:
    """These items as news."""
    return News(
        tuple([item for item in items if type(item) is Claim]),
        tuple([item for item in items if type(item) is Profile]),
        tuple([item for item in items if type(item) is Load]),
    )


class Timer(IntEnum):
    """The kinds of timers; the key is a number, a name, or nothing."""

    PROBE = 0
    INDIRECT = 1
    UNANSWERED = 2
    RELAY = 3
    SUSPICION = 4
    GOSSIP = 5
    PUSH_PULL = 6
    LOAD = 7
    PEERS = 8
    ASK = 9


class Timers:
    """See the module's docstring. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, Timer, int | str]] = []
        self._due: dict[tuple[Timer, int | str], float] = {}

    def set(self, at: float, kind: Timer, key: int | str = 0) -> None:
        """Ring at this time, in place of any other."""
        self._due[kind, key] = at
        heapq.heappush(self._heap, (at, kind, key))

    def set_once(self, at: float, kind: Timer, key: int | str = 0) -> None:
        """Ring at this time unless it is to ring earlier anyway."""
        known = self._due.get((kind, key))
        if known is None or at < known:
            self.set(at, kind, key)

    def cancel(self, kind: Timer, key: int | str = 0) -> None:
        """Do not ring."""
        self._due.pop((kind, key), None)

    def first(self) -> float:
        """When the next one rings."""
        heap, due = self._heap, self._due
        if len(heap) > COMPACT_ABOVE and len(heap) > 4 * len(due):
            heap[:] = [(at, kind, key) for (kind, key), at in due.items()]
            heapq.heapify(heap)
        while heap:
            at, kind, key = heap[0]
            if due.get((kind, key)) == at:
                return at
            heapq.heappop(heap)
        return math.inf

    def pop(self, now: float) -> tuple[Timer, int | str] | None:
        """One that is due, or None."""
        if self.first() > now:
            return None
        _, kind, key = heapq.heappop(self._heap)
        del self._due[kind, key]
        return kind, key

    def delay(self, by: float, kinds: Collection[Timer]) -> None:
        """Everything of these kinds rings later."""
        for (kind, key), at in list(self._due.items()):
            if kind in kinds:
                self.set(at + by, kind, key)
