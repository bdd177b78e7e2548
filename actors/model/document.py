"""Definitions and failures as JSON text, the form in which a store keeps them.

A document is sparse: a field that equals its default is left out. Reading is strict: what this version does not know was
not written by it, so an unknown key is damage and not something to skip.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from json.encoder import encode_basestring_ascii as quoted
from typing import Any, Final

import attrs

from runtime.clock import Instant
from runtime.errors import StoreDamaged

from .calendar import Calendar, CalendarRule
from .event import event_document, event_from
from .execution import Failure
from .placement import ANYWHERE, Placement, Where
from .policy import DEFAULT_POLICIES, CatchUp, Concurrency, OnCrash, OnExhausted, Overlap, Policies, Retry
from .task import Definition, Dependencies, Extra
from .trigger import UNBOUNDED, Bounds, CalendarInterval, Cron, Interval, Once, Single, Trigger, Union

Resolve = Callable[[str, str, int], Calendar]
"""Finds a calendar by tenant, name and version; raises StoreDamaged if there is none."""

_DEFAULT_RETRY: Final = Retry()
_ALONE: Final = Dependencies(())
_SHOWN: Final = 200
"""Characters of a damaged document that an error shows: enough to recognise it, short enough for a log line."""


def encode_definition(definition: Definition) -> str:
    """The document of a definition, without `extra`: bytes are kept beside it."""
    parts = [
        f'{{"id":{quoted(definition.id)},"name":{quoted(definition.name)},"type":{quoted(definition.type)}'
        f',"trigger":{_encode_trigger(definition.trigger)},"created_at":{definition.created_at}'
    ]
    if definition.bounds is not UNBOUNDED and definition.bounds != UNBOUNDED:
        parts.append(f',"bounds":{_encode_bounds(definition.bounds)}')
    if definition.parameters != "{}":
        parts.append(f',"parameters":{quoted(definition.parameters)}')
    if definition.policies is not DEFAULT_POLICIES and definition.policies != DEFAULT_POLICIES:
        parts.append(f',"policies":{_encode_policies(definition.policies)}')
    if definition.tags:
        parts.append(f',"tags":{json.dumps(definition.tags)}')
    if not definition.persistent:
        parts.append(',"persistent":false')
    if definition.tenant:
        parts.append(f',"tenant":{quoted(definition.tenant)}')
    if definition.owner:
        parts.append(f',"owner":{quoted(definition.owner)}')
    if definition.labels:
        parts.append(f',"labels":{json.dumps(definition.labels)}')
    if definition.dependencies is not None:
        parts.append(f',"dependencies":{_sparse(definition.dependencies, _ALONE)}')
    if definition.events:
        parts.append(f',"events":{json.dumps([event_document(event) for event in definition.events])}')
    if definition.placement is not ANYWHERE and definition.placement != ANYWHERE:
        parts.append(f',"placement":{_sparse(definition.placement, ANYWHERE)}')
    parts.append("}")
    return "".join(parts)


def _encode_trigger(trigger: Trigger) -> str:
    match trigger:
        case Interval(every, anchor, fixed_delay):
            tail = ',"fixed_delay":true' if fixed_delay else ""
            return f'{{"every":{every},"anchor":{anchor}{tail}}}'
        case Cron(expression, timezone, gap, fold, seed):
            tail = "" if seed is None else f',"seed":{seed}'
            return f'{{"cron":{quoted(expression)},"timezone":{quoted(timezone)},"gap":"{gap}","fold":"{fold}"{tail}}}'
        case Once(at):
            return f'{{"at":{at}}}'
        case CalendarInterval():
            return json.dumps(attrs.asdict(trigger))
        case Union(triggers):
            return f'{{"union":[{",".join(map(_encode_trigger, triggers))}]}}'


def _encode_bounds(bounds: Bounds) -> str:
    """The bounds, with calendars as references: what a calendar holds is kept once, under its name and version."""
    changed = _changed(bounds, UNBOUNDED)
    if bounds.calendars:
        changed["calendars"] = [_reference(rule) for rule in bounds.calendars]
    return json.dumps(changed)


def _reference(rule: CalendarRule) -> dict[str, Any]:
    named = {name: getattr(rule.calendar, name) for name in ("tenant", "name", "version")}
    shown = {**named, "mode": rule.mode, "shift": rule.shift}
    return {**shown, "pinned": True} if rule.pinned else shown


def _sparse(record: Any, default: Any) -> str:
    """An attrs record without nested ones, as JSON without the fields in which it equals `default`."""
    return json.dumps(_changed(record, default))


def _changed(record: Any, default: Any) -> dict[str, Any]:
    pairs = ((field.name, getattr(record, field.name)) for field in attrs.fields(type(record)))
    return {name: value for name, value in pairs if value != getattr(default, name)}


def _encode_policies(policies: Policies) -> str:
    changed = _changed(policies, DEFAULT_POLICIES)
    if "retry" in changed:
        changed["retry"] = _changed(policies.retry, _DEFAULT_RETRY)
    if policies.concurrency is not None:
        changed["concurrency"] = attrs.asdict(policies.concurrency)
    return json.dumps(changed)


def _no_calendars(tenant: str, name: str, version: int) -> Calendar:
    raise StoreDamaged(f"there is no version {version} of a calendar {name!r} of tenant {tenant!r}")


def decode_definition(text: str, extra: Extra | None, resolve: Resolve = _no_calendars) -> Definition:
    """The definition of a document, with the bytes that were kept beside it and the calendars that `resolve` finds.

    Raises StoreDamaged.
    """
    try:
        return _definition(json.loads(text), extra, resolve)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise StoreDamaged(f"not a task definition of this version ({error!r}): {text[:_SHOWN]}") from error


def _definition(document: dict[str, Any], extra: Extra | None, resolve: Resolve) -> Definition:
    # In nearly every document only these five are given; all that is left over is a default that was changed.
    identity = document.pop("id"), document.pop("name"), document.pop("type"), _trigger(document.pop("trigger"))
    created_at = Instant(document.pop("created_at"))
    if document:
        return Definition(*identity, extra=extra, created_at=created_at, **_rest(document, resolve))
    return Definition(*identity, extra=extra, created_at=created_at)


def _rest(document: dict[str, Any], resolve: Resolve) -> dict[str, Any]:
    if "bounds" in document:
        document["bounds"] = _bounds(document["bounds"], resolve)
    if "policies" in document:
        document["policies"] = _policies(document["policies"])
    if "tags" in document:
        document["tags"] = tuple(document["tags"])
    if "labels" in document:
        document["labels"] = tuple((key, value) for key, value in document["labels"])
    if "dependencies" in document:
        parents = tuple(document["dependencies"].pop("parents", ()))
        document["dependencies"] = Dependencies(parents, **document["dependencies"])
    if "placement" in document:
        document["placement"] = _placement(document["placement"])
    if "events" in document:
        document["events"] = tuple(map(event_from, document["events"]))
    return document


def _bounds(document: dict[str, Any], resolve: Resolve) -> Bounds:
    if "calendars" in document:
        document["calendars"] = tuple(_rule(rule, resolve) for rule in document["calendars"])
    return Bounds(**document)


def _rule(document: dict[str, Any], resolve: Resolve) -> CalendarRule:
    calendar = resolve(document.pop("tenant"), document.pop("name"), document.pop("version"))
    return CalendarRule(calendar, **document)


def _placement(document: dict[str, Any]) -> Placement:
    where = Where(document.pop("where", ANYWHERE.where))
    nodes = tuple(document.pop("nodes", ()))
    labels = tuple((key, value) for key, value in document.pop("labels", ()))
    return Placement(where, nodes, labels, **document)


def _trigger(document: dict[str, Any]) -> Trigger:
    if "union" in document:
        return Union(tuple(map(_single, document.pop("union"))), **document)
    return _single(document)


def _single(document: dict[str, Any]) -> Single:
    if "unit" in document:
        return CalendarInterval(**document)
    if "every" in document:
        return Interval(**document)
    if "cron" in document:
        return Cron(document.pop("cron"), **document)
    return Once(**document)


_WORDS: Final = {"overlap": Overlap, "catch_up": CatchUp, "on_crash": OnCrash, "on_exhausted": OnExhausted}


def _policies(document: dict[str, Any]) -> Policies:
    for name, kind in _WORDS.items():
        if name in document:
            document[name] = kind(document[name])
    if "retry" in document:
        document["retry"] = _retry(document["retry"])
    if "concurrency" in document:
        document["concurrency"] = Concurrency(**document["concurrency"])
    return Policies(**document)


def _retry(document: dict[str, Any]) -> Retry:
    for name in ("retry_on", "give_up_on"):
        if name in document:
            document[name] = tuple(document[name])
    return Retry(**document)


def encode_failure(failure: Failure | None) -> str | None:
    """A failure as a JSON array of type, message and traceback."""
    return None if failure is None else json.dumps((failure.type, failure.message, failure.traceback))


def decode_failure(text: str | None) -> Failure | None:
    """The failure of such an array. Raises StoreDamaged."""
    if text is None:
        return None
    try:
        return Failure(*json.loads(text))
    except (ValueError, TypeError) as error:
        raise StoreDamaged(f"not a failure of this version ({error!r}): {text[:_SHOWN]}") from error


def encode_calendar(calendar: Calendar) -> str:
    """What a calendar holds; its tenant, name and version are kept beside it."""
    content = {"timezone": calendar.timezone, "days": calendar.days, "windows": calendar.windows}
    deleted = {"deleted": True} if calendar.deleted else {}
    return json.dumps({**content, "weekdays": calendar.weekdays, **deleted})


def decode_calendar(tenant: str, name: str, version: int, text: str) -> Calendar:
    """The calendar of such a document. Raises StoreDamaged."""
    try:
        document = json.loads(text)
        days, windows = (tuple((first, last) for first, last in document.pop(part)) for part in ("days", "windows"))
        weekdays = tuple(document.pop("weekdays"))
        return Calendar(tenant, name, version, days=days, windows=windows, weekdays=weekdays, **document)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise StoreDamaged(f"not a calendar of this version ({error!r}): {text[:_SHOWN]}") from error
