"""What is given to a node: names as JSON has them, bodies, times; and the plainest ways to read what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from runtime.errors import InvalidRequest, NotFound, TocsinError

from .references_core import reference

PAGE: int = 200
"""Rows that an iterator asks for at a time."""

Json = Mapping[str, Any]
Time = datetime | str
"""A time: a datetime with a zone, or an ISO 8601 text with an offset."""


def camel(name: str) -> str:
    """A name as JSON has it."""
    head, *rest = name.split("_")
    return head + "".join(word[:1].upper() + word[1:] for word in rest)


def body_of(**fields: Any) -> dict[str, Any]:
    """Fields as JSON names them, without those that are None."""
    return {camel(name): reference(value, name) for name, value in fields.items() if value is not None}


def named(value: Any) -> Any:
    """A trigger or policies with their names as in JSON, whether they were written so or in snake case."""
    if isinstance(value, Mapping):
        return {camel(key): named(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [named(inner) for inner in value]
    return value.isoformat() if isinstance(value, datetime) else value


def time_of(value: Time | None, name: str) -> str | None:
    """A time as a request has it. Raises InvalidRequest for one without a zone."""
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise InvalidRequest(f"{name}: a time with a zone, not {value}")
        return value.isoformat()
    return value


def nothing(_value: Any) -> None:
    """What is read of an empty answer."""
    return None


def whole(value: Any) -> Any:
    """An answer as it is."""
    return value


def gone(error: TocsinError) -> bool | None:
    """A removal that is repeated and finds nothing was carried out before."""
    return True if isinstance(error, NotFound) else None
