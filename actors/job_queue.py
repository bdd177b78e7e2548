"""A queue of the user's own: what it is told and asked, and how a node reaches it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol

import attrs

from runtime.clock import Instant
from runtime.records import record

from .model.execution import Execution
from .model.task import Definition

if TYPE_CHECKING:
    from runtime.world import World

JOB_QUEUE_LANE: Final = "job queue"
"""The lane of a queue that is a class: one thread, because nobody said that the class bears more."""

DEADLINE_SECONDS: Final = 2.0
"""For one call: while it lasts nobody new is named, so it is what an outage of the queue costs."""

HOLD_SECONDS: Final = 3_600.0
"""Whom the queue does not name for so long the node names: longer than any wait that is meant, and no job is lost for ever."""

CHECK_SECONDS: Final = 30.0
"""Between two looks at what the queue has, which cost a list of all that wait."""


class JobQueueFailed(Exception):
    """The queue did not do what it was asked: it raised, did not answer in time, or answered what makes no sense."""


class JobState(StrEnum):
    """What the queue is told of a job: it may be named; it was and runs here; it is neither any more."""

    WAITING = "waiting"
    RUNNING = "running"
    REMOVED = "removed"


@record
class Job:
    """What is told of one execution: all of it while it waits, later only where it stands."""

    id: str
    task_id: str
    state: JobState
    definition: Definition | None = None
    execution: Execution | None = None


class JobQueue(Protocol):
    """The verbs of a queue, without `data`, which only people ask for. Each may raise JobQueueFailed.

    What `next` and `list` answer is not believed: it is checked, and is a hint whatever it says.
    """

    @property
    def name(self) -> str:
        """How people know it: its class path, its entry point or its address."""
        ...

    async def start(self, node: str) -> None:
        """A node begins to tell the queue of its jobs, all of them: what the queue knows of that node is over."""
        ...

    async def save(self, node: str, jobs: Sequence[Job]) -> None:
        """These jobs stand so now, known ones and new ones."""
        ...

    async def next(self, node: str, count: int) -> object:
        """The ids of those that are given next, in this order, at most so many; fewer or none holds the others back."""
        ...

    async def list(self, node: str) -> object:
        """The ids of all that it has and may name some time; None: it does not say."""
        ...

    async def delete(self, node: str, task_id: str) -> None:
        """A task is gone, with all its jobs."""
        ...

    async def rename(self, node: str, task_id: str, name: str) -> None:
        """A task has another name."""
        ...

    async def update(self, node: str, definition: Definition) -> None:
        """A task is another one now; its jobs that wait run so."""
        ...

    async def flush(self, node: str, before: Instant) -> None:
        """What ended before an instant may be forgotten."""
        ...

    async def close(self) -> None:
        """It is not asked any more, and lets go of what it holds; does not raise."""
        ...


@attrs.frozen
class JobQueueConfig:
    """A queue of the user's own. `open`: makes the way to it. Times are seconds.

    `names`: of the queues whose order it says, empty: of all but the node's own tasks. `deadline`: for each call.
    `hold`: whom it does not name for so long the node names.
    """

    open: Callable[[World], JobQueue]
    names: frozenset[str] = frozenset()
    deadline: float = DEADLINE_SECONDS
    hold: float = HOLD_SECONDS
    check: float = CHECK_SECONDS
