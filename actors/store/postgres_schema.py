"""Founding and opening a store in a PostgreSQL database.

The schema is the sum of the numbered files in `migrations_postgres/`. They are applied in one transaction under a lock, so that
of several nodes that start at once one migrates and the others find it done.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import Any, Final

from runtime.errors import StoreDamaged

from .answers import Identity
from .postgres_link import SCHEMA, Connection

_LOCK: Final = 0x546F6373
"""Of the advisory lock under which migrations are made: "Tocs"."""

MIGRATION_SECONDS: Final = 60.0
"""How long a migration may take, and how long one waits for another node's: nothing else goes on yet."""

_PATIENCE: Final = "SELECT set_config('statement_timeout', %s, true), set_config('lock_timeout', %s, true)"

_PRESENT: Final = "SELECT to_regclass(%s) IS NOT NULL, (SELECT count(*) FROM pg_tables WHERE schemaname = %s)"


def open_schema(connection: Connection, fresh: Mapping[str, str]) -> Identity:
    """Bring the schema up to date, write the identity in `fresh` where the store has none yet, and answer the one it has.

    Raises StoreDamaged for a newer schema, or one that is not ours.
    """
    usual, connection.seconds = connection.seconds, MIGRATION_SECONDS
    try:
        with connection.transaction():
            timeout = f"{MIGRATION_SECONDS:.0f}s"
            connection.execute(_PATIENCE, (timeout, timeout))
            return _migrate(connection, fresh)
    finally:
        connection.seconds = usual


def _migrate(connection: Connection, fresh: Mapping[str, str]) -> Identity:
    known = migrations()
    newest = max(known)
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
    for version in range(_version(connection, newest) + 1, newest + 1):
        connection.execute(known[version].encode(), prepare=False)
    connection.execute(
        "INSERT INTO meta VALUES ('schema_version', %s) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        (str(newest),),
    )
    for pair in fresh.items():
        connection.execute("INSERT INTO meta VALUES (%s, %s) ON CONFLICT DO NOTHING", pair)
    held: dict[str, Any] = dict(connection.execute("SELECT key, value FROM meta").fetchall())
    return Identity(held["cluster_id"], int(held["partitions"]), newest, held["timezone_database"])


def migrations() -> Mapping[int, str]:
    """The files' texts by their numbers."""
    folder = resources.files(__package__) / "migrations_postgres"
    files = (file for file in folder.iterdir() if file.name.endswith(".sql"))
    return {int(file.name.partition("_")[0]): file.read_text(encoding="utf-8") for file in files}


def _version(connection: Connection, newest: int) -> int:
    row = connection.execute("SELECT to_regnamespace(%s) IS NOT NULL", (SCHEMA,)).fetchone()
    assert row is not None
    if not row[0]:
        connection.execute(f"CREATE SCHEMA {SCHEMA}", prepare=False)
    found = connection.execute(_PRESENT, (f"{SCHEMA}.meta", SCHEMA)).fetchone()
    assert found is not None
    ours, tables = found
    if not ours and tables:
        raise StoreDamaged(f"the schema {SCHEMA} holds {tables} tables of something else")
    version = connection.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchone() if ours else ("0",)
    if version is None or not version[0].isdecimal():
        raise StoreDamaged(f"the store does not tell the version of its schema: {version}")
    if int(version[0]) > newest:
        raise StoreDamaged(f"the store's schema is version {version[0]}; this Tocsin knows versions up to {newest}")
    return int(version[0])


def record_timezone_database(connection: Connection, version: str) -> None:
    """See the port."""
    connection.execute("UPDATE meta SET value = %s WHERE key = 'timezone_database'", (version,))
