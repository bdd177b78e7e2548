"""`/api/ws`: task types invoked over a WebSocket, several at a time.

Who may not is told so with the status and body of any error, before the socket is accepted. What was begun goes on when the
connection ends; under a key it can be asked for again.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import trio
from litestar import Request, Response
from litestar.connection import ASGIConnection
from litestar.handlers import HTTPRouteHandler

from actors.model.lifecycle import OPEN_STATES
from actors.model.system import Actor
from runtime.errors import Conflict, Forbidden, InvalidRequest, InvocationFailed, NotFound, TocsinError, Unauthenticated
from runtime.traceparent import read_traceparent

from ..access.caller import Caller
from ..access.limits_core import TooManyRequests
from ..access.origin import acting
from ..access.permissions import check
from ..channels.invoking import FIRST_LOOK_SECONDS, LOOK_SECONDS, Wanted, begin, cancel, result_of
from ..channels.services import wanted_of
from ..channels.socket_core import (
    Cancel,
    Invoke,
    Ping,
    Said,
    error_message,
    id_in,
    progress_message,
    read_message,
    result_message,
)
from ..channels.socket_settings import SocketLimits
from ..operations.error_table import row_of
from ..operations.table import BY_NAME
from ..vocabulary.fields import show
from ..vocabulary.views import Json, detail_view
from .answering import AnyRequest, encoded, error_body, error_response
from .entrance import CSRF_HEADER, AnyConnection, Entrance, address_of, origin_problem
from .guard import Application, Receive, Scope, Send
from .openapi import SOCKET_PATH
from .requests import read_body

if TYPE_CHECKING:
    from actors.model.execution import Execution
    from actors.node import Node
    from actors.store.answers import ExecutionDetail

logger = logging.getLogger("tocsin.api")

CHANNEL: Final = "websocket"
PROTOCOL: Final = "tocsin"
PROOF: Final = "tocsin-csrf."
"""The subprotocols that a page offers: browsers let it set no header, and nothing else that another site could not."""

SEND_SECONDS: Final = 10.0
"""How long a client may take nothing: then its buffers have been full for that long, and it is cut off."""

CHECK_SECONDS: Final = 1.0
"""Between two looks at whether the token is still good: as long as a node goes by what it read of one."""

GOING_AWAY: Final = 1001
POLICY: Final = 1008
"""Codes of RFC 6455, section 7.4.1."""


class Gone(Exception):
    """The client takes nothing, or is not there any more."""


class Sockets:
    """The WebSocket channel of a node."""

    def __init__(self, node: Node, entrance: Entrance, limits: SocketLimits) -> None:
        self._node = node
        self._entrance = entrance
        self._limits = limits
        self._users: Counter[tuple[str | None, str]] = Counter()
        self._stopping = trio.Event()

    async def run(self, stop: trio.Event) -> None:
        """End all connections when the server stops."""
        await stop.wait()
        self._stopping.set()

    def beside(self, routes: Application) -> Application:
        """The routes, and this channel at its path."""

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            here = scope["type"] == "websocket" and scope["path"] == SOCKET_PATH
            await (self if here else routes)(scope, receive, send)

        return application

    def route(self) -> HTTPRouteHandler:
        """What is answered to who asks for no WebSocket."""

        async def plain(request: AnyRequest) -> Response[bytes]:
            try:
                check(BY_NAME["invoke"], await self._entrance.caller(request))
            except Exception as error:
                return error_response(error, f"GET {SOCKET_PATH}")
            content = error_body("Upgrade Required", 426, f"{SOCKET_PATH} is a WebSocket")
            return Response(content, status_code=426, media_type="application/json", headers={"Upgrade": "websocket"})

        plain.__annotations__ = {"request": Request, "return": Response}
        return HTTPRouteHandler(SOCKET_PATH, http_method="GET", status_code=426)(plain)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        await receive()
        accepted = False
        try:
            socket = _with_proof(scope)
            caller = await self._let_in(socket)
            with self._counted(caller):
                offered = scope.get("subprotocols", ())
                accepted = True
                await send({"type": "websocket.accept", "subprotocol": PROTOCOL if PROTOCOL in offered else None})
                await self._serve(socket, receive, send, caller)
        except Exception as error:
            if accepted:
                # The server closes what its application leaves.
                logger.exception("a WebSocket failed")
            else:
                await refuse(send, error_response(error, f"WebSocket {SOCKET_PATH}"))

    async def _let_in(self, socket: AnyConnection) -> Caller:
        """Who it is. Raises what refuses him."""
        self._check_origin(socket)
        caller = await self._entrance.caller(socket, changes=True)
        check(BY_NAME["invoke"], caller)
        return caller

    def _check_origin(self, socket: AnyConnection) -> None:
        origin = socket.headers.get("origin")
        by_cookie = socket.headers.get("authorization") is None
        if by_cookie and origin is None and socket.cookies.get(self._entrance.settings.cookie):
            raise Forbidden("a session is for browsers, which say where a page is from")
        own = self._entrance.origin_of(socket)
        if problem := origin_problem(origin, own, self._entrance.settings.origins):
            raise Forbidden(problem)

    @contextmanager
    def _counted(self, caller: Caller) -> Iterator[None]:
        who = (caller.tenant, caller.user)
        if self._users.total() >= self._limits.connections:
            raise TooManyRequests(f"this node has {self._limits.connections} WebSockets, as many as it may")
        if self._users[who] >= self._limits.per_user:
            raise TooManyRequests(f"{show(caller.user)} has {self._limits.per_user} WebSockets, as many as he may")
        self._users[who] += 1
        try:
            yield
        finally:
            self._users[who] -= 1
            self._users += Counter()

    async def _serve(self, socket: AnyConnection, receive: Receive, send: Send, caller: Caller) -> None:
        """One connection, from its acceptance to its end."""
        actor = acting(caller.user, CHANNEL, address=address_of(socket), token=caller.token)
        async with trio.open_nursery() as nursery:
            count = partial(self._entrance.count, caller)
            one = _Connection(self._node, caller, actor, count, receive, send, self._limits, nursery)
            nursery.start_soon(self._until_stopped, one)
            nursery.start_soon(self._until_not_let_in, socket, one)
            await one.listen()
            nursery.cancel_scope.cancel()

    async def _until_stopped(self, one: _Connection) -> None:
        await self._stopping.wait()
        await one.close(GOING_AWAY, "the node stops")

    async def _until_not_let_in(self, socket: AnyConnection, one: _Connection) -> None:
        while True:
            await trio.sleep(CHECK_SECONDS)
            try:
                check(BY_NAME["invoke"], await self._entrance.still(socket, changes=True))
            except (Unauthenticated, Forbidden) as error:
                await one.close(POLICY, str(error)[:100])
            except TocsinError:
                # The store is away: nobody can say that he may not.
                continue


class _Connection:
    """What one client does."""

    def __init__(
        self,
        node: Node,
        caller: Caller,
        actor: Actor,
        count: Callable[[], None],
        receive: Receive,
        send: Send,
        limits: SocketLimits,
        nursery: trio.Nursery,
    ) -> None:
        self._receive = receive
        self._put = send
        self._node = node
        self._seen = node.seen_by(caller.scope)
        self._caller = caller
        self._actor = actor
        self._count = count
        self._limits = limits
        self._nursery = nursery
        self._sending = trio.Lock()
        self._begun: dict[str, Execution | None] = {}

    async def listen(self) -> None:
        """Carry out what the client says until it is gone."""
        while True:
            event: Any = await self._receive()
            if event["type"] != "websocket.receive":
                return
            found: Any = None
            try:
                found = read_body((event.get("text") or "").encode(errors="surrogatepass"), required=True)
                await self._carry_out(read_message(found))
            except Gone:
                return
            except TocsinError as error:
                await self._answer(error_message(id_in(found), row_of(error), str(error)))

    async def _carry_out(self, said: Said) -> None:
        match said:
            case Ping(id=own):
                await self._tell({"type": "pong", "id": own})
            case Cancel(id=own):
                execution = self._begun.get(own)
                if execution is None:
                    raise NotFound(f"nothing that was invoked here under the id {show(own)} goes on")
                await cancel(self._seen, execution, self._actor)
            case Invoke():
                if said.id in self._begun:
                    raise Conflict(f"what was invoked under the id {show(said.id)} goes on; take another one")
                if len(self._begun) >= self._limits.invocations:
                    raise TooManyRequests(f"{self._limits.invocations} invocations go on, as many as may at once")
                self._count()
                wanted = wanted_of(said.body)
                self._begun[said.id] = None
                self._nursery.start_soon(self._invoke, said, wanted)

    async def _invoke(self, said: Invoke, wanted: Wanted) -> None:
        try:
            with self._traced(said):
                await self._follow(said, wanted)
        except Gone:
            self._nursery.cancel_scope.cancel()
        finally:
            del self._begun[said.id]

    def _traced(self, said: Invoke) -> AbstractContextManager[object]:
        """Around an invocation, from its message to its result."""
        if self._node.tracer is None:
            return nullcontext()
        above = read_traceparent(said.traceparent)
        return self._node.tracer.span(f"invoke {said.task_type}", "server", above, {"tocsin.channel": CHANNEL})

    async def _follow(self, said: Invoke, wanted: Wanted) -> None:
        try:
            keyed = Wanted(wanted.parameters, wanted.extra, wanted.timeout, wanted.correlation, said.key)
            execution = await begin(self._node, self._caller, said.task_type, keyed, channel=CHANNEL, actor=self._actor)
            self._begun[said.id] = execution
            await self._tell({"type": "accepted", "id": said.id, "execution": execution.id})
            detail = await self._until_ended(said.id, execution)
        except TocsinError as error:
            await self._tell(error_message(said.id, row_of(error), str(error)))
            return
        shown = detail_view(detail)
        try:
            result_of(detail, f"task type {show(said.task_type)}")
        except InvocationFailed as error:
            await self._tell(error_message(said.id, row_of(error), str(error), shown))
        else:
            await self._tell(result_message(said.id, shown))

    async def _until_ended(self, own: str, execution: Execution) -> ExecutionDetail:
        """The execution at its end; how far it is is told on the way."""
        told: Any = None
        pause = FIRST_LOOK_SECONDS
        async with self._seen.herald.watch() as changes:
            while True:
                detail = await self._seen.execution(execution.id)
                if detail.execution.state not in OPEN_STATES:
                    return detail
                shown = detail_view(detail)
                news = (shown["state"], shown["attempt"], shown["progress"])
                if news != told:
                    told, pause = news, FIRST_LOOK_SECONDS
                    await self._tell(progress_message(own, shown))
                with trio.move_on_after(pause):
                    async for happened in changes:
                        if any(one.id == execution.id for one in happened.executions):
                            break
                pause = min(2 * pause, LOOK_SECONDS)

    async def _answer(self, message: Json) -> None:
        """As `_tell`, for a client that may be gone."""
        with suppress(Gone):
            await self._tell(message)

    async def _tell(self, message: Json) -> None:
        """Raises Gone."""
        await self._send({"type": "websocket.send", "text": encoded(message).decode()})

    async def close(self, code: int, reason: str) -> None:
        """End the connection."""
        with suppress(Gone):
            await self._send({"type": "websocket.close", "code": code, "reason": reason})
        self._nursery.cancel_scope.cancel()

    async def _send(self, event: Any) -> None:
        with trio.move_on_after(SEND_SECONDS) as patience:
            async with self._sending:
                try:
                    await self._put(event)
                except Exception as error:
                    raise Gone from error
        if patience.cancelled_caught:
            logger.info("a WebSocket that took nothing for %g s was cut off", SEND_SECONDS)
            raise Gone


def _with_proof(scope: Scope) -> AnyConnection:
    """The connection; what a page showed as a subprotocol stands among its headers."""
    proofs = [one.removeprefix(PROOF) for one in scope.get("subprotocols", ()) if one.startswith(PROOF)]
    headers = [(name, value) for name, value in scope["headers"] if name.lower() != CSRF_HEADER.encode()]
    if len(proofs) > 1:
        raise InvalidRequest(f"one subprotocol {PROOF}..., not {len(proofs)}")
    headers += [(CSRF_HEADER.encode(), proof.encode("latin-1", errors="replace")) for proof in proofs]
    found: Any = {**scope, "headers": headers}
    return ASGIConnection(found)


async def refuse(send: Send, response: Response[bytes]) -> None:
    """Answer who asks for a WebSocket with a response in place of one."""
    headers = [(name.lower().encode(), str(value).encode()) for name, value in response.headers.items()]
    headers += [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
    await send({"type": "websocket.http.response.start", "status": response.status_code or 500, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": response.content, "more_body": False})
