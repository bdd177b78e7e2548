"""What a node tells the others of its events."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from actors.live.entries import Kind
from runtime.errors import InvalidRequest

from .events_core import event_of

if TYPE_CHECKING:
    from actors.node import Node

EVENTS: Final = "events"
"""What nodes ask each other; no operation of the table, for nobody else asks for it."""

READ_AT_ONCE: Final = 256
"""Events of one answer: some milliseconds to encode, and less than one message between nodes holds."""


async def told(node: Node, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Events above a number; how nodes stand every node sees for itself. `through`: up to which number this is all there is."""
    after, limit = arguments.get("after"), arguments.get("limit")
    if type(after) is not int or type(limit) is not int:
        raise InvalidRequest("after, limit: whole numbers")
    journal = node.journal
    if after < 0:
        return {"list": [], "oldest": journal.oldest, "newest": journal.newest, "through": journal.newest}
    entries = journal.after(after, max(1, min(limit, READ_AT_ONCE)))
    events = [event_of(entry, node.config.name) for entry in entries if entry.kind is not Kind.NODE]
    through = entries[-1].number if entries else journal.newest
    return {
        "list": [event.travelling() for event in events],
        "oldest": journal.oldest,
        "newest": journal.newest,
        "through": through,
    }


TOLD: Final[Mapping[str, Callable[..., Any]]] = {EVENTS: told}
"""Name -> what it does."""
