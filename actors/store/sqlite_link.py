"""The connection that writes an SQLite file: in this process, or in one of its own.

A thread that writes beside a busy loop costs both dearly: they share the interpreter's lock, and what one has touched is in the
cache of the wrong processor. So a node has a process that carries out its statements (`sqlite_process`): what a commit writes
is sent there in one piece, and the thread that sent it waits without the lock. Simulations and tools write in their own process.
"""

from __future__ import annotations

import sqlite3
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn, Protocol, TypeVar

from runtime.companion import AT_ONCE_BYTES, Companion, StartCompanion, frame

from . import sqlite_process
from .sqlite_process import ANY, STATEMENTS

BUSY_TIMEOUT_MS: Final = 2_000
"""How long a statement waits for another process that holds the file (a backup); then the commit is refused and tried again."""

LONG: Final = 100
"""A text of so many characters is sent once, and its number from then on."""

C = TypeVar("C", bound=sqlite3.Connection)

MODULE: Final = Path(sqlite_process.__file__)


Values = Sequence[Any] | Mapping[str, Any]
"""In the order of the statement's marks, or by their names."""


class Step(NamedTuple):
    """A statement with its values, and how many rows it is to change.

    `guard`: what it means if it changes another number, and `row`: the first of what it was to change. `has_bytes`: whether
    any of the values may be bytes.
    """

    text: str
    values: Sequence[Any]
    wanted: int = ANY
    guard: str = ""
    row: Sequence[Any] = ()
    has_bytes: bool = False


class Found(Protocol):
    """What a statement found and changed."""

    @property
    def rowcount(self) -> int:
        """How many rows it changed."""
        ...

    def fetchone(self) -> Any:
        """The next row; None if there is none."""
        ...

    def fetchall(self) -> list[Any]:
        """All that are left."""
        ...

    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """One that reads or writes, as the driver's."""

    def execute(self, text: str, values: Values = (), /) -> Found:
        """One statement."""
        ...


class Link(Connection, Protocol):
    """A connection that writes. Used by one thread at a time."""

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        ...

    def executescript(self, text: str, /) -> object:
        """Many in one text."""
        ...

    def run(self, steps: Sequence[Step]) -> int:
        """Many with values of their own: the place of the first that did not change what it was to, else DONE."""
        ...

    def transact(self, steps: Sequence[Step]) -> int:
        """The same in one transaction: all of it or nothing."""
        ...

    def prepared(self, steps: Sequence[Step]) -> Callable[[], int]:
        """`transact`, of which everything but the writing is done now, also while somebody else writes."""
        ...

    def close(self) -> None:
        """What is not committed is gone."""
        ...


class Local(sqlite3.Connection):
    """In this process."""

    def run(self, steps: Sequence[Step]) -> int:
        """See `Link`."""
        return sqlite_process.run(self, steps)

    def transact(self, steps: Sequence[Step]) -> int:
        """See `Link`."""
        return sqlite_process.transact(self, steps)

    def prepared(self, steps: Sequence[Step]) -> Callable[[], int]:
        """See `Link`."""
        return partial(self.transact, steps)


class Apart:
    """In a process of its own."""

    def __init__(self, companion: Companion) -> None:
        self._companion = companion
        # The loop prepares while the lane's thread asks: no number is given twice.
        self._numbers: dict[str, int] = {}
        self._next_number = count()
        self._told: set[int] = set()
        self.in_transaction = False

    @property
    def is_gone(self) -> bool:
        """Whether the process has ended, with what was not committed."""
        return self._companion.is_gone

    def execute(self, text: str, values: Values = (), /) -> Found:
        """See `Link`."""
        return _Answer(*self._ask(("execute", (), text, values)))

    def executescript(self, text: str, /) -> object:
        """See `Link`."""
        return self._ask(("executescript", (), text, ()))

    def run(self, steps: Sequence[Step]) -> int:
        """See `Link`."""
        return int(self._ask(self._short("run", steps)))

    def transact(self, steps: Sequence[Step]) -> int:
        """See `Link`."""
        return int(self._ask(self._short("transact", steps)))

    def prepared(self, steps: Sequence[Step]) -> Question:
        """See `Link`."""
        return Question(self, self._short("transact", steps))

    def close(self) -> None:
        """See `Link`."""
        self._companion.close()

    def _short(self, name: str, steps: Sequence[Step]) -> tuple[Any, ...]:
        untold: dict[int, str] = {}
        short = [
            (
                self._name(step.text, untold),
                _as_text(step.values) if step.has_bytes else step.values,
                step.wanted,
                step.has_bytes,
            )
            for step in steps
        ]
        return name, list(untold.items()), short, ()

    def _name(self, text: str, untold: dict[int, str]) -> str | int:
        if len(text) < LONG:
            return text
        number = self._numbers.get(text)
        if number is None:
            number = self._numbers.setdefault(text, next(self._next_number))
        if number not in self._told:
            untold[number] = text
        return number

    def _ask(self, question: tuple[Any, ...]) -> Any:
        self.send(frame(question))
        return self.receive(question)

    def send(self, framed: bytes) -> int:
        """A question; see `Companion.send`."""
        return self._companion.send(framed)

    def give_up(self) -> NoReturn:
        """See `Companion.give_up`."""
        self._companion.give_up()

    def receive(self, question: tuple[Any, ...]) -> Any:
        """The answer to the question that was sent."""
        good, self.in_transaction, found = self._companion.answer()
        self._told.update(number for number, _ in question[1])
        if good:
            return found
        kind, text, code, label = found
        # A value that cannot be stored is the driver's matter in there, as one that it refuses itself.
        error = getattr(sqlite3, kind, sqlite3.DataError)(text)
        error.sqlite_errorcode, error.sqlite_errorname = code, label
        raise error


class Question:
    """Steps to transact, made up to be sent. A call waits for the answer; or it is sent, and received when it is there."""

    def __init__(self, link: Apart, question: tuple[Any, ...]) -> None:
        self._link = link
        self._question = question
        self._framed = frame(question)

    @property
    def is_small(self) -> bool:
        """Whether sending does not wait."""
        return len(self._framed) <= AT_ONCE_BYTES

    def __call__(self) -> int:
        self.send()
        return self.receive()

    def send(self) -> int:
        """The descriptor that can be read when the answer is there."""
        return self._link.send(self._framed)

    def give_up(self) -> NoReturn:
        """See `Companion.give_up`."""
        self._link.give_up()

    def receive(self) -> int:
        """As `Link.transact`."""
        return int(self._link.receive(self._question))


class _Answer:
    __slots__ = ("_rows", "rowcount")

    def __init__(self, rows: list[Any], rowcount: int) -> None:
        self._rows = iter(rows)
        self.rowcount = rowcount

    def fetchone(self) -> Any:
        return next(self._rows, None)

    def fetchall(self) -> list[Any]:
        return list(self._rows)

    def __iter__(self) -> Iterator[Any]:
        return self._rows


def connect(path: Path, start: StartCompanion | None) -> Link:
    """A connection that writes. start: makes the process for it; None: in this one, as where it cannot be made."""
    companion = None if start is None else start(MODULE, (str(path), str(BUSY_TIMEOUT_MS / 1000)))
    if companion is not None:
        return Apart(companion)
    return open_here(path, Local)


def open_here(path: Path, kind: type[C]) -> C:
    """A connection in this process. It may be handed from thread to thread, and is never used by two at a time."""
    return sqlite3.connect(
        path,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=STATEMENTS,
        timeout=BUSY_TIMEOUT_MS / 1000,
        factory=kind,
    )


def _as_text(values: Sequence[Any]) -> list[Any]:
    """Bytes become lists of one text, which nothing else is."""
    return [[b64encode(value).decode()] if isinstance(value, bytes) else value for value in values]
