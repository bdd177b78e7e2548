"""Rows of tokens and audit records, as both databases have them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from runtime.clock import Instant
from runtime.records import evolve

from .access import AuditFilter, AuditRow, ChainHead, Token
from .port import Audit

AUDIT_COLUMNS: Final = (
    "sequence", "at", "actor", "action", "task_id", "detail", "tenant", "chain", "number", "hash",
)  # fmt: skip


def read_audit(row: Sequence[Any]) -> AuditRow:
    """From AUDIT_COLUMNS."""
    sequence, at, *texts, chain, number, digest = row
    return AuditRow(sequence, Audit(at, *texts), chain, number or 0, digest or "")


def read_head(row: Sequence[Any]) -> ChainHead:
    """From the columns of a chain, in their order."""
    return ChainHead(*row)


def token_row(token: Token) -> list[Any]:
    """The values of TOKEN_COLUMNS."""
    return [
        token.id, token.hash, token.kind, token.name, token.user, token.tenant, int(token.own), token.role,
        token.created_at, token.created_by, token.expires_at, token.used_at, token.revoked_at, token.parent,
    ]  # fmt: skip


def read_token(row: Sequence[Any]) -> Token:
    """From TOKEN_COLUMNS."""
    token = Token(*row)
    return evolve(token, own=bool(token.own))


def audit_conditions(wanted: AuditFilter, mark: str) -> tuple[str, list[str | Instant]]:
    """The WHERE of a filter, with what is to be bound at each `mark`."""
    pairs = {
        "tenant =": wanted.tenant,
        "task_id =": wanted.task_id,
        "actor =": wanted.actor,
        "action =": wanted.action,
        "at >=": wanted.since,
        "at <=": wanted.until,
    }
    given = {f"{words} {mark}": value for words, value in pairs.items() if value is not None}
    return (f"WHERE {' AND '.join(given)} " if given else ""), list(given.values())
