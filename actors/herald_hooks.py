"""The hooks that hear what became of occurrences and runs: called after the commit, once, and without any power over it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Final

import trio

from runtime.clock import to_datetime
from runtime.world import World

from .handling.catalogue import Catalogue
from .handling.hooks import Hook, Settled, settled_of
from .handling.runners.hooks import call_hooks
from .keeper_messages import Happened
from .model.execution import Execution
from .model.lifecycle import OPEN_STATES
from .model.occurrence import Settled as Slots
from .model.task import Task, partition_of

logger = logging.getLogger(__name__)

AT_ONCE: Final = 4
"""Outcomes whose hooks are called at the same time: as many as there are threads for hooks. Each task has its place."""

WAITING: Final = 250
"""Outcomes that may wait behind each of them; further ones are not told, and counted."""

Call = tuple[tuple[Hook, ...], Settled]


class OutcomeHooks:
    """See the module's docstring. `errors`: hooks that failed; `dropped`: outcomes of which no hook was told."""

    def __init__(self, catalogue: Catalogue, world: World) -> None:
        self.errors = 0
        self.dropped = 0
        self._catalogue = catalogue
        self._world = world
        self._queues = [trio.open_memory_channel[Call](WAITING) for _ in range(AT_ONCE)]
        self._lingering: set[tuple[str, int]] = set()

    def hear(self, happened: Happened) -> None:
        """Have the hooks of what has ended called."""
        if not self._catalogue.hooks.follow:
            return
        for call in self._calls(happened):
            try:
                self._queues[partition_of(call[1].task_id, AT_ONCE)][0].send_nowait(call)
            except trio.WouldBlock:
                self.dropped += 1
                logger.warning("hooks are too slow: none is told of execution %s", call[1].execution_id)

    async def run(self) -> None:
        """Call hooks until cancelled."""
        async with trio.open_nursery() as nursery:
            for _, calls in self._queues:
                nursery.start_soon(self._work, calls)

    async def _work(self, calls: trio.MemoryReceiveChannel[Call]) -> None:
        while True:
            hooks, settled = await calls.receive()
            await call_hooks(self._world, hooks, (settled,), self._complain)

    def _complain(self, line: str) -> None:
        self.errors += 1
        logger.warning("%s", line)

    def _calls(self, happened: Happened) -> Iterator[Call]:
        tasks = {task.id: task for task in happened.tasks}
        for execution in happened.executions:
            task = tasks.get(execution.task_id)
            if task is not None and (hooks := self._hooks(task)) and self._has_just_ended(execution):
                yield hooks, settled_of(task, execution)
        for row in happened.settled:
            task = tasks.get(row.task_id)
            if task is not None and (hooks := self._hooks(task)):
                yield hooks, _of_slots(task, row)

    def _hooks(self, task: Task) -> tuple[Hook, ...]:
        return self._catalogue.outcome_hooks(task.definition.type, task.definition.name)

    def _has_just_ended(self, execution: Execution) -> bool:
        """An abandoned handler's execution changes once more when the handler returns; that is no second end."""
        if execution.state in OPEN_STATES:
            return False
        attempt = execution.id, execution.fence
        if attempt in self._lingering:
            if not execution.lingers:
                self._lingering.discard(attempt)
            return False
        if execution.lingers:
            self._lingering.add(attempt)
        return True


def _of_slots(task: Task, row: Slots) -> Settled:
    """What hooks hear of slots that did not run; of several in a row, the first one stands for all."""
    return Settled(
        task.id,
        task.definition.name,
        task.definition.type,
        None,
        to_datetime(row.first),
        row.outcome.value,
        row.reason.value,
    )
