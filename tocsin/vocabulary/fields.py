"""Reading JSON objects field by field: every refusal names the field and shows the value."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from actors.when.wall_clock import moved_to
from actors.when.zones import zone
from runtime.clock import SECOND, Instant, Micros, from_datetime, timestamp
from runtime.errors import InvalidRequest

from ..durations import parse_duration
from ..settings.config import suggestion
from ..shown import show as show

E = TypeVar("E")

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")).encode

_IMPROPER: Final = re.compile("[\0\ud800-\udfff]")

_LONGEST_TIME: Final = 80
"""Characters of a time; anything longer is something else."""

NO_LATER_THAN: Final = Instant(7_258_118_400 * SECOND)
"""2200-01-01: an instant beyond it is a unit mistaken for another, and arithmetic on it stays far from a datetime's end."""


def canonical_json(value: object, field: str) -> str:
    """JSON text with sorted keys and no spaces. Raises InvalidRequest for what JSON cannot hold (NaN, sets, cycles, ...)."""
    try:
        text = _encode(value)
        if not text.isascii():
            text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequest(f"{field}: not JSON: {str(error)[:200]}") from None
    return text


def parse_instant(value: object, field: str, timezone: str | None = None) -> Instant:
    """An ISO 8601 time as an instant. One without an offset is read in `timezone`, or refused if there is none."""
    moment = value if isinstance(value, datetime) else _read_time(value, field)
    if moment.tzinfo is None and timezone is None:
        raise InvalidRequest(f"{field}: {show(value)} has no offset from UTC; write for example 2026-03-01T12:00:00Z")
    found = from_datetime(moment) if moment.tzinfo is not None else _in_zone(moment, timezone or "UTC")
    if not 0 <= found < NO_LATER_THAN:
        raise InvalidRequest(f"{field}: from 1970 to 2200, not {show(value)}")
    return found


def _read_time(value: object, field: str) -> datetime:
    if isinstance(value, str) and len(value) <= _LONGEST_TIME:
        try:
            return datetime.fromisoformat(value.strip())
        except ValueError:
            pass
    raise InvalidRequest(f"{field}: a time such as 2026-03-01T12:00:00Z, not {show(value)}")


def _in_zone(local: datetime, timezone: str) -> Instant:
    """The instant of a wall clock's time: the end of the gap that leaves it out, or the first of two.

    The rule of a recurring time, for every gap: a time that is said once must not be lost.
    """
    return moved_to(zone(timezone), from_datetime(local.replace(tzinfo=UTC)))


def show_instant(instant: Instant | None) -> str | None:
    """An instant as RFC 3339 in UTC with three digits of a second where there are any."""
    return None if instant is None else timestamp(instant)


class Fields:
    """The fields of one JSON object. Take each one that is known, then `finish`, which refuses what is left.

    `path` is put before names in errors: `policies.retry.`.
    """

    def __init__(self, value: object, path: str = "") -> None:
        if not isinstance(value, Mapping):
            raise InvalidRequest(f"{path.rstrip('.') or 'body'}: an object, not {show(value)}")
        self._left: dict[str, Any] = dict(value)
        self._path = path
        self._known: list[str] = []

    def name(self, key: str) -> str:
        """The field's name as errors show it."""
        return self._path + key

    def take(self, key: str) -> Any:
        """The raw value, or None when it is absent or null."""
        self._known.append(key)
        return self._left.pop(key, None)

    def has(self, key: str) -> bool:
        """Whether the field was given and not taken yet (null counts as given)."""
        return key in self._left

    def text(self, key: str) -> str | None:
        """A string."""
        value = self.take(key)
        return None if value is None else proper_text(value, self.name(key))

    def flag(self, key: str) -> bool | None:
        """A boolean."""
        value = self.take(key)
        if value is not None and not isinstance(value, bool):
            raise InvalidRequest(f"{self.name(key)}: true or false, not {show(value)}")
        return value

    def whole(self, key: str, low: int, high: int) -> int | None:
        """A whole number in [low, high]."""
        value = self.take(key)
        return None if value is None else whole_number(value, self.name(key), low, high)

    def duration(self, key: str) -> Micros | None:
        """A duration with units."""
        value = self.take(key)
        return None if value is None else parse_duration(value, self.name(key))

    def instant(self, key: str, timezone: str | None = None) -> Instant | None:
        """A time with an offset, or in the zone."""
        value = self.take(key)
        return None if value is None else parse_instant(value, self.name(key), timezone)

    def choice(self, key: str, choices: Iterable[E]) -> E | None:
        """One of the choices, which are texts or a text enumeration."""
        value = self.take(key)
        return None if value is None else one_of(value, self.name(key), choices)

    def finish(self) -> None:
        """Refuse every field that nobody took."""
        for key in self._left:
            raise InvalidRequest(f"unknown field {show(self._path + str(key))}{suggestion(str(key), self._known)}")


def proper_text(value: object, field: str) -> str:
    """The value, if it is a text that every store and terminal can hold: no NUL, no half of a surrogate pair."""
    if not isinstance(value, str):
        raise InvalidRequest(f"{field}: a text, not {show(value)}")
    if _IMPROPER.search(value) is not None:
        raise InvalidRequest(f"{field}: a text without NUL and lone surrogates, not {show(value)}")
    return value


def whole_number(value: object, field: str, low: int, high: int) -> int:
    """The value, if it is a whole number in [low, high]."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise InvalidRequest(f"{field}: a whole number from {low} to {high}, not {show(value)}")
    return value


def real_number(value: object, field: str, low: float, high: float) -> float:
    """The value as a float, if it is a finite number in [low, high]."""
    if (
        not isinstance(value, int | float)
        or isinstance(value, bool)
        or not math.isfinite(value)
        or not low <= value <= high
    ):
        raise InvalidRequest(f"{field}: a number from {low:g} to {high:g}, not {show(value)}")
    return float(value)


def one_of(value: object, field: str, choices: Iterable[E]) -> E:
    """The choice that equals the value."""
    listed = list(choices)
    if isinstance(value, str):
        for choice in listed:
            if choice == value:
                return choice
    raise InvalidRequest(f"{field}: one of {', '.join(str(choice) for choice in listed)}, not {show(value)}")
