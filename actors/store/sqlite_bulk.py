"""Statements over many rows at once.

A statement costs the same to start whatever it writes, and in a thread beside a busy loop the driver gives the interpreter's
lock back at every step of one. So a commit must take few steps, however many rows it writes: one statement writes up to
`SIZES[-1]` of them. The sizes are few, so that every statement stays prepared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from types import MappingProxyType
from typing import Any, Final

from .sqlite_link import Link, Step
from .sqlite_process import ANY

SIZES: Final = (1, 4, 16, 64, 128, 256)
"""Rows of the prepared statements. What is left of a batch goes into the smallest that holds it, filled up with `_FILLER`."""

_FILLER: Final = -1
"""Fills unused rows: equals no id, which are texts, and binds faster than None."""

Row = Sequence[Any]

_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


class Bulk:
    """A statement with a place for `VALUES` rows of `width` columns; the first column is a text and never null.

    `template` holds the place as `{values}`; its columns are named column1, column2, and so on.
    """

    __slots__ = ("_has_bytes", "_statements", "_width")

    def __init__(self, template: str, width: int, *, has_bytes: bool = False) -> None:
        self._has_bytes = has_bytes
        row = f"({','.join('?' * width)})"
        self._width = width
        self._statements = {size: template.replace("{values}", f"(VALUES {','.join([row] * size)})") for size in SIZES}

    def steps(self, rows: Sequence[Row], guard: str = "") -> Iterator[Step]:
        """The statements for all rows; with a guard each is to change a row of the table for each of its own."""
        for start in range(0, len(rows), SIZES[-1]):
            some = rows[start : start + SIZES[-1]]
            size = next(size for size in SIZES if size >= len(some))
            values = list(chain.from_iterable(some))
            values.extend([_FILLER] * ((size - len(some)) * self._width))
            yield Step(self._statements[size], values, len(some) if guard else ANY, guard, some[0], self._has_bytes)

    def run(self, link: Link, rows: Sequence[Row]) -> None:
        """Execute for all rows, however many they change."""
        link.run(list(self.steps(rows)))


def insert(
    table: str,
    columns: Sequence[str],
    verb: str = "INSERT",
    *,
    others: Mapping[str, str] = _NOTHING,
    has_bytes: bool = False,
) -> Bulk:
    """Insert rows of these columns; a duplicate raises IntegrityError unless `verb` says otherwise.

    others: SQL for further columns, which may name those of the rows. has_bytes: whether some of the values may be bytes.
    """
    names = ", ".join((*columns, *others))
    given = ", ".join(f"column{place} AS {name}" for place, name in enumerate(columns, 1))
    chosen = ", ".join(("*", *others.values()))
    rows = f"(SELECT {given} FROM {{values}} WHERE column1 <> {_FILLER})"
    return Bulk(f"{verb} INTO {table} ({names}) SELECT {chosen} FROM {rows}", len(columns), has_bytes=has_bytes)


def update(table: str, keys: Sequence[str], columns: Sequence[str]) -> Bulk:
    """Set `columns` of the rows that match `keys`; a row to write holds first the keys, then the new values."""
    settings = ", ".join(f"{column} = v.column{place}" for place, column in enumerate(columns, len(keys) + 1))
    matches = " AND ".join(f"{table}.{key} = v.column{place}" for place, key in enumerate(keys, 1))
    return Bulk(f"UPDATE {table} SET {settings} FROM {{values}} AS v WHERE {matches}", len(keys) + len(columns))


def delete(table: str, where: str, width: int = 1) -> Bulk:
    """Delete by a condition that holds `{values}`."""
    return Bulk(f"DELETE FROM {table} WHERE {where}", width)
