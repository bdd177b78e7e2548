"""Records that a node answered in place of ids."""

from __future__ import annotations

from typing import Any

from runtime.errors import InvalidRequest


def reference(value: Any, name: str) -> Any:
    """A value as a request has it: of a record its id or name. name: of the argument.

    Raises InvalidRequest for a record of another kind.
    """
    called: tuple[str, str] | None = getattr(type(value), "CALLED", None)
    if called is None:
        return value
    kind, field = called
    if kind != name:
        raise InvalidRequest(f"{name}: an id or a name, or the record of a {name}; not {type(value).__name__}(...)")
    return getattr(value, field)
