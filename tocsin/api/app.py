"""The application: one route for each operation of the table."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

import trio
from litestar import Litestar, Request, Response
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler

from runtime.errors import InvalidRequest, TooLarge

from ..access.caller import NOBODY
from ..access.permissions import check
from ..console.routes import console_routes
from ..live.hub import Hub
from ..operations.calls import Answer, Call
from ..operations.dispatch import Dispatcher
from ..operations.table import BY_NAME, OPERATIONS, Operation
from . import seed
from .answering import AnyRequest, encoded_in_turns, error_response, failed, refused_route
from .entrance import ApiSettings, Entrance, actor_of, channel_of
from .events import Events
from .exposition import CONTENT_TYPE
from .guard import Application, Guard, kind_of
from .hosts import HostCheck
from .metrics import metrics_text
from .pages import page_routes
from .request_counts import RequestCounts
from .requests import read_arguments
from .sessions import session_routes
from .websocket import Sockets

if TYPE_CHECKING:
    from actors.node import Node

BODY_SECONDS: Final = 30.0
"""How long a request may take to send its body: 2 MiB in it is 70 kB/s; a trickle must not hold memory for ever."""


class Api:
    """What all routes share: the node, the way in, and the limit of a body in bytes. `token`: of the data directory."""

    def __init__(self, node: Node, token: str, settings: ApiSettings) -> None:
        self._node = node
        self._dispatch = Dispatcher(node)
        self._settings = settings
        self._entrance = Entrance(node, token, settings)
        self._body_limit = settings.body_limit
        self._requests = RequestCounts()
        self.hub = Hub(node, settings.followers)
        self.sockets = Sockets(node, self._entrance, settings.sockets)
        self._events = Events(self._entrance, self._dispatch, self.hub)

    def application(self) -> Application:
        """The ASGI application."""
        guarded = Guard(
            HostCheck(
                self.sockets.beside(cast("Application", self._routes())), self._settings.listen, self._settings.hosts
            ),
            self._settings,
            self._requests,
            self._node.world.new_id,
            self._node.turns,
        )
        if self._node.tracer is None:
            return guarded
        from ..tracing.requests import TracedRequests

        return TracedRequests(guarded, self._node.tracer)

    def _routes(self) -> Litestar:
        handlers = [self._route("/api", operation) for operation in OPERATIONS]
        letter = [self._route(seed.PREFIX, operation) for operation in OPERATIONS if operation.seed]
        others = [self._metrics_route(), self.sockets.route(), *page_routes(), *console_routes(self._settings.cookie)]
        return Litestar(
            route_handlers=[*handlers, *letter, *others, *session_routes(self._entrance), self._events.route()],
            exception_handlers={HTTPException: refused_route, Exception: failed},
            openapi_config=None,
            logging_config=None,
            request_max_body_size=None,
        )

    def _route(self, prefix: str, operation: Operation) -> HTTPRouteHandler:
        # The handler's response has the status; the framework's own checks of it know no response without a body.
        path = prefix + operation.path.replace("}", ":str}")
        return HTTPRouteHandler(path, http_method=operation.method, status_code=200)(self._handler(prefix, operation))

    def _metrics_route(self) -> HTTPRouteHandler:
        """What scrapers read, where they look for it. It is no operation: its answer is no JSON, and nobody else asks."""

        async def metrics(request: AnyRequest) -> Response[bytes]:
            try:
                check(BY_NAME["show_canaries"], await self._entrance.caller(request))
                text = await metrics_text(self._node, self._requests, self.hub)
            except Exception as error:
                return error_response(error, "GET /metrics")
            return Response(text.encode(), status_code=200, media_type=CONTENT_TYPE)

        metrics.__annotations__ = {"request": Request, "return": Response}
        return HTTPRouteHandler("/metrics", http_method="GET", status_code=200, name="metrics")(metrics)

    def _handler(self, prefix: str, operation: Operation) -> Callable[[AnyRequest], Awaitable[Response[bytes]]]:
        turns = partial(self._node.turns.take, kind_of(operation.method))
        carry_out = self._by_the_letter if prefix == seed.PREFIX else self._dispatch

        async def handle(request: AnyRequest) -> Response[bytes]:
            caller = NOBODY
            try:
                known = self._entrance.anybody if operation.permission == "none" else self._entrance.caller
                caller = await known(request)
                check(operation, caller)  # before the body is read
                arguments = await self._arguments(operation, request)
                call = Call(arguments, actor_of(request, caller), channel_of(request), caller)
                answer = await carry_out(operation.name, call)
            except Exception as error:
                if caller is not NOBODY:
                    # Who did not even get in was noted there.
                    await self._entrance.refused(error, request, caller)
                return error_response(error, f"{operation.method} {prefix}{operation.path}")
            told = answer if isinstance(answer, Answer) else Answer(answer, operation.status)
            content = b"" if told.status == 204 else await encoded_in_turns(told.value, turns)
            headers = dict(told.headers)
            return Response(content, status_code=told.status, media_type="application/json", headers=headers)

        handle.__annotations__ = {"request": Request, "return": Response}
        return handle

    async def _by_the_letter(self, operation: str, call: Call) -> Any:
        return await seed.by_the_letter(self._dispatch, operation, call, self._node.world.now())

    async def _arguments(self, operation: Operation, request: AnyRequest) -> dict[str, Any]:
        pairs = list(request.query_params.multi_items())
        keys = [key for key, _ in pairs]
        repeated = [key for key in keys if keys.count(key) > 1]
        return read_arguments(
            operation, request.path_params, dict(pairs), repeated, await self._body(request), request.headers
        )

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
