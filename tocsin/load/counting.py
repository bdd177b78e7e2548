"""How many nominal times lie in each minute of a window: pure, and once for all tasks that have equal times.

Intervals are counted by arithmetic: those of whole minutes by their period and place in it, those that divide a minute by one
number for all minutes. Everything else is walked slot by slot, at most `MAX_WALKED` of them for one trigger: whoever fires more
often than that is told, and never left out in silence. The seconds that a cron expression names are one number for each minute.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

import attrs

from actors.model.lifecycle import Phase
from actors.model.task import Task, spread_offset
from actors.model.trigger import UNBOUNDED, Bounds, Cron, Interval, Trigger
from actors.when.cron import parse
from actors.when.triggers import count_between, next_after, next_allowed
from runtime.clock import MINUTE, Instant, Micros
from runtime.records import evolve

MAX_WALKED: Final = 50_000
"""Slots of one trigger that are walked: every minute of a month, in about a quarter of a second."""


@attrs.frozen
class Group:
    """Tasks with equal times. `offset`: their place in a spread window; `left`: runs that a limit still allows, None for any."""

    trigger: Trigger
    bounds: Bounds
    offset: Micros = Micros(0)
    left: int | None = None


def group_of(task: Task) -> Group | None:
    """To which group a task belongs; None for one that will not fire. A fixed delay counts as if its runs took no time."""
    state, bounds, trigger = task.state, task.definition.bounds, task.definition.trigger
    if state.phase is not Phase.ACTIVE or state.next_fire is None:
        return None
    left = None if bounds.max_runs is None else max(bounds.max_runs - state.runs, 0)
    if isinstance(trigger, Interval) and trigger.fixed_delay:
        trigger = Interval(trigger.every, state.next_fire)
    plain = evolve(bounds, max_runs=None, spread=Micros(0))
    return Group(trigger, plain, spread_offset(bounds, task.id), left)


class Minutes:
    """The counts of a window that begins at a whole minute and has so many of them."""

    def __init__(self, begin: Instant, number: int) -> None:
        self.begin = begin
        self.end = Instant(begin + number * MINUTE)
        self._counts = [0] * number
        self._always = 0
        self._periodic: Counter[tuple[int, int]] = Counter()

    def add(self, group: Group, tasks: int = 1) -> bool:
        """Count the times of so many tasks of a group. False if there were too many to walk, and only the first are counted."""
        trigger, bounds = group.trigger, group.bounds
        if isinstance(trigger, Interval) and not bounds.calendars and group.left is None:
            self._add_interval(trigger, group, tasks)
            return True
        weight = 1
        if isinstance(trigger, Cron) and group.left is None and group.offset % MINUTE == 0 and bounds == UNBOUNDED:
            trigger, weight = by_the_minute(trigger)
        most = MAX_WALKED if group.left is None else min(group.left, MAX_WALKED)
        for walked, at in enumerate(self._walk(trigger, group)):
            if walked >= most:
                return group.left is not None and group.left <= MAX_WALKED
            self._counts[(at - self.begin) // MINUTE] += tasks * weight
        return True

    def _walk(self, trigger: Trigger, group: Group) -> Iterator[Instant]:
        find = next_allowed if group.bounds.calendars else next_after
        at = find(trigger, group.bounds, Instant(self.begin - group.offset - 1))
        while at is not None and at + group.offset < self.end:
            yield Instant(at + group.offset)
            at = find(trigger, group.bounds, at)

    def _add_interval(self, trigger: Interval, group: Group, tasks: int) -> None:
        every, first, last = trigger.every, *self._span(trigger, group)
        if first > last:
            return
        unbounded = last + every >= self.end and first - self.begin < every
        if unbounded and every % MINUTE == 0:
            self._periodic[every // MINUTE, (first - self.begin) // MINUTE] += tasks
        elif unbounded and MINUTE % every == 0:
            self._always += tasks * (MINUTE // every)
        elif every >= MINUTE:
            for at in range(first, last + 1, every):
                self._counts[(at - self.begin) // MINUTE] += tasks
        else:
            for place in range((first - self.begin) // MINUTE, (last - self.begin) // MINUTE + 1):
                low, high = self.begin + place * MINUTE, self.begin + (place + 1) * MINUTE - 1
                low, high = max(low, first), min(high, last)
                self._counts[place] += tasks * ((high - first) // every - (low - 1 - first) // every)

    def _span(self, trigger: Interval, group: Group) -> tuple[int, int]:
        """The first and the last time of an interval in the window; a first that is after the last if there is none."""
        bounds, anchor, every = group.bounds, trigger.anchor + group.offset, trigger.every
        low = max(self.begin, anchor if bounds.start is None else bounds.start + group.offset)
        high = min(self.end - 1, self.end if bounds.end is None else bounds.end + group.offset)
        first = max(anchor, low + (anchor - low) % every)
        return first, first + (high - first) // every * every

    def counts(self) -> list[int]:
        """How many times lie in each minute."""
        found = [count + self._always for count in self._counts]
        for (period, place), tasks in self._periodic.items():
            for minute in range(place, len(found), period):
                found[minute] += tasks
        return found


def by_the_minute(trigger: Cron) -> tuple[Cron, int]:
    """An expression that fires once in each minute in which this one fires, and how often this one does."""
    spec = parse(trigger.expression, trigger.seed)
    seconds = spec.seconds.bit_count()
    if seconds == 1:
        return trigger, 1
    return evolve(trigger, expression=" ".join(("0", *spec.fields[1:]))), seconds


def fires_in(group: Group, begin: Instant, end: Instant) -> int:
    """How many times of a group lie in [begin, end), without regard to a run limit."""
    first, last = Instant(begin - group.offset), Instant(end - 1 - group.offset)
    if not group.bounds.calendars:
        return count_between(group.trigger, group.bounds, first, last) or 0
    at, found = next_allowed(group.trigger, group.bounds, Instant(first - 1)), 0
    while at is not None and at <= last:
        found += 1
        at = next_allowed(group.trigger, group.bounds, at)
    return found


def run_lengths(counts: list[int]) -> list[list[int]]:
    """Each count with how many minutes in a row have it."""
    found: list[list[int]] = []
    for count in counts:
        if found and found[-1][0] == count:
            found[-1][1] += 1
        else:
            found.append([count, 1])
    return found
