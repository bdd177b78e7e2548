"""What a handler is given: the facts of its attempt, and the ways to say how far it is.

`Context` is for async handlers, `SyncContext` for functions in threads and for every function in a process of its own. They have
the same names. The loop's `Context` is where logs and progress of every attempt are gathered; a `SyncContext` speaks to it
through its `Bridge`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any, Protocol

import trio

from runtime.clock import Instant

from ..model.execution import Execution
from ..model.task import Definition
from .facts import Described
from .logbook import Line, Log, LogBook
from .payload import MAX_PROGRESS, decode_json, encode_json
from .progress import Pace, merged_progress, shown_progress
from .tools import INVOKE, WAIT_SECONDS, Asker, Invocations, TaskTools, invocation
from .typed import checkpoint_text


class HandlerInterrupted(BaseException):
    """Raised by `raise_if_cancelled` in a handler that shall end. Not an Exception: `except Exception` does not stop it."""


class Host(Protocol):
    """What a context needs of the executor."""

    def now(self) -> Instant:
        """The wall clock."""
        ...

    def monotonic(self) -> float:
        """The clock that is never set, seconds."""
        ...

    def beat(self, context: Context) -> None:
        """The handler gave a sign of life."""
        ...

    def changed(self, context: Context) -> None:
        """There is progress, or there are lines, to send on."""
        ...

    async def checkpoint(self, context: Context, data: str, sequence: int) -> None:
        """Make the checkpoint durable; `sequence` is its number in the execution."""
        ...

    async def call(self, context: Context, operation: str, arguments: dict[str, Any]) -> Any:
        """Have an operation carried out; see `Tools`."""
        ...


class Context(Described):
    """The context of an async handler. `began`: when the attempt did, by the monotonic clock."""

    __slots__ = (
        "_began", "_figures", "_host", "_interrupted", "_invocations", "_log", "_pace", "_said", "_saved", "_saving",
        "_unsure", "book", "in_thread",
    )  # fmt: skip

    def __init__(
        self,
        definition: Definition,
        execution: Execution,
        started_at: Instant,
        node: str,
        host: Host,
        resumed: str | None = None,
        began: float = 0.0,
    ) -> None:
        super().__init__(definition, execution, started_at, node, resumed)
        self._host = host
        self._began = began
        self._log: Log | None = None
        self._interrupted: trio.Event | None = None
        self._figures: dict[str, Any] | None = None
        self._pace: Pace | None = None
        self._said: tuple[Instant, float] | None = None
        self._saved = execution.checkpoints
        self._saving: trio.Lock | None = None
        self._unsure: str | None = None
        self._invocations: Invocations | None = None
        self.book: LogBook | None = None
        self.in_thread = False

    @property
    def log(self) -> Log:
        """Where to log: debug, info, warning, error."""
        if self._log is None:
            self._log = Log(self.write_line)
        return self._log

    @property
    def interrupted(self) -> trio.Event:
        """Set when this attempt is asked to end; while the node drains, some time before it is interrupted."""
        if self._interrupted is None:
            self._interrupted = trio.Event()
            if self._reason is not None:
                self._interrupted.set()
        return self._interrupted

    async def checkpoint(self, data: object) -> None:
        """Keep `data`, durable when this returns: JSON or an instance of a class declared with `checkpointed`, at most 256 KiB.

        A later attempt finds it in `resumed_from`, or with `resume(cls)`. Raises TooLarge or InvalidRequest (the former
        checkpoint stays), StaleFence when this attempt was superseded.
        """
        await self.checkpoint_text(checkpoint_text(data))

    async def checkpoint_text(self, data: str) -> None:
        """As `checkpoint`, with the JSON text."""
        self._host.beat(self)
        if self._saving is None:
            self._saving = trio.Lock()
        async with self._saving:
            if self._unsure is not None:
                # Nobody knows whether the former one was kept, and the place of the next one depends on it: told again, it is
                # kept once.
                await self._save(self._unsure)
            await self._save(data)

    async def _save(self, data: str) -> None:
        self._unsure = data
        await self._host.checkpoint(self, data, self._saved + 1)
        self._unsure = None
        self._saved += 1

    def progress(
        self, *, done: float | None = None, total: float | None = None, step: str | None = None, **details: Any
    ) -> None:
        """Say how far it is. What is not named stays as it was; shown at most four times a second, the newest always.

        From `done` and `total` the end is foretold. Raises InvalidRequest for what is no number, TooLarge.
        """
        figures, _ = merged_progress(self._figures, done, total, step, details)
        self._say(figures)

    def progress_text(self, data: str) -> None:
        """The whole progress as JSON text."""
        self._say(decode_json(data))

    def _say(self, figures: dict[str, Any]) -> None:
        at = self._host.monotonic()
        if self._pace is None:
            self._pace = Pace(self._began, None if self.has_checkpoint else 0.0)
        if "done" in figures:
            self._pace.note(figures["done"], at)
        self._figures, self._said = figures, (self._host.now(), at)
        self._host.beat(self)
        self._host.changed(self)

    def heartbeat(self) -> None:
        """Say that the handler is alive, where the task has a heartbeat timeout. Progress and checkpoints say it too."""
        self._host.beat(self)

    async def invoke(
        self,
        task: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        wait: bool = True,
        timeout: float = WAIT_SECONDS,
        key: str | None = None,
    ) -> Any:
        """Run another task, by id or name, or a task type of this node. Answers its result, without `wait` the execution's id.

        timeout: seconds to wait at the most. A later attempt that invokes the same gets the same execution, unless that has
        failed; key: tells it apart by a name of one's own. When this attempt is cancelled, so is what it waits for.
        Raises InvocationFailed when it did not complete, ReplyTimeout when it still runs (and goes on), NotFound, Conflict where
        overlap forbids the run, InvalidRequest for a wait for oneself and for too many handlers that wait for one another.
        """
        return await self.call(INVOKE, invocation(task, parameters, wait, timeout, key))

    @property
    def tasks(self) -> TaskTools[Awaitable[Any]]:
        """Makes and changes tasks, in this task's name: `await ctx.tasks.create("mail", trigger={"every": "5m"})`."""
        return TaskTools(self.call)

    async def call(self, operation: str, arguments: dict[str, Any]) -> Any:
        """Ask the node for an operation; see `Tools`."""
        if operation == INVOKE:
            if self._invocations is None:
                self._invocations = Invocations()
            arguments = self._invocations.keyed(arguments, self.execution_id, self._saved)
        return await self._host.call(self, operation, arguments)

    @property
    def asker(self) -> Asker:
        """This attempt, as who asks for something."""
        correlation = self.correlation_id or self.execution_id
        return Asker(
            self.task_id, self.task, self._definition.tenant, self.execution_id, correlation, self.attempt,
            self.invocation.depth, lambda: self._reason,
        )  # fmt: skip

    def write_line(self, level: str, text: str) -> None:
        """Log a line."""
        if self.book is None:
            self.book = LogBook()
        if not self.book.full and self.book.add(self._host.now(), level, text):
            self._host.changed(self)

    @property
    def log_is_full(self) -> bool:
        """Whether lines are no longer kept, because there were too many."""
        return self.book is not None and self.book.full

    def notify(self, reason: str) -> None:
        """Let the handler see that it shall end."""
        if self._reason is None:
            self._reason = reason
            if self._interrupted is not None:
                self._interrupted.set()

    def take_lines(self) -> tuple[Line, ...]:
        """The lines that were not sent on yet."""
        if self.book is None or not self.book.waiting:
            return ()
        lines = tuple(self.book.waiting)
        self.book.waiting.clear()
        return lines

    @property
    def has_progress(self) -> bool:
        """Whether there is progress that was not sent on yet."""
        return self._said is not None

    def take_progress(self) -> str | None:
        """The newest progress with its forecast, JSON text, if it was not sent on yet."""
        said, self._said = self._said, None
        if said is None:
            return None
        assert self._figures is not None
        assert self._pace is not None
        return shown_progress(self._figures, self._pace, *said)

    def figures_text(self) -> str:
        """The newest progress as it was said, JSON text."""
        self._said = None
        return encode_json(self._figures, MAX_PROGRESS, "progress")


class Bridge(Protocol):
    """The way from a handler outside the loop to its attempt's `Context`. Only `checkpoint` and `call` wait."""

    def checkpoint(self, data: str) -> None:
        """Make a checkpoint (JSON text) durable, or raise why not."""
        ...

    def call(self, operation: str, arguments: dict[str, Any]) -> Any:
        """Have an operation carried out; see `Tools`."""
        ...

    def progress(self, data: str) -> None:
        """Send progress (JSON text) on."""
        ...

    def beat(self) -> None:
        """Send a sign of life on."""
        ...

    def log(self, level: str, text: str) -> None:
        """Send a line on."""
        ...

    def reason(self) -> str | None:
        """Why the handler was asked to end, None if it was not."""
        ...


class SyncContext(Described):
    """The context of a function in a thread or process: the names of `Context`, where everything that is awaited there blocks."""

    __slots__ = ("_bridge", "_figures", "log")

    def __init__(
        self,
        definition: Definition,
        execution: Execution,
        started_at: Instant,
        node: str,
        bridge: Bridge,
        resumed: str | None = None,
    ) -> None:
        super().__init__(definition, execution, started_at, node, resumed)
        self._bridge = bridge
        self._figures: dict[str, Any] | None = None
        self.log = Log(self._write_line)

    def checkpoint(self, data: object) -> None:
        """As `Context.checkpoint`; it blocks."""
        self._bridge.checkpoint(checkpoint_text(data))

    def progress(
        self, *, done: float | None = None, total: float | None = None, step: str | None = None, **details: Any
    ) -> None:
        """As `Context.progress`."""
        self._figures, text = merged_progress(self._figures, done, total, step, details)
        self._bridge.progress(text)

    def heartbeat(self) -> None:
        """Say that the handler is alive, where the task has a heartbeat timeout. Progress and checkpoints say it too."""
        self._bridge.beat()

    def invoke(
        self,
        task: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        wait: bool = True,
        timeout: float = WAIT_SECONDS,
        key: str | None = None,
    ) -> Any:
        """As `Context.invoke`; it blocks."""
        return self._bridge.call(INVOKE, invocation(task, parameters, wait, timeout, key))

    @property
    def tasks(self) -> TaskTools[Any]:
        """Makes and changes tasks, in this task's name: `ctx.tasks.create("mail", trigger={"every": "5m"})`."""
        return TaskTools(self._bridge.call)

    @property
    def cancelled(self) -> bool:
        """Whether this attempt has been asked to end. A function that loops should look now and then."""
        return self._bridge.reason() is not None

    @property
    def cancellation_reason(self) -> str | None:
        """Why it has been asked to end."""
        return self._bridge.reason()

    def raise_if_cancelled(self) -> None:
        """Raise HandlerInterrupted if this attempt has been asked to end."""
        if (reason := self._bridge.reason()) is not None:
            raise HandlerInterrupted(reason)

    def _write_line(self, level: str, text: str) -> None:
        self._bridge.log(level, text)
