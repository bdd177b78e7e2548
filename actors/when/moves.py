"""Slots that move off excluded days: the rules with shift `next` or `previous`.

A slot whose day a moving rule excludes moves, at the same local time, to the nearest day in the rule's direction that no moving
rule excludes, within `FARTHEST_MOVE`. Without such a day it stays where it is and is excluded. Days and local times are those
of the calendars' zone. A local time that the new day does not have becomes the end of the gap, a repeated one its first pass.
Slots that come to the same instant are one. Rules with shift `skip` are judged afterwards, on the instant a slot moved to.

All moving rules of a task have one direction and one zone, and their calendars hold whole days: then whatever falls on a day
comes from the run of excluded days beside it, and the search goes by days and not by slots.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import Final

from runtime.clock import DAY, LAST_INSTANT, SECOND, Instant
from runtime.errors import InternalError, InvalidRequest

from ..model.calendar import CalendarRule
from ..model.trigger import Bounds
from .wall_clock import Piece, local_day, local_time, midnight, moved_to, pieces_of
from .zones import FOREVER, zone

FARTHEST_MOVE: Final = 366
"""Days. A slot that moved by more than a year would be another year's slot."""

MOST_LISTED: Final = 2 * FARTHEST_MOVE
"""Slots of an interval that come to one day: it has one on each of the days before, or two where a day is longer."""

_FAR: Final = LAST_INSTANT // SECOND

Next = Callable[[Instant], Instant | None]
"""The next slot of a trigger after an instant."""


class Moves:
    """The moving rules of a task, for one question: what is found out about days is kept for the next look.

    `step` is 1 for `next` and -1 for `previous`.
    """

    def __init__(self, rules: tuple[CalendarRule, ...]) -> None:
        self.rules = rules
        self.zone = zone(rules[0].calendar.timezone)
        self.step = 1 if rules[0].shift == "next" else -1
        self._excluded: dict[int, bool] = {}
        self._targets: dict[int, int] = {}
        self._sources: dict[int, range] = {}
        self._pieces: dict[int, list[Piece]] = {}

    def excludes(self, day: int) -> bool:
        """Whether slots of this day have to move."""
        kept = self._excluded.get(day)
        if kept is None:
            kept = self._excluded[day] = any(rule.excludes_day(day) for rule in self.rules)
        return kept

    def target(self, day: int) -> int:
        """The day on which the slots of a day are in the end."""
        kept = self._targets.get(day)
        if kept is None:
            kept = self._targets[day] = self._allowed_from(day)
        return kept

    def _allowed_from(self, day: int) -> int:
        candidates = range(day, day + self.step * (FARTHEST_MOVE + 1), self.step)
        return next((candidate for candidate in candidates if not self.excludes(candidate)), day)

    def sources(self, day: int) -> range:
        """The run of excluded days, in order, from which slots come to a day."""
        kept = self._sources.get(day)
        if kept is None:
            count = 0
            while count < FARTHEST_MOVE and self.excludes(day - self.step * (count + 1)):
                count += 1
            kept = range(day - count, day) if self.step > 0 else range(day + 1, day + count + 1)
            self._sources[day] = kept
        return kept

    def pieces_of(self, day: int) -> list[Piece]:
        """The parts of a day by the calendars' wall clock."""
        kept = self._pieces.get(day)
        if kept is None:
            kept = self._pieces[day] = pieces_of(self.zone, day)
        return kept


def moves_of(bounds: Bounds) -> Moves | None:
    """The moving rules among the calendars, or None if there are none."""
    rules = tuple(rule for rule in bounds.calendars if rule.shift != "skip")
    return Moves(rules) if rules else None


def check_moves(bounds: Bounds) -> None:
    """Raises InvalidRequest for moving rules that do not agree, or whose calendars hold windows."""
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


class Moved:
    """The moved slots of one trigger, for one question.

    `following` is the trigger's own next slot. `daily`: by the clock of the calendars' zone it has the same times on every
    day that it has any, as cron has. Then one day without a change of offset speaks for all of them.
    """

    def __init__(self, following: Next, moves: Moves, *, daily: bool) -> None:
        self._following = following
        self._moves = moves
        self._zone = moves.zone
        self._daily = daily
        self._sources: dict[int, list[int]] = {}
        self._times_on: dict[int, list[int]] = {}

    def next(self, after: Instant) -> Instant | None:
        """The first slot, moved or not, strictly later than `after`."""
        # Where a change of offset shows a day's last hour once more, slots of yesterday may still be to come.
        cursor = local_day(self._zone, after) - self._unsteady(after)
        if self._moves.step > 0:
            cursor = next(iter(self._moves.sources(cursor)), cursor)
        best: Instant | None = None
        while (found := self._first_from(cursor)) is not None:
            cursor = max(cursor, local_day(self._zone, found) - self._unsteady(found))
            day = self._moves.target(cursor)
            if best is not None and day > local_day(self._zone, best) + 1:
                break
            candidate = self._first_on(day, after)
            if candidate is not None and (best is None or candidate < best):
                best = candidate
            if best is not None and len(self._pieces_of(day)) == 1:
                break
            stays = self._moves.excludes(day)
            cursor = cursor + 1 if stays else max(cursor, day, *self._moves.sources(day)[-1:]) + 1
        return best

    def _first_from(self, day: int) -> Instant | None:
        """The first slot, unmoved, that falls on this day or later."""
        while not self._pieces_of(day):
            day += 1
        return self._following(Instant(self._pieces_of(day)[0].begin - 1))

    def _unsteady(self, instant: Instant) -> int:
        """1 if the offset changed within the last day, and with it perhaps the order of days; else 0."""
        second = instant // SECOND
        return int(self._zone.stretch(second).start > second - DAY // SECOND)

    def _first_on(self, day: int, after: Instant) -> Instant | None:
        """The first slot later than `after` among those that are on a day in the end."""
        begins = midnight(day)
        found = [slot for piece in self._pieces_of(day) if (slot := self._in_piece(piece, after)) is not None]
        passed = self._passed(after) - begins
        time = self._first_time(day, passed) if passed < DAY and not self._moves.excludes(day) else None
        if time is not None:
            found.append(moved_to(self._zone, begins + time))
        return min(found, default=None)

    def _first_time(self, day: int, passed: int) -> int | None:
        """The first time of day later than `passed` of what moves to a day."""
        if not self._daily:
            times = self._times_of(day)
            index = bisect_right(times, passed)
            return times[index] if index < len(times) else None
        found = [time for source in self._sources_of(day) for time in self._times(source, passed)]
        return min(found, default=None)

    def _times_of(self, day: int) -> list[int]:
        """The times of day of everything that moves to a day, sorted: for triggers with a slot or two a day."""
        kept = self._times_on.get(day)
        if kept is None:
            kept = self._times_on[day] = sorted(self._listed_times(day))
        return kept

    def _listed_times(self, day: int) -> Iterator[int]:
        sources = self._moves.sources(day)
        found = self._first_from(sources.start) if sources else None
        for _ in range(MOST_LISTED):
            # The day after the last is looked at as well: a change of offset may show the last one again after it.
            if found is None or (on := local_day(self._zone, found)) > sources.stop:
                return
            if on in sources:
                yield local_time(self._zone, found) - midnight(on)
            found = self._following(found)
        raise InternalError(f"more than {MOST_LISTED} slots move to day {day}, for an interval that should not move")

    def _in_piece(self, piece: Piece, after: int) -> Instant | None:
        """The first slot later than `after` in a part of its own day."""
        slot = self._following(Instant(max(after, piece.begin - 1)))
        return slot if slot is not None and slot < piece.end else None

    def _passed(self, after: Instant) -> int:
        """The local time up to which everything that moved has come by `after`; a second pass is past its first."""
        stretch = self._zone.stretch(after // SECOND)
        return max(local_time(self._zone, after), (stretch.start + stretch.before) * SECOND - 1)

    def _times(self, day: int, passed: int) -> Iterator[int]:
        """The first times of day later than `passed` that a day has slots at, one for each of its parts."""
        begins = midnight(day)
        for piece in self._pieces_of(day):
            slot = self._in_piece(piece, begins + passed - piece.offset)
            if slot is not None:
                yield slot + piece.offset - begins

    def _sources_of(self, day: int) -> list[int]:
        """The days with slots that come to this one; of those that are all alike only the first."""
        kept = self._sources.get(day)
        if kept is None:
            kept = self._sources[day] = list(self._different_sources(day))
        return kept

    def _different_sources(self, day: int) -> Iterator[int]:
        sources, alike = self._moves.sources(day), False
        cursor = sources.start
        while cursor < sources.stop and (found := self._first_from(cursor)) is not None:
            cursor = max(cursor, local_day(self._zone, found) - self._unsteady(found))
            if cursor >= sources.stop:
                return
            if not self._is_regular(cursor):
                yield cursor
            elif not alike:
                yield cursor
                alike = self._in_piece(self._pieces_of(cursor)[0], -FOREVER) is not None
            else:
                cursor = self._last_alike(cursor)
            cursor += 1

    def _last_alike(self, day: int) -> int:
        """The last day before the next change of offset that has one offset only."""
        stretch = self._zone.stretch(self._pieces_of(day)[0].begin // SECOND)
        return max(day, local_day(self._zone, Instant((min(stretch.end, _FAR) - 1) * SECOND)) - 1)

    def _is_regular(self, day: int) -> bool:
        pieces = self._pieces_of(day)
        return len(pieces) == 1 and pieces[0].end - pieces[0].begin == DAY

    def _pieces_of(self, day: int) -> list[Piece]:
        return self._moves.pieces_of(day)
