"""Days in which nothing happens take no time: while a cluster is quiet, its wall clocks are moved to just before what comes next.

What a cluster does again and again goes by monotonic clocks: sessions, leases, gossip, links. These stand still meanwhile, so
that nobody's session ends in a move, and takeovers take as long as with the sessions of a real cluster. What is due goes by
wall clocks: triggers, retries, handlers that were told to take an hour. Nothing is moved while there is something to be done,
and for a while after each fault.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import count
from typing import Any, Final

import attrs
import trio
import trio.testing

from actors.lanes import NodeConfig
from actors.store.memory import MemoryStore
from actors.store.port import Commit, CommitResult
from runtime.clock import HOUR, MILLISECOND, SECOND, Instant, Micros
from runtime.simulation import SimulatedWorld

from ..stage import Life, Stage
from ..world import NodeWorld

MARGIN: Final = MILLISECOND
"""How long before the next event a move ends, so that it comes by itself."""

CLAIM_SECONDS: Final = 2.5
"""Without a commit for so long, what waits cannot begin now: an offer is tried elsewhere after one second, and the store looked
at every second."""

LOOK_SECONDS: Final = 0.1
"""Between two looks while there is something to be done."""

SWEEP_EVERY: Final = HOUR
"""How often a timer searches the store for what it might have missed: that goes by the wall clock, and nothing gets lost here
that the lookout, which goes by the monotonic one, does not find."""

FAR: Final = Instant(1 << 62)

DUE_READ: Final = 64
"""Tasks read to find what is due next, those that are due already among them."""


class Sleepers:
    """Those who wait for an instant of the true wall clock."""

    def __init__(self) -> None:
        self._heap: list[tuple[Instant, int, trio.Event]] = []
        self._number = count()

    async def until(self, at: Instant) -> None:
        """Wait."""
        event = trio.Event()
        heappush(self._heap, (at, next(self._number), event))
        await event.wait()

    def next(self) -> Instant:
        """When the next one wakes up."""
        return self._heap[0][0] if self._heap else FAR

    def wake(self, now: Instant) -> bool:
        """All whose time has come; answers whether there was one."""
        woken = False
        while self._heap and self._heap[0][0] <= now:
            heappop(self._heap)[2].set()
            woken = True
        return woken


class QuietStore(MemoryStore):
    """Knows when it was last written."""

    written_at = -math.inf

    def commit(self, commit: Commit) -> CommitResult:
        self.written_at = trio.current_time()
        return super().commit(commit)


class QuickStage(Stage):
    """A stage that leaves out what is quiet. `careful_seconds`: how long nothing is left out after a fault, or a beginning."""

    moved = Micros(0)
    careful_seconds = 30.0

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        # Leases are measured by a clock that is not moved.
        steady = SimulatedWorld(f"{self.seed}:store", self.start, origin=0.0)
        self.store = QuietStore(clock=steady.now)
        self.database.store = self.store
        self.sleepers = Sleepers()
        self.skews: dict[str, float] = {}
        self._careful_until = 0.0
        self._arrived_at = 0.0

    def config(self, name: str) -> NodeConfig:
        """What has ended is kept: it is what is told in the end."""
        return attrs.evolve(super().config(name), system_tasks=False, sweep_every=SWEEP_EVERY)

    async def until(self, at: Instant) -> None:
        """Wait for an instant of the true wall clock."""
        if at > self.now():
            await self.sleepers.until(at)

    def careful(self) -> None:
        """Leave nothing out for a while."""
        self._careful_until = trio.current_time() + self.careful_seconds

    def begin(self, name: str) -> None:
        self.careful()
        super().begin(name)

    def kill(self, name: str) -> None:
        self.careful()
        super().kill(name)

    def _new_life(self, name: str) -> Life:
        life = super()._new_life(name)
        self.careful()
        world = life.world = self._new_world(f"{self.seed}:{life.process.name}", life, self.skews.get(name, 0.0))
        world.move(self.moved)
        return life

    def _new_world(self, seed: str, life: Life, skew: float) -> NodeWorld:
        return NodeWorld(seed, life.client, self.start, skew=skew)

    # -- the quiet

    async def hurry(self) -> None:
        """Leave out what is quiet, until cancelled."""
        while True:
            await trio.testing.wait_all_tasks_blocked()
            await trio.sleep(self._look())

    def _look(self) -> float:
        """Wake who is to wake, move the clocks if nothing stands against it; answers the seconds until the next look."""
        now = self.now()
        if self.sleepers.wake(now):
            return 0.0
        alarms = [at for life in self.lives.values() for at in self._alarm(life)]
        coming = min(self.sleepers.next(), *alarms, FAR)
        waits = self._pending(now)
        if trio.current_time() < self._careful_until or self.is_busy() or waits:
            return min(LOOK_SECONDS, _seconds(coming - now))
        coming = min(coming, self._due(now))
        if coming == FAR:
            return LOOK_SECONDS
        if coming - now > 2 * MARGIN:
            self._move(Micros(coming - now - MARGIN))
        return _seconds(coming - self.now())

    def is_busy(self) -> bool:
        """Whether something goes on that goes by monotonic clocks."""
        return False

    def _pending(self, now: Instant) -> bool:
        """Whether something is due and may still be begun: somebody has just written, or will soon."""
        store, at = self.store, trio.current_time()
        skew = max((abs(one) for one in self.skews.values()), default=0.0)
        if at - max(store.written_at, self._arrived_at) < CLAIM_SECONDS + skew and (
            store.due(None, now, 1) or store.outbox_due(now, 1)
        ):
            return True
        return at - store.written_at < CLAIM_SECONDS and bool(store.waiting(1))

    def _due(self, now: Instant) -> Instant:
        later = (at for at, _ in self.store.due(None, FAR, DUE_READ) if at > now)
        outbox = (entry.due for entry in self.store.outbox_due(FAR, DUE_READ))
        return min(next(later, FAR), min((at for at in outbox if at > now), default=FAR))

    def _alarm(self, life: Life) -> Iterator[Instant]:
        """When the next attempt of a life may time out."""
        if life.node is None or life.process.stopped:
            return
        left = life.node.control.deadline() - trio.current_time()
        if 0 < left < math.inf:
            yield Instant(self.now() + max(1, round(left * SECOND)))

    def _move(self, by: Micros) -> None:
        self._arrived_at = trio.current_time()
        self.moved = Micros(self.moved + by)
        self.clock.move(by)
        for life in self.lives.values():
            life.world.move(by)
            if life.node is not None:
                # Attempts go by the monotonic clock: otherwise none would ever time out.
                life.node.control.pass_over(by / SECOND)


def _seconds(span: int) -> float:
    return max(span, 0) / SECOND
