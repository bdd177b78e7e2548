"""The journal: the newest changes that this node has committed, numbered, for those who follow what happens.

It holds references to records that exist anyhow and is a ring, so a change costs a slot of a list and nothing is encoded before
somebody asks. Numbers begin with 1 when the process starts; `tag` tells one process from another. The system's own tasks are left
out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import trio

from runtime.clock import Instant
from runtime.world import World

from ..herald_messages import Event, Noted
from ..keeper_messages import Happened
from ..model.execution import Execution
from ..model.lifecycle import State
from ..model.peer import Peer
from ..model.retention import SYSTEM
from ..model.task import Definition
from .entries import Entry, Kind, NodeChange, Step, TaskChange, What
from .figures import Figures

KEPT: Final = 10_000
"""Changes that are kept: some minutes of a busy node and days of a quiet one, at most some 20 MB."""

TAG: Final = 12
"""Characters of a boot id by which it is known in the ids of events: all of them random."""

REMEMBERED: Final = 100_000
"""Running executions that are remembered, so that a checkpoint is no news; more never run on one node."""


class Journal:
    """See the module's docstring. It hears of everything that the node commits, and counts it in its `figures`."""

    def __init__(self, boot: str, world: World) -> None:
        self.tag = boot[-TAG:]
        self.figures = Figures()
        self.newest = 0
        self._world = world
        self._ring: list[Entry | None] = [None] * KEPT
        self._known: dict[str, tuple[State, int]] = {}
        self._definitions: dict[str, Definition] = {}
        self._waiting: trio.Event | None = None

    @property
    def oldest(self) -> int:
        """The number of the oldest entry that is kept; one more than the newest if there is none."""
        return max(1, self.newest - KEPT + 1)

    def after(self, number: int, limit: int) -> list[Entry]:
        """The entries above a number, at most so many; those that are gone are left out."""
        first = max(number + 1, self.oldest)
        numbers = range(first, min(self.newest + 1, first + limit))
        return [entry for one in numbers if (entry := self._ring[one % KEPT]) is not None]

    def since(self, at: Instant) -> Iterator[Entry]:
        """The entries from an instant on, the newest first, as far as they are kept."""
        for number in range(self.newest, self.oldest - 1, -1):
            entry = self._ring[number % KEPT]
            if entry is None or entry.at < at:
                return
            yield entry

    def running(self) -> list[Definition]:
        """The definition of each execution that runs by what this node has committed."""
        return list(self._definitions.values())

    async def wait(self) -> None:
        """Wait until there is something new."""
        if self._waiting is None:
            self._waiting = trio.Event()
        await self._waiting.wait()

    def hear(self, event: Event) -> None:
        """Take up what the herald was told."""
        now = self._world.now()
        match event:
            case Happened():
                self._happened(event, now)
            case Noted():
                self._noted(event, now)
        self._wake()

    def saw(self, change: str, peer: Peer) -> None:
        """Note what became of a node."""
        self._add(self._world.now(), Kind.NODE, NodeChange(change, peer), None)
        self._wake()

    def _happened(self, event: Happened, now: Instant) -> None:
        definitions = {task.id: task.definition for task in event.tasks}
        for execution in self._news(event):
            definition = definitions.get(execution.task_id)
            if definition is None or definition.owner == SYSTEM:
                continue
            if execution.state is State.RUNNING:
                self._definitions[execution.id] = definition
            else:
                self._definitions.pop(execution.id, None)
            self.figures.execution(execution)
            self._add(now, Kind.EXECUTION, execution, definition)
        for settled in event.settled:
            definition = definitions.get(settled.task_id)
            if definition is not None and definition.owner != SYSTEM:
                self.figures.settled(settled)
                self._add(now, Kind.SLOTS, settled, definition)

    def _news(self, event: Happened) -> Iterator[Execution]:
        """The executions that are not as they were: what a checkpoint changed is nobody's news."""
        for execution in event.executions:
            mark = execution.state, execution.attempt
            known = self._known.get(execution.id)
            if execution.state is State.RUNNING or execution.lingers:
                self._known[execution.id] = mark
                if len(self._known) > REMEMBERED:
                    self._forget(next(iter(self._known)))
            elif known is not None:
                del self._known[execution.id]
            if known != mark:
                yield execution

    def _forget(self, execution_id: str) -> None:
        del self._known[execution_id]
        self._definitions.pop(execution_id, None)

    def _noted(self, event: Noted, now: Instant) -> None:
        for audit, task in event.changes:
            if task.definition.owner != SYSTEM:
                self._add(now, Kind.TASK, TaskChange(audit, task), task.definition)
        for execution_id, progress in event.progress.items():
            definition = self._definitions.get(execution_id)
            if definition is not None:
                self._add(now, Kind.PROGRESS, Step(execution_id, progress), definition)

    def _add(self, at: Instant, kind: Kind, what: What, definition: Definition | None) -> None:
        self.newest += 1
        self._ring[self.newest % KEPT] = Entry(self.newest, at, kind, what, definition)

    def _wake(self) -> None:
        if self._waiting is not None:
            self._waiting.set()
            self._waiting = None
