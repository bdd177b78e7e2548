"""Every nominal time of a trigger, found by trying: the second opinion on what the scheduler's arithmetic says.

Nothing is clever here. An interval is counted up from its anchor, a cron expression is held against every minute (every second,
with six fields) as plain sets of numbers, in UTC. What this cannot read it refuses, so that nothing is judged by a guess.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

import attrs

from .history import Revision, Task

SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND
DAY: Final = 86_400 * SECOND

Trigger = Mapping[str, Any]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_DAY: Final = date(1970, 1, 1).toordinal()
_UTC_NAMES: Final = frozenset({"UTC", "Etc/UTC", "GMT", "Z"})
_MONTHS: Final = {name: n for n, name in enumerate("jan feb mar apr may jun jul aug sep oct nov dec".split(), 1)}
_DAYS: Final = {name: n for n, name in enumerate("sun mon tue wed thu fri sat".split())}
_RANGES: Final = ((0, 59), (0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_SHORTHANDS: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


class Unreadable(ValueError):
    """A trigger that this module does not understand."""


def is_fixed_delay(task: Task) -> bool:
    """Whether any of the task's revisions has nominal times that depend on when executions end."""
    return any("delay" in revision.trigger for revision in task.revisions)


def expected_times(task: Task, through: int) -> list[int]:
    """Every nominal time from the task's creation through an instant, in order, revision by revision.

    The slot at the very instant of creation, or of an edit, is not in what begins there. A one-time task whose instant was past
    when it was given is due all the same.
    """
    found: set[int] = set()
    for revision, after, end in _stretches(task, through):
        if "at" in revision.trigger:
            after = min(after, int(revision.trigger["at"]) - 1)
        found.update(times(revision.trigger, revision.bounds, after, end))
    return sorted(found)


def _stretches(task: Task, through: int) -> Iterable[tuple[Revision, int, int]]:
    if not task.revisions:
        return
    ends = [min(revision.began_at, through) for revision in task.revisions[1:]] + [through]
    for number, (revision, end) in enumerate(zip(task.revisions, ends, strict=True)):
        yield revision, max(revision.began_at, task.created_at if number == 0 else 0), end


def times(trigger: Trigger, bounds: Mapping[str, int], after: int, through: int) -> list[int]:
    """The nominal times in (after, through], in order. Raises Unreadable."""
    start, end = bounds.get("start"), bounds.get("end")
    after = after if start is None else max(after, start - 1)
    through = through if end is None else min(through, end)
    return sorted(set(_times(trigger, after, through)))


def _times(trigger: Trigger, after: int, through: int) -> Iterable[int]:
    if "union" in trigger:
        return [time for member in trigger["union"] for time in _times(member, after, through)]
    if "unit" in trigger:
        return _days(trigger, after, through)
    if "every" in trigger:
        return _grid(int(trigger["anchor"]), int(trigger["every"]), after, through)
    if "cron" in trigger:
        if trigger.get("timezone", "UTC") not in _UTC_NAMES:
            raise Unreadable(f"only UTC is judged: {trigger}")
        return _search(parse(str(trigger["cron"])), after, through)
    if "at" in trigger:
        return [at for at in (int(trigger["at"]),) if after < at <= through]
    raise Unreadable(f"no trigger that can be judged: {trigger}")


def _grid(anchor: int, every: int, after: int, through: int) -> Iterable[int]:
    """`anchor + n * every`, n >= 0, in (after, through]."""
    skipped = max(0, (after - anchor) // every)
    return (time for time in range(anchor + skipped * every, through + 1, every) if time > after)


def _days(trigger: Trigger, after: int, through: int) -> Iterable[int]:
    """Every so many days or weeks at a time of day in UTC, from an anchor."""
    weeks = {"day": 1, "days": 1, "week": 7, "weeks": 7}.get(trigger["unit"])
    if weeks is None or trigger.get("timezone", "UTC") not in _UTC_NAMES:
        raise Unreadable(f"only days and weeks in UTC are judged: {trigger}")
    anchor = (int(trigger["anchor_day"]) - _FIRST_DAY) * DAY + int(trigger["time_of_day"])
    return _grid(anchor, int(trigger["every"]) * weeks * DAY, after, through)


# -- cron


@attrs.frozen
class Cron:
    """The numbers that each field allows. either: both days are restricted, and one that fits is enough."""

    seconds: frozenset[int]
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either: bool

    def has_day(self, moment: datetime) -> bool:
        """Whether the day of a moment fits."""
        day, weekday = moment.day in self.days, moment.isoweekday() % 7 in self.weekdays
        return moment.month in self.months and (day or weekday if self.either else day and weekday)


@lru_cache(maxsize=1024)
def parse(expression: str) -> Cron:
    """Five fields, or six with seconds first; lists, ranges, steps, names. Raises Unreadable for anything else."""
    fields = _SHORTHANDS.get(expression.strip().lower(), expression).lower().split()
    if len(fields) == 5:
        fields = ["0", *fields]
    if len(fields) != 6:
        raise Unreadable(f"five or six fields: {expression!r}")
    try:
        sets = [_field(text, low, high) for text, (low, high) in zip(fields, _RANGES, strict=True)]
    except (ValueError, KeyError):
        raise Unreadable(f"a cron expression that cannot be judged: {expression!r}") from None
    weekdays = frozenset(day % 7 for day in sets[5])
    seconds, minutes, hours, days, months = sets[:5]
    return Cron(
        seconds, minutes, hours, days, months, weekdays, not fields[3].startswith("*") and not fields[5].startswith("*")
    )


def _field(text: str, low: int, high: int) -> frozenset[int]:
    allowed: set[int] = set()
    for part in text.split(","):
        whole, _, step = part.partition("/")
        if whole in ("*", "?"):
            first, last = low, high
        else:
            left, _, right = whole.partition("-")
            first = _number(left, high)
            last = _number(right, high) if right else first if not step else high
        if not low <= first <= last <= high or (step and int(step) < 1):
            raise ValueError(part)
        allowed.update(range(first, last + 1, int(step) if step else 1))
    return frozenset(allowed)


def _number(text: str, high: int) -> int:
    names = _MONTHS if high == 12 else _DAYS if high == 7 else {}
    return names[text] if text in names else int(text)


def _search(cron: Cron, after: int, through: int) -> Iterable[int]:
    moment = _EPOCH + timedelta(microseconds=after - after % MINUTE)
    last = _EPOCH + timedelta(microseconds=max(through, after))
    while moment <= last:
        if not cron.has_day(moment):
            moment = moment.replace(hour=0, minute=0) + timedelta(days=1)
            continue
        if moment.minute in cron.minutes and moment.hour in cron.hours:
            minute = (moment - _EPOCH) // timedelta(microseconds=1)
            yield from _in_minute(minute, sorted(cron.seconds), after, through)
        moment += timedelta(minutes=1)


def _in_minute(minute: int, seconds: Sequence[int], after: int, through: int) -> Iterable[int]:
    return (time for second in seconds if after < (time := minute + second * SECOND) <= through)
