"""A lane: one store with the four actors that work on it. A node has two, for stored and for memory tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import attrs

from runtime.clock import Micros
from runtime.coordination import Coordination, SoloCoordination
from runtime.coordination_messages import Member
from runtime.supervisor import ChildSpec, Supervisor, TaskChild
from runtime.watchdog import DEFAULT_INTERVAL_SECONDS
from runtime.world import World

from .addresses import hint
from .canaries_core import CanaryConfig
from .cluster_config import ClusterConfig
from .cluster_coordinator import ClusterCoordinator, LeaseCalls
from .cluster_coordinator_core import Lease
from .coordinator import Coordinator
from .executor import Executor
from .executor_core import LOST_LEASE
from .handling.catalogue import DEFAULT_POOL, Catalogue
from .job_queue import JobQueueConfig
from .job_queue_keeper import JobQueueKeeper
from .keeper import Keeper
from .keeper_core import KeeperCore
from .keeper_places import ClusterPlaces
from .lookout import Lookout
from .model.outside import HeldLimits
from .model.retention import Retention
from .outside import Outside
from .rhythm import Rhythm
from .rules.catching_up import CATCH_UP_BURST, CATCH_UP_RATE, CATCH_UP_RUNNING, Governor
from .sharing_messages import LeaseDoubted
from .store.port import DEFAULT_PARTITIONS, DELIVERIES_KEPT, Store
from .store.shared import SharedStore
from .timer import Timer
from .timer_core import SWEEP_EVERY

WRITER: Final = "writer"
READS: Final = "reads"
LOOKS: Final = "looks"
LOOKS_AT_ONCE: Final = 2
"""Questions of people and programs to the store at the same time. They have threads of their own, so that what the actors ask
never waits behind a page; and few, because each thread that works takes its turn of the interpreter from the loop."""

COMPUTED: Final = "computed"
"""What is computed for people and programs and asks nobody: plans, previews, load. One thread, for the same reason."""

ASK_SECONDS: Final = 30.0
"""How long a person's or program's request may wait for its commit: far above a busy store, below an HTTP client's patience."""


LATE_SECONDS: Final = 5.0
"""What is due and waits so long makes the node unhealthy: the timer is late, whatever the process says."""


@attrs.frozen
class NodeConfig:
    """What a node needs to know to start.

    `name`: unique in the cluster. `data`: the directory it owns. `slots` / `memory_slots`: attempts at the same time per lane.
    `threads`: sync handlers at the same time, by pool. `drain_seconds`: what running handlers get to come to an end.
    `retention`: how long what has ended is kept, and how much of it; `deliveries_kept`: records of deliveries of each task.
    `queues`: how many executions of a queue run at once, where that is limited. `catch_up_*`: how fast what a downtime or a
    pause has delayed is made up for, and how much of it runs at once. `sweep_every`: how often the store is searched for what
    is overdue; `watch_seconds`: how often the watchdog looks. `system_tasks`: whether the node makes its own tasks, which purge
    and fold every `purge_every_seconds`; without them it keeps everything. `canaries`: which of them there
    are, if any. `cluster`: the node is one of several; `version`: of the program, as others see it.
    `job_queue`: a queue of the user's own, which says who of the stored tasks is given next. `late_seconds`: how long what is due
    may wait before the node is not well.
    """

    data: Path
    name: str = "node-1"
    slots: int = 1_000
    memory_slots: int = 1_000
    threads: Mapping[str, int] = attrs.field(factory=lambda: {DEFAULT_POOL: 16})
    drain_seconds: float = 5.0
    system_tasks: bool = True
    purge_every_seconds: float = 60.0
    retention: Retention = attrs.field(factory=Retention)
    deliveries_kept: int = DELIVERIES_KEPT
    partitions: int = DEFAULT_PARTITIONS
    synchronous: str = "FULL"
    secure_delete: bool = False
    sweep_every: Micros = SWEEP_EVERY
    watch_seconds: float = DEFAULT_INTERVAL_SECONDS
    queues: Mapping[str, int] = attrs.field(factory=dict)
    catch_up_rate: float = CATCH_UP_RATE
    catch_up_burst: int = CATCH_UP_BURST
    catch_up_running: int = CATCH_UP_RUNNING
    canaries: CanaryConfig | None = None
    cluster: ClusterConfig | None = None
    version: str = ""
    job_queue: JobQueueConfig | None = None
    late_seconds: float = LATE_SECONDS


@attrs.frozen
class Sharing:
    """What a lane needs to know to work on a store together with those of other nodes."""

    store: SharedStore
    coordination: Coordination
    places: ClusterPlaces
    lease: Lease
    attributes: Mapping[str, str]
    rhythm: Rhythm


@attrs.frozen
class Lane:
    """One store with the actors that work on it."""

    name: str
    store: Store
    keeper: Keeper
    timer: Timer
    executor: Executor
    coordinator: Coordinator | ClusterCoordinator
    reader: str
    lookout: Lookout | None = None
    shared: SharedStore | None = None

    @property
    def looker(self) -> str:
        """Where people and programs ask the store: apart from what its actors wait for."""
        return LOOKS if self.reader == READS else self.reader

    @property
    def is_shared(self) -> bool:
        """Whether other nodes work on the same store."""
        return self.shared is not None

    def supervisor(self, world: World, on_crash: Callable[[str, BaseException], None]) -> Supervisor:
        """The lane's part of the tree, in the order of starting."""
        children = [
            ChildSpec(self.keeper, shutdown_seconds=30.0),
            ChildSpec(self.coordinator),
            ChildSpec(self.timer),
            ChildSpec(self.executor, shutdown_seconds=10.0),
        ]
        if self.lookout is not None:
            children.append(ChildSpec(TaskChild(self.lookout.name, self.lookout.run)))
        return Supervisor(self.name, children, rng=world.rng(f"supervisor {self.name}"), on_crash=on_crash)


def new_lane(
    name: str,
    config: NodeConfig,
    catalogue: Catalogue,
    world: World,
    store: Store,
    partitions: int,
    boot: str,
    writer: str,
    reader: str,
    slots: int,
    zones_changed: bool = False,
    sharing: Sharing | None = None,
    outside: Outside | None = None,
    job_queue: JobQueueKeeper | None = None,
) -> Lane:
    """The actors of one lane, not started yet. `writer` and `reader`: the world's lanes in which the store is called.

    `zones_changed`: the store was last used with another time zone database. `sharing`: with whom the store is shared.
    `outside`: what workers outside of the node do, of all its lanes. `job_queue`: asks a queue of the user's who is next.
    """

    limits = HeldLimits(config.queues)

    def new_core() -> KeeperCore:
        return KeeperCore(
            boot=boot,
            node=config.name,
            partitions=partitions,
            random=world.rng("retries"),
            new_id=world.new_id,
            runs=catalogue.__contains__,
            queues=limits if job_queue is None else job_queue.new_queues(limits),
            recovering=config.catch_up_running,
            governor=Governor(config.catch_up_rate, config.catch_up_burst),
            zones_changed=zones_changed,
            places=None if sharing is None else sharing.places,
        )

    async def load_checkpoint(execution_id: str) -> str | None:
        return await world.blocking(store.checkpoint, execution_id, lane=reader)

    keeper = Keeper(
        f"{name} keeper",
        store=store,
        world=world,
        types=catalogue.names,
        new_core=new_core,
        writer=writer,
        reader=reader,
        shared=None if sharing is None else sharing.store,
    )
    timer = Timer(
        f"{name} timer", store=store, world=world, keeper=keeper.mailbox, reader=reader, sweep_every=config.sweep_every
    )
    executor = Executor(
        world,
        catalogue,
        keeper.mailbox,
        load_checkpoint,
        name=f"{name} executor",
        node=config.name,
        slots=slots,
        outside=outside,
    )
    if sharing is not None:
        return _shared_lane(name, config, world, partitions, boot, writer, reader, sharing, keeper, timer, executor)
    coordinator = Coordinator(
        f"{name} coordinator",
        boot=boot,
        node=config.name,
        partitions=partitions,
        coordination=SoloCoordination(partitions),
        store=store,
        world=world,
        keeper=keeper.mailbox,
        timer=timer.mailbox,
        writer=writer,
        reader=reader,
    )
    return Lane(name, store, keeper, timer, executor, coordinator, reader)


def _doubt(keeper: Keeper, executor: Executor) -> None:
    """Others may count this process as dead: nothing is begun, and what runs is ended."""
    hint(keeper.mailbox, LeaseDoubted(True))
    executor.interrupt_all(LOST_LEASE)


def _trust(keeper: Keeper, executor: Executor, boot: str) -> None:
    executor.trust(boot)
    hint(keeper.mailbox, LeaseDoubted(False))


def _begin_anew(keeper: Keeper, executor: Executor, boot: str) -> None:
    """This process counted as dead, and goes on under another boot id, which the keeper hears of with what is owned."""
    _doubt(keeper, executor)
    executor.trust(boot)


def _shared_lane(
    name: str,
    config: NodeConfig,
    world: World,
    partitions: int,
    boot: str,
    writer: str,
    reader: str,
    sharing: Sharing,
    keeper: Keeper,
    timer: Timer,
    executor: Executor,
) -> Lane:
    coordinator = ClusterCoordinator(
        f"{name} coordinator",
        member=Member(boot, config.name, 1, sharing.attributes),
        partitions=partitions,
        coordination=sharing.coordination,
        store=sharing.store,
        world=world,
        keeper=keeper.mailbox,
        timer=timer.mailbox,
        writer=writer,
        reader=reader,
        calls=LeaseCalls(
            new_boot=world.new_id,
            doubted=lambda: _doubt(keeper, executor),
            trusted=lambda boot: _trust(keeper, executor, boot),
            lost=lambda former, new: _begin_anew(keeper, executor, new),
        ),
        lease=sharing.lease,
        rhythm=sharing.rhythm,
    )
    lookout = Lookout(
        f"{name} lookout",
        store=sharing.store,
        world=world,
        keeper=keeper.mailbox,
        partitions=lambda: keeper.owned,
        boot=lambda: keeper.boot,
        pauses=lambda: keeper.claims.pauses,
        running=lambda: executor.core.task_ids,
        reader=reader,
        look_seconds=sharing.rhythm.look_seconds,
    )
    return Lane(name, sharing.store, keeper, timer, executor, coordinator, reader, lookout, sharing.store)
