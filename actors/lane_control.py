"""The whole scheduler's pause, locks and queues, as people and programs ask for them: over both lanes of a node.

A concurrency key and a queue's limit hold within a lane: memory tasks are counted apart from stored ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from typing import Final

import attrs

from runtime.clock import Instant
from runtime.errors import NotFound
from runtime.mailbox import ask
from runtime.records import evolve
from runtime.world import World

from .keeper_messages import PauseScheduler, ReleaseLock, ResumeScheduler
from .keeper_queues import Lock, QueueUse
from .lanes import ASK_SECONDS, Lane
from .model.execution import CLAIMABLE, Execution, WaitsFor
from .model.scope import EVERYTHING, Scope
from .model.task import Definition, Task
from .store.answers import Active, Activity, ActivityFilter, Newest, TaskFilter, TaskPage
from .store.handovers import Handover, HandoverFilter
from .store.port import SchedulerPause, Store

NAMES_AT_ONCE: Final = 200
"""Names of one question to the store: some milliseconds of a thread; each for itself would wait behind the pages of all lists."""


class LaneControl:
    """See the module's docstring. Every call may raise an error of `runtime/errors.py`."""

    def __init__(self, durable: Lane, memory: Lane, world: World) -> None:
        self._durable = durable
        self._memory = memory
        self._world = world
        self._scope = EVERYTHING

    def seen_by(self, scope: Scope) -> LaneControl:
        """The same for somebody who has this scope: what lies outside is not there for him."""
        seen = copy(self)
        seen._scope = scope
        return seen

    async def scheduler_pause(self) -> SchedulerPause | None:
        """Since when, by whom and why the whole scheduler is paused; None if it is not.

        As the store has it: a keeper that has just begun does not know yet.
        """
        return await self._world.blocking(self._durable.store.scheduler_pause, lane=self._durable.looker)

    async def pause(self, note: str | None, actor: str) -> SchedulerPause:
        """Settle and start nothing until resumed; what runs goes on. Holds over restarts. Answers the pause there is."""
        pause: SchedulerPause = await ask(
            self._durable.keeper.mailbox, lambda reply: PauseScheduler(note, actor, reply), ASK_SECONDS
        )
        await ask(self._memory.keeper.mailbox, lambda reply: PauseScheduler(note, actor, reply), ASK_SECONDS)
        return pause

    async def resume(self, actor: str) -> None:
        """Go on, also if nothing was paused. What came due meanwhile is made up for under each task's catch-up policy."""
        for lane in (self._durable, self._memory):
            await ask(lane.keeper.mailbox, lambda reply: ResumeScheduler(actor, reply), ASK_SECONDS)

    def locks(self, tenant: str | None = None) -> list[Lock]:
        """The concurrency keys of a tenant (None: of all) that somebody holds or waits for, with who holds them."""
        return [
            lock
            for lane in (self._durable, self._memory)
            for lock in lane.keeper.claims.queues.locks()
            if tenant in (None, lock.tenant) and self._scope.tenant in (None, lock.tenant)
        ]

    async def release_lock(self, key: str, tenant: str, execution_id: str | None, actor: str) -> tuple[str, ...]:
        """Take a key from an execution, or from all that hold it. Answers those; raises NotFound if nobody holds it."""
        if self._scope.tenant not in (None, tenant):
            raise NotFound(f"nobody holds the key {key!r}")
        released: tuple[str, ...] = ()
        for lane in (self._durable, self._memory):
            try:
                released += await ask(
                    lane.keeper.mailbox, lambda reply: ReleaseLock(key, tenant, execution_id, actor, reply), ASK_SECONDS
                )
            except NotFound:
                if lane is self._memory and not released:
                    raise
        return released

    async def pages(self, *, memory: TaskFilter | None = None, stored: TaskFilter | None = None) -> list[TaskPage]:
        """Pages of memory tasks, of stored tasks, or of both, each by itself."""
        wanted = ((self._memory, memory), (self._durable, stored))
        return [
            await self._world.blocking(lane.store.page, within(some, self._scope), lane=lane.looker)
            for lane, some in wanted
            if some is not None
        ]

    async def in_memory(self, ids: Sequence[str]) -> list[Task]:
        """The memory tasks of this node among these."""
        found = await self._world.blocking(self._memory.store.tasks, ids, lane=self._memory.looker)
        return [task for task in found if self._scope.covers(task.definition)]

    async def named_in_memory(self, name: str) -> list[Task]:
        """The memory task of this node that has the name, if there is one."""
        task_id = await self._world.blocking(self._memory.store.find, self._scope.home, name, lane=self._memory.looker)
        return [] if task_id is None else await self.in_memory([task_id])

    async def names_there(self, names: Sequence[str]) -> set[str]:
        """Which of these names tasks have, stored or in this node's memory."""
        there: set[str] = set()
        for lane in (self._memory, self._durable):
            for start in range(0, len(names), NAMES_AT_ONCE):
                some = names[start : start + NAMES_AT_ONCE]
                there |= await self._world.blocking(_named, lane.store, self._scope.home, some, lane=lane.looker)
        return there

    async def runs_in_memory(self, execution_id: str) -> bool:
        """Whether this is an execution of a memory task of this node."""
        found = await self._world.blocking(self._memory.store.execution, execution_id, lane=self._memory.looker)
        return found is not None and await self._visible(found.execution.task_id)

    async def _visible(self, task_id: str) -> bool:
        return self._scope == EVERYTHING or bool(await self.in_memory([task_id]))

    async def activity(self, wanted: ActivityFilter) -> Activity:
        """Executions of all stored tasks and of this node's memory tasks: what is open first, then what ended last."""
        if self._scope != EVERYTHING:
            wanted = attrs.evolve(wanted, tenant=self._scope.tenant, owner=self._scope.owner)
        reach = attrs.evolve(wanted, offset=0, limit=wanted.offset + wanted.limit)
        memory = await self._world.blocking(self._memory.store.activity, reach, lane=self._memory.looker)
        durable = self._durable
        if not memory.rows:
            return await self._world.blocking(durable.store.activity, wanted, lane=durable.looker)
        stored = await self._world.blocking(durable.store.activity, reach, lane=durable.looker)
        rows = sorted([*memory.rows, *stored.rows], key=_place, reverse=True)
        more = memory.more or stored.more or len(rows) > reach.limit
        return Activity(tuple(rows[wanted.offset : reach.limit]), more, stored.reached)

    async def newest(self, ids: Sequence[str], count: int) -> dict[str, Newest]:
        """The newest executions and unrun slots of each of these tasks, at most `count` of each; in scope only."""
        found: dict[str, Newest] = {}
        for lane in (self._durable, self._memory):
            if self._scope == EVERYTHING:
                known = list(ids)
            else:
                tasks = await self._world.blocking(lane.store.tasks, list(ids), lane=lane.looker)
                known = [task.id for task in tasks if self._scope.covers(task.definition)]
            found |= await self._world.blocking(lane.store.newest, known, count, lane=lane.looker)
        return found

    async def due(self, until: Instant, limit: int) -> list[tuple[Instant, str]]:
        """When and of which task something is due up to an instant, in order: the first so many, also of those out of scope."""
        found = []
        for lane in (self._durable, self._memory):
            found += await self._world.blocking(lane.store.due, None, until, limit, lane=lane.looker)
        return sorted(found)[:limit]

    async def tasks(self, ids: Sequence[str]) -> list[Task]:
        """The stored tasks and the memory tasks of this node among these."""
        found = []
        for lane in (self._durable, self._memory):
            found += await self._world.blocking(lane.store.tasks, ids, lane=lane.looker)
        return [task for task in found if self._scope.covers(task.definition)]

    async def handovers(self, wanted: HandoverFilter) -> list[Handover]:
        """Which boots took partitions of stored tasks from which, the newest first."""
        return await self._world.blocking(self._durable.store.handovers, wanted, lane=self._durable.looker)

    def load(self) -> tuple[int, int, int]:
        """Of stored tasks: all slots, those that are free, and the attempts that run."""
        return self._durable.executor.load()

    def busy(self) -> int:
        """Handlers that have not come back, in both lanes."""
        return self._durable.executor.busy + self._memory.executor.busy

    def deadline(self) -> float:
        """When the next attempt may time out, by trio's clock; infinite if none may."""
        return min(self._durable.executor.deadline, self._memory.executor.deadline)

    def pass_over(self, seconds: float) -> None:
        """Time that is left out counts for what runs here, though the monotonic clock stands still in it."""
        for lane in (self._durable, self._memory):
            lane.executor.pass_over(seconds)

    async def epochs(self) -> Mapping[int, int]:
        """The epoch of every partition that was ever taken."""
        return await self._world.blocking(self._durable.store.epochs, lane=self._durable.looker)

    def children(self, task_id: str) -> tuple[str, ...]:
        """The tasks, by id, that wait for a task."""
        return tuple(child for lane in (self._durable, self._memory) for child in lane.keeper.children(task_id))

    def queues(self) -> list[QueueUse]:
        """The queues that have a limit or in which somebody waits: both lanes together; the limit is that of each."""
        found: dict[str, QueueUse] = {}
        for lane in (self._durable, self._memory):
            for use in lane.keeper.claims.queues.queues():
                known = found.get(use.name)
                if known is not None:
                    use = evolve(use, running=known.running + use.running, waiting=known.waiting + use.waiting)
                found[use.name] = use
        return [found[name] for name in sorted(found)]

    async def waiting_since(self, queue: str) -> Instant | None:
        """Since when the execution waits that has waited longest in a queue, as far as this node knows; None if none does."""
        return await self._since(lane.keeper.claims.queues.longest_waiting(queue) for lane in self._lanes)

    async def waiting_for_since(self, tenant: str, key: str) -> Instant | None:
        """The same of a concurrency key; None also if that execution lies outside of the scope."""
        return await self._since(lane.keeper.claims.queues.longest_waiting_for((tenant, key)) for lane in self._lanes)

    async def _since(self, ids: Iterable[str | None]) -> Instant | None:
        found: list[Instant] = []
        for lane, execution_id in zip(self._lanes, ids, strict=True):
            if execution_id is None:
                continue
            detail = await self._world.blocking(lane.store.execution, execution_id, lane=lane.looker)
            if detail is not None and await self.tasks([detail.execution.task_id]):
                found.append(detail.execution.created_at)
        return min(found, default=None)

    @property
    def _lanes(self) -> tuple[Lane, Lane]:
        return self._durable, self._memory

    def waits_for(self, definition: Definition, execution: Execution) -> tuple[WaitsFor | None, Lock | None]:
        """What an execution lacks at this moment, and who has it if that is a key.

        What its row says is what it lacked when it came. None, None: nothing is in its way any more.
        """
        if execution.waits_for not in CLAIMABLE or execution.waits_for is WaitsFor.NODE:
            return execution.waits_for, None
        lane = self._durable if definition.persistent else self._memory
        return lane.keeper.claims.lacks(definition, execution)


def _place(row: Active) -> tuple[bool, Instant, str]:
    """Where an execution stands in a list of activity, read from its end."""
    execution = row.execution
    at = execution.created_at if execution.is_held else execution.ended_at
    return execution.is_held, at or Instant(0), execution.id


def _named(store: Store, tenant: str, names: Sequence[str]) -> set[str]:
    return {name for name in names if store.find(tenant, name) is not None}


def within(wanted: TaskFilter, scope: Scope) -> TaskFilter:
    """A filter that leaves out what lies outside a scope."""
    if scope == EVERYTHING:
        return wanted
    return attrs.evolve(
        wanted,
        tenant=wanted.tenant if scope.tenant is None else scope.tenant,
        owner=wanted.owner if scope.owner is None else scope.owner,
    )
