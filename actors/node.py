"""The node: what people and programs can ask of it, over both of its lanes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from copy import copy
from functools import partial
from typing import Final, TypeVar

import attrs
import trio

from runtime.clock import SECOND, Instant
from runtime.errors import Forbidden, NotFound, TocsinError
from runtime.mailbox import Reply, ask
from runtime.records import evolve
from runtime.supervisor import Snapshot, Supervisor
from runtime.turns import Turns
from runtime.watchdog import Watchdog, WatchdogStatistics
from runtime.world import World

from .access_library import AccessLibrary
from .calendar_library import CalendarLibrary
from .canaries import Canaries
from .cluster import Cluster
from .command_messages import Command
from .executor_messages import Drain
from .handling.catalogue import Catalogue
from .handling.tools import Tools
from .herald import Herald
from .herald_messages import TopicMessage
from .janitor import Purges
from .job_queue_keeper import JobQueueKeeper
from .keeper_messages import CreateTasks, StopClaiming
from .lane_control import LaneControl, within
from .lanes import ASK_SECONDS, Lane, NodeConfig
from .live.journal import Journal
from .model.calendar import Calendar
from .model.execution import Execution, WaitsFor
from .model.scope import EVERYTHING, Scope
from .model.system import actor_of
from .model.task import Definition, Task
from .outside import Outside
from .rules.dependencies import judge
from .store.answers import (
    Counts,
    ExecutionDetail,
    Identity,
    LogLine,
    OutcomeRow,
    Revision,
    TaskFilter,
    TaskPage,
    sort_key,
)
from .store.port import DeliveryWrite
from .tracing import Tracer

logger = logging.getLogger(__name__)

T = TypeVar("T")


MERGE_LIMIT: Final = 10_000
"""How deep a page over stored and memory tasks together may reach; pages of stored tasks alone have no such limit."""

SHORTEST_PREFIX: Final = 8
"""Characters of a task's id that are enough to name it."""


class Node:
    """A running node: what people and programs can ask of it. Every call may raise an error of `runtime/errors.py`.

    `draining`: set once it takes nothing new because it is about to end. `beside`: what is not well of what runs beside it, such
    as a channel to a broker. `tallies`: by channel, what became of what came through it since the start. `turns`: of those
    who answer people and programs, and must not hold up the timer.
    """

    def __init__(
        self,
        config: NodeConfig,
        catalogue: Catalogue,
        world: World,
        *,
        identity: Identity,
        boot: str,
        durable: Lane,
        memory: Lane,
        herald: Herald,
        root: Supervisor,
        watchdog: Watchdog,
        cluster: Cluster | None = None,
        canaries: Canaries | None = None,
        outside: Outside | None = None,
        job_queue: JobQueueKeeper | None = None,
    ) -> None:
        self.config = config
        self.catalogue = catalogue
        self.world = world
        self.identity = identity
        self.boot = boot
        self.cluster = cluster
        self.canaries = canaries
        self.herald = herald
        self.outside = outside or Outside()
        self.journal = Journal(boot, world)
        herald.observe(self.journal.hear)
        self.scope = EVERYTHING
        self.tracer: Tracer | None = None
        self.draining = trio.Event()
        self.turns = Turns(lambda: durable.keeper.is_busy or memory.keeper.is_busy)
        self.job_queue = job_queue
        self.tallies: dict[str, Callable[[], Mapping[str, int]]] = {}
        self.beside: list[Callable[[], list[str]]] = [] if job_queue is None else [job_queue.complaints]
        self._durable = durable
        self._memory = memory
        self._root = root
        self._watchdog = watchdog
        self.access = AccessLibrary(durable, world)
        self.calendars = CalendarLibrary(durable, memory, world)
        self.control = LaneControl(durable, memory, world)
        self.purges = Purges(durable, memory, retention=config.retention, world=world)

    def seen_by(self, scope: Scope) -> Node:
        """This node as somebody sees it who has this scope: what lies outside is not there for him."""
        if scope == self.scope:
            return self
        seen = copy(self)
        seen.scope = scope
        seen.control = self.control.seen_by(scope)
        return seen

    def equip(self, tools: Tools) -> None:
        """Say who carries out what handlers ask of the node. Called once, before it starts."""
        for lane in (self._durable, self._memory):
            lane.executor.tools = tools

    def trace(self, tracer: Tracer) -> None:
        """Say who makes traces of what it does. Called once, before it starts."""
        self.tracer = tracer
        for lane in (self._durable, self._memory):
            lane.executor.tracer = lane.keeper.tracer = tracer

    # -- changes

    async def create(self, definitions: Sequence[Definition], actor: str) -> list[Task | Exception]:
        """Make tasks, durable when this returns. In the same order: the task, or the error that refused it.

        Raises Forbidden for tasks outside the scope.
        """
        actor = actor_of(actor)
        if not all(map(self.scope.covers, definitions)):
            raise Forbidden("tasks can be made in the own tenant only, under the own name")
        if all(definition.persistent for definition in definitions):
            return list(await self._create(self._durable, definitions, actor))
        answers: dict[str, Task | Exception] = {}
        for lane in (self._durable, self._memory):
            mine = [d for d in definitions if d.persistent is (lane is self._durable)]
            if mine:
                made = await self._create(lane, mine, actor)
                answers.update(zip([d.id for d in mine], made, strict=True))
        return [answers[definition.id] for definition in definitions]

    async def _create(self, lane: Lane, definitions: Sequence[Definition], actor: str) -> tuple[Task | Exception, ...]:
        wanted = tuple(definitions)
        return await ask(lane.keeper.mailbox, lambda reply: CreateTasks(wanted, actor, reply), ASK_SECONDS)

    async def command(self, task_id: str, make: Callable[[Reply[T]], Command]) -> T:
        """Have a command about one task carried out; durable when this returns."""
        lane = await self._lane_of(task_id)
        return await ask(lane.keeper.mailbox, lambda reply: _of_person(make(reply)), ASK_SECONDS)

    # -- reads

    async def task(self, reference: str, tenant: str | None = None) -> Task:
        """The task of this id, unique beginning of an id (8 characters or more), or name. Raises NotFound.

        tenant: whose names are meant; those of the scope if None.
        """
        tenant = self.scope.home if tenant is None else tenant
        for lane in (self._memory, self._durable):
            found = await self._tasks(lane, [reference])
            if not found and (task_id := await self._read(lane, lane.store.find, tenant, reference)):
                found = await self._tasks(lane, [task_id])
            if found:
                return found[0]
        matches = await self._by_prefix(reference)
        if len(matches) != 1:
            problem = "no task" if not matches else f"{len(matches)} tasks"
            short = len(reference) < SHORTEST_PREFIX and not reference.lower().strip("0123456789abcdef")
            hint = f" (the beginning of an id needs {SHORTEST_PREFIX} characters)" if short else ""
            raise NotFound(f"{problem} with the id or name {reference!r}{hint}")
        return matches[0]

    async def _tasks(self, lane: Lane, ids: Sequence[str]) -> list[Task]:
        found = await self._read(lane, lane.store.tasks, ids)
        return [task for task in found if self.scope.covers(task.definition)]

    async def _by_prefix(self, prefix: str) -> list[Task]:
        if len(prefix) < SHORTEST_PREFIX:
            return []
        page = await self.page(TaskFilter(id_prefix=prefix.lower(), limit=100))
        return list(page.tasks)

    async def page(self, wanted: TaskFilter) -> TaskPage:
        """One page over stored and memory tasks together, with the true total."""
        wanted = within(wanted, self.scope)
        everything = attrs.evolve(wanted, offset=0, limit=MERGE_LIMIT)
        memory = await self._read(self._memory, self._memory.store.page, everything)
        if not memory.total:
            return await self._read(self._durable, self._durable.store.page, wanted)
        reach = min(wanted.offset + wanted.limit, MERGE_LIMIT)
        stored = await self._read(self._durable, self._durable.store.page, attrs.evolve(wanted, offset=0, limit=reach))
        merged = sorted(
            [*memory.tasks, *stored.tasks], key=lambda task: sort_key(task, wanted.sort), reverse=wanted.descending
        )
        chosen = merged[wanted.offset : wanted.offset + wanted.limit]
        return TaskPage(tuple(chosen), memory.total + stored.total)

    async def executions(self, task_id: str, *, offset: int, limit: int) -> tuple[list[Execution], int]:
        """A task's executions, newest first, and their number."""
        lane = await self._lane_of(task_id)
        return await self._read(lane, lambda: lane.store.executions(task_id, offset=offset, limit=limit))

    async def execution(self, execution_id: str) -> ExecutionDetail:
        """One execution in full. Raises NotFound."""
        _, found = await self._execution_in(execution_id)
        return found

    async def logs(self, execution_id: str, *, after: int, limit: int) -> list[LogLine]:
        """Lines that the handler logged, with a sequence above `after`. Raises NotFound."""
        lane, _ = await self._execution_in(execution_id)
        return await self._read(lane, partial(lane.store.logs, execution_id, after=after, limit=limit))

    async def outcomes(
        self, task_id: str, *, since: Instant, until: Instant, limit: int, newest: bool = False
    ) -> list[OutcomeRow]:
        """A task's ledger between two instants, oldest first, or newest first."""
        lane = await self._lane_of(task_id)
        return await self._read(
            lane, partial(lane.store.outcomes, task_id, since=since, until=until, limit=limit, newest=newest)
        )

    async def revisions(self, task_id: str) -> list[Revision]:
        """Every revision of a task's definition."""
        lane = await self._lane_of(task_id)
        return await self._read(lane, lane.store.revisions, task_id)

    async def calendar(self, name: str, version: int | None = None, *, tenant: str | None = None) -> Calendar | None:
        """A stored calendar, in this version or the newest one; None if there is none."""
        tenant = self.scope.home if tenant is None else tenant
        found = await self._read(self._durable, self._durable.store.calendar, tenant, name, version)
        return None if found is not None and found.deleted else found

    async def held_by(self, task: Task) -> str | None:
        """Which parents hold the oldest execution of a task that waits for some, and how they stand; None if none does."""
        waiting = next((one for one in task.open if one.waits_for is WaitsFor.DEPENDENCY), None)
        if waiting is None or task.definition.dependencies is None:
            return None
        lane = await self._lane_of(task.id)
        found = await self._read(lane, lane.store.tasks, task.definition.dependencies.parents)
        parents = {parent.id: parent for parent in found}
        return judge(task.definition.dependencies, waiting.since or Instant(0), parents.get).text

    async def counts(self) -> Counts:
        """Totals of the store; in a scope those of what is kept of its tasks."""
        if self.scope != EVERYTHING:
            return await self.access.counts(self.scope)
        return await self._read(self._durable, self._durable.store.counts)

    async def deliveries(self, task_id: str, *, offset: int, limit: int) -> tuple[list[DeliveryWrite], int]:
        """What became of what a task's event triggers wanted done, newest first, and its number."""
        lane = await self._lane_of(task_id)
        return await self._read(lane, lambda: lane.store.deliveries(task_id, offset=offset, limit=limit))

    def watch_topic(self, name: str) -> AbstractAsyncContextManager[trio.MemoryReceiveChannel[TopicMessage]]:
        """What event triggers tell a topic of this node from now on."""
        return self.herald.watch_topic(name)

    def completed(self) -> int:
        """Executions recorded as COMPLETED since the process started, over both lanes."""
        return self._durable.keeper.completed + self._memory.keeper.completed

    @property
    def lanes(self) -> tuple[Lane, Lane]:
        """The lane of stored tasks and that of memory tasks."""
        return self._durable, self._memory

    def stalls(self) -> WatchdogStatistics:
        """How often and how long the loop did not turn."""
        return self._watchdog.statistics()

    async def outbox_due(self, lane: Lane, most: int) -> int:
        """How many entries of a lane's outbox are due, as far as so many."""
        owned = lane.keeper.owned if lane.is_shared else None
        return len(await self._read(lane, lane.store.outbox_due, self.world.now(), most, owned))

    async def epochs(self) -> int:
        """How often a partition of the cluster got an owner."""
        return sum((await self._read(self._durable, self._durable.store.epochs)).values())

    def snapshot(self) -> Snapshot:
        """The tree of actors as it is now."""
        return self._root.snapshot()

    def health(self) -> list[str]:
        """What is not well; empty when all is. Bad when the timer is late, not only when something is gone."""
        beside = [complaint for look in self.beside for complaint in look()]
        return [*([] if self.cluster is None else self.cluster.complaints()), *self._own_complaints(), *beside]

    def hindrances(self) -> list[str]:
        """Of what is not well that for which the node does not keep time; empty when it does, with all that health may say."""
        return [*([] if self.cluster is None else self.cluster.hindrances()), *self._own_complaints()]

    def _own_complaints(self) -> list[str]:
        complaints = [str(complaint) for complaint in self._watchdog.health()]
        for lane in (self._durable, self._memory):
            if lane.keeper.trouble is not None:
                complaints.append(f"the {lane.name} store cannot commit: {lane.keeper.trouble}")
            if (late := lane.timer.lateness() / SECOND) > self.config.late_seconds:
                complaints.append(f"the {lane.name} timer is late: what is due has been waiting for {late:.1f} s")
        return complaints

    async def drain(self, grace_seconds: float | None = None) -> None:
        """Take nothing new, let handlers come to an end within the drain time, interrupt the rest at no cost to them.

        grace_seconds: another drain time than the configured one; 0 also cuts short a drain that goes on.
        """
        grace = self.config.drain_seconds if grace_seconds is None else grace_seconds
        self.draining.set()
        self.outside.send_away()
        if self.cluster is not None:
            self.cluster.drain(True)
        async with trio.open_nursery() as nursery:
            for lane in (self._durable, self._memory):
                nursery.start_soon(self._drain_lane, lane, grace)

    async def _drain_lane(self, lane: Lane, grace: float) -> None:
        try:
            await lane.keeper.mailbox.tell(StopClaiming())
            await ask(lane.executor.mailbox, lambda reply: Drain(grace, reply), grace + ASK_SECONDS)
        except TocsinError as error:
            logger.warning("the %s lane was not drained: %s", lane.name, error)

    async def _execution_in(self, execution_id: str) -> tuple[Lane, ExecutionDetail]:
        """An execution, and the lane that has it. Raises NotFound."""
        for lane in (self._memory, self._durable):
            found = await self._read(lane, lane.store.execution, execution_id)
            if found is not None and await self._covers(lane, found.execution.task_id):
                return lane, found
        raise NotFound(f"no execution with the id {execution_id!r}")

    async def _lane_of(self, task_id: str) -> Lane:
        """Where a task is. Raises NotFound for one outside the scope."""
        known = await self._read(self._memory, self._memory.store.tasks, [task_id])
        lane = self._memory if known else self._durable
        if not await self._covers(lane, task_id):
            raise NotFound(f"no task with the id or name {task_id!r}")
        return lane

    async def _covers(self, lane: Lane, task_id: str) -> bool:
        return self.scope == EVERYTHING or bool(await self._tasks(lane, [task_id]))

    async def _read(self, lane: Lane, function: Callable[..., T], *arguments: object) -> T:
        return await self.world.blocking(function, *arguments, lane=lane.looker)


def _of_person(message: Command) -> Command:
    return evolve(message, actor=actor_of(message.actor))
