"""What a definition names and the store holds: calendars and other tasks.

A definition is read in two steps, because reading is arithmetic and asking the store is not: first what it names is collected
and asked for, then it is read with what was found.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import attrs

from actors.model.calendar import Calendar
from actors.model.task import Task
from runtime.errors import InvalidRequest, NotFound

from .fields import show
from .kinds import Kind
from .words import CALENDAR_NAME, CALENDAR_VERSION, PARENT

CalendarName = tuple[str, int | None]
"""A calendar's name and version; None for the newest."""


@attrs.frozen
class References:
    """What is named, to be asked for."""

    calendars: frozenset[CalendarName] = frozenset()
    tasks: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.calendars or self.tasks)


@attrs.frozen
class Known:
    """What was found, by the name under which it was asked for."""

    calendars: Mapping[CalendarName, Calendar] = attrs.field(factory=dict)
    tasks: Mapping[str, Task] = attrs.field(factory=dict)

    def calendar(self, name: str, version: int | None, field: str) -> Calendar:
        """The calendar, in this version or the newest. Raises InvalidRequest."""
        found = self.calendars.get((name, version))
        if found is None:
            raise InvalidRequest(
                f"{field}: no calendar {show(name)}{'' if version is None else f' of version {version}'}"
            )
        return found

    def task(self, reference: str, field: str) -> Task:
        """The task of that name or id. Raises InvalidRequest."""
        found = self.tasks.get(reference)
        if found is None:
            raise InvalidRequest(f"{field}: no task {show(reference)}")
        return found


NOTHING = Known()


class Asked(Protocol):
    """Who can be asked for what is named."""

    async def task(self, reference: str) -> Task:
        """The task of this id, prefix or name. Raises NotFound."""
        ...

    async def calendar(self, name: str, version: int | None = None, *, tenant: str = "") -> Calendar | None:
        """The calendar in this version, or the newest; None if there is none."""
        ...


async def resolve(node: Asked, references: References, tenant: str = "") -> Known:
    """Ask for all that is named. What is not there is left out, and refused by who reads the definition."""
    if not references:
        return NOTHING
    calendars = {
        (name, version): await node.calendar(name, version, tenant=tenant) for name, version in references.calendars
    }
    tasks = {reference: await _task(node, reference) for reference in references.tasks}
    return Known(
        {name: found for name, found in calendars.items() if found is not None},
        {reference: found for reference, found in tasks.items() if found is not None},
    )


async def _task(node: Asked, reference: str) -> Task | None:
    try:
        return await node.task(reference)
    except NotFound:
        return None


def references_in(body: object) -> References:
    """What the JSON of a definition names. What is malformed names nothing: reading it says what is wrong."""
    if not isinstance(body, Mapping):
        return References()
    trigger, dependencies = body.get("trigger"), body.get("dependencies")
    return References(
        frozenset(_calendar_names(trigger.get("calendars") if isinstance(trigger, Mapping) else None)),
        frozenset(_texts(dependencies.get("parents") if isinstance(dependencies, Mapping) else dependencies)),
    )


def _calendar_names(listed: object) -> Iterator[CalendarName]:
    for entry in listed if isinstance(listed, list | tuple) else ():
        wish: Mapping[str, Any] = entry if isinstance(entry, Mapping) else {"calendar": entry}
        name, version = wish.get("calendar"), wish.get("version")
        if _is(CALENDAR_NAME, name) and (version is None or _is(CALENDAR_VERSION, version)):
            yield str(name), version


def _texts(listed: object) -> Iterator[str]:
    return (entry for entry in listed if _is(PARENT, entry)) if isinstance(listed, list | tuple) else iter(())


def _is(kind: Kind, value: object) -> bool:
    """Whether the store may be asked for it at all."""
    try:
        kind.read(value, "")
    except InvalidRequest:
        return False
    return True
