"""A line: blocking calls in a thread, one after another, that begin at once.

`trio.to_thread` takes two turns of the loop before its thread begins, and as many until who waits for it goes on. In a busy loop
a turn takes milliseconds, and a thread that has to be fed through it stands still for most of the time. What is put into a line
begins without the loop: in the moment when the call before it has ended, or in this one.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

import trio

T = TypeVar("T")

Landed = Callable[[Any, BaseException | None], None]
"""Called in the loop with what a call returned, or with what it raised."""


class Line:
    """See the module's docstring. It has a thread only while there is something to do; the thread is trio's, and used again."""

    def __init__(self, name: str) -> None:
        self._name: Final = name
        self._lock = threading.Lock()
        self._waiting: deque[tuple[Callable[[], Any], Landed, trio.lowlevel.TrioToken]] = deque()
        self._working = False

    def begin(self, call: Callable[[], Any], landed: Landed) -> None:
        """Run `call` after those that were put in before it. To be used in the loop, which hears of the end by `landed`."""
        token = trio.lowlevel.current_trio_token()
        with self._lock:
            self._waiting.append((call, landed, token))
            if self._working:
                return
            self._working = True
        trio.lowlevel.start_thread_soon(self._work, _nothing, self._name)

    async def call(self, call: Callable[[], T], *, abandon: bool = False) -> T:
        """Run `call` in its turn and wait for it. Whoever is cancelled waits nevertheless, or with `abandon` leaves it behind."""
        await trio.lowlevel.checkpoint_if_cancelled()
        results: list[tuple[T, BaseException | None]] = []
        done = trio.Event()

        def landed(value: T, error: BaseException | None) -> None:
            results.append((value, error))
            done.set()

        self.begin(call, landed)
        with trio.CancelScope(shield=not abandon):
            await done.wait()
        value, error = results.pop()
        if error is not None:
            raise error
        return value

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._working = False
                    return
                call, landed, token = self._waiting.popleft()
            # Who has left the loop waits for nothing.
            with suppress(trio.RunFinishedError):
                token.run_sync_soon(landed, *returned_or_raised(call))
            # Nothing of what is done is kept while the thread waits for more.
            del call, landed, token


def returned_or_raised(call: Callable[[], Any]) -> tuple[Any, BaseException | None]:
    """Both as `Landed` takes them."""
    try:
        return call(), None
    except BaseException as error:
        return None, error


def _nothing(_: object) -> None:
    """The calls' results are told one by one."""
