"""What is answered about tasks: definitions as they are shown, tasks in lists and in full."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from actors.model.lifecycle import Phase, State, Status

from ...vocabulary import kinds
from ...vocabulary.policies import BELONGS
from ...vocabulary.words import (
    ACTIONS,
    CALENDAR_UNITS,
    DEPENDENCIES,
    EVENT,
    FOLDS,
    GAPS,
    LABELS,
    MAX_TAG,
    PLACEMENT,
    POLICIES,
)
from .given import kind_schema
from .parts import (
    ANY,
    BOOLEAN,
    DURATION,
    ID,
    INSTANT,
    OBJECT,
    TEXT,
    Schema,
    about,
    by_name,
    choice,
    closed,
    listed,
    nullable,
    one_of,
    ref,
    whole,
)


def shown_kind(kind: kinds.Kind) -> Schema:
    """What a kind of value shows, as JSON."""
    match kind:
        case kinds.Span():
            return DURATION
        case kinds.Moment():
            return INSTANT
        case kinds.ListOf(entries=entries):
            return listed(shown_kind(entries))
        case kinds.Pairs():
            return by_name(TEXT)
        case kinds.Object(fields=fields):
            return shown_object(fields)
        case _:
            return kind_schema(kind)


def shown_object(fields: Iterable[kinds.Field], maybe_null: Iterable[str] = ()) -> Schema:
    """An object as `show_object` writes it: every field is there. maybe_null: keys of fields that null does not stand for."""
    nulls = {*maybe_null}
    shown = {}
    for one in fields:
        schema = shown_kind(one.kind)
        shown[one.key] = about(nullable(schema) if one.nullable or one.key in nulls else schema, one.about)
    return closed(shown)


_LIMITS: Final = [one.key for one in POLICIES if one.attribute in BELONGS]

_GAP_AND_FOLD: Final = {"gap": choice(GAPS), "fold": choice(FOLDS)}

_RULE: Final = closed(
    {"calendar": TEXT, "mode": choice(("exclude", "include")), "shift": choice(("skip", "next", "previous"))},
    {"version": about(whole(1), "of the calendar, where the task keeps to one")},
)

_BOUNDS: Final[dict[str, Schema]] = {
    "start": INSTANT,
    "end": INSTANT,
    "maxRuns": whole(1),
    "spread": DURATION,
    "calendars": listed(_RULE, minItems=1),
}

_DAY: Final[Schema] = {"type": "string", "format": "date"}


def _form(kind: str, required: dict[str, Schema], optional: dict[str, Schema], bounds: dict[str, Schema]) -> Schema:
    return closed({"kind": {"const": kind}, **required}, {**optional, **bounds})


def _calendar_form(key: str, unit: str, bounds: dict[str, Schema]) -> Schema:
    fields = {key: whole(1), "anchor": _DAY, "at": TEXT, "timezone": TEXT, **_GAP_AND_FOLD}
    missing = {"missing": choice(("skip", "last_day"))} if unit in ("month", "year") else {}
    return _form("calendar", fields | missing, {}, bounds)


def _singles(bounds: dict[str, Schema]) -> list[Schema]:
    return [
        _form("interval", {"every": DURATION, "anchor": INSTANT}, {"fixedDelay": {"const": True}}, bounds),
        _form("cron", {"cron": TEXT, "timezone": TEXT, **_GAP_AND_FOLD}, {}, bounds),
        _form("once", {"at": INSTANT}, {}, bounds),
        *(_calendar_form(key, unit, bounds) for key, unit in CALENDAR_UNITS.items()),
    ]


_TRIGGER: Final = one_of(
    [*_singles(_BOUNDS), _form("union", {"any": listed(one_of(_singles({})), minItems=1)}, {}, _BOUNDS)]
)


def _action(kind: str, fields: tuple[kinds.Field, ...]) -> Schema:
    shown = shown_object(fields)
    return closed({"kind": {"const": kind}, **shown["properties"]})


_PLAIN_EVENT: Final = shown_object([one for one in EVENT if one.key != "actions"])["properties"]

_EVENT: Final = closed(
    {**_PLAIN_EVENT, "actions": listed(one_of([_action(kind, fields) for kind, fields in ACTIONS.items()]))}
)

_DEPENDENCIES: Final = nullable(shown_object(DEPENDENCIES))
_PLACEMENT: Final = shown_object(PLACEMENT, ("nodes", "labels", "strategy"))
_TAGS: Final = listed({"type": "string", "maxLength": MAX_TAG})

RELATED: Final = closed(
    {"id": TEXT, "name": nullable(TEXT), "status": nullable(choice(Status)), "lastState": nullable(choice(State))}
)
"""A task that waits for another one or is waited for; one that is gone has an id only."""

_ROW: Final[dict[str, Schema]] = {
    "itemId": about(ID, "the id"),
    "name": TEXT,
    "taskType": TEXT,
    "status": choice(Status),
    "nextScheduledExecution": about(nullable(INSTANT), "null: none is planned"),
    "lastExecutionDate": about(nullable(INSTANT), "when the last execution started"),
    "failureCount": about(whole(), "failures since the last success"),
    "persistent": about(BOOLEAN, "stored, or in a node's memory only"),
    "node": about(nullable(TEXT), "of a task in memory: the node that has it"),
    "runsOn": about(listed(TEXT), "the nodes that run it now"),
    "parameters": about(OBJECT, "what the handler is called with"),
    "maxRetries": whole(),
    "retryDelay": about(whole(), "milliseconds"),
    "phase": choice(Phase),
    "paused": BOOLEAN,
    "note": about(nullable(TEXT), "why it is paused"),
    "changedBy": nullable(TEXT),
    "trigger": ref("ShownTrigger"),
    "policies": ref("Policies"),
    "tags": _TAGS,
    "labels": shown_kind(LABELS),
    "dependencies": _DEPENDENCIES,
    "events": listed(ref("EventTrigger")),
    "placement": ref("Placement"),
    "extra": about(nullable(closed({"contentType": TEXT, "size": whole()})), "bytes for the handler: their size"),
    "runs": about(whole(), "executions that count for its limit"),
    "completed": whole(),
    "failed": whole(),
    "lastState": nullable(choice(State)),
    "lastEnd": nullable(INSTANT),
    "lastExecution": about(nullable(ID), "the id of the last execution"),
    "open": about(listed(ID), "executions that have not ended"),
    "createdAt": INSTANT,
    "owner": TEXT,
    "tenant": TEXT,
    "version": about(whole(), "one more with each change of the row"),
    "revision": about(whole(1), "one more with each change of the definition"),
}

_DETAIL: Final[dict[str, Schema]] = {
    "currentStep": about(nullable(TEXT), "what the handler says that it does"),
    "statusDetails": about(OBJECT, "processedCount, totalCount, eta, and what the handler says"),
    "triggerWords": about(TEXT, "the trigger in words"),
    "lastFailure": nullable(ref("Failure")),
    "waitsFor": ref("WaitsFor"),
    "retryAt": nullable(INSTANT),
    "checkpointData": about(ANY, "what the handler keeps to go on from; null: nothing"),
    "policySources": about(
        closed({one.key: choice(("default", "type", "task")) for one in POLICIES}), "where each policy comes from"
    ),
    "parents": about(listed(RELATED), "tasks that it waits for"),
    "children": about(listed(RELATED), "tasks that wait for it, the first of them"),
}

_DEFINITION: Final = closed(
    {
        "name": TEXT,
        "taskType": TEXT,
        "trigger": ref("ShownTrigger"),
        "parameters": OBJECT,
        "extra": nullable(closed({"data": about(TEXT, "base64"), "contentType": TEXT})),
        "policies": ref("Policies"),
        "tags": _TAGS,
        "labels": shown_kind(LABELS),
        "dependencies": _DEPENDENCIES,
        "events": listed(ref("EventTrigger")),
        "placement": ref("Placement"),
        "persistent": BOOLEAN,
    }
)

TASK_SCHEMAS: Final[dict[str, Schema]] = {
    "ShownTrigger": _TRIGGER,
    "Policies": shown_object(POLICIES, _LIMITS),
    "EventTrigger": _EVENT,
    "Placement": _PLACEMENT,
    "Task": closed(_ROW),
    "TaskDetail": closed({**_ROW, **_DETAIL}),
    "Definition": _DEFINITION,
}
"""By their names in the document."""
