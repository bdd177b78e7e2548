"""Answers as bytes: JSON, and what becomes of errors."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from litestar import Request, Response
from litestar.exceptions import HTTPException

from runtime.errors import InvocationFailed, NoSuchRoute

from ..access.limits_core import TooManyRequests, retry_after
from ..operations.error_table import ErrorRow, row_of, title_of_status
from .openapi import DOCS_PATH

ENCODED_AT_ONCE: Final = 100
"""Members of a list that are made JSON in one turn of the loop: a millisecond, as most are objects of a few hundred bytes."""

_log = logging.getLogger("tocsin.api")

AnyRequest = Request[Any, Any, Any]


def error_body(title: str, status: int, message: str) -> bytes:
    """The contract's error body: `code` is a text."""
    return encoded({"error": title, "code": str(status), "message": message})


def encoded(value: object) -> bytes:
    """A value as JSON in UTF-8. Half of a surrogate pair, which UTF-8 does not have, stays the escape that JSON has for it."""
    return json.dumps(value, ensure_ascii=False).encode(errors="backslashreplace")


async def encoded_in_turns(value: object, turn: Callable[[], Awaitable[None]]) -> bytes:
    """The same of an answer that may be long: its lists are encoded in pieces, each of which waits for its turn."""
    await turn()
    if not isinstance(value, dict) or not any(_is_long(item) for item in value.values()):
        return encoded(value)
    parts = [
        encoded(str(key)) + b": " + (await _list_in_turns(item, turn) if _is_long(item) else encoded(item))
        for key, item in value.items()
    ]
    return b"{" + b", ".join(parts) + b"}"


def _is_long(value: object) -> bool:
    return isinstance(value, list) and len(value) > ENCODED_AT_ONCE and not isinstance(value[0], str)


async def _list_in_turns(items: list[Any], turn: Callable[[], Awaitable[None]]) -> bytes:
    texts: list[bytes] = []
    for start in range(0, len(items), ENCODED_AT_ONCE):
        await turn()
        texts.append(encoded(items[start : start + ENCODED_AT_ONCE])[1:-1])
    return b"[" + b", ".join(texts) + b"]"


def error_response(error: Exception, where: str) -> Response[bytes]:
    """The response for an error; of one that is not ours only the log tells what it was."""
    row: ErrorRow = row_of(error)
    message = str(error)
    if row.status == 500 and not isinstance(error, InvocationFailed):
        _log.error("%s failed", where, exc_info=error)
        message = "internal error; the node's log has the details" if row.error is Exception else message
    headers = {"WWW-Authenticate": "Bearer"} if row.status == 401 else {}
    if row.status in (429, 503):
        headers |= {"Retry-After": retry_after(error.seconds if isinstance(error, TooManyRequests) else 1.0)}
    return _json(error_body(row.title, row.status, message), row.status, headers)


def no_such_route(method: str, path: str) -> NoSuchRoute:
    """The error for a request that no route fits, which tells where the routes are."""
    return NoSuchRoute(f"{method} {path}: no such route; the interface is under /api and described at {DOCS_PATH}")


def refused_route(request: AnyRequest, error: HTTPException) -> Response[bytes]:
    """Litestar's own refusals: no such path, no such method."""
    status = error.status_code
    if status == 404:
        return error_response(no_such_route(request.method, request.url.path), "")
    message = f"{request.method} {request.url.path}: {error.detail}"
    return _json(error_body(title_of_status(status), status, message), status, dict(error.headers or {}))


def failed(request: AnyRequest, error: Exception) -> Response[bytes]:
    """Whatever escaped a route."""
    return error_response(error, f"{request.method} {request.url.path}")


async def answer(send: Callable[[Any], Awaitable[None]], response: Response[bytes]) -> None:
    """Send a response where the framework does not, as ASGI has it."""
    headers = [(name.lower().encode(), str(value).encode()) for name, value in response.headers.items()]
    headers += [(b"content-type", b"application/json"), (b"content-length", str(len(response.content)).encode())]
    await send({"type": "http.response.start", "status": response.status_code or 500, "headers": headers})
    await send({"type": "http.response.body", "body": response.content, "more_body": False})


def _json(content: bytes, status: int, headers: dict[str, str]) -> Response[bytes]:
    return Response(content, status_code=status, media_type="application/json", headers=headers)
