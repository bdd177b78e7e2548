"""What a queue of the user's own was told, what follows from it, and what of its answers can be used."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from runtime.records import evolve, record

from .job_queue import Job, JobQueueFailed, JobState
from .model.task import Definition, Task

LISTED_MOST: Final = 1_000_000
"""Ids of an answer; a longer one is no list of what a node has told."""


@record
class Delete:
    """A task is gone."""

    task_id: str


@record
class Rename:
    """A task has another name, and nothing else has changed."""

    definition: Definition


@record
class Update:
    """A task is another one."""

    definition: Definition


def ids_of(answer: object) -> list[str]:
    """The ids of an answer, each once. Raises JobQueueFailed for what is no list of them."""
    if answer is None:
        return []
    if not isinstance(answer, list | tuple | set | frozenset):
        raise JobQueueFailed(f"answered {type(answer).__name__}, not a list of ids")
    if len(answer) > LISTED_MOST:
        raise JobQueueFailed(f"answered {len(answer)} ids, more than {LISTED_MOST}")
    if not all(isinstance(one, str) for one in answer):
        raise JobQueueFailed("answered a list with something else than ids")
    return list(dict.fromkeys(answer))


class Told:
    """The jobs that a queue was told of and that wait, and their tasks as they were told."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}
        self._definitions: dict[str, Definition] = {}

    def __len__(self) -> int:
        return len(self._since)

    def saved(self, jobs: Iterable[Job], now: float) -> None:
        """The queue was told of these."""
        for job in jobs:
            if job.state is not JobState.WAITING:
                self._since.pop(job.id, None)
            elif job.definition is not None:
                self._since.setdefault(job.id, now)
                self._definitions[job.task_id] = job.definition

    def concerns(self, task: Task) -> bool:
        """Whether the queue may have to hear of a change of this task, or of its end."""
        known = self._definitions.get(task.id)
        return known is not None and (known != task.definition or not task.open)

    def changed(self, task_ids: Iterable[str], found: Iterable[Task]) -> list[Delete | Rename | Update]:
        """What the queue has to hear of these tasks, of which the store has those that were found."""
        there = {task.id: task.definition for task in found}
        news: list[Delete | Rename | Update] = []
        for task_id in task_ids:
            former, now = self._definitions.get(task_id), there.get(task_id)
            if former is None or former == now:
                continue
            if now is None:
                del self._definitions[task_id]
                news.append(Delete(task_id))
                continue
            self._definitions[task_id] = now
            news.append(Rename(now) if _differ_by_name(former, now) else Update(now))
        return news

    def overdue(self, now: float, hold: float) -> list[str]:
        """The jobs that wait for being named for longer than `hold` seconds."""
        return [job for job, since in self._since.items() if now - since > hold]

    def forgotten(self, listed: Collection[str]) -> list[str]:
        """The jobs that the queue was told of and does not have."""
        return [job for job in self._since if job not in listed]

    def trim(self, task_ids: Collection[str]) -> None:
        """Only these tasks still have jobs that wait."""
        self._definitions = {key: one for key, one in self._definitions.items() if key in task_ids}


def _differ_by_name(one: Definition, other: Definition) -> bool:
    return one.name != other.name and evolve(one, name=other.name) == other
