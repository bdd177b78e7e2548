"""Definitions as a file: every task that has times to come, and every calendar, as applying reads them back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal

from actors.lanes import COMPUTED
from actors.model.calendar import Calendar
from actors.model.invocation import is_for_invocations
from actors.model.lifecycle import Phase
from actors.model.system import is_system
from actors.model.task import Task

from ..vocabulary.calendar_json import calendar_json
from ..vocabulary.definitions import definition_json
from .documents import FORM
from .planning import all_tasks
from .yaml_text import write_yaml

if TYPE_CHECKING:
    from actors.node import Node

Format = Literal["yaml", "json"]
FORMATS: Final[tuple[Format, ...]] = ("yaml", "json")

_EMPTY: Final[dict[str, object]] = {
    "parameters": {},
    "extra": None,
    "tags": [],
    "labels": {},
    "dependencies": None,
    "events": [],
    "persistent": True,
}
"""What a field is that a file leaves out. What a task type may have its own of (policies, placement) is always written."""


async def export_text(node: Node, form: Format) -> dict[str, Any]:
    """All definitions of the caller's tenant as text, and the tasks that are left out because they have ended."""
    tasks = [task async for task in all_tasks(node) if not _is_made_anew(task)]
    calendars = await node.calendars.all(node.scope.home)
    # Thousands of tasks take seconds to write.
    return await node.world.blocking(partial(_export, tasks, calendars, form), lane=COMPUTED)


def _export(tasks: Sequence[Task], calendars: Sequence[Calendar], form: Format) -> dict[str, Any]:
    kept = sorted((task for task in tasks if _has_future(task)), key=lambda task: task.definition.name)
    names = {task.id: task.definition.name for task in kept}
    document: dict[str, Any] = {
        "tocsin": FORM,
        "calendars": [
            _without_version(calendar_json(calendar)) for calendar in sorted(calendars, key=lambda one: one.name)
        ],
        "tasks": [task_json(task, names) for task in kept],
    }
    text = write_yaml(document) if form == "yaml" else json.dumps(document, ensure_ascii=False, indent=2) + "\n"
    ended = [{"name": task.definition.name, "phase": task.state.phase.value} for task in tasks if not _has_future(task)]
    return {"format": form, "text": text, "tasks": len(kept), "calendars": len(calendars), "leftOut": ended}


def _is_made_anew(task: Task) -> bool:
    """Whether a node makes it by itself as soon as it is needed."""
    return is_system(task.definition) or is_for_invocations(task.definition)


def _has_future(task: Task) -> bool:
    return task.state.phase in (Phase.ACTIVE, Phase.PAUSED)


def _without_version(calendar: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in calendar.items() if key != "version"}


def task_json(task: Task, names: dict[str, str]) -> dict[str, Any]:
    """A task as a file has it; parents by their names where the file has them. names: of the file's tasks, by their ids."""
    body = definition_json(task.definition)
    if body["dependencies"] is not None:
        parents = [names.get(parent, parent) for parent in body["dependencies"]["parents"]]
        body["dependencies"] = body["dependencies"] | {"parents": parents}
    found = {"name": body.pop("name"), "id": task.id, "owner": task.definition.owner}
    if task.state.phase is Phase.PAUSED:
        found |= {"paused": True} | ({"pauseNote": task.state.note} if task.state.note else {})
    return found | {key: value for key, value in body.items() if key not in _EMPTY or value != _EMPTY[key]}
