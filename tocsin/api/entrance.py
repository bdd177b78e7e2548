"""How a request gets in: by the token that it shows or by a session's cookie, and not too often."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio
from litestar.connection import ASGIConnection

from actors.model.scope import Scope
from actors.model.system import Actor
from runtime.errors import Forbidden, TocsinError

from ..access.authentication import DEFAULT_SESSIONS, Authenticator, SessionLimits
from ..access.caller import NOBODY, Caller
from ..access.limits_core import FAILURES, Failures, Rates, TooManyRequests
from ..access.origin import acting
from ..access.refusals import Refusals
from ..access.settings import BURST, RATE, TENANT_BURST, TENANT_RATE
from ..channels.socket_settings import DEFAULT_SOCKET_LIMITS, SocketLimits
from ..live.settings import DEFAULT_LIMITS, FollowerLimits
from ..settings.setting_readers import Address
from ..vocabulary.words import TENANT

if TYPE_CHECKING:
    from actors.node import Node

AnyConnection = ASGIConnection[Any, Any, Any, Any]

CSRF_HEADER: Final = "tocsin-csrf"
"""Of requests that change something and are let in by a cookie: what the session answered. Another site cannot read it."""

TENANT_HEADER: Final = "tocsin-tenant"
"""Of callers of all tenants: the one tenant that this request is about."""

COOKIE: Final = "tocsin_session"
SECURE_COOKIE: Final = "__Host-tocsin_session"
"""Under TLS: browsers take a cookie of such a name from this very host only, over TLS, for all paths."""

CHANNEL_HEADER: Final = "tocsin-channel"
_CHANNELS: Final = ("rest", "cli", "console")

_PATH: Final = 100
"""Characters of a path that a record of a refusal keeps."""

ANY_PORT: Final = Address("127.0.0.1", 0)

_SAFE: Final = ("GET", "HEAD", "OPTIONS")


@attrs.frozen
class ApiSettings:
    """What the interface needs to know: the longest body in bytes, whether it speaks TLS, who else's pages may use it.

    rate, burst: of requests with one token; tenant_rate, tenant_burst: with all those of a tenant. failed_logins: of one address
    in a minute. followers: of live events. sockets: of the WebSocket channel. sessions: how long they last. listen: where it
    listens; hosts: names by which it is reached beside.
    """

    body_limit: int
    certificate: str = ""
    key: str = ""
    origins: tuple[str, ...] = ()
    rate: int = RATE
    burst: int = BURST
    failed_logins: int = FAILURES
    followers: FollowerLimits = DEFAULT_LIMITS
    sockets: SocketLimits = DEFAULT_SOCKET_LIMITS
    tenant_rate: int = TENANT_RATE
    tenant_burst: int = TENANT_BURST
    sessions: SessionLimits = DEFAULT_SESSIONS
    listen: Address = ANY_PORT
    hosts: tuple[str, ...] = ()

    @property
    def is_secure(self) -> bool:
        """Whether it speaks TLS."""
        return bool(self.certificate)

    @property
    def cookie(self) -> str:
        """The name of the session's cookie."""
        return SECURE_COOKIE if self.is_secure else COOKIE


class Entrance:
    """Says who sends a request, or WebSocket. `first`: the token of the data directory."""

    def __init__(self, node: Node, first: str, settings: ApiSettings) -> None:
        self.authenticator = Authenticator(node, first, Failures(settings.failed_logins), settings.sessions)
        self.settings = settings
        self.refusals = Refusals(node)
        self._rates = Rates(settings.rate, settings.burst)
        self._tenants = Rates(settings.tenant_rate, settings.tenant_burst)

    async def caller(self, connection: AnyConnection, *, changes: bool | None = None) -> Caller:
        """Who it is. changes: whether it changes something; by its method if not said.

        Raises Unauthenticated, Forbidden for a request that another site may have had sent, TooManyRequests, InvalidRequest for
        a tenant that is none. Who is refused stands in the audit log.
        """
        try:
            return await self._caller(connection, changes=changes)
        except TocsinError as error:
            await self.refused(error, connection)
            raise

    async def still(self, connection: AnyConnection, *, changes: bool | None = None) -> Caller:
        """Who it is whose stream or WebSocket is open, looked at again: no request that counts, and no attempt that is recorded.

        Raises as `caller`.
        """
        return await self._known(connection, changes=changes)

    async def refused(self, error: Exception, connection: AnyConnection, caller: Caller = NOBODY) -> None:
        """Have an attempt that was refused recorded; anything else that went wrong is not."""
        scope = connection.scope
        what = f"{scope.get('method', 'GET')} {scope['path'][:_PATH]}"
        await self.refusals.note(
            error,
            what,
            user=caller.user,
            channel=channel_of(connection),
            address=address_of(connection),
            token=caller.token,
        )

    async def _caller(self, connection: AnyConnection, *, changes: bool | None = None) -> Caller:
        found = await self._known(connection, changes=changes)
        self.count(found)
        return found

    async def _known(self, connection: AnyConnection, *, changes: bool | None) -> Caller:
        header, cookie = connection.headers.get("authorization"), connection.cookies.get(self.settings.cookie)
        if header is not None or not cookie:
            found = await self.authenticator.bearer(header or "", address_of(connection))
        else:
            found, proof = await self.authenticator.session(cookie, address_of(connection))
            method = connection.scope.get("method", "GET")
            self._check_site(connection, proof, method not in _SAFE if changes is None else changes)
        return _within(found, connection.headers.get(TENANT_HEADER))

    def count(self, caller: Caller) -> None:
        """Count a request of somebody. Raises TooManyRequests."""
        if seconds := self._rates.take(caller.token or "", trio.current_time()):
            raise TooManyRequests("too many requests with this token", seconds)
        tenant = caller.scope.tenant
        if tenant is not None and (seconds := self._tenants.take(tenant, trio.current_time())):
            raise TooManyRequests("too many requests of this tenant", seconds)

    async def anybody(self, connection: AnyConnection) -> Caller:
        """Who it is that asks for what anybody may: nobody, if he shows nothing that is good."""
        try:
            return await self._caller(connection)
        except TocsinError:
            # Also while the store is away: whether the node lives is answered then too.
            return NOBODY

    def _check_site(self, connection: AnyConnection, proof: str, changes: bool) -> None:
        """A browser sends the cookie whoever has it send a request; only the own pages know the proof."""
        origin = connection.headers.get("origin")
        if origin is not None and origin != self.origin_of(connection):
            raise Forbidden("a session is for the node's own pages; pages from elsewhere use a token")
        shown = connection.headers.get(CSRF_HEADER, "")
        if changes and not hmac.compare_digest(shown.encode(errors="replace"), proof.encode()):
            raise Forbidden(f"a session's request that changes something needs the header {CSRF_HEADER}")

    def origin_of(self, connection: AnyConnection) -> str:
        """The origin of the node's own pages, as this request's sender sees it."""
        scheme = "https" if self.settings.is_secure else "http"
        return f"{scheme}://{connection.headers.get('host', '')}"


def channel_of(connection: AnyConnection) -> str:
    """Through which channel a request says it comes."""
    named = connection.headers.get(CHANNEL_HEADER, "rest")
    return named if named in _CHANNELS else "rest"


def address_of(connection: AnyConnection) -> str:
    """The address that a request comes from."""
    return connection.client.host if connection.client is not None else ""


def actor_of(connection: AnyConnection, caller: Caller) -> Actor:
    """Who acts, and from where."""
    return acting(caller.user, channel_of(connection), address=address_of(connection), token=caller.token)


def _within(caller: Caller, tenant: str | None) -> Caller:
    if tenant is None:
        return caller
    wanted = str(TENANT.read(tenant, TENANT_HEADER))
    if caller.scope.tenant not in (None, wanted):
        raise Forbidden(f"{TENANT_HEADER}: this token belongs to the tenant {caller.scope.tenant!r}")
    narrowed = caller.narrowed or caller.scope.tenant is None
    return attrs.evolve(caller, scope=Scope(wanted, caller.scope.owner), narrowed=narrowed)


def origin_problem(origin: str | None, own: str, allowed: tuple[str, ...]) -> str | None:
    """What is wrong with a WebSocket's origin: browsers say where the page is from and let any page connect. None: nothing."""
    if origin is None or origin == own or origin in allowed:
        return None
    return f"no page of {origin[:100]!r} may connect"
