"""The keeper's part in what follows an outcome: entries made with it, and what the herald says became of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from runtime.clock import Instant
from runtime.errors import TocsinError
from runtime.records import evolve

from .keeper_messages import Answer, Delivered
from .keeper_staging import Staged
from .store.port import Commit, OutboxEntry


class Outbox:
    """What one batch adds to the outbox and takes from it. `new_id` makes delivery ids."""

    def __init__(self, new_id: Callable[[], str]) -> None:
        self._new_id = new_id
        self._entries: list[OutboxEntry] = []
        self._delivered: list[Delivered] = []

    def take(self, message: Delivered) -> None:
        """The herald's word."""
        self._delivered.append(message)

    def follow(self, staged: Staged, now: Instant) -> None:
        """The entries of a staged task that has event triggers."""
        self._entries += staged.followers(self._new_id, now)

    def write(self, commit: Commit) -> tuple[Commit, tuple[Delivered, ...]]:
        """The commit with what was gathered, and what has to be answered after it. Begins anew."""
        entries, delivered, self._entries, self._delivered = self._entries, tuple(self._delivered), [], []
        if entries or delivered:
            commit = evolve(
                commit,
                outbox=(*entries, *(entry for message in delivered for entry in message.entries)),
                deliveries=tuple(write for message in delivered for write in message.writes),
                event_states=tuple(state for message in delivered for state in message.states),
            )
        return commit, delivered


def answers(delivered: Iterable[Delivered], refused: Mapping[str, TocsinError]) -> tuple[list[Answer], list[Delivered]]:
    """What follows the commit: answers, and what has to be written again because its task was refused with all of it."""
    told: list[Answer] = []
    left: list[Delivered] = []
    for message in delivered:
        rest = Delivered(
            tuple(write for write in message.writes if write.task_id in refused),
            tuple(entry for entry in message.entries if entry.task_id in refused),
            tuple(state for state in message.states if state.task_id in refused),
            message.reply,
        )
        if rest.writes:
            left.append(rest)
        else:
            told.append(Answer(message.reply, None))
    return told, left
