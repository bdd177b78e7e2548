"""Rows of tokens and audit records, as both databases have them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

from runtime.clock import Instant
from runtime.records import evolve

from .access import AuditFilter, AuditRow, ChainHead, Token
from .answers import Counts
from .port import Audit

KEPT_OUTCOMES: Final = (
    "SELECT outcome, reason, sum(number) FROM ("
    "SELECT task_id, outcome, coalesce(reason, '') AS reason, 1 AS number FROM executions WHERE outcome IS NOT NULL "
    "UNION ALL SELECT task_id, outcome, reason, count FROM settled WHERE count > 0 "
    "UNION ALL SELECT task_id, outcome, reason, count FROM folded) AS kept "
    "WHERE task_id IN ({ids}) GROUP BY outcome, reason"
)
"""Outcomes by reason of the tasks that a statement finds."""

OWNER: Final = (
    "coalesce(json_extract(coalesce((SELECT nullif(definition, '') FROM parcels WHERE task_id = tasks.id), definition), "
    "'$.owner'), '')"
)
"""The owner of a task in the tables of SQLite."""

AUDIT_COLUMNS: Final = (
    "sequence", "at", "actor", "action", "task_id", "detail", "tenant", "origin", "change", "chain", "number", "hash",
)  # fmt: skip


def counts_from(statuses: Iterable[Sequence[Any]], outcomes: Iterable[Sequence[Any]]) -> Counts:
    """Totals from rows of status and number, and of outcome, reason and number."""
    by_status = {status: int(number) for status, number in statuses}
    by_outcome: Counter[str] = Counter()
    by_reason: dict[str, int] = {}
    for outcome, reason, number in outcomes:
        by_outcome[outcome] += int(number)
        by_reason[f"{outcome}: {reason}" if reason else outcome] = int(number)
    return Counts(sum(by_status.values()), by_status, dict(by_outcome), by_reason)


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
