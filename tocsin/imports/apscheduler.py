"""Jobs of APScheduler 3: what `scheduler.print_jobs()` prints, or a JSON list of what its jobs say of themselves.

A job store holds pickles, and so does what `export_jobs` writes, so neither is read. The JSON list has for each job `name`,
`func`, `trigger` (its text, `str(job.trigger)`), and where there are such `id`, `timezone`, `start_date`, `end_date`,
`jitter`, `misfire_grace_time`, `coalesce`, `max_instances` and `kwargs`. What was printed lacks all of these but the name. All
fields of a cron trigger must match; weekday 0 is Monday there.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, Final

import attrs

from actors.when.zones import zone
from runtime.clock import SECOND, Instant
from runtime.errors import InvalidRequest

from ..plans.yaml_text import read_yaml
from ..vocabulary.fields import parse_instant, show_instant
from .found import (
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
from .walking import Pattern, grid, walk

_PRINTED: Final = re.compile(r"\s+(.*?) \(trigger: (.*?)(?:, (?:next run at: .*|pending|paused))?\)\s*")
_TRIGGER: Final = re.compile(r"(cron|interval|date|or|and)\[(.*)\]", re.DOTALL)
_FIELD: Final = re.compile(r"(\w+)='([^']*)'(?:, )?")
_SPAN: Final = re.compile(r"(?:(\d+) days?, )?(\d+):(\d\d):(\d\d)(?:\.(\d{1,6}))?")
_ITEM: Final = re.compile(r"(?:(\*)|(\w+)(?:-(\w+))?)(?:/(\d+))?")
_NTH: Final = re.compile(r"(1st|2nd|3rd|4th|5th|last)\s+(\w{3})", re.IGNORECASE)

FIELDS: Final = ("year", "month", "day", "week", "day_of_week", "hour", "minute", "second")
"""From the most to the least significant: those after the last one that is given have their lowest value."""

_LOWEST: Final = {"month": "1", "day": "1", "hour": "0", "minute": "0", "second": "0"}
_BOUNDS: Final = {
    "month": (1, 12), "day": (1, 31), "day_of_week": (0, 6), "hour": (0, 23), "minute": (0, 59), "second": (0, 59),
}  # fmt: skip
_WEEKDAYS: Final = dict(zip("mon tue wed thu fri sat sun".split(), range(7), strict=True))
_MONTHS: Final = dict(zip("jan feb mar apr may jun jul aug sep oct nov dec".split(), range(1, 13), strict=True))
_WEEKS: Final = {"1st": 1, "2nd": 2, "3rd": 3, "4th": 4, "5th": 5}

_RULES: Final = Rules(
    "APScheduler runs the first of the times that are left out, as late after the change as it lies in what is left out; "
    "Tocsin runs times that are left out once, at the end of that",
    "APScheduler runs a time that comes twice twice; Tocsin runs it once, the first time (trigger.fold: both does as APScheduler "
    "does)",
)
_USUAL_GRACE: Final = 1


def read_jobs(text: str, file: str, *, timezone: str = "UTC", keep: bool = False) -> Reading:
    """The jobs of a printed list or of a JSON list. timezone: of the scheduler, for triggers that name none.

    keep: run times twice that come twice. Raises InvalidRequest for what is neither.
    """
    zone(timezone)
    jobs: list[Found] = []
    calendars: dict[str, Mapping[str, Any]] = {}
    said: list[str] = []
    for entry, place in _entries(text, file, said):
        job, calendar = _job(entry, place, str(entry.get("timezone") or timezone), keep)
        jobs.append(job)
        if calendar is not None:
            calendars[str(calendar["name"])] = calendar
    return Reading(with_own_names(jobs), tuple(calendars.values()), tuple(said))


def _entries(text: str, file: str, said: list[str]) -> list[tuple[Mapping[str, Any], str]]:
    if text.lstrip()[:1] in ("[", "{"):
        [document] = read_yaml(text, file)
        parts = document.parts.get("jobs", document).parts
        if "__apscheduler_pickle__" in text:
            raise InvalidRequest(f"{file}: holds pickles, which are not read: write the list with str(job.trigger)")
        return [(part.value, f"{file}:{part.line}") for part in parts.values() if isinstance(part.value, dict)]
    found: list[tuple[Mapping[str, Any], str]] = []
    for number, line in enumerate(text.splitlines(), 1):
        if (match := _PRINTED.fullmatch(line)) is not None:
            found.append(({"name": match[1], "trigger": match[2]}, f"{file}:{number}"))
        elif (
            line.strip()
            and not line.startswith("Jobstore")
            and line.strip() not in ("No scheduled jobs", "Pending jobs:")
        ):
            said.append(f"{file}:{number}: is no line that print_jobs prints: {show(line.strip())}")
    return found


def _job(entry: Mapping[str, Any], place: str, timezone: str, keep: bool) -> tuple[Found, Mapping[str, Any] | None]:
    name, text = task_name(str(entry.get("name") or entry.get("id") or "job")), str(entry.get("trigger") or "")
    said: list[str] = []
    try:
        zone(timezone)
        reading = _trigger(text, _Settings(timezone, keep, entry, said))
    except InvalidRequest as error:
        return Found(name, place, text, None, (*said, str(error))), None
    function = entry.get("func") or entry.get("func_ref")
    if not isinstance(function, str):
        function = name
        said.append("the function is not known: the name is taken for the task type")
    if entry.get("args"):
        said.append(f"args {show(entry['args'])}: parameters go by name here; the handler has to be called with names")
    kwargs = entry.get("kwargs")
    body = without_nothing({
        "name": name,
        "taskType": function,
        "trigger": reading.trigger | _bounds(entry, timezone),
        "parameters": dict(kwargs) if isinstance(kwargs, Mapping) else {},
        "policies": _policies(entry, said),
        "paused": True if "next_run_time" in entry and entry["next_run_time"] is None else None,
    })  # fmt: skip
    times = reading.times
    if times is not None:
        times = _bounded(times, body["trigger"])
    found = Found(name, place, text, body, tuple(said), times, (timezone,), _RULES, reading.because)
    return found, reading.calendar


@attrs.frozen
class _Settings:
    """What a trigger is read with; `said` gathers what there is to tell."""

    timezone: str
    keep: bool
    entry: Mapping[str, Any]
    said: list[str]


@attrs.frozen(eq=False)
class _Read:
    """A trigger as JSON, the calendar that it needs, and the times that it has there."""

    trigger: dict[str, Any]
    times: Times | None
    calendar: Mapping[str, Any] | None = None
    because: str | None = None


def _trigger(text: str, settings: _Settings) -> _Read:
    match = _TRIGGER.fullmatch(text.strip())
    if match is None:
        raise InvalidRequest(f"trigger {show(text)}: cron[...], interval[...], date[...] and or[...] are read")
    kind, inner = match.groups()
    match kind:
        case "cron":
            return _cron(inner, settings)
        case "interval":
            return _interval(inner, settings)
        case "date":
            return _date(inner, settings)
        case "or":
            return _either(inner, settings)
        case _:
            raise InvalidRequest("a trigger that combines others with and has no counterpart")


def _date(inner: str, settings: _Settings) -> _Read:
    found = re.fullmatch(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?: (.*))?", inner)
    if found is None:
        raise InvalidRequest(f"date {show(inner)}: no time")
    if found[2] not in (None, "UTC"):
        settings.said.append(f"{found[2]} is taken to be the time of {settings.timezone}")
    at = parse_instant(found[1].replace(" ", "T"), "date", "UTC" if found[2] == "UTC" else settings.timezone)
    return _Read({"at": show_instant(at)}, lambda start, end: [at] if start < at <= end else [])


def _interval(inner: str, settings: _Settings) -> _Read:
    span = _SPAN.fullmatch(inner)
    if span is None:
        raise InvalidRequest(f"interval {show(inner)}: no duration")
    days, hours, minutes, seconds = (int(part or 0) for part in span.groups()[:4])
    micros = int((span[5] or "").ljust(6, "0"))
    every = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    whole = every * SECOND + micros
    trigger: dict[str, Any] = {"every": f"{every}s" if not micros else f"{whole // 1000}ms"}
    begin = settings.entry.get("start_date")
    if not isinstance(begin, str):
        settings.said.append("APScheduler counts from start_date, which was not given: there are no times to compare")
        return _Read(trigger, None)
    anchor = parse_instant(begin, "start_date", settings.timezone)
    return _Read(trigger | {"anchor": show_instant(anchor)}, lambda start, end: grid(whole, anchor, start, end))


def _either(inner: str, settings: _Settings) -> _Read:
    members = [_trigger(text, settings) for text in _split(inner)]
    for member in members:
        if member.calendar is not None:
            raise InvalidRequest("or[...] with a day and a day_of_week that must both match has no counterpart")
    known = [member.times for member in members if member.times is not None]

    def times(start: Instant, end: Instant) -> list[Instant]:
        return sorted({at for one in known for at in one(start, end)})

    trigger = {"any": [member.trigger for member in members]}
    return _Read(trigger, times if len(known) == len(members) else None)


def _split(inner: str) -> list[str]:
    """The members of a list, whose own lists are left whole."""
    depth, parts = 0, [""]
    for character in inner:
        depth += {"[": 1, "]": -1}.get(character, 0)
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]


# ---- cron


def parse_cron(given: Mapping[str, str], timezone: str) -> tuple[Pattern, str, dict[str, Any] | None]:
    """Fields of a cron trigger: the pattern, Tocsin's expression for it, and the calendar that it needs, if any.

    Raises InvalidRequest.
    """
    fields = _filled(given)
    for name in ("year", "week"):
        if fields[name] != "*":
            raise InvalidRequest(f"{name}={show(fields[name])}: has no counterpart; set start and end by hand")
    seconds, minutes, hours, months = (_values(fields[name], name) for name in ("second", "minute", "hour", "month"))
    weekdays = frozenset((value + 1) % 7 for value in _values(fields["day_of_week"], "day_of_week"))
    day_text, weekday_text, on_day, calendar = _days(fields["day"], weekdays, timezone)

    def on(day: date) -> bool:
        return day.month in months and day.isoweekday() % 7 in weekdays and on_day(day)

    texts = [field_text(minutes, 0, 59), field_text(hours, 0, 23), day_text, field_text(months, 1, 12), weekday_text]
    if seconds != {0}:
        texts.insert(0, field_text(seconds, 0, 59))
    return Pattern(minutes, hours, on, seconds=tuple(sorted(seconds))), " ".join(texts), calendar


def _filled(given: Mapping[str, str]) -> dict[str, str]:
    """Every field: those less significant than all that were given have their lowest value, the others a star."""
    last = max((FIELDS.index(name) for name in given), default=-1)
    return {name: given.get(name, _LOWEST.get(name, "*") if index > last else "*") for index, name in enumerate(FIELDS)}


def _days(
    text: str, weekdays: frozenset[int], timezone: str
) -> tuple[str, str, Callable[[date], bool], dict[str, Any] | None]:
    nth = _NTH.fullmatch(text.strip())
    if nth is not None or text.strip() == "last":
        if weekdays != WEEKDAYS:
            raise InvalidRequest(f"day={show(text)} with a day_of_week has no counterpart")
        if nth is None:
            return "L", "*", lambda day: day.day == monthrange(day.year, day.month)[1], None
        return _of_month(nth)
    days = _values(text, "day")
    day_text, weekday_text, calendar = both_days(days, weekdays, timezone)
    return day_text, weekday_text, lambda day: day.day in days, calendar


def _of_month(nth: re.Match[str]) -> tuple[str, str, Callable[[date], bool], None]:
    """The second Monday of a month, or its last."""
    if nth[2].lower() not in _WEEKDAYS:
        raise InvalidRequest(f"day={show(nth.group())}: no weekday")
    weekday, week = _WEEKDAYS[nth[2].lower()], _WEEKS.get(nth[1].lower())

    def on(day: date) -> bool:
        if day.weekday() != weekday:
            return False
        if week is None:
            return day.day + 7 > monthrange(day.year, day.month)[1]
        return (day.day - 1) // 7 + 1 == week

    number = (weekday + 1) % 7
    return "*", f"{number}L" if week is None else f"{number}#{week}", on, None


def _values(text: str, name: str) -> frozenset[int]:
    low, high = _BOUNDS[name]
    words = {"day_of_week": _WEEKDAYS, "month": _MONTHS}.get(name, {})
    found: set[int] = set()
    for item in text.split(","):
        match = _ITEM.fullmatch(item.strip())
        if match is None:
            raise InvalidRequest(f"{name}: {show(item)} is no number, name, range, * or step")
        star, first, last, step = match.groups()
        numbers = [int(one) if one.isdigit() else words.get(one.lower(), -1) for one in (first, last) if one]
        begin = low if star else numbers[0]
        end = high if star or (step and last is None) else numbers[-1]
        if not low <= begin <= end <= high:
            raise InvalidRequest(f"{name}: {show(item)} is out of range {low}-{high}, or runs backwards")
        found.update(range(begin, end + 1, int(step) if step else 1))
    return frozenset(found)


def _cron(inner: str, settings: _Settings) -> _Read:
    given = dict(_FIELD.findall(inner))
    if not given or "".join(match.group() for match in _FIELD.finditer(inner)) != inner or set(given) - set(FIELDS):
        raise InvalidRequest(f"cron[{inner}]: cannot be read")
    pattern, expression, calendar = parse_cron(given, settings.timezone)
    trigger: dict[str, Any] = {"cron": expression, "timezone": settings.timezone}
    if settings.keep:
        trigger["fold"] = "both"
    if calendar is not None:
        trigger["calendars"] = [{"calendar": calendar["name"], "mode": "include"}]
        settings.said.append("day and day_of_week must both match there: a calendar sees to the weekdays")
    timezone = settings.timezone
    return _Read(trigger, lambda start, end: walk(pattern, timezone, start, end, "first", "both"), calendar)


# ---- what belongs to a job


def _bounds(entry: Mapping[str, Any], timezone: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, name in (("start_date", "start"), ("end_date", "end")):
        if isinstance(entry.get(key), str) and not str(entry.get("trigger")).startswith("date"):
            found[name] = show_instant(parse_instant(entry[key], key, timezone))
    jitter = entry.get("jitter")
    if isinstance(jitter, int) and jitter > 0:
        found["spread"] = f"{jitter}s"
    return found


def _bounded(times: Times, trigger: Mapping[str, Any]) -> Times:
    first = parse_instant(trigger["start"], "start") if "start" in trigger else None
    last = parse_instant(trigger["end"], "end") if "end" in trigger else None

    def within(start: Instant, end: Instant) -> list[Instant]:
        return [at for at in times(start, end) if (first is None or first <= at) and (last is None or at <= last)]

    return within


def _policies(entry: Mapping[str, Any], said: list[str]) -> dict[str, Any]:
    grace = entry.get("misfire_grace_time", _USUAL_GRACE)
    policies: dict[str, Any] = {
        "catchUp": "latest" if entry.get("coalesce", True) else "all",
        "retry": {"maxRetries": 0},
    }
    if "misfire_grace_time" not in entry:
        said.append(
            f"misfire_grace_time is not known: taken to be {_USUAL_GRACE} s, the usual; later than that is not run"
        )
    if isinstance(grace, int) and grace > 0:
        policies["latenessLimit"] = f"{grace}s"
    most = entry.get("max_instances", 1)
    if isinstance(most, int) and most > 1:
        policies |= {
            "overlap": "allow",
            "concurrency": {"key": str(entry.get("id") or entry.get("name")), "limit": most},
        }
    else:
        policies["overlap"] = "skip"
    if entry.get("jitter"):
        said.append("jitter: the task has a place of its own, always the same, in a window of that length")
    return policies
