"""A look at an SQLite file from outside, which a node may be using meanwhile: nothing is written."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from runtime.errors import StoreUnavailable

MOST_COMPLAINTS: Final = 5
"""Of a damaged file SQLite tells so many; one is enough to act."""

BUSY_SECONDS: Final = 2.0
"""How long it is waited for a lock that somebody holds."""


def quick_check(path: Path) -> list[str]:
    """What SQLite's own quick check complains about; empty for a sound file. It reads the file once.

    Raises StoreUnavailable if it cannot be read.
    """
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_SECONDS)
        try:
            rows = connection.execute(f"PRAGMA quick_check({MOST_COMPLAINTS})").fetchall()
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise StoreUnavailable(f"{path}: {error}") from None
        return [str(error)]
    return [text for (text,) in rows if text != "ok"]


def library_version() -> str:
    """The version of the SQLite library."""
    return sqlite3.sqlite_version
