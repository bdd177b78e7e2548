"""The messages of the WebSocket channel: what a client may say, and what it is told. Pure.

Every message is a JSON object with a `type`. What concerns one invocation carries the `id` that the client gave it:

    client: {"type": "invoke", "id": "1", "taskType": "greet", "parameters": {"region": "eu"}}
    node:   {"type": "accepted", "id": "1", "execution": "01a2..."}
    node:   {"type": "progress", "id": "1", "execution": "01a2...", "state": "RUNNING", "attempt": 1, "progress": {...}}
    node:   {"type": "result", "id": "1", "execution": "01a2...", "state": "COMPLETED", "result": {...}}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from runtime.errors import InvalidRequest

from ..operations.error_table import ErrorRow
from ..vocabulary.fields import Fields, show
from ..vocabulary.views import Json

MAX_ID: Final = 64
"""Characters of a client's id for an invocation."""

TYPES: Final = ("invoke", "cancel", "ping")


@attrs.frozen
class Invoke:
    """Run a task type. `body`: parameters, extra, timeout, correlation, as over REST; `traceparent` as the header."""

    id: str
    task_type: str
    key: str | None
    body: Mapping[str, Any]
    traceparent: str | None = None


@attrs.frozen
class Cancel:
    """End what was invoked under this id."""

    id: str


@attrs.frozen
class Ping:
    """Say that you are there."""

    id: str | None


Said = Invoke | Cancel | Ping


def read_message(found: Any) -> Said:
    """What a client says. Raises InvalidRequest."""
    if not isinstance(found, dict):
        raise InvalidRequest(f"message: an object, not {show(found)}")
    fields = Fields(found)
    kind = fields.text("type")
    match kind:
        case "invoke":
            said = _invoke(fields)
            return said
        case "cancel":
            cancel = Cancel(_id(fields))
            fields.finish()
            return cancel
        case "ping":
            ping = Ping(fields.text("id"))
            fields.finish()
            return ping
        case _:
            raise InvalidRequest(f"type: one of {', '.join(TYPES)}, not {show(kind)}")


def _invoke(fields: Fields) -> Invoke:
    own, task_type, key = _id(fields), fields.text("taskType"), fields.text("key")
    trace = fields.text("traceparent")
    body = {name: fields.take(name) for name in ("parameters", "extra", "timeout", "correlation")}
    fields.finish()
    if not task_type:
        raise InvalidRequest("taskType: required")
    return Invoke(own, task_type, key, {name: value for name, value in body.items() if value is not None}, trace)


def _id(fields: Fields) -> str:
    own = fields.text("id")
    if own is None or not 1 <= len(own) <= MAX_ID:
        raise InvalidRequest(f"id: 1 to {MAX_ID} characters, chosen by you, not {show(own)}")
    return own


def id_in(found: Any) -> str | None:
    """The id in what could not be read otherwise."""
    own = found.get("id") if isinstance(found, dict) else None
    return own if isinstance(own, str) and len(own) <= MAX_ID else None


def error_message(own: str | None, row: ErrorRow, text: str, execution: Json | None = None) -> Json:
    """What went wrong, with the words and codes that REST has; `execution`: what it came of, as a view."""
    told: Json = {"type": "error", "id": own, "error": row.title, "code": str(row.status), "message": text}
    if execution is not None:
        told |= {"execution": execution["id"], "state": execution["state"]}
    return told


def progress_message(own: str, execution: Json) -> Json:
    """How far an invocation is."""
    told = {name: execution[name] for name in ("state", "attempt", "progress")}
    return {"type": "progress", "id": own, "execution": execution["id"], **told}


def result_message(own: str, execution: Json) -> Json:
    """What an invocation came to."""
    return {
        "type": "result",
        "id": own,
        "execution": execution["id"],
        "state": execution["state"],
        "result": execution["result"],
    }
