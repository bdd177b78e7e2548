"""The disk under a node that is alone: its files, and what a crash in the middle of a write leaves of them.

SQLite's file and its write-ahead log, in real files, with what SQLite promises for synchronous=FULL: what an answered commit
wrote is on the disk, so a crash can harm only what was being written when it came. Of that any part may be there, in any order,
but for two things that SQLite waits for: the log's header before the first frame behind it, and the whole log before the first
page that is copied from it into the file.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import attrs

from actors.store.sqlite import SqliteStore

SECTOR: Final = 512
"""Bytes that a disk writes whole."""

DATA: Final = "tocsin.db"
LOG: Final = "tocsin.db-wal"

HEADER: Final = 32
FRAME_HEADER: Final = 24
PAGE_SIZE: Final = slice(8, 12)
"""Of the log: bytes of its header and of a frame's, and where it tells the size of a page (SQLite's file format, section 4)."""

WHOLE: Final = 0.25
HEADER_ONLY: Final = 0.25
IN_ORDER: Final = 0.5
"""Of the crashes: everything was written, and only the answer is missing; of those with a new header: not even that was; of the
others: what was written is a beginning. Rare in a random mix, and each a case of its own for whoever opens the file."""

Contents = Mapping[str, bytes]


class Disk:
    """See the module's docstring. `store`: over the files as the process that lives now has them."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._room = TemporaryDirectory(prefix="tocsin-rehearsal-")
        self._boots = 0
        self._torn: Contents | None = None
        self.store = self._over_files()

    def close(self) -> None:
        """Nothing of it is kept."""
        self.store.close()
        self._room.cleanup()

    def restart(self) -> None:
        """A process ends in order, or has ended, and another one opens the files."""
        self.store.close()
        self.store = self._over_files()

    def contents(self) -> Contents:
        """What a process that dies now leaves."""
        found = ((name, self._folder() / name) for name in (DATA, LOG))
        return {name: path.read_bytes() if path.exists() else b"" for name, path in found}

    def tear(self, before: Contents) -> bool:
        """The crash that comes now is in the middle of what was written since `before`. Answers whether that is all there."""
        left = torn(before, self.contents(), self._rng)
        self._torn = left.contents
        return left.whole

    def crash(self) -> None:
        """The process dies. The next one finds what is on the disk."""
        left, self._torn = self._torn or self.contents(), None
        # What the dead process has open is closed over files that nobody reads any more.
        self.store.close()
        self._boots += 1
        self.store = self._over_files()
        for name, content in left.items():
            (self._folder() / name).write_bytes(content)

    def _over_files(self) -> SqliteStore:
        self._folder().mkdir(exist_ok=True)
        # What a crash leaves is decided here, so nothing need wait for the real disk.
        return SqliteStore(self._folder() / DATA, synchronous="OFF")

    def _folder(self) -> Path:
        return Path(self._room.name) / str(self._boots)


@attrs.frozen
class Left:
    """What is on a disk after a crash. whole: all that was being written."""

    contents: Contents
    whole: bool


def torn(before: Contents, after: Contents, rng: random.Random) -> Left:
    """What may be on the disk when the power fails between two states of the files, the second one complete.

    The choices depend on the layout of the log alone: SQLite's salts and checksums differ from run to run.
    """
    if after[DATA] != before[DATA]:
        sectors = range(0, len(after[DATA]), SECTOR)
        return Left({DATA: _mixed(before[DATA], after[DATA], sectors, rng), LOG: after[LOG]}, whole=True)
    old, new = before[LOG], after[LOG]
    if old == new or rng.random() < WHOLE:
        return Left(after, whole=True)
    if old[:HEADER] != new[:HEADER] and rng.random() < HEADER_ONLY:
        some = rng.randrange(HEADER)
        return Left({DATA: after[DATA], LOG: new[:some] + old[some:]}, whole=False)
    first, last = _written(old, new)
    if rng.random() < IN_ORDER:
        cut = rng.randrange(first, last + 1)
        return Left({DATA: after[DATA], LOG: new[:cut] + old[cut:]}, whole=False)
    mixed = bytearray(_mixed(old, new, range(first // SECTOR * SECTOR, len(new), SECTOR), rng))
    mixed[:HEADER] = new[:HEADER]
    # Without its last frame's header a transaction does not count, whatever else of it is there.
    mixed[last : last + FRAME_HEADER] = old[last : last + FRAME_HEADER].ljust(FRAME_HEADER, b"\0")
    return Left({DATA: after[DATA], LOG: bytes(mixed)}, whole=False)


def _written(old: bytes, new: bytes) -> tuple[int, int]:
    """Where the first and the last frame begin that are other ones in `new`."""
    frame = FRAME_HEADER + int.from_bytes(new[PAGE_SIZE])
    starts = range(HEADER, len(new) - frame + 1, frame)
    changed = [at for at in starts if old[at : at + FRAME_HEADER] != new[at : at + FRAME_HEADER]]
    return changed[0], changed[-1]


def _mixed(old: bytes, new: bytes, sectors: range, rng: random.Random) -> bytes:
    """Of each of these sectors either what was there or what was written; what is missing in between are zeros."""
    mixed = bytearray(new)
    for at in sectors:
        if rng.random() < 0.5:
            end = min(at + SECTOR, len(new))
            mixed[at:end] = old[at:end].ljust(end - at, b"\0")
    return bytes(mixed)
