"""The janitor: removes and folds what has been kept long enough, a little at a time."""

from __future__ import annotations

import logging
from functools import partial
from typing import Final

import trio

from runtime.clock import Micros
from runtime.mailbox import Mailbox, ask
from runtime.world import World

from .keeper_messages import Event, Purge
from .model.lifecycle import State
from .model.retention import FINAL_STATES, KEEP_LAST, Cursor, Keep, Purged, Retention, Slice, Stage

logger = logging.getLogger(__name__)

PURGE_TIMEOUT: Final = 60.0
"""Seconds to wait for one slice; the keeper may be busy with what matters more."""

PAUSE_BETWEEN_SLICES: Final = 0.02
"""Seconds in which the timer's commits go first."""


def retention_of(keep_for: Micros, newest: int) -> Retention:
    """What is kept where everything has one time, and each task's `newest` stay in any case."""
    usual, counted = Keep(keep_for), Keep(keep_for, max(KEEP_LAST, newest))
    states = {state: counted if state is State.COMPLETED else usual for state in FINAL_STATES}
    return Retention(states, counted, usual, tasks=keep_for, newest=newest)


async def walk(
    keeper: Mailbox[Event], retention: Retention, world: World, stage: Stage, task_id: str | None = None
) -> int:
    """Have a keeper remove what a stage finds, slice by slice; of one task only if one is given. Answers how much went."""
    removed = 0
    after: Cursor | None = Cursor()
    while after is not None:
        wanted = Slice(stage, retention, world.now(), task_id, after)
        purged: Purged = await ask(keeper, partial(Purge, wanted), PURGE_TIMEOUT)
        removed += purged.removed
        after = purged.next
        if after is not None:
            await trio.sleep(PAUSE_BETWEEN_SLICES)
    return removed
