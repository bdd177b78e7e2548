"""Who asks: from the token or session that a request shows."""

from __future__ import annotations

import hmac
from collections import OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import attrs
import trio

from actors.model.scope import Scope
from actors.store.access import Token
from runtime.clock import SECOND, Instant, Micros
from runtime.errors import TocsinError, Unauthenticated
from runtime.records import evolve

from .caller import FIRST_ADMINISTRATOR, Caller, Role
from .limits_core import Failures, Rates, TooManyRequests
from .origin import acting
from .secrets_core import ID_LENGTH, SECRET_BYTES, csrf_of, fits, hashed, parts, whole
from .settings import SESSION_FOR, SESSION_IDLE
from .tickets_core import Tickets

if TYPE_CHECKING:
    from actors.node import Node

FRESH_SECONDS: Final = 1.0
"""How long a node goes by what it read of a token: a revocation holds everywhere within this time and the read's own."""

KNOWN: Final = 10_000
"""Tokens of which a node remembers what it read, some megabytes."""

NOTED_EVERY: Final = Micros(60 * SECOND)
"""How exactly it is known when a token was used: a write a minute and not one for each request."""

FIRST: Final = "administrator"
"""What stands as the parent of sessions that were begun with the token of the data directory, which has no row."""

LOG_INS: Final = 1.0
LOG_INS_AT_ONCE: Final = 100
"""Sessions and tickets of one token, a second and at once: more than people begin; each is a row and a record to be kept."""

_NOBODYS: Final = hashed("")
"""What the secret of an unknown id is compared with, so that it takes as long as for a known one."""

_REFUSED: Final = "the token is not valid; the node's own is in the file 'token' of its data directory"
_HINT: Final = "a bearer token is needed; it is in the file 'token' of the node's data directory"


@attrs.frozen
class SessionLimits:
    """How long a session lasts: at most `lifetime`, and so long as it is used at least once in `idle`. Microseconds."""

    lifetime: Micros = SESSION_FOR
    idle: Micros = SESSION_IDLE


DEFAULT_SESSIONS: Final = SessionLimits()


@attrs.frozen
class Session:
    """A session that was begun: its cookie's value, which is told once, its row, and what proves the own page."""

    cookie: str
    row: Token
    csrf: str


@attrs.define
class _Known:
    token: Token
    read_at: float
    let_in: bool = False


class Authenticator:
    """Lets callers in. `first`: the token of the data directory, which is the administrator's of all tenants."""

    def __init__(self, node: Node, first: str, failures: Failures, sessions: SessionLimits = DEFAULT_SESSIONS) -> None:
        self.sessions = sessions
        self._node = node
        self._first = first.encode()
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._failures = failures
        self._tickets = Tickets()
        self._log_ins = Rates(LOG_INS, LOG_INS_AT_ONCE)

    async def bearer(self, header: str, address: str) -> Caller:
        """Who shows this Authorization header. Raises Unauthenticated, TooManyRequests, StoreUnavailable."""
        scheme, _, given = header.partition(" ")
        if scheme.lower() != "bearer":
            raise Unauthenticated(_HINT)
        given = given.strip()
        if hmac.compare_digest(given.encode(errors="replace"), self._first):
            return FIRST_ADMINISTRATOR
        try:
            token = await self._checked(given, "token", address)
        except Unauthenticated:
            self._failures.failed(address, trio.current_time())
            raise
        return caller_of(token)

    async def session(self, cookie: str, address: str) -> tuple[Caller, str]:
        """Who has this session's cookie, and what proves that it is his page that asks. Raises as `bearer`."""
        try:
            token = await self._checked(cookie, "session", address)
        except Unauthenticated:
            self._failures.failed(address, trio.current_time())
            raise
        found = parts(cookie)
        assert found is not None, "it was checked"
        return caller_of(token), csrf_of(found[1])

    async def _checked(self, given: str, kind: str, address: str) -> Token:
        found = parts(given)
        token_id, secret = found or ("", "")
        # Whoever was let in lately is not shut out by others behind the same address.
        if not self._was_let_in(token_id) and (seconds := self._failures.wait(address, trio.current_time())):
            raise TooManyRequests("too many failed log-ins from this address", seconds)
        token = await self._look_up(token_id) if found and self._node.access.is_kept else None
        right = fits(secret, _NOBODYS if token is None else token.hash)
        if token is None or not right or token.kind != kind:
            raise Unauthenticated(_REFUSED)
        if token.revoked_at is not None:
            raise Unauthenticated("the token has been revoked")
        now = self._node.world.now()
        if token.expires_at is not None and token.expires_at <= now:
            raise Unauthenticated(
                "the token has expired" if kind == "token" else "the session has expired: log in again"
            )
        if kind == "session" and now - (token.used_at or token.created_at) > self.sessions.idle + NOTED_EVERY:
            raise Unauthenticated("the session was not used for too long: log in again")
        if token.parent not in (None, FIRST) and not await self._is_good(token.parent, now):
            raise Unauthenticated("the token of this session has ended")
        await self._note(token, now)
        return token

    def _was_let_in(self, token_id: str) -> bool:
        known = self._known.get(token_id)
        return known is not None and known.let_in

    async def _is_good(self, token_id: str, now: Instant) -> bool:
        token = await self._look_up(token_id)
        return token is not None and token.revoked_at is None and (token.expires_at is None or token.expires_at > now)

    async def _look_up(self, token_id: str) -> Token | None:
        known, now = self._known.get(token_id), trio.current_time()
        if known is not None and now - known.read_at < FRESH_SECONDS:
            return known.token
        token = await self._node.access.token(token_id)
        if token is not None:
            self._known[token_id] = _Known(token, now, self._was_let_in(token_id))
            self._known.move_to_end(token_id)
            if len(self._known) > KNOWN:
                self._known.popitem(last=False)
        else:
            self._known.pop(token_id, None)
        return token

    async def _note(self, token: Token, now: Instant) -> None:
        if (known := self._known.get(token.id)) is not None:
            known.let_in = True
        if token.used_at is not None and now - token.used_at < NOTED_EVERY:
            return
        if known is not None:
            known.token = evolve(token, used_at=now)
        # Who may read while the store cannot be written shall read.
        with suppress(TocsinError):
            await self._node.access.used(token.id)

    # -- sessions

    async def ticket(self, header: str, address: str) -> str:
        """A ticket of who shows a bearer token, for a browser that is to have a session of his. Raises as `bearer`."""
        secret = self._node.world.secret(SECRET_BYTES)
        caller = await self.bearer(header, address)
        self._count_log_in(caller)
        self._tickets.give(secret, caller, trio.current_time())
        return secret

    def _count_log_in(self, caller: Caller) -> None:
        if seconds := self._log_ins.take(caller.token or FIRST, trio.current_time()):
            raise TooManyRequests("too many log-ins with this token", seconds)

    async def log_in(self, header: str, address: str) -> Session:
        """Begin a session with a bearer token or a ticket. Raises as `bearer`."""
        scheme, _, given = header.partition(" ")
        if scheme.lower() == "ticket":
            return await self._begin(await self._of_ticket(given.strip(), address), address)
        return await self._begin(await self.bearer(header, address), address)

    async def _of_ticket(self, given: str, address: str) -> Caller:
        if seconds := self._failures.wait(address, trio.current_time()):
            raise TooManyRequests("too many failed log-ins from this address", seconds)
        caller = self._tickets.take(given, trio.current_time())
        good = caller is not None and (caller.token is None or await self._still_is(caller.token))
        if caller is None or not good:
            self._failures.failed(address, trio.current_time())
            raise Unauthenticated("the ticket is not valid: each is for one log-in within a minute")
        return caller

    async def _still_is(self, token_id: str) -> bool:
        """Whether a token is good by what the store has now: a session that is begun lasts."""
        self._known.pop(token_id, None)
        return await self._is_good(token_id, self._node.world.now())

    async def _begin(self, caller: Caller, address: str) -> Session:
        assert caller.role is not None, "a token has one"
        self._count_log_in(caller)
        world, now = self._node.world, self._node.world.now()
        parent = None if caller.token is None else await self._look_up(caller.token)
        ends = Instant(now + self.sessions.lifetime)
        if parent is not None and parent.expires_at is not None:
            ends = min(ends, parent.expires_at)
        token_id, secret = world.new_id()[-ID_LENGTH:], world.secret(SECRET_BYTES)
        row = Token(
            token_id, hashed(secret), "session", "console", caller.user, caller.tenant, caller.scope.owner is not None,
            caller.role.value, now, caller.user, expires_at=ends, parent=caller.token or FIRST,
        )  # fmt: skip
        await self._node.access.add(row, acting(caller.user, "console", address=address, token=caller.token))
        return Session(whole(token_id, secret), row, csrf_of(secret))

    async def log_out(self, cookie: str, address: str, *, everywhere: bool = False) -> None:
        """End a session; everywhere: all that were begun with the same token. Raises as `session`."""
        caller, _ = await self.session(cookie, address)
        assert caller.token is not None, "a session has one"
        row = await self._look_up(caller.token)
        if row is not None:
            actor = acting(row.user, "console", address=address, token=row.id)
            await self._node.access.end(row, actor, everywhere=everywhere)
            self._known.pop(row.id, None)


def caller_of(token: Token) -> Caller:
    """Who has a token."""
    return Caller(token.user, Scope(token.tenant, token.user if token.own else None), Role(token.role), token.id)
