"""What a handler is given: the facts of its attempt, and the ways to say how far it is.

`Context` is for async handlers, `SyncContext` for functions in threads and for every handler in a process of its own. They have
the same names. The loop's `Context` is where logs and progress of every attempt are gathered; a `SyncContext` speaks to it
through its `Bridge`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, Protocol

import attrs
import trio

from runtime.clock import Instant, to_datetime
from runtime.errors import InvalidRequest

from ..model.execution import Execution
from ..model.task import Definition
from .lines import storable
from .payload import MAX_CHECKPOINT, MAX_PROGRESS, decode_json, encode_json

MAX_LOG_LINES: Final = 10_000
"""Lines kept of one attempt; a handler that logs without end shall fill neither the memory nor the store."""

MAX_LOG_LINE: Final = 8 * 1024
"""Characters kept of one line; a stack trace fits."""

MAX_LOG_CHARACTERS: Final = 4 * 1024 * 1024
"""Characters kept of all lines of one attempt: some hundred ordinary characters each for the lines that may be kept."""

TRUNCATED: Final = "... truncated"
"""The last line of an attempt that logged too much, and the end of a line that was too long."""

LINES_AT_ONCE: Final = 100
"""Lines that are sent on without waiting for more."""

FACTS: Final = (
    "id", "task_id", "kind", "state", "created_at", "nominal", "attempt", "fence", "channel", "correlation", "checkpoints",
)  # fmt: skip
"""The fields of an execution that a handler can see."""

Line = tuple[Instant, str, str]
"""Instant, level, text."""


class HandlerInterrupted(BaseException):
    """Raised by `raise_if_cancelled` in a handler that shall end. Not an Exception: `except Exception` does not stop it."""


class Host(Protocol):
    """What a context needs of the executor."""

    def now(self) -> Instant:
        """The wall clock."""
        ...

    def beat(self, context: Context) -> None:
        """The handler gave a sign of life."""
        ...

    def changed(self, context: Context) -> None:
        """There is progress, or there are lines, to send on."""
        ...

    async def checkpoint(self, context: Context, data: str) -> None:
        """Make the checkpoint durable."""
        ...


class Described:
    """The facts of an attempt, for both contexts."""

    __slots__ = ("_definition", "_execution", "_node", "_parameters", "_reason", "_resumed", "_started_at")

    def __init__(
        self, definition: Definition, execution: Execution, started_at: Instant, node: str, resumed: str | None
    ) -> None:
        self._definition = definition
        self._execution = execution
        self._started_at = started_at
        self._node = node
        self._resumed = resumed
        self._reason: str | None = None
        self._parameters: dict[str, Any] | None = None

    @property
    def task_id(self) -> str:
        """The task's id."""
        return self._definition.id

    @property
    def task(self) -> str:
        """The task's name."""
        return self._definition.name

    @property
    def type(self) -> str:
        """The task type's name."""
        return self._definition.type

    @property
    def execution_id(self) -> str:
        """The execution's id: the same for all attempts of one occurrence."""
        return self._execution.id

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of this execution."""
        if self._parameters is None:
            text = self.parameters_text
            self._parameters = {} if text == "{}" else decode_json(text)
        return self._parameters

    @property
    def parameters_text(self) -> str:
        """The parameters as JSON text."""
        given = self._execution.parameters
        return self._definition.parameters if given is None else given

    @property
    def extra(self) -> bytes | None:
        """The task's opaque data, exactly as given."""
        return None if self._definition.extra is None else self._definition.extra.data

    @property
    def extra_type(self) -> str | None:
        """The content type of `extra`."""
        return None if self._definition.extra is None else self._definition.extra.content_type

    @property
    def nominal(self) -> datetime | None:
        """The time this occurrence stands for, in UTC; None for a manual run."""
        nominal = self._execution.nominal
        return None if nominal is None else to_datetime(nominal)

    @property
    def assigned(self) -> datetime:
        """When the execution was made, in UTC."""
        return to_datetime(self._execution.created_at)

    @property
    def actual(self) -> datetime:
        """When this attempt started, in UTC."""
        return to_datetime(self._started_at)

    @property
    def attempt(self) -> int:
        """The number of this attempt, from 1."""
        return self._execution.attempt

    @property
    def fence(self) -> int:
        """Grows with every attempt of the task: whoever guards a resource refuses a lower one than it has seen."""
        return self._execution.fence

    @property
    def channel(self) -> str:
        """Who asked for the execution: scheduler, rest, cli, ..."""
        return self._execution.channel

    @property
    def kind(self) -> str:
        """`occurrence` or `manual`."""
        return self._execution.kind.value

    @property
    def correlation_id(self) -> str | None:
        """The id by which the asker knows this execution."""
        return self._execution.correlation

    @property
    def node(self) -> str:
        """The name of the node that runs this attempt."""
        return self._node

    @property
    def has_checkpoint(self) -> bool:
        """Whether the store holds a checkpoint of this execution."""
        return self._execution.checkpoints > 0

    def resume_from(self, checkpoint: str | None) -> None:
        """Set the last checkpoint, JSON text."""
        self._resumed = checkpoint

    @property
    def resumed_text(self) -> str | None:
        """The last checkpoint, JSON text."""
        return self._resumed

    @property
    def started_at(self) -> Instant:
        """When this attempt started."""
        return self._started_at

    def facts(self) -> dict[str, Any]:
        """What a worker process needs to know of the execution, to be written as JSON."""
        execution = self._execution
        return {name: getattr(execution, name) for name in FACTS}

    @property
    def resumed_from(self) -> Any:
        """The last checkpoint of this execution, None if there is none."""
        return decode_json(self._resumed)

    @property
    def cancelled(self) -> bool:
        """Whether this attempt has been asked to end; while its node drains, before it is interrupted."""
        return self._reason is not None

    @property
    def cancellation_reason(self) -> str | None:
        """Why it has been asked to end."""
        return self._reason

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt at the same occurrence, and for no other: for calls that must not be doubled."""
        occurrence = self._execution.id if self._execution.nominal is None else str(self._execution.nominal)
        return hashlib.blake2b(f"{self._definition.id}:{occurrence}".encode(), digest_size=16).hexdigest()


class Log:
    """Lines that are kept with the execution. Texts may hold `%` placeholders for the arguments, as in `logging`."""

    __slots__ = ("_write",)

    def __init__(self, write: Callable[[str, str], None]) -> None:
        self._write = write

    def debug(self, text: object, *arguments: object) -> None:
        """Write a line of level debug."""
        self._write("debug", _formatted(text, arguments))

    def info(self, text: object, *arguments: object) -> None:
        """Write a line of level info."""
        self._write("info", _formatted(text, arguments))

    def warning(self, text: object, *arguments: object) -> None:
        """Write a line of level warning."""
        self._write("warning", _formatted(text, arguments))

    def error(self, text: object, *arguments: object) -> None:
        """Write a line of level error."""
        self._write("error", _formatted(text, arguments))


def _formatted(text: object, arguments: tuple[object, ...]) -> str:
    line = str(text)
    if arguments:
        try:
            line = line % arguments
        except (TypeError, ValueError):
            line = f"{line} {arguments!r}"
    line = storable(line)
    return line if len(line) <= MAX_LOG_LINE else line[: MAX_LOG_LINE - len(TRUNCATED)] + TRUNCATED


@attrs.define
class LogBook:
    """The lines of one attempt that wait to be sent on, and how many there were."""

    waiting: list[Line] = attrs.field(factory=list)
    lines: int = 0
    characters: int = 0
    full: bool = False

    def add(self, at: Instant, level: str, text: str) -> bool:
        """Keep a line, or the marker in place of the first that is too many. False when nothing was kept."""
        if self.full:
            return False
        if self.lines >= MAX_LOG_LINES or self.characters >= MAX_LOG_CHARACTERS:
            self.full = True
            level, text = "warning", TRUNCATED
        self.lines += 1
        self.characters += len(text)
        self.waiting.append((at, level, text))
        return True


class Context(Described):
    """The context of an async handler."""

    __slots__ = ("_details", "_figures", "_host", "_interrupted", "_log", "_progress", "book")

    def __init__(
        self,
        definition: Definition,
        execution: Execution,
        started_at: Instant,
        node: str,
        host: Host,
        resumed: str | None = None,
    ) -> None:
        super().__init__(definition, execution, started_at, node, resumed)
        self._host = host
        self._log: Log | None = None
        self._interrupted: trio.Event | None = None
        self._figures: dict[str, Any] | None = None
        self._progress: str | None = None
        self.book: LogBook | None = None

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
        """Keep `data` (JSON, at most 256 KiB); durable when this returns. A later attempt finds it in `resumed_from`.

        Raises TooLarge or InvalidRequest (the former checkpoint stays), StaleFence when this attempt was superseded.
        """
        await self.checkpoint_text(encode_json(data, MAX_CHECKPOINT, "a checkpoint"))

    async def checkpoint_text(self, data: str) -> None:
        """As `checkpoint`, with the JSON text."""
        self._host.beat(self)
        await self._host.checkpoint(self, data)

    def progress(
        self, *, done: float | None = None, total: float | None = None, step: str | None = None, **details: Any
    ) -> None:
        """Say how far it is. What is not named stays as it was; shown at most four times a second, the newest always."""
        self._figures, self._progress = merged_progress(self._figures, done, total, step, details)
        self._host.beat(self)
        self._host.changed(self)

    def progress_text(self, data: str) -> None:
        """The whole progress as JSON text."""
        self._progress = data
        self._host.beat(self)
        self._host.changed(self)

    def heartbeat(self) -> None:
        """Say that the handler is alive, where the task has a heartbeat timeout. Progress and checkpoints say it too."""
        self._host.beat(self)

    def write_line(self, level: str, text: str) -> None:
        """Log a line."""
        if self.book is None:
            self.book = LogBook()
        if self.book.add(self._host.now(), level, text):
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

    def take_progress(self) -> str | None:
        """The newest progress, if it was not sent on yet."""
        text, self._progress = self._progress, None
        return text


def merged_progress(
    former: dict[str, Any] | None, done: float | None, total: float | None, step: str | None, details: dict[str, Any]
) -> tuple[dict[str, Any], str]:
    """Progress with what was said now, and its JSON text. Raises InvalidRequest for numbers that are none, TooLarge."""
    figures = dict(former or {})
    for name, number in (("done", done), ("total", total)):
        if number is not None and (isinstance(number, bool) or not isinstance(number, int | float)):
            raise InvalidRequest(f"progress: {name} must be a number, not {number!r}")
    said = {"done": done, "total": total, "step": step}
    figures.update((name, value) for name, value in said.items() if value is not None)
    if details:
        figures["details"] = {**figures.get("details", {}), **details}
    return figures, encode_json(figures, MAX_PROGRESS, "progress")


class Bridge(Protocol):
    """The way from a handler outside the loop to its attempt's `Context`. Only `checkpoint` waits."""

    def checkpoint(self, data: str) -> None:
        """Make a checkpoint (JSON text) durable, or raise why not."""
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
    """The context of a function in a thread: the names of `Context`, where `checkpoint` blocks."""

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
        """Keep `data` (JSON, at most 256 KiB); durable when this returns. A later attempt finds it in `resumed_from`.

        Raises TooLarge or InvalidRequest (the former checkpoint stays), StaleFence when this attempt was superseded.
        """
        self._bridge.checkpoint(encode_json(data, MAX_CHECKPOINT, "a checkpoint"))

    def progress(
        self, *, done: float | None = None, total: float | None = None, step: str | None = None, **details: Any
    ) -> None:
        """Say how far it is. What is not named stays as it was; shown at most four times a second, the newest always."""
        self._figures, text = merged_progress(self._figures, done, total, step, details)
        self._bridge.progress(text)

    def heartbeat(self) -> None:
        """Say that the handler is alive, where the task has a heartbeat timeout. Progress and checkpoints say it too."""
        self._bridge.beat()

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
