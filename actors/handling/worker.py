"""The main program of a worker process: one attempt of one handler, then the end.

Started by `runners/process.py`. Frames come in through the standard input and go out through the standard output, which are
put aside first: the handler reads nothing and prints where errors go, into its log. There is no World here: the process exists
for the handler alone. SIGTERM is the interruption: a function gets `HandlerInterrupted` raised where it is, an
async handler is cancelled.
"""

from __future__ import annotations

import base64
import functools
import itertools
import os
import queue
import signal
import sys
import threading
import time
from contextlib import suppress
from types import FrameType
from typing import Any

import trio

import runtime.errors
from runtime.clock import Instant
from runtime.errors import InternalError, TocsinError

from ..model.execution import Execution, Kind
from ..model.lifecycle import State
from ..model.task import Definition, Extra
from ..model.trigger import Once
from .catalogue import DECLARED, TaskType, is_async
from .context import Context, HandlerInterrupted, SyncContext
from .failures import failure_of, names_of
from .frames import Unpacker, pack
from .logbook import Meter
from .payload import MAX_RESULT, encode_json
from .sources import load_source

READ_SIZE = 64 * 1024

REASON_SECONDS = 0.2
"""How long the interruption waits for its reason; one that comes from outside the node has none."""

POLL_SECONDS = 0.002
"""How often it looks for the reason: what a pipe needs to be read."""

TERMINATED = "terminated"
"""The reason of an interruption that did not come from the node."""

MAX_CALL = 2 * 1024 * 1024
"""Bytes of JSON in what a handler asks for: what a request over REST may have."""

Facts = tuple[Definition, Execution, Instant, str]
STDIN, STDOUT, STDERR = 0, 1, 2


class UnknownTaskType(Exception):
    """The module was loaded and did not declare the type."""


class PipeBridge:
    """See `Bridge`: what the handler says goes to the node as frames; a thread takes in what comes back."""

    def __init__(self, incoming: int, outgoing: int) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._sending = threading.Lock()
        self._numbers = itertools.count(1)
        self._answers: dict[int, queue.SimpleQueue[dict[str, Any]]] = {}
        self._meter = Meter()
        self._log_is_full = False
        self._reason: str | None = None
        self._on_interrupt: Any = None
        self.job: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()

    def listen(self) -> None:
        """Take frames in until the node closes the pipe."""
        unpacker = Unpacker()
        while data := os.read(self._incoming, READ_SIZE):
            for frame in unpacker.feed(data):
                self._take(frame)

    def _take(self, frame: dict[str, Any]) -> None:
        match frame["kind"]:
            case "job":
                self.job.put(frame)
            case "answer":
                # Whoever asked may have been interrupted and wait no longer.
                if (waiting := self._answers.pop(frame["number"], None)) is not None:
                    waiting.put(frame)
            case "interrupt":
                self.interrupt(frame["reason"])

    def interrupt(self, reason: str) -> None:
        """Let the handler see that it shall end."""
        if self._reason is None:
            self._reason = reason
            if self._on_interrupt is not None:
                self._on_interrupt(reason)

    def on_interrupt(self, call: Any) -> None:
        """Call this, from another thread, when the handler shall end."""
        self._on_interrupt = call

    def send(self, kind: str, **fields: Any) -> None:
        """Send a frame, whole. If the node is gone, the guard of this process ends it."""
        frame = memoryview(pack(kind, **fields))
        with self._sending, suppress(BrokenPipeError):
            while frame:
                frame = frame[os.write(self._outgoing, frame) :]

    def checkpoint(self, data: str) -> None:
        self._ask("checkpoint", data=data)

    def call(self, operation: str, arguments: dict[str, Any]) -> Any:
        # What JSON cannot hold is refused here, where the handler sees it.
        encode_json(arguments, MAX_CALL, f"what {operation} is given")
        return self._ask("call", operation=operation, arguments=arguments)

    def _ask(self, kind: str, **fields: Any) -> Any:
        number = next(self._numbers)
        waiting = self._answers[number] = queue.SimpleQueue()
        try:
            self.send(kind, number=number, **fields)
            answer = waiting.get()
        finally:
            self._answers.pop(number, None)
        if answer["error"] is not None:
            raise _error_named(answer["error"])(answer["text"])
        return answer["value"]

    def progress(self, data: str) -> None:
        self.send("progress", data=data)

    def beat(self) -> None:
        self.send("beat")

    def log(self, level: str, text: str) -> None:
        if not self._log_is_full:
            # One more than are let pass: the node sees that there were too many.
            self._log_is_full = not self._meter.lets_pass(text)
            self.send("log", level=level, text=text)

    def reason(self) -> str | None:
        return self._reason


def _error_named(name: str) -> type[Exception]:
    found = getattr(runtime.errors, name, None)
    return found if isinstance(found, type) and issubclass(found, TocsinError) else InternalError


class PipeHost:
    """The host of an async handler's context: everything goes over the bridge."""

    def __init__(self, bridge: PipeBridge) -> None:
        self._bridge = bridge

    def now(self) -> Instant:
        return Instant(time.time_ns() // 1000)

    def monotonic(self) -> float:
        return trio.current_time()

    def beat(self, context: Context) -> None:
        self._bridge.beat()

    def changed(self, context: Context) -> None:
        for _, level, text in context.take_lines():
            self._bridge.log(level, text)
        if context.has_progress:
            self._bridge.progress(context.figures_text())

    async def checkpoint(self, context: Context, data: str, sequence: int) -> None:
        await trio.to_thread.run_sync(self._bridge.checkpoint, data, abandon_on_cancel=True)

    async def call(self, context: Context, operation: str, arguments: dict[str, Any]) -> Any:
        return await trio.to_thread.run_sync(self._bridge.call, operation, arguments, abandon_on_cancel=True)


def main() -> int:
    """Run the attempt that comes through the pipe; 0 when its end could be told."""
    bridge = PipeBridge(os.dup(STDIN), os.dup(STDOUT))
    os.dup2(os.open(os.devnull, os.O_RDONLY), STDIN)
    os.dup2(STDERR, STDOUT)
    threading.Thread(target=bridge.listen, daemon=True, name="frames").start()
    job = bridge.job.get()
    try:
        result = run(bridge, job)
        text = None if result is None else encode_json(result, MAX_RESULT, "the result")
    except BaseException as error:
        # Whatever the handler raises is told to the node, which decides what it means.
        failure = failure_of(error)
        bridge.send(
            "failed",
            type=failure.type,
            message=failure.message,
            traceback=failure.traceback,
            names=names_of(error),
        )
    else:
        bridge.send("done", result=text)
    return 0


def run(bridge: PipeBridge, job: dict[str, Any]) -> object:
    """Load the handler and call it."""
    sys.path.extend(place for place in job["path"] if place not in sys.path)
    load_source(job["source"])
    definition, execution = _records(job)
    entry = DECLARED.get(definition.type)
    if entry is None:
        raise UnknownTaskType(f"{job['source']} declares no task type {definition.type!r}")
    facts = (definition, execution, Instant(job["started_at"]), job["node"])
    if is_async(entry.function):
        # What holds again once the handler has ended: see below.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        return trio.run(_run_async, bridge, entry, facts, job)
    context = SyncContext(*facts, bridge, job["resumed"])
    context.told_trigger(job["trigger"])
    signal.signal(signal.SIGTERM, functools.partial(_raise, bridge))
    try:
        return entry.function(context, **entry.arguments(context.parameters))
    finally:
        # It has ended: an interruption that comes now would only keep its result from being told.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _raise(bridge: PipeBridge, _number: int, _frame: FrameType | None) -> None:
    # The signal may overtake the reason, which another thread is taking in. No lock may be waited for in a signal handler.
    give_up = time.monotonic() + REASON_SECONDS
    while bridge.reason() is None and time.monotonic() < give_up:
        time.sleep(POLL_SECONDS)
    bridge.interrupt(TERMINATED)
    raise HandlerInterrupted(bridge.reason())


async def _run_async(bridge: PipeBridge, entry: TaskType, facts: Facts, job: dict[str, Any]) -> object:
    context = Context(*facts, PipeHost(bridge), job["resumed"])
    context.told_trigger(job["trigger"])
    token = trio.lowlevel.current_trio_token()
    bridge.on_interrupt(lambda reason: token.run_sync_soon(context.notify, reason))
    failed: BaseException | None = HandlerInterrupted(TERMINATED)
    result: object = None
    async with trio.open_nursery() as nursery:
        await nursery.start(_cancel_on_sigterm, context, nursery.cancel_scope)
        try:
            result = await entry.function(context, **entry.arguments(context.parameters))
            failed = None
        except Exception as error:
            # Carried around the nursery, which would make a group of it.
            failed = error
        nursery.cancel_scope.cancel()
    if failed is not None:
        raise failed
    return result


async def _cancel_on_sigterm(
    context: Context, scope: trio.CancelScope, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    with trio.open_signal_receiver(signal.SIGTERM) as received:
        task_status.started()
        async for _ in received:
            with trio.move_on_after(REASON_SECONDS):
                await context.interrupted.wait()
            context.notify(TERMINATED)
            scope.cancel()


def _records(job: dict[str, Any]) -> tuple[Definition, Execution]:
    extra = None if job["extra"] is None else Extra(base64.b64decode(job["extra"]), job["extra_type"])
    definition = Definition(trigger=Once(Instant(0)), parameters=job["parameters"], extra=extra, **job["definition"])
    facts = dict(job["execution"])
    facts["kind"] = Kind(facts["kind"])
    facts["state"] = State(facts["state"])
    return definition, Execution(**facts)


if __name__ == "__main__":
    sys.exit(main())
