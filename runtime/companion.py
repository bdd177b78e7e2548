"""A companion: a process beside this one that answers questions, one after another, and never outlives it for long.

What would hold the interpreter's lock here, in the way of the loop, is done there. It is asked over a socket, by a thread or
by the loop, and ends when that is closed, which kill -9 does too. It keeps this process's locks of directories with it: they
are free when both are gone.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, NoReturn

import msgspec

from . import companion_process
from .companion_process import framed, receive
from .line import PATIENCE_SECONDS

END_SECONDS: Final = 5.0
"""How long it may take to end when its socket is closed, before it is killed."""

BUFFER_BYTES: Final = 1 << 20
"""Asked for of the socket: a question of usual size is handed over in one piece."""

AT_ONCE_BYTES: Final = 65_536
"""So much goes into the socket of a companion that has read all there was: a third of what Linux gives without being asked."""


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder().decode


def frame(question: Any) -> bytes:
    """A question as it is sent: of lists, texts, numbers and None. Raises UnicodeEncodeError for half a surrogate pair."""
    return framed(_encode(question))


class CompanionGone(Exception):
    """It has ended. Whether it had carried out what it was asked for is not known."""


class Companion:
    """See the module's docstring. Used by one thread at a time: whoever has sent a question takes its answer."""

    def __init__(self, module: Path, arguments: Sequence[str], held: Iterable[int] = ()) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
            number = theirs.fileno()
            argv = [sys.executable, "-I", "-S", companion_process.__file__, str(number), str(module), *arguments]
            try:
                self._process = subprocess.Popen(  # noqa: S603
                    argv, stdin=subprocess.DEVNULL, pass_fds=(number, *held)
                )
            except BaseException:
                ours.close()
                raise
        ours.settimeout(PATIENCE_SECONDS)
        self._link: Final = ours
        self.is_gone = False

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def send(self, question: bytes) -> int:
        """Send a question that `frame` has made; the descriptor that can be read when its answer is there.

        Raises CompanionGone. It may wait until the companion has read some, unless the question is no longer than AT_ONCE_BYTES.
        """
        if self.is_gone:
            raise CompanionGone(f"process {self.pid} has ended")
        with self._living():
            self._link.sendall(question)
        return self._link.fileno()

    def answer(self) -> Any:
        """Wait for the answer to what was sent. Raises CompanionGone."""
        with self._living():
            return _decode(receive(self._link))

    @contextmanager
    def _living(self) -> Iterator[None]:
        try:
            yield
        except TimeoutError:
            self.give_up()
        except OSError as error:
            self.close()
            raise CompanionGone(f"process {self.pid} has ended: {error}") from error

    def give_up(self) -> NoReturn:
        """It has not answered in time: it is ended, as what it was asked for must not happen later. Raises CompanionGone."""
        self._process.kill()
        self.close()
        raise CompanionGone(f"process {self.pid} has not answered for too long, and was ended")

    def close(self) -> None:
        """Let it end, and wait for that."""
        self.is_gone = True
        self._link.close()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            with suppress(OSError):
                self._process.kill()
            self._process.wait()


StartCompanion = Callable[[Path, Sequence[str]], Companion | None]
"""From the path of a module with a `begin`, and its arguments; None where there are no companions."""
