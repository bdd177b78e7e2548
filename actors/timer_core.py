"""The timer's decisions: which tasks are due now, and when to look again.

Theory of operation. The timer holds a window on the store: the tasks of its partitions that are due up to a horizon. The window
is a cache and may be wrong; what a task really owes is decided by the keeper on the task's row. So the rule is: better early
than late. A task settled too early is answered with its true instant; one that is missing from the window is found by the
sweep, which reads what is overdue in the store once a second.

A task told to settle is *in flight* until the keeper's `Reschedule` names it; if that is lost, the sweep tells it again after
`FLIGHT_LIMIT`. While the scheduler is paused nothing is told, read or waited for. Not guaranteed: that a task is told once.
Guaranteed: that memory depends on the window, not on the number of tasks; that one event costs no more than the entries it is
about.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Final, assert_never

import attrs

from runtime.clock import SECOND, Instant, Micros

from .keeper_messages import Reschedule, SchedulerPaused, Settle
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
"""Entries of the window below which stale ones are not worth removing."""


@attrs.define
class Flight:
    """Tasks told to settle at the same time: since when, and when they were told the last time."""

    since: Instant
    told: Instant


class TimerCore:
    """See the module's docstring. `sweep_every`: the time between two looks into the store."""

    def __init__(self, sweep_every: Micros = SWEEP_EVERY) -> None:
        self._sweep_every = sweep_every
        # A window must reach beyond the next look, or what lies between is found only by it.
        self._window = max(WINDOW, Micros(2 * sweep_every))
        self._owned = Owned(())
        self._owned_at = Instant(0)
        self._paused = False
        # The instants at which something is due, and what: many are due at one instant, and one entry of the heap is for all of
        # them. Entries that `_due` contradicts are stale; `_held` counts all.
        self._heap: list[Instant] = []
        self._at: dict[Instant, list[str]] = {}
        self._held = 0
        self._due: dict[str, Instant] = {}
        self._in_flight: dict[str, Flight] = {}
        self._horizon = Instant(0)
        self._next_look = Instant(0)
        self._loading: Instant | None = None
        self._truncated = False
        self._seen = Instant(0)
        self._alarm = SetAlarm(None)

    def handle(self, event: Event, now: Instant) -> list[Directive]:
        """Decide on one event; every answer ends with the alarm, since a lost one would stop the clock for ever."""
        directives: list[Directive] = []
        if now < self._seen:
            self._clock_went_back(now)
        self._seen = now
        match event:
            case Reschedule(due=due):
                self._reschedule(due)
            case Tick():
                pass
            case Loaded():
                directives += self._load(event, now)
            case Owned():
                self._own(event)
            case SchedulerPaused(paused=paused):
                self._pause(paused)
            case _:
                assert_never(event)
        if not self._paused:
            if self._heap and self._heap[0] <= now:
                directives += self._settle_due(now)
            if self._held > COMPACT_ABOVE:
                self._compact()
            if self._truncated or now >= self._next_look:
                directives += self._look(now)
        wake_at = self._wake_at(now)
        if wake_at != self._alarm.at:
            self._alarm = SetAlarm(wake_at)
        directives.append(self._alarm)
        return directives

    def _clock_went_back(self, now: Instant) -> None:
        """Nothing may wait for the old time to come again."""
        self._next_look = min(self._next_look, now)
        for flight in self._in_flight.values():
            flight.since, flight.told = min(flight.since, now), min(flight.told, now)

    def _own(self, owned: Owned) -> None:
        self._owned, self._owned_at = owned, self._seen
        self._heap, self._at, self._held, self._due, self._in_flight = [], {}, 0, {}, {}
        self._horizon = self._next_look = Instant(0)
        self._loading, self._truncated = None, False

    def _pause(self, paused: bool) -> None:
        if paused is not self._paused:
            self._paused = paused
            self._own(self._owned)

    def _reschedule(self, told: Sequence[tuple[str, Instant | None]]) -> None:
        # What is due within a read under way may be missing in its answer.
        until = self._horizon
        if self._loading is not None and self._loading > until:
            until = self._loading
        due, in_flight = self._due, self._in_flight
        for task_id, at in told:
            if in_flight:
                in_flight.pop(task_id, None)
            if at is None or at > until:
                due.pop(task_id, None)
            elif due.get(task_id) != at:
                self._push(task_id, at)

    def _push(self, task_id: str, at: Instant) -> None:
        self._due[task_id] = at
        self._held += 1
        if (others := self._at.get(at)) is None:
            self._at[at] = [task_id]
            heapq.heappush(self._heap, at)
        else:
            others.append(task_id)

    def _load(self, loaded: Loaded, now: Instant) -> list[Directive]:
        """Take up what the store has; tell again what has been in flight for long, or forget it if it is not due any more."""
        wanted, self._loading = self._loading, None
        overdue = {task_id for task_id, flight in self._in_flight.items() if now - flight.told >= FLIGHT_LIMIT}
        lost: list[str] = []
        for at, task_id in loaded.entries:
            if (flight := self._in_flight.get(task_id)) is not None:
                if task_id not in overdue:
                    continue
                if at <= now:
                    overdue.discard(task_id)
                    self._in_flight[task_id] = Flight(flight.since, now)
                    lost.append(task_id)
                    continue
            # The read may be older than the last word of the keeper: of two instants the earlier is the safe one.
            known = self._due.get(task_id)
            if known is None or at < known:
                self._push(task_id, at)
        if loaded.horizon:
            self._horizon = max(self._horizon, loaded.horizon)
            for task_id in overdue:
                del self._in_flight[task_id]
        # Full, and something of it still to come: behind it there is more, to be read when it is used up. A full window of
        # nothing but tasks in flight would be read again without end.
        self._truncated = bool(self._due) and wanted is not None and loaded.horizon < wanted
        return batches(lost)

    def _settle_due(self, now: Instant) -> list[Directive]:
        told: list[str] = []
        heap, due = self._heap, self._due
        while heap and heap[0] <= now:
            at = heapq.heappop(heap)
            found = self._at.pop(at)
            self._held -= len(found)
            if len(found) > 1:
                found.sort()
            for task_id in found:
                if due.get(task_id) == at:
                    del due[task_id]
                    told.append(task_id)
        if told:
            self._in_flight.update(dict.fromkeys(told, Flight(now, now)))
        return batches(told)

    def _compact(self) -> None:
        if self._held > 2 * len(self._due):
            self._heap, self._at, self._held = [], {}, 0
            for task_id, at in self._due.items():
                self._push(task_id, at)

    def _look(self, now: Instant) -> list[Directive]:
        """Once a second, or when the window is used up, read the store: ahead if half the window is over, else what is late."""
        used_up = self._truncated and not self._due and self._horizon <= now
        if not self._owned.partitions or self._loading is not None or (now < self._next_look and not used_up):
            return []
        self._loading = Instant(now + self._window if now + self._window // 2 >= self._horizon else now)
        self._next_look = Instant(now + self._sweep_every)
        partitions = None if self._owned.everything else self._owned.partitions
        return [Load(partitions, self._loading, WINDOW_LIMIT)]

    def _wake_at(self, now: Instant) -> Instant | None:
        if not self._owned.partitions or self._paused:
            return None
        # During a long read there is nothing to look for; an alarm in the past would ring without end.
        look = self._next_look
        if self._loading is not None:
            look = Instant(max(look, now + self._sweep_every))
        return self._heap[0] if self._heap and self._heap[0] < look else look

    @property
    def window(self) -> int:
        """Tasks in the window."""
        return len(self._due)

    @property
    def in_flight(self) -> int:
        """Tasks told to settle and not yet heard of."""
        return len(self._in_flight)

    def lateness(self, now: Instant) -> Micros:
        """For how long what is due has not been dealt with: what health looks at.

        That is the longest wait in flight; what is due in the window and not told; and, as far as it goes beyond a look, the time
        that the window does not reach although it should, because the store does not answer or this is not called any more.
        """
        if self._paused or not self._owned.partitions:
            return Micros(0)
        since = min((flight.since for flight in self._in_flight.values()), default=now)
        if self._due and self._heap[0] <= now:
            since = min(since, min(self._due.values()))
        known = max(self._horizon, self._owned_at) + self._sweep_every
        return Micros(max(0, now - min(since, known)))

    def check_invariants(self) -> None:
        """Raise AssertionError if the state contradicts itself."""
        held = {(at, task_id) for at in self._heap for task_id in self._at[at]}
        assert self._held == sum(map(len, self._at.values())), "the entries are counted wrongly"
        assert all((at, task_id) in held for task_id, at in self._due.items()), "a due task is not in the heap"
        assert not self._due.keys() & self._in_flight.keys(), "a task is both due and in flight"


def batches(task_ids: Sequence[str]) -> list[Directive]:
    """Tell the keeper of these tasks, in messages of a bearable size."""
    return [Settle(tuple(task_ids[start : start + BATCH])) for start in range(0, len(task_ids), BATCH)]
