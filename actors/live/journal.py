"""The journal: the newest changes that this node has committed, numbered, for those who follow what happens.

It keeps references to records that exist anyhow, by the batches in which it was told of them: an `Entry` is made, and something
encoded, when somebody asks. Numbers begin with 1 when the process starts; `tag` tells one process from another. The system's own
tasks are left out.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice
from operator import attrgetter
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
from .entries import Batch, Entry, Kind, NodeChange, Step, TaskChange, What
from .figures import Figures

KEPT: Final = 10_000
"""Changes that are kept: some minutes of a busy node and days of a quiet one, at most some 20 MB. A batch goes with the last of
its changes; so there are never more batches, and never more than one of them beside."""

TAG: Final = 12
"""Characters of a boot id by which it is known in the ids of events: all of them random."""

REMEMBERED: Final = 100_000
"""Running executions that are remembered, so that a checkpoint is no news; more never run on one node."""

Mark = int | tuple[State, int]
"""What is known of an execution: the attempt that runs, or the state and the attempt of one that lingers."""

_RUNNING: Final = State.RUNNING
_FIRST: Final = attrgetter("first")


class Journal:
    """See the module's docstring. It hears of everything that the node commits, and counts it in its `figures`."""

    def __init__(self, boot: str, world: World) -> None:
        self.tag = boot[-TAG:]
        self.figures = Figures()
        self.newest = 0
        self._world = world
        self._batches: deque[Batch] = deque()
        self._known: dict[str, Mark] = {}
        self._definitions: dict[str, Definition] = {}
        self._waiting: trio.Event | None = None

    @property
    def oldest(self) -> int:
        """The number of the oldest entry that is kept; one more than the newest if there is none."""
        return max(1, self.newest - KEPT + 1)

    def after(self, number: int, limit: int) -> list[Entry]:
        """The entries above a number, at most so many; those that are gone are left out."""
        first = max(number + 1, self.oldest)
        last = min(self.newest, first + limit - 1)
        found: list[Entry] = []
        if first > last:
            return found
        for batch in islice(self._batches, bisect_right(self._batches, first, key=_FIRST) - 1, None):
            if batch.first > last:
                break
            found += batch.entries(first, last)
        return found

    def since(self, at: Instant) -> Iterator[tuple[What, Definition | None]]:
        """What happened from an instant on and the definitions that it is about, the newest first, as far as they are kept."""
        oldest = self.oldest
        for batch in tuple(reversed(self._batches)):
            if batch.at < at:
                return
            gone = max(0, oldest - batch.first)
            yield from zip(reversed(batch.whats[gone:]), reversed(batch.definitions[gone:]), strict=True)

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
        if isinstance(event, Happened):
            if event.executions:
                self._executions(event, now)
            if event.settled:
                self._settled(event, now)
        else:
            self._noted(event, now)
        self._wake()

    def saw(self, change: str, peer: Peer) -> None:
        """Note what became of a node."""
        self._add(self._world.now(), Kind.NODE, [NodeChange(change, peer)], [None])
        self._wake()

    def _executions(self, event: Happened, now: Instant) -> None:
        """Take up the executions that are not as they were: what a checkpoint changed is nobody's news."""
        known, running = self._known, self._definitions
        executions: Sequence[Execution] = event.executions
        definitions = _definitions(event)
        silent: set[int] = set()
        for index, execution in enumerate(executions):
            key, state = execution.id, execution.state
            runs = state is _RUNNING
            if runs or execution.lingers:
                mark: Mark = execution.attempt if runs else (state, execution.attempt)
                is_news = known.get(key) != mark
                known[key] = mark
            else:
                was = known.pop(key, None)
                is_news = type(was) is not tuple or was != (state, execution.attempt)
            definition = definitions[index]
            if not is_news or definition is None or definition.owner == SYSTEM:
                silent.add(index)
            elif runs:
                running[key] = definition
            else:
                running.pop(key, None)
        while len(known) > REMEMBERED:
            self._forget(next(iter(known)))
        if silent:
            left = [index for index in range(len(executions)) if index not in silent]
            executions, definitions = [executions[index] for index in left], [definitions[index] for index in left]
        self.figures.executions(executions)
        self._add(now, Kind.EXECUTION, executions, definitions)

    def _forget(self, execution_id: str) -> None:
        del self._known[execution_id]
        self._definitions.pop(execution_id, None)

    def _settled(self, event: Happened, now: Instant) -> None:
        tasks = {task.id: task.definition for task in event.tasks}
        found = [(one, tasks[one.task_id]) for one in event.settled if one.task_id in tasks]
        told = [(one, definition) for one, definition in found if definition.owner != SYSTEM]
        for settled, _ in told:
            self.figures.settled(settled)
        self._add(now, Kind.SLOTS, [settled for settled, _ in told], [definition for _, definition in told])

    def _noted(self, event: Noted, now: Instant) -> None:
        changes = [(audit, task) for audit, task in event.changes if task.definition.owner != SYSTEM]
        told = [TaskChange(audit, task) for audit, task in changes]
        self._add(now, Kind.TASK, told, [task.definition for _, task in changes])
        of_known = {key: self._definitions[key] for key in event.progress if key in self._definitions}
        steps = [Step(key, event.progress[key]) for key in of_known]
        self._add(now, Kind.PROGRESS, steps, list(of_known.values()))

    def _add(self, at: Instant, kind: Kind, whats: Sequence[What], definitions: Sequence[Definition | None]) -> None:
        if not whats:
            return
        first = self.newest + 1
        self.newest = last = self.newest + len(whats)
        batches = self._batches
        batches.append(Batch(first, last, at, kind, whats, definitions))
        while batches[0].last <= last - KEPT:
            batches.popleft()

    def _wake(self) -> None:
        if self._waiting is not None:
            self._waiting.set()
            self._waiting = None


def _definitions(event: Happened) -> Sequence[Definition | None]:
    """Of the task of each execution; None where it was not told."""
    executions, tasks = event.executions, event.tasks
    if len(executions) == len(tasks) == 1 and executions[0].task_id == tasks[0].id:
        return (tasks[0].definition,)
    # The common kind: each task has one execution, in their order.
    if len(executions) == len(tasks):
        pairs = zip(executions, tasks, strict=True)
        definitions = [task.definition for execution, task in pairs if execution.task_id == task.id]
        if len(definitions) == len(executions):
            return definitions
    found = {task.id: task.definition for task in tasks}
    return [found.get(execution.task_id) for execution in executions]
