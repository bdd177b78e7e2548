"""Cron expressions in plain English."""

from __future__ import annotations

from typing import Final

from .cron import DAYS, HOURS, MINUTES, MONTHS, SECONDS, WEEKDAYS, CronSpec, Field

_LISTED_TIMES: Final = 6
"""Times of day that an explanation lists one by one; more are told by their fields."""


def explain(spec: CronSpec) -> str:
    """The trigger in plain English, e.g. `at 02:30, on Monday to Friday`."""
    parts = [_explain_time(spec), _explain_days(spec)]
    if spec.fields[4] != "*":
        parts.append("in " + _explain_items(MONTHS, spec.fields[4]))
    return ", ".join(part for part in parts if part)


def _explain_time(spec: CronSpec) -> str:
    second, minute, hour = spec.fields[:3]
    if all(part.isdigit() for part in [second, *minute.split(","), *hour.split(",")]):
        tail = "" if second == "0" else f":{int(second):02}"
        times = sorted({(int(h), int(m)) for h in hour.split(",") for m in minute.split(",")})
        if len(times) <= _LISTED_TIMES:
            return "at " + join([f"{h:02}:{m:02}{tail}" for h, m in times])
    units = [] if second == "0" else [_explain_unit(SECONDS, second)]
    units.append(_explain_unit(MINUTES, minute))
    if hour != "*" or minute != "*":
        units.append(_explain_unit(HOURS, hour))
    words = " of ".join(units)
    return words if words.startswith("every") else "at " + words


def _explain_days(spec: CronSpec) -> str:
    day, weekday = spec.fields[3], spec.fields[5]
    by_day = f"on {_explain_dates(day)} of the month"
    by_weekday = "on " + _explain_items(WEEKDAYS, weekday)
    if day == weekday == "*":
        return "" if spec.wildcard else "every day"
    if day == "*" or weekday == "*":
        return by_weekday if day == "*" else by_day
    both = day.startswith("*") or weekday.startswith("*")
    return f"{by_day} {'and only' if both else 'or'} {by_weekday}"


def _explain_dates(text: str) -> str:
    plain = [item for item in text.split(",") if item[-1] not in "LW"]
    forms = [_explain_item(DAYS, item) for item in text.split(",") if item[-1] in "LW"]
    return join(([_explain_unit(DAYS, ",".join(plain))] if plain else []) + forms)


def _explain_unit(field: Field, text: str) -> str:
    words = _explain_items(field, text)
    return words if words.startswith("every") else f"{field.unit} {words}"


def _explain_items(field: Field, text: str) -> str:
    return join([_explain_item(field, item) for item in text.split(",")])


def _explain_item(field: Field, item: str) -> str:
    if item[-1] in "LW" or "#" in item:
        return _explain_form(item)
    span, _, step = item.partition("/")
    every = f"every {_ordinal(int(step))} {field.unit}" if step and step != "1" else f"every {field.unit}"
    if span == "*":
        return f"{every} of the week" if field is WEEKDAYS else every
    ends = " to ".join(field.names[int(end) - field.low] if field.names else end for end in span.split("-"))
    return f"{every} from {ends}" if step else ends


def _explain_form(item: str) -> str:
    if item == "L":
        return "the last day"
    if item == "LW":
        return "the last day from Monday to Friday"
    if item[-1] == "W":
        return f"the day from Monday to Friday nearest to day {int(item[:-1])}"
    weekday = WEEKDAYS.names[int(item[0])]
    which = "last" if item[-1] == "L" else _ordinal(int(item[2:]))
    return f"the {which} {weekday} of the month"


def _ordinal(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def join(parts: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else parts[0]
