"""How what has piled up in the keeper's mailbox is cut into transactions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from .calendar_messages import Recalculate
from .keeper_messages import AttemptsEnded, Backlog, CreateTasks, Event, Reconsider, Settle
from .sharing_messages import Changed, Observed

NEW: Final = 8
"""A new task counts as so many that fire. It takes about as much longer to write; and the next slice is decided meanwhile."""


def weight(message: Event) -> int:
    """How many tasks a message is about, as far as that is known."""
    match message:
        case Settle(task_ids=entries) | Reconsider(task_ids=entries) | Backlog(task_ids=entries):
            return len(entries)
        case Recalculate(task_ids=entries) | Changed(task_ids=entries) | Observed(waiting=entries):
            return len(entries)
        case AttemptsEnded(ends=entries) | CreateTasks(definitions=entries):
            return len(entries)
        case _:
            return 1


def split(message: Event, size: int) -> Iterator[Event]:
    """A message about many tasks as several about at most `size`; one with an answer stays whole."""
    match message:
        case Settle(task_ids=ids) if len(ids) > size:
            yield from (Settle(ids[start : start + size]) for start in range(0, len(ids), size))
        case AttemptsEnded(ends=ends) if len(ends) > size:
            yield from (AttemptsEnded(ends[start : start + size]) for start in range(0, len(ends), size))
        case _:
            yield message


def slices(messages: Iterable[Event], size: int) -> Iterator[list[Event]]:
    """The messages in their order, in lists that are about at most `size` tasks each (more if a single message is).

    New tasks count NEW times.
    """
    piece: list[Event] = []
    filled = 0
    for message in (part for whole in messages for part in split(whole, size)):
        heavy = weight(message) * (NEW if isinstance(message, CreateTasks) else 1)
        if piece and filled + heavy > size:
            yield piece
            piece, filled = [], 0
        piece.append(message)
        filled += heavy
    if piece:
        yield piece
