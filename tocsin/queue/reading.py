"""What workers send, read into records."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

import attrs

from actors.handling.payload import MAX_CHECKPOINT, MAX_PROGRESS, MAX_RESULT, encode_json
from actors.model.execution import Failure
from actors.model.outside import is_outside, whole_name
from runtime.clock import HOUR, MILLISECOND, SECOND, Micros
from runtime.errors import InvalidRequest

from ..shown import show
from ..vocabulary.fields import Fields, proper_text

LEASE: Final = Micros(30 * SECOND)
"""How long a worker may be silent unless it says otherwise: longer than a pause of its garbage collector or network, short
enough that somebody waits for the work."""

SHORTEST_LEASE: Final = Micros(100 * MILLISECOND)
"""A worker cannot renew a shorter one reliably."""

LONGEST_LEASE: Final = HOUR
"""Work that its worker says nothing about for longer is lost for too long when the worker dies."""

WAIT: Final = Micros(20 * SECOND)
"""How long a request for work waits unless it says otherwise, and at the most: proxies and clients give up after 30 s."""

MAX_TYPES: Final = 64
"""Types that one request names."""

MAX_WORKER: Final = 128
"""Characters of a worker's name."""

MAX_LINES: Final = 1_000
"""Lines to log in one request."""

MAX_LINE: Final = 16_000
"""Characters of one line."""

LEVELS: Final = ("debug", "info", "warning", "error")
"""How important a line is."""

MAX_TYPE: Final = 128
"""Characters of the name of an error."""

MAX_MESSAGE: Final = 4_096
"""Characters of an error's message, as of an exception of a handler."""

MAX_TRACEBACK: Final = 16_384
"""Characters of an error's traceback, as of an exception of a handler."""


class Saying(StrEnum):
    """What a worker says of a job."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    RELEASED = "released"


@attrs.frozen
class Wanted:
    """A request for work. `types`: whole names; `wait`, `lease`: seconds."""

    types: frozenset[str]
    wait: float
    lease: float


@attrs.frozen
class Lease:
    """What a worker shows for its right to a job: the attempt's fence, and the process that holds it."""

    fence: int
    boot: str

    def __str__(self) -> str:
        return f"{self.fence}.{self.boot}"


@attrs.frozen
class Saved:
    """What a worker says of a job. `checkpoint` and `progress` None: nothing about it. `lines`: level and text."""

    lease: Lease
    saying: Saying = Saying.RUNNING
    progress: Mapping[str, Any] | None = None
    checkpoint: Any = None
    result: Any = None
    failure: Failure | None = None
    lines: tuple[tuple[str, str], ...] = ()

    @property
    def is_final(self) -> bool:
        """Whether the attempt has ended with it."""
        return self.saying is not Saying.RUNNING


def read_worker(name: str) -> str:
    """A worker's name: 1 to 128 printable characters."""
    if not 1 <= len(name) <= MAX_WORKER or not name.isprintable() or name != name.strip():
        raise InvalidRequest(f"worker: 1 to {MAX_WORKER} printable characters, not {show(name)}")
    return name


def read_type(name: object) -> str:
    """A task type of workers, with or without its prefix. Raises InvalidRequest."""
    found = whole_name(name) if isinstance(name, str) else ""
    if not is_outside(found):
        raise InvalidRequest(f"type: a task type such as worker:render, not {show(name)}")
    return found


def read_wanted(body: object) -> Wanted:
    """A request for work. Raises InvalidRequest."""
    fields = Fields(body)
    types = fields.take("types")
    if not isinstance(types, list) or not 1 <= len(types) <= MAX_TYPES:
        raise InvalidRequest(f"types: a list of 1 to {MAX_TYPES} task types, not {show(types)}")
    wait, lease = fields.duration("wait"), fields.duration("lease")
    fields.finish()
    if wait is not None and not 0 <= wait <= WAIT:
        raise InvalidRequest(f"wait: at most {WAIT // SECOND}s, not {wait / SECOND:g}s")
    if lease is not None and not SHORTEST_LEASE <= lease <= LONGEST_LEASE:
        raise InvalidRequest(f"lease: 100ms to 1h, not {lease / SECOND:g}s")
    return Wanted(
        frozenset(read_type(one) for one in types),
        (WAIT if wait is None else wait) / SECOND,
        (LEASE if lease is None else lease) / SECOND,
    )


def read_lease(text: str | None) -> Lease:
    """A lease as `next` gave it. Raises InvalidRequest."""
    fence, dot, boot = (text or "").partition(".")
    if not dot or not boot or not (fence.isascii() and fence.isdigit()) or len(fence) > 19 or len(boot) > MAX_WORKER:
        raise InvalidRequest(f"lease: what `next` gave with the job, not {show(text)}")
    return Lease(int(fence), boot)


def read_heartbeat(body: object) -> Saved:
    """A sign of life. Raises InvalidRequest."""
    fields = Fields(body)
    lease = read_lease(fields.text("lease"))
    fields.finish()
    return Saved(lease)


def read_saved(body: object) -> Saved:
    """What a worker says of a job. Raises InvalidRequest, TooLarge."""
    fields = Fields(body)
    lease = read_lease(fields.text("lease"))
    saying = fields.choice("status", Saying) or Saying.RUNNING
    progress, checkpoint, result = fields.take("progress"), fields.take("checkpoint"), fields.take("result")
    error, lines = fields.take("error"), fields.take("log")
    fields.finish()
    if result is not None and saying is not Saying.COMPLETED:
        raise InvalidRequest("result: goes with status completed")
    if error is not None and saying is not Saying.FAILED:
        raise InvalidRequest("error: goes with status failed")
    encode_json(result, MAX_RESULT, "result")
    encode_json(checkpoint, MAX_CHECKPOINT, "checkpoint")
    failure = _read_failure(error) if saying is Saying.FAILED else None
    return Saved(lease, saying, _read_progress(progress), checkpoint, result, failure, _read_lines(lines))


def _read_progress(value: object) -> Mapping[str, Any] | None:
    if value is None:
        return None
    encode_json(value, MAX_PROGRESS, "progress")
    fields = Fields(value, "progress.")
    found = {name: fields.take(name) for name in ("done", "total", "step", "details")}
    fields.finish()
    for name in ("done", "total"):
        if found[name] is not None and (isinstance(found[name], bool) or not isinstance(found[name], int | float)):
            raise InvalidRequest(f"progress.{name}: a number, not {show(found[name])}")
    if found["step"] is not None:
        proper_text(found["step"], "progress.step")
    details = found.pop("details") or {}
    if not isinstance(details, dict) or details.keys() & found.keys():
        raise InvalidRequest(f"progress.details: an object without done, total and step, not {show(details)}")
    return {**details, **found}


def _read_failure(value: object) -> Failure:
    fields = Fields({} if value is None else value, "error.")
    kind, message, trace = fields.text("type"), fields.text("message"), fields.text("traceback")
    fields.finish()
    return Failure((kind or "WorkerError")[:MAX_TYPE], (message or "")[:MAX_MESSAGE], (trace or "")[-MAX_TRACEBACK:])


def _read_lines(value: object) -> tuple[tuple[str, str], ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or len(value) > MAX_LINES:
        raise InvalidRequest(f"log: a list of at most {MAX_LINES} lines, not {show(value)}")
    return tuple(_read_line(line) for line in value)


def _read_line(value: object) -> tuple[str, str]:
    fields = Fields({"text": value} if isinstance(value, str) else value, "log.")
    level, text = fields.choice("level", LEVELS) or "info", fields.text("text") or ""
    fields.finish()
    return level, text[:MAX_LINE]
