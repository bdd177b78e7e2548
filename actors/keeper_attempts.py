"""What the keeper is told of attempts: their ends, their checkpoints, and that an abandoned handler has returned."""

from __future__ import annotations

from collections.abc import Iterable

from runtime.clock import Instant

from . import keeper_plain
from .keeper_checkpoints import take_checkpoint
from .keeper_claims import Claims
from .keeper_messages import AttemptEnd, Checkpoint, Directive, Recorded, Refuse, SlotsFreed
from .keeper_progression import Progression
from .keeper_tasks import Tasks
from .model.lifecycle import State
from .model.task import partition_of


class Attempts:
    """See the module's docstring."""

    def __init__(self, tasks: Tasks, claims: Claims, progression: Progression, partitions: int) -> None:
        self._tasks = tasks
        self._claims = claims
        self._progression = progression
        self._partitions = partitions

    def ended(self, directives: list[Directive], now: Instant, ends: Iterable[AttemptEnd]) -> None:
        """Attempts have ended; `directives` gets what is known already."""
        tasks, claims, partitions = self._tasks, self._claims, self._partitions
        for end in ends:
            if not (end.holds_slot or end.counted):
                claims.slots += 1
            if end.holds_slot:
                claims.lingers(end.execution_id, end.fence)
            else:
                claims.ended(end.execution_id, end.fence)
            if (task := tasks.untouched(end.task_id)) is not None:
                completed = keeper_plain.completion(task, partition_of(end.task_id, partitions), end)
                if completed is not None:
                    tasks.step(completed)
                    continue
            self._ended(end, directives, now)

    def _ended(self, end: AttemptEnd, directives: list[Directive], now: Instant) -> None:
        staged = self._tasks.stage(end.task_id)
        if staged is None and (gone := self._tasks.staged.get(end.task_id)) is not None:
            # Deleted in this batch: it is recorded when the deletion is.
            gone.ends += (end,)
            return
        if staged is not None and any(
            (end.execution_id, end.fence) == (one.execution_id, one.fence) for one in staged.ends
        ):
            # Told twice in one batch: it is recorded when the commit is.
            return
        execution = None if staged is None else staged.executions.get(end.execution_id)
        if staged is None or execution is None or execution.fence != end.fence or execution.state is not State.RUNNING:
            directives.append(Recorded(((end.execution_id, end.fence),)))
            return
        staged.ends += (end,)
        self._progression.ended(staged, execution, end, now)

    def returned(self, task_id: str, execution_id: str, fence: int, now: Instant) -> None:
        """The handler of an ended attempt has returned, or its slot was released."""
        self._claims.ended(execution_id, fence)
        staged = self._tasks.stage(task_id)
        execution = None if staged is None else staged.executions.get(execution_id)
        if staged is None or execution is None or execution.fence != fence or not execution.lingers:
            return
        staged.messages += (SlotsFreed(0, ((task_id, execution_id, fence),)),)
        self._progression.returned(staged, execution, now)

    def checkpoint(self, message: Checkpoint, directives: list[Directive]) -> None:
        """An attempt wants something kept."""
        if (error := take_checkpoint(self._tasks.stage(message.task_id), message)) is not None:
            directives.append(Refuse(message.reply, error))
