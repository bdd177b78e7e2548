"""What a store keeps of access: tokens and sessions, and the audit log with its chains of hashes.

A store that nobody but its process reaches needs none of it: the memory lane's has no such part.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, Protocol, runtime_checkable

from runtime.clock import Instant
from runtime.records import record

from .answers import Counts
from .port import Audit

TOKENS_AT_MOST: Final = 10_000
"""Tokens and sessions that a list holds; more than that nobody reads."""

TOKEN_COLUMNS: Final = (
    "id", "hash", "kind", "name", "user", "tenant", "own", "role", "created_at", "created_by", "expires_at", "used_at",
    "revoked_at", "parent",
)  # fmt: skip
"""In the order of the fields of `Token`."""


@record
class Token:
    """A token or session. Only the hash of its secret is kept.

    `tenant` None: all tenants. `own`: sees the tasks of its user only. `parent`: the token with which a session was begun.
    """

    id: str
    hash: str
    kind: Literal["token", "session"]
    name: str
    user: str
    tenant: str | None
    own: bool
    role: str
    created_at: Instant
    created_by: str
    expires_at: Instant | None = None
    used_at: Instant | None = None
    revoked_at: Instant | None = None
    parent: str | None = None


@record
class AuditRow:
    """A record of the audit log with its place: the how many-eth of which chain. One from before the chains has none."""

    sequence: int
    audit: Audit
    chain: int | None
    number: int
    hash: str


@record
class ChainHead:
    """The newest record of a chain, and the newest one of it that was removed with age."""

    chain: int
    number: int
    hash: str
    anchor_number: int
    anchor_hash: str


@record
class AuditFilter:
    """Which records a list holds, the newest first; all conditions combine."""

    tenant: str | None = None
    task_id: str | None = None
    actor: str | None = None
    action: str | None = None
    since: Instant | None = None
    until: Instant | None = None
    offset: int = 0
    limit: int = 50


@runtime_checkable
class AccessStore(Protocol):
    """See the module's docstring."""

    # -- the writer's lane

    def add_token(self, token: Token, audit: Audit | None) -> None:
        """Keep a token. Raises Conflict if there is one of that id."""
        ...

    def revoke_token(self, token_id: str, at: Instant, audit: Audit | None) -> None:
        """From now on it is worth nothing, nor are the sessions that were begun with it."""
        ...

    def end_sessions(self, parent: str, at: Instant, audit: Audit | None) -> None:
        """From now on no session that was begun with this token is worth anything; the token stays."""
        ...

    def use_token(self, token_id: str, at: Instant) -> None:
        """Note when it was used."""
        ...

    def drop_tokens(self, before: Instant) -> int:
        """Remove those that expired or were revoked before an instant; answers how many went."""
        ...

    def add_audit(self, audit: Audit) -> None:
        """Add a record of something that is no commit of the keeper's."""
        ...

    # -- reads

    def counts_of(self, tenant: str, owner: str | None) -> Counts:
        """Totals of the tasks of a tenant, or in it of an owner: of what is kept, and not of what ever was."""
        ...

    def token(self, token_id: str) -> Token | None:
        """One token."""
        ...

    def tokens(self, tenant: str | None) -> list[Token]:
        """The tokens of a tenant (None: all there are), the newest first; no sessions."""
        ...

    def audit_page(self, wanted: AuditFilter) -> tuple[list[AuditRow], int]:
        """A page of the audit log, and how many records fit."""
        ...

    def audit_heads(self) -> list[ChainHead]:
        """Every chain's head, in order."""
        ...

    def audit_chain(self, chain: int, *, after: int, limit: int) -> Sequence[AuditRow]:
        """Records of a chain with numbers above `after`, in order."""
        ...

    def unchained(self) -> int:
        """Records that are in no chain although they are not older than those that are, or in one without a head."""
        ...
