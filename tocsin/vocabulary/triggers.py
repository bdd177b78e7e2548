"""Triggers as JSON and Python give them, and as they are shown.

One key says when: `every`, `everyDays`, `everyWeeks`, `everyMonths`, `everyYears`, `cron`, `at`, `after`, or `any` for a union.
The short form is what a person writes, the full form is what is shown; both are read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from actors.model.calendar import CalendarRule
from actors.model.task import number_of
from actors.model.trigger import UNBOUNDED, Bounds, CalendarInterval, Cron, Interval, Once, Single, Trigger, Union
from actors.when.cron import parse
from actors.when.zones import zone
from runtime.clock import DAY, MILLISECOND, SECOND, Instant, Micros
from runtime.errors import InvalidRequest
from runtime.records import evolve

from ..durations import format_duration
from ..settings.config import suggestion
from .calendar_days import Wanted, first_day
from .fields import parse_instant, show, show_instant
from .kinds import ClockTime, Day, Moment, read_object
from .references import NOTHING, Known
from .words import BOUNDS, CALENDAR_UNITS, EXAMPLE, KINDS, SINGLES, TRIGGERS, UNION

_EXACT: Final = Moment()
_DAY: Final = Day()
_CLOCK: Final = ClockTime()
_EVERY_KEY: Final = tuple(dict.fromkeys(one.key for fields in TRIGGERS.values() for one in fields))
_KEY_OF_UNIT: Final = {unit: key for key, unit in CALENDAR_UNITS.items()}


def trigger_from_json(
    value: object, now: Instant, path: str = "trigger", known: Known = NOTHING
) -> tuple[Trigger, Bounds]:
    """A trigger and its bounds. Raises InvalidRequest that names the field and shows the value.

    now: where relative times begin. known: the calendars that it names.
    """
    key = _form(value, path, tuple(TRIGGERS))
    values = _read(value, key, path)
    given = value if isinstance(value, Mapping) else {}
    timezone = _timezone(values, path)
    bounds = _bounds(values, given, timezone, now, path, known)
    if key == UNION:
        trigger: Trigger = _union(values[UNION], timezone, bounds.start, now, path)
    else:
        trigger = _single(key, values, given, timezone, bounds.start, now, path)
    _check_kind(trigger, values, path)
    check_together(trigger, bounds, path)
    return trigger, UNBOUNDED if bounds == UNBOUNDED else bounds


def _form(value: object, path: str, forms: tuple[str, ...]) -> str:
    """The key that says when."""
    if not isinstance(value, Mapping):
        raise InvalidRequest(f"{path}: an object such as {EXAMPLE}, not {show(value)}")
    given = [key for key in forms if key in value]
    if any(key in CALENDAR_UNITS for key in given):
        # With a calendar interval `at` is the time of day.
        given = [key for key in given if key != "at"]
    if len(given) != 1:
        named = " and ".join(given) or show(dict(value))
        raise InvalidRequest(f"{path}: exactly one of {', '.join(forms)}, not {named}")
    return given[0]


def _read(value: object, key: str, path: str, bounded: bool = True) -> dict[str, Any]:
    """The values of one form; a field of another form is told from an unknown one."""
    fields = TRIGGERS[key] if bounded else tuple(one for one in TRIGGERS[key] if one not in BOUNDS)
    known = {one.key for one in fields}
    assert isinstance(value, Mapping)
    for name, entry in value.items():
        if name in known:
            continue
        if name in _EVERY_KEY:
            raise InvalidRequest(f"{path}.{name}: does not go with {key}: {show(entry)}")
        raise InvalidRequest(f"unknown field {show(f'{path}.{name}')}{suggestion(str(name), list(_EVERY_KEY))}")
    if key == "every":
        _no_calendar_unit(value["every"], f"{path}.every")
    return read_object(value, fields, path)


def _no_calendar_unit(value: object, field: str) -> None:
    """A month has no fixed length; say where calendar intervals are."""
    word = re.fullmatch(r"\s*\d*\s*(day|week|month|year)s?\s*", value) if isinstance(value, str) else None
    if word is not None:
        other = field.removesuffix("every") + f"every{word[1].capitalize()}s"
        raise InvalidRequest(f"{field}: {show(value)} is no duration; by the calendar it is {other}, a whole number")


def _timezone(values: Mapping[str, Any], path: str, default: str | None = None) -> str | None:
    timezone: str | None = values.get("timezone", default)
    if timezone is not None:
        try:
            zone(timezone)
        except InvalidRequest as error:
            raise InvalidRequest(f"{path}.timezone: {error}") from None
    return timezone


def _moment(given: Mapping[str, Any], key: str, timezone: str | None, now: Instant, path: str) -> Instant | None:
    """A time of the JSON as an instant; it has been read already as what it may be."""
    value = given.get(key)
    if value is None:
        return None
    field = f"{path}.{key}"
    read = next(one for one in (*BOUNDS, *SINGLES["every"], *SINGLES["at"]) if one.key == key).read(value, field)
    return parse_instant(value, field, timezone) if isinstance(read, datetime) else Instant(now + read)


def _bounds(
    values: Mapping[str, Any], given: Mapping[str, Any], timezone: str | None, now: Instant, path: str, known: Known
) -> Bounds:
    start = _moment(given, "start", timezone, now, path)
    end = _moment(given, "end", timezone, now, path)
    rules = read_rules(values.get("calendars", ()), known, f"{path}.calendars")
    return Bounds(start, end, values.get("max_runs"), values.get("spread", Micros(0)), rules)


def read_rules(listed: Sequence[dict[str, Any]], known: Known, path: str) -> tuple[CalendarRule, ...]:
    """The rules, as the vocabulary read them, with their calendars. Raises InvalidRequest."""
    rules = tuple(_rule(entry, f"{path}[{index}]", known) for index, entry in enumerate(listed))
    names = [rule.calendar.name for rule in rules]
    if double := [name for name in names if names.count(name) > 1]:
        raise InvalidRequest(f"{path}: each calendar only once, not twice {show(double[0])}")
    return rules


def _rule(values: dict[str, Any], path: str, known: Known) -> CalendarRule:
    if "calendar" not in values:
        raise InvalidRequest(f"{path}.calendar: required")
    version = values.get("version")
    calendar = known.calendar(values["calendar"], version, f"{path}.calendar")
    return CalendarRule(
        calendar, values.get("mode", "exclude"), values.get("shift", "skip"), pinned=version is not None
    )


def _union(
    members: Sequence[Mapping[str, Any]], timezone: str | None, start: Instant | None, now: Instant, path: str
) -> Union:
    return Union(
        tuple(
            single_from_json(member, now, start, f"{path}.{UNION}[{index}]", timezone)
            for index, member in enumerate(members)
        )
    )


def single_from_json(
    value: object, now: Instant, start: Instant | None, path: str, timezone: str | None = None
) -> Single:
    """One trigger without bounds, as in a union.

    start: where the union's bounds begin. timezone: the union's, for a trigger that names none.
    """
    if isinstance(value, Mapping) and UNION in value:
        raise InvalidRequest(f"{path}: a union holds no other union: {show(dict(value))}")
    key = _form(value, path, tuple(SINGLES))
    values = _read(value, key, path, bounded=False)
    assert isinstance(value, Mapping)
    single = _single(key, values, value, _timezone(values, path, timezone), start, now, path)
    _check_kind(single, values, path)
    return single


def _single(
    key: str,
    values: Mapping[str, Any],
    given: Mapping[str, Any],
    timezone: str | None,
    start: Instant | None,
    now: Instant,
    path: str,
) -> Single:
    match key:
        case "every":
            anchor = _moment(given, "anchor", timezone, now, path)
            return Interval(
                values["every"], anchor_of(now, start) if anchor is None else anchor, values.get("fixed_delay", False)
            )
        case "cron":
            return Cron(
                values["cron"], timezone or "UTC", values.get("gap", "shift"), values.get("fold", "first")
            )  # fmt: skip
        case "at":
            at = _moment(given, "at", timezone, now, path)
            assert at is not None
            return Once(at)
        case "after":
            return Once(Instant(now + values["after"]))
        case _:
            return _calendar_interval(key, values, timezone or "UTC", now if start is None else start, start, path)


def _calendar_interval(
    key: str, values: Mapping[str, Any], timezone: str, begin: Instant, start: Instant | None, path: str
) -> CalendarInterval:
    unit = CALENDAR_UNITS[key]
    wall = begin + zone(timezone).offset(begin // SECOND) * SECOND
    at = values.get("at", Micros(0 if start is None else wall % DAY))
    every, missing = values[f"every_{unit}s"], values.get("missing", "skip")
    day = values.get("anchor")
    if day is not None:
        for other in ("day", "weekday", "month"):
            if other in values:
                raise InvalidRequest(f"{path}.{other}: does not go with anchor, which names the day: {values[other]!r}")
    else:
        if "day" in values and unit == "year" and "month" not in values:
            raise InvalidRequest(f"{path}.month: required with day {values['day']!r}")
        if "month" in values and "day" not in values:
            raise InvalidRequest(f"{path}.day: required with month {values['month']!r}")
        if values.get("day") == "last":
            if values.get("missing") == "skip":
                raise InvalidRequest(f"{path}.missing: does not go with day last, which no month lacks: 'skip'")
            missing = "last_day"
        wanted = Wanted(
            every, unit, values.get("day"), values.get("weekday"), values.get("month"), missing == "last_day"
        )
        day = first_day(wanted, wall, at, path)
    return CalendarInterval(
        every, unit, day, at, timezone, missing, values.get("gap", "shift"), values.get("fold", "first")
    )  # fmt: skip


def anchor_of(now: Instant, start: Instant | None) -> Instant:
    """Where an interval's grid begins: at its start, else now. Whole milliseconds read better and lose nothing."""
    return start if start is not None else Instant(now - now % MILLISECOND)


def check_together(trigger: Trigger, bounds: Bounds, path: str = "trigger") -> None:
    """Raise InvalidRequest for a trigger and bounds, each good, that contradict each other or themselves."""
    if bounds.start is not None and bounds.end is not None and bounds.start > bounds.end:
        raise InvalidRequest(
            f"{path}.start: {show_instant(bounds.start)} is after the end {show_instant(bounds.end)}"
        )  # fmt: skip
    if isinstance(trigger, Once) and bounds.max_runs is not None:
        raise InvalidRequest(f"{path}.maxRuns: does not go with a trigger that fires once: {bounds.max_runs}")
    for index, member in enumerate(trigger.triggers if isinstance(trigger, Union) else ()):
        if isinstance(member, Interval) and member.fixed_delay:
            raise InvalidRequest(
                f"{path}.{UNION}[{index}].fixedDelay: does not go with a union, which has no one execution before: True"
            )


def _check_kind(trigger: Trigger, values: Mapping[str, Any], path: str) -> None:
    if values.get("kind") not in (None, kind_of(trigger)):
        raise InvalidRequest(f"{path}.kind: {values['kind']!r} does not go with {_key_of(trigger)}")


def seeded(trigger: Trigger, task_id: str) -> Trigger:
    """The trigger with the seed of `H` where it has one: the CRC-32 of the task's id."""
    match trigger:
        case Cron(expression) if "h" in expression.lower() and _needs_seed(expression):
            return evolve(trigger, seed=number_of(task_id))
        case Union(triggers):
            return Union(tuple(_seeded_single(member, task_id) for member in triggers))
        case _:
            return trigger


def _seeded_single(trigger: Single, task_id: str) -> Single:
    found = seeded(trigger, task_id)
    assert not isinstance(found, Union)
    return found


def _needs_seed(expression: str) -> bool:
    """Whether it is refused without a seed and not with one; `thu` has an h as well."""
    try:
        parse(expression)
    except InvalidRequest:
        return True
    return False


def kind_of(trigger: Trigger) -> str:
    """The trigger's kind as the interfaces name it."""
    match trigger:
        case Interval():
            return KINDS[0]
        case CalendarInterval():
            return KINDS[1]
        case Cron():
            return KINDS[2]
        case Once():
            return KINDS[3]
        case Union():
            return KINDS[4]


def _key_of(trigger: Trigger) -> str:
    match trigger:
        case Interval():
            return "every"
        case CalendarInterval():
            return _KEY_OF_UNIT[trigger.unit]
        case Cron():
            return "cron"
        case Once():
            return "at"
        case Union():
            return UNION


def trigger_json(trigger: Trigger, bounds: Bounds) -> dict[str, Any]:
    """The full form of a trigger."""
    limits = {
        "start": _EXACT.show(bounds.start),
        "end": _EXACT.show(bounds.end),
        "maxRuns": bounds.max_runs,
        "spread": format_duration(bounds.spread) if bounds.spread else None,
        "calendars": [rule_json(rule) for rule in bounds.calendars] or None,
    }
    return _single_json(trigger) | {key: value for key, value in limits.items() if value is not None}


def rule_json(rule: CalendarRule) -> dict[str, Any]:
    """A calendar rule, with the version of the calendar if the task keeps to that one."""
    shown: dict[str, Any] = {"calendar": rule.calendar.name, "mode": rule.mode, "shift": rule.shift}
    return shown | {"version": rule.calendar.version} if rule.pinned else shown


def _single_json(trigger: Trigger) -> dict[str, Any]:
    shown: dict[str, Any] = {"kind": kind_of(trigger)}
    match trigger:
        case Interval():
            shown |= {"every": format_duration(trigger.every), "anchor": _EXACT.show(trigger.anchor)}
            return shown | ({"fixedDelay": True} if trigger.fixed_delay else {})
        case Cron():
            shown |= {"cron": trigger.expression, "timezone": trigger.timezone}
        case CalendarInterval():
            shown |= {_KEY_OF_UNIT[trigger.unit]: trigger.every, "anchor": _DAY.show(trigger.anchor_day)}
            shown |= {"at": _CLOCK.show(trigger.time_of_day), "timezone": trigger.timezone}
            shown |= {"missing": trigger.missing} if trigger.unit in ("month", "year") else {}
        case Once():
            return shown | {"at": _EXACT.show(trigger.at)}
        case Union():
            return shown | {UNION: [_single_json(member) for member in trigger.triggers]}
    return shown | {"gap": trigger.gap, "fold": trigger.fold}
