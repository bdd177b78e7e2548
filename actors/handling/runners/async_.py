"""Attempts as trio tasks, each in a cancel scope of its own.

Starting a task costs about as much as everything else an attempt needs, and entering a cancel scope as much again (9 us and 8
us on the machine where this was measured). So a task whose handler returned cleanly is kept for the next attempt. One whose
handler raised, was interrupted, or left a cancel scope of its own open is not used again. Every attempt gets a fresh copy of the
context variables.
"""

from __future__ import annotations

import contextvars
import math
from collections.abc import Awaitable, Callable
from typing import Any, Final, Generic, Literal, Protocol, TypeVar

import trio
from trio.lowlevel import Abort, Task, current_task, reschedule, wait_task_rescheduled

How = Literal["completed", "failed", "interrupted"]

MAX_IDLE: Final = 512
"""Tasks kept for the next attempts, some kilobytes each: two batches of the executor's mailbox."""


class Work(Protocol):
    """What the pool runs: anything on which it can note the task that it gave it."""

    worker: Any


J = TypeVar("J", bound=Work)


class TaskPool(Generic[J]):
    """Runs `work(job)` for each job started, at once, and calls `ended` exactly once for each.

    `ended` gets what `work` returned, or the exception that it raised. Whatever a job raises ends that job only.
    """

    def __init__(
        self,
        nursery: trio.Nursery,
        work: Callable[[J], Awaitable[str | None]],
        ended: Callable[[J, How, str | None, BaseException | None], None],
    ) -> None:
        self._nursery = nursery
        self._work = work
        self._ended = ended
        self._idle: list[_Worker[J]] = []
        self._fresh = contextvars.copy_context()

    def start(self, job: J) -> None:
        """Run a job; it begins with the loop's next pass."""
        if self._idle:
            worker = self._idle.pop()
            job.worker = worker
            worker.job = job
            assert worker.task is not None
            worker.task.context = self._fresh.copy()
            reschedule(worker.task, _GO_ON)
        else:
            job.worker = _Worker(job)
            self._nursery.start_soon(self._run, job.worker)

    def cancel(self, job: J) -> None:
        """Interrupt a job that was started and has not ended."""
        worker: _Worker[J] = job.worker
        assert worker.job is job
        worker.spent = True
        worker.scope.cancel()

    async def _run(self, worker: _Worker[J]) -> None:
        result: str | None = None
        how: How = "completed"
        failed: BaseException | None = None
        try:
            with worker.scope:
                result = await self._run_jobs(worker)
            if worker.scope.cancelled_caught:
                how = "interrupted"
        except BaseException as error:
            # Everything a handler can raise ends its attempt and nothing else, KeyboardInterrupt and SystemExit included.
            # A Cancelled comes from outside if this very task is being cancelled, else it is the handler's own mistake.
            failed = error
            how = "interrupted" if trio.current_effective_deadline() == -math.inf else "failed"
        if worker.job is not None:
            self._ended(worker.job, how, result, failed)

    async def _run_jobs(self, worker: _Worker[J]) -> str | None:
        """Job after job; returns the result of the last one when this task should not be used again."""
        work, ended, idle = self._work, self._ended, self._idle
        worker.task = task = current_task()
        scopes = _scopes(task)
        while True:
            assert worker.job is not None
            result = await work(worker.job)
            if worker.spent or len(idle) >= MAX_IDLE or _scopes(task) is not scopes:
                return result
            ended(worker.job, "completed", result, None)
            worker.job = None
            idle.append(worker)
            await wait_task_rescheduled(_abort)


class _Worker(Generic[J]):
    """A task of the pool, its scope, and the job it is on. `spent`: it was interrupted and takes no other job."""

    __slots__ = ("job", "scope", "spent", "task")

    def __init__(self, job: J) -> None:
        self.job: J | None = job
        self.scope = trio.CancelScope()
        self.spent = False
        self.task: Task | None = None


class _GoOn:
    """What a task that waits is woken with: all that trio does with it is to unwrap it.

    One serves for all. Of trio's own kind each is used once, and making one for each attempt takes half a microsecond.
    """

    def unwrap(self) -> None:
        """Nothing."""


_GO_ON: Final[Any] = _GoOn()


def _scopes(task: Task) -> object:
    """What identifies the innermost cancel scope of a task.

    trio has no public name for it; the effective deadline, which would tell most of it, is computed over all scopes outwards
    and costs as much as the attempt. Where the name is missing nothing is noticed.
    """
    return getattr(task, "_cancel_status", None)


def _abort(_: Any) -> Abort:
    return Abort.SUCCEEDED
