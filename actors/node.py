"""The node: composition root, supervision tree as data, ordered start, drain, shutdown.

A node has two lanes of the same actors: the durable one over its store, and the memory one, whose tasks live as long as the
process. Each lane is a supervisor with keeper, coordinator, timer and executor; beside them stand what serves both: herald,
system tasks, watchdog. They start in this order and stop in reverse.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from types import MappingProxyType
from typing import Final, TypeVar

import attrs
import trio

from runtime.clock import SECOND, Instant, Micros
from runtime.errors import NotFound, TocsinError
from runtime.mailbox import Reply, ask
from runtime.records import evolve
from runtime.supervisor import ChildSpec, Snapshot, Supervisor, TaskChild
from runtime.watchdog import COMPLAIN_ABOUT_STALL_SECONDS, Watchdog
from runtime.world import INLINE, RealWorld, World

from .calendar_library import CalendarLibrary
from .command_messages import Command
from .executor_messages import Drain
from .handling.catalogue import Catalogue
from .handling.hooks import HOOK_THREADS, HOOKS_LANE
from .handling.runners.thread import lane_of
from .handling.tools import Tools
from .herald import Herald
from .herald_delivery import Deliveries
from .herald_hooks import OutcomeHooks
from .herald_messages import Perform, TopicMessage
from .herald_tasks import task_runner
from .janitor import Purges
from .keeper_messages import CreateTasks, StopClaiming
from .lane_control import LaneControl
from .lanes import ASK_SECONDS, READS, WRITER, Lane, NodeConfig, new_lane
from .model.calendar import Calendar
from .model.event import Action, Topic
from .model.event import RunTask as RunTaskAction
from .model.execution import Execution, WaitsFor
from .model.system import actor_of
from .model.task import Definition, Task
from .rules.dependencies import judge
from .store.answers import Counts, ExecutionDetail, Identity, LogLine, OutcomeRow, Revision, TaskFilter, TaskPage
from .store.memory import MemoryStore
from .store.port import Commit, DeliveryWrite, SchedulerPause, Store
from .store.sqlite import SqliteStore
from .system_tasks import SystemTasks
from .when.zones import database_version

logger = logging.getLogger(__name__)

T = TypeVar("T")

NO_ACTIONS: Final[Mapping[type[Action], Perform]] = MappingProxyType({})
"""Nothing outside of the node is told."""

LATE_SECONDS: Final = 5.0
"""A due task waiting so long for its commit makes the node unhealthy: the timer is late, whatever the process says."""

MERGE_LIMIT: Final = 10_000
"""How deep a page over stored and memory tasks together may reach; pages of stored tasks alone have no such limit."""

SHORTEST_PREFIX: Final = 8
"""Characters of a task's id that are enough to name it."""


class Node:
    """A running node: what people and programs can ask of it. Every call may raise an error of `runtime/errors.py`."""

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
    ) -> None:
        self.config = config
        self.catalogue = catalogue
        self.world = world
        self.identity = identity
        self.boot = boot
        self.herald = herald
        self._durable = durable
        self._memory = memory
        self._root = root
        self._watchdog = watchdog
        self.calendars = CalendarLibrary(durable, memory, world)
        self.control = LaneControl(durable, memory, world)
        self.purges = Purges(durable, memory, retention=config.retention, world=world)

    def equip(self, tools: Tools) -> None:
        """Say who carries out what handlers ask of the node. Called once, before it starts."""
        for lane in (self._durable, self._memory):
            lane.executor.tools = tools

    # -- changes

    async def create(self, definitions: Sequence[Definition], actor: str) -> list[Task | Exception]:
        """Make tasks, durable when this returns. In the same order: the task, or the error that refused it."""
        actor = actor_of(actor)
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

    async def task(self, reference: str, tenant: str = "") -> Task:
        """The task of this id, unique beginning of an id (8 characters or more), or name. Raises NotFound."""
        for lane in (self._memory, self._durable):
            found = await self._read(lane, lane.store.tasks, [reference])
            if not found and (task_id := await self._read(lane, lane.store.find, tenant, reference)):
                found = await self._read(lane, lane.store.tasks, [task_id])
            if found:
                return found[0]
        matches = await self._by_prefix(reference)
        if len(matches) != 1:
            problem = "no task" if not matches else f"{len(matches)} tasks"
            short = len(reference) < SHORTEST_PREFIX and not reference.lower().strip("0123456789abcdef")
            hint = f" (the beginning of an id needs {SHORTEST_PREFIX} characters)" if short else ""
            raise NotFound(f"{problem} with the id or name {reference!r}{hint}")
        return matches[0]

    async def _by_prefix(self, prefix: str) -> list[Task]:
        if len(prefix) < SHORTEST_PREFIX:
            return []
        page = await self.page(TaskFilter(id_prefix=prefix.lower(), limit=100))
        return list(page.tasks)

    async def page(self, wanted: TaskFilter) -> TaskPage:
        """One page over stored and memory tasks together, with the true total."""
        everything = attrs.evolve(wanted, offset=0, limit=MERGE_LIMIT)
        memory = await self._read(self._memory, self._memory.store.page, everything)
        if not memory.total:
            return await self._read(self._durable, self._durable.store.page, wanted)
        reach = min(wanted.offset + wanted.limit, MERGE_LIMIT)
        stored = await self._read(self._durable, self._durable.store.page, attrs.evolve(wanted, offset=0, limit=reach))
        merged = sorted([*memory.tasks, *stored.tasks], key=_sort_key(wanted.sort), reverse=wanted.descending)
        chosen = merged[wanted.offset : wanted.offset + wanted.limit]
        return TaskPage(tuple(chosen), memory.total + stored.total)

    async def executions(self, task_id: str, *, offset: int, limit: int) -> tuple[list[Execution], int]:
        """A task's executions, newest first, and their number."""
        lane = await self._lane_of(task_id)
        return await self._read(lane, lambda: lane.store.executions(task_id, offset=offset, limit=limit))

    async def execution(self, execution_id: str) -> ExecutionDetail:
        """One execution in full. Raises NotFound."""
        for lane in (self._memory, self._durable):
            found = await self._read(lane, lane.store.execution, execution_id)
            if found is not None:
                return found
        raise NotFound(f"no execution with the id {execution_id!r}")

    async def logs(self, execution_id: str, *, after: int, limit: int) -> list[LogLine]:
        """Lines that the handler logged, with a sequence above `after`."""
        for lane in (self._memory, self._durable):
            lines = await self._read(lane, partial(lane.store.logs, execution_id, after=after, limit=limit))
            if lines:
                return lines
        return []

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

    async def calendar(self, name: str, version: int | None = None, *, tenant: str = "") -> Calendar | None:
        """A stored calendar, in this version or the newest one; None if there is none."""
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
        """Totals of the store."""
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

    def snapshot(self) -> Snapshot:
        """The tree of actors as it is now."""
        return self._root.snapshot()

    def health(self) -> list[str]:
        """What is not well; empty when all is. Bad when the timer is late, not only when something is gone."""
        complaints = [str(complaint) for complaint in self._watchdog.health()]
        for lane in (self._durable, self._memory):
            if lane.keeper.trouble is not None:
                complaints.append(f"the {lane.name} store cannot commit: {lane.keeper.trouble}")
            if (late := lane.timer.lateness() / SECOND) > LATE_SECONDS:
                complaints.append(f"the {lane.name} timer is late: a due task has been waiting for {late:.1f} s")
        return complaints

    async def drain(self, grace_seconds: float | None = None) -> None:
        """Take nothing new, let handlers come to an end within the drain time, interrupt the rest at no cost to them.

        grace_seconds: another drain time than the configured one; 0 also cuts short a drain that goes on.
        """
        grace = self.config.drain_seconds if grace_seconds is None else grace_seconds
        async with trio.open_nursery() as nursery:
            for lane in (self._durable, self._memory):
                nursery.start_soon(self._drain_lane, lane, grace)

    async def _drain_lane(self, lane: Lane, grace: float) -> None:
        try:
            await lane.keeper.mailbox.tell(StopClaiming())
            await ask(lane.executor.mailbox, lambda reply: Drain(grace, reply), grace + ASK_SECONDS)
        except TocsinError as error:
            logger.warning("the %s lane was not drained: %s", lane.name, error)

    async def _lane_of(self, task_id: str) -> Lane:
        known = await self._read(self._memory, self._memory.store.tasks, [task_id])
        return self._memory if known else self._durable

    async def _read(self, lane: Lane, function: Callable[..., T], *arguments: object) -> T:
        return await self.world.blocking(function, *arguments, lane=lane.reader)


def _sort_key(column: str) -> Callable[[Task], tuple[bool, object]]:
    def key(task: Task) -> tuple[bool, object]:
        owner: object = task.definition if column in ("id", "name", "type", "created_at") else task.state
        value = getattr(owner, column)
        return value is not None, value if value is not None else 0

    return key


def real_world(config: NodeConfig) -> RealWorld:
    """The world of a node in production: one writer, a few readers, the handlers' threads."""
    pools = {lane_of(pool): size for pool, size in config.threads.items()}
    return RealWorld({WRITER: 1, READS: 4, HOOKS_LANE: HOOK_THREADS, **pools})


@asynccontextmanager
async def open_node(
    config: NodeConfig,
    catalogue: Catalogue,
    world: World | None = None,
    *,
    actions: Mapping[type[Action], Perform] = NO_ACTIONS,
    tools: Callable[[Node], Tools] | None = None,
) -> AsyncIterator[Node]:
    """Start a node, run the block, drain and stop the node in order.

    actions: who does what event triggers want done outside of the node; topics and tasks are its own.
    tools: makes what carries out what handlers ask of the node.
    Raises InvalidRequest for a task type whose thread pool there is not, AlreadyRunning if another node holds the data
    directory, StoreDamaged or StoreUnavailable if the store does not open.
    """
    catalogue.check_pools(config.threads)
    world = world or real_world(config)
    world.tune_process()
    async with AsyncExitStack() as stack:
        stack.enter_context(world.lock_directory(config.data))
        store = SqliteStore(
            config.data / "tocsin.db", synchronous=config.synchronous, deliveries_kept=config.deliveries_kept
        )
        stack.callback(store.close)
        identity = await world.blocking(lambda: _open(store, config, world), lane=WRITER)
        paused = await world.blocking(store.scheduler_pause, lane=READS)
        node = _compose(config, catalogue, world, store, identity, actions, paused)
        if tools is not None:
            node.equip(tools(node))
        nursery = await stack.enter_async_context(trio.open_nursery())
        ended = trio.Event()
        await nursery.start(_run_root, node._root, ended)
        try:
            yield node
        finally:
            with trio.CancelScope(deadline=trio.current_time() + config.drain_seconds + ASK_SECONDS, shield=True):
                await node.drain()
                node._root.stop()
                await ended.wait()


def _of_person(message: Command) -> Command:
    return evolve(message, actor=actor_of(message.actor))


async def _run_root(root: Supervisor, ended: trio.Event, *, task_status: trio.TaskStatus[None]) -> None:
    try:
        await root.run(task_status=task_status)
    finally:
        ended.set()


def _open(store: Store, config: NodeConfig, world: World) -> Identity:
    identity = store.open(
        new_cluster_id=world.new_id(), partitions=config.partitions, timezone_database=database_version()
    )
    if identity.timezone_database != database_version():
        logger.warning(
            "the store was last used with the time zone database %s, this node has %s: next fires are computed anew",
            identity.timezone_database,
            database_version(),
        )
    return identity


def _compose(
    config: NodeConfig,
    catalogue: Catalogue,
    world: World,
    store: Store,
    identity: Identity,
    actions: Mapping[type[Action], Perform],
    paused: SchedulerPause | None,
) -> Node:
    boot = world.new_id()
    memory_store = MemoryStore(deliveries_kept=config.deliveries_kept)
    memory_store.open(new_cluster_id=identity.cluster_id, partitions=1, timezone_database=database_version())
    if paused is not None:
        # What was paused by its operator is not half awake after a restart.
        memory_store.commit(Commit({}, pause=paused))
    herald = Herald()
    every = Micros(round(config.purge_every_seconds * SECOND))
    system = SystemTasks(world=world, retention=config.retention, every=every)
    equipped = Catalogue(system.types(), catalogue)
    durable = new_lane(
        "durable",
        config,
        equipped,
        world,
        store,
        identity.partitions,
        boot,
        WRITER,
        READS,
        config.slots,
        zones_changed=identity.timezone_database != database_version(),
    )
    memory = new_lane("memory", config, equipped, world, memory_store, 1, boot, INLINE, INLINE, config.memory_slots)
    lanes = (durable, memory)
    for lane in lanes:
        lane.keeper.connect(executor=lane.executor.mailbox, timer=lane.timer.mailbox, herald=herald.mailbox)
    perform: dict[type[Action], Perform] = {**actions, Topic: herald.publish}
    deliveries = [_deliveries(lane, config, world, perform) for lane in lanes]
    hooks = OutcomeHooks(catalogue, world)
    herald.connect(hooks.hear, *[one.hear for one in deliveries])
    system.connect(*lanes)
    watchdog = Watchdog(
        lambda: root.actor_statistics(),
        on_complaint=lambda complaint: logger.error("%s", complaint),
        on_stall=_log_stall,
        interval_seconds=config.watch_seconds,
    )
    children = [
        *[ChildSpec(lane.supervisor(world, _log_crash), shutdown_seconds=60.0) for lane in lanes],
        ChildSpec(herald),
        ChildSpec(TaskChild("outcome hooks", hooks.run)),
        *[ChildSpec(TaskChild(one.name, one.run)) for one in deliveries],
        *([ChildSpec(TaskChild("system tasks", system.run))] if config.system_tasks else []),
        ChildSpec(watchdog),
    ]
    root = Supervisor("node", children, rng=world.rng("supervisor"), on_crash=_log_crash)
    node = Node(
        config,
        catalogue,
        world,
        identity=identity,
        boot=boot,
        durable=durable,
        memory=memory,
        herald=herald,
        root=root,
        watchdog=watchdog,
    )
    perform[RunTaskAction] = task_runner(node)
    return node


def _deliveries(lane: Lane, config: NodeConfig, world: World, perform: Mapping[type[Action], Perform]) -> Deliveries:
    return Deliveries(
        f"{lane.name} deliveries",
        store=lane.store,
        world=world,
        keeper=lane.keeper.mailbox,
        reader=lane.reader,
        perform=perform,
        look_seconds=config.sweep_every / SECOND,
    )


def _log_stall(seconds: float) -> None:
    level = logging.WARNING if seconds >= COMPLAIN_ABOUT_STALL_SECONDS else logging.DEBUG
    logger.log(level, "the loop came %.3f s late: something in it did not give way", seconds)


def _log_crash(name: str, error: BaseException) -> None:
    logger.error("%s crashed: %r", name, error, exc_info=error)
