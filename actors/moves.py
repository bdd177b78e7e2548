"""Slots that move off excluded days: the rules with shift `next` or `previous`.

A slot whose day a moving rule excludes moves, at the same local time, to the nearest day in the rule's direction that no moving
rule excludes, within `FARTHEST_MOVE`. Without such a day it stays where it is and is excluded. Days and local times are those
of the calendars' zone. A local time that the new day does not have becomes the end of the gap, a repeated one its first pass.
Slots that come to the same instant are one. Rules with shift `skip` are judged afterwards, on the instant a slot moved to.

All moving rules of a task have one direction and one zone, and their calendars hold whole days: then whatever falls on a day
comes from the run of excluded days beside it, and the search goes by days and not by slots.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from runtime.clock import DAY, SECOND, Instant
from runtime.errors import InvalidRequest
from runtime.records import record

from .model.calendar import CalendarRule
from .model.trigger import Bounds
from .wall_clock import Piece, local_day, local_time, midnight, moved_to, pieces_of
from .zones import Zone, zone

FARTHEST_MOVE: Final = 366
"""Days. A slot that moved by more than a year would be another year's slot."""

Next = Callable[[Instant], Instant | None]
"""The next slot of a trigger after an instant."""


@record
class Moves:
    """The moving rules of a task. `step` is 1 for `next` and -1 for `previous`."""

    rules: tuple[CalendarRule, ...]
    zone: Zone
    step: int

    def excludes(self, day: int) -> bool:
        """Whether slots of this day have to move."""
        return any(rule.excludes_day(day) for rule in self.rules)

    def target(self, day: int) -> int:
        """The day on which the slots of a day are in the end."""
        for distance in range(FARTHEST_MOVE + 1):
            if not self.excludes(day + self.step * distance):
                return day + self.step * distance
        return day

    def sources(self, day: int) -> range:
        """The days, in order, whose slots come to an allowed day."""
        count = 0
        while count < FARTHEST_MOVE and self.excludes(day - self.step * (count + 1)):
            count += 1
        return range(day - count, day) if self.step > 0 else range(day + 1, day + count + 1)


def moves_of(bounds: Bounds) -> Moves | None:
    """The moving rules among the calendars, or None if there are none."""
    rules = tuple(rule for rule in bounds.calendars if rule.shift != "skip")
    if not rules:
        return None
    return Moves(rules, zone(rules[0].calendar.timezone), 1 if rules[0].shift == "next" else -1)


def check_moves(bounds: Bounds) -> None:
    """Raises InvalidRequest for moving rules that do not agree, or that hold windows."""
    rules = [rule for rule in bounds.calendars if rule.shift != "skip"]
    for rule in rules:
        if rule.calendar.windows:
            raise InvalidRequest(
                f"calendars: {rule.calendar.name!r} has windows, and slots move off whole days only; write shift 'skip'"
            )
        if (rule.shift, rule.calendar.timezone) != (rules[0].shift, rules[0].calendar.timezone):
            raise InvalidRequest(
                f"calendars: {rule.calendar.name!r} moves slots to the {rule.shift} day in {rule.calendar.timezone}, "
                f"{rules[0].calendar.name!r} to the {rules[0].shift} day in {rules[0].calendar.timezone}; "
                "rules that move must agree"
            )


def next_moved(following: Next, moves: Moves, after: Instant, daily: Zone | None) -> Instant | None:
    """The first moved slot strictly later than `after`, of a trigger given by its own next slot.

    `daily` is a zone by whose clock the trigger has the same times on every day that it has any, as cron does; for others None.
    """
    # Where a change of offset shows a day's last hour once more, slots of yesterday may still be to come.
    cursor = local_day(moves.zone, after) - 1
    if moves.step > 0:
        cursor = next(iter(moves.sources(cursor)), cursor)
    search = _Search(following, moves, after, daily is moves.zone)
    best: Instant | None = None
    while True:
        found = search.first_slot_from(cursor)
        if found is None:
            return best
        cursor = max(cursor, local_day(moves.zone, found) - search.unsteady(found))
        day = moves.target(cursor)
        if best is not None and day > local_day(moves.zone, best) + 1:
            return best
        candidate = search.first_on(day)
        if candidate is not None and (best is None or candidate < best):
            best = candidate
        cursor = max(cursor, day, *moves.sources(day)[-1:]) + 1 if not moves.excludes(day) else cursor + 1


@record
class _Search:
    """One search: for slots later than `after`."""

    following: Next
    moves: Moves
    after: Instant
    daily: bool

    def first_slot_from(self, day: int) -> Instant | None:
        """The first slot, unmoved, that falls on this day or later."""
        pieces = pieces_of(self.moves.zone, day)
        while not pieces:
            day += 1
            pieces = pieces_of(self.moves.zone, day)
        return self.following(Instant(pieces[0].begin - 1))

    def unsteady(self, instant: Instant) -> int:
        """1 if the offset changed within the last day, and with it perhaps the order of days; else 0."""
        second = instant // SECOND
        return int(self.moves.zone.stretch(second).start > second - DAY // SECOND)

    def first_on(self, day: int) -> Instant | None:
        """The first slot later than `after` among those that are on a day in the end."""
        found = [slot for piece in pieces_of(self.moves.zone, day) if (slot := self._own(piece)) is not None]
        passed = self._passed() - midnight(day)
        if passed < DAY and not self.moves.excludes(day):
            times = list(self._times(day, passed))
            if times:
                found.append(moved_to(self.moves.zone, midnight(day) + min(times)))
        return min(found, default=None)

    def _own(self, piece: Piece) -> Instant | None:
        slot = self.following(max(self.after, Instant(piece.begin - 1)))
        return slot if slot is not None and slot < piece.end else None

    def _passed(self) -> int:
        """The local time up to which everything that moved has come by `after`; a second pass is past its first."""
        stretch = self.moves.zone.stretch(self.after // SECOND)
        return max(local_time(self.moves.zone, self.after), (stretch.start + stretch.before) * SECOND - 1)

    def _times(self, day: int, passed: int) -> Iterator[int]:
        """The first time of day later than `passed` of each day whose slots come to this one."""
        sources, seen = self.moves.sources(day), False
        cursor = sources.start
        while cursor < sources.stop:
            regular = self.daily and self._is_regular(cursor)
            if not (regular and seen):
                first = self.first_slot_from(cursor)
                if first is None:
                    return
                cursor = max(cursor, local_day(self.moves.zone, first) - self.unsteady(first))
                if cursor >= sources.stop:
                    return
                times = list(self._times_on(cursor, passed))
                seen = seen or (self.daily and self._is_regular(cursor) and self._has_slot(cursor))
                yield from times
            cursor += 1

    def _is_regular(self, day: int) -> bool:
        return len(pieces := pieces_of(self.moves.zone, day)) == 1 and pieces[0].end - pieces[0].begin == DAY

    def _has_slot(self, day: int) -> bool:
        return any(
            (slot := self.following(Instant(piece.begin - 1))) is not None and slot < piece.end
            for piece in pieces_of(self.moves.zone, day)
        )

    def _times_on(self, day: int, passed: int) -> Iterator[int]:
        begins = midnight(day)
        for piece in pieces_of(self.moves.zone, day):
            slot = self.following(Instant(max(piece.begin - 1, begins + passed - piece.offset)))
            if slot is not None and slot < piece.end:
                yield slot + piece.offset - begins
