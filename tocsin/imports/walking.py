"""When other systems fire: a walk over the minutes, by each system's own rules and with none of Tocsin's search.

What is shared with the rest of Tocsin is the zone database. Everything here is as plain as it can be, because it is what
Tocsin's own times are compared with.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Final, Literal

import attrs

from actors.model.calendar import EPOCH_DAY
from actors.when.zones import zone
from runtime.clock import SECOND, Instant

MINUTE: Final = 60
_DAY_MINUTES: Final = 1_440

_CATCHES_UP: Final = 5
_SMALL_STEP: Final = 180
"""Minutes: cron makes up for a clock that was late by so many; up to three hours it takes for a change of offset."""

Gap = Literal["none", "first"]
Fold = Literal["both", "first"]


@attrs.frozen(eq=False)
class Pattern:
    """Which local minutes match: by hour, minute and a question about the day. `seconds` of each such minute.

    wildcard: cron takes the job for one that goes by elapsed time, not by the wall clock.
    """

    minutes: frozenset[int]
    hours: frozenset[int]
    day: Callable[[date], bool]
    wildcard: bool = False
    seconds: tuple[int, ...] = (0,)


class _Matcher:
    """A pattern with the days that were asked about already."""

    def __init__(self, pattern: Pattern) -> None:
        self._day = pattern.day
        self._days: dict[int, bool] = {}
        self._minutes = frozenset(60 * hour + minute for hour in pattern.hours for minute in pattern.minutes)

    def __call__(self, local: int) -> bool:
        """Whether the local minute, counted from 1970-01-01 on the wall clock, matches."""
        return local % _DAY_MINUTES in self._minutes and self.on(local // _DAY_MINUTES)

    def on(self, day: int) -> bool:
        """Whether the day, counted from 1970-01-01, matches."""
        if day not in self._days:
            self._days[day] = self._day(date.fromordinal(day + EPOCH_DAY))
        return self._days[day]


def walk(
    pattern: Pattern, timezone: str, start: Instant, end: Instant, gap: Gap = "none", fold: Fold = "both"
) -> list[Instant]:
    """The fires in (start, end] of a system that looks at the wall clock.

    gap "none": a time that is left out does not run. "first": the first of those that match runs, as late after the change as it
    lies after the beginning of what is left out. fold "both": a time that comes twice runs twice. "first": once.
    """
    offsets, matches = zone(timezone), _Matcher(pattern)
    first, last = start // SECOND // MINUTE, end // SECOND // MINUTE
    highest = first - 1 + offsets.offset((first - 1) * MINUTE) // MINUTE
    found: list[int] = []
    for begin in range(first - first % 60, last + 1, 60):
        before, after = (offsets.offset(at * MINUTE) // MINUTE for at in (begin - 60, begin + 60))
        inside = range(max(begin, first), min(begin + 60, last + 1))
        if before == after and highest < begin + before:
            # An hour in which the clock goes on as it did.
            if any(matches.on((at + before) // _DAY_MINUTES) for at in (begin, begin + 59)):
                found += [minute for minute in inside if matches(minute + before)]
            highest = inside[-1] + before
            continue
        for minute in inside:
            now, then = (at + offsets.offset(at * MINUTE) // MINUTE for at in (minute, minute - 1))
            if gap == "first" and now > then + 1:
                left_out = next((one for one in range(then + 1, now) if matches(one)), None)
                if left_out is not None:
                    found.append(minute + left_out - then - 1)
            if matches(now) and (fold == "both" or now > highest):
                found.append(minute)
            highest = max(highest, now)
    times = {minute * MINUTE + second for minute in found for second in pattern.seconds}
    return [Instant(at * SECOND) for at in sorted(times) if start < at * SECOND <= end]


def walk_cron(
    pattern: Pattern, timezone: str, start: Instant, end: Instant, *, job_timezone: str | None = None
) -> list[Instant]:
    """The fires in (start, end] of cron 3.0 and its kin: the daemon's loop, a minute at a time, begun a day before.

    It wakes up each minute and compares the wall clock with the one up to which it has run its jobs. When the clock has gone
    forward by up to three hours, jobs at fixed times in between run at once; when it has gone back, only wildcard jobs run until
    the former time is reached again. job_timezone: of a cron that has CRON_TZ; jobs are matched by that wall clock, and
    the loop goes by the daemon's.
    """
    system = zone(timezone)
    job = system if job_timezone is None else zone(job_timezone)
    matches = _Matcher(pattern)
    first, last = start // SECOND // MINUTE - _DAY_MINUTES, end // SECOND // MINUTE
    virtual = first - 1 + system.offset((first - 1) * MINUTE) // MINUTE
    found: list[int] = []

    def run(at: int, clock: int, offset: int, *, wild: bool, fixed: bool) -> None:
        """Run the jobs of one minute of the daemon's wall clock."""
        if (wild if pattern.wildcard else fixed) and matches(clock if job is system else _as_job_sees(clock, offset)):
            found.append(at)

    def _as_job_sees(clock: int, offset: int) -> int:
        true = clock - offset
        return true + job.offset(true * MINUTE) // MINUTE

    minute = first
    while minute <= last:
        offset = system.offset(minute * MINUTE) // MINUTE
        clock = minute + offset
        behind = clock - virtual
        if behind == 1 and system.offset((minute + 59) * MINUTE) // MINUTE == offset:
            # An hour in which the daemon's clock goes on as it did: each minute is run for itself.
            until = min(minute + 60, last + 1)
            days = {
                (one + job.offset(one * MINUTE) // MINUTE) // _DAY_MINUTES for one in (minute - 60, minute, until + 60)
            }
            if any(matches.on(day) for day in days):
                seen = [job.offset(one * MINUTE) // MINUTE for one in (minute, until - 1)]
                if seen[0] == seen[1]:
                    found += [one for one in range(minute, until) if matches(one + seen[0])]
                else:
                    for one in range(minute, until):
                        run(one, one + offset, offset, wild=True, fixed=True)
            virtual, minute = until - 1 + offset, until
            continue
        if behind == 1 or behind > _SMALL_STEP or behind <= -_SMALL_STEP:
            virtual = clock
            run(minute, clock, offset, wild=True, fixed=True)
        elif behind <= 0:
            run(minute, clock, offset, wild=True, fixed=False)
        else:
            late = behind <= _CATCHES_UP
            while virtual < clock:
                virtual += 1
                run(minute, virtual, offset, wild=late, fixed=True)
            if not late:
                run(minute, clock, offset, wild=True, fixed=False)
        minute += 1
    return [Instant(at * MINUTE * SECOND) for at in sorted(set(found)) if start < at * MINUTE * SECOND <= end]


def grid(every: int, anchor: Instant, start: Instant, end: Instant) -> list[Instant]:
    """The times `anchor + n * every` in (start, end]; `every` in microseconds."""
    first = start + every - (start - anchor) % every
    return [Instant(at) for at in range(max(first, anchor), end + 1, every)]
