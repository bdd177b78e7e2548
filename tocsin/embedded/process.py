"""One server as a child process that never outlives this one, with the faults that drills need: kill, freeze, thaw."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import attrs

from runtime.errors import Conflict

POLL_SECONDS: Final = 0.02
"""How often it is asked whether a server has come up or has gone: they take from 30 ms to 2 s."""

KILL_SECONDS: Final = 10.0
"""How long the kernel may take to end killed processes, with a disk that is busy."""

_SHOWN_LINES: Final = 15

_GUARD: Final = (
    "exec 3<&0 0</dev/null; "
    '( ( trap "" HUP INT TERM; '
    "read -r _ <&3 || { kill -s KILL $(cat /proc/$$/task/$$/children); kill -s KILL -- -$$; } ) >/dev/null 2>&1 & ); "
    'exec 3<&-; exec "$@"'
)
"""For sh: waits on a pipe, its standard input, whose other end only this process holds, and kills when it breaks. The children
are named, because those of PostgreSQL lead sessions of their own; the group comes last, because the guard is in it."""


@attrs.frozen
class Account:
    """Who a server runs as, when not as ourselves."""

    uid: int
    gid: int


class ServerProcess:
    """A server that is started again and again with the same command. What it writes is appended to `log`.

    environment: added to our own.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        folder: Path,
        log: Path,
        environment: Mapping[str, str] | None = None,
        account: Account | None = None,
    ) -> None:
        self.name: Final = name
        self.log: Final = log
        self._argv = tuple(argv)
        self._folder = folder
        self._environment = dict(environment or {})
        self._account = account
        self._process: subprocess.Popen[bytes] | None = None
        self._guard = -1

    @property
    def pid(self) -> int:
        """The process id while it runs, else Conflict."""
        if self._process is None:
            raise Conflict(f"{self.name} is not running")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it; Conflict if it runs. It is not ready yet: see `wait_ready`."""
        if self.running:
            raise Conflict(f"{self.name} is running")
        self._forget()
        ours, guard = os.pipe()
        account = self._account
        try:
            with self.log.open("ab") as log:
                self._process = subprocess.Popen(
                    ["/bin/sh", "-c", _GUARD, "guard", *self._argv],
                    stdin=ours, stdout=log, stderr=log, cwd=self._folder, env=os.environ | self._environment,
                    process_group=0, user=None if account is None else account.uid,
                    group=None if account is None else account.gid, extra_groups=None if account is None else [],
                )  # fmt: skip
        except BaseException:
            os.close(guard)
            raise
        finally:
            os.close(ours)
        self._guard = guard

    def wait_ready(self, is_ready: Callable[[], bool], seconds: float) -> None:
        """Wait until `is_ready`; Conflict with the end of the log if it ends before, or takes longer."""
        deadline = time.monotonic() + seconds
        while not is_ready():
            if not self.running:
                raise Conflict(f"{self.name} did not start:\n{self.last_words()}")
            if time.monotonic() > deadline:
                raise Conflict(f"{self.name} was not ready within {seconds:g} s:\n{self.last_words()}")
            time.sleep(POLL_SECONDS)

    def last_words(self) -> str:
        """The end of its log."""
        with suppress(OSError):
            return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-_SHOWN_LINES:])
        return ""

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the server itself."""
        os.kill(self.pid, number)

    def stop(self, number: signal.Signals, seconds: float) -> None:
        """Ask it to end with this signal, and kill it if it has not after so many seconds. Does nothing if it has ended."""
        if self._process is not None and self.running:
            self.thaw()
            self.send(number)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
        self.kill()

    def kill(self) -> None:
        """SIGKILL to it and its children, as a crash of its machine would; returns when all of them are gone."""
        if self._process is None:
            return
        doomed = self._everyone()
        for pid in doomed:
            _signal(pid, signal.SIGKILL)
        self._process.wait(KILL_SECONDS)
        deadline = time.monotonic() + KILL_SECONDS
        while any(map(lives, doomed)) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        self._forget()

    def freeze(self) -> None:
        """SIGSTOP to it, then to its children: nothing answers, and every connection stays open."""
        self.send(signal.SIGSTOP)
        for pid in self._everyone()[1:]:
            _signal(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT to all of them."""
        for pid in self._everyone():
            _signal(pid, signal.SIGCONT)

    def _everyone(self) -> list[int]:
        """The server, if it has not ended, and its children. Only while it has not been waited for are these numbers its own."""
        if self._process is None or not self.running:
            return []
        pid = self._process.pid
        with suppress(OSError):
            return [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]
        return [pid]

    def _forget(self) -> None:
        if self._guard >= 0:
            with suppress(BrokenPipeError):
                os.write(self._guard, b"\n")
            os.close(self._guard)
            self._guard = -1
        self._process = None


def lives(pid: int) -> bool:
    """Whether the process exists and has not ended; one that has may wait long for somebody to take note."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state not in ("Z", "X")


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
