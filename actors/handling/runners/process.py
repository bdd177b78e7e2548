"""Handlers in processes of their own: one fresh process for each attempt, so that none inherits what another left behind.

Starting one costs some tenths of a second of a core, nearly all of it the interpreter and the imports of the handler's module;
work that needs a process takes longer than that.
"""

from __future__ import annotations

import base64
import os
import sys
from collections.abc import Awaitable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from runtime.errors import TocsinError
from runtime.processes import Child, describe_exit, start_child
from runtime.world import World

from ...model.execution import Failure
from ..catalogue import TaskType
from ..context import Context
from ..failures import RemoteFailure
from ..frames import FrameTooLarge, Unpacker, pack
from ..lines import read_lines
from ..payload import decode_json

KILL_SECONDS: Final = 2.0
"""Time between SIGTERM and SIGKILL for a worker process."""

SEND_SECONDS: Final = 0.1
"""How long the signal waits for the reason of the interruption to be sent: the worker may not be reading."""

LAST_WORDS_SECONDS: Final = 1.0
"""How long a worker that has ended is still listened to: what it left running may hold the pipes open for ever."""

READ_SIZE: Final = 64 * 1024

_PACKAGES: Final = str(Path(__file__).resolve().parents[2])


class WorkerDied(Exception):
    """The process ended without saying how the handler did."""


@attrs.define
class Worker:
    """A worker process and the pipe to it. `told`: it was sent the reason of its interruption.

    What it tells comes through its standard output, what is printed through the other.
    """

    child: Child
    send: trio.lowlevel.FdStream
    sending: trio.Lock = attrs.field(factory=trio.Lock)
    told: trio.Event = attrs.field(factory=trio.Event)


async def run_in_process(world: World, entry: TaskType, context: Context) -> object:
    """Run the handler of a task type in a worker process and return its result.

    Raises RemoteFailure with what the handler raised, WorkerDied when the process ended otherwise. Cancelled, it ends the
    process.
    """
    worker = await _start(world)
    try:
        ended = await _converse_to_the_end(worker, entry, context)
    finally:
        with trio.CancelScope(shield=True):
            await worker.child.end(KILL_SECONDS)
            await worker.send.aclose()
    if ended is None:
        raise WorkerDied(f"the worker process ended with {describe_exit(await worker.child.wait())}")
    if ended["kind"] == "failed":
        failure = Failure(ended["type"], ended["message"], ended["traceback"])
        raise RemoteFailure(failure, tuple(ended["names"]))
    return decode_json(ended["result"])


async def _start(world: World) -> Worker:
    theirs, ours = os.pipe()
    environment = {name: value for name, value in world.environment().items() if not name.startswith("TOCSIN_")}
    environment["PYTHONUNBUFFERED"] = "1"
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [_PACKAGES, environment.get("PYTHONPATH", "")]))
    try:
        child = await start_child(
            world, [sys.executable, "-P", "-m", "actors.handling.worker"], environment=environment, stdin=theirs
        )
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
    return Worker(child, trio.lowlevel.FdStream(ours))


async def _converse_to_the_end(worker: Worker, entry: TaskType, context: Context) -> dict[str, Any] | None:
    """As `_converse`. Cancelled, it ends the worker, and serves it while that gives way: it may checkpoint and print.

    A handler that returned nevertheless has done its work: then nothing was interrupted, as with handlers that run here.
    """
    ended: list[dict[str, Any] | None] = []
    talk = trio.CancelScope(shield=True)

    async def converse() -> None:
        with talk:
            ended.append(await _converse(worker, entry, context))
        over.set()

    over = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(converse)
        try:
            await over.wait()
        except trio.Cancelled:
            # The reason goes before the signal, so that the handler knows it.
            if context.cancelled:
                with trio.CancelScope(deadline=trio.current_time() + SEND_SECONDS, shield=True):
                    await worker.told.wait()
            await worker.child.terminate(KILL_SECONDS)
            talk.deadline = trio.current_time() + LAST_WORDS_SECONDS
            with trio.CancelScope(shield=True):
                await over.wait()
            if not ended or ended[0] is None or ended[0]["kind"] != "done":
                raise
    return ended[0]


async def _converse(worker: Worker, entry: TaskType, context: Context) -> dict[str, Any] | None:
    """Serve the worker until it says how the handler ended; None when it goes without a word."""
    ended: dict[str, Any] | None
    async with trio.open_nursery() as helpers:
        helpers.start_soon(_send, worker, pack("job", **_job(entry, context)))
        helpers.start_soon(_pass_interruption, worker, context)
        async with trio.open_nursery() as captures:
            captures.start_soon(_capture, worker.child.stderr, context)
            ended = await _serve(worker, context)
            # The rest of its output is still wanted, but a child of its own may hold the pipes open.
            captures.cancel_scope.deadline = trio.current_time() + KILL_SECONDS
            await worker.child.wait()
        helpers.cancel_scope.cancel()
    return ended


def _job(entry: TaskType, context: Context) -> dict[str, Any]:
    extra = context.extra
    return {
        "source": entry.source,
        "path": sys.path,
        "resumed": context.resumed_text,
        "node": context.node,
        "started_at": context.started_at,
        "extra": None if extra is None else base64.b64encode(extra).decode(),
        "extra_type": context.extra_type,
        "definition": {"id": context.task_id, "name": context.task, "type": context.type},
        "trigger": context.trigger_kind,
        "parameters": context.parameters_text,
        "execution": context.facts(),
    }


async def _send(worker: Worker, frame: bytes) -> None:
    # A worker that has died is noticed where its answers are read.
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        # An answer and the interruption may come at the same time.
        async with worker.sending:
            await worker.send.send_all(frame)


async def _serve(worker: Worker, context: Context) -> dict[str, Any] | None:
    unpacker = Unpacker()
    async with trio.open_nursery() as calls:
        while True:
            try:
                data = await worker.child.stdout.receive_some(READ_SIZE)
                frames = unpacker.feed(data)
            except (FrameTooLarge, ValueError, trio.BrokenResourceError):
                data, frames = b"", []
            for frame in frames:
                if frame["kind"] in ("done", "failed"):
                    calls.cancel_scope.cancel()
                    return frame
                await _handle(worker, context, frame, calls)
            if not data:
                calls.cancel_scope.cancel()
                return None


async def _handle(worker: Worker, context: Context, frame: dict[str, Any], calls: trio.Nursery) -> None:
    match frame["kind"]:
        case "log":
            context.write_line(frame["level"], frame["text"])
        case "progress":
            context.progress_text(frame["data"])
        case "beat":
            context.heartbeat()
        case "checkpoint":
            await _answer(worker, frame, context.checkpoint_text(frame["data"]))
        case "call":
            # It may wait long for another task; what the handler says meanwhile is heard.
            calls.start_soon(_answer, worker, frame, context.call(frame["operation"], frame["arguments"]))


async def _answer(worker: Worker, frame: dict[str, Any], asked: Awaitable[Any]) -> None:
    try:
        answer = pack("answer", number=frame["number"], error=None, value=await asked)
    except TocsinError as error:
        answer = pack("answer", number=frame["number"], error=type(error).__name__, text=str(error))
    await _send(worker, answer)


async def _capture(stream: trio.abc.ReceiveStream, context: Context) -> None:
    async for line in read_lines(stream):
        context.write_line("info", line)


async def _pass_interruption(worker: Worker, context: Context) -> None:
    await context.interrupted.wait()
    await _send(worker, pack("interrupt", reason=context.cancellation_reason))
    worker.told.set()
