"""A look at a PostgreSQL server from outside: whether it can be used, how it is set, what time it has."""

from __future__ import annotations

from typing import Final

import attrs

from runtime.clock import Micros

from .postgres_link import PostgresLimits, connect, door

SETTINGS: Final = (
    "fsync",
    "full_page_writes",
    "synchronous_commit",
    "default_transaction_read_only",
    "max_connections",
)
"""Settings on which it depends whether what was acknowledged is kept, and whether nodes find room."""


@attrs.frozen
class PostgresFacts:
    """What a server tells. `now`: its clock in microseconds since 1970; `follower`: it only repeats what another one does.

    `powers`: what the role may do beyond its own database; `is_private`: nobody on the way can read along.
    """

    version: str
    settings: dict[str, str]
    now: Micros
    follower: bool
    connections: int
    powers: tuple[str, ...] = ()
    is_private: bool = True


POWERS: Final = ("rolsuper", "rolcreaterole", "rolcreatedb", "rolreplication", "rolbypassrls")
"""Attributes of a role that a node has no use for, as columns of `pg_roles`."""


def look(url: str, limits: PostgresLimits) -> PostgresFacts:
    """Ask a server. Raises StoreUnavailable or StoreDamaged."""
    with door():
        connection = connect(url, limits, "tocsin doctor", writes=False)
        try:
            rows = connection.execute(
                "SELECT name, setting FROM pg_settings WHERE name = ANY(%s)", (["server_version", *SETTINGS],)
            ).fetchall()
            row = connection.execute(
                "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, pg_is_in_recovery(),"
                " (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')"
            ).fetchone()
            role = connection.execute(
                f"SELECT {', '.join(POWERS)} FROM pg_roles WHERE rolname = current_user"
            ).fetchone()
            way = connection.execute(
                "SELECT inet_client_addr() IS NULL OR inet_client_addr() << '127.0.0.0/8' OR inet_client_addr() = '::1'"
                " OR coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false)"
            ).fetchone()
        finally:
            connection.close()
    settings = dict(rows)
    assert row is not None and way is not None, "a SELECT without FROM has one row"
    powers = tuple(name.removeprefix("rol") for name, has in zip(POWERS, role or (), strict=False) if has)
    return PostgresFacts(settings.pop("server_version"), settings, Micros(row[0]), row[1], row[2], powers, way[0])
