"""What every answer carries, whichever route gave it: headers for browsers, and leave for pages from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final

from runtime.log_context import logged_with
from runtime.turns import ASKS, CHANGES, Kind, Turns

from .entrance import TENANT_HEADER, ApiSettings
from .request_counts import RequestCounts

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

METHODS: Final = "GET, POST, PUT, DELETE"

REQUEST_ID: Final = "x-request-id"
"""Of a request and its answer: the id under which the log tells of it. What is no plain word of 64 characters is not taken."""

_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")

ALLOWED_HEADERS: Final = (
    f"Authorization, Content-Type, Idempotency-Key, Last-Event-ID, X-Request-Id, {TENANT_HEADER}, tocsin-channel, "
    "traceparent"
)
"""What pages from elsewhere may send. Not the header of sessions: these are for the own pages."""

EXPOSED_HEADERS: Final = "Allow, ETag, Location, Retry-After, WWW-Authenticate, X-Request-Id"
"""What pages from elsewhere may read of an answer, beside what browsers let every page read: where a run is, when to ask again,
under which id the log tells of the request."""

PREFLIGHT_SECONDS: Final = 600
"""How long a browser goes by leave it was given."""

YEAR_SECONDS: Final = 31_536_000

BASIC: Final = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
}
"""Of answers that say nothing else: they are data, nobody keeps them, no page shows them in a frame."""


class Guard:
    """Stands around the application."""

    def __init__(
        self,
        application: Application,
        settings: ApiSettings,
        requests: RequestCounts,
        new_id: Callable[[], str],
        turns: Turns,
    ) -> None:
        self._application = application
        self._turns = turns
        self._requests = requests
        self._new_id = new_id
        self._origins = settings.origins
        self._headers = dict(BASIC)
        if settings.is_secure:
            self._headers["strict-transport-security"] = f"max-age={YEAR_SECONDS}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        given = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        await self._turns.take(kind_of(scope["method"]))
        origin = given.get("origin")
        allowed = origin if origin in self._origins else None
        if scope["method"] == "OPTIONS" and allowed is not None and "access-control-request-method" in given:
            headers = _encoded(self._headers | _leave(allowed) | _preflight())
            await send({"type": "http.response.start", "status": 204, "headers": headers})
            await send({"type": "http.response.body", "body": b""})
            return

        request = self._request_id(given.get(REQUEST_ID))

        async def sent(message: Any) -> None:
            if message["type"] == "http.response.start":
                self._requests.count(scope["method"], scope.get("path_template"), message["status"])
                headers = [*message.get("headers", ()), (REQUEST_ID.encode(), request.encode())]
                message = {**message, "headers": self._with(headers, allowed)}
            await send(message)

        with logged_with(lambda: {"request": request}):
            await self._application(scope, receive, sent)

    def _request_id(self, given: str | None) -> str:
        """The id that whoever asks has given the request, if it is one; else a new one."""
        return given if given is not None and _ID.fullmatch(given) else self._new_id()

    def _with(self, headers: list[tuple[bytes, bytes]], allowed: str | None) -> list[tuple[bytes, bytes]]:
        there = {name.lower() for name, _ in headers}
        added = self._headers | (_leave(allowed) if allowed is not None else {})
        if self._origins:
            added = {"vary": "Origin"} | added
        return [*headers, *(pair for pair in _encoded(added) if pair[0] not in there)]


def kind_of(method: str) -> Kind:
    """Whose turns a request of this method takes."""
    return ASKS if method in ("GET", "HEAD", "OPTIONS") else CHANGES


def _leave(origin: str) -> dict[str, str]:
    return {
        "access-control-allow-origin": origin,
        "access-control-expose-headers": EXPOSED_HEADERS,
        "cross-origin-resource-policy": "cross-origin",
        "vary": "Origin",
    }


def _preflight() -> dict[str, str]:
    return {
        "access-control-allow-methods": METHODS,
        "access-control-allow-headers": ALLOWED_HEADERS,
        "access-control-max-age": str(PREFLIGHT_SECONDS),
    }


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
