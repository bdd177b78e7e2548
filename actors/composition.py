"""The composition root of a node: what it is made of, the supervision tree as data, ordered start, drain, shutdown.

A node has two lanes of the same actors: the durable one over its store, and the memory one, whose tasks live as long as the
process. Each lane is a supervisor with keeper, coordinator, timer and executor; beside them stand what serves both: herald,
system tasks, watchdog. They start in this order and stop in reverse.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from types import MappingProxyType
from typing import Final

import trio

from runtime.clock import SECOND, Micros
from runtime.supervisor import ChildSpec, Supervisor, TaskChild
from runtime.watchdog import COMPLAIN_ABOUT_STALL_SECONDS, Watchdog
from runtime.world import INLINE, RealWorld, World

from .canaries import Canaries, Ping
from .cluster import Cluster, Surroundings
from .cluster_config import ClusterConfig
from .cluster_coordinator import ClusterCoordinator
from .cluster_coordinator_core import Lease
from .handling.catalogue import Catalogue
from .handling.hooks import HOOK_THREADS, HOOKS_LANE
from .handling.runners.thread import lane_of
from .handling.tools import Tools
from .herald import Herald
from .herald_delivery import Deliveries
from .herald_hooks import OutcomeHooks
from .herald_messages import Perform
from .herald_tasks import task_runner
from .job_queue_keeper import JobQueueKeeper
from .lanes import ASK_SECONDS, COMPUTED, LOOKS, LOOKS_AT_ONCE, READS, WRITER, Lane, NodeConfig, Sharing, new_lane
from .model.event import Action, Topic
from .model.event import RunTask as RunTaskAction
from .node import Node
from .outside import Outside
from .rules.placing import Placer
from .store.answers import Identity
from .store.memory import MemoryStore
from .store.port import Commit, SchedulerPause, Store
from .store.sqlite import SqliteStore
from .system_tasks import SystemTasks
from .tracing import Tracer
from .when.zones import database_version

logger = logging.getLogger(__name__)


NO_ACTIONS: Final[Mapping[type[Action], Perform]] = MappingProxyType({})
"""Nothing outside of the node is told."""


CANCELLED_SECONDS: Final = 15.0
"""What a cancelled node gets to end: handlers that do not give way are abandoned after 10 s, and that is to be recorded."""


def real_world(config: NodeConfig) -> RealWorld:
    """The world of a node in production: one writer, a few readers, the handlers' threads."""
    pools = {lane_of(pool): size for pool, size in config.threads.items()}
    own = {WRITER: 1, READS: 4, LOOKS: LOOKS_AT_ONCE, COMPUTED: 1, HOOKS_LANE: HOOK_THREADS}
    return RealWorld({**own, **pools}, serial=(WRITER,))


@asynccontextmanager
async def open_node(
    config: NodeConfig,
    catalogue: Catalogue,
    world: World | None = None,
    *,
    actions: Mapping[type[Action], Perform] = NO_ACTIONS,
    tools: Callable[[Node], Tools] | None = None,
    surroundings: Surroundings | None = None,
    store: Store | None = None,
    ping: Ping | None = None,
    tracer: Tracer | None = None,
) -> AsyncIterator[Node]:
    """Start a node, run the block, drain and stop the node in order.

    A cancelled block is not drained: handlers are interrupted at once, at no cost to their executions, what became of them is
    recorded, and the actors end in order. What does not come to its end within CANCELLED_SECONDS is cut off, and found by the
    next start as after a crash. A cancellation that comes while the node drains cuts the drain short in the same way.

    actions: who does what event triggers want done outside of the node; topics and tasks are its own.
    tools: makes what carries out what handlers ask of the node.
    surroundings: what a node of a cluster stands on, in place of the servers and the network that are configured.
    store: of a node that is alone, in place of the file in its data directory.
    ping: tells somebody outside that the canaries are well, if there is somebody.
    tracer: makes traces of what the node does, if somebody wants them.
    Raises InvalidRequest for a task type whose thread pool there is not, AlreadyRunning if another node holds the data
    directory, StoreDamaged or StoreUnavailable if the store does not open.
    """
    catalogue.check_pools(config.threads)
    world = world or real_world(config)
    world.tune_process()
    async with AsyncExitStack() as stack:
        stack.enter_context(world.lock_directory(config.data))
        if config.cluster is not None and surroundings is None:
            # Loading what speaks to the servers takes longer than starting a node that needs none.
            from .surroundings import real_surroundings

            surroundings = real_surroundings(config, config.cluster, world)
        if surroundings is not None:
            store = surroundings.store
        elif store is None:
            store = sqlite_store(config, world)
        stack.callback(store.close)
        identity = await world.blocking(_open, store, config, world, lane=WRITER)
        paused = await world.blocking(store.scheduler_pause, lane=READS)
        node = _compose(config, catalogue, world, store, identity, actions, paused, surroundings, ping, tracer)
        if tools is not None:
            node.equip(tools(node))
        await stack.enter_async_context(_running(node))
        yield node


@asynccontextmanager
async def _running(node: Node) -> AsyncIterator[None]:
    """The actors of a node while the block runs, and until they have ended in order.

    A cancellation reaches the block only: actors that it reached too could not be asked for anything any more.
    """
    actors, ended = trio.CancelScope(), trio.Event()
    async with trio.open_nursery() as nursery:
        await nursery.start(_run_root, node._root, actors, ended)
        actors.shield = True
        try:
            yield
        finally:
            cancelled = False
            try:
                await node.drain()
            except* trio.Cancelled:
                # It is delivered again at the next checkpoint, when the actors have ended.
                cancelled = True
            actors.deadline = trio.current_time() + (CANCELLED_SECONDS if cancelled else ASK_SECONDS)
            with trio.CancelScope(shield=True):
                if cancelled and not ended.is_set():
                    await node.drain(0.0)
                node._root.stop()
                await ended.wait()


def sqlite_store(config: NodeConfig, world: World) -> SqliteStore:
    """The store of a node that is alone, in its data directory."""
    path = config.data / "tocsin.db"
    return SqliteStore(
        path,
        synchronous=config.synchronous,
        deliveries_kept=config.deliveries_kept,
        secure_delete=config.secure_delete,
        companion=world.companion,
    )


def _sharing(cluster: Cluster) -> Sharing:
    lease = Lease(cluster.config.lease_seconds, cluster.config.store_grace_seconds)
    return Sharing(
        cluster.store, cluster.coordination, cluster.places, lease, cluster.attributes(), cluster.config.rhythm
    )


def _placer(cluster: ClusterConfig, catalogue: Catalogue, world: World) -> Placer:
    return Placer(world.rng("placement"), cluster.rules, catalogue.placements, cluster.strategy)


async def _run_root(
    root: Supervisor, actors: trio.CancelScope, ended: trio.Event, *, task_status: trio.TaskStatus[None]
) -> None:
    try:
        with actors:
            await root.run(task_status=task_status)
        if actors.cancelled_caught:
            logger.warning(
                "the node did not come to its end in time and was cut off: its next start finds what is left"
            )
    finally:
        root.abandon()
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
    surroundings: Surroundings | None,
    ping: Ping | None,
    tracer: Tracer | None,
) -> Node:
    boot = world.new_id()
    memory_store = _memory_store(config, identity, paused)
    herald = Herald()
    every = Micros(round(config.purge_every_seconds * SECOND))
    system = SystemTasks(world=world, retention=config.retention, every=every)
    canaries = Canaries(world=world, config=config.canaries, partitions=identity.partitions, ping=ping)
    equipped = Catalogue((*system.types(), *canaries.types()), catalogue)
    cluster = None if surroundings is None else _cluster(config, surroundings, world, identity, boot, equipped)
    outside = Outside()
    job_queue = None if config.job_queue is None else JobQueueKeeper(config.job_queue, world, config.name)
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
        zones_changed=cluster is None and identity.timezone_database != database_version(),
        sharing=None if cluster is None else _sharing(cluster),
        outside=outside,
        job_queue=job_queue,
    )
    memory = new_lane(
        "memory", config, equipped, world, memory_store, 1, boot, INLINE, INLINE, config.memory_slots, outside=outside
    )
    lanes = (durable, memory)
    for lane in lanes:
        _connect(lane, herald, cluster if lane is durable else None)
    perform: dict[type[Action], Perform] = {**actions, Topic: herald.publish}
    deliveries = [_deliveries(lane, config, world, perform) for lane in lanes]
    hooks = OutcomeHooks(catalogue, world)
    herald.connect(hooks.hear, *[one.hear for one in deliveries], *([] if job_queue is None else [job_queue.hear]))
    if job_queue is not None:
        job_queue.connect(durable.keeper, store, durable.reader)
    system.connect(*lanes)
    canaries.connect(durable)
    watchdog = _watchdog(config, lambda: root)
    children = [
        *(cluster.children() if cluster is not None else ()),
        *[ChildSpec(lane.supervisor(world, _log_crash), shutdown_seconds=60.0) for lane in lanes],
        ChildSpec(herald),
        ChildSpec(TaskChild("outcome hooks", hooks.run)),
        *[ChildSpec(TaskChild(one.name, one.run)) for one in deliveries],
        *_own_tasks(system if config.system_tasks else None, canaries, job_queue),
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
        cluster=cluster,
        canaries=canaries,
        outside=outside,
        job_queue=job_queue,
    )
    perform[RunTaskAction] = task_runner(node)
    _trace(node, tracer, perform)
    return node


def _trace(node: Node, tracer: Tracer | None, perform: dict[type[Action], Perform]) -> None:
    if tracer is not None:
        node.trace(tracer)
        perform.update({action: tracer.delivering(done, node.execution) for action, done in perform.items()})


def _memory_store(config: NodeConfig, identity: Identity, paused: SchedulerPause | None) -> MemoryStore:
    store = MemoryStore(deliveries_kept=config.deliveries_kept)
    store.open(new_cluster_id=identity.cluster_id, partitions=1, timezone_database=database_version())
    if paused is not None:
        # What was paused by its operator is not half awake after a restart.
        store.commit(Commit({}, pause=paused))
    return store


def _watchdog(config: NodeConfig, root: Callable[[], Supervisor]) -> Watchdog:
    return Watchdog(
        lambda: root().actor_statistics(),
        on_complaint=lambda complaint: logger.error("%s", complaint),
        on_stall=_log_stall,
        interval_seconds=config.watch_seconds,
    )


def _own_tasks(system: SystemTasks | None, canaries: Canaries, job_queue: JobQueueKeeper | None) -> list[ChildSpec]:
    children = [] if system is None else [TaskChild("system tasks", system.run), TaskChild("canaries", canaries.run)]
    if job_queue is not None:
        children.append(TaskChild(job_queue.name, job_queue.run))
    return [ChildSpec(child) for child in children]


def _cluster(
    config: NodeConfig, surroundings: Surroundings, world: World, identity: Identity, boot: str, catalogue: Catalogue
) -> Cluster:
    assert config.cluster is not None, "surroundings are for a node of a cluster"
    return Cluster(
        config.cluster,
        surroundings,
        world,
        cluster_id=identity.cluster_id,
        partitions=identity.partitions,
        boot=boot,
        types=catalogue.names(),
        placer=_placer(config.cluster, catalogue, world),
        version=config.version,
        timezone_database=database_version(),
    )


def _connect(lane: Lane, herald: Herald, cluster: Cluster | None) -> None:
    lane.keeper.connect(
        executor=lane.executor.mailbox,
        timer=lane.timer.mailbox,
        herald=herald.mailbox,
        peers=None if cluster is None else cluster.send,
    )
    if cluster is not None:
        assert isinstance(lane.coordinator, ClusterCoordinator)
        cluster.connect(lane.keeper, lane.coordinator, lane.executor.load)


def _deliveries(lane: Lane, config: NodeConfig, world: World, perform: Mapping[type[Action], Perform]) -> Deliveries:
    return Deliveries(
        f"{lane.name} deliveries",
        store=lane.store,
        world=world,
        keeper=lane.keeper.mailbox,
        reader=lane.reader,
        perform=perform,
        look_seconds=config.sweep_every / SECOND,
        partitions=(lambda: lane.keeper.owned) if lane.is_shared else None,
    )


def _log_stall(seconds: float) -> None:
    level = logging.WARNING if seconds >= COMPLAIN_ABOUT_STALL_SECONDS else logging.DEBUG
    logger.log(level, "the loop came %.3f s late: something in it did not give way", seconds)


def _log_crash(name: str, error: BaseException) -> None:
    logger.error("%s crashed: %r", name, error, exc_info=error)
