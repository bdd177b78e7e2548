"""Tokens and the audit log of a node's store, as those ask for them who let people in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import attrs

from runtime.clock import DAY, Instant, Micros
from runtime.errors import Conflict, NotFound
from runtime.world import World

from .lanes import LOOKS, WRITER, Lane
from .model.scope import Scope
from .model.system import actor_of, origin_of
from .rules.audit_chain import end_fault, faults, seal
from .store.access import AccessStore, AuditFilter, AuditRow, ChainHead, Token
from .store.answers import Counts
from .store.port import Audit

T = TypeVar("T")

VERIFIED_AT_ONCE: Final = 2_000
"""Records of one read while the log is verified: some milliseconds, and a megabyte."""

COMPLAINTS_SHOWN: Final = 20
"""Of a log that is broken in many places the first ones: they say where to look."""


ENDED_KEPT: Final = Micros(30 * DAY)
"""How long tokens and sessions are shown after their end: who looks a month later what had access finds it."""


@attrs.frozen
class Verified:
    """What the verification of the audit log found. `records`: that were looked at; `seal`: the state of its chains."""

    records: int
    faults: tuple[str, ...]
    seal: str


class AccessLibrary:
    """See the module's docstring. Every call may raise an error of `runtime/errors.py`."""

    def __init__(self, durable: Lane, world: World) -> None:
        self._kept = durable.store
        self._world = world

    @property
    def _store(self) -> AccessStore:
        if not isinstance(self._kept, AccessStore):
            raise Conflict("the store of this node keeps no tokens and no audit log that could be verified")
        return self._kept

    @property
    def is_kept(self) -> bool:
        """Whether there can be tokens at all."""
        return isinstance(self._kept, AccessStore)

    async def counts(self, scope: Scope) -> Counts:
        """Totals of what lies in a scope that is not everything."""
        return await self._read(self._store.counts_of, scope.home, scope.owner)

    # -- tokens

    async def token(self, token_id: str) -> Token | None:
        """A token or session, whatever became of it."""
        return await self._read(self._store.token, token_id)

    async def tokens(self, tenant: str | None) -> list[Token]:
        """The tokens of a tenant (None: all there are), the newest first."""
        return await self._read(self._store.tokens, tenant)

    async def add(self, token: Token, actor: str) -> None:
        """Keep a token or session, and forget those that ended long ago; that it was made stands in the audit log."""
        audit = self._audit(actor, "AddToken", token) if token.kind == "token" else self._audit(actor, "LogIn", token)
        await self._write(self._store.add_token, token, audit)
        if token.kind == "session":
            await self._write(self._store.drop_tokens, Instant(self._world.now() - ENDED_KEPT))

    async def revoke(self, token_id: str, actor: str, scope: Scope) -> Token:
        """Make a token worth nothing. Answers it as it is then; raises NotFound for one of another tenant."""
        token = await self.token(token_id)
        if token is None or token.kind != "token" or scope.tenant not in (None, token.tenant):
            raise NotFound(f"no token with the id {token_id!r}")
        if token.revoked_at is None:
            audit = self._audit(actor, "RevokeToken", token)
            await self._write(self._store.revoke_token, token_id, self._world.now(), audit)
        found = await self.token(token_id)
        return token if found is None else found

    async def end(self, session: Token, actor: str, *, everywhere: bool = False) -> None:
        """End a session; everywhere: all that were begun with the token that it was begun with."""
        audit, now = self._audit(actor, "LogOut", session), self._world.now()
        if everywhere and session.parent is not None:
            await self._write(self._store.end_sessions, session.parent, now, audit)
        else:
            await self._write(self._store.revoke_token, session.id, now, audit)

    async def used(self, token_id: str) -> None:
        """Note that a token was used now."""
        await self._write(self._store.use_token, token_id, self._world.now())

    def _audit(self, actor: str, action: str, token: Token) -> Audit:
        return self._record(actor, action, f"{token.id} {token.role} {token.user}", token.tenant)

    def _record(self, actor: str, action: str, detail: str, tenant: str | None) -> Audit:
        name = str(actor_of(actor))
        return Audit(self._world.now(), name, action, "", detail, tenant or "", origin_of(actor))

    async def note(self, actor: str, action: str, detail: str, tenant: str | None = None) -> None:
        """Add a record of what is no change of a task, a calendar or a token; nothing where no audit log is kept."""
        if self.is_kept:
            await self._write(self._store.add_audit, self._record(actor, action, detail, tenant))

    # -- the audit log

    async def audits(self, wanted: AuditFilter) -> tuple[list[AuditRow], int]:
        """A page of the log, and how many records fit."""
        return await self._read(self._store.audit_page, wanted)

    async def verify(self, before: str = "") -> Verified:
        """Look at every record of the log. `before`: a seal of an earlier time, which the log must still contain."""
        heads: list[ChainHead] = await self._read(self._store.audit_heads)
        expected = _read_seal(before)
        found, records = [], 0
        for head in heads:
            some, number = await self._verify_chain(head, expected.pop(head.chain, None))
            found += some
            records += number
        found += [f"chain {chain}: is gone" for chain in sorted(expected)]
        if loose := await self._read(self._store.unchained):
            found.append(f"{loose} records are in no chain")
        return Verified(records, tuple(found[:COMPLAINTS_SHOWN]), seal(heads))

    async def _verify_chain(self, head: ChainHead, known: tuple[int, str] | None) -> tuple[list[str], int]:
        number, last, found, records = head.anchor_number, head.anchor_hash, [], 0
        met = known is None or known[0] < number or known == (number, last)
        while rows := await self._rows(head.chain, number):
            found += faults(head, number, last, rows)
            met = met or any((row.number, row.hash) == known for row in rows)
            number, last = rows[-1].number, rows[-1].hash
            records += len(rows)
        end = end_fault(head, number, last)
        if end is not None:
            found.append(end)
        if not met:
            found.append(f"chain {head.chain}: does not contain the record of the earlier seal")
        return found, records

    async def _rows(self, chain: int, after: int) -> Sequence[AuditRow]:
        store = self._store
        return await self._read(lambda: store.audit_chain(chain, after=after, limit=VERIFIED_AT_ONCE))

    async def _read(self, question: Callable[..., T], *arguments: object) -> T:
        return await self._world.blocking(question, *arguments, lane=LOOKS)

    async def _write(self, change: Callable[..., T], *arguments: object) -> T:
        return await self._world.blocking(change, *arguments, lane=WRITER)


def _read_seal(text: str) -> dict[int, tuple[int, str]]:
    found = {}
    for part in text.split():
        chain, number, digest = part.split(":")
        found[int(chain)] = (int(number), digest)
    return found
