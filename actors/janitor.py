"""The janitor: removes what has been kept long enough, a little at a time."""

from __future__ import annotations

import logging
from typing import Final

import trio

from runtime.clock import Instant, Micros
from runtime.errors import TocsinError
from runtime.mailbox import Mailbox, ask
from runtime.world import World

from .keeper_messages import Event, Purge

logger = logging.getLogger(__name__)

PURGE_BATCH: Final = 500
"""Executions removed in one transaction: a few milliseconds of the writer's time."""

PURGE_TIMEOUT: Final = 60.0
"""Seconds to wait for one slice; the keeper may be busy with what matters more."""

PAUSE_BETWEEN_SLICES: Final = 0.05
"""Seconds in which the timer's commits go first."""


class Janitor:
    """A child of the supervisor. `every_seconds` between rounds; `ttl` in microseconds; `keep` newest executions of a task."""

    def __init__(
        self, *, world: World, keepers: tuple[Mailbox[Event], ...], every_seconds: float, ttl: Micros, keep: int
    ) -> None:
        self._world = world
        self._keepers = keepers
        self._every = every_seconds
        self._ttl = ttl
        self._keep = keep

    async def run(self) -> None:
        """Purge now and then, until cancelled. A round that fails is tried again at the next one."""
        while True:
            await trio.sleep(self._every)
            for keeper in self._keepers:
                try:
                    await self._purge(keeper)
                except TocsinError as error:
                    logger.warning("the purge stopped: %s", error)

    async def _purge(self, keeper: Mailbox[Event]) -> None:
        before = Instant(self._world.now() - self._ttl)
        total = 0
        while True:
            gone: int = await ask(keeper, lambda reply: Purge(before, self._keep, PURGE_BATCH, reply), PURGE_TIMEOUT)
            total += gone
            if gone < PURGE_BATCH:
                break
            await trio.sleep(PAUSE_BETWEEN_SLICES)
        if total:
            logger.info("purged %d executions that ended before %s", total, before)
