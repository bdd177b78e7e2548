"""When a task fires: the trigger records. Their evaluation is in `actors/triggers.py`."""

from __future__ import annotations

from typing import Final, Literal

from runtime.clock import DAY, MILLISECOND, Instant, Micros
from runtime.records import record

SHORTEST_INTERVAL: Final = Micros(10 * MILLISECOND)
"""Below 10 ms the loop's own lateness is a visible part of the interval."""

LONGEST_INTERVAL: Final = Micros(36_525 * DAY)
"""A hundred years; anything longer is a unit mistaken for another."""

Gap = Literal["shift", "skip"]
Fold = Literal["first", "last", "both"]


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
    """A cron expression in a zone, by the Debian rule at changes of offset."""

    expression: str
    timezone: str = "UTC"
    gap: Gap = "shift"
    fold: Fold = "first"


Trigger = Once | Interval | Cron


@record
class Bounds:
    """What holds for every trigger: first and last instant (inclusive), and how many executions it may start."""

    start: Instant | None = None
    end: Instant | None = None
    max_runs: int | None = None


UNBOUNDED: Final = Bounds()
