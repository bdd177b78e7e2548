"""The janitor: removes and folds what has been kept long enough, a little at a time."""

from __future__ import annotations

from functools import partial
from typing import Final

import trio

from runtime.mailbox import Mailbox, ask
from runtime.world import World

from .keeper_messages import Event, Purge
from .model.retention import Cursor, Purged, Retention, Slice, Stage

PURGE_TIMEOUT: Final = 60.0
"""Seconds to wait for one slice; the keeper may be busy with what matters more."""

PAUSE_BETWEEN_SLICES: Final = 0.02
"""Seconds in which the timer's commits go first."""


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
