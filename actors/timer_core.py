"""The timer's decisions: which tasks are due now, and when to look again.

Theory of operation. The timer holds a window on the store: the tasks of its partitions that are due up to a horizon. The window
is a cache and may be wrong; what a task really owes is decided by the keeper on the task's row. So the rule is: better early
than late. A task settled too early is answered with its true instant; one that is missing from the window is found by the
sweep, which reads what is overdue in the store once a second.

A task told to settle is *in flight* until the keeper's `Reschedule` names it; if that is lost, the sweep tells it again after
`FLIGHT_LIMIT`. Not guaranteed: that a task is told once. Guaranteed: that memory depends on the window, not on the number of
tasks; that one event costs no more than the entries it is about.
"""

from __future__ import annotations

import heapq
from typing import Final, assert_never

from runtime.clock import SECOND, Instant, Micros

from .keeper_messages import Reschedule, Settle
from .timer_messages import Directive, Event, Load, Loaded, Owned, SetAlarm, Tick

WINDOW: Final = Micros(60 * SECOND)
"""How far ahead the window reaches: long enough that reading it is rare, short enough that it is small."""

WINDOW_LIMIT: Final = 50_000
"""Tasks in the window at the most, some 10 MB; a fuller minute shortens the horizon."""

SWEEP_EVERY: Final = Micros(SECOND)
"""How often overdue tasks are looked for in the store: wake-ups may be lost, and one second late is still on time."""

FLIGHT_LIMIT: Final = Micros(5 * SECOND)
"""How long a task may be in flight before it is told again: far above a slow commit."""

BATCH: Final = 256
"""Tasks in one `Settle`: half of the keeper's batch, so that one transaction stays a few milliseconds."""

COMPACT_ABOVE: Final = 1_024
"""Heap entries below which stale ones are not worth removing."""


class TimerCore:
    """See the module's docstring."""

    def __init__(self) -> None:
        self._owned = Owned(())
        self._heap: list[tuple[Instant, str]] = []
        self._due: dict[str, Instant] = {}
        self._in_flight: dict[str, Instant] = {}
        self._horizon = Instant(0)
        self._next_look = Instant(0)
        self._loading = False

    def handle(self, event: Event, now: Instant) -> list[Directive]:
        """Decide on one event; every answer ends with the alarm, since a lost one would stop the clock for ever."""
        directives: list[Directive] = []
        match event:
            case Owned():
                self._own(event)
            case Reschedule(due=due):
                for task_id, at in due:
                    self._reschedule(task_id, at)
            case Loaded():
                self._load(event, now)
            case Tick():
                pass
            case _:
                assert_never(event)
        directives.extend(self._settle_due(now))
        directives.extend(self._look(now))
        directives.append(SetAlarm(self._wake_at()))
        return directives

    def _own(self, owned: Owned) -> None:
        self._owned = owned
        self._heap, self._due, self._in_flight = [], {}, {}
        self._horizon = self._next_look = Instant(0)
        self._loading = False

    def _reschedule(self, task_id: str, at: Instant | None) -> None:
        self._in_flight.pop(task_id, None)
        if at is None or at > self._horizon:
            self._due.pop(task_id, None)
        else:
            self._push(task_id, at)

    def _push(self, task_id: str, at: Instant) -> None:
        if self._due.get(task_id) != at:
            self._due[task_id] = at
            heapq.heappush(self._heap, (at, task_id))

    def _load(self, loaded: Loaded, now: Instant) -> None:
        self._loading = False
        if loaded.horizon > self._horizon:
            self._horizon = loaded.horizon
        for at, task_id in loaded.entries:
            since = self._in_flight.get(task_id)
            if since is not None:
                if now - since < FLIGHT_LIMIT:
                    continue
                del self._in_flight[task_id]
            # The read may be older than the last word of the keeper: of two instants the earlier is the safe one.
            known = self._due.get(task_id)
            if known is None or at < known:
                self._push(task_id, at)

    def _settle_due(self, now: Instant) -> list[Directive]:
        due: list[str] = []
        while self._heap and self._heap[0][0] <= now:
            at, task_id = heapq.heappop(self._heap)
            if self._due.get(task_id) == at:
                del self._due[task_id]
                self._in_flight[task_id] = now
                due.append(task_id)
        self._compact()
        return [Settle(tuple(due[start : start + BATCH])) for start in range(0, len(due), BATCH)]

    def _compact(self) -> None:
        if len(self._heap) > COMPACT_ABOVE and len(self._heap) > 2 * len(self._due):
            self._heap = [(at, task_id) for task_id, at in self._due.items()]
            heapq.heapify(self._heap)

    def _look(self, now: Instant) -> list[Directive]:
        """Once a second, or when the window is used up, read the store: ahead if half the window is over, else what is late."""
        used_up = not self._due and self._horizon <= now
        if not self._owned.partitions or self._loading or (now < self._next_look and not used_up):
            return []
        self._loading = True
        self._next_look = Instant(now + SWEEP_EVERY)
        until = now + WINDOW if now + WINDOW // 2 >= self._horizon else now
        partitions = None if self._owned.everything else self._owned.partitions
        return [Load(partitions, Instant(until), WINDOW_LIMIT)]

    def _wake_at(self) -> Instant | None:
        if not self._owned.partitions:
            return None
        return min(self._heap[0][0], self._next_look) if self._heap else self._next_look

    @property
    def window(self) -> int:
        """Tasks in the window."""
        return len(self._due)

    @property
    def in_flight(self) -> int:
        """Tasks told to settle and not yet heard of."""
        return len(self._in_flight)

    def lateness(self, now: Instant) -> Micros:
        """How long the longest wait in flight lasts: what health looks at."""
        return Micros(now - min(self._in_flight.values(), default=now))

    def check_invariants(self) -> None:
        """Raise AssertionError if the state contradicts itself."""
        held = set(self._heap)
        assert all((at, task_id) in held for task_id, at in self._due.items()), "a due task is not in the heap"
        assert not self._due.keys() & self._in_flight.keys(), "a task is both due and in flight"
