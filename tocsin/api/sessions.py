"""Sessions of the console: a cookie in place of a token, for a browser that must not keep one where scripts can read it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from litestar import HttpMethod, Request, Response
from litestar.handlers import HTTPRouteHandler

from actors.store.access import Token
from runtime.clock import SECOND
from runtime.errors import TocsinError

from ..access.caller import Caller
from ..access.tickets_core import TICKET_SECONDS
from ..console.routes import CONSOLE_PATH
from ..settings.setting_readers import read_flag
from ..vocabulary.fields import show_instant
from ..vocabulary.views import Json
from .answering import encoded, error_response
from .entrance import Entrance, address_of
from .openapi import SESSION_PATH, TICKET_PATH

AnyRequest = Request[Any, Any, Any]
_Answer = Callable[[AnyRequest], Awaitable[Response[bytes]]]


def session_routes(entrance: Entrance) -> list[HTTPRouteHandler]:
    """The routes: begin one with a token or a ticket, look who one is, end it; get a ticket for a browser."""

    async def log_in(request: AnyRequest) -> Response[bytes]:
        try:
            begun = await entrance.authenticator.log_in(request.headers.get("authorization", ""), address_of(request))
        except TocsinError as error:
            await entrance.refused(error, request)
            raise
        shown = _view(begun.row) | {"csrf": begun.csrf}
        return _response(shown, _cookie(entrance, begun.cookie, entrance.authenticator.sessions.lifetime // SECOND))

    async def ticket(request: AnyRequest) -> Response[bytes]:
        try:
            given = await entrance.authenticator.ticket(request.headers.get("authorization", ""), address_of(request))
        except TocsinError as error:
            await entrance.refused(error, request)
            raise
        return _response({"ticket": given, "path": f"{CONSOLE_PATH}#ticket={given}", "seconds": TICKET_SECONDS})

    async def who(request: AnyRequest) -> Response[bytes]:
        caller = await entrance.caller(request)
        cookie = request.cookies.get(entrance.settings.cookie)
        proof = None
        if cookie and request.headers.get("authorization") is None:
            _, proof = await entrance.authenticator.session(cookie, address_of(request))
        return _response(_who(caller) | {"csrf": proof})

    async def log_out(request: AnyRequest) -> Response[bytes]:
        everywhere = read_flag(request.query_params.get("everywhere", "false"), "everywhere")
        cookie = request.cookies.get(entrance.settings.cookie)
        if cookie and request.headers.get("authorization") is None:
            await entrance.caller(request)
            await entrance.authenticator.log_out(cookie, address_of(request), everywhere=everywhere)
        return Response(b"", status_code=204, headers={"Set-Cookie": _cookie(entrance, "", 0)})

    routes: tuple[tuple[HttpMethod, str, str, _Answer], ...] = (
        (HttpMethod.POST, SESSION_PATH, "log_in", log_in),
        (HttpMethod.GET, SESSION_PATH, "show_session", who),
        (HttpMethod.DELETE, SESSION_PATH, "log_out", log_out),
        (HttpMethod.POST, TICKET_PATH, "add_ticket", ticket),
    )
    return [_route(method, path, name, answer) for method, path, name, answer in routes]


def _route(method: HttpMethod, path: str, name: str, answer: _Answer) -> HTTPRouteHandler:
    async def handle(request: AnyRequest) -> Response[bytes]:
        try:
            return await answer(request)
        except Exception as error:
            return error_response(error, f"{method} {path}")

    handle.__annotations__ = {"request": Request, "return": Response}
    return HTTPRouteHandler(path, http_method=method, status_code=200, name=name)(handle)


def _view(row: Token) -> Json:
    return {
        "user": row.user,
        "tenant": row.tenant,
        "own": row.own,
        "role": row.role,
        "expiresAt": show_instant(row.expires_at),
    }


def _who(caller: Caller) -> Json:
    role = None if caller.role is None else caller.role.value
    return {"user": caller.user, "tenant": caller.tenant, "own": caller.scope.owner is not None, "role": role}


def _cookie(entrance: Entrance, value: str, seconds: int) -> str:
    secure = "; Secure" if entrance.settings.is_secure else ""
    return f"{entrance.settings.cookie}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}"


def _response(shown: Json, cookie: str | None = None) -> Response[bytes]:
    headers = {} if cookie is None else {"Set-Cookie": cookie}
    return Response(encoded(shown), status_code=200, media_type="application/json", headers=headers)
