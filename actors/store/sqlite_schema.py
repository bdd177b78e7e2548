"""Opening an SQLite file: its settings, its schema, and what its errors mean.

The schema is the sum of the numbered files in `migrations/`, applied in order, each in a transaction of its own.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import resources
from pathlib import Path
from typing import Final

from runtime.companion import CompanionGone, StartCompanion
from runtime.errors import StoreDamaged, StoreUnavailable, TocsinError

from ..model.calendar import Calendar
from ..model.document import decode_calendar
from . import sqlite_link
from .answers import Identity
from .sqlite_link import Link, Step

APPLICATION_ID: Final = 0x546F6373
"""`PRAGMA application_id` of our files, "Tocs": tells them from anyone else's."""

WRITER_CACHE_KIB: Final = 16_384
"""Page cache of the writer: holds the index pages of some 100,000 tasks that fire."""

READER_CACHE_KIB: Final = 2_048
"""Page cache of each reader; the kernel's cache stands behind it."""

CHECKPOINT_PAGES: Final = 4_000
"""The write-ahead log is copied into the database at this length (16 MiB): pages written often are copied once."""

CALENDARS_HELD: Final = 1_000
"""Versions of calendars that a reader keeps decoded; beyond, it forgets all and begins anew."""

_DAMAGED_CODES: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR})
_PRIMARY_CODE: Final = 0xFF
"""The low byte of an extended result code is the result code itself."""

# The driver looks for an adapter of every value that is not exactly an int, float or str, which for None costs more than
# binding it. With this entry in its table it finds one at once, which answers None.
_NONE: Final[dict[None, None]] = {}
sqlite3.register_adapter(type(None), _NONE.get)


def translated(error: sqlite3.Error) -> TocsinError:
    """Our error for the driver's: the file is damaged (or not ours), or it cannot be used at the moment."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None and code & _PRIMARY_CODE in _DAMAGED_CODES:
        return StoreDamaged(f"the store's file is damaged or not ours: {error}")
    return StoreUnavailable(f"the store cannot be used now: {error} ({getattr(error, 'sqlite_errorname', 'no code')})")


@contextmanager
def door(*, unchanged: bool = True) -> Iterator[None]:
    """No error of the driver passes.

    unchanged: whoever is told that it failed may take it that nothing was written, or does it again with the same effect.
    Otherwise the end of the process that writes passes, and ends who asked: he begins anew with what the store holds.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise translated(error) from error
    except CompanionGone as error:
        if not unchanged:
            raise
        raise StoreUnavailable(f"the store cannot be used now: {error}") from error


def connect_writer(
    path: Path, synchronous: str, secure_delete: bool = False, start: StartCompanion | None = None
) -> Link:
    """The connection that writes. `synchronous` as SQLite's pragma: FULL makes a commit durable before it returns.

    secure_delete: what is deleted is overwritten. start: makes a process that writes, see `sqlite_link`.
    """
    # Parameters and results are for nobody else on the machine; what SQLite makes beside the file has the file's mode.
    with suppress(OSError):
        path.touch(mode=0o600)
    connection = sqlite_link.connect(path, start)
    try:
        connection.execute(f"PRAGMA cache_size = -{WRITER_CACHE_KIB}")
        _refuse_foreign(connection, path)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        connection.execute(f"PRAGMA journal_size_limit = {CHECKPOINT_PAGES * 4096}")
        # Debian's SQLite overwrites what it deletes; secrets do not belong into the store, and it doubles the writes.
        connection.execute(f"PRAGMA secure_delete = {'ON' if secure_delete else 'OFF'}")
    except BaseException:
        connection.close()
        raise
    return connection


def empty_log(connection: Link) -> None:
    """Take what the write-ahead log holds into the file and cut it to nothing: it still has what was deleted since.

    While somebody reads it may not be possible; then the next time.
    """
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


class Reader(sqlite3.Connection):
    """A connection that only reads, with the calendars it has seen: a version never changes."""

    calendars: dict[tuple[str, str, int], Calendar]

    def calendar(self, tenant: str, name: str, version: int) -> Calendar:
        """A version of a calendar. Raises StoreDamaged when it is missing."""
        key = (tenant, name, version)
        found = self.calendars.get(key)
        return self._load(key) if found is None else found

    def _load(self, key: tuple[str, str, int]) -> Calendar:
        row = self.execute(
            "SELECT document FROM calendars WHERE tenant = ? AND name = ? AND version = ?", key
        ).fetchone()
        if row is None:
            tenant, name, version = key
            raise StoreDamaged(f"there is no version {version} of the calendar {name!r} of tenant {tenant!r}")
        if len(self.calendars) >= CALENDARS_HELD:
            self.calendars.clear()
        self.calendars[key] = found = decode_calendar(*key, row[0])
        return found


def connect_reader(path: Path) -> Reader:
    """A connection that only reads."""
    connection = sqlite_link.open_here(path, Reader)
    connection.execute(f"PRAGMA cache_size = -{READER_CACHE_KIB}")
    connection.calendars = {}
    connection.execute("PRAGMA query_only = ON")
    return connection


def _refuse_foreign(connection: Link, path: Path) -> None:
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application_id not in (0, APPLICATION_ID) or (application_id == 0 and tables):
        raise StoreDamaged(
            f"{path} is a database of something else (application id {application_id}, {tables} objects)"
        )


def migrate(connection: Link) -> int:
    """Bring the schema up to date; answers its version. Raises StoreDamaged for a newer one."""
    known = _migrations()
    present, newest = _version(connection), max(known)
    if present > newest:
        raise StoreDamaged(f"the store's schema is version {present}; this Tocsin knows versions up to {newest}")
    for version in range(present + 1, newest + 1):
        _apply(connection, version, known[version])
    return newest


def _migrations() -> Mapping[int, str]:
    folder = resources.files(__package__) / "migrations"
    files = (file for file in folder.iterdir() if file.name.endswith(".sql"))
    return {int(file.name.partition("_")[0]): file.read_text(encoding="utf-8") for file in files}


def _version(connection: Link) -> int:
    (founded,) = connection.execute("PRAGMA application_id").fetchone()
    if not founded:
        return 0
    row = connection.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchone()
    if row is None or not row[0].isdecimal():
        raise StoreDamaged(f"the store does not tell the version of its schema: {row}")
    return int(row[0])


def _apply(connection: Link, version: int, script: str) -> None:
    try:
        connection.executescript(
            f"BEGIN IMMEDIATE;\n{script}\nPRAGMA application_id = {APPLICATION_ID};\n"
            f"INSERT OR REPLACE INTO meta VALUES ('schema_version', '{version:d}');\nCOMMIT;"
        )
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def found(connection: Link, schema_version: int, fresh: Mapping[str, str]) -> Identity:
    """Write the identity in `fresh` where the store has none yet, and answer the one it has."""
    connection.transact([Step("INSERT OR IGNORE INTO meta VALUES (?, ?)", one) for one in fresh.items()])
    held = dict(connection.execute("SELECT key, value FROM meta"))
    return Identity(
        cluster_id=held["cluster_id"],
        partitions=int(held["partitions"]),
        schema_version=schema_version,
        timezone_database=held["timezone_database"],
    )
