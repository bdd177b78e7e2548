"""The coordinator: takes the partitions that this node may have, and sees to what their former owners left behind."""

from __future__ import annotations

import logging
from typing import Final, assert_never

import trio

from runtime.actor import Actor
from runtime.coordination import Coordination
from runtime.coordination_messages import CoordinationEvent, Member
from runtime.mailbox import Mailbox
from runtime.world import World

from .addresses import hint
from .coordinator_core import CoordinatorCore
from .coordinator_messages import Adopt, Announce, Directive, Event, Raise, Raised
from .keeper_messages import Event as KeeperEvent
from .keeper_messages import Own, Recover
from .store.port import Store
from .timer_messages import Event as TimerEvent
from .timer_messages import Owned

logger = logging.getLogger(__name__)

SLICE: Final = 256
"""Tasks recovered in one message: a transaction of a few milliseconds, behind the timer's."""

RECOVERY_LIMIT: Final = 1_000_000
"""Orphans looked for at once; there are at most as many as the dead nodes had slots."""


class Coordinator(Actor[Event]):
    """See the module's docstring."""

    def __init__(
        self,
        name: str,
        *,
        boot: str,
        node: str,
        partitions: int,
        coordination: Coordination,
        store: Store,
        world: World,
        keeper: Mailbox[KeeperEvent],
        timer: Mailbox[TimerEvent],
        writer: str,
        reader: str,
    ) -> None:
        super().__init__(name, deadline_seconds=60.0)
        self._boot = boot
        self._node = node
        self._partitions = partitions
        self._coordination = coordination
        self._store = store
        self._world = world
        self._keeper = keeper
        self._timer = timer
        self._writer = writer
        self._reader = reader
        self._core = CoordinatorCore()
        self._nursery: trio.Nursery

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Work until stopped, in a session of its own."""
        async with trio.open_nursery() as self._nursery:
            await super().run(task_status=task_status)
            self._nursery.cancel_scope.cancel()

    async def started(self) -> None:
        """A new session; what it is granted is taken anew, under higher epochs."""
        self._core = CoordinatorCore()
        events = await self._coordination.join(Member(self._boot, self._node))
        self._nursery.start_soon(self._listen, events)
        former = await self._world.blocking(self._store.last_grants, lane=self._reader)
        await self._coordination.request(former)

    async def _listen(self, events: trio.MemoryReceiveChannel[CoordinationEvent]) -> None:
        async for event in events:
            await self.mailbox.tell(event)

    async def receive(self, message: Event) -> None:
        """Decide and carry out."""
        for directive in self._core.handle(message):
            await self._perform(directive)

    async def _perform(self, directive: Directive) -> None:
        match directive:
            case Raise(grants=grants):
                epochs = await self._world.blocking(self._store.raise_epochs, grants, self._boot, lane=self._writer)
                await self.receive(Raised(epochs, frozenset(grants)))
            case Announce(epochs=epochs):
                await self._keeper.tell(Own(epochs))
                hint(self._timer, Owned(tuple(sorted(epochs)), everything=len(epochs) == self._partitions))
            case Adopt():
                await self._adopt()
            case _:
                assert_never(directive)

    async def _adopt(self) -> None:
        live = [member.boot for member in self._coordination.members()]
        orphans = await self._world.blocking(self._store.orphans, live, RECOVERY_LIMIT, lane=self._reader)
        if orphans:
            logger.info("Tasks that ran under a process that died: %d", len(orphans))
        for start in range(0, len(orphans), SLICE):
            await self._keeper.tell(Recover(tuple(orphans[start : start + SLICE]), frozenset(live)))
