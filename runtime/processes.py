"""Child processes that never outlive this one.

Each child leads a process group of its own. A guard, a shell waiting on a pipe whose other end only this process holds, kills
the whole group when the pipe breaks: on kill -9 too, and when the child is busy in code that listens to nothing. (Linux' parent
death signal would not do: it is sent when the thread that started the child ends, and such threads are short-lived.)
The guard is nobody's child, so that a program that waits for all of its children does not wait for it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

import trio

from .errors import InternalError
from .world import PIPE, World

_GUARD: Final = (
    "exec 3<&0 0</dev/null; "
    '( ( trap "" HUP INT TERM; read -r _ <&3 || kill -s KILL -- -$$ ) >/dev/null 2>&1 & ); '
    "exec 3<&-; "
    'if [ -n "$0" ]; then exec <"$0"; fi; '
    'exec "$@"'
)
"""For sh: the guard's pipe is its standard input, `$0` is what the child shall have as its own, `$@` the child."""


class Child:
    """A running child process; `stdout` and `stderr` are streams of what it writes."""

    def __init__(self, process: trio.Process, guard: int) -> None:
        assert process.stdout is not None and process.stderr is not None
        self.stdout: Final = process.stdout
        self.stderr: Final = process.stderr
        self._process = process
        self._guard = guard

    @property
    def pid(self) -> int:
        """The process id, which is also its group's."""
        return self._process.pid

    async def wait(self) -> int:
        """Wait for its end; the exit code, or minus the number of the signal that ended it."""
        return await self._process.wait()

    async def terminate(self, grace_seconds: float) -> None:
        """If it still runs: SIGTERM to its group, after `grace_seconds` SIGKILL. Cannot be cancelled.

        What it writes on its way out can still be read; a child whose output nobody reads may hang until it is killed.
        """
        if self._process.poll() is not None:
            return
        with trio.CancelScope(shield=True):
            self._signal(signal.SIGTERM)
            with trio.move_on_after(grace_seconds):
                await self._process.wait()
            self._signal(signal.SIGKILL)
            await self._process.wait()

    async def end(self, grace_seconds: float) -> None:
        """See to it that it has ended, as `terminate` does, and close its streams. Cannot be cancelled.

        If it had ended by itself, what it left running in the background is left alone.
        """
        if self._guard < 0:
            return
        with trio.CancelScope(shield=True):
            await self.terminate(grace_seconds)
            with suppress(BrokenPipeError):
                os.write(self._guard, b"\n")
            os.close(self._guard)
            self._guard = -1
            await self.stdout.aclose()
            await self.stderr.aclose()

    def _signal(self, number: signal.Signals) -> None:
        # The guard is in the group, so its number cannot belong to strangers yet.
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)


async def start_child(
    world: World,
    argv: Sequence[str],
    *,
    environment: Mapping[str, str],
    folder: str | None = None,
    stdin: int | None = None,
) -> Child:
    """Start a program. Its standard input is `/dev/null`, or the descriptor `stdin`.

    folder: its working directory. Raises OSError.
    """
    if not argv:
        raise InternalError("a child process needs a program")
    ours, guard = os.pipe()
    inherited = () if stdin is None else (stdin,)
    own_input = "" if stdin is None else f"/dev/fd/{stdin}"
    try:
        process = await world.open_process(
            ["/bin/sh", "-c", _GUARD, own_input, *argv],
            stdin=ours, stdout=PIPE, stderr=PIPE, env=dict(environment), cwd=folder,
            pass_fds=inherited, process_group=0,
        )  # fmt: skip
    except BaseException:
        os.close(guard)
        raise
    finally:
        os.close(ours)
    return Child(process, guard)


def describe_exit(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"exit code {code}"
    with suppress(ValueError):
        return f"signal {-code} ({signal.Signals(-code).name})"
    return f"signal {-code}"
