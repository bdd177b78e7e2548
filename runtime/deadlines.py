"""Deadlines of waiting askers: one heap and one sweeping task for a whole run.

A trio cancel scope with a deadline costs about as much as a whole ask through a mailbox (10 us of 20 us on the machine
where this was measured), because it is entered, tracked and left for an event that almost never comes. Here an ask
costs a push on a heap; a single task sleeps until the earliest deadline that is still of interest.
"""

from __future__ import annotations

import heapq
import itertools
import math
from typing import Protocol

import trio

COMPACT_ABOVE = 1_024
"""Entries in the heap before finished ones are swept out of its middle; below this the memory does not matter."""


class Expiring(Protocol):
    """What can be told that its time is over."""

    @property
    def waiting(self) -> bool:
        """Whether the deadline is still of interest."""

    def expire(self) -> None:
        """The deadline has passed. Must not raise."""


class Deadlines:
    """The deadlines of one trio run, by trio's clock; see `deadlines()`."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Expiring]] = []
        self._now = trio.lowlevel.current_clock().current_time
        self._sequence = itertools.count()
        self._scope = trio.CancelScope(deadline=math.inf)
        self._compact_at = COMPACT_ABOVE

    def add(self, timeout_seconds: float, subject: Expiring) -> None:
        """Expire `subject` in so many seconds, if it still waits then."""
        deadline = self._now() + timeout_seconds
        heap = self._heap
        entry = (deadline, next(self._sequence), subject)
        if heap and not heap[0][2].waiting:
            # Most asks are answered long before they are due: reusing their place keeps the heap as small as what waits.
            heapq.heapreplace(heap, entry)
        else:
            heapq.heappush(heap, entry)
            if len(heap) > self._compact_at:
                self._compact()
        if deadline < self._scope.deadline:
            self._scope.deadline = deadline

    async def sweep(self) -> None:
        """Expire what is due, for ever. Runs as a system task."""
        while True:
            with self._scope:
                await trio.sleep_forever()
            self._expire_due(self._now())
            self._scope = trio.CancelScope(deadline=self._heap[0][0] if self._heap else math.inf)

    def _expire_due(self, now: float) -> None:
        heap = self._heap
        while heap and (heap[0][0] <= now or not heap[0][2].waiting):
            subject = heapq.heappop(heap)[2]
            if subject.waiting:
                subject.expire()

    def _compact(self) -> None:
        # Doubling the limit by what is alive makes the sweep constant time per add, however many wait at once.
        self._heap = [entry for entry in self._heap if entry[2].waiting]
        heapq.heapify(self._heap)
        self._compact_at = max(COMPACT_ABOVE, 2 * len(self._heap))


_OF_THIS_RUN: trio.lowlevel.RunVar[Deadlines] = trio.lowlevel.RunVar("runtime.deadlines")


def deadlines() -> Deadlines:
    """The deadlines of the current trio run; made, with its sweeping task, at the first call."""
    try:
        return _OF_THIS_RUN.get()
    except LookupError:
        created = Deadlines()
        _OF_THIS_RUN.set(created)
        trio.lowlevel.spawn_system_task(created.sweep, name="deadlines of asks")
        return created
