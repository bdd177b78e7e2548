"""The tasks of one simulated node as a process that can be stopped and go on, as SIGSTOP and SIGCONT do, or never go on.

A stopped process takes no step, while time passes: its deadlines run out, what it waits for happens, and all that is found
when it goes on, in the order in which it came. That is what makes a node act on what is long past.

Reaches into trio at one place, as `seed_scheduler` does: a task that becomes ready is put aside while its process is stopped.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import trio

_PROCESS: ContextVar[SimulatedProcess | None] = ContextVar("simulated_process", default=None)


class SimulatedProcess:
    """Whoever is started by a task inside of `inside()` belongs to it, and so do all that those start."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.stopped = False
        self.dead = False
        self._ready: list[trio.lowlevel.Task] = []

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Tasks that are started in the block belong to this process, the starting task itself as long as it is in it."""
        token = _PROCESS.set(self)
        try:
            yield
        finally:
            _PROCESS.reset(token)

    def stop(self) -> None:
        """From now on nothing of it takes a step, but for what is in the middle of one."""
        _install()
        self.stopped = True

    def go_on(self) -> None:
        """Let everything that became ready meanwhile take its turn."""
        self.stopped = False
        ready, self._ready = self._ready, []
        trio._core._run.GLOBAL_RUN_CONTEXT.runner.runq.extend(ready)

    def kill(self) -> None:
        """Stop for good. `go_on` then only serves to clear away what is left of it."""
        self.dead = True
        self.stop()

    def put_aside(self, task: trio.lowlevel.Task) -> None:
        """Called with a task of a stopped process that has become ready."""
        self._ready.append(task)


def current_process() -> SimulatedProcess | None:
    """The process of the running task."""
    return _PROCESS.get()


def _install() -> None:
    runner: Any = trio._core._run.Runner
    if getattr(runner.reschedule, "puts_aside", False):
        return
    usual = runner.reschedule

    def reschedule(self: Any, task: trio.lowlevel.Task, *outcome: Any) -> None:
        usual(self, task, *outcome)
        process = task.context.get(_PROCESS)
        if process is not None and process.stopped:
            process.put_aside(self.runq.pop())

    reschedule.puts_aside = True  # type: ignore[attr-defined]
    runner.reschedule = reschedule
