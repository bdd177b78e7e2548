"""The task type `command`: run a program.

The program gets a chosen environment, not the node's own: PATH, HOME, LANG and TZ, what the task gives, and TOCSIN_TASK,
TOCSIN_EXECUTION, TOCSIN_ATTEMPT, TOCSIN_FENCE and TOCSIN_NOMINAL. It leads a process group of its own. When the attempt is
cancelled or times out, the group gets SIGTERM and five seconds later SIGKILL; what it writes meanwhile is still logged. When the
node dies, SIGKILL at once. What a program leaves running in the background when it ends is left alone, like cron does.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

import trio

from actors.handling.context import Context
from actors.handling.lines import cut
from runtime.errors import InvalidRequest
from runtime.processes import Child, describe_exit, start_child
from runtime.world import World

KILL_SECONDS: Final = 5.0
"""Time between SIGTERM and SIGKILL for a command: enough to remove a lock file, short enough to drain a node."""

MAX_OUTPUT: Final = 64 * 1024
"""Bytes kept of the end of a command's output; the whole may be in a file, where it belongs."""

LAST_OUTPUT_SECONDS: Final = 1.0
"""How long output is still read after the end: what runs on in the background may hold the pipe open for ever."""

LAST_LINES: Final = 10
"""Lines of output in the error of a command that failed."""

READ_SIZE: Final = 16 * 1024
"""Bytes taken at once: a thousand short lines take about a millisecond of the loop."""

PAUSE_SECONDS: Final = 0.001
"""Pause after each read once the log is full: the pipe then holds back a program that writes without end."""

PASSED_ON: Final = ("PATH", "HOME", "LANG", "TZ")
"""What a command inherits of the node's environment."""

_UNPRINTABLE: Final = {code: 0xFFFD for code in range(32) if chr(code) not in "\t\n"}


class CommandFailed(Exception):
    """The command could not be started, or ended with a code that is not one of `ok_codes`."""


class NoSuchProgram(CommandFailed):
    """There is nothing to start by that name; a policy that shall not retry this gives up on its name."""


def check_command(parameters: dict[str, Any]) -> None:
    """Raise InvalidRequest for parameters that no program can be started with."""
    argv = parameters["argv"]
    if not argv or not argv[0].strip():
        raise InvalidRequest(f"argv must begin with a program, not {argv!r}")
    environment = parameters.get("env") or {}
    for name in environment:
        if not name or "=" in name:
            raise InvalidRequest(f"env: {name!r} is no name of a variable")
    for text in (*argv, *environment, *environment.values(), parameters.get("cwd") or ""):
        if "\0" in text:
            raise InvalidRequest(f"a command cannot be given a zero character: {text!r}")


def make_command(world: World) -> Callable[..., Awaitable[dict[str, Any]]]:
    """The handler, starting its programs in a world."""

    async def command(
        ctx: Context,
        *,
        argv: list[str],
        env: dict[str, str] | None = None,
        cwd: str | None = None,
        stdin: str | None = None,
        shell: bool = False,
        ok_codes: list[int] | None = None,
    ) -> dict[str, Any]:
        """Run a program, without a shell unless asked: its output goes to the log, the end of it into the result.

        With `shell`, `argv[0]` is a text for /bin/sh and the others are its arguments. `ok_codes` is [0] unless given.
        """
        environment = _environment(world.environment(), ctx, env or {})
        full = (
            ["/bin/sh", "-c", argv[0], "sh", *argv[1:]] if shell else [_program(argv[0], environment, cwd), *argv[1:]]
        )
        code, output = await _run(world, ctx, full, environment, cwd, stdin)
        if code not in (ok_codes or [0]):
            raise CommandFailed(_complaint(argv[0], code, output.text()))
        return {"exit_code": code, "output": output.text(), "truncated": output.truncated}

    return command


def _environment(inherited: Mapping[str, str], ctx: Context, given: Mapping[str, str]) -> dict[str, str]:
    chosen = {name: inherited[name] for name in PASSED_ON if name in inherited}
    return {
        **chosen,
        **given,
        "TOCSIN_TASK": ctx.task_id,
        "TOCSIN_EXECUTION": ctx.execution_id,
        "TOCSIN_ATTEMPT": str(ctx.attempt),
        "TOCSIN_FENCE": str(ctx.fence),
        "TOCSIN_NOMINAL": "" if ctx.nominal is None else ctx.nominal.isoformat().replace("+00:00", "Z"),
    }


def _program(name: str, environment: Mapping[str, str], cwd: str | None) -> str:
    """What to execute. Raises NoSuchProgram; a working directory that is not there is left to the start, which names it."""
    if "/" not in name:
        path = environment.get("PATH", os.defpath)
        found = shutil.which(name, path=path)
        if found is None:
            raise NoSuchProgram(f"there is no program {name!r} in the PATH {path}")
        return found
    place = Path(cwd or "", name)
    if place.is_dir():
        raise NoSuchProgram(f"{name!r} is a directory, not a program")
    if not place.exists() and (cwd is None or Path(cwd).is_dir()):
        raise NoSuchProgram(
            f"there is no program {name!r}" + (f" in {cwd}" if cwd and not name.startswith("/") else "")
        )
    if place.exists() and not os.access(place, os.X_OK):
        raise NoSuchProgram(f"{name!r} may not be executed")
    return name


def _complaint(program: str, code: int, output: str) -> str:
    last = output.splitlines()[-LAST_LINES:]
    return "\n".join([f"{program!r} ended with {describe_exit(code)}", *last])


class Tail:
    """The end of a command's output, both of its streams as they came."""

    def __init__(self) -> None:
        self._kept = bytearray()
        self.truncated = False

    def add(self, data: bytes | bytearray) -> None:
        """Keep this, and of what came before as much as still has room."""
        self._kept += data
        if len(self._kept) > MAX_OUTPUT:
            self.truncated = True
            del self._kept[:-MAX_OUTPUT]

    def text(self) -> str:
        """What was kept; what is no text is replaced."""
        return self._kept.decode(errors="replace").replace("\r\n", "\n").translate(_UNPRINTABLE)


async def _run(
    world: World, ctx: Context, argv: list[str], environment: dict[str, str], cwd: str | None, stdin: str | None
) -> tuple[int, Tail]:
    output = Tail()
    child, feed = await _start(world, argv, environment, cwd, stdin)
    try:
        async with trio.open_nursery() as feeder:
            if feed is not None:
                feeder.start_soon(_feed, feed, (stdin or "").encode())
            code = await _read_to_the_end(child, ctx, output)
            feeder.cancel_scope.cancel()
    finally:
        await child.end(KILL_SECONDS)
    return code, output


async def _read_to_the_end(child: Child, ctx: Context, output: Tail) -> int:
    """Its exit code. Cancelled, it ends the child and still reads what that says on its way out, and takes it off the pipe."""
    last = [trio.CancelScope(shield=True), trio.CancelScope(shield=True)]
    async with trio.open_nursery() as readers:
        readers.start_soon(_read, child.stdout, ctx, "info", output, last[0])
        readers.start_soon(_read, child.stderr, ctx, "warning", output, last[1])
        try:
            return await child.wait()
        finally:
            await child.terminate(KILL_SECONDS)
            for scope in last:
                scope.deadline = trio.current_time() + LAST_OUTPUT_SECONDS


async def _start(
    world: World, argv: list[str], environment: dict[str, str], cwd: str | None, stdin: str | None
) -> tuple[Child, trio.lowlevel.FdStream | None]:
    theirs, ours = os.pipe() if stdin is not None else (None, None)
    started = False
    try:
        child = await start_child(world, argv, environment=environment, folder=cwd, stdin=theirs)
        started = True
    except OSError as error:
        raise CommandFailed(f"{argv[0]!r} cannot be started in {cwd or 'the current directory'}: {error}") from error
    finally:
        if theirs is not None:
            os.close(theirs)
        if ours is not None and not started:
            os.close(ours)
    return child, None if ours is None else trio.lowlevel.FdStream(ours)


async def _feed(stream: trio.lowlevel.FdStream, data: bytes) -> None:
    # A command need not read what it is given.
    async with stream:
        try:
            await stream.send_all(data)
        except trio.BrokenResourceError:
            return


async def _read(
    stream: trio.abc.ReceiveStream, ctx: Context, level: str, output: Tail, while_open: trio.CancelScope
) -> None:
    rest = bytearray()
    with while_open:
        while data := await stream.receive_some(READ_SIZE):
            output.add(data)
            if ctx.log_is_full:
                await trio.sleep(PAUSE_SECONDS)
                continue
            lines, rest = cut(rest + data, last=False)
            for line in lines:
                ctx.write_line(level, line)
    for line in cut(rest, last=True)[0]:
        ctx.write_line(level, line)
