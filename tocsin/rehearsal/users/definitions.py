"""What is rehearsed: the task types and declared tasks of Python files, and the tasks of JSON files.

A Python file is loaded, as a node loads it, to know what it declares; nothing else of it is called.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from actors.handling.catalogue import Catalogue
from actors.node import Node
from runtime.errors import InvalidRequest, NotFound, TocsinError

from ...loading import load_catalogue
from ...node import LocalNode, make_declared
from ...tasks import DECLARED_TASKS, DeclaredTask
from ...vocabulary.definitions import definition_from_json
from ...vocabulary.fields import show
from ...vocabulary.references import references_in, resolve
from ...vocabulary.words import TASK
from .assumptions import Assumptions

OWNER: Final = "rehearsal"

_FIELDS: Final = frozenset(one.key for one in TASK)


@attrs.frozen
class Script:
    """What the files say. types: as declared, not to be run. bodies: tasks as in the REST contract. left_out: for people."""

    types: Catalogue
    declared: tuple[DeclaredTask, ...]
    bodies: tuple[Mapping[str, Any], ...]
    calendars: Mapping[str, Mapping[str, Any]]
    left_out: tuple[str, ...]

    def type_names(self) -> list[str]:
        """All types that are needed, those too that only JSON files name."""
        return sorted({*self.types.names(), *(str(body.get("taskType")) for body in self.bodies)})


def read_files(files: Sequence[str]) -> Script:
    """Load them. Raises InvalidRequest naming the file, or what is wrong in it."""
    python = [file for file in files if not file.endswith(".json")]
    types = load_catalogue(python)
    bodies: list[Mapping[str, Any]] = []
    calendars: dict[str, Mapping[str, Any]] = {}
    for file in files:
        if file.endswith(".json"):
            tasks, own = _read_json(file)
            bodies += tasks
            calendars |= own
    declared = [one for one in DECLARED_TASKS.values() if one.type in types] if python else []
    left_out = [_out_of_memory(one.name) for one in declared if not one.persistent]
    left_out += [_out_of_memory(str(one.get("name"))) for one in bodies if one.get("persistent") is False]
    active = [one for one in bodies if one.get("persistent") is not False]
    for one in active:
        if one.get("phase", "active") != "active":
            left_out.append(f"{one.get('name')}: it is {one['phase']}")
    kept = tuple(one for one in active if one.get("phase", "active") == "active")
    stored = tuple(one for one in declared if one.persistent)
    if not stored and not kept:
        what = "; ".join(left_out) or "they declare none: a trigger beside the handler, or tocsin.declare, makes one"
        raise InvalidRequest(f"{', '.join(files)}: no task to rehearse ({what})")
    return Script(types, stored, kept, calendars, tuple(left_out))


def _out_of_memory(name: str) -> str:
    return f"{name}: a task in memory lives and ends with its node, a cluster does nothing for it"


def _read_json(file: str) -> tuple[list[Mapping[str, Any]], Mapping[str, Mapping[str, Any]]]:
    """A list of tasks, or an object with `list` or `tasks`, and with `calendars` by name."""
    try:
        read = json.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidRequest(f"{file}: {error}") from None
    calendars = read.get("calendars", {}) if isinstance(read, dict) else {}
    tasks = read.get("list", read.get("tasks")) if isinstance(read, dict) else read
    if not isinstance(tasks, list) or not isinstance(calendars, dict):
        raise InvalidRequest(f'{file}: a list of tasks, or {{"tasks": [...], "calendars": {{...}}}}, not {show(read)}')
    for number, one in enumerate(tasks):
        if not isinstance(one, dict):
            raise InvalidRequest(f"{file}: tasks[{number}]: an object, not {show(one)}")
    return tasks, calendars


def check_named(script: Script, assumptions: Assumptions) -> None:
    """Raise InvalidRequest for a type of which something is assumed and that there is not."""
    known = script.type_names()
    for name in assumptions.named():
        if name not in known:
            raise InvalidRequest(f"there is no task type {show(name)}; there are {', '.join(known)}")


def check_parameters(script: Script) -> None:
    """Raise InvalidRequest for parameters that the handlers would not take: the stand-ins take all."""
    for one in script.declared:
        entry = script.types.get(one.type)
        assert entry is not None, "only those with a type were kept"
        try:
            entry.check_parameters(dict(one.parameters))
        except InvalidRequest as error:
            raise InvalidRequest(f"task {one.name!r} declared in {one.place}: {error}") from None


async def make(script: Script, node: Node) -> None:
    """Make the tasks through a node; again it changes nothing. Raises InvalidRequest for one that is wrong."""
    face = LocalNode(node)
    for name, content in script.calendars.items():
        if await face.calendar(name) is None:
            await face.put_calendar(name, content)
    await make_declared(face, script.declared)
    left = [one for one in script.bodies if not await _is_there(face, one)]
    while left:
        refused: list[tuple[Mapping[str, Any], TocsinError]] = []
        for body in left:
            try:
                await _make_one(face, body)
            except InvalidRequest as error:
                refused.append((body, error))
        if len(refused) == len(left):
            body, why = refused[0]
            raise InvalidRequest(f"task {show(body.get('name'))}: {why}")
        # What depends on another one is made after it.
        left = [body for body, _ in refused]


async def _is_there(face: LocalNode, body: Mapping[str, Any]) -> bool:
    try:
        await face.task(str(body.get("itemId") or body.get("name")))
    except NotFound:
        return False
    return True


async def _make_one(face: LocalNode, body: Mapping[str, Any]) -> None:
    own = {
        key: value
        for key, value in body.items()
        if key in _FIELDS and not (key == "extra" and "data" not in (value or {}))
    }
    known = await resolve(face, references_in(own))
    definition = definition_from_json(
        own,
        face.catalogue,
        face.world.now(),
        task_id=str(body.get("itemId") or face.world.new_id()),
        owner=OWNER,
        known=known,
    )
    [made] = await face.create([definition], OWNER)
    if isinstance(made, Exception):
        raise made
