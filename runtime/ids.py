"""Identifiers that sort by the time they were made."""

from __future__ import annotations

from random import Random
from typing import Final

from .clock import Instant

_COUNTER_LIMIT: Final = 1 << 12
_VARIANT: Final = 0x8000
"""The two highest bits of the fourth group, as RFC 9562 has them."""


class IdSource:
    """Makes UUIDv7 texts (RFC 9562, method 1): 48 bits of milliseconds, a 12-bit counter, 62 random bits.

    Ids of one source grow strictly, also within a millisecond and when the wall clock steps back: the milliseconds never
    go below the last ones used, and a full counter borrows the next millisecond.
    """

    __slots__ = ("_counter", "_milliseconds", "_prefix", "_random_bits")

    def __init__(self, random: Random) -> None:
        self._random_bits = random.getrandbits
        # A clock without a battery begins in 1970 or before.
        self._start(0)

    def next(self, microseconds: int) -> str:
        """A new id for the given wall time (microseconds since the epoch)."""
        milliseconds = microseconds // 1000
        if milliseconds > self._milliseconds:
            self._start(milliseconds)
        else:
            self._counter += 1
            if self._counter >= _COUNTER_LIMIT:
                self._start(self._milliseconds + 1)
        bits = self._random_bits
        return f"{self._prefix}{self._counter:03x}-{bits(14) | _VARIANT:04x}-{bits(48):012x}"

    def _start(self, milliseconds: int) -> None:
        self._milliseconds, self._counter = milliseconds, 0
        text = f"{milliseconds:012x}"
        self._prefix = f"{text[:8]}-{text[8:]}-7"


def made_at(identifier: str) -> Instant:
    """When an id was made, to the millisecond, by the clock of the source that made it."""
    return Instant(int(identifier[:8] + identifier[9:13], 16) * 1000)
