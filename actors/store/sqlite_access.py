"""Tokens, and the audit log with its one chain: the file has one writer."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

from runtime.clock import Instant
from runtime.errors import Conflict

from ..rules.audit_chain import digest
from . import sqlite_bulk as bulk
from .access import TOKEN_COLUMNS, TOKENS_AT_MOST, AuditFilter, AuditRow, ChainHead, Token
from .access_rows import (
    AUDIT_COLUMNS,
    KEPT_OUTCOMES,
    OWNER,
    audit_conditions,
    counts_from,
    read_audit,
    read_head,
    read_token,
    token_row,
)
from .answers import Counts
from .port import Audit
from .reading import OWN
from .sqlite_link import Connection, Link, Step

_INSERT: Final = bulk.insert("audit", AUDIT_COLUMNS[1:])
Head = tuple[int, str]
"""Number and hash of the last record of a chain."""

CHAIN: Final = "chain"
"""A guard: somebody else has added to the chain."""

_CHAIN: Final = 1
_HEADS: Final = "SELECT chain, number, hash, anchor_number, anchor_hash FROM audit_chains ORDER BY chain"
_TOKEN: Final = f"SELECT {', '.join(TOKEN_COLUMNS)} FROM tokens"
_AUDIT: Final = f"SELECT {', '.join(AUDIT_COLUMNS)} FROM audit"


def head(connection: Connection) -> Head:
    """Where the chain ends."""
    number, last = connection.execute("SELECT number, hash FROM audit_chains WHERE chain = ?", (_CHAIN,)).fetchone()
    return number, last


def appended(audits: Sequence[Audit], after: Head) -> tuple[list[Step], Head]:
    """What adds records to a chain that ends there, and where it ends then. The last step's guard is CHAIN."""
    number, last = after
    rows = []
    for audit in audits:
        number += 1
        last = digest(last, _CHAIN, number, audit)
        texts = (audit.actor, audit.action, audit.task_id, audit.detail, audit.tenant, audit.origin, audit.change)
        rows.append((audit.at, *texts, _CHAIN, number, last))
    move = "UPDATE audit_chains SET number = ?, hash = ? WHERE chain = ? AND number = ? AND hash = ?"
    return [*_INSERT.steps(rows), Step(move, (number, last, _CHAIN, *after), 1, CHAIN)], (number, last)


def append(link: Link, audits: Sequence[Audit]) -> Head:
    """Add records to the end of the chain, in the transaction that there is; where it ends then."""
    steps, end = appended(audits, head(link))
    link.run(steps)
    return end


def drop_audits(connection: Connection, kept: int, limit: int) -> int:
    """Remove the oldest records beyond a number; the chain begins after the last of them from now on."""
    doomed = connection.execute(
        "SELECT sequence, number, hash FROM audit WHERE sequence <= (SELECT max(sequence) FROM audit) - ? "
        "ORDER BY sequence LIMIT ?",
        (kept, limit),
    ).fetchall()
    if not doomed:
        return 0
    newest, number, last = doomed[-1]
    connection.execute("DELETE FROM audit WHERE sequence <= ?", (newest,))
    if number is not None:
        connection.execute(
            "UPDATE audit_chains SET anchor_number = ?, anchor_hash = ? WHERE chain = ?", (number, last, _CHAIN)
        )
    return len(doomed)


def add_token(connection: Link, token: Token, audit: Audit | None) -> None:
    """See the port."""
    marks = ", ".join("?" for _ in TOKEN_COLUMNS)
    try:
        connection.execute(f"INSERT INTO tokens ({', '.join(TOKEN_COLUMNS)}) VALUES ({marks})", token_row(token))
    except sqlite3.IntegrityError:
        raise Conflict(f"there is a token {token.id} already") from None
    if audit is not None:
        append(connection, [audit])


def revoke_token(connection: Link, token_id: str, at: Instant, audit: Audit | None) -> None:
    """See the port."""
    connection.execute(
        "UPDATE tokens SET revoked_at = ? WHERE (id = ? OR parent = ?) AND revoked_at IS NULL",
        (at, token_id, token_id),
    )
    if audit is not None:
        append(connection, [audit])


def end_sessions(connection: Link, parent: str, at: Instant, audit: Audit | None) -> None:
    """See the port."""
    connection.execute(
        "UPDATE tokens SET revoked_at = ? WHERE parent = ? AND kind = 'session' AND revoked_at IS NULL", (at, parent)
    )
    if audit is not None:
        append(connection, [audit])


def use_token(connection: Connection, token_id: str, at: Instant) -> None:
    """See the port."""
    connection.execute("UPDATE tokens SET used_at = ? WHERE id = ?", (at, token_id))


def drop_tokens(connection: Connection, before: Instant) -> int:
    """See the port."""
    return connection.execute("DELETE FROM tokens WHERE expires_at < ? OR revoked_at < ?", (before, before)).rowcount


def counts_of(connection: Connection, tenant: str, owner: str | None) -> Counts:
    """See the port."""
    among, values = f"tenant = ? AND type NOT IN {OWN}", (tenant,) if owner is None else (tenant, owner)
    if owner is not None:
        among += f" AND {OWNER} = ?"
    statuses = connection.execute(
        f"SELECT status, count(*) FROM tasks WHERE {among} GROUP BY status", values
    ).fetchall()
    ids = f"SELECT id FROM tasks WHERE {among}"
    return counts_from(statuses, connection.execute(KEPT_OUTCOMES.format(ids=ids), values))


def token(connection: Connection, token_id: str) -> Token | None:
    """See the port."""
    row = connection.execute(f"{_TOKEN} WHERE id = ?", (token_id,)).fetchone()
    return None if row is None else read_token(row)


def tokens(connection: Connection, tenant: str | None) -> list[Token]:
    """See the port."""
    among, values = ("", ()) if tenant is None else (" AND tenant = ?", (tenant,))
    order = f"ORDER BY created_at DESC, id DESC LIMIT {TOKENS_AT_MOST}"
    return [read_token(row) for row in connection.execute(f"{_TOKEN} WHERE kind = 'token'{among} {order}", values)]


def audit_page(connection: Connection, wanted: AuditFilter) -> tuple[list[AuditRow], int]:
    """See the port."""
    where, values = audit_conditions(wanted, "?")
    rows = connection.execute(
        f"{_AUDIT} {where}ORDER BY sequence DESC LIMIT ? OFFSET ?", (*values, wanted.limit, wanted.offset)
    ).fetchall()
    (total,) = connection.execute(f"SELECT count(*) FROM audit {where}", values).fetchone()
    return list(map(read_audit, rows)), int(total)


def audit_heads(connection: Connection) -> list[ChainHead]:
    """See the port."""
    return list(map(read_head, connection.execute(_HEADS)))


def audit_chain(connection: Connection, chain: int, *, after: int, limit: int) -> list[AuditRow]:
    """See the port."""
    rows = connection.execute(f"{_AUDIT} WHERE chain = ? AND number > ? ORDER BY number LIMIT ?", (chain, after, limit))
    return list(map(read_audit, rows))


def unchained(connection: Connection) -> int:
    """See the port."""
    (number,) = connection.execute(
        "SELECT count(*) FROM audit WHERE (chain IS NULL "
        "AND sequence > (SELECT min(sequence) FROM audit WHERE chain IS NOT NULL)) "
        "OR chain NOT IN (SELECT chain FROM audit_chains)"
    ).fetchone()
    return int(number)
