"""The calendars of a node, as people and programs ask for them: kept by the durable lane, known to the memory lane too."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

from runtime.errors import Conflict, NotFound
from runtime.mailbox import ask
from runtime.records import evolve
from runtime.world import World

from .calendar_messages import DeleteCalendar, PutCalendar
from .lanes import ASK_SECONDS, Lane
from .model.calendar import Calendar

T = TypeVar("T")

SHOWN: Final = 5
"""Tasks in memory that the refusal to delete a calendar names."""


class CalendarLibrary:
    """See the module's docstring. Every call may raise an error of `runtime/errors.py`."""

    def __init__(self, durable: Lane, memory: Lane, world: World) -> None:
        self._durable = durable
        self._memory = memory
        self._world = world

    async def all(self, tenant: str | None) -> list[Calendar]:
        """The newest version of every calendar of a tenant (None: of all), by name."""
        found = await self._read(self._durable, self._durable.store.calendars, tenant)
        return [calendar for calendar in found if not calendar.deleted]

    async def get(self, tenant: str, name: str, version: int | None = None) -> Calendar:
        """One calendar, in this version or the newest one. Raises NotFound."""
        found = await self._read(self._durable, self._durable.store.calendar, tenant, name, version)
        if found is None or found.deleted:
            wanted = "" if version is None else f"version {version} of "
            raise NotFound(f"no {wanted}calendar {name!r}")
        return found

    async def put(self, calendar: Calendar, actor: str) -> Calendar:
        """Keep a calendar, whatever its version says, as the next one; the same content makes no new version.

        Every task that uses it follows, a moment later and with a revision of its own. Answers the calendar as it is kept.
        """
        wanted = evolve(calendar, version=0)
        kept = await ask(self._durable.keeper.mailbox, partial(PutCalendar, wanted, actor), ASK_SECONDS)
        return await ask(self._memory.keeper.mailbox, partial(PutCalendar, kept, actor), ASK_SECONDS)

    async def delete(self, tenant: str, name: str, actor: str) -> None:
        """Remove a calendar. Raises NotFound, and Conflict with the names of tasks that use it."""
        await self.get(tenant, name)
        memory = self._memory.store
        ids = await self._read(self._memory, partial(memory.calendar_users, tenant, name, after="", limit=SHOWN))
        if ids:
            users = await self._read(self._memory, memory.tasks, ids)
            named = ", ".join(repr(task.definition.name) for task in users)
            raise Conflict(f"calendar {name!r} is used by {named}, in the memory of this node")
        gone: Calendar = await ask(
            self._durable.keeper.mailbox, lambda reply: DeleteCalendar(tenant, name, actor, reply), ASK_SECONDS
        )
        await ask(self._memory.keeper.mailbox, partial(PutCalendar, gone, actor), ASK_SECONDS)

    async def _read(self, lane: Lane, function: Callable[..., T], *arguments: object) -> T:
        return await self._world.blocking(function, *arguments, lane=lane.looker)
