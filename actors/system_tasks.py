"""The node's own tasks: what they do, and that there is one record of each.

They run like any other task, with history, `why` and pause. Their definitions follow the configuration: one that differs from
what is stored is applied when the node starts, and that is logged.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import partial
from typing import Final

import trio
import trio.lowlevel

from runtime.clock import HOUR, Instant, Micros
from runtime.errors import Conflict, TocsinError
from runtime.mailbox import ask
from runtime.records import evolve
from runtime.world import World

from .command_messages import EditTask
from .handling.catalogue import TaskType, task_type
from .janitor import walk
from .keeper_messages import Counted, CreateTasks
from .lanes import READS, Lane
from .model.occurrence import Settled
from .model.policy import Policies, Retry
from .model.retention import FOLDS, PURGES, SYSTEM, Retention, Stage
from .model.system import COUNT_TYPE, FOLD_TYPE, PURGE_TYPE, SYSTEM_TYPES
from .model.task import Definition, Task
from .model.trigger import Interval
from .when.triggers import count_slices

logger = logging.getLogger(__name__)

HISTORY: Final = Micros(6 * HOUR)
"""How long their own executions are kept: a working day's worth says whether they work."""

RETRY_SECONDS: Final = 5.0
"""Between two tries to write their records, while the store cannot be written."""

CONFLICT_SECONDS: Final = 0.1
"""Before it is looked at again what another node has made: a commit of its keeper."""

ASK_SECONDS: Final = 60.0
"""For an answer of the keeper."""

COUNTED_AT_ONCE: Final = 100
"""Ranges that one run counts, the oldest; the next run goes on."""

PIECES_AT_ONCE: Final = 20
"""Pieces of a count taken in one go in a thread: each is some milliseconds."""


class SystemTasks:
    """A child of the supervisor, and the handlers of the tasks that it keeps. `every`: the interval of their triggers."""

    def __init__(self, *, world: World, retention: Retention, every: Micros) -> None:
        self._world = world
        self._retention = retention
        self._every = every
        self._lanes: tuple[Lane, ...]
        self._home: Lane

    def connect(self, home: Lane, *others: Lane) -> None:
        """Say in which lane the tasks live, and which they serve besides. Called once, before the actors start."""
        self._home = home
        self._lanes = (home, *others)

    def types(self) -> tuple[TaskType, ...]:
        """The task types and their handlers."""
        handlers = {PURGE_TYPE: self.purge, FOLD_TYPE: self.fold, COUNT_TYPE: self.count}
        return tuple(task_type(name, handler) for name, handler in handlers.items())

    # -- what they do

    async def purge(self, _context: object, task_id: str | None = None) -> dict[str, int]:
        """Removes executions, tasks and audit records that have been kept long enough; with `task_id` of this task only."""
        stages = PURGES if task_id is None else (Stage.EXECUTIONS, Stage.TASKS)
        return await self._walk(stages, task_id)

    async def fold(self, _context: object, task_id: str | None = None) -> dict[str, int]:
        """Folds old rows of the ledger into counts by the hour; with `task_id` of this task only."""
        return await self._walk(FOLDS, task_id)

    async def _walk(self, stages: tuple[Stage, ...], task_id: str | None) -> dict[str, int]:
        removed = dict.fromkeys(map(str, stages), 0)
        for lane in self._lanes:
            for stage in stages:
                number, _ = await walk(lane.keeper.mailbox, self._retention, self._world, stage, task_id)
                removed[stage] += number
        return removed

    async def count(self, _context: object) -> dict[str, int]:
        """Counts the slots of settled ranges that were too long to be counted when they were settled."""
        counted = 0
        for lane in self._lanes:
            for row in await self._world.blocking(lane.store.uncounted, COUNTED_AT_ONCE, lane=lane.reader):
                await self._count(lane, row)
                counted += 1
        return {"ranges": counted}

    async def _count(self, lane: Lane, row: Settled) -> None:
        revisions = await self._world.blocking(lane.store.revisions, row.task_id, lane=lane.reader)
        definition = next((entry.definition for entry in revisions if entry.revision == row.revision), None)
        total = 0
        if definition is None:
            # Nobody will ever know better, and it must not be looked at for ever.
            logger.warning("a range of task %s cannot be counted: its revision %d is gone", row.task_id, row.revision)
        else:
            pieces, more = count_slices(definition.trigger, definition.bounds, row.first, row.last), True
            while more:
                some, more = await self._world.blocking(_some, pieces, lane=READS)
                total += some
        await lane.keeper.mailbox.tell(Counted(row.task_id, row.first, total))

    # -- their records

    async def run(self) -> None:
        """See to it that there is one record of each, as configured now; then there is nothing left to do."""
        for name in SYSTEM_TYPES:
            while True:
                try:
                    await self._ensure(name)
                    break
                except Conflict:
                    # Another node has made it meanwhile, or is about to.
                    await trio.sleep(CONFLICT_SECONDS)
                except TocsinError as error:
                    logger.warning("the record of system task %s could not be written: %s", name, error)
                    await trio.sleep(RETRY_SECONDS)
        await trio.sleep_forever()

    async def _ensure(self, name: str) -> None:
        store, keeper = self._home.store, self._home.keeper.mailbox
        found = await self._world.blocking(store.find, "", name, lane=self._home.reader)
        if found is None:
            made = self.definition(name, self._world.new_id(), self._world.now())
            for answer in await ask(keeper, partial(CreateTasks, (made,), SYSTEM), ASK_SECONDS):
                if isinstance(answer, Exception):
                    raise answer
            return
        (task,) = await self._world.blocking(store.tasks, [found], lane=self._home.reader)
        wanted = self._renewed(task)
        if wanted != task.definition:
            await ask(keeper, partial(EditTask, wanted, task.state.version, SYSTEM), ASK_SECONDS)
            logger.info("system task %s has a new definition: every %s µs", name, self._every)

    def definition(self, name: str, task_id: str, now: Instant) -> Definition:
        """What is stored for a system task that is new at an instant; it runs for the first time one interval later."""
        return Definition(
            task_id,
            name,
            name,
            Interval(self._every, Instant(now + self._every)),
            # A crash of the node while one runs is no reason to hold it: it is run again at the next start.
            policies=Policies(queue=SYSTEM, retry=Retry(max_retries=2), ttl=HISTORY),
            owner=SYSTEM,
            created_at=now,
        )

    def _renewed(self, task: Task) -> Definition:
        """The definition as configured now, on the grid of the stored one where that has the same interval."""
        former = task.definition
        wanted = self.definition(former.name, former.id, former.created_at)
        same = isinstance(former.trigger, Interval) and former.trigger.every == self._every
        trigger = former.trigger if same else Interval(self._every, Instant(self._world.now() + self._every))
        return evolve(wanted, trigger=trigger)


def _some(pieces: Iterator[int]) -> tuple[int, bool]:
    """The sum of the next pieces, and whether there are more."""
    total = 0
    for _ in range(PIECES_AT_ONCE):
        piece = next(pieces, None)
        if piece is None:
            return total, False
        total += piece
    return total, True
