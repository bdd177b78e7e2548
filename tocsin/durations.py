"""Durations as people write them: `30s`, `5m`, `1h30m`, `250ms`, `2w`, and ISO 8601 `PT1H30M`."""

from __future__ import annotations

import re
from datetime import timedelta
from functools import lru_cache
from typing import Final

from runtime.clock import DAY, HOUR, MILLISECOND, MINUTE, SECOND, Micros, from_timedelta
from runtime.errors import InvalidRequest

from .shown import show

LONGEST: Final = Micros(36_525 * DAY)
"""A hundred years; anything longer is a unit mistaken for another."""

_LONGEST_TEXT: Final = 64
"""Characters of a duration's text; the longest sensible one has 30."""

_UNITS: Final[dict[str, int]] = {
    "w": 7 * DAY,
    "d": DAY,
    "h": HOUR,
    "m": MINUTE,
    "s": SECOND,
    "ms": MILLISECOND,
    "us": 1,
}
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|us|w|d|h|m|s)\s*")
_ISO: Final = re.compile(
    r"P(?:(\d+(?:\.\d+)?)W)?(?:(\d+(?:\.\d+)?)D)?(?:T(?:(\d+(?:\.\d+)?)H)?(?:(\d+(?:\.\d+)?)M)?(?:(\d+(?:\.\d+)?)S)?)?"
)

Duration = str | timedelta
"""How a duration is given at the face: a text with units, or a timedelta."""


def parse_duration(value: object, field: str) -> Micros:
    """A duration as whole microseconds.

    value: a text such as `1h30m` or a timedelta; a bare number is refused, because it has no unit. field: the name used
    in the error. Raises InvalidRequest for anything else, for negative ones and those over a hundred years.
    """
    if isinstance(value, timedelta):
        return _in_range(from_timedelta(value), value, field)
    if isinstance(value, str):
        return _parse_text(value, field)
    raise InvalidRequest(f"{field}: a duration is a text with units such as '30s' or '1h30m', not {show(value)}")


@lru_cache(maxsize=4_096)
def _parse_text(text: str, field: str) -> Micros:
    stripped = text.strip()
    if len(text) > _LONGEST_TEXT:
        raise InvalidRequest(f"{field}: {text[:_LONGEST_TEXT]!r}... is too long for a duration")
    if stripped.isascii():
        amount = _iso(stripped) if stripped.startswith("P") else _units(stripped)
        if amount is not None:
            return _in_range(amount, text, field)
    raise InvalidRequest(f"{field}: {text!r} is no duration; write it like '30s', '5m', '1h30m', '250ms' or 'PT1H30M'")


def _in_range(amount: int, shown: object, field: str) -> Micros:
    if not 0 <= amount <= LONGEST:
        raise InvalidRequest(f"{field}: from 0 to 100 years, not {show(shown)}")
    return Micros(amount)


def _units(text: str) -> int | None:
    total, at = 0, 0
    seen: list[int] = []
    while at < len(text):
        part = _PART.match(text, at)
        if part is None or _UNITS[part[2]] in seen:
            return None
        seen.append(_UNITS[part[2]])
        total += _times(part[1], _UNITS[part[2]])
        at = part.end()
    return total if seen else None


def _iso(text: str) -> int | None:
    match = _ISO.fullmatch(text)
    if match is None or not any(match.groups()):
        return None
    sizes = (7 * DAY, DAY, HOUR, MINUTE, SECOND)
    return sum(_times(number, size) for number, size in zip(match.groups(), sizes, strict=True) if number)


def _times(number: str, size: int) -> int:
    """Exact: a float would round a long text."""
    whole, _, fraction = number.partition(".")
    return int(whole) * size + (int(fraction) * size // 10 ** len(fraction) if fraction else 0)


def rough_duration(amount: int) -> str:
    """Microseconds for people: the largest unit and the one below it, `5w2d`, cut and not rounded."""
    sizes = list(_UNITS.values())
    largest = next((index for index, size in enumerate(sizes) if amount >= size), len(sizes) - 1)
    finest = sizes[min(largest + 1, len(sizes) - 1)]
    return format_duration(amount - amount % finest)


def delay_words(amount: int) -> str:
    """Microseconds of lateness for people: `0.4 ms`, `250 ms`, `1.9 s`, and from a minute on as `rough_duration`."""
    if amount >= MINUTE:
        return rough_duration(amount)
    if amount >= SECOND:
        return f"{amount // (SECOND // 10) / 10:g} s"
    if amount >= 10 * MILLISECOND:
        return f"{amount // MILLISECOND} ms"
    tenths = amount // (MILLISECOND // 10)
    return f"{tenths / 10:g} ms" if tenths or not amount else "less than 0.1 ms"


def format_duration(amount: int) -> str:
    """Microseconds in the shortest text that `parse_duration` reads back exactly: `1h30m`, `250ms`, `0s`."""
    parts = []
    for unit, size in _UNITS.items():
        number, amount = divmod(amount, size)
        if number:
            parts.append(f"{number}{unit}")
    return "".join(parts) or "0s"
