"""Every field that a definition can have, taken from the vocabulary itself, and what must not be in it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from typing import Any

import attrs

from actors.model.calendar import Calendar
from actors.model.task import Definition, Task, TaskState
from actors.model.trigger import Once
from runtime.clock import SECOND, Instant
from tocsin.shown import show
from tocsin.vocabulary import kinds
from tocsin.vocabulary.references import Known
from tocsin.vocabulary.words import TASK

NOW = Instant(1_800_000_000 * SECOND)
GOOD: dict[str, Any] = {"name": "n", "taskType": "greet", "trigger": {"every": "5m"}}
PARENT = "01890000-0000-7000-8000-000000000009"
CHRISTMAS = date(2028, 12, 24).toordinal()
CALENDAR = Calendar("", "holidays", 3, days=((CHRISTMAS, CHRISTMAS + 2),))
KNOWN = Known(
    {("holidays", None): CALENDAR, ("holidays", 3): CALENDAR},
    {"parent": Task(Definition(PARENT, "parent", "greet", Once(NOW)), TaskState())},
)

NEEDED: dict[str, dict[str, Any]] = {
    "policies.concurrency": {"key": "k"},
    "dependencies": {"parents": ["parent"]},
    "extra": {"data": "eA=="},
    "events[0]": {"name": "e", "actions": [{"kind": "topic", "name": "t"}]},
    "trigger.calendars[0]": {"calendar": "holidays"},
}
"""What an object needs beside the field that is tried."""

BESIDE: dict[str, dict[str, Any]] = {
    "policies.overlapLimit": {"overlap": "queue_all"},
    "policies.catchUpLimit": {"catchUp": "all"},
    "policies.catchUpRate": {"catchUp": "all"},
}
"""The choice that a limit belongs to."""

FORMS: dict[str, dict[str, Any]] = {
    "every": {"every": "5m"},
    "everyDays": {"everyDays": 1},
    "everyWeeks": {"everyWeeks": 1},
    "everyMonths": {"everyMonths": 1},
    "everyYears": {"everyYears": 1, "month": 2, "day": 3},
    "cron": {"cron": "0 0 * * *"},
    "at": {"at": "2030-01-01T00:00:00Z"},
    "after": {"after": "5m"},
    "any": {"any": [{"every": "5m"}]},
    "webhook": {"kind": "webhook", "url": "https://example.com"},
    "email": {"kind": "email", "to": ["a@example.com"]},
    "topic": {"kind": "topic", "name": "t"},
    "run_task": {"kind": "run_task", "task": "t"},
}
"""One of each form, to which the field that is tried is added."""

PATHS: dict[str, Any] = {
    "taskType": "greet",
    "parameters": {"region": "eu"},
    "dependencies.parents": ["parent"],
    "placement.on": "all",
    "placement.strategy": "random",
    "trigger.kind": None,
    "trigger.cron": "0 0 * * *",
    "trigger.any[0].cron": "0 0 * * *",
    "trigger.timezone": "Europe/Berlin",
    "trigger.any[0].timezone": "Europe/Berlin",
    "trigger.calendars": [{"calendar": "holidays"}],
    "trigger.calendars[0].calendar": "holidays",
    "trigger.calendars[0].version": 3,
    "trigger.start": "0s",
    "trigger.calendars[0].mode": "exclude",
    "trigger.calendars[0].shift": "skip",
    "trigger.end": "2030-02-01T00:00:00Z",
    "extra.contentType": "text/plain",
    "events[0].on": ["FAILED", "skipped"],
    "events[0].condition": "true",
    "events[0].actions[0].url": "https://example.com/x",
    "events[0].actions[0].to": ["a@example.com"],
    "events[0].actions[0].headers": {"x-a": "b"},
}
"""Good values for fields whose kind alone does not say what is good there."""


@attrs.frozen
class Slot:
    """One field in one place: `body` makes a whole definition with a value there."""

    path: str
    form: str
    field: kinds.Field
    body: Callable[[Any], dict[str, Any]]

    def __str__(self) -> str:
        return f"{self.path} ({self.form})" if self.form else self.path


def slots() -> Iterator[Slot]:
    for field in TASK:
        yield from _slots(field, field.key, "", lambda value, key=field.key: GOOD | {key: value})


def _slots(field: kinds.Field, path: str, form: str, put: Callable[[Any], dict[str, Any]]) -> Iterator[Slot]:
    yield Slot(path, form, field, put)
    yield from _inside(field.kind, path, form, put)


def _inside(kind: kinds.Kind, path: str, form: str, put: Callable[[Any], dict[str, Any]]) -> Iterator[Slot]:
    match kind:
        case kinds.Object(fields):
            for inner in fields:
                place = f"{path}.{inner.key}"
                needed = NEEDED.get(path, {}) | BESIDE.get(place, {})
                yield from _slots(
                    inner, place, form, lambda value, inner=inner, needed=needed: put(needed | {inner.key: value})
                )
        case kinds.OneOf(forms):
            for name, fields in forms.items():
                for inner in fields:
                    yield from _slots(
                        inner,
                        f"{path}.{inner.key}",
                        f"{form} {name}".strip(),
                        lambda value, inner=inner, name=name: put(
                            _without(FORMS[name], inner.key) | {inner.key: value}
                        ),
                    )
        case kinds.ListOf(entries) if not kind.plain:
            yield from _inside(entries, f"{path}[0]", form, lambda value: put([value]))
        case _:
            pass


def _without(form: dict[str, Any], key: str) -> dict[str, Any]:
    """An anchor stands for the day."""
    return {name: value for name, value in form.items() if key != "anchor" or name not in ("day", "month", "weekday")}


POOL: list[Any] = [
    None, True, False, 0, 1, -1, 5, 10**9, 10**30, -(10**30), 1.0, 2.5, -0.5, math.nan, math.inf, -math.inf,
    "", " ", "x", " x", "x ", "5", "5m", "-5m", "0s", "1ms", "1000y", "P1000000D", "99999999999999999999w", "2030-01-01",
    "2030-01-01T00:00:00Z", "2030-13-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "09:30",
    "25:00", "true", "null", "skip", "a\nb", "a\tb", "a\0b", "a\x1b[31mb", "\ud800", "a\udfffb", "\u202eabc", "a\u200bb",
    "\ufeffa", "a\u2028b", "é" * 3, "x" * 65, "x" * 129, "x" * 257, "x" * 2_001, "x" * 100_000, "é" * 20_000,
    "https://u:p@example.com/", "javascript:alert(1)", "http://", "a@b", "a@b\r\nBcc: c@d", "10/m", "0/m", "10/0s", "1e5/s",
    [], [None], [1], ["x"], ["x", "x"], ["a\0"], ["\ud800"], [[]], [{}], ["x"] * 40, [str(number) for number in range(200)],
    {}, {"a": 1}, {"a": None}, {"a": "b"}, {"": ""}, {"a\0": "b"}, {"key": ""}, {"kind": "x"}, {1: 2},
]  # fmt: skip
"""Values of every type, size and encoding; each field takes few of them."""

_ISO = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d))?")
_GOOD_TIMES = ("2030-01-01", "2030-01-01T00:00:00Z")
_GOOD_SPANS = ("5m", "0s", "1ms")


def one_line(value: Any, longest: int, shortest: int = 1) -> bool:
    return (
        isinstance(value, str) and shortest <= len(value) <= longest and value.isprintable() and value == value.strip()
    )


def encodable(value: Any) -> bool:
    return isinstance(value, str) and "\0" not in value and not re.search("[\ud800-\udfff]", value)


def fits(kind: kinds.Kind, value: Any) -> bool:
    """Whether a value of the pool is one of this kind: a second, dumb statement of the vocabulary's rules."""
    match kind:
        case kinds.Flag():
            return isinstance(value, bool)
        case kinds.Whole(low, high):
            return type(value) is int and low <= value <= high
        case kinds.Real(low, high):
            return type(value) in (int, float) and low <= value <= high
        case kinds.Text(longest, shortest):
            return one_line(value, longest, shortest)
        case kinds.Prose(longest):
            return encodable(value) and len(value.encode()) <= longest
        case kinds.Choice(among):
            return isinstance(value, str) and value in list(among)
        case kinds.Span(positive):
            return value in _GOOD_SPANS and not (positive and value == "0s")
        case kinds.Rate():
            return value == "10/m"
        case kinds.Moment(relative):
            return value in _GOOD_TIMES or (relative and value in _GOOD_SPANS)
        case kinds.Day():
            return value == "2030-01-01"
        case kinds.ClockTime():
            return value == "09:30"
        case kinds.DayOfMonth():
            return type(value) is int and 1 <= value <= 31
        case kinds.Base64():
            # Text of the right length is base64, whatever it says.
            return isinstance(value, str) and len(value) % 4 == 0 and re.fullmatch("[a-z0-9/]*", value) is not None
        case kinds.JsonObject():
            return isinstance(value, dict) and all(isinstance(key, str) for key in value)
        case _:
            return fits_as_container(kind, value)


def fits_as_container(kind: kinds.Kind, value: Any) -> bool:
    match kind:
        case kinds.ListOf(entries, most, _, least, once):
            if not isinstance(value, list) or not least <= len(value) <= most:
                return False
            return all(fits(entries, entry) for entry in value) and not (once and len(set(value)) < len(value))
        case kinds.Pairs(names, values, most):
            return (
                isinstance(value, dict)
                and len(value) <= most
                and all(fits(names, name) and fits(values, entry) for name, entry in value.items())
            )
        case kinds.Object(_, short):
            return value == {} or (short is not None and isinstance(value, str))
        case kinds.OneOf():
            return False
    raise AssertionError(f"no rule for {kind!r}: say here what fits it")


def wrong_values(slot: Slot) -> list[Any]:
    """Values of the pool that must be refused there."""
    return [value for value in POOL if not fits(slot.field.kind, value) and not (value is None and slot.field.nullable)]


def good_value(slot: Slot) -> Any:
    """A value that must be accepted there."""
    if slot.path in PATHS:
        return PATHS[slot.path]
    return sample(slot)


def sample(slot: Slot) -> Any:
    kind = slot.field.kind
    match kind:
        case kinds.Flag():
            return False
        case kinds.Whole(low):
            return low
        case kinds.Real(low):
            return low
        case kinds.Choice(among):
            return str(list(among)[-1])
        case kinds.Span():
            return "5m"
        case kinds.Moment():
            return "2030-01-01T00:00:00Z"
        case kinds.Object():
            return NEEDED.get(slot.path, {})
        case kinds.OneOf(forms):
            return FORMS[next(iter(forms))]
        case kinds.ListOf() if not kind.plain:
            return (
                [NEEDED.get(f"{slot.path}[0]", {})]
                if isinstance(kind.entries, kinds.Object)
                else [FORMS[next(iter(kind.entries.forms))]]
            )  # type: ignore[attr-defined]
    samples = {
        kinds.Text: "abc", kinds.Prose: "abc", kinds.Rate: "10/m", kinds.Day: "2027-01-01", kinds.ClockTime: "09:30",
        kinds.DayOfMonth: "last", kinds.Base64: "AP8=", kinds.Pairs: {"a": "b"}, kinds.JsonObject: {"a": 1},
        kinds.ListOf: ["abc"],
    }  # fmt: skip
    return samples[type(kind)]  # type: ignore[index]


def tells(message: str, value: Any) -> bool:
    """Whether a message shows the value, or the part of it that is wrong, or says that nothing is not enough."""
    if show(value)[:60] in message or (value in (None, {}, [{}]) and ("required" in message or "not None" in message)):
        return True
    parts = [*value.keys(), *value.values()] if isinstance(value, Mapping) else value if isinstance(value, list) else []
    return any(show(part).strip("'")[:60] in message for part in parts)
