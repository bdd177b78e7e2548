"""What may be sent: the vocabulary's tables as schemas, and the bodies of the operations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from actors.model.calendar import MAX_ENTRIES
from actors.model.lifecycle import Status
from actors.model.retention import FINAL_STATES
from actors.when.cron import LONGEST_EXPRESSION

from ...operations.channels import IDEMPOTENCY_KEY
from ...operations.table import MAX_PREVIEW
from ...services.canaries import MAX_CANARIES
from ...services.table import SORTS
from ...vocabulary import kinds
from ...vocabulary.checks import MAX_NOTE
from ...vocabulary.words import (
    CALENDAR_RULE,
    CALENDAR_UNITS,
    EVENT,
    FOLDS,
    GAPS,
    MAX_VERSION,
    MAX_ZONE,
    TASK,
    TRIGGERS,
    UNION,
    WEEKDAYS,
)
from .parts import ID, OBJECT, TEXT, Schema, about, choice, closed, listed, nullable, one_of, ref, whole

_NUMBER = r"[0-9]+(\.[0-9]+)?"

SPAN: Final[Schema] = {
    "type": "string",
    "maxLength": 64,
    "pattern": rf"^(({_NUMBER} ?(ms|us|w|d|h|m|s) ?)+|P(?=[0-9T])({_NUMBER}W)?({_NUMBER}D)?"
    rf"(T(?=[0-9])({_NUMBER}H)?({_NUMBER}M)?({_NUMBER}S)?)?)$",
    "examples": ["30s", "5m", "1h30m", "2w", "PT1H30M"],
}
"""A duration as it is read."""

_OFFSET = "(Z|[+-][0-9]{2}:[0-9]{2})"
_LOCAL = r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?"

MOMENT: Final[Schema] = {
    "type": "string",
    "maxLength": kinds.LONGEST_VALUE,
    "pattern": f"^{_LOCAL}{_OFFSET}?)?$",
    "examples": ["2030-03-01T12:00:00Z", "2030-03-31T02:30:00+02:00", "2030-03-01T12:00"],
    "description": "ISO 8601; without an offset it is a local time of the zone",
}

_RELATIVE: Final[Schema] = {
    "type": "string",
    "maxLength": kinds.LONGEST_VALUE,
    "examples": ["2030-03-01T12:00:00Z", "2030-03-01T12:00", "2w"],
    "description": f"{MOMENT['description']}, or a duration from now",
}

_RATE: Final[Schema] = {
    "type": "string",
    "maxLength": kinds.LONGEST_VALUE,
    "pattern": r"^[0-9]{1,7} ?/ ?[0-9]* ?[A-Za-z0-9.]+$",
    "examples": ["10/m", "1/30s"],
}

_CLOCK: Final[Schema] = {
    "type": "string",
    "pattern": r"^[0-9]{1,2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?$",
    "examples": ["09:30"],
}

KINDS_BY_KEY: Final = {
    "every": "interval",
    **dict.fromkeys(CALENDAR_UNITS, "calendar"),
    "cron": "cron",
    "at": "once",
    "after": "once",
    UNION: "union",
}
"""The key that says when -> what kind of trigger it makes."""

_NEEDED: Final[dict[str, tuple[str, ...]]] = {
    "webhook": ("url",),
    "email": ("to",),
    "topic": ("name",),
    "run_task": ("task",),
}
"""The fields that an action cannot do without, by its kind."""

_REQUIRED: Final = {id(EVENT): ("name", "actions"), id(CALENDAR_RULE): ("calendar",)}
"""The fields that an object of these tables cannot do without."""


def kind_schema(kind: kinds.Kind) -> Schema:
    """What a kind of value reads, as JSON."""
    match kind:
        case kinds.Flag():
            return {"type": "boolean"}
        case kinds.Whole(low=low, high=high):
            return whole(low, high)
        case kinds.Real(low=least, high=most):
            return {"type": "number", "minimum": least, "maximum": most}
        case kinds.Text(longest=longest, shortest=shortest):
            return {"type": "string", "minLength": shortest, "maxLength": longest}
        case kinds.Prose(longest=longest):
            return {"type": "string", "maxLength": longest}
        case kinds.Choice(among=among):
            return choice(among)
        case kinds.Base64():
            return {"type": "string", "contentEncoding": "base64"}
        case kinds.JsonObject():
            return OBJECT
        case _:
            return _time_schema(kind)


def _time_schema(kind: kinds.Kind) -> Schema:
    match kind:
        case kinds.Span():
            return SPAN
        case kinds.Rate():
            return _RATE
        case kinds.Moment(relative=relative):
            return _RELATIVE if relative else MOMENT
        case kinds.Day():
            return {"type": "string", "format": "date", "examples": ["2026-03-01"]}
        case kinds.ClockTime():
            return _CLOCK
        case kinds.DayOfMonth():
            return {"anyOf": [whole(1, 31), {"const": kinds.LAST}]}
        case _:
            return _collection_schema(kind)


def _collection_schema(kind: kinds.Kind) -> Schema:
    match kind:
        case kinds.ListOf(entries=entries, most=most, least=least, once=once):
            limits = ({"minItems": least} if least else {}) | ({"uniqueItems": True} if once else {})
            return listed(kind_schema(entries), maxItems=most, **limits)
        case kinds.Pairs(names=names, values=values, most=most):
            return {
                "type": "object",
                "additionalProperties": kind_schema(values),
                "propertyNames": kind_schema(names),
                "maxProperties": most,
            }
        case kinds.Object(fields=fields, short=short):
            full = object_schema(fields, _REQUIRED.get(id(fields), ()))
            if short is None:
                return full
            word = next(kind_schema(one.kind) for one in fields if one.key == short)
            return {"anyOf": [about(word, f"the field {short} alone"), full]}
        case kinds.OneOf(forms=forms, by=by):
            return forms_schema(forms, by)
        case _:
            raise AssertionError(f"no schema for {kind!r}")


def forms_schema(forms: Mapping[str, tuple[kinds.Field, ...]], by: str | None) -> Schema:
    """An object of one of several forms, which its own key tells, or the word in the field `by`."""
    if by is None:
        return one_of([_keyed_form(key, fields) for key, fields in forms.items()])
    return one_of([_named_form(word, fields, by) for word, fields in forms.items()])


def _keyed_form(key: str, fields: tuple[kinds.Field, ...]) -> Schema:
    shown = about(object_schema(fields, (key,)), f"with {key}")
    if "kind" in shown["properties"]:
        kind = KINDS_BY_KEY[key]
        shown["properties"] = shown["properties"] | {"kind": about({"const": kind}, "shown, and checked when given")}
    return shown


def _named_form(word: str, fields: tuple[kinds.Field, ...], by: str) -> Schema:
    shown = object_schema(fields, _NEEDED.get(word, ()))
    required = [by, *shown.get("required", ())]
    return shown | {"properties": {by: {"const": word}, **shown["properties"]}, "required": sorted(required)}


def object_schema(fields: Iterable[kinds.Field], required: tuple[str, ...] = ()) -> Schema:
    """An object of the vocabulary's fields."""
    shown = {one.key: field_schema(one) for one in fields}
    needed = {key: shown[key] for key in required}
    return closed(needed, {key: schema for key, schema in shown.items() if key not in needed})


def field_schema(field: kinds.Field) -> Schema:
    """One field with what it is."""
    schema = kind_schema(field.kind)
    if field.key == "dependencies":
        parents = next(one for one in field.kind.fields if one.key == "parents")  # type: ignore[attr-defined]
        schema = {"anyOf": [kind_schema(parents.kind), schema]}
    elif field.key == "trigger":
        schema = ref("Trigger")
    return about(nullable(schema) if field.nullable else schema, field.about)


def task_schema(required: tuple[str, ...], more: Mapping[str, Schema]) -> Schema:
    """The body of a task, with more fields."""
    found = object_schema(TASK, required)
    return found | {"properties": found["properties"] | more}


def _any_case(word: str) -> str:
    """A pattern for a word in any letter case."""
    return "".join(f"[{letter.lower()}{letter.upper()}]" if letter.isalpha() else letter for letter in word)


NOTE: Final = closed({}, {"note": about(nullable({"type": "string", "maxLength": MAX_NOTE}), "why, for people")})

_DAYS: Final = {
    "anyOf": [
        {"type": "string", "format": "date"},
        closed(
            {"first": {"type": "string", "format": "date"}}, {"last": nullable({"type": "string", "format": "date"})}
        ),
    ]
}

_OF_CALENDAR: Final[dict[str, Schema]] = {
    "name": about(TEXT, "as in the path, or left out"),
    "version": about(whole(0, MAX_VERSION), "ignored: it is counted up"),
    "timezone": about(nullable({"type": "string", "maxLength": MAX_ZONE}), "IANA zone; UTC if not said"),
}

_WINDOWS: Final = listed(closed({"begin": MOMENT, "end": MOMENT}), maxItems=MAX_ENTRIES)

_CALENDAR: Final = one_of(
    [
        closed(
            {},
            {
                **_OF_CALENDAR,
                "days": about(nullable(listed(_DAYS, maxItems=MAX_ENTRIES)), "dates, or first and last day of a run"),
                "windows": about(nullable(_WINDOWS), "spans of time"),
                "weekdays": nullable(listed(choice(WEEKDAYS), maxItems=MAX_ENTRIES)),
            },
        ),
        closed(
            {"ics": about(TEXT, "the text of an ICS file")},
            {
                **_OF_CALENDAR,
                "from": about(nullable(MOMENT), "recurring events from here on; two years ago if not said"),
                "until": about(nullable(MOMENT), "up to here; in ten years if not said"),
            },
        ),
    ]
)

_COUNT: Final = about(nullable(whole(1, MAX_PREVIEW)), "how many; 10 if not said")
_AFTER: Final = about(nullable(MOMENT), "times after this one; now if not said")

PARAMETERS: Final[dict[str, Schema]] = {
    "status": {"type": "string", "pattern": f"^({'|'.join(map(_any_case, Status))})$", "examples": ["running"]},
    "sortBy": {
        "type": "string",
        "pattern": f"^(({'|'.join(SORTS)})(:({_any_case('asc')}|{_any_case('desc')})?)?)?$",
        "examples": ["lastExecutionDate:desc", "itemId"],
    },
    "level": {"type": "string", "enum": ["user", "company", "all"]},
    "wait": SPAN | {"default": "10s"},
    IDEMPOTENCY_KEY: {"type": "string", "minLength": 1, "maxLength": 128},
}
"""What parameters of these names may be, where that is more than a text."""

SHARED: Final[dict[str, Schema]] = {"Trigger": forms_schema(TRIGGERS, None)}
"""Schemas that are used by several bodies, by their names in the document."""

_EDIT: Final = task_schema((), {"version": about(nullable(whole()), "refused if the task has another one by now")})

TASK_BODIES: Final[dict[str, Schema]] = {
    "add_task": task_schema(("taskType", "trigger"), {}),
    "edit_task": _EDIT,
    "run_task": closed(
        {},
        {
            "parameters": about(nullable(OBJECT), "of this run; the task's own if not said"),
            "correlation": about(nullable({"type": "string", "minLength": 1, "maxLength": 128}), "an id for logs"),
            "executionId": about(nullable(ID), "chosen by who asks: asked again, the answer is the same execution"),
        },
    ),
    "pause_task": NOTE,
    "cancel_execution": NOTE,
    "activate_task": closed({}, {"trigger": nullable(ref("Trigger"))}),
    "preview_cron": closed(
        {"expression": {"type": "string", "maxLength": LONGEST_EXPRESSION}},
        {
            "timezone": nullable({"type": "string", "maxLength": MAX_ZONE}),
            "after": _AFTER,
            "count": _COUNT,
            "gap": nullable(choice(GAPS)),
            "fold": nullable(choice(FOLDS)),
        },
    ),
    "preview_trigger": closed(
        {"trigger": ref("Trigger")},
        {"task": about(nullable(TEXT), "whose place in a spread window counts"), "after": _AFTER, "count": _COUNT},
    ),
    "pause_scheduler": NOTE,
    "release_lock": closed(
        {"key": TEXT},
        {"tenant": nullable(TEXT), "execution": about(nullable(TEXT), "the one to take it from; all if not said")},
    ),
    "put_calendar": _CALENDAR,
    "purge": closed(
        {},
        {
            "task": about(nullable(TEXT), "of this task only"),
            "olderThan": about(nullable(SPAN), "what ended so long ago; as the node is configured if not said"),
            "states": {
                "anyOf": [
                    listed({"type": "string"}),
                    {"type": "string"},
                    {"type": "null"},
                ],
                "description": f"some of {', '.join(FINAL_STATES)}, in any letter case; all if not said",
            },
        },
    ),
    "add_canaries": closed(
        {"drill": {"type": "string", "minLength": 1, "maxLength": 40}},
        {
            "every": nullable(SPAN),
            "number": about(nullable(whole(1, MAX_CANARIES)), "one for each partition if not said"),
            "until": about(nullable(MOMENT), "within an hour from now"),
        },
    ),
}
"""Name of an operation -> its body."""
