"""The handlers' own record of what they really did: the witness that no part of the scheduler writes."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import trio

from actors.handling.context import Context
from runtime.clock import Instant
from runtime.simulated_process import current_process

from ..checker.history import Line

TAIL: Final = 200
"""Events that are kept as text: what led to a failure is mostly among the last ones."""


class Trace:
    """Everything that counts, in the order in which it happened, as one number: two runs with the same are the same."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._tail: deque[str] = deque(maxlen=TAIL)
        self.length = 0

    def add(self, *what: object) -> None:
        """Append. Only what has the same `repr` in every process."""
        event = repr(what)
        self._hash.update(event.encode())
        self._tail.append(event)
        self.length += 1

    def tail(self) -> tuple[str, ...]:
        """The last events."""
        return tuple(self._tail)

    def digest(self) -> str:
        """So far."""
        return self._hash.hexdigest()[:16]


class Record:
    """Lines in the order in which they were written. `now`: the true time."""

    def __init__(self, now: Callable[[], Instant], trace: Trace) -> None:
        self._now = now
        self._trace = trace
        self.lines: list[Line] = []
        self._written = trio.Event()

    def now(self) -> Instant:
        """The true time."""
        return self._now()

    def write(self, kind: str, ctx: Context, position: int | None = None, key: str | None = None) -> None:
        """By a handler. What is left of a process that is dead writes nothing."""
        process = current_process()
        assert process is not None, "handlers run in processes"
        if process.dead:
            return
        nominal = None if ctx.nominal is None else round(ctx.nominal.timestamp() * 1_000_000)
        line = Line(
            kind,
            process.name,
            ctx.task_id,
            ctx.execution_id,
            ctx.attempt,
            ctx.fence,
            self._now(),
            nominal,
            position,
            key,
        )
        self.lines.append(line)
        self._written.set()
        self._trace.add(kind, process.name, ctx.task, ctx.execution_id, ctx.attempt, ctx.fence, line.at, position)

    async def next(self, wanted: Callable[[Line], bool]) -> Line:
        """The first of the lines that come from now on that is wanted, as soon as it is written."""
        seen = len(self.lines)
        while True:
            for line in self.lines[seen:]:
                if wanted(line):
                    return line
            seen = len(self.lines)
            self._written = trio.Event()
            await self._written.wait()

    @contextmanager
    def attempt(self, ctx: Context, position: int | None = None) -> Iterator[None]:
        """Start and end, however it ends."""
        self.write("start", ctx, position)
        try:
            yield
        except BaseException:
            self.write("cut", ctx)
            raise
        self.write("end", ctx)
