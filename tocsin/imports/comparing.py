"""Both systems' fire times side by side, and why they differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

import attrs

from actors.when.triggers import upcoming
from actors.when.zones import zone
from runtime.clock import DAY, HOUR, SECOND, Instant
from runtime.errors import TocsinError

from ..plans.fires import compare_fires
from ..services.triggers import offset_words
from ..vocabulary.calendar_json import calendar_from_json
from ..vocabulary.fields import show_instant
from ..vocabulary.references import Known
from ..vocabulary.triggers import trigger_from_json
from .found import Found

SPAN_DAYS: Final = 400
"""So far the times are compared: every change of clocks of a year, every month, and a leap day in most cases."""

NEAR: Final = 3 * HOUR
"""So near to a change of clocks a difference is explained by it."""

UNEXPLAINED: Final = "not explained"

MOST: Final = 2_000_000
"""Times of one trigger in the span: one each 18 seconds."""

Kind = Literal["only there", "only here", "moved"]


@attrs.frozen
class Difference:
    """One time that is another: there, here, or both for one that has moved."""

    kind: Kind
    there: Instant | None
    here: Instant | None
    why: str


@attrs.frozen
class Comparison:
    """How many times each system has, how many are the same, and those that differ."""

    there: int
    here: int
    same: int
    differences: tuple[Difference, ...]


def own_times(
    trigger: Mapping[str, Any], calendars: Iterable[Mapping[str, Any]], start: Instant, end: Instant
) -> list[Instant]:
    """Tocsin's times in (start, end] for a trigger as JSON. Raises InvalidRequest."""
    read = {
        str(one["name"]): calendar_from_json(
            str(one["name"]), {key: value for key, value in one.items() if key != "name"}, start
        )
        for one in calendars
    }
    found, bounds = trigger_from_json(trigger, start, known=Known({(name, None): one for name, one in read.items()}))
    limited = attrs.evolve(bounds, end=end if bounds.end is None else min(end, bounds.end))
    return upcoming(found, limited, start, MOST, allowed_only=True)


def compare(found: Found, calendars: Iterable[Mapping[str, Any]], start: Instant) -> Comparison | None:
    """Both systems' times over `SPAN_DAYS`; None where there is nothing to compare. Takes up to seconds.

    Raises InvalidRequest for a task that Tocsin would refuse.
    """
    if found.body is None or found.theirs is None:
        return None
    end = Instant(start + SPAN_DAYS * DAY)
    theirs = found.theirs(start, end)
    ours = own_times(found.body["trigger"], calendars, start, end)
    return _compared(found, theirs, ours, start, end)


def _compared(found: Found, theirs: list[Instant], ours: list[Instant], start: Instant, end: Instant) -> Comparison:
    diff = compare_fires(theirs, ours, MOST)
    changes = _changes(found.zones, start, end)
    differences = [
        *(Difference("only there", at, None, _why(found, at, changes)) for at in diff.disappear),
        *(Difference("only here", None, at, _why(found, at, changes)) for at in diff.appear),
        *(Difference("moved", one, other, _why(found, one, changes)) for one, other in diff.moved),
    ]
    differences.sort(key=lambda one: one.there if one.there is not None else one.here or start)
    return Comparison(len(theirs), len(ours), diff.kept, tuple(differences))


def compare_literally(found: Found, calendars: Iterable[Mapping[str, Any]], start: Instant) -> Comparison | None:
    """What would differ if the schedule's own text were kept; None where it is kept, or is none for Tocsin."""
    if found.literal is None or found.theirs is None:
        return None
    end = Instant(start + SPAN_DAYS * DAY)
    try:
        ours = own_times(found.literal, calendars, start, end)
    except TocsinError:
        return None
    return _compared(attrs.evolve(found, because=found.rewritten), found.theirs(start, end), ours, start, end)


@attrs.frozen
class _Change:
    at: Instant
    before: int
    after: int
    timezone: str


def _changes(zones: Iterable[str], start: Instant, end: Instant) -> list[_Change]:
    return [
        _Change(Instant(change.at * SECOND), change.before, change.after, name)
        for name in dict.fromkeys(zones)
        for change in zone(name).changes((start - DAY) // SECOND, (end + DAY) // SECOND)
    ]


def _why(found: Found, at: Instant, changes: Iterable[_Change]) -> str:
    for change in changes:
        if abs(at - change.at) <= NEAR and found.rules is not None:
            rule = found.rules.gap if change.after > change.before else found.rules.fold
            clock = f"{offset_words(change.before)} to {offset_words(change.after)}"
            return f"the clock of {change.timezone} goes from {clock} at {show_instant(change.at)}: {rule}"
    return found.because or UNEXPLAINED
