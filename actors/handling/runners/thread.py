"""Functions in threads.

A thread cannot be interrupted: its handler sees that it shall end and gives way, or it is left behind. What it says without
waiting for an answer (lines, progress, signs of life) is gathered on its side and fetched by the loop, so that a thread that
talks without end costs the loop one call at a time.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

import trio

from runtime.errors import InvalidRequest
from runtime.world import World

from ..catalogue import DEFAULT_POOL, TaskType
from ..context import Context, HandlerInterrupted, SyncContext
from ..logbook import Meter

LANE: Final = "handlers"
"""The thread lane of handlers. Attempts that find no thread free wait in it, and count as running."""


def lane_of(pool: str) -> str:
    """The thread lane of a pool."""
    return LANE if pool == DEFAULT_POOL else f"{LANE} {pool}"


class ThreadBridge:
    """See `Bridge`: the thread's side puts things in, the loop's side takes them out."""

    def __init__(self, world: World, context: Context) -> None:
        self._world = world
        self._context = context
        self._lines: deque[tuple[str, str]] = deque()
        self._meter = Meter()
        self._full = False
        self._progress: str | None = None
        self._beaten = False
        self._called = False

    def checkpoint(self, data: str) -> None:
        self._world.from_thread(self._context.checkpoint_text, data)

    def call(self, operation: str, arguments: dict[str, Any]) -> Any:
        return self._world.from_thread(_call_until_interrupted, self._context, operation, arguments)

    def progress(self, data: str) -> None:
        self._progress = data
        self._call()

    def beat(self) -> None:
        self._beaten = True
        self._call()

    def log(self, level: str, text: str) -> None:
        if self._full:
            return
        # One more than are let pass: the loop sees that there were too many, and this side keeps no more than that.
        self._full = not self._meter.lets_pass(text)
        self._lines.append((level, text))
        self._call()

    def reason(self) -> str | None:
        return self._context.cancellation_reason

    def _call(self) -> None:
        if not self._called:
            self._called = True
            self._world.from_thread_soon(self.fetch)

    def fetch(self) -> None:
        """In the loop: pass on what has gathered."""
        self._called = False
        while self._lines:
            self._context.write_line(*self._lines.popleft())
        progress, self._progress = self._progress, None
        if progress is not None:
            self._context.progress_text(progress)
        beaten, self._beaten = self._beaten, False
        if beaten:
            self._context.heartbeat()


async def _call_until_interrupted(context: Context, operation: str, arguments: dict[str, Any]) -> Any:
    """A thread that waits for another task cannot look whether it shall end: it is told here. Raises HandlerInterrupted."""
    answer: list[Any] = []
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_cancel_when_interrupted, context, nursery.cancel_scope)
        try:
            answer.append(await context.call(operation, arguments))
        except Exception as error:
            # Out of the nursery as it is, not as the one member of a group.
            failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
    if not answer:
        raise HandlerInterrupted(context.cancellation_reason)
    return answer[0]


async def _cancel_when_interrupted(context: Context, scope: trio.CancelScope) -> None:
    await context.interrupted.wait()
    scope.cancel()


def outside(world: World, context: Context) -> tuple[SyncContext, ThreadBridge]:
    """The context for a function in a thread, and its bridge, whose `fetch` is to be called when the function has returned."""
    bridge = ThreadBridge(world, context)
    facts = (context._definition, context._execution, context._started_at, context.node)
    return SyncContext(*facts, bridge, context._resumed), bridge


async def run_in_thread(world: World, entry: TaskType, context: Context) -> object:
    """Run the function of a task type and return what it returns. Cancelled, it leaves the thread behind."""
    inner, bridge = outside(world, context)
    arguments = entry.arguments(context.parameters)
    try:
        return await world.blocking(
            _call, entry.function, context, inner, arguments, lane=lane_of(entry.pool), abandon=True
        )
    finally:
        bridge.fetch()


def _call(function: Any, context: Context, inner: SyncContext, arguments: dict[str, Any]) -> object:
    # Whoever waited for a free thread until it was asked to end does not begin. First the mark, then the look: the executor
    # gives the reason and then looks for the mark, so one of the two sees the other.
    context.in_thread = True
    inner.raise_if_cancelled()
    result = function(inner, **arguments)
    if hasattr(result, "__await__"):
        if hasattr(result, "close"):
            result.close()
        raise InvalidRequest("the handler is a plain function and returned an awaitable: write it as an async function")
    return result
