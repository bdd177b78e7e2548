"""The tasks that the keeper has at hand: as the store has them, as far as is remembered, and as one batch changes them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from .keeper_staging import Staged, Stepped, as_staged
from .model.task import Task, partition_of

CACHE_SIZE: Final = 20_000
"""Tasks kept in memory between batches: some 40 MB at the most, and more than fire in the busiest second."""


class Tasks:
    """See the module's docstring. `cache`: the most recently used ones; `staged`: the batch's working copies; `stepped`: those of
    the batch that take a common step, none of which is staged; `read`: which were read for this batch."""

    def __init__(self, partitions: int) -> None:
        self.cache: OrderedDict[str, Task] = OrderedDict()
        self.staged: dict[str, Staged] = {}
        self.stepped: dict[str, Stepped] = {}
        self.read: set[str] = set()
        self._partitions = partitions

    def begin(self) -> None:
        """A new batch."""
        self.staged, self.stepped = {}, {}

    def learn(self, tasks: Iterable[Task], asked: Iterable[str]) -> None:
        """Tasks as the store has them; of those asked for the others are gone."""
        for task_id in asked:
            self.read.add(task_id)
            self.cache.pop(task_id, None)
        for task in tasks:
            self.cache[task.id] = task

    def stage(self, task_id: str) -> Staged | None:
        """The working copy of a task; None if it is not at hand, or deleted by this batch."""
        staged = self.staged.get(task_id)
        if staged is None:
            staged = self._stepped_so_far(task_id)
        if staged is None:
            task = self.cache.get(task_id)
            if task is None:
                return None
            self.cache.move_to_end(task_id)
            staged = self.staged[task_id] = Staged.of(task, partition_of(task_id, self._partitions))
        return None if staged.deleted else staged

    def _stepped_so_far(self, task_id: str) -> Staged | None:
        stepped = self.stepped.pop(task_id, None)
        if stepped is None:
            return None
        staged = self.staged[task_id] = stepped.staged()
        return staged

    def stage_all(self, task_ids: Iterable[str]) -> list[Staged]:
        """The working copies of those that are at hand."""
        return [staged for task_id in task_ids if (staged := self.stage(task_id)) is not None]

    def untouched(self, task_id: str) -> Task | None:
        """A task that is at hand and that this batch has not changed yet."""
        return None if task_id in self.stepped or task_id in self.staged else self.cache.get(task_id)

    def step(self, stepped: Stepped) -> None:
        """A task that was untouched takes a common step."""
        task_id = stepped.original.definition.id
        self.cache.move_to_end(task_id)
        if stepped.original.definition.events:
            # Who follows the task is found with the working copies.
            self.staged[task_id] = stepped.staged()
        else:
            self.stepped[task_id] = stepped

    def stage_stepped(self, but: Callable[[Stepped], bool] | None = None) -> None:
        """From here on every task of the batch is looked for among the working copies, but for those that may stay apart."""
        for task_id, stepped in list(self.stepped.items()):
            if but is None or not but(stepped):
                self._stepped_so_far(task_id)

    def as_staged(self, task_ids: Iterable[str]) -> Iterator[Task]:
        """Tasks as they are by now, to be looked at only."""
        self.stage_stepped()
        return as_staged(task_ids, self.staged, self.cache)

    def accept(self, task: Task, *, deleted: bool) -> None:
        """The store has it so."""
        if deleted:
            self.cache.pop(task.id, None)
        else:
            self.cache[task.id] = task

    def accept_stepped(self, stepped: Iterable[Stepped]) -> None:
        """The store has these so."""
        self.cache.update({one.update.task_id: one.task for one in stepped})

    def trim(self) -> None:
        """Forget those that were not used for longest."""
        while len(self.cache) > CACHE_SIZE:
            self.cache.popitem(last=False)
