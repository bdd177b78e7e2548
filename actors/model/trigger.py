"""When a task fires: the trigger records. Their evaluation is in `actors/when/triggers.py`."""

from __future__ import annotations

from typing import Final, Literal

from runtime.clock import DAY, MILLISECOND, Instant, Micros
from runtime.records import record

from .calendar import CalendarRule

SHORTEST_INTERVAL: Final = Micros(10 * MILLISECOND)
"""Below 10 ms the loop's own lateness is a visible part of the interval."""

LONGEST_INTERVAL: Final = Micros(36_525 * DAY)
"""A hundred years; anything longer is a unit mistaken for another."""

MAX_MEMBERS: Final = 16
"""Triggers in a union: each is evaluated for every next fire."""

LONGEST_SPREAD: Final = Micros(366 * DAY)
"""A year; a slot that is spread further is another slot."""

Gap = Literal["shift", "skip"]
Fold = Literal["first", "last", "both"]
Unit = Literal["day", "week", "month", "year"]
Missing = Literal["skip", "last_day"]

UNITS_IN_CENTURY: Final[dict[Unit, int]] = {"day": 36_525, "week": 5_217, "month": 1_200, "year": 100}
"""The largest `every` of a calendar interval for each unit: `LONGEST_INTERVAL` in whole units."""


@record
class Once:
    """One nominal time."""

    at: Instant


@record
class Interval:
    """A grid `anchor + n * every`, n >= 0 (fixed rate), or `every` after the end of the former execution (fixed delay)."""

    every: Micros
    anchor: Instant
    fixed_delay: bool = False


@record
class Cron:
    """A cron expression in a zone, by the Debian rule at changes of offset.

    `seed` is what `H` in the expression takes its values from: the CRC-32 of the task's id, set by whoever saves the task.
    """

    expression: str
    timezone: str = "UTC"
    gap: Gap = "shift"
    fold: Fold = "first"
    seed: int | None = None


@record
class CalendarInterval:
    """Every `every` days, weeks, months or years from an anchor, at the anchor's local time.

    `anchor_day` is the ordinal of the first day (`datetime.date.toordinal`), `time_of_day` counts from its midnight by the
    wall clock. The n-th slot is computed from the anchor, never from the slot before: 31 January and a month more is
    28 February with `last_day`, and 31 March follows. With `skip` a month without the day has no slot. `gap` and `fold` as
    for a fixed-time cron job.
    """

    every: int
    unit: Unit
    anchor_day: int
    time_of_day: Micros
    timezone: str = "UTC"
    missing: Missing = "skip"
    gap: Gap = "shift"
    fold: Fold = "first"


Single = Once | Interval | Cron | CalendarInterval
"""Every trigger but a union."""


@record
class Union:
    """Whatever one of its triggers names; equal instants are one. Not nested, without fixed delay, at most `MAX_MEMBERS`."""

    triggers: tuple[Single, ...]


Trigger = Single | Union


@record
class Bounds:
    """What holds for every trigger.

    `start`, `end`: first and last instant (inclusive). `max_runs`: how many executions it may start. `spread`: the width of
    the window in which each task has its own stable place after the nominal time; 0 for none. `calendars`: the rules it keeps to.
    """

    start: Instant | None = None
    end: Instant | None = None
    max_runs: int | None = None
    spread: Micros = Micros(0)
    calendars: tuple[CalendarRule, ...] = ()


UNBOUNDED: Final = Bounds()
