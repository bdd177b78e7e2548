"""What is found in another system's files, and the words in which it is told."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import attrs

from runtime.clock import Instant

from ..shown import show as show

MAX_NAME: Final = 100
"""Characters of a task's name that is made of something else."""

Times = Callable[[Instant, Instant], list[Instant]]
"""The other system's fire times in (start, end]."""


@attrs.frozen
class Rules:
    """What another system does when clocks change, and Tocsin with the task as it is carried over: for explanations."""

    gap: str
    fold: str


@attrs.frozen(eq=False)
class Found:
    """One job of another system. `place`: file and line. `schedule`: as it is written there.

    body: the task, None for what cannot be carried over; `said`: what is otherwise than there, or is left behind. `theirs`
    None: there are no times to compare, as `said` tells. `zones`: whose changes of clocks matter. `because` explains times
    that differ far from any of those. `rewritten`: the trigger with the same text, if another had to be written, and why.
    """

    name: str
    place: str
    schedule: str
    body: Mapping[str, Any] | None
    said: tuple[str, ...] = ()
    theirs: Times | None = None
    zones: tuple[str, ...] = ()
    rules: Rules | None = None
    because: str | None = None
    literal: Mapping[str, Any] | None = None
    rewritten: str | None = None


@attrs.frozen(eq=False)
class Reading:
    """All that a file has: its jobs, calendars that they need, and what is told of lines that are no jobs."""

    jobs: tuple[Found, ...]
    calendars: tuple[Mapping[str, Any], ...] = ()
    said: tuple[str, ...] = ()


def task_name(text: str) -> str:
    """A text as the name of a task."""
    plain = "".join(character if character.isprintable() else " " for character in text)
    return re.sub(r"\s+", " ", plain).strip()[:MAX_NAME].strip() or "imported"


def with_own_names(jobs: Iterable[Found]) -> tuple[Found, ...]:
    """The jobs, none with the name of another."""
    seen: dict[str, int] = {}
    found = []
    for job in jobs:
        seen[job.name] = number = seen.get(job.name, 0) + 1
        name = job.name if number == 1 else f"{job.name} ({number})"
        body = None if job.body is None else {**job.body, "name": name}
        found.append(attrs.evolve(job, name=name, body=body))
    return tuple(found)


def without_nothing(body: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an object that say something."""
    return {key: value for key, value in body.items() if value not in (None, {}, [], ())}


# ---- fields of cron as sets


def listed(values: Sequence[int] | frozenset[int]) -> str:
    """Numbers as a list of a cron field, runs of three or more as ranges."""
    runs: list[list[int]] = []
    for value in sorted(values):
        if runs and value == runs[-1][1] + 1:
            runs[-1][1] = value
        else:
            runs.append([value, value])
    parts = []
    for first, last in runs:
        parts += [f"{first}-{last}"] if last > first + 1 else [str(first)] if first == last else [f"{first},{last}"]
    return ",".join(parts)


def field_text(values: frozenset[int], low: int, high: int) -> str:
    """A set of values as a cron field, with a star where it is every one or every so many."""
    for step in range(1, high - low + 1):
        if values == frozenset(range(low, high + 1, step)):
            return "*" if step == 1 else f"*/{step}"
    return listed(values)


DAYS: Final = frozenset(range(1, 32))
WEEKDAYS: Final = frozenset(range(7))
WEEKDAY_NAMES: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


def both_days(days: frozenset[int], weekdays: frozenset[int], timezone: str) -> tuple[str, str, dict[str, Any] | None]:
    """Day of month and day of week for a system where both must match, and the calendar that this takes, if any."""
    if days == DAYS:
        return "*", "*" if weekdays == WEEKDAYS else listed(weekdays), None
    if weekdays == WEEKDAYS:
        return listed(days), "*", None
    names = [WEEKDAY_NAMES[day] for day in sorted(weekdays, key=lambda day: (day - 1) % 7)]
    return (
        listed(days),
        "*",
        {"name": f"{' '.join(names)} in {timezone.replace('/', ' ')}", "timezone": timezone, "weekdays": names},
    )


def either_day(days: frozenset[int], weekdays: frozenset[int]) -> tuple[str, str]:
    """Day of month and day of week for a system where one of them is enough."""
    if days == DAYS or weekdays == WEEKDAYS:
        return "*", "*"
    return listed(days), listed(weekdays)
