"""What somebody may have meant who named a task that is not there, or several at once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from runtime.errors import NotFound, TocsinError

from ..shown import suggestion
from .connection import connect
from .terminal import MOST_SHOWN, short_ids

MOST_NAMES: Final = 1_000
"""Names that are looked through: one answer of the node."""

_UNKNOWN: Final = re.compile(r"(?:no task|\d+ tasks) (?:with the id or name|or execution) '([^']+)'")


@contextmanager
def near_names() -> Iterator[None]:
    """Let the refusal of an unknown task end with the nearest name that there is, or with the tasks whose ids begin so."""
    try:
        yield
    except NotFound as error:
        found = _UNKNOWN.match(str(error))
        near = "" if found is None else _near(found[1])
        if not near:
            raise
        raise NotFound(f"{error}{near}") from None


def _near(name: str) -> str:
    tasks: list[dict[str, Any]] = []
    # The first refusal is the one to tell of.
    with suppress(TocsinError):
        tasks = connect().call("list_tasks", sortBy="name", limit=MOST_NAMES)["list"]
    meant = [task for task in tasks if task["itemId"].startswith(name.lower())]
    if not meant:
        return suggestion(name, [task["name"] for task in tasks])
    pairs = zip(short_ids([task["itemId"] for task in meant]), meant, strict=True)
    shown = [f"{short} is {task['name']}" for short, task in pairs]
    more = f", and {len(shown) - MOST_SHOWN} more" if len(shown) > MOST_SHOWN else ""
    return f": {', '.join(shown[:MOST_SHOWN])}{more}"
