"""Carries out statements for a node in a process of their own, and knows nothing of what they mean.

`begin` is what `runtime/companion_process` calls there, `sqlite_link` asks; so it imports nothing of Tocsin's. Where there is no
such process the rest is used as it is.
"""

from __future__ import annotations

import sqlite3
from base64 import b64decode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

ANY = -1
"""In place of how many rows a step is to change: any number of them."""

DONE = -1
"""In place of the number of the step that did not change what it was to."""

STATEMENTS = 256
"""Statements that stay prepared: more than there are."""

KNOWN: Mapping[Any, str] = {}
"""No text has a number."""


def run(connection: sqlite3.Connection, steps: Sequence[Sequence[Any]], texts: Mapping[Any, str] = KNOWN) -> int:
    """Statements one after another, each a text (or its number in `texts`), its values, and how many rows it is to change.

    Answers the place of the first that changed another number of rows, with which the run ends; DONE if there is none.
    """
    for place, step in enumerate(steps):
        wanted = step[2]
        changed = connection.execute(texts.get(step[0], step[0]), step[1]).rowcount
        if changed != wanted and wanted != ANY:
            return place
    return DONE


def transact(connection: sqlite3.Connection, steps: Sequence[Sequence[Any]], texts: Mapping[Any, str] = KNOWN) -> int:
    """As `run`, in a transaction of its own, of which nothing stays unless all of it has run."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        ended = run(connection, steps, texts)
        connection.execute("COMMIT" if ended == DONE else "ROLLBACK")
    except BaseException:
        # A full disk may have ended the transaction already.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return ended


def with_bytes(step: Sequence[Any]) -> Sequence[Any]:
    """A step as it was before it was sent: bytes came as lists of one text."""
    if not step[3]:
        return step
    return step[0], [b64decode(one[0]) if isinstance(one, list) else one for one in step[1]], step[2]


def answered(connection: sqlite3.Connection, question: Sequence[Any], texts: dict[Any, str]) -> tuple[Any, ...]:
    """Whether it went well, whether a transaction is open, and what was found or went wrong."""
    name, learned, what, values = question
    texts.update(learned)
    found: Any = None
    try:
        match name:
            case "run":
                found = run(connection, [*map(with_bytes, what)], texts)
            case "transact":
                found = transact(connection, [*map(with_bytes, what)], texts)
            case "execute":
                cursor = connection.execute(what, values)
                found = (cursor.fetchall(), cursor.rowcount)
            case _:
                connection.executescript(what)
    except (sqlite3.Error, ValueError, OverflowError) as error:
        return False, connection.in_transaction, told(error)
    return True, connection.in_transaction, found


def told(error: Exception) -> tuple[Any, ...]:
    """What an error of the driver's is made from again."""
    code, label = getattr(error, "sqlite_errorcode", None), getattr(error, "sqlite_errorname", None)
    return type(error).__name__, str(error), code, label


def begin(path: str, seconds: str) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    """Open the file for writing; what answers each question. seconds: how long to wait for others who hold the file."""
    # As in `sqlite_schema`: with an adapter None is bound faster.
    sqlite3.register_adapter(type(None), _no_value)
    try:
        connection = sqlite3.connect(path, isolation_level=None, cached_statements=STATEMENTS, timeout=float(seconds))
    except sqlite3.Error as error:
        refused = (False, False, told(error))
        return lambda question: refused
    texts: dict[Any, str] = {}
    return lambda question: answered(connection, question, texts)


def _no_value(value: None) -> None:
    return value
