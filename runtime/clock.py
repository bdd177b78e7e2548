"""Time as types: instants, durations, and the conversions at the border.

Inside the lower floors an instant is a whole number of microseconds since the Unix epoch, UTC. It is exact, sorts, has no
zone to get wrong, fits the store's integer column, and costs a twentieth of a `datetime` in the timer's loop. Aware datetimes
and timedeltas appear at the face only; these functions are the border.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NewType

Instant = NewType("Instant", int)
"""Microseconds since 1970-01-01T00:00:00Z, wall clock."""

Micros = NewType("Micros", int)
"""A duration in microseconds."""

MILLISECOND = Micros(1_000)
SECOND = Micros(1_000_000)
MINUTE = Micros(60 * SECOND)
HOUR = Micros(60 * MINUTE)
DAY = Micros(24 * HOUR)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

LAST_INSTANT = Instant(253_402_300_799_000_000)
"""9999-12-31T23:59:59Z, the last second a `datetime` can hold."""


def from_datetime(moment: datetime) -> Instant:
    """The instant of an aware datetime; exact to the microsecond. Raises ValueError for a naive one."""
    if moment.tzinfo is None:
        raise ValueError(f"a datetime without a zone names no instant: {moment!r}")
    return Instant((moment - _EPOCH) // _MICROSECOND)


def to_datetime(instant: Instant) -> datetime:
    """The aware UTC datetime of an instant."""
    return _EPOCH + timedelta(microseconds=instant)


def from_timedelta(duration: timedelta) -> Micros:
    """A timedelta as whole microseconds."""
    return Micros(duration // _MICROSECOND)


def to_timedelta(duration: Micros) -> timedelta:
    """Microseconds as a timedelta."""
    return timedelta(microseconds=duration)


def timestamp(instant: Instant) -> str:
    """When something happened, as JSON tells it: RFC 3339 in UTC, with three digits of a second unless they are all 0.

    What is below a millisecond is cut off. Where an instant has to come back as it was, take `isoformat`.
    """
    second, rest = divmod(instant, SECOND)
    milliseconds = rest // MILLISECOND
    return f"{_second(second)}.{milliseconds:03}Z" if milliseconds else f"{_second(second)}Z"


@lru_cache(maxsize=8_192)
def _second(second: int) -> str:
    """A whole second since the epoch, without its zone. Remembered, because lists tell the same ones again and again."""
    return (_EPOCH + timedelta(seconds=second)).replace(tzinfo=None).isoformat()


def isoformat(instant: Instant) -> str:
    """RFC 3339 in UTC with a `Z`; fractions only where there are some."""
    return to_datetime(instant).isoformat().replace("+00:00", "Z")
