"""Triggers in plain English."""

from __future__ import annotations

from typing import Final, assert_never

from runtime.clock import DAY, HOUR, MINUTE, SECOND, isoformat

from ..model.trigger import CalendarInterval, Cron, Interval, Once, Single, Trigger, Union
from . import calendar_intervals, cron, cron_words

_UNITS: Final = (("day", DAY), ("hour", HOUR), ("minute", MINUTE), ("second", SECOND))


def explain(trigger: Trigger) -> str:
    """When a trigger fires, e.g. `at 02:30, every day (Europe/Berlin)`; the members of a union one after another."""
    if isinstance(trigger, Union):
        return "; and ".join(explain(member) for member in trigger.triggers)
    return _explain_single(trigger)


def _explain_single(trigger: Single) -> str:
    match trigger:
        case Once(at=at):
            return f"once, at {isoformat(at)}"
        case Interval(every=every, fixed_delay=True):
            return f"{_span(every)} after the end of the execution before"
        case Interval(every=every, anchor=anchor):
            return f"every {_span(every)}, counted from {isoformat(anchor)}"
        case Cron():
            return f"{cron_words.explain(cron.parse(trigger.expression, trigger.seed))} ({trigger.timezone})"
        case CalendarInterval():
            return f"{calendar_intervals.explain(trigger)} ({trigger.timezone})"
        case _:
            assert_never(trigger)


def _span(micros: int) -> str:
    """A duration in words: `1 hour and 30 minutes`, `0.25 seconds`."""
    parts = []
    for unit, size in _UNITS[:-1]:
        count, micros = divmod(micros, size)
        parts += [f"{count} {unit}" if count == 1 else f"{count} {unit}s"] if count else []
    if micros or not parts:
        seconds = f"{micros / SECOND:.6f}".rstrip("0").rstrip(".")
        parts.append(f"{seconds} second" if seconds == "1" else f"{seconds} seconds")
    return cron_words.join(parts)
