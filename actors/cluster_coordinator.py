"""The coordinator of a node in a cluster: carries out what `cluster_coordinator_core` decides."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Final, assert_never

import attrs
import trio

from runtime.actor import Actor
from runtime.coordination import Coordination
from runtime.coordination_messages import CoordinationEvent, Member
from runtime.errors import ActorStopped, Conflict, LeaseLost, StoreUnavailable
from runtime.mailbox import Mailbox
from runtime.registry_messages import RegistryUnavailable
from runtime.world import World

from . import cluster_coordinator_messages as words
from .addresses import hint
from .cluster_coordinator_core import ClusterCoordinatorCore, Lease, fence_above
from .cluster_coordinator_messages import Directive, Event, Work
from .coordinator import RECOVERY_LIMIT, SLICE
from .keeper_messages import Event as KeeperEvent
from .keeper_messages import Own, Recover
from .rhythm import Rhythm
from .sharing_messages import ZonesSwitched
from .store.shared import SharedStore
from .timer_messages import Event as TimerEvent
from .timer_messages import Owned

logger = logging.getLogger(__name__)

LEASES: Final = "leases"
"""The lane of the world in which leases are written: a renewal must not wait for commits."""

LEAVE_SECONDS: Final = 2.0
"""What a node that stops gives coordination and store to hear of it; past it they find out by themselves."""


@attrs.frozen
class LeaseCalls:
    """What the node is told of its lease, in the loop, at once.

    new_boot: a boot id for another life. doubted: end what runs. trusted: it may run again, under this boot id. lost: (former
    boot, new boot).
    """

    new_boot: Callable[[], str]
    doubted: Callable[[], None]
    trusted: Callable[[str], None]
    lost: Callable[[str, str], None]


class ClusterCoordinator(Actor[Event]):
    """See the module's docstring. `member`: with the weight and the attributes that it takes part with, the version of its time
    zone database among them (`ZONES_ATTRIBUTE`)."""

    def __init__(
        self,
        name: str,
        *,
        member: Member,
        partitions: int,
        coordination: Coordination,
        store: SharedStore,
        world: World,
        keeper: Mailbox[KeeperEvent],
        timer: Mailbox[TimerEvent],
        writer: str,
        reader: str,
        calls: LeaseCalls,
        lease: Lease | None = None,
        rhythm: Rhythm | None = None,
    ) -> None:
        super().__init__(name, deadline_seconds=60.0)
        self._member = member
        self._partitions = partitions
        self._coordination = coordination
        self._store = store
        self._world = world
        self._keeper = keeper
        self._timer = timer
        self._writer = writer
        self._reader = reader
        self._calls = calls
        self._lease = lease or Lease()
        self._rhythm = rhythm or Rhythm()
        self._core = ClusterCoordinatorCore(member, self._lease, self._rhythm.renew_seconds)
        self._nursery: trio.Nursery

    # -- what there is to see

    @property
    def boot(self) -> str:
        """The boot id in use."""
        return self._core.boot

    @property
    def problem(self) -> str | None:
        """Why this node owns nothing, or does not take part."""
        return self._core.problem

    @property
    def in_doubt(self) -> bool:
        """Whether the lease may have lapsed: nothing may be started."""
        return self._core.in_doubt

    async def raise_fence(self) -> None:
        """An operator's word after a loss of authority: the epochs of the store are above all that were ever handed out now.

        Raises StoreUnavailable and RegistryUnavailable; may be done again.
        """
        epochs = await self._world.blocking(self._store.epochs, lane=self._reader)
        above = fence_above(epochs, await self._coordination.recorded())
        await self._world.blocking(self._store.raise_floor, above, lane=self._writer)
        await self._coordination.record(await self._world.blocking(self._store.epochs, lane=self._reader))
        logger.warning("The fence was raised above every epoch of %d partitions", len(above))

    # -- the loop

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Work until stopped."""
        async with trio.open_nursery() as self._nursery:
            await super().run(task_status=task_status)
            self._nursery.cancel_scope.cancel()

    async def started(self) -> None:
        """Nothing is owned at the beginning, also after a crash; the lease goes on under the boot id that was used last."""
        self._member = attrs.evolve(self._member, boot=self._core.boot)
        former = self._core
        self._core = ClusterCoordinatorCore(self._member, self._lease, self._rhythm.renew_seconds)
        self._core.inherit(former)
        await self._announce(self._core.boot, {})
        self._nursery.start_soon(self._tick)

    async def stopping(self) -> None:
        """Nothing runs here any more: others need not wait for session and lease to end. Not if it is to run on soon."""
        if self._suspended:
            return
        with trio.move_on_after(LEAVE_SECONDS), suppress(RegistryUnavailable, StoreUnavailable):
            await self._coordination.leave()
            await self._world.blocking(self._store.leave, self._core.boot, lane=LEASES, abandon=True)

    async def _tick(self) -> None:
        while True:
            hint(self.mailbox, words.Tick())
            await trio.sleep(self._rhythm.watch_seconds)

    async def _listen(self, events: trio.MemoryReceiveChannel[CoordinationEvent]) -> None:
        async for event in events:
            await self._tell(event)

    async def _tell(self, event: Event) -> None:
        with suppress(ActorStopped):
            await self.mailbox.tell(event)

    async def receive(self, message: Event) -> None:
        """Decide and carry out."""
        status = self._coordination.status()
        leads = status.trusted and status.leader == self._member.name
        for directive in self._core.handle(message, self._world.monotonic(), leads=leads):
            await self._perform(directive)

    async def _perform(self, directive: Directive) -> None:
        match directive:
            case words.Join(member=member):
                self._nursery.start_soon(self._listen, await self._coordination.join(member))
            case words.Declare(member=member):
                await self._coordination.describe(member)
            case words.Release(slots=slots):
                await self._coordination.released(slots)
            case words.Announce(boot=boot, epochs=epochs):
                await self._announce(boot, dict(epochs))
            case words.DoubtLease():
                logger.warning("The lease of this process was not renewed in time: what runs is ended")
                self._calls.doubted()
            case words.TrustLease():
                logger.warning("The lease of this process is renewed again")
                self._calls.trusted(self._core.boot)
            case words.LoseLease(former=former, boot=boot):
                logger.error(
                    "This process counts as dead, its lease had lapsed: it goes on as %s, not as %s", boot, former
                )
                self._calls.lost(former, boot)
            case words.TellZones():
                logger.warning("The cluster has the time zone database of this node now: next fires are computed anew")
                await self._keeper.tell(ZonesSwitched())
            case words.Complain(problem=problem):
                self._complain(problem)
            case _:
                self._nursery.start_soon(self._do, directive)

    def _complain(self, problem: str | None) -> None:
        if problem is None:
            logger.warning("What kept this node from owning anything is over")
        else:
            logger.error("This node owns nothing: %s", problem)

    async def _announce(self, boot: str, epochs: dict[int, int]) -> None:
        await self._keeper.tell(Own(epochs, boot))
        hint(self._timer, Owned(tuple(sorted(epochs)), everything=len(epochs) == self._partitions))

    # -- work

    async def _do(self, work: Work) -> None:
        try:
            answer = await self._answer(work)
        except (StoreUnavailable, RegistryUnavailable) as error:
            logger.debug("No answer for %s: %r", work, error)
            answer = words.Unanswered(work)
        await self._tell(answer)

    async def _answer(self, work: Work) -> Event:
        match work:
            case words.Enrol(boot=boot):
                return await self._enrol(boot)
            case words.Renew(boot=boot):
                sent = self._world.monotonic()
                if await self._world.blocking(self._store.renew, boot, self._lease.seconds, lane=LEASES):
                    return words.Renewed(boot, sent)
                return words.Buried(boot, self._calls.new_boot())
            case words.Compare():
                try:
                    return await self._compare()
                except Conflict as error:
                    return words.Foreign(str(error))
            case words.See():
                shared = await self._world.blocking(self._store.shared, lane=self._reader)
                return words.Seen(shared.timezone_database)
            case words.Ask():
                former = await self._world.blocking(self._store.last_grants, lane=self._reader)
                await self._coordination.request(former)
                return words.Asked()
            case words.Raise(boot=boot, grants=grants):
                epochs = await self._world.blocking(self._store.raise_epochs, grants, boot, lane=self._writer)
                return words.Raised(boot, epochs, grants)
            case words.Record(epochs=epochs):
                await self._coordination.record(epochs)
                return words.Recorded(epochs)
            case words.Sweep():
                return await self._sweep(work)
            case words.Switch(timezone_database=version):
                await self._world.blocking(self._store.record_timezone_database, version, lane=self._writer)
                logger.warning("All nodes have the time zone database %s: it is the cluster's from now on", version)
                return words.Switched()
            case _:
                assert_never(work)

    async def _enrol(self, boot: str) -> Event:
        sent = self._world.monotonic()
        name, seconds = self._member.name, self._lease.seconds
        try:
            await self._world.blocking(self._store.enrol, boot, name, seconds, lane=LEASES)
        except Conflict as error:
            return words.Refused(boot, str(error))
        except LeaseLost:
            return words.Buried(boot, self._calls.new_boot())
        return words.Enrolled(boot, sent)

    async def _compare(self) -> words.Compared:
        """The order matters: see the core."""
        before = await self._world.blocking(self._store.epochs, lane=self._reader)
        recorded = await self._coordination.recorded()
        after = await self._world.blocking(self._store.epochs, lane=self._reader)
        return words.Compared(before, recorded, after)

    async def _sweep(self, sweep: words.Sweep) -> words.Swept:
        alive = await self._world.blocking(self._store.bury, sweep.members, lane=LEASES)
        dead = frozenset(await self._world.blocking(self._store.dead_boots, lane=self._reader))
        if sweep.partitions and dead:
            orphans = await self._world.blocking(
                self._store.orphans, alive, RECOVERY_LIMIT, sweep.partitions, lane=self._reader
            )
            if orphans:
                logger.info("Tasks that ran under a process that died: %d", len(orphans))
            for start in range(0, len(orphans), SLICE):
                await self._keeper.tell(Recover(tuple(orphans[start : start + SLICE]), frozenset(alive), dead))
        return words.Swept(alive)
