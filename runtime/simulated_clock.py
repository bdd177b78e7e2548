"""Virtual time for long rehearsals: like trio's `MockClock` that jumps by itself, at a lower price.

`MockClock` lets the loop go round once more before each jump, to see that nothing happens any more, and gathers statistics to
learn of the next deadline. Here time jumps where the loop asks how long it may sleep, which it does only when no task can run.

So nothing may go on outside of the loop, in threads or sockets, and `trio.testing.wait_all_tasks_blocked` does not return while
anything has a deadline: it waits for a sleep of the loop, and there is none.
"""

from __future__ import annotations

import math
from heapq import heappop, heappush
from itertools import count
from typing import Any, Final

import trio

FOR_EVER: Final = 1e9
"""Seconds the loop may wait for a signal when no task will ever run by itself."""


class SimulatedClock(trio.abc.Clock):
    """See the module's docstring. Time begins at 0."""

    def __init__(self) -> None:
        self._now = 0.0
        self._sleepers: list[tuple[float, int, _Sleeper]] = []
        self._numbers = count()

    def start_clock(self) -> None:
        """Nothing is to be prepared."""

    def current_time(self) -> float:
        """Seconds."""
        return self._now

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """Nobody can run before the next deadline: it is there now."""
        sleepers = self._sleepers
        if sleepers:
            deadline = min(deadline, sleepers[0][0])
        if deadline == math.inf:
            return FOR_EVER
        self._now = max(self._now, deadline)
        while sleepers and sleepers[0][0] <= self._now:
            heappop(sleepers)[2].wake()
        return 0.0

    async def sleep_until(self, deadline: float) -> None:
        """What `trio.sleep_until` does, without a cancel scope for it."""
        if deadline <= self._now:
            await trio.lowlevel.checkpoint()
            return
        sleeper = _Sleeper()
        heappush(self._sleepers, (deadline, next(self._numbers), sleeper))
        await trio.lowlevel.wait_task_rescheduled(sleeper.abort)


class _Sleeper:
    """The running task, until it is woken or cancelled."""

    def __init__(self) -> None:
        self._task: trio.lowlevel.Task | None = trio.lowlevel.current_task()

    def wake(self) -> None:
        if self._task is not None:
            trio.lowlevel.reschedule(self._task)

    def abort(self, raise_cancel: Any) -> trio.lowlevel.Abort:
        self._task = None
        return trio.lowlevel.Abort.SUCCEEDED


async def sleep_until(deadline: float) -> None:
    """Sleep in a simulated part of the world, as cheaply as the clock allows. deadline: seconds of trio's clock."""
    clock = trio.lowlevel.current_clock()
    if isinstance(clock, SimulatedClock):
        await clock.sleep_until(deadline)
    else:
        await trio.sleep_until(deadline)
