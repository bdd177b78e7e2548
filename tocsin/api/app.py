"""The application: one route for each operation of the table."""

from __future__ import annotations

import hmac
import json
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

import trio
from litestar import Litestar, Request, Response
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler

from runtime.errors import InvalidRequest, TooLarge, Unauthenticated

from ..access.caller import FIRST_ADMINISTRATOR, NOBODY, Caller
from ..access.permissions import check
from ..calls import Call
from ..dispatch import Dispatcher
from ..error_table import ErrorRow, row_of, title_of_status
from ..operations import OPERATIONS, Operation
from .metrics import CONTENT_TYPE, metrics_text
from .pages import page_routes
from .requests import read_arguments

if TYPE_CHECKING:
    from actors.node import Node

CHANNEL_HEADER: Final = "tocsin-channel"
_CHANNELS: Final = ("rest", "cli", "console")

BODY_SECONDS: Final = 30.0
"""How long a request may take to send its body: 2 MiB in it is 70 kB/s; a trickle must not hold memory for ever."""

_log = logging.getLogger("tocsin.api")

AnyRequest = Request[Any, Any, Any]


class Api:
    """What all routes share: the node, the token, and the limit of a body in bytes."""

    def __init__(self, node: Node, token: str, body_limit: int) -> None:
        self._node = node
        self._dispatch = Dispatcher(node)
        self._token = token.encode()
        self._body_limit = body_limit

    def application(self) -> Litestar:
        """The ASGI application."""
        handlers = [*(self._route(operation) for operation in OPERATIONS), self._metrics_route(), *page_routes()]
        return Litestar(
            route_handlers=handlers,
            exception_handlers={HTTPException: refused_route, Exception: failed},
            openapi_config=None,
            logging_config=None,
            request_max_body_size=None,
        )

    def _route(self, operation: Operation) -> HTTPRouteHandler:
        # The handler's response has the status; the framework's own checks of it know no response without a body.
        path = operation.path.replace("}", ":str}")
        paths = [f"/api{path}", *([f"/cxs{path}"] if operation.seed else [])]
        return HTTPRouteHandler(paths, http_method=operation.method, status_code=200, name=operation.name)(
            self._handler(operation)
        )

    def _metrics_route(self) -> HTTPRouteHandler:
        """What scrapers read, where they look for it. It is no operation: its answer is no JSON, and nobody else asks."""

        async def metrics(request: AnyRequest) -> Response[bytes]:
            try:
                self._caller(request)
                canaries = self._node.canaries
                text = "" if canaries is None else metrics_text(canaries, await canaries.figures())
            except Exception as error:
                return error_response(error, "GET /metrics")
            return Response(text.encode(), status_code=200, media_type=CONTENT_TYPE)

        metrics.__annotations__ = {"request": Request, "return": Response}
        return HTTPRouteHandler("/metrics", http_method="GET", status_code=200, name="metrics")(metrics)

    def _handler(self, operation: Operation) -> Callable[[AnyRequest], Awaitable[Response[bytes]]]:
        async def handle(request: AnyRequest) -> Response[bytes]:
            try:
                caller = self._caller(request) if operation.permission != "none" else self._anybody(request)
                check(operation, caller)  # before the body is read
                call = Call(await self._arguments(operation, request), caller.user, _channel(request), caller)
                answer = await self._dispatch(operation.name, call)
            except Exception as error:
                return error_response(error, f"{operation.method} {operation.path}")
            content = b"" if operation.status == 204 else encoded(answer)
            return Response(content, status_code=operation.status, media_type="application/json")

        handle.__annotations__ = {"request": Request, "return": Response}
        return handle

    def _caller(self, request: AnyRequest) -> Caller:
        """Who asks. One token exists, the administrator's; it is compared in constant time."""
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), self._token):
            raise Unauthenticated("a bearer token is needed; it is in the file 'token' of the node's data directory")
        return FIRST_ADMINISTRATOR

    def _anybody(self, request: AnyRequest) -> Caller:
        """Who asks for what anybody may: the administrator if the token says so, else nobody."""
        try:
            return self._caller(request)
        except Unauthenticated:
            return NOBODY

    async def _arguments(self, operation: Operation, request: AnyRequest) -> dict[str, Any]:
        pairs = list(request.query_params.multi_items())
        keys = [key for key, _ in pairs]
        repeated = [key for key in keys if keys.count(key) > 1]
        return read_arguments(operation, request.path_params, dict(pairs), repeated, await self._body(request))

    async def _body(self, request: AnyRequest) -> bytes:
        """The body, read up to the limit and no further: a longer one is refused before it is in memory."""
        length = request.headers.get("content-length", "0")
        if length.isascii() and length.isdigit() and int(length) > self._body_limit:
            raise TooLarge(f"body: {length} bytes, at most {self._body_limit}")
        try:
            with trio.fail_after(BODY_SECONDS):
                return await self._read(request)
        except trio.TooSlowError:
            raise InvalidRequest(f"body: not sent within {BODY_SECONDS:g} s") from None

    async def _read(self, request: AnyRequest) -> bytes:
        parts, size, more = [], 0, True
        while more:
            message = await request.receive()
            if message["type"] != "http.request":
                break
            parts.append(message["body"])
            size += len(message["body"])
            more = message["more_body"]
            if size > self._body_limit:
                raise TooLarge(f"body: more than {self._body_limit} bytes")
        return b"".join(parts)


def _channel(request: AnyRequest) -> str:
    named = request.headers.get(CHANNEL_HEADER, "rest")
    return named if named in _CHANNELS else "rest"


def error_body(title: str, status: int, message: str) -> bytes:
    """The contract's error body: `code` is a text."""
    return encoded({"error": title, "code": str(status), "message": message})


def encoded(value: object) -> bytes:
    """A value as JSON in UTF-8. Half of a surrogate pair, which UTF-8 does not have, stays the escape that JSON has for it."""
    return json.dumps(value, ensure_ascii=False).encode(errors="backslashreplace")


def error_response(error: Exception, where: str) -> Response[bytes]:
    """The response for an error; of one that is not ours only the log tells what it was."""
    row: ErrorRow = row_of(error)
    message = str(error)
    if row.status == 500:
        _log.error("%s failed", where, exc_info=error)
        message = "internal error; the node's log has the details" if row.error is Exception else message
    headers = {"WWW-Authenticate": "Bearer"} if row.status == 401 else {}
    headers |= {"Retry-After": "1"} if row.status in (429, 503) else {}
    return _json(error_body(row.title, row.status, message), row.status, headers)


def refused_route(request: AnyRequest, error: HTTPException) -> Response[bytes]:
    """Litestar's own refusals: no such path, no such method."""
    status = error.status_code
    message = f"{request.method} {request.url.path}: {error.detail}"
    return _json(error_body(title_of_status(status), status, message), status, dict(error.headers or {}))


def failed(request: AnyRequest, error: Exception) -> Response[bytes]:
    """Whatever escaped a route."""
    return error_response(error, f"{request.method} {request.url.path}")


def _json(content: bytes, status: int, headers: dict[str, str]) -> Response[bytes]:
    return Response(content, status_code=status, media_type="application/json", headers=headers)
