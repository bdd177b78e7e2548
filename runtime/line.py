"""A line: blocking calls in a thread, one after another, that begin at once.

`trio.to_thread` takes two turns of the loop before its thread begins, and as many until who waits for it goes on. In a busy loop
a turn takes milliseconds, and a thread that has to be fed through it stands still for most of the time. What is put into a line
begins without the loop: in the moment when the call before it has ended, or in this one.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final, NoReturn, Protocol, TypeVar

import trio

T = TypeVar("T")

PATIENCE_SECONDS: Final = 300.0
"""How long an answer from elsewhere is waited for: a disk may hang for a while."""

UNFINISHED: Final = object()
"""In place of an answer: the call itself is still to be made."""

Landed = Callable[[Any, BaseException | None], None]
"""Called in the loop with what a call returned, or with what it raised."""


class Ahead(Protocol):
    """The first part of a call, which somebody else does while nobody here waits in a thread."""

    def send(self) -> int:
        """Hand it over, without waiting; the descriptor that can be read when the answer is there."""
        ...

    def receive(self) -> Any:
        """The answer, or UNFINISHED: then the call itself is to be made."""
        ...

    def give_up(self) -> NoReturn:
        """No answer came within PATIENCE_SECONDS: raises what that means."""
        ...


class Errand:
    """A call that may have a first part of that kind. Without a line it is a call as any other."""

    def __init__(self, call: Callable[[], Any], ahead: Ahead | None) -> None:
        self._call = call
        self.ahead: Final = ahead

    def __call__(self) -> Any:
        return self._call()


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

    def send(self, errand: Errand, landed: Landed) -> Callable[[], Awaitable[None]] | None:
        """As `begin`; but if nobody is before it and it has a first part, that is sent from here: no thread has to be woken.

        Answers what waits in the loop for the end of that part, and cannot be cancelled; None if there is nothing to wait for.
        """
        with self._lock:
            is_sent = errand.ahead is not None and not self._working
            self._working = self._working or is_sent
        if errand.ahead is None or not is_sent:
            self.begin(errand, landed)
            return None
        try:
            return partial(self._fetch, errand, errand.ahead, errand.ahead.send(), landed)
        except BaseException as error:
            self._end(errand, None, error, landed)
            return None

    async def _fetch(self, errand: Errand, ahead: Ahead, link: int, landed: Landed) -> None:
        with trio.move_on_after(PATIENCE_SECONDS, shield=True) as patience:
            await trio.lowlevel.wait_readable(link)
        self._end(errand, *returned_or_raised(ahead.give_up if patience.cancelled_caught else ahead.receive), landed)

    def _end(self, errand: Errand, value: Any, error: BaseException | None, landed: Landed) -> None:
        with self._lock:
            if value is UNFINISHED:
                self._waiting.appendleft((errand, landed, trio.lowlevel.current_trio_token()))
            self._working = goes_on = bool(self._waiting)
        if goes_on:
            trio.lowlevel.start_thread_soon(self._work, _nothing, self._name)
        if value is not UNFINISHED:
            landed(value, error)

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
