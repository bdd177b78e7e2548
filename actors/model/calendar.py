"""Calendars: named, versioned sets of dates and windows, and the rules by which a task keeps to them.

A calendar holds whole days (by the wall clock of its own zone), weekdays, and windows between two instants. What it holds is
sorted and merged when it is made, so two calendars with the same set in them are equal.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from itertools import islice
from typing import Final, Literal

from runtime.clock import DAY, SECOND, Instant
from runtime.errors import InvalidRequest
from runtime.records import record

from ..when.zones import zone

MAX_ENTRIES: Final = 10_000
"""Runs of days and windows in one calendar: a century of public holidays is a tenth of it."""

MAX_CALENDAR_NAME: Final = 128
"""Characters in a calendar's name, as for a task's."""

MAX_CALENDARS: Final = 8
"""Rules of one task; each costs a look at every evaluation."""

EPOCH_DAY: Final = 719_163
"""The ordinal of 1970-01-01, as `datetime.date.toordinal` counts."""

FIRST_DAY: Final = 1
LAST_DAY: Final = 3_652_059
"""Ordinals of the first and the last day that a date can hold."""

Mode = Literal["exclude", "include"]
Shift = Literal["skip", "next", "previous"]
Span = tuple[int, int]


@record
class Calendar:
    """A set of time under a name. Make it with `calendar_of`, which sorts, merges and checks.

    `days` are pairs of ordinals, first and last day of each run; `windows` pairs of instants, the end not included;
    `weekdays` are 0 for Monday to 6 for Sunday. Days and weekdays are those of the wall clock in `timezone`. `deleted`: the
    calendar was deleted with this version, which holds nothing; the versions before it stay for the revisions that used them.
    """

    tenant: str
    name: str
    version: int
    timezone: str = "UTC"
    days: tuple[tuple[int, int], ...] = ()
    windows: tuple[tuple[Instant, Instant], ...] = ()
    weekdays: tuple[int, ...] = ()
    deleted: bool = False

    def holds_day(self, ordinal: int) -> bool:
        """Whether a whole day, given by its ordinal, belongs to the set."""
        if self.weekdays and (ordinal + 6) % 7 in self.weekdays:
            return True
        return _holds(self.days, ordinal, 1)

    def contains(self, instant: Instant) -> bool:
        """Whether an instant belongs to the set: its day does, its weekday does, or a window holds it."""
        if self.windows and _holds(self.windows, instant, 0):
            return True
        return self.holds_day(self.day_of(instant))

    def day_of(self, instant: Instant) -> int:
        """The ordinal of the day that the calendar's wall clock shows at an instant."""
        return (instant + zone(self.timezone).offset(instant // SECOND) * SECOND) // DAY + EPOCH_DAY


@record
class CalendarRule:
    """How a task keeps to a calendar: `exclude` its set, or `include` nothing but its set.

    `shift` says what becomes of a slot at an excluded time. `skip`: it stays a nominal time and is not run. `next` and
    `previous`: the nominal time moves, at the same local time of the calendar's zone, to the next or the previous day that no
    rule of the task with such a shift excludes; slots that come to the same instant are one. `pinned`: the task keeps to this
    version of the calendar when a new one comes.
    """

    calendar: Calendar
    mode: Mode = "exclude"
    shift: Shift = "skip"
    pinned: bool = False

    def excludes(self, instant: Instant) -> bool:
        """Whether this rule excludes an instant."""
        return self.calendar.contains(instant) is (self.mode == "exclude")

    def excludes_day(self, ordinal: int) -> bool:
        """Whether this rule excludes a day as a whole, windows left out of account."""
        return self.calendar.holds_day(ordinal) is (self.mode == "exclude")


def calendar_of(
    tenant: str,
    name: str,
    version: int,
    timezone: str = "UTC",
    days: Iterable[tuple[int, int]] = (),
    windows: Iterable[tuple[Instant, Instant]] = (),
    weekdays: Iterable[int] = (),
) -> Calendar:
    """A calendar in its normal form. Raises InvalidRequest that names the field and shows the value."""
    if not 1 <= len(name) <= MAX_CALENDAR_NAME or not name.isprintable() or name != name.strip():
        raise InvalidRequest(
            f"name: 1 to {MAX_CALENDAR_NAME} printable characters without spaces at the ends, "
            f"not {name[:MAX_CALENDAR_NAME]!r}"
        )
    zone(timezone)
    found = tuple(sorted(set(weekdays)))
    for weekday in found:
        if not 0 <= weekday <= 6:
            raise InvalidRequest(f"weekdays: 0 (Monday) to 6 (Sunday), not {weekday}")
    merged_days = _merged("days", days, 1)
    merged_windows = tuple((Instant(begin), Instant(end)) for begin, end in _merged("windows", windows, 0))
    _check_days(merged_days)
    return Calendar(tenant, name, version, timezone, merged_days, merged_windows, found)


def _merged(field: str, spans: Iterable[Span], width: int) -> tuple[Span, ...]:
    """The spans in order, those that touch as one. `width` is what lies between the end of a span and its successor."""
    taken = sorted(islice(spans, MAX_ENTRIES + 1))
    if len(taken) > MAX_ENTRIES:
        raise InvalidRequest(f"{field}: at most {MAX_ENTRIES} entries")
    merged: list[Span] = []
    for first, last in taken:
        if last + width <= first:
            raise InvalidRequest(f"{field}: {first} to {last} ends before it begins")
        if merged and first <= merged[-1][1] + width:
            merged[-1] = merged[-1][0], max(merged[-1][1], last)
        else:
            merged.append((first, last))
    return tuple(merged)


def _check_days(days: tuple[Span, ...]) -> None:
    if days and not (days[0][0] >= FIRST_DAY and days[-1][1] <= LAST_DAY):
        raise InvalidRequest(f"days: ordinals from {FIRST_DAY} to {LAST_DAY}, not {days[0][0]} to {days[-1][1]}")


def _holds(spans: tuple[Span, ...], value: int, width: int) -> bool:
    index = bisect_right(spans, (value, 1 << 62))
    return index > 0 and value < spans[index - 1][1] + width
