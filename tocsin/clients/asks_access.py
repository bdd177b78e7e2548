"""What can be asked about tokens and the audit log."""

from __future__ import annotations

from collections.abc import Callable

from .asking_core import Ask
from .giving import PAGE, Time, body_of, nothing, time_of
from .records import AuditInfo, Page, TaskRef, TokenInfo, TokenRef, VerifiedInfo, list_reader, page_reader, reader


def list_tokens() -> Ask[tuple[TokenInfo, ...]]:
    """The tokens that were made, without their secrets."""
    return Ask("list_tokens", {}, list_reader(TokenInfo))


def add_token(
    name: str,
    role: str,
    *,
    user: str | None = None,
    tenant: str | None = None,
    own: bool | None = None,
    expires_in: str | None = None,
) -> Ask[TokenInfo]:
    """Make a token, whose secret is told this once. expires_in: a duration such as `90d`; never if not said."""
    body = body_of(name=name, role=role, user=user, tenant=tenant, own=own, expires_in=expires_in)
    return Ask("add_token", {"body": body}, reader(TokenInfo))


def revoke_token(token: TokenRef) -> Ask[None]:
    """Make a token worth nothing, by its id, with the sessions that were begun with it."""
    return Ask("revoke_token", {"token": token}, nothing)


def list_audits(
    *,
    task: TaskRef | None = None,
    actor: str | None = None,
    action: str | None = None,
    since: Time | None = None,
    until: Time | None = None,
    offset: int = 0,
    limit: int = 50,
) -> Ask[Page[AuditInfo]]:
    """One page of the audit log; all filters combine."""
    span = {"since": time_of(since, "since"), "until": time_of(until, "until"), "offset": offset, "limit": limit}
    return Ask("list_audits", {"task": task, "actor": actor, "action": action, **span}, page_reader(AuditInfo))


def audits(
    *, task: TaskRef | None = None, actor: str | None = None, action: str | None = None
) -> Callable[[int], Ask[Page[AuditInfo]]]:
    """Every record of the audit log that fits."""
    return lambda offset: list_audits(task=task, actor=actor, action=action, offset=offset, limit=PAGE)


def verify_audits(*, seal: str | None = None) -> Ask[VerifiedInfo]:
    """Whether the audit log is as it was written, and what an earlier seal says of it."""
    return Ask("verify_audits", {"seal": seal}, reader(VerifiedInfo))
