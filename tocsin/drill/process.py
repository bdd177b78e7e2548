"""What is done to a node's process: found on this machine beyond doubt, stopped, continued, killed; or by a person's command.

A signal goes to the process that was looked at and to no other: Linux gives a handle to it (pidfd_open(2)) that does not follow
its number to whoever gets it next. A frozen process is thawed by a guard too, a child that outlives this program.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final, Protocol

import attrs

from runtime.errors import Conflict, InvalidRequest

from ..services.own_process import began, machine

COMMAND_SECONDS: Final = 30.0
"""For a person's command: a connection to another machine takes some seconds."""

GUARD_SECONDS: Final = 5.0
"""How much later than asked the guard thaws, if nobody else has."""

PLACES: Final = ("node", "pid", "host", "signal")
"""What a person's command may name in braces."""

KILL: Final = "KILL"
STOP: Final = "STOP"
CONTINUE: Final = "CONT"


class Victim(Protocol):
    """A process that signals reach."""

    def send(self, name: str) -> None:
        """Send KILL, STOP or CONT. Raises Conflict if that is not possible."""
        ...

    def guard(self, seconds: float) -> None:
        """Have it continued after so long, whatever becomes of this program; where that can be done."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class LocalVictim:
    """A process on this machine. told: as the node tells of itself. Raises Conflict if it is not the one that is seen here."""

    def __init__(self, told: Mapping[str, Any]) -> None:
        node, self._pid = told["node"], int(told["pid"])
        self._guard: subprocess.Popen[bytes] | None = None
        here = machine()
        if here is None or told["machine"] != here:
            raise Conflict(
                f"{node} is process {self._pid} on {told['host']}, which is not this machine, or not this view of it: run the "
                "drill there, or say how with --with 'ssh {host} kill -{signal} {pid}'"
            )
        try:
            self._handle = os.pidfd_open(self._pid)
        except OSError as error:
            raise Conflict(f"{node} is process {self._pid}, which cannot be reached: {error.strerror}") from None
        if began(self._pid) != told["began"]:
            self.close()
            raise Conflict(f"process {self._pid} is another one than {node} said it is")

    def send(self, name: str) -> None:
        try:
            signal.pidfd_send_signal(self._handle, signal.Signals[f"SIG{name}"])
        except OSError as error:
            raise Conflict(f"process {self._pid}: {error.strerror}") from None

    def guard(self, seconds: float) -> None:
        script = f"sleep {seconds + GUARD_SECONDS:.1f}; kill -CONT {self._pid}"
        self._guard = subprocess.Popen(  # noqa: S603 - two numbers are all that is in it
            ["/bin/sh", "-c", script],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def close(self) -> None:
        os.close(self._handle)
        if self._guard is not None:
            # Whoever closes has continued the process; its guard is not needed any more.
            with suppress(ProcessLookupError):
                os.killpg(self._guard.pid, signal.SIGKILL)
            self._guard.wait()


@attrs.frozen
class DistantVictim:
    """A process that a person's command reaches. told: as the node tells of itself."""

    command: str
    told: Mapping[str, Any]

    def send(self, name: str) -> None:
        argv = filled(self.command, {**self.told, "signal": name})
        try:
            done = subprocess.run(  # noqa: S603 - what its user asked for
                argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Conflict(f"--with: {shlex.join(argv)}: {error}") from None
        if done.returncode != 0:
            raise Conflict(f"--with: {shlex.join(argv)}: exit code {done.returncode}: {done.stderr.strip()[:500]}")

    def guard(self, seconds: float) -> None:
        """Nothing here outlives this program for it."""

    def close(self) -> None:
        """Nothing is held."""


def filled(command: str, told: Mapping[str, Any]) -> list[str]:
    """The words of a person's command, with what is in braces filled in. Raises InvalidRequest if it is no command."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise InvalidRequest(f"--with: {command!r}: {error}") from None
    if not words:
        raise InvalidRequest("--with: a command")
    for place in PLACES:
        words = [word.replace(f"{{{place}}}", str(told[place])) for word in words]
    return words


def victim_of(told: Mapping[str, Any], command: str | None) -> Victim:
    """The process of a node, as it tells of itself, by a person's command if there is one. Raises Conflict, InvalidRequest."""
    if command is None:
        return LocalVictim(told)
    filled(command, {**told, "signal": STOP})
    return DistantVictim(command, told)


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGTERM and SIGHUP end what is done in the block as Ctrl-C does, so that it can be taken back."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    former = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in former.items():
            with suppress(TypeError):
                signal.signal(number, handler)
