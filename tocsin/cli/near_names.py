"""What somebody may have meant who named a task that is not there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from runtime.errors import NotFound, TocsinError

from ..shown import suggestion
from .connection import connect

MOST_NAMES: Final = 1_000
"""Names that are looked through: one answer of the node."""

_UNKNOWN: Final = re.compile(r"no task (?:with the id or name|or execution) '([^']+)'")


@contextmanager
def near_names() -> Iterator[None]:
    """Let the refusal of an unknown task end with the nearest name that there is."""
    try:
        yield
    except NotFound as error:
        found = _UNKNOWN.match(str(error))
        near = "" if found is None else _nearest(found[1])
        if not near:
            raise
        raise NotFound(f"{error}{near}") from None


def _nearest(name: str) -> str:
    names: list[str] = []
    # The first refusal is the one to tell of.
    with suppress(TocsinError):
        names = [task["name"] for task in connect().call("list_tasks", sortBy="name", limit=MOST_NAMES)["list"]]
    return suggestion(name, names)
