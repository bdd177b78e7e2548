"""Definitions as JSON and back.

The field names are those of the REST contract. A trigger is given in its short form, `{"every": "5m"}`, `{"cron": "30 2 * * *",
"timezone": "Europe/Berlin"}`, `{"at": "2026-03-01T12:00:00Z"}` or `{"after": "2h"}`, and shown in its full form, which is
accepted too: what `definition_json` writes, `definition_from_json` reads back as the same definition.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any, Final

import attrs

from actors.handling.catalogue import Catalogue
from actors.model.policy import DEFAULT_POLICIES, CatchUp, OnCrash, Overlap, Policies, Retry
from actors.model.task import Definition, Extra
from actors.model.trigger import UNBOUNDED, Bounds, CalendarInterval, Cron, Interval, Once, Trigger, Union
from runtime.clock import MILLISECOND, Instant, isoformat
from runtime.errors import InvalidRequest

from .checks import (
    LOWEST_PRIORITY,
    MAX_CATCH_UP,
    MAX_RETRIES,
    check_extra,
    check_name,
    check_policies,
    check_tags,
    check_when,
    known_type,
    parameters_text,
)
from .durations import format_duration
from .fields import Fields, show

MAX_RUNS: Final = 1_000_000_000
"""A limit beyond any task's life, so that a number of another kind is noticed."""


def make_definition(
    catalogue: Catalogue,
    now: Instant,
    *,
    task_id: str,
    name: str,
    type_name: str,
    trigger: Trigger,
    bounds: Bounds = UNBOUNDED,
    parameters: dict[str, Any] | None = None,
    extra: Extra | None = None,
    policies: Policies | None = None,
    tags: tuple[str, ...] = (),
    persistent: bool = True,
    owner: str = "",
) -> Definition:
    """A checked definition. Raises InvalidRequest naming field and value.

    policies: checked already by whoever made them; None: the task type's own.
    """
    check_name(name)
    task_type = known_type(catalogue, type_name)
    given = parameters or {}
    text = parameters_text(given)
    task_type.check_parameters(given)
    if policies is None:
        policies = task_type.policies or DEFAULT_POLICIES
    check_extra(extra)
    if tags:
        check_tags(tags)
    check_when(trigger, bounds, now)
    return Definition(
        task_id, name, type_name, trigger, bounds, text, extra, policies, tags, persistent, "", owner, now
    )


def definition_from_json(
    body: object, catalogue: Catalogue, now: Instant, *, task_id: str, owner: str, base: Definition | None = None
) -> Definition:
    """The definition that a request's body describes.

    base: the definition that is edited; a field that the body lacks keeps its value, and neither id nor `persistent` may change.
    Raises InvalidRequest or TooLarge, naming the field and showing the value.
    """
    fields = Fields(body)
    type_name = fields.text("taskType") or (base.type if base else None)
    if type_name is None:
        raise InvalidRequest("taskType: required")
    type_policies = known_type(catalogue, type_name).policies or DEFAULT_POLICIES
    name = fields.text("name")
    trigger, bounds = _trigger_field(fields, now, base)
    persistent = fields.flag("persistent")
    if base is not None and persistent not in (None, base.persistent):
        raise InvalidRequest(f"persistent: cannot be changed to {show(persistent)}; make a new task")
    definition = make_definition(
        catalogue,
        base.created_at if base else now,
        task_id=task_id,
        name=name if name is not None else (base.name if base else f"{type_name} {task_id[-12:]}"),
        type_name=type_name,
        trigger=trigger,
        bounds=bounds,
        parameters=_parameters_field(fields, base),
        extra=_extra_field(fields, base),
        policies=_policies_field(fields, base.policies if base else type_policies),
        tags=_or(fields.texts("tags"), base.tags if base else ()),
        persistent=base.persistent if base else persistent is not False,
        owner=base.owner if base else owner,
    )
    fields.finish()
    return definition


def _or(value: Any, default: Any) -> Any:
    return default if value is None else value


def _trigger_field(fields: Fields, now: Instant, base: Definition | None) -> tuple[Trigger, Bounds]:
    value = fields.take("trigger")
    if value is not None:
        return trigger_from_json(value, now)
    if base is None:
        raise InvalidRequest('trigger: required, for example {"every": "5m"}')
    return base.trigger, base.bounds


def _parameters_field(fields: Fields, base: Definition | None) -> dict[str, Any]:
    value = fields.take("parameters")
    if value is None:
        found: dict[str, Any] = json.loads(base.parameters) if base else {}
        return found
    if not isinstance(value, dict):
        raise InvalidRequest(f"parameters: an object, not {show(value)}")
    return value


def _extra_field(fields: Fields, base: Definition | None) -> Extra | None:
    if not fields.has("extra"):
        return base.extra if base else None
    inner = fields.inner("extra")
    if inner is None:
        return None
    text, content_type = inner.text("data"), inner.text("contentType")
    inner.finish()
    try:
        data = base64.b64decode(text or "", validate=True)
    except (binascii.Error, ValueError):
        raise InvalidRequest(f"extra.data: base64, not {show(text)}") from None
    return Extra(data, "application/octet-stream" if content_type is None else content_type)


def trigger_from_json(value: object, now: Instant, path: str = "trigger") -> tuple[Trigger, Bounds]:
    """A trigger and its bounds. Exactly one of `every`, `cron`, `at` and `after` says when."""
    fields = Fields(value, f"{path}.")
    given = [key for key in ("every", "cron", "at", "after") if fields.has(key)]
    if len(given) != 1:
        raise InvalidRequest(f"{path}: exactly one of every, cron, at, after, not {' and '.join(given) or show(value)}")
    kind = fields.text("kind")
    timezone = fields.text("timezone")
    start, end = fields.instant("start", timezone), fields.instant("end", timezone)
    bounds = Bounds(start, end, fields.whole("maxRuns", 1, MAX_RUNS))
    trigger = _when(fields, given[0], timezone, start, now)
    if kind not in (None, kind_of(trigger)):
        raise InvalidRequest(f"{path}.kind: {show(kind)} does not go with {given[0]}")
    fields.finish()
    return trigger, UNBOUNDED if bounds == UNBOUNDED else bounds


def _when(fields: Fields, key: str, timezone: str | None, start: Instant | None, now: Instant) -> Trigger:
    match key:
        case "every":
            every = fields.duration("every")
            anchor = fields.instant("anchor", timezone)
            if every is None:
                raise InvalidRequest(f"{fields.name(key)}: a duration with units such as '5m', not None")
            return Interval(
                every, anchor_of(now, start) if anchor is None else anchor, fields.flag("fixedDelay") is True
            )
        case "cron":
            expression = fields.text("cron")
            gap, fold = fields.choice("gap", ("shift", "skip")), fields.choice("fold", ("first", "last", "both"))
            if expression is None:
                raise InvalidRequest(f"{fields.name(key)}: an expression such as '30 2 * * *', not None")
            return Cron(expression, timezone or "UTC", gap or "shift", fold or "first")  # type: ignore[arg-type]
        case "at":
            at = fields.instant("at", timezone)
        case _:
            delay = fields.duration("after")
            at = None if delay is None else Instant(now + delay)
    if at is None:
        raise InvalidRequest(f"{fields.name(key)}: a time, not None")
    return Once(at)


def anchor_of(now: Instant, start: Instant | None) -> Instant:
    """Where an interval's grid begins: at its start, else now. Whole milliseconds read better and lose nothing."""
    return start if start is not None else Instant(now - now % MILLISECOND)


def kind_of(trigger: Trigger) -> str:
    """The trigger's kind as the interfaces name it."""
    match trigger:
        case Interval():
            return "interval"
        case Cron():
            return "cron"
        case Once():
            return "once"
        case CalendarInterval():
            return "calendar"
        case Union():
            return "union"


def trigger_json(trigger: Trigger, bounds: Bounds) -> dict[str, Any]:
    """The full form of a trigger."""
    shown: dict[str, Any] = {"kind": kind_of(trigger)}
    match trigger:
        case Interval():
            shown |= {"every": format_duration(trigger.every), "anchor": _exact(trigger.anchor)}
            shown |= {"fixedDelay": True} if trigger.fixed_delay else {}
        case Cron():
            shown |= {
                "cron": trigger.expression,
                "timezone": trigger.timezone,
                "gap": trigger.gap,
                "fold": trigger.fold,
            }
        case Once():
            shown |= {"at": _exact(trigger.at)}
    limits = {"start": _exact(bounds.start), "end": _exact(bounds.end), "maxRuns": bounds.max_runs}
    return shown | {key: value for key, value in limits.items() if value is not None}


def _exact(instant: Instant | None) -> str | None:
    return None if instant is None else isoformat(instant)


def _policies_field(fields: Fields, base: Policies) -> Policies:
    inner = fields.inner("policies")
    if inner is None:
        return base
    values: dict[str, Any] = {
        "retry": _retry_field(inner, base.retry),
        "overlap": inner.choice("overlap", Overlap),
        "catch_up": inner.choice("catchUp", CatchUp),
        "catch_up_limit": inner.whole("catchUpLimit", 1, MAX_CATCH_UP),
        "on_crash": inner.choice("onCrash", OnCrash),
        "priority": inner.whole("priority", 0, LOWEST_PRIORITY),
    }
    changes = {key: value for key, value in values.items() if value is not None}
    for key, attribute in _LIMITS.items():
        if inner.has(key):
            # null takes a limit away; that is why an absent one is something else.
            changes[attribute] = inner.duration(key)
        else:
            inner.take(key)
    inner.finish()
    policies = attrs.evolve(base, **changes)
    check_policies(policies)
    return policies


_LIMITS: Final = {"latenessLimit": "lateness_limit", "timeout": "timeout", "heartbeatTimeout": "heartbeat_timeout"}


def _retry_field(fields: Fields, base: Retry) -> Retry:
    inner = fields.inner("retry")
    if inner is None:
        return base
    values: dict[str, Any] = {
        "max_retries": inner.whole("maxRetries", 0, MAX_RETRIES),
        "delay": inner.duration("delay"),
        "backoff": inner.choice("backoff", ("fixed", "exponential")),
        "factor": inner.number("factor", 1, 100),
        "cap": inner.duration("cap"),
        "jitter": inner.number("jitter", 0, 1),
        "retry_on": inner.texts("retryOn"),
        "give_up_on": inner.texts("giveUpOn"),
    }
    inner.finish()
    return attrs.evolve(base, **{key: value for key, value in values.items() if value is not None})


def policies_json(policies: Policies) -> dict[str, Any]:
    """Every policy with its value."""
    retry = policies.retry
    shown: dict[str, Any] = {
        "retry": {
            "maxRetries": retry.max_retries,
            "delay": format_duration(retry.delay),
            "backoff": retry.backoff,
            "factor": retry.factor,
            "cap": format_duration(retry.cap),
            "jitter": retry.jitter,
            "retryOn": list(retry.retry_on),
            "giveUpOn": list(retry.give_up_on),
        },
        "overlap": policies.overlap.value,
        "catchUp": policies.catch_up.value,
        "catchUpLimit": policies.catch_up_limit,
        "onCrash": policies.on_crash.value,
        "priority": policies.priority,
    }
    for key, attribute in _LIMITS.items():
        amount = getattr(policies, attribute)
        shown[key] = None if amount is None else format_duration(amount)
    return shown


def definition_json(definition: Definition) -> dict[str, Any]:
    """What a person wrote, in full."""
    extra = definition.extra
    return {
        "name": definition.name,
        "taskType": definition.type,
        "trigger": trigger_json(definition.trigger, definition.bounds),
        "parameters": json.loads(definition.parameters),
        "extra": extra and {"data": base64.b64encode(extra.data).decode(), "contentType": extra.content_type},
        "policies": policies_json(definition.policies),
        "tags": list(definition.tags),
        "persistent": definition.persistent,
    }
