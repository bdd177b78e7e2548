"""`GET /api/events`: what happens, as Server-Sent Events.

Who may not follow is told so with the status and body of any error, before the stream begins. What goes wrong later ends it:
with an event `end` that says why, where the reader still takes something.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio
from litestar import Request, Response
from litestar.handlers import ASGIRouteHandler

from runtime.errors import Forbidden, NotFound, TocsinError, Unauthenticated

from ..access.caller import Caller
from ..access.permissions import check
from ..live.chunks import end_chunk, heartbeat_chunk, hello_chunk, rest_chunk
from ..live.events_core import (
    Position,
    Wanted,
    Wish,
    is_id,
    read_ids,
    read_interval,
    read_kinds,
    read_per,
    read_position,
)
from ..live.hub import Follower, Hub
from ..live.operation import FOLLOW
from ..operations.calls import Call
from ..operations.dispatch import Dispatcher
from .answering import AnyRequest, answer, error_body, error_response
from .entrance import Entrance
from .requests import read_arguments

if TYPE_CHECKING:
    from litestar.types import Receive, Scope, Send

logger = logging.getLogger("tocsin.api")

EVENTS_PATH: Final = f"/api{FOLLOW.path}"
CONTENT_TYPE: Final = "text/event-stream"

QUIET_SECONDS: Final = 15.0
"""When nothing has happened for so long a comment is sent: below the patience of proxies, which is 30 s and more."""

SEND_SECONDS: Final = 10.0
"""How long a reader may take nothing: then his buffers have been full for that long, and he is cut off."""

CHECK_SECONDS: Final = 1.0
"""Between two looks at whether the token is still good: as long as a node goes by what it read of one."""

RETRY_MILLISECONDS: Final = 2_000
"""When browsers come again after the stream has ended."""

Put = Callable[[bytes], Awaitable[None]]


class TooSlow(Exception):
    """The reader takes nothing."""


@attrs.frozen
class _Asked:
    """What a reader has asked for. `since`: where he goes on, None: now. `heartbeat`: seconds, None: comments are enough."""

    wish: Wish
    since: Position | None
    heartbeat: int | None


class Events:
    """See the module's docstring."""

    def __init__(self, entrance: Entrance, dispatch: Dispatcher, hub: Hub) -> None:
        self._entrance = entrance
        self._dispatch = dispatch
        self._hub = hub

    def route(self) -> ASGIRouteHandler:
        """The route."""

        async def events(scope: Scope, receive: Receive, send: Send) -> None:
            request: AnyRequest = Request(scope, receive, send)
            try:
                if request.method != "GET":
                    await answer(send, _not_allowed(request))
                    return
                await self._follow(request, receive, send)
            except Exception as error:
                await answer(send, error_response(error, f"GET {FOLLOW.path}"))

        return ASGIRouteHandler(EVENTS_PATH, name=FOLLOW.name, copy_scope=False)(events)

    async def _follow(self, request: AnyRequest, receive: Receive, send: Send) -> None:
        """Raises what refuses the reader, and nothing once the stream has begun."""
        caller = await self._entrance.caller(request)
        check(FOLLOW, caller)
        asked = await self._asked(request, caller)
        async with self._hub.follow(caller.token or caller.user, asked.wish) as follower:
            until = self._hub.position()
            await _begin(send)
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_until_gone, receive, scope)
                    nursery.start_soon(self._until_not_let_in, request, _put(send), scope)
                    await self._tell(follower, asked, until, _put(send))
                    scope.cancel()
            with trio.move_on_after(SEND_SECONDS):
                await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _asked(self, request: AnyRequest, caller: Caller) -> _Asked:
        pairs = list(request.query_params.multi_items())
        keys = [key for key, _ in pairs]
        found = read_arguments(FOLLOW, {}, dict(pairs), [key for key in keys if keys.count(key) > 1], b"")
        header = request.headers.get("last-event-id")
        after = found["after"] if header is None else header
        wanted = Wanted(
            caller.scope,
            read_kinds(found["kind"]),
            await self._tasks(found["task"], caller),
            found["type"],
            found["tag"],
            read_ids(found["execution"], "execution"),
        )
        return _Asked(
            Wish(wanted, read_interval(found["coalesce"]), read_per(found["per"])),
            read_position(after) if after else None,
            found["heartbeat"],
        )

    async def _tasks(self, text: str | None, caller: Caller) -> frozenset[str]:
        """The ids of the tasks that are meant: by ids, which may be unknown, or by one reference, which may not."""
        if text is None:
            return frozenset()
        if not text:
            raise NotFound("no task without a name")
        parts = [part.strip().lower() for part in text.split(",")]
        if len(parts) > 1 and all(map(is_id, parts)):
            return read_ids(text, "task")
        call = Call({"reference": text}, caller.user, "rest", caller)
        found: dict[str, Any] = await self._dispatch("find_task", call)
        return frozenset({str(found["itemId"])})

    async def _tell(self, follower: Follower, asked: _Asked, until: Position, put: Put) -> None:
        """Tell what happens until the reader is too slow or the node stops."""
        hub, since, wish = self._hub, asked.since, asked.wish
        try:
            hello = hello_chunk(since or until, hub.name, asked.heartbeat or QUIET_SECONDS, wish.coalesce)
            await put(f"retry: {RETRY_MILLISECONDS}\n".encode() + hello)
            if since is not None:
                async with aclosing(hub.replay(since, until)) as replayed:
                    async for told in replayed:
                        if isinstance(told, bytes):
                            await put(told)
                        elif wish.wanted.has(told[0]):
                            await put(told[1])
            await self._live(follower, asked, put)
        except TooSlow:
            logger.info("a follower of live events took nothing for %g s and was cut off", SEND_SECONDS)

    async def _live(self, follower: Follower, asked: _Asked, put: Put) -> None:
        hub, quiet_since, reading = self._hub, trio.current_time(), 0.0
        up_to_date, quiet_seconds = quiet_since, asked.heartbeat or QUIET_SECONDS
        while not hub.closing:
            if follower.behind():
                if reading > (trio.current_time() - up_to_date) / 2:
                    await put(end_chunk("too slow: what had to be told next is gone"))
                    return
                await put(follower.skip())
                reading, up_to_date = 0.0, trio.current_time()
            first, last = follower.advance()
            if first != last:
                await hub.take_turn()
            chunk = follower.view.between(first, last)
            began = trio.current_time()
            if chunk:
                await put(chunk)
                quiet_since = trio.current_time()
                reading += quiet_since - began
            if asked.wish.coalesce:
                await hub.gather(asked.wish.coalesce)
                if not follower.behind():
                    reading, up_to_date = 0.0, trio.current_time()
            elif first == last:
                reading, up_to_date = 0.0, began
                await hub.wait(quiet_since + quiet_seconds - began)
            if trio.current_time() - quiet_since >= quiet_seconds:
                quiet_since = trio.current_time()
                await put(heartbeat_chunk(hub.position(), hub.name) if asked.heartbeat else rest_chunk(hub.position()))
        await put(end_chunk("the node stops"))

    async def _until_not_let_in(self, request: AnyRequest, put: Put, scope: trio.CancelScope) -> None:
        """End the stream when its token is not good any more."""
        while True:
            await trio.sleep(CHECK_SECONDS)
            try:
                check(FOLLOW, await self._entrance.still(request))
            except (Unauthenticated, Forbidden) as error:
                with trio.move_on_after(SEND_SECONDS):
                    await put(end_chunk(str(error)))
                scope.cancel()
                return
            except TocsinError:
                # The store is away: nobody can say that he may not.
                continue


async def _begin(send: Send) -> None:
    headers = [(b"content-type", CONTENT_TYPE.encode()), (b"cache-control", b"no-store"), (b"x-accel-buffering", b"no")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})


def _put(send: Send) -> Put:
    async def put(chunk: bytes) -> None:
        with trio.move_on_after(SEND_SECONDS) as patience:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        if patience.cancelled_caught:
            raise TooSlow

    return put


async def _until_gone(receive: Receive, scope: trio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue
    scope.cancel()


def _not_allowed(request: AnyRequest) -> Response[bytes]:
    content = error_body("Method Not Allowed", 405, f"{request.method} {EVENTS_PATH}: Method Not Allowed")
    return Response(content, status_code=405, media_type="application/json", headers={"Allow": "GET"})
