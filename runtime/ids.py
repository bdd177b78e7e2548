"""Identifiers that sort by the time they were made."""

from __future__ import annotations

from random import Random
from typing import Final

_COUNTER_BITS: Final = 12
_RANDOM_BITS: Final = 62


class IdSource:
    """Makes UUIDv7 texts (RFC 9562, method 1): 48 bits of milliseconds, a 12-bit counter, 62 random bits.

    Ids of one source grow strictly, also within a millisecond and when the wall clock steps back: the milliseconds never
    go below the last ones used, and a full counter borrows the next millisecond.
    """

    __slots__ = ("_counter", "_milliseconds", "_random")

    def __init__(self, random: Random) -> None:
        self._random = random
        self._milliseconds = 0
        self._counter = 0

    def next(self, microseconds: int) -> str:
        """A new id for the given wall time (microseconds since the epoch)."""
        milliseconds = microseconds // 1000
        if milliseconds > self._milliseconds:
            self._milliseconds, self._counter = milliseconds, 0
        else:
            self._counter += 1
            if self._counter >> _COUNTER_BITS:
                self._milliseconds, self._counter = self._milliseconds + 1, 0
        low = 2 << _RANDOM_BITS | self._random.getrandbits(_RANDOM_BITS)
        text = f"{self._milliseconds:012x}7{self._counter:03x}{low:016x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
