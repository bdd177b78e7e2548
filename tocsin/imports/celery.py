"""Schedules of Celery beat: a Python module's `beat_schedule`, read and never run, or a dump of it as JSON or YAML.

Of a module only what is written out is understood: literals, names of literals above, `crontab(...)`, `timedelta(...)`,
`schedule(...)`, and arithmetic. All fields of a `crontab` must match, day of month and day of week too. In a dump a schedule is a
number of seconds, an object with the arguments of `crontab`, or the text of a call.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any, Final

import attrs

from actors.when.zones import zone
from runtime.clock import Instant
from runtime.errors import InvalidRequest

from ..plans.yaml_text import read_yaml
from .found import (
    DAYS,
    WEEKDAYS,
    Found,
    Reading,
    Rules,
    Times,
    both_days,
    field_text,
    show,
    task_name,
    with_own_names,
    without_nothing,
)
from .walking import Pattern, walk

SCHEDULES: Final = ("beat_schedule", "CELERY_BEAT_SCHEDULE", "CELERYBEAT_SCHEDULE")
ZONES: Final = ("timezone", "CELERY_TIMEZONE", "TIME_ZONE")
"""Names under which a module has its schedule and its zone."""

_FIELDS: Final = ("minute", "hour", "day_of_week", "day_of_month", "month_of_year")
_BOUNDS: Final = {
    "minute": (0, 59), "hour": (0, 23), "day_of_week": (0, 6), "day_of_month": (1, 31), "month_of_year": (1, 12),
}  # fmt: skip
_UNITS: Final = {
    "weeks": 604_800.0, "days": 86_400.0, "hours": 3_600.0, "minutes": 60.0, "seconds": 1.0, "milliseconds": 0.001,
    "microseconds": 0.000_001,
}  # fmt: skip
_ORDER: Final = ("days", "seconds", "microseconds", "milliseconds", "minutes", "hours", "weeks")
_WEEKDAYS: Final = dict(zip("sun mon tue wed thu fri sat".split(), range(7), strict=True))
_MONTHS: Final = dict(zip("jan feb mar apr may jun jul aug sep oct nov dec".split(), range(1, 13), strict=True))
_ITEM: Final = re.compile(r"(?:(\*)|(\w+)(?:-(\w+))?)(?:/(\d+))?")

_RULES: Final = Rules(
    "Celery runs the first of the times that are left out, as late after the change as it lies in what is left out; Tocsin runs "
    "times that are left out once, at the end of that",
    "Celery runs nothing in the hour that comes again; Tocsin does so with fixed times, and goes on where minute or hour begin "
    "with a star",
)
_SINCE_START: Final = "beat counts from each last run and from its own start, so there are no times to compare"


@attrs.frozen
class Crontab:
    """The arguments of `crontab`."""

    fields: Mapping[str, object]


@attrs.frozen
class Seconds:
    """A schedule at a fixed rate."""

    seconds: float


@attrs.frozen
class Unknown:
    """Something that cannot be read without running it, as it is written."""

    text: str


def read_beat(text: str, file: str, *, timezone: str | None = None, keep: bool = False) -> Reading:
    """A schedule of beat: a Python module if the file's name ends in .py, else a dump. timezone: of the app; if None that of
    the module, else UTC.

    keep: run, where Tocsin can, what Celery runs when clocks change. Raises InvalidRequest for what cannot be read.
    """
    entries, own_zone, said = _of_module(text, file) if file.endswith(".py") else _of_dump(text, file)
    chosen = timezone or own_zone or "UTC"
    zone(chosen)
    jobs: list[Found] = []
    calendars: dict[str, Mapping[str, Any]] = {}
    for name, entry, line in entries:
        job, calendar = _job(name, entry, f"{file}:{line}", chosen, keep)
        jobs.append(job)
        if calendar is not None:
            calendars[str(calendar["name"])] = calendar
    if not timezone and not own_zone:
        said.append(f"{file}: names no timezone: taken to be UTC, as Celery does")
    return Reading(with_own_names(jobs), tuple(calendars.values()), tuple(said))


Entries = list[tuple[str, object, int]]


# ---- a dump


def _of_dump(text: str, file: str) -> tuple[Entries, str | None, list[str]]:
    documents = read_yaml(text, file)
    if len(documents) != 1 or not isinstance(documents[0].value, dict):
        raise InvalidRequest(f"{file}: an object with the entries of beat_schedule by name")
    piece, own_zone = documents[0], documents[0].value.get("timezone")
    if "beat_schedule" in piece.value:
        piece = piece.parts["beat_schedule"]
    found: Entries = []
    for name, value in piece.value.items() if isinstance(piece.value, dict) else ():
        if isinstance(value, dict):
            found.append((name, value | {"schedule": _of_json(value.get("schedule"))}, piece.line_of(name)))
    return found, own_zone if isinstance(own_zone, str) else None, []


def _of_json(value: object) -> object:
    if isinstance(value, Mapping):
        inner = value.get("crontab", value)
        return (
            Crontab(dict(inner)) if isinstance(inner, Mapping) and set(inner) <= set(_FIELDS) else Unknown(str(value))
        )
    if isinstance(value, str):
        try:
            return _Reader({}).value(ast.parse(value, mode="eval").body)
        except (SyntaxError, ValueError, RecursionError):
            return Unknown(value)
    return value


# ---- a module


def _of_module(text: str, file: str) -> tuple[Entries, str | None, list[str]]:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError) as error:
        line = getattr(error, "lineno", None)
        raise InvalidRequest(f"{file}:{line or 1}: not Python: {getattr(error, 'msg', error)}") from None
    names: dict[str, object] = {}
    schedules: list[ast.Dict] = []
    own_zone: str | None = None
    for target, value in _assigned(tree):
        if target in SCHEDULES and isinstance(value, ast.Dict):
            schedules.append(value)
            continue
        names[target] = read = _Reader(names).value(value)
        if target in ZONES and isinstance(read, str):
            own_zone = read
    found: Entries = []
    said: list[str] = []
    for schedule in schedules:
        for key, value in zip(schedule.keys, schedule.values, strict=True):
            entry = _Reader(names).value(value)
            name: object = None if key is None else _Reader(names).value(key)
            if isinstance(name, str) and isinstance(entry, dict):
                found.append((name, entry, value.lineno))
            else:
                said.append(f"{file}:{value.lineno}: cannot be read without running it: {show(ast.unparse(value))}")
    if not schedules:
        said.append(f"{file}: no {', '.join(SCHEDULES)} is written out here")
    return found, own_zone, said


def _assigned(tree: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """What is assigned to names and attributes, and given by name to `update`, in the order of the text."""
    found: list[tuple[int, str, ast.expr]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                named = getattr(target, "id", None) or getattr(target, "attr", None)
                if isinstance(named, str):
                    found.append((node.lineno, named, node.value))
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "update":
            found += [(node.lineno, keyword.arg, keyword.value) for keyword in node.keywords if keyword.arg]
    for _, name, value in sorted(found, key=lambda one: one[0]):
        yield name, value


class _Reader:
    """Reads expressions without running anything. `names`: what was read under a name."""

    def __init__(self, names: Mapping[str, object]) -> None:
        self._names = names

    def value(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=value):
                return value
            case ast.List(elts=items) | ast.Tuple(elts=items) | ast.Set(elts=items):
                return [self.value(item) for item in items]
            case ast.Dict(keys=keys, values=values):
                pairs = zip(keys, values, strict=True)
                return {str(self.value(key)): self.value(value) for key, value in pairs if key is not None}
            case ast.Name(id=name):
                return self._names.get(name, Unknown(name))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                found = self.value(operand)
                return -found if isinstance(found, int | float) else Unknown(ast.unparse(node))
            case ast.BinOp():
                return self._arithmetic(node)
            case ast.Call():
                return self._call(node)
            case _:
                return Unknown(ast.unparse(node))

    def _arithmetic(self, node: ast.BinOp) -> Any:
        left, right = (_number(self.value(side)) for side in (node.left, node.right))
        if left is None or right is None:
            return Unknown(ast.unparse(node))
        match node.op:
            case ast.Add():
                return left + right
            case ast.Sub():
                return left - right
            case ast.Mult():
                return left * right
            case ast.Div() if right:
                return left / right
            case _:
                return Unknown(ast.unparse(node))

    def _call(self, node: ast.Call) -> Any:
        name = getattr(node.func, "id", None) or getattr(node.func, "attr", None)
        given = [self.value(argument) for argument in node.args]
        named = {keyword.arg: self.value(keyword.value) for keyword in node.keywords if keyword.arg}
        if name == "crontab":
            order = ("minute", "hour", "day_of_week", "day_of_month", "month_of_year")
            fields = dict(zip(order, given, strict=False)) | named
            return Crontab(fields) if set(fields) <= set(_FIELDS) else Unknown(ast.unparse(node))
        if name == "timedelta":
            spans = dict(zip(_ORDER, given, strict=False)) | named
            if set(spans) <= _UNITS.keys() and all(isinstance(one, int | float) for one in spans.values()):
                return Seconds(sum(_UNITS[unit] * amount for unit, amount in spans.items()))
        if name == "schedule" and (given or "run_every" in named):
            return given[0] if given else named["run_every"]
        return Unknown(ast.unparse(node))


def _number(value: object) -> float | int | None:
    if isinstance(value, Seconds):
        return value.seconds
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


# ---- one entry


def _job(key: str, entry: object, place: str, timezone: str, keep: bool) -> tuple[Found, Mapping[str, Any] | None]:
    given = entry if isinstance(entry, Mapping) else {}
    name, said = task_name(key), list[str]()
    schedule, type_name = given.get("schedule"), given.get("task")
    text = _shown(schedule)
    calendar: Mapping[str, Any] | None = None
    times: Times | None = None
    seconds = _number(schedule)
    if not isinstance(type_name, str):
        return Found(name, place, text, None, ("names no task",)), None
    if seconds is not None and seconds > 0:
        trigger: dict[str, Any] = {"every": f"{max(1, round(seconds * 1000))}ms"}
        said.append(_SINCE_START)
    elif isinstance(schedule, Crontab):
        try:
            trigger, calendar, times = _crontab(schedule, timezone, said, keep)
        except InvalidRequest as error:
            return Found(name, place, text, None, (str(error),)), None
    else:
        told = "the sun is not known here" if "solar" in text else "it cannot be read without running it"
        return Found(name, place, text, None, (f"schedule {show(text)}: {told}",)), None
    body = without_nothing({
        "name": name,
        "taskType": type_name,
        "trigger": trigger,
        "parameters": _parameters(given, said),
        "policies": _policies(given, said),
    })  # fmt: skip
    return Found(name, place, text, body, tuple(said), times, (timezone,), _RULES), calendar


def _shown(schedule: object) -> str:
    match schedule:
        case Crontab(fields):
            return f"crontab({', '.join(f'{name}={value!r}' for name, value in fields.items())})"
        case Seconds(seconds):
            return f"timedelta(seconds={seconds:g})"
        case Unknown(text):
            return text
        case _:
            return repr(schedule)


def _parameters(entry: Mapping[str, Any], said: list[str]) -> dict[str, Any]:
    kwargs, args = entry.get("kwargs") or {}, entry.get("args") or []
    if args:
        said.append(f"args {show(args)}: parameters go by name here; the handler has to be called with names")
    if not isinstance(kwargs, Mapping) or _has_unknown(kwargs):
        said.append("kwargs: not written out, so they are left behind")
        return {}
    return dict(kwargs)


def _has_unknown(value: object) -> bool:
    if isinstance(value, Mapping):
        return any(_has_unknown(one) for one in value.values())
    if isinstance(value, list | tuple):
        return any(_has_unknown(one) for one in value)
    return isinstance(value, Unknown | Crontab | Seconds)


def _policies(entry: Mapping[str, Any], said: list[str]) -> dict[str, Any]:
    policies: dict[str, Any] = {"overlap": "allow", "catchUp": "latest"}
    said.append("a task of Celery may run several times at once, so overlap is allow; retries are the task type's")
    options = entry.get("options") or {}
    for name, value in options.items() if isinstance(options, Mapping) else ():
        seconds = _number(value)
        if name == "expires" and seconds is not None and seconds > 0:
            policies["maxWait"] = f"{round(seconds * 1000)}ms"
        elif name == "queue" and isinstance(value, str):
            policies["queue"] = value
        else:
            said.append(f"options.{name}: {show(value)} is not carried over")
    return policies


def _crontab(
    schedule: Crontab, timezone: str, said: list[str], keep: bool
) -> tuple[dict[str, Any], Mapping[str, Any] | None, Times]:
    sets = {name: _values(schedule.fields.get(name, "*"), name) for name in _FIELDS}
    minutes, hours, days, months = (sets[name] for name in ("minute", "hour", "day_of_month", "month_of_year"))
    weekdays = sets["day_of_week"]

    def on(day: date) -> bool:
        return day.month in months and day.day in days and day.isoweekday() % 7 in weekdays

    day_text, weekday_text, calendar = both_days(days, weekdays, timezone)
    texts = (field_text(minutes, 0, 59), field_text(hours, 0, 23), day_text, field_text(months, 1, 12), weekday_text)
    trigger: dict[str, Any] = {"cron": " ".join(texts), "timezone": timezone}
    if days != DAYS and weekdays != WEEKDAYS and calendar is not None:
        trigger["calendars"] = [{"calendar": calendar["name"], "mode": "include"}]
        said.append("day of month and day of week must both match there: a calendar sees to the weekdays")
    if keep:
        said.append("what Celery does when clocks change cannot be kept: Tocsin's own rule holds")

    def times(start: Instant, end: Instant) -> list[Instant]:
        return walk(Pattern(minutes, hours, on), timezone, start, end, "first", "first")

    return trigger, calendar, times


def _values(value: object, name: str) -> frozenset[int]:
    """The values of a field of `crontab`: a number, a text, or a list of them. Ranges may go round the end."""
    if isinstance(value, bool | Unknown | Crontab | Seconds):
        raise InvalidRequest(f"{name}: {show(_shown(value))} cannot be read")
    if isinstance(value, Sequence) and not isinstance(value, str):
        return frozenset(number for one in value for number in _values(one, name))
    low, high = _BOUNDS[name]
    found: set[int] = set()
    for item in str(value).split(","):
        match = _ITEM.fullmatch(item.strip())
        if match is None:
            raise InvalidRequest(f"{name}: {show(item)} is no number, name, range, * or step")
        star, first, last, step = match.groups()
        begin = low if star else _index(first, name)
        end = high if star else begin if last is None else _index(last, name)
        if step is not None and not star and last is None:
            raise InvalidRequest(f"{name}: Celery refuses a step after a single value: {show(item)}")
        numbers = [*range(begin, end + 1)] if begin <= end else [*range(begin, high + 1), *range(low, end + 1)]
        found.update(numbers[:: int(step) if step else 1])
    return frozenset(found)


def _index(text: str, name: str) -> int:
    low, high = _BOUNDS[name]
    words = {"day_of_week": _WEEKDAYS, "month_of_year": _MONTHS}.get(name, {})
    value = int(text) if text.isdigit() else words.get(text[:3].lower(), -1)
    if not low <= value <= high:
        raise InvalidRequest(f"{name}: {show(text)} is out of range {low}-{high}")
    return value
