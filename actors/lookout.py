"""The lookout of a node that shares its store: looks once a second, and listens for wake-ups, so that the keeper need not poll.

A wake-up that is lost costs no more than the time between two looks.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

import trio

from runtime.errors import TocsinError
from runtime.mailbox import Mailbox
from runtime.world import World

from .addresses import hint
from .keeper_messages import Event as KeeperEvent
from .sharing_messages import Changed, Observed
from .store.shared import SharedStore

logger = logging.getLogger(__name__)

WAKES: Final = "wakes"
"""The lane of the world in which wake-ups are waited for: one thread."""

LISTEN_SECONDS: Final = 5.0
"""How long one call waits for wake-ups: between two of them the connection is looked after."""

AGAIN_SECONDS: Final = 0.5
"""Before the store is asked again after it failed."""

WAITING_READ: Final = 1_000
"""Waiting tasks read in one look, those that come first: a read of some milliseconds."""

STOPPING_READ: Final = 1_000
"""Tasks read in one look whose attempts here are to stop; the next look finds the others."""

RUNNING_READ: Final = 1_000
"""Tasks that run here whose rows are looked for in one look."""

CHANGED_AT_ONCE: Final = 256
"""Tasks in one message to the keeper: half of its slice."""


class Lookout:
    """See the module's docstring. `partitions`, `boot`, `pauses`, `running`: what the node owns and is, how often it was paused
    or resumed, and the tasks that run here, at the time of the look. `look_seconds`: between two looks."""

    def __init__(
        self,
        name: str,
        *,
        store: SharedStore,
        world: World,
        keeper: Mailbox[KeeperEvent],
        partitions: Callable[[], tuple[int, ...]],
        boot: Callable[[], str],
        pauses: Callable[[], int],
        running: Callable[[], frozenset[str]],
        reader: str,
        look_seconds: float,
    ) -> None:
        self.name = name
        self._store = store
        self._world = world
        self._keeper = keeper
        self._partitions = partitions
        self._boot = boot
        self._pauses = pauses
        self._running = running
        self._ran: frozenset[str] = frozenset()
        self._reader = reader
        self._look_seconds = look_seconds

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Work until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen)
            task_status.started()
            while True:
                await self._look()
                await trio.sleep(self._look_seconds)

    async def _look(self) -> None:
        try:
            hint(self._keeper, await self._world.blocking(self._observe, lane=self._reader))
            if gone := await self._deleted():
                hint(self._keeper, Changed(gone))
        except TocsinError as error:
            logger.warning("the store cannot be looked at: %s", error)

    async def _deleted(self) -> tuple[str, ...]:
        """Tasks that run here and are not in the store any more: what a deletion leaves behind where its wake-up was lost.

        Only those that ran at the last look too, so that this costs nothing where handlers are brief.
        """
        running = self._running()
        lasting, self._ran = sorted(self._ran & running)[:RUNNING_READ], running
        if not lasting:
            return ()
        found = await self._world.blocking(self._store.tasks, lasting, lane=self._reader)
        return tuple(sorted(set(lasting) - {task.id for task in found}))

    def _observe(self) -> Observed:
        pauses = self._pauses()
        shared = self._store.shared()
        owned = self._partitions()
        waiting = self._store.waiting(WAITING_READ, None, owned) if owned else []
        stopping = self._store.told_to_stop(self._boot(), STOPPING_READ)
        complete = len(waiting) < WAITING_READ
        return Observed(shared.pause, shared.graph, shared.calendars, tuple(waiting), complete, tuple(stopping), pauses)

    async def _listen(self) -> None:
        while True:
            try:
                # A thread that waits must not hold up the end of the node.
                found = await self._world.blocking(self._store.wakes, LISTEN_SECONDS, lane=WAKES, abandon=True)
            except TocsinError as error:
                logger.debug("no wake-ups for now: %s", error)
                await trio.sleep(AGAIN_SECONDS)
                continue
            if found is None:
                return
            for start in range(0, len(found), CHANGED_AT_ONCE):
                hint(self._keeper, Changed(tuple(found[start : start + CHANGED_AT_ONCE])))
