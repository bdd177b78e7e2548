"""What a stream of live events is made of, as bytes, and how events of one interval are folded. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

import attrs

from runtime.clock import Instant, Micros

from ..vocabulary.fields import show_instant
from .events_core import LiveEvent, Position

Json = dict[str, Any]


@attrs.define(eq=False)
class Told:
    """An event in the ring, with its id; encoded once, when somebody is told it. `event` None: a gap, which is everybody's."""

    event: LiveEvent | None
    id: str
    _chunk: bytes | None = None

    @property
    def chunk(self) -> bytes:
        """As the stream has it."""
        if self._chunk is None:
            assert self.event is not None, "a gap comes with its chunk"
            self._chunk = chunk_of(self.event, self.id)
        return self._chunk

    def standing_for(self, older: int) -> bytes:
        """As the stream has it where it stands for so many older events too."""
        if not older or self.event is None:
            return self.chunk
        return chunk_of(attrs.evolve(self.event, data=self.event.data | {"folded": older}), self.id)


def fold(told: Iterable[Told], *, by_task: bool) -> list[tuple[Told, int]]:
    """The newest event about each subject, in the order of their ids, with the number of older ones that it stands for.

    A subject is a task, an execution, the progress of one, slots of a task, a node; `by_task`: of a task's executions the newest
    stands for all. Gaps stay.
    """
    newest: dict[object, tuple[Told, int]] = {}
    for one in told:
        subject = one if one.event is None else _subject(one.event, by_task)
        _, older = newest.pop(subject, (one, -1))
        newest[subject] = one, older + 1
    return list(newest.values())


def _subject(event: LiveEvent, by_task: bool) -> tuple[str, str]:
    data = event.data
    if "execution" in data and not by_task:
        return event.kind, data["execution"]["id"]
    if "task" in data:
        return event.kind, data["task"]["itemId"]
    return event.kind, data["member"]["boot"]


def chunk_of(event: LiveEvent, text: str) -> bytes:
    """An event as the stream has it, with its id."""
    return f"id: {text}\nevent: {event.kind}\ndata: {_line(event.data)}\n\n".encode()


CATCH_UP: Final = ("/api/executions?since={since}", "/api/tasks?sortBy=lastExecutionDate:desc")
"""What is asked after a gap: everything that is open or has ended since, and how the tasks are now. The events themselves are
stored nowhere; what they led to is."""


def gap_chunk(position: Position, since: Instant, why: str) -> bytes:
    """The event that says that something is missing between an instant and a position, and what to ask instead."""
    told = show_instant(since)
    ask = [path.format(since=told) for path in CATCH_UP]
    data = {"at": show_instant(position.at), "kind": "gap", "since": told, "reason": why, "ask": ask}
    return f"id: {position.text()}\nevent: gap\ndata: {_line(data)}\n\n".encode()


def hello_chunk(position: Position, node: str, heartbeat: float, coalesce: Micros) -> bytes:
    """The event with which a stream begins: at which position, how often it says that it lives, how it is coalesced (seconds)."""
    return _said(position, "hello", {"node": node, "heartbeat": heartbeat, "coalesce": coalesce / 1e6 or None})


def heartbeat_chunk(position: Position, node: str) -> bytes:
    """What is told when nothing happens, for readers that do not see comments: that the stream lives, and how far it is."""
    return _said(position, "heartbeat", {"node": node})


def _said(position: Position, kind: str, more: Json) -> bytes:
    data = {"at": show_instant(position.at), "kind": kind, "position": position.text(), **more}
    return f"id: {position.text()}\nevent: {kind}\ndata: {_line(data)}\n\n".encode()


def end_chunk(reason: str) -> bytes:
    """The event with which a stream ends."""
    return f"event: end\ndata: {_line({'kind': 'end', 'reason': reason})}\n\n".encode()


def rest_chunk(position: Position) -> bytes:
    """What is told when nothing happens: that the stream lives, and how far it is."""
    return f": nothing new\nid: {position.text()}\n\n".encode()


def _line(data: Mapping[str, Any]) -> str:
    """JSON in one line of ASCII."""
    return json.dumps(data, separators=(",", ":"))
