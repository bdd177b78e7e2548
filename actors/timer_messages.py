"""The timer's vocabulary. `Reschedule`, `SchedulerPaused` and `Settle` are the keeper's words."""

from __future__ import annotations

from runtime.clock import Instant
from runtime.records import record

from .keeper_messages import Reschedule, SchedulerPaused, Settle

# What the timer hears.


@record
class Owned:
    """The coordinator: this node acts for exactly these partitions; `everything`: there are no others."""

    partitions: tuple[int, ...]
    everything: bool = False


@record
class Tick:
    """Look at the time. May come early, late or twice."""


@record
class Loaded:
    """What the store has due up to `horizon`: (due, task id), earliest first."""

    entries: tuple[tuple[Instant, str], ...]
    horizon: Instant


Event = Owned | Tick | Loaded | Reschedule | SchedulerPaused

# What the timer wants done.


@record
class Load:
    """Read what is due up to `until` from the store, at most `limit` tasks; `Loaded` follows. Partitions None: all."""

    partitions: tuple[int, ...] | None
    until: Instant
    limit: int


@record
class SetAlarm:
    """Tick at this instant, or never."""

    at: Instant | None


Directive = Settle | Load | SetAlarm
