"""Following live events: what is asked for, how lines become events, and when it is tried again. No line is read here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from .asking_core import FIRST_PAUSE_SECONDS, Heard, Session, Silence, pause
from .giving import Time, time_of
from .requests_core import Reply, Request, answer_of

PATH: Final = "/events"

_AGAIN: Final = (429, 503)
"""Statuses after which it may be another time."""


@attrs.frozen
class Event:
    """What happened. kind: `task`, `execution`, `progress`, `slots`, `node`, or `gap` where something is missing before it.

    id: to go on after it, at whatever node of the cluster. data: as in the guide on observing a node.
    """

    id: str
    kind: str
    data: Mapping[str, Any]


class Following:
    """One iteration over events. after: the id of the last one that was seen, or an instant; None: from now on."""

    def __init__(
        self,
        session: Session,
        *,
        kinds: Sequence[str] = (),
        task: str | None = None,
        type_: str | None = None,
        tag: str | None = None,
        after: Time | None = None,
    ) -> None:
        wanted = {"kind": ",".join(kinds) or None, "task": task, "type": type_, "tag": tag}
        self._query = {name: value for name, value in wanted.items() if value is not None}
        self._session = session
        self._id = time_of(after, "after")
        self._tries = 0
        self._until = session.clock() + session.retry_for
        self._kind, self._data = "", ""

    def request(self) -> Request:
        """The request for what comes next."""
        self._kind, self._data = "", ""
        headers = {"Accept": "text/event-stream"} | ({} if self._id is None else {"Last-Event-ID": self._id})
        return Request("GET", PATH, self._query, None, headers)

    def line(self, text: str) -> Event | None:
        """Take up a line of the stream, without its end. Answers the event that it completes."""
        self._tries, self._until = 0, self._session.clock() + self._session.retry_for
        name, _, value = text.partition(":")
        match name:
            case "id":
                self._id = value.strip()
            case "event":
                self._kind = value.strip()
            case "data":
                self._data = value.strip()
            case "" if not text:
                kind, data, self._kind, self._data = self._kind, self._data, "", ""
                # How a stream begins and ends is no matter of those who follow: it goes on with the next one.
                if data and kind not in ("hello", "heartbeat", "end"):
                    return Event(self._id or "", kind, json.loads(data))
        return None

    def ended(self) -> float:
        """The node ended the stream: seconds until the next one is asked for."""
        return FIRST_PAUSE_SECONDS + self._session.rng.random()

    def refused(self, heard: Heard) -> float:
        """There is no stream: seconds until it is asked for again. Raises the error if it stands, or no time is left."""
        seconds = pause(self._tries, heard, self._session.rng)
        self._tries += 1
        again = isinstance(heard, Silence) or (isinstance(heard, Reply) and heard.status in _AGAIN)
        if again and self._session.clock() + seconds <= self._until:
            return seconds
        if isinstance(heard, Silence):
            raise heard.error
        if isinstance(heard, Reply):
            answer_of(heard)
        raise AssertionError("a refusal is an error")
