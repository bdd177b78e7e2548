"""Definitions as JSON and back.

The field names are those of the REST contract, and the tables of `tocsin/vocabulary/words.py` say which there are. What
`definition_json` writes, `definition_from_json` reads back as the same definition.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any, Final

import attrs

from actors.handling.catalogue import Catalogue, TaskType
from actors.model.event import EventTrigger
from actors.model.placement import ANYWHERE, Placement
from actors.model.policy import DEFAULT_POLICIES, Policies
from actors.model.task import Definition, Dependencies, Extra, Task
from actors.model.trigger import UNBOUNDED, Bounds, Trigger
from runtime.clock import Instant
from runtime.errors import InvalidRequest

from ..settings.config import suggestion
from .checks import check_extra, check_name, check_tags, check_when, known_type, parameters_text
from .event_triggers import event_json, read_events
from .fields import proper_text, show
from .kinds import read_object
from .placements import check_placement, placement_json, read_placement
from .policies import policies_json, read_policies
from .references import NOTHING, Known
from .triggers import seeded, trigger_from_json, trigger_json
from .words import DEPENDENCIES, EXTRA, LABELS, TASK

_FIELDS: Final = {one.key: one for one in TASK}


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
    tenant: str = "",
    labels: tuple[tuple[str, str], ...] = (),
    dependencies: Dependencies | None = None,
    events: tuple[EventTrigger, ...] = (),
    placement: Placement | None = None,
) -> Definition:
    """A checked definition. Raises InvalidRequest naming field and value.

    policies, placement: None: the task type's own. Policies, labels, dependencies and events were checked by who read them.
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
    trigger = seeded(trigger, task_id)
    check_when(trigger, bounds, now)
    if placement is None:
        placement = _usual_placement(task_type, persistent)
    definition = Definition(
        task_id, name, type_name, trigger, bounds, text, extra, policies, tags, persistent, tenant, owner, now, labels,
        dependencies, events, placement,
    )  # fmt: skip
    check_placement(definition, catalogue)
    return definition


def _usual_placement(task_type: TaskType, persistent: bool) -> Placement:
    """Where a task runs that does not say it. One in memory stays with its node, whatever its type says."""
    return task_type.placement if persistent else ANYWHERE


def definition_from_json(
    body: object,
    catalogue: Catalogue,
    now: Instant,
    *,
    task_id: str,
    owner: str,
    tenant: str = "",
    base: Definition | None = None,
    known: Known = NOTHING,
) -> Definition:
    """The definition that a request's body describes.

    base: the definition that is edited; a field that the body lacks keeps its value, and neither id nor `persistent` may change.
    known: what the body names, as `references_in` found it.
    Raises InvalidRequest or TooLarge, naming the field and showing the value.
    """
    given = _fields_of(body)
    type_name = given.get("taskType", base.type if base else None)
    if type_name is None:
        raise InvalidRequest("taskType: required")
    task_type = known_type(catalogue, proper_text(type_name, "taskType"))
    trigger, bounds = _when(given, base, now, known)
    if base is None:
        policies = task_type.policies or DEFAULT_POLICIES
        name = f"{type_name} {task_id[-12:]}"
        placement = _usual_placement(task_type, given.get("persistent", True))
        base = Definition(
            task_id, name, type_name, trigger, policies=policies, tenant=tenant, owner=owner, created_at=now,
            placement=placement,
        )  # fmt: skip
    elif given.get("persistent", base.persistent) not in (base.persistent, None):
        raise InvalidRequest(f"persistent: cannot be changed to {show(given['persistent'])}; make a new task")
    changes = {_FIELDS[key].attribute: _read(key, value, base, known) for key, value in given.items()}
    found = attrs.evolve(base, **changes | {"type": type_name, "trigger": seeded(trigger, task_id), "bounds": bounds})
    check_dependencies(found, known)
    check_placement(found, catalogue, chosen="placement" in given)
    task_type.check_parameters(json.loads(found.parameters))
    if "trigger" in given:
        check_when(found.trigger, found.bounds, now)
    return found


def _fields_of(body: object) -> Mapping[str, Any]:
    """The body, if it is an object with nothing unknown in it."""
    if not isinstance(body, Mapping):
        raise InvalidRequest(f"body: an object, not {show(body)}")
    for key in body:
        if key not in _FIELDS:
            raise InvalidRequest(f"unknown field {show(key)}{suggestion(str(key), list(_FIELDS))}")
    return body


def _when(given: Mapping[str, Any], base: Definition | None, now: Instant, known: Known) -> tuple[Trigger, Bounds]:
    if given.get("trigger") is not None:
        return trigger_from_json(given["trigger"], now, known=known)
    if base is None or "trigger" in given:
        raise InvalidRequest('trigger: required, for example {"every": "5m"}')
    return base.trigger, base.bounds


def _read(key: str, value: object, base: Definition, known: Known) -> Any:
    """One field of the body."""
    match key:
        case "name":
            return check_name(proper_text(value, key))
        case "parameters":
            return parameters_text(value)
        case "extra":
            return _extra(value)
        case "policies":
            return read_policies(value, base.policies)
        case "dependencies":
            return read_dependencies(value, base.dependencies, known)
        case "events":
            return read_events(value)
        case "placement":
            return read_placement(value, base.placement)
        case "trigger":
            return base.trigger
        case _:
            return _FIELDS[key].read(value, key)


def _extra(value: object) -> Extra | None:
    if value is None:
        return None
    values = read_object(value, EXTRA, "extra")
    extra = Extra(values.get("data", b""), values.get("content_type", "application/octet-stream"))
    check_extra(extra)
    return extra


def read_dependencies(value: object, base: Dependencies | None, known: Known) -> Dependencies | None:
    """What a task waits for: an object, a list of its parents, or null for nothing. Raises InvalidRequest."""
    if value is None:
        return None
    if isinstance(value, list | tuple):
        value = {"parents": value}
    values = read_object(value, DEPENDENCIES, "dependencies")
    if "parents" in values:
        values["parents"] = tuple(
            known.task(reference, "dependencies.parents").id for reference in values["parents"]
        )  # fmt: skip
        if len(set(values["parents"])) < len(values["parents"]):
            raise InvalidRequest(f"dependencies.parents: each task only once, not {show(value)}")
    elif base is None:
        raise InvalidRequest("dependencies.parents: required")
    return attrs.evolve(base or Dependencies(()), **values)


def check_dependencies(definition: Definition, known: Known) -> None:
    """Of the tasks that were named: none is the task itself, and one that is stored waits for none that lives in memory."""
    if definition.dependencies is None:
        return
    for parent in definition.dependencies.parents:
        if parent == definition.id:
            raise InvalidRequest(f"dependencies.parents: a task cannot wait for itself: {show(definition.name)}")
    for parent_task in known.tasks.values():
        if parent_task.id in definition.dependencies.parents and not _may_wait(definition, parent_task):
            raise InvalidRequest(
                "dependencies.parents: a stored task cannot wait for one that lives in memory: "
                f"{show(parent_task.definition.name)}"
            )


def _may_wait(definition: Definition, parent: Task) -> bool:
    return parent.definition.persistent or not definition.persistent


def dependencies_json(dependencies: Dependencies | None) -> dict[str, Any] | None:
    """What a task waits for, by id."""
    if dependencies is None:
        return None
    return {"parents": list(dependencies.parents), "mode": dependencies.mode, "failFast": dependencies.fail_fast}


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
        "labels": LABELS.show(definition.labels),
        "dependencies": dependencies_json(definition.dependencies),
        "events": [event_json(event) for event in definition.events],
        "placement": placement_json(definition.placement),
        "persistent": definition.persistent,
    }
