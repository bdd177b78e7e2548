"""Tokens, and the audit log, whose chains a trigger of the database makes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from runtime.clock import Instant
from runtime.errors import Conflict

from . import postgres_bulk as bulk
from .access import TOKEN_COLUMNS, TOKENS_AT_MOST, AuditFilter, AuditRow, ChainHead, Token
from .access_rows import (
    AUDIT_COLUMNS,
    KEPT_OUTCOMES,
    audit_conditions,
    counts_from,
    read_audit,
    read_head,
    read_token,
    token_row,
)
from .answers import Counts
from .port import Audit
from .postgres_link import Connection
from .reading import OWN

_INSERT: Final = bulk.insert("audit", ("task_id", "at", "actor", "action", "detail", "tenant", "origin", "change"))
_COLUMNS: Final = ", ".join('"user"' if column == "user" else column for column in TOKEN_COLUMNS)
_TOKEN: Final = f"SELECT {_COLUMNS} FROM tokens"
_AUDIT: Final = f"SELECT {', '.join(AUDIT_COLUMNS)} FROM audit"
_HEADS: Final = "SELECT chain, number, hash, anchor_number, anchor_hash FROM audit_chains ORDER BY chain"

_DROP_AUDITS: Final = (
    "WITH gone AS (DELETE FROM audit WHERE sequence IN (SELECT sequence FROM audit WHERE sequence <= "
    "(SELECT sequence FROM audit ORDER BY sequence DESC LIMIT 1 OFFSET %s) ORDER BY sequence LIMIT %s) "
    "RETURNING chain, number, hash), "
    "last AS (SELECT DISTINCT ON (chain) chain, number, hash FROM gone WHERE chain IS NOT NULL ORDER BY chain, number DESC), "
    "anchored AS (UPDATE audit_chains AS c SET anchor_number = last.number, anchor_hash = last.hash FROM last "
    "WHERE c.chain = last.chain AND c.anchor_number < last.number) SELECT count(*) FROM gone"
)


def append(connection: Connection, audits: Sequence[Audit]) -> None:
    """Add records, each at the end of a chain that is free, in the transaction that there is."""
    rows = [
        (one.task_id, one.at, one.actor, one.action, one.detail, one.tenant, one.origin, one.change) for one in audits
    ]
    _INSERT.run(connection, rows)


def drop_audits(connection: Connection, kept: int, limit: int) -> int:
    """Remove the oldest records beyond a number; their chains begin after the last of them from now on."""
    row = connection.execute(_DROP_AUDITS, (kept, limit)).fetchone()
    return 0 if row is None else int(row[0])


def add_token(connection: Connection, token: Token, audit: Audit | None) -> None:
    """See the port."""
    marks = ", ".join("%s" for _ in TOKEN_COLUMNS)
    statement = f"INSERT INTO tokens ({_COLUMNS}) VALUES ({marks}) ON CONFLICT DO NOTHING"
    if connection.execute(statement, token_row(token)).rowcount != 1:
        raise Conflict(f"there is a token {token.id} already")
    if audit is not None:
        append(connection, [audit])


def revoke_token(connection: Connection, token_id: str, at: Instant, audit: Audit | None) -> None:
    """See the port."""
    connection.execute(
        "UPDATE tokens SET revoked_at = %s WHERE (id = %s OR parent = %s) AND revoked_at IS NULL",
        (at, token_id, token_id),
    )
    if audit is not None:
        append(connection, [audit])


def end_sessions(connection: Connection, parent: str, at: Instant, audit: Audit | None) -> None:
    """See the port."""
    connection.execute(
        "UPDATE tokens SET revoked_at = %s WHERE parent = %s AND kind = 'session' AND revoked_at IS NULL", (at, parent)
    )
    if audit is not None:
        append(connection, [audit])


def use_token(connection: Connection, token_id: str, at: Instant) -> None:
    """See the port."""
    connection.execute("UPDATE tokens SET used_at = %s WHERE id = %s", (at, token_id))


def drop_tokens(connection: Connection, before: Instant) -> int:
    """See the port."""
    statement = "DELETE FROM tokens WHERE expires_at < %s OR revoked_at < %s"
    return connection.execute(statement, (before, before)).rowcount


def counts_of(connection: Connection, tenant: str, owner: str | None) -> Counts:
    """See the port."""
    among, values = f"d.tenant = %s AND d.type NOT IN {OWN}", (tenant,) if owner is None else (tenant, owner)
    if owner is not None:
        among += " AND coalesce(d.definition::json ->> 'owner', '') = %s"
    both = "FROM tasks AS t JOIN definitions AS d ON d.task_id = t.id"
    statuses = connection.execute(
        f"SELECT t.status, count(*) {both} WHERE {among} GROUP BY t.status", values
    ).fetchall()
    ids = f"SELECT d.task_id FROM definitions AS d WHERE {among}"
    return counts_from(statuses, connection.execute(KEPT_OUTCOMES.format(ids=ids), values).fetchall())


def token(connection: Connection, token_id: str) -> Token | None:
    """See the port."""
    row = connection.execute(f"{_TOKEN} WHERE id = %s", (token_id,)).fetchone()
    return None if row is None else read_token(row)


def tokens(connection: Connection, tenant: str | None) -> list[Token]:
    """See the port."""
    values: tuple[str, ...] = () if tenant is None else (tenant,)
    among = "" if tenant is None else " AND tenant = %s"
    order = f"ORDER BY created_at DESC, id DESC LIMIT {TOKENS_AT_MOST}"
    rows = connection.execute(f"{_TOKEN} WHERE kind = 'token'{among} {order}", values)
    return [read_token(row) for row in rows]


def audit_page(connection: Connection, wanted: AuditFilter) -> tuple[list[AuditRow], int]:
    """See the port."""
    where, values = audit_conditions(wanted, "%s")
    found = connection.execute(
        f"{_AUDIT} {where}ORDER BY sequence DESC LIMIT %s OFFSET %s", (*values, wanted.limit, wanted.offset)
    ).fetchall()
    total = connection.execute(f"SELECT count(*) FROM audit {where}", values).fetchone()
    return list(map(read_audit, found)), 0 if total is None else int(total[0])


def audit_heads(connection: Connection) -> list[ChainHead]:
    """See the port."""
    return list(map(read_head, connection.execute(_HEADS)))


def audit_chain(connection: Connection, chain: int, *, after: int, limit: int) -> list[AuditRow]:
    """See the port."""
    values: tuple[Any, ...] = (chain, after, limit)
    rows = connection.execute(f"{_AUDIT} WHERE chain = %s AND number > %s ORDER BY number LIMIT %s", values)
    return list(map(read_audit, rows))


def unchained(connection: Connection) -> int:
    """See the port."""
    row = connection.execute(
        "SELECT count(*) FROM audit WHERE (chain IS NULL "
        "AND sequence > (SELECT min(sequence) FROM audit WHERE chain IS NOT NULL)) "
        "OR chain NOT IN (SELECT chain FROM audit_chains)"
    ).fetchone()
    return 0 if row is None else int(row[0])
