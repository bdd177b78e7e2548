"""What a task does when the clocks change: for any trigger, saved or not."""

from __future__ import annotations

from typing import Final, Literal

from runtime.clock import HOUR, SECOND, Instant
from runtime.records import record

from ..model.trigger import Bounds, CalendarInterval, Cron, Trigger
from . import calendar_intervals, cron, cron_search
from .cron_search import ZONE_MOVE
from .triggers import members, next_after
from .zones import Change, zone

CHANGES_SHOWN: Final = 2
"""Changes of offset of each zone: where there is daylight saving time, one in either direction."""

MAX_AROUND: Final = 12
"""Nominal times that are shown around a change."""

Effect = Literal["none", "moved", "lost", "twice", "first", "last"]
"""What becomes of local times that the change swallows or repeats.

`none`: the trigger names no such time. `moved`: they run when the gap ends. `lost`: they do not run. `twice`: they run in both
passes; `first`, `last`: in one of them.
"""


@record
class ClockChange:
    """One change of offset of one zone. Offsets are seconds east of UTC; `after > before` is a gap, else an overlap.

    `effect` is that of the first of the trigger's members in this zone that the change touches. `around` are nominal times from
    an hour before the swallowed or repeated span to an hour after it, the first `MAX_AROUND` of them.
    """

    timezone: str
    at: Instant
    before: int
    after: int
    effect: Effect
    around: tuple[Instant, ...]


def dst_card(trigger: Trigger, bounds: Bounds, now: Instant) -> list[ClockChange]:
    """The next changes of offset of each zone that the trigger goes by, in order, and what it does then.

    Empty for triggers without a local time, and for zones in which nothing changes.
    """
    by_zone: dict[str, list[Cron | CalendarInterval]] = {}
    for member in members(trigger):
        if isinstance(member, Cron | CalendarInterval):
            by_zone.setdefault(member.timezone, []).append(member)
    cards = [
        _card(trigger, bounds, name, local, change)
        for name, local in by_zone.items()
        for change in zone(name).next_changes(now // SECOND, CHANGES_SHOWN)
    ]
    return sorted(cards, key=lambda card: (card.at, card.timezone))


def _card(
    trigger: Trigger, bounds: Bounds, name: str, local: list[Cron | CalendarInterval], change: Change
) -> ClockChange:
    effects = [_effect(member, change) for member in local]
    effect: Effect = next((one for one in effects if one != "none"), "none")
    at = Instant(change.at * SECOND)
    size = abs(change.after - change.before) * SECOND
    around = _around(trigger, bounds, Instant(at - size - HOUR), Instant(at + size + HOUR))
    return ClockChange(name, at, change.before, change.after, effect, around)


def _around(trigger: Trigger, bounds: Bounds, begin: Instant, end: Instant) -> tuple[Instant, ...]:
    found: list[Instant] = []
    at = next_after(trigger, bounds, Instant(begin - 1))
    while at is not None and at <= end and len(found) < MAX_AROUND:
        found.append(at)
        at = next_after(trigger, bounds, at)
    return tuple(found)


def _effect(trigger: Cron | CalendarInterval, change: Change) -> Effect:
    """The rule of `cron_search`, told from the side of the change."""
    size = abs(change.after - change.before)
    low = change.at + min(change.before, change.after)
    if not _names(trigger, low, low + size):
        return "none"
    wildcard = isinstance(trigger, Cron) and cron.parse(trigger.expression, trigger.seed).wildcard
    if change.after > change.before:
        return "lost" if wildcard or trigger.gap == "skip" or size >= ZONE_MOVE else "moved"
    if wildcard or trigger.fold == "both" or size > ZONE_MOVE:
        return "twice"
    return trigger.fold


def _names(trigger: Cron | CalendarInterval, low: int, high: int) -> bool:
    """Whether the trigger names a local time, in seconds, with `low <= time < high`."""
    if isinstance(trigger, Cron):
        return cron_search.names_local_time(cron.parse(trigger.expression, trigger.seed), low, high)
    return calendar_intervals.names_local_time(trigger, low * SECOND, high * SECOND)
