"""An operation of the table as a request, and what an answer means. Nothing is sent here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import attrs

from runtime.errors import InvalidRequest

from ..operations.error_table import error_of
from ..operations.table import BY_NAME

_UNSAFE: Final = ("/", "\\", "?", "#", "%")
"""Characters of a task's name that servers take apart in a path, however they are escaped."""


@attrs.frozen
class Request:
    """What is sent, below `/api`. `body` is JSON, None for none."""

    method: str
    path: str
    query: Mapping[str, str] = attrs.field(factory=dict)
    body: bytes | None = None
    headers: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen
class Reply:
    """What came back."""

    status: int
    reason: str
    content: bytes = attrs.field(repr=False)
    retry_after: float | None = None


def needs_id(operation: str, arguments: Mapping[str, Any]) -> str | None:
    """The task's reference that no path can hold, so that its id has to be asked for first; None if there is none."""
    if not any(argument.name == "task" and argument.where == "path" for argument in BY_NAME[operation].arguments):
        return None
    value = str(arguments.get("task", ""))
    unsafe = value in ("", ".", "..") or any(character in value for character in _UNSAFE)
    return value if unsafe else None


def request_of(operation: str, arguments: Mapping[str, Any]) -> Request:
    """The request for an operation; arguments that are None are left out. Raises InvalidRequest for what no request can hold."""
    try:
        return _request_of(operation, {name: value for name, value in arguments.items() if value is not None})
    except UnicodeEncodeError as error:
        part = error.object[error.start : error.end]
        raise InvalidRequest(f"{operation}: {part!r} cannot be written in UTF-8") from None
    except RecursionError:
        raise InvalidRequest(f"{operation}: nested too deeply") from None


def _request_of(operation: str, given: dict[str, Any]) -> Request:
    entry = BY_NAME[operation]
    path, query, headers, body = entry.path, {}, {}, None
    for argument in entry.arguments:
        if argument.name not in given:
            continue
        value = given.pop(argument.name)
        match argument.where:
            case "path":
                path = path.replace(f"{{{argument.name}}}", quote(str(value), safe=""))
            case "query":
                text = str(value).lower() if isinstance(value, bool) else str(value)
                query[argument.name] = text.encode().decode()
            case "header":
                headers[argument.name] = str(value).encode().decode()
            case "body":
                body = json.dumps(value, ensure_ascii=False).encode()
    assert not given, f"{operation} has no argument {', '.join(given)}"
    return Request(entry.method, path, query, body, headers)


def answer_of(reply: Reply) -> Any:
    """The JSON of a good answer, None for an empty one. Raises the error class that the node answered with."""
    if 200 <= reply.status < 300:
        return json.loads(reply.content) if reply.content else None
    try:
        body = json.loads(reply.content)
        title, message = body["error"], str(body["message"])
    except (ValueError, KeyError, TypeError, RecursionError):
        title = None
        message = f"{reply.status} {reply.reason}, and no error of a node: is this its address?"
    raise error_of(title, reply.status, message)
