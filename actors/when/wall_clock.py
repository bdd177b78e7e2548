"""The wall clock of a zone, and back: which instants a local time means, and which instants make up a local day.

Local time is counted here in microseconds since 1970-01-01T00:00:00 of the wall clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from runtime.clock import DAY, SECOND, Instant
from runtime.records import record

from ..model.calendar import EPOCH_DAY
from ..model.trigger import Fold, Gap
from .cron_search import ZONE_MOVE, first_passes
from .zones import Stretch, Zone

_DAY: Final = DAY // SECOND

_FARTHEST: Final = 16 * 3_600
"""Seconds. No offset in the database is further from UTC than Manila's of 1844, 15:56."""


@record
class Piece:
    """A part of a local day: `begin <= instant < end`, with the microseconds to add for the wall clock."""

    begin: Instant
    end: Instant
    offset: int


def local_time(zone: Zone, instant: Instant) -> int:
    """What the wall clock shows at an instant."""
    return instant + zone.offset(instant // SECOND) * SECOND


def local_day(zone: Zone, instant: Instant) -> int:
    """The ordinal of the day that the wall clock shows at an instant."""
    return local_time(zone, instant) // DAY + EPOCH_DAY


def midnight(ordinal: int) -> int:
    """The local time at which a day begins."""
    return (ordinal - EPOCH_DAY) * DAY


def instants_of(zone: Zone, local: int, gap: Gap, fold: Fold) -> list[Instant]:
    """The instants at which a fixed-time job for this local time runs, in order: usually one.

    The rule is that of cron (`cron_search`): a time that a gap swallowed moves to the gap's end or is lost (`gap`), a repeated
    one is taken in the passes that `fold` names; both hold for changes that are no move of the zone.
    """
    second = local // SECOND
    found: list[Instant] = []
    for stretch in _stretches(zone, second, second):
        low, high = first_passes(stretch, stretch.start, stretch.end, fold)
        if low <= second - stretch.offset < high:
            found.append(Instant(local - stretch.offset * SECOND))
        elif gap == "shift" and is_swallowed(stretch, second):
            found.append(Instant(stretch.start * SECOND))
    return found


def is_swallowed(stretch: Stretch, second: int) -> bool:
    """Whether the gap before this stretch, no move of the zone, swallowed a local time in seconds."""
    size = stretch.offset - stretch.before
    return 0 < size < ZONE_MOVE and 0 <= second - stretch.start - stretch.before < size


def moved_to(zone: Zone, local: int) -> Instant:
    """The one instant for a local time: its first pass, or the end of whatever gap swallowed it."""
    second = local // SECOND
    shown = next(one for one in _stretches(zone, second, second) if second - one.offset < one.end)
    return Instant(max(local - shown.offset * SECOND, shown.start * SECOND))


def _stretches(zone: Zone, first: int, last: int) -> Iterator[Stretch]:
    """The stretches in which local times from `first` to `last`, in seconds, may be shown."""
    stretch = zone.stretch(first - _FARTHEST)
    yield stretch
    while stretch.end <= last + _FARTHEST:
        stretch = zone.stretch(stretch.end)
        yield stretch


def pieces_of(zone: Zone, ordinal: int) -> list[Piece]:
    """The parts of a local day, in order: one, two on most days of a change, none for a day that was left out."""
    first = midnight(ordinal) // SECOND
    pieces = []
    for stretch in _stretches(zone, first, first + _DAY):
        begin = max(stretch.start, first - stretch.offset)
        end = min(stretch.end, first + _DAY - stretch.offset)
        if begin < end:
            pieces.append(Piece(Instant(begin * SECOND), Instant(end * SECOND), stretch.offset * SECOND))
    return pieces
