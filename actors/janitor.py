"""The janitor: removes and folds what has been kept long enough, a little at a time, when it is time or somebody asks."""

from __future__ import annotations

import logging
import math
from collections.abc import Collection
from functools import partial
from typing import Final

import attrs
import trio

from runtime.clock import Micros
from runtime.mailbox import Mailbox, ask
from runtime.world import World

from .keeper_messages import Event, Purge
from .lanes import Lane
from .model.lifecycle import State
from .model.retention import FOLDS, PURGES, Cursor, Purged, Retention, Slice, Stage, by_hand

logger = logging.getLogger(__name__)

PURGE_TIMEOUT: Final = 60.0
"""Seconds to wait for one slice; the keeper may be busy with what matters more."""

PAUSE_BETWEEN_SLICES: Final = 0.02
"""Seconds in which the timer's commits go first."""


BY_HAND_SECONDS: Final = 20.0
"""How long one request of a person may purge; below every client's patience, and whoever asks again goes on."""


async def walk(
    keeper: Mailbox[Event],
    retention: Retention,
    world: World,
    stage: Stage,
    task_id: str | None = None,
    deadline: float = math.inf,
) -> tuple[int, bool]:
    """Have a keeper remove what a stage finds, slice by slice; of one task only if one is given.

    deadline: of `trio.current_time`, after which no slice is begun. Answers how much went, and whether the walk came to its end.
    """
    removed = 0
    after: Cursor | None = Cursor()
    while after is not None and trio.current_time() < deadline:
        wanted = Slice(stage, retention, world.now(), task_id, after)
        purged: Purged = await ask(keeper, partial(Purge, wanted), PURGE_TIMEOUT)
        removed += purged.removed
        after = purged.next
        if after is not None:
            await trio.sleep(PAUSE_BETWEEN_SLICES)
    return removed, after is None


@attrs.frozen
class Swept:
    """What a purge removed: rows by stage, and whether it came to its end."""

    removed: dict[Stage, int]
    complete: bool


class Purges:
    """Purges that people and programs ask for, over the lanes of a node."""

    def __init__(self, *lanes: Lane, retention: Retention, world: World) -> None:
        self._lanes = lanes
        self._retention = retention
        self._world = world

    async def purge(
        self, actor: str, task_id: str | None = None, age: Micros | None = None, states: Collection[State] = ()
    ) -> Swept:
        """Remove what the configuration does not keep, or what is older than `age`; see `by_hand`.

        task_id: of this task only. Takes some `BY_HAND_SECONDS` at the most; what is not done then stays for the next time.
        Raises as the store does.
        """
        stages = (Stage.EXECUTIONS, Stage.TASKS) if states else (*PURGES, *FOLDS)
        retention = by_hand(self._retention, age, states)
        deadline = trio.current_time() + BY_HAND_SECONDS
        removed, complete = dict.fromkeys(stages, 0), True
        for lane in self._lanes:
            for stage in stages if task_id is None else [stage for stage in stages if stage is not Stage.AUDITS]:
                number, whole = await walk(lane.keeper.mailbox, retention, self._world, stage, task_id, deadline)
                removed[stage] += number
                complete = complete and whole
        logger.info("%s purged %s: %s", actor, task_id or "all tasks", {str(key): n for key, n in removed.items()})
        return Swept(removed, complete)
