"""Canaries that run all the time, as tasks of the system: how late tasks are is known before one of them matters.

They are tasks of the cluster, not of a node: their names are unique, so whoever is first makes them, and any node may own or run
one. A second kind of system task watches them, and is itself run by the scheduler: it looks at all of them and, only if all are
well, tells somebody outside of the cluster. So whatever stops the scheduler, in part or as a whole, is heard as silence.
"""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

import trio

from runtime.clock import SECOND, Instant, Micros, from_timedelta
from runtime.errors import Conflict, NotFound, TocsinError
from runtime.mailbox import ask
from runtime.world import World

from .canaries_core import BUCKETS, CanaryConfig, CanaryFigures, changes, figures
from .command_messages import DeleteTask
from .handling.catalogue import TaskType, task_type
from .handling.context import Context
from .keeper_messages import CreateTasks
from .lanes import Lane
from .model.canary import first_of, ids_in
from .model.policy import Overlap, Policies, Retry
from .model.retention import SYSTEM
from .model.system import CANARY_TYPE, WATCH_TYPE
from .model.task import Definition, Task
from .model.trigger import Interval
from .store.answers import TaskFilter
from .system_tasks import ASK_SECONDS, RETRY_SECONDS

logger = logging.getLogger(__name__)

KEPT: Final = Micros(600 * SECOND)
"""How long the executions of canaries are kept: what they tell is in the figures; of one for each partition there are many."""

MOST: Final = 65_536
"""More partitions than any cluster has."""

Ping = Callable[[], Awaitable[None]]
"""Tells somebody outside that all is well. Raises if that was not possible."""


class Canaries:
    """A child of the supervisor, and the handlers of what it makes. config: None if there shall be no canaries."""

    def __init__(self, *, world: World, config: CanaryConfig | None, partitions: int, ping: Ping | None) -> None:
        self.config = config
        self.runs = 0
        """Canaries that were run on this node."""
        self.late_seconds = 0.0
        """The sum of their lateness."""
        self.buckets = [0] * (len(BUCKETS) + 1)
        """How many of them were within each bound of `BUCKETS` and above the one before; the last: above all."""
        self._world = world
        self._partitions = partitions
        self._ping = ping
        self._home: Lane

    def connect(self, home: Lane) -> None:
        """Say in which lane the tasks live. Called once, before the actors start."""
        self._home = home

    def types(self) -> tuple[TaskType, ...]:
        """The task types and their handlers, of a node that has canaries."""
        if self.config is None:
            return ()
        watch = () if self._ping is None else (task_type(WATCH_TYPE, self.watch),)
        return (task_type(CANARY_TYPE, self.canary), *watch)

    # -- what they do

    async def canary(self, context: Context) -> None:
        """Does nothing but count how late it is."""
        late = max(from_timedelta(context.actual - context.assigned), 0) / SECOND
        self.runs += 1
        self.late_seconds += late
        self.buckets[bisect_left(BUCKETS, late)] += 1

    async def watch(self, _context: object) -> dict[str, Any]:
        """Tells somebody outside that all canaries are well, only if they are."""
        assert self._ping is not None, "a node that cannot tell has no such type"
        found = await self.figures()
        told = {"canaries": found.canaries, "well": found.well, "missed": found.missed}
        if found.troubles or not found.canaries:
            logger.warning("the dead-man ping is withheld: %s", "; ".join(found.troubles) or "there are no canaries")
            return told | {"pinged": False, "troubles": list(found.troubles)}
        await self._ping()
        return told | {"pinged": True}

    async def figures(self) -> CanaryFigures:
        """How the canaries of the whole cluster are."""
        late_after = (self.config or CanaryConfig()).late_after
        return figures(await self._found(CANARY_TYPE), self._world.now(), late_after)

    async def _found(self, type_name: str) -> tuple[Task, ...]:
        wanted = TaskFilter(type=type_name, limit=MOST)
        page = await self._world.blocking(self._home.store.page, wanted, lane=self._home.reader)
        return tuple(task for task in page.tasks if task.definition.owner == SYSTEM)

    # -- their records

    async def run(self) -> None:
        """See to it that there are those that are configured, and no others; then there is nothing left to do."""
        while True:
            if await self._is_as_configured():
                break
            await trio.sleep(RETRY_SECONDS)
        await trio.sleep_forever()

    async def _is_as_configured(self) -> bool:
        """Change what is otherwise. Answers whether all is well."""
        try:
            return await self._ensure_canaries() and await self._ensure_watch()
        except Conflict:
            # Another node has made one of them meanwhile; whether it is the right one is seen at the next look.
            return False
        except TocsinError as error:
            logger.warning("the records of the canaries could not be written: %s", error)
            return False

    async def _ensure_canaries(self) -> bool:
        todo = changes(await self._found(CANARY_TYPE), self.config, self._partitions)
        await self._remove(todo.surplus)
        if self.config is None or not todo.missing:
            return True
        now, every = self._world.now(), self.config.every
        ids = ids_in(todo.missing.values(), self._partitions, self._world.new_id)
        await self._create(
            [
                _definition(task_id, name, CANARY_TYPE, every, first_of(index, len(ids), every, now), now)
                for index, (task_id, name) in enumerate(zip(ids, todo.missing, strict=True))
            ]
        )
        return True

    async def _ensure_watch(self) -> bool:
        found = await self._found(WATCH_TYPE)
        every = None if self.config is None or self._ping is None else self.config.ping_every
        good = [task for task in found if task.definition.trigger == _rate_of(task, every)]
        if len(good) == len(found) == (every is not None):
            return True
        await self._remove([task.id for task in found])
        if every is not None:
            now = self._world.now()
            first = Instant(now + every)
            await self._create([_definition(self._world.new_id(), WATCH_TYPE, WATCH_TYPE, every, first, now)])
        return True

    async def _create(self, definitions: list[Definition]) -> None:
        wanted = tuple(definitions)
        logger.info("%d system tasks are made: %s ...", len(wanted), wanted[0].name)
        for answer in await ask(self._home.keeper.mailbox, partial(CreateTasks, wanted, SYSTEM), ASK_SECONDS):
            if isinstance(answer, Exception):
                raise answer

    async def _remove(self, ids: tuple[str, ...] | list[str]) -> None:
        if ids:
            logger.info("%d system tasks that are not configured any more, or otherwise, are removed", len(ids))
        for task_id in ids:
            try:
                await ask(self._home.keeper.mailbox, partial(DeleteTask, task_id, SYSTEM), ASK_SECONDS)
            except NotFound:
                # Another node was faster.
                continue


def _rate_of(task: Task, every: Micros | None) -> Interval | None:
    """The trigger that a task would have if it had this interval."""
    former = task.definition.trigger
    return Interval(every, former.anchor) if every is not None and isinstance(former, Interval) else None


def _definition(task_id: str, name: str, kind: str, every: Micros, first: Instant, now: Instant) -> Definition:
    policies = Policies(
        queue=SYSTEM,
        # What still runs on a node that died says nothing about the times after it.
        overlap=Overlap.ALLOW,
        retry=Retry(max_retries=2, delay=Micros(SECOND)),
        timeout=Micros(60 * SECOND),
        ttl=KEPT,
    )
    return Definition(task_id, name, kind, Interval(every, first), policies=policies, owner=SYSTEM, created_at=now)
