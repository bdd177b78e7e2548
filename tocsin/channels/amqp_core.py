"""What a message of a broker asks for, and what is answered: decided without a broker.

A message names a task type with its property `type`, or else with its routing key. Its body is a JSON object of parameters, or,
under any other content type, data that the handler gets exactly as it is. The id of the message is the idempotency key.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import attrs

from actors.handling.payload import decode_json
from actors.model.lifecycle import OPEN_STATES, State
from actors.model.task import Extra
from actors.store.answers import ExecutionDetail
from runtime.clock import MILLISECOND, SECOND, Instant
from runtime.errors import Forbidden, InvalidRequest, InvocationFailed, NotFound, TocsinError

from ..api.requests import read_body
from ..operations.error_table import row_of
from ..shown import show

if TYPE_CHECKING:
    from random import Random

JSON_TYPES: Final = ("", "application/json")
"""Content types of parameters; a message that says nothing is taken for one."""

JSON_TYPE: Final = "application/json"

STATUS: Final = "tocsin-status"
EXECUTION: Final = "tocsin-execution"
"""Headers of a reply: how the execution is, or REFUSED, and its id."""

REFUSED: Final = "REFUSED"

LONGEST_ID: Final = 128
"""Characters of an idempotency key and of a correlation id; an id of a message may have 255 bytes."""

_KEY: Final = "amqp "
"""What keys begin with, so that a request of another channel with the same key is another request."""

Why = Literal["malformed", "expired", "forbidden", "unknown", "conflict", "failed"]
"""Why a message was refused, for the counters."""

REASONS: Final[tuple[Why, ...]] = get_args(Why)

_REASONS: Final[tuple[tuple[type[TocsinError], Why], ...]] = (
    (InvalidRequest, "malformed"),
    (Forbidden, "forbidden"),
    (NotFound, "unknown"),
)


@attrs.frozen
class Message:
    """A message as the broker delivered it. Texts are empty where it has none; `timestamp` is in seconds since 1970."""

    tag: int
    body: bytes = b""
    routing_key: str = ""
    type: str = ""
    message_id: str = ""
    correlation_id: str = ""
    traceparent: str = ""
    reply_to: str = ""
    expiration: str = ""
    timestamp: int | None = None
    content_type: str = ""
    content_encoding: str = ""
    persistent: bool = False

    @property
    def name(self) -> str:
        """What the log calls it."""
        return f"message {show(self.message_id)}" if self.message_id else "a message without an id"


@attrs.frozen
class Asked:
    """What a message asks for. `parameters` None: it brings none."""

    type_name: str
    parameters: Mapping[str, Any] | None
    extra: Extra | None
    key: str | None
    correlation: str | None


@attrs.frozen
class Refusal:
    """Why a message is refused for good."""

    why: Why
    error: TocsinError


@attrs.frozen
class Reply:
    """What is published to the queue that a message names. `message_id`: the execution's, the same when it is told again."""

    queue: str
    correlation_id: str
    type: str
    status: str
    body: bytes
    execution_id: str = ""
    persistent: bool = False

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the reply."""
        told = {STATUS: self.status}
        return told | {EXECUTION: self.execution_id} if self.execution_id else told


def read_message(message: Message, allowed: tuple[str, ...], now: Instant) -> Asked | Refusal:
    """What a message asks for. allowed: task types that may be invoked, `*` at the end stands for whatever follows."""
    try:
        if message.expiration and is_expired(message, now):
            return Refusal("expired", InvalidRequest(f"expiration: it was to be used within {message.expiration} ms"))
        return _asked(message, allowed)
    except TocsinError as error:
        return refusal_of(error)


def refusal_of(error: TocsinError) -> Refusal:
    """The refusal that an error is."""
    return Refusal(next((why for kind, why in _REASONS if isinstance(error, kind)), "conflict"), error)


def is_expired(message: Message, now: Instant) -> bool:
    """Whether the time that the sender gave it has passed; known only if he also said when he sent it.

    A timestamp is in whole seconds, so it may be up to one older than it says. Raises InvalidRequest.
    """
    if not (message.expiration.isascii() and message.expiration.isdigit() and len(message.expiration) < 16):
        raise InvalidRequest(f"expiration: whole milliseconds, not {show(message.expiration)}")
    if message.timestamp is None:
        return False
    return now > (message.timestamp + 1) * SECOND + int(message.expiration) * MILLISECOND


def _asked(message: Message, allowed: tuple[str, ...]) -> Asked:
    type_name = message.type or message.routing_key
    if not type_name or not type_name.isprintable():
        raise InvalidRequest(f"type: the name of a task type, not {show(type_name)}")
    if not any(fnmatchcase(type_name, pattern) for pattern in allowed):
        raise Forbidden(f"type: {show(type_name)} is not among amqp.types, {', '.join(allowed)}")
    if message.content_encoding not in ("", "identity", "utf-8"):
        raise InvalidRequest(f"content_encoding: none, not {show(message.content_encoding)}")
    kind = message.content_type.split(";")[0].strip().lower()
    is_json = kind in JSON_TYPES
    return Asked(
        type_name,
        read_body(message.body, required=False) if is_json else None,
        None if is_json else Extra(message.body, message.content_type),
        _key_of(message.message_id),
        _correlation_of(message.correlation_id or message.message_id),
    )


def _key_of(message_id: str) -> str | None:
    if not message_id:
        return None
    return _KEY + (message_id if _fits(message_id, LONGEST_ID - len(_KEY)) else _digest(message_id))


def _correlation_of(text: str) -> str | None:
    if not text:
        return None
    return text if _fits(text, LONGEST_ID) else _digest(text)


def _fits(text: str, most: int) -> bool:
    return len(text) <= most and text.isprintable()


def _digest(text: str) -> str:
    """Stands for a text that is too long or cannot be printed."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


# -- replies


def reply_of(message: Message, detail: ExecutionDetail) -> Reply:
    """How an execution is: its result if it has completed, null while it goes on, else an error as REST's."""
    execution = detail.execution
    status = str(execution.state)
    if execution.state is State.COMPLETED:
        told: Any = decode_json(detail.result)
    elif execution.state in OPEN_STATES:
        told = None
    else:
        failure = execution.failure
        why = f": {failure.type}: {failure.message}" if failure is not None else ""
        told = _error_body(InvocationFailed(f"execution {execution.id} is {status}{why}"))
    return _reply(message, status, told, execution.id)


def refused_reply(message: Message, refusal: Refusal) -> Reply:
    """Why nothing came of a message."""
    return _reply(message, REFUSED, _error_body(refusal.error), "")


def _reply(message: Message, status: str, told: Any, execution_id: str) -> Reply:
    # Escapes are for what handlers return from names of files that are not UTF-8.
    body = json.dumps(told, separators=(",", ":")).encode("ascii")
    return Reply(
        queue=message.reply_to,
        correlation_id=message.correlation_id or message.message_id,
        type=message.type or message.routing_key,
        status=status,
        body=body,
        execution_id=execution_id,
        persistent=message.persistent,
    )


def _error_body(error: TocsinError) -> dict[str, str]:
    row = row_of(error)
    return {"error": row.title, "code": str(row.status), "message": str(error)}


# -- pauses


def pause_seconds(failures: int, first: float, longest: float, rng: Random) -> float:
    """How long to wait after the n-th failure in a row (n >= 1): twice as long each time, up to `longest`; a quarter of it is
    left to chance, so that the nodes of a cluster do not come back at one instant."""
    pause = min(first * 2.0 ** min(failures - 1, 30), longest)
    return pause * (1 - 0.25 * rng.random())
