"""What kinds of values a definition is made of: how each is read, what is refused, and how it is shown.

A kind reads what JSON, Python and the command line give for it, so that one rule holds for all three: a duration is a text or
a `timedelta`, a time an ISO 8601 text or a `datetime`. Reading knows nothing but the value; what needs the clock, a zone or
the store (a time without an offset, a calendar's name) is read into a wish, and made into a record by who has them.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import Any, Final, Protocol

import attrs

from runtime.clock import DAY, HOUR, MINUTE, SECOND, Instant, Micros, isoformat
from runtime.errors import InvalidRequest, TooLarge

from ..durations import LONGEST, format_duration, parse_duration
from ..settings.config import suggestion
from .fields import canonical_json, one_of, proper_text, real_number, show, whole_number

LONGEST_VALUE: Final = 80
"""Characters of a time, a date or a rate; anything longer is something else."""


class Kind(Protocol):
    """A kind of value. `read` raises InvalidRequest that names the field and shows the value."""

    def read(self, value: object, field: str) -> Any:
        """The value as records hold it, or a wish."""
        ...

    def show(self, value: Any) -> Any:
        """The value as JSON, which `read` reads back as the same."""
        ...


class _Plain:
    """A kind whose values are JSON as they are."""

    def show(self, value: Any) -> Any:
        return value


@attrs.frozen
class Flag(_Plain):
    """True or false."""

    def read(self, value: object, field: str) -> bool:
        if not isinstance(value, bool):
            raise InvalidRequest(f"{field}: true or false, not {show(value)}")
        return value


@attrs.frozen
class Whole(_Plain):
    """A whole number in [low, high]."""

    low: int
    high: int

    def read(self, value: object, field: str) -> int:
        return whole_number(value, field, self.low, self.high)


@attrs.frozen
class Real(_Plain):
    """A number in [low, high]."""

    low: float
    high: float

    def read(self, value: object, field: str) -> float:
        return real_number(value, field, self.low, self.high)


@attrs.frozen
class Text(_Plain):
    """One line of at most so many printable characters, without a space at its ends."""

    longest: int
    shortest: int = 1

    def read(self, value: object, field: str) -> str:
        text = proper_text(value, field)
        if not self.shortest <= len(text) <= self.longest:
            raise InvalidRequest(
                f"{field}: {self.shortest} to {self.longest} characters, not {len(text)}: {show(text)}"
            )
        if not text.isprintable() or text != text.strip():
            raise InvalidRequest(f"{field}: printable characters, no space at the ends, not {show(text)}")
        return text


@attrs.frozen
class Prose(_Plain):
    """A text of several lines, at most so many bytes."""

    longest: int

    def read(self, value: object, field: str) -> str:
        text = proper_text(value, field)
        if (size := len(text.encode())) > self.longest:
            raise InvalidRequest(f"{field}: at most {self.longest} bytes, not {size}: {show(text)}")
        return text


@attrs.frozen
class Choice:
    """One of some words, or the members of a text enumeration."""

    among: Sequence[str] | type[StrEnum]

    def read(self, value: object, field: str) -> Any:
        return one_of(value, field, self.among)

    def show(self, value: Any) -> Any:
        return str(value)


@attrs.frozen
class Span:
    """A duration; `positive`: longer than 0. None, where a field allows it, is shown as null."""

    positive: bool = False
    longest: int = LONGEST

    def read(self, value: object, field: str) -> Micros:
        amount = parse_duration(value, field)
        if self.positive and amount == 0:
            raise InvalidRequest(f"{field}: longer than 0, up to 100 years, not {show(value)}")
        if amount > self.longest:
            raise InvalidRequest(f"{field}: at most {format_duration(self.longest)}, not {show(value)}")
        return amount

    def show(self, value: Any) -> Any:
        return None if value is None else format_duration(value)


_RATE: Final = re.compile(r"\s*([0-9]{1,7})\s*/\s*([0-9]*\s*[a-z0-9.]+)\s*", re.IGNORECASE)
_MOST: Final = 9_999_999
"""What fits the digits of a rate."""

_RATE_UNITS: Final = {"s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY}


@attrs.frozen
class Rate:
    """How many in how long, `10/m`, `1/30s`, as the time between two."""

    def read(self, value: object, field: str) -> Micros:
        match = _RATE.fullmatch(value) if isinstance(value, str) and len(value) <= LONGEST_VALUE else None
        if match is None:
            raise InvalidRequest(f"{field}: a rate such as '10/m' or '1/30s', not {show(value)}")
        many = int(match[1])
        period = _RATE_UNITS.get(match[2].lower()) or parse_duration(match[2], field)
        if not many or not period:
            raise InvalidRequest(f"{field}: a rate above 0 such as '10/m' or '1/30s', not {show(value)}")
        return Micros(-(-period // many))

    def show(self, value: int) -> str | None:
        if not value:
            return None
        for unit, size in _RATE_UNITS.items():
            many = size // value
            if 0 < many <= _MOST and -(-size // many) == value:
                return f"{many}/{unit}"
        return f"1/{format_duration(value)}"


_LIKE_A_DURATION: Final = re.compile(r"\s*(P|[0-9.]+\s*[a-z])")


@attrs.frozen
class Moment:
    """A time as a datetime, which may lack an offset; `relative`: or a duration from now."""

    relative: bool = False

    def read(self, value: object, field: str) -> datetime | Micros:
        if isinstance(value, datetime):
            return value
        if self.relative and isinstance(value, timedelta):
            return parse_duration(value, field)
        if isinstance(value, str) and len(value) <= LONGEST_VALUE:
            try:
                return datetime.fromisoformat(value.strip())
            except ValueError:
                if self.relative and _LIKE_A_DURATION.match(value):
                    return parse_duration(value, field)
        also = " or a duration from now such as 2w" if self.relative else ""
        raise InvalidRequest(f"{field}: a time such as 2026-03-01T12:00:00Z{also}, not {show(value)}")

    def show(self, value: Instant | None) -> str | None:
        return None if value is None else isoformat(value)


@attrs.frozen
class Day:
    """A date, as its ordinal."""

    def read(self, value: object, field: str) -> int:
        if isinstance(value, date) and not isinstance(value, datetime):
            return value.toordinal()
        if isinstance(value, str) and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
            try:
                found = date.fromisoformat(value)
            except ValueError:
                pass
            else:
                if 1970 <= found.year < 2200:
                    return found.toordinal()
                raise InvalidRequest(f"{field}: from 1970 to 2200, not {show(value)}")
        raise InvalidRequest(f"{field}: a date such as 2026-03-01, not {show(value)}")

    def show(self, value: int) -> str:
        return date.fromordinal(value).isoformat()


@attrs.frozen
class ClockTime:
    """A time of day by the wall clock, as microseconds from its midnight."""

    def read(self, value: object, field: str) -> Micros:
        found: object = value
        if isinstance(value, str) and re.fullmatch(r"[0-9]{1,2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?", value.strip()):
            try:
                found = time.fromisoformat(_padded(value.strip()))
            except ValueError:
                found = None
        if not isinstance(found, time) or found.tzinfo is not None:
            raise InvalidRequest(f"{field}: a time of day such as 09:30, not {show(value)}")
        return Micros(
            found.hour * HOUR + found.minute * MINUTE + found.second * SECOND + found.microsecond,
        )

    def show(self, value: int) -> str:
        hours, rest = divmod(value, HOUR)
        minutes, rest = divmod(rest, MINUTE)
        found = time(hours, minutes, *divmod(rest, SECOND))
        return found.isoformat() if rest else found.isoformat("minutes")


def _padded(text: str) -> str:
    """`9:30` as `09:30`, and a fraction with the six digits that Python wants of it."""
    hours, colon, rest = text.partition(":")
    whole, dot, fraction = rest.partition(".")
    return f"{hours:0>2}{colon}{whole}{dot}{fraction:0<6}" if dot else f"{hours:0>2}{colon}{whole}"


LAST: Final = "last"


@attrs.frozen
class DayOfMonth(_Plain):
    """1 to 31, or `last`."""

    def read(self, value: object, field: str) -> int | str:
        if value == LAST:
            return LAST
        try:
            return whole_number(value, field, 1, 31)
        except InvalidRequest:
            raise InvalidRequest(f"{field}: from 1 to 31, or last, not {show(value)}") from None


@attrs.frozen
class ListOf:
    """A list of at most so many values of one kind, as a tuple. `once`: none of them twice."""

    entries: Kind
    most: int
    words: str
    least: int = 0
    once: bool = False
    plain: bool = True
    """Whether an error names the list; otherwise it names the entry by its number."""

    def read(self, value: object, field: str) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple):
            raise InvalidRequest(f"{field}: a list of {self.words}, not {show(value)}")
        if not self.least <= len(value) <= self.most:
            bound = f"at most {self.most}" if len(value) > self.most else f"at least {self.least}"
            raise InvalidRequest(f"{field}: {bound} {self.words}, not {len(value)}: {show(value)}")
        found = tuple(
            self.entries.read(entry, field if self.plain else f"{field}[{index}]") for index, entry in enumerate(value)
        )
        if self.once and len(dict.fromkeys(found)) < len(found):
            raise InvalidRequest(f"{field}: each only once, not {show(list(value))}")
        return found

    def show(self, value: Sequence[Any]) -> list[Any]:
        return [self.entries.show(entry) for entry in value]


@attrs.frozen
class Pairs:
    """An object of texts by name, as pairs in its own order or, `in_order`, by name."""

    names: Kind
    values: Kind
    most: int
    in_order: bool = False

    def read(self, value: object, field: str) -> tuple[tuple[str, str], ...]:
        if not isinstance(value, Mapping):
            raise InvalidRequest(f"{field}: texts by name, not {show(value)}")
        if len(value) > self.most:
            raise InvalidRequest(f"{field}: at most {self.most}, not {len(value)}: {show(dict(value))}")
        pairs = [
            (self.names.read(name, f"{field}: a name"), self.values.read(entry, f"{field}.{str(name)[:LONGEST_VALUE]}"))
            for name, entry in value.items()
        ]
        return tuple(sorted(pairs) if self.in_order else pairs)

    def show(self, value: Sequence[tuple[str, str]]) -> dict[str, str]:
        return dict(value)


@attrs.frozen
class JsonObject:
    """Any JSON object of at most so many bytes, as its canonical text."""

    longest: int

    def read(self, value: object, field: str) -> str:
        if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
            raise InvalidRequest(f"{field}: an object, not {show(value)}")
        text = canonical_json(dict(value), field)
        if (size := len(text.encode())) > self.longest:
            raise TooLarge(f"{field}: {size} bytes of JSON, at most {self.longest}")
        return text

    def show(self, value: str) -> Any:
        return json.loads(value)


@attrs.frozen
class Base64:
    """Bytes, as base64 text."""

    def read(self, value: object, field: str) -> bytes:
        try:
            return base64.b64decode(proper_text(value, field), validate=True)
        except (binascii.Error, ValueError) as error:
            if isinstance(error, InvalidRequest):
                raise
            raise InvalidRequest(f"{field}: base64, not {show(value)}") from None

    def show(self, value: bytes) -> str:
        return base64.b64encode(value).decode()


@attrs.frozen
class OneOf:
    """An object of one of several forms. Who makes the record tells the form and reads it; `by`: the key that names it.

    example: one of them as JSON, for those who gave something else.
    """

    forms: Mapping[str, tuple[Field, ...]] = attrs.field(eq=id)
    by: str | None = None
    example: str = ""

    def read(self, value: object, field: str) -> Mapping[str, Any]:
        if not isinstance(value, Mapping):
            such = f" such as {self.example}" if self.example else ""
            raise InvalidRequest(f"{field}: an object{such}, not {show(value)}")
        return value

    def show(self, value: Any) -> Any:
        return value


_REFUSED: Final = object()


@attrs.frozen
class Field:
    """One field of an object: its name in JSON, where the record keeps it, its kind, and what it is.

    `null`: what null stands for; without it null is refused. In Python the name is the same in snake case.
    """

    key: str
    kind: Kind
    about: str
    attribute: str = attrs.field(default=attrs.Factory(lambda self: snake(self.key), takes_self=True))
    null: Any = attrs.field(kw_only=True, default=_REFUSED)

    def read(self, value: object, name: str) -> Any:
        """The value for the record, or a wish."""
        if value is None and self.null is not _REFUSED:
            return self.null
        return self.kind.read(value, name)

    @property
    def nullable(self) -> bool:
        """Whether null means something."""
        return self.null is not _REFUSED


def snake(key: str) -> str:
    """`catchUpLimit` as `catch_up_limit`."""
    return re.sub(r"[A-Z]", lambda letter: f"_{letter[0].lower()}", key)


def field(key: str, kind: Kind, about: str, attribute: str | None = None, **null: Any) -> Field:
    """A field; `null=` makes it one that can be taken away."""
    return Field(key, kind, about, snake(key) if attribute is None else attribute, **null)


@attrs.frozen
class Object:
    """A nested object, read into values by attribute. `short`: the field that a bare text fills."""

    fields: tuple[Field, ...]
    short: str | None = None

    def read(self, value: object, field: str) -> dict[str, Any]:
        if self.short is not None and isinstance(value, str):
            value = {self.short: value}
        return read_object(value, self.fields, field)

    def show(self, value: Any) -> dict[str, Any]:
        return show_object(value, self.fields)


def read_object(value: object, fields: Sequence[Field], path: str) -> dict[str, Any]:
    """The values that an object gives, by attribute. Raises InvalidRequest for unknown fields, with the nearest known one."""
    if not isinstance(value, Mapping):
        raise InvalidRequest(f"{path or 'body'}: an object, not {show(value)}")
    known = {one.key: one for one in fields}
    found = {}
    for key, entry in value.items():
        name = f"{path}.{key}" if path else str(key)
        one = known.get(key) if isinstance(key, str) else None
        if one is None:
            raise InvalidRequest(f"unknown field {show(name)}{suggestion(str(key), list(known))}")
        found[one.attribute] = one.read(entry, name)
    return found


def show_object(record: Any, fields: Sequence[Field]) -> dict[str, Any]:
    """A record's fields as JSON; None as null."""
    values = ((one, getattr(record, one.attribute)) for one in fields)
    return {one.key: None if value is None else one.kind.show(value) for one, value in values}
