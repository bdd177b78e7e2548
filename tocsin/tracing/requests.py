"""Requests over REST as spans: around the whole application, so that refusals are told of too."""

from __future__ import annotations

from typing import Any, Final

from actors.tracing import Tracer
from runtime.traceparent import HEADER, read_traceparent

from ..api.guard import Application, Receive, Scope, Send

UNTOLD: Final = ("/metrics", "/api/health/live", "/api/health/ready")
"""What is asked every few seconds by whoever watches the node: nobody looks for its spans."""

_UNKNOWN: Final = "HTTP"
"""The beginning of the name of a span without a method that is known, as OpenTelemetry has it."""

_METHODS: Final = frozenset("GET HEAD POST PUT DELETE PATCH OPTIONS".split())

_FAILED: Final = 500
"""From this status on the fault is the node's."""


class TracedRequests:
    """An ASGI application, told of by a tracer."""

    def __init__(self, application: Application, tracer: Tracer) -> None:
        self._application = application
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        if scope["type"] != "http" or scope["path"] in UNTOLD:
            await self._application(scope, receive, send)
            return
        method = scope["method"] if scope["method"] in _METHODS else _UNKNOWN
        given = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        above = read_traceparent(given.get(HEADER.encode()))
        said = {"http.request.method": method, "url.path": scope["path"], "url.scheme": scope.get("scheme", "http")}
        with self._tracer.span(method, "server", above, said) as opened:

            async def sent(message: Any) -> None:
                if message["type"] == "http.response.start":
                    route = scope.get("path_template")
                    if route:
                        opened.name = f"{method} {route}"
                        opened.attributes["http.route"] = route
                    status = message["status"]
                    opened.attributes["http.response.status_code"] = status
                    opened.error = f"HTTP {status}" if status >= _FAILED else None
                    for name, value in message.get("headers", ()):
                        if name.lower() == b"x-request-id":
                            opened.attributes["tocsin.request.id"] = value.decode("latin-1")
                await send(message)

            await self._application(scope, receive, sent)
