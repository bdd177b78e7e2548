"""The timer: tells the keeper which tasks are due, at the instant when they are."""

from __future__ import annotations

import logging
from typing import Final, assert_never

import trio

from runtime.actor import Actor
from runtime.clock import Instant, Micros
from runtime.errors import ActorStopped, TocsinError
from runtime.mailbox import Mailbox
from runtime.world import World

from .addresses import hint
from .keeper_messages import Event as KeeperEvent
from .keeper_messages import SchedulerPaused, Settle
from .store.port import Store
from .timer_core import SWEEP_EVERY, TimerCore
from .timer_messages import Directive, Event, Load, Loaded, Owned, SetAlarm, Tick

logger = logging.getLogger(__name__)

MAILBOX: Final = 100_000
"""Messages that may wait. What does not fit is lost and found again by the sweep of the store."""


class Timer(Actor[Event]):
    """See the module's docstring. `reader`: the lane in which the store is read. `sweep_every`: as of the core."""

    def __init__(
        self,
        name: str,
        *,
        store: Store,
        world: World,
        keeper: Mailbox[KeeperEvent],
        reader: str,
        sweep_every: Micros = SWEEP_EVERY,
    ) -> None:
        super().__init__(name, capacity=MAILBOX)
        self._store = store
        self._world = world
        self._keeper = keeper
        self._reader = reader
        self._sweep_every = sweep_every
        self._core = TimerCore(self._sweep_every)
        self._alarm = world.alarm()
        self._owned = Owned(())
        self._paused = SchedulerPaused(False)
        self._nursery: trio.Nursery

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Work until stopped; the alarm and the reads of the store live in a nursery of their own."""
        async with trio.open_nursery() as self._nursery:
            self._nursery.start_soon(self._alarm.run, self._ring)
            await super().run(task_status=task_status)
            self._nursery.cancel_scope.cancel()

    async def started(self) -> None:
        """A new life: the partitions and the pause as last told; the window is read again."""
        self._core = TimerCore(self._sweep_every)
        self._core.handle(self._paused, self._world.now())
        self._perform_all(self._core.handle(self._owned, self._world.now()))

    async def receive_batch(self, messages: list[Event]) -> None:
        """Hand the batch to the core; only the last of its alarms counts."""
        now = self._world.now()
        handle = self._core.handle
        alarm: SetAlarm | None = None
        for message in messages:
            if isinstance(message, Owned):
                self._owned = message
            elif isinstance(message, SchedulerPaused):
                self._paused = message
            for directive in handle(message, now):
                if isinstance(directive, SetAlarm):
                    alarm = directive
                elif isinstance(directive, Settle):
                    await self._keeper.tell(directive)
                else:
                    self._perform(directive)
        if alarm is not None:
            self._alarm.set(alarm.at)

    def lateness(self) -> Micros:
        """How long the oldest due task has been waiting for its commit."""
        return self._core.lateness(self._world.now())

    def _ring(self) -> None:
        hint(self.mailbox, Tick())

    def _perform_all(self, directives: list[Directive]) -> None:
        for directive in directives:
            self._perform(directive)

    def _perform(self, directive: Directive) -> None:
        match directive:
            case Settle():
                self._keeper.tell_nowait(directive)
            case Load():
                self._nursery.start_soon(self._read, directive)
            case SetAlarm(at=at):
                self._alarm.set(at)
            case _:
                assert_never(directive)

    async def _read(self, load: Load) -> None:
        entries: list[tuple[Instant, str]] = []
        horizon = Instant(0)
        try:
            entries = await self._world.blocking(
                self._store.due, load.partitions, load.until, load.limit, lane=self._reader
            )
            horizon = load.until if len(entries) < load.limit else Instant(entries[-1][0] - 1)
        except TocsinError as error:
            logger.warning("the timer cannot read the store: %s", error)
        try:
            await self.mailbox.tell(Loaded(tuple(entries), horizon))
        except ActorStopped:
            logger.debug("the timer stopped while it read its window")
