"""Following live events in tests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import attrs
import httpx


@attrs.frozen
class Heard:
    """One event of a stream."""

    id: str
    kind: str
    data: Any


@attrs.define
class Stream:
    """An open stream."""

    response: httpx.Response
    lines: Iterator[str]
    id: str = ""
    hello: Heard | None = None

    def next(self) -> Heard:
        """The next event; comments are passed over."""
        kind, data = "", ""
        for line in self.lines:
            name, _, value = line.partition(": ")
            match name:
                case "id":
                    self.id = value
                case "event":
                    kind = value
                case "data":
                    data = value
                case "" if not line and data:
                    return Heard(self.id, kind, json.loads(data))
        raise EOFError

    def until(self, kind: str, **fields: Any) -> Heard:
        """The next event of this kind whose execution, change or member has these fields."""
        while True:
            found = self.next()
            about = next((found.data[key] for key in ("execution", "change", "member") if key in found.data), {})
            if found.kind == kind and all(about.get(name) == value for name, value in fields.items()):
                return found


@contextmanager
def following(
    url: str, token: str, *, after: str | None = None, seconds: float = 20.0, **query: str
) -> Iterator[Stream]:
    """A stream of live events; when this returns what happens from now on is in it. after: as the header Last-Event-ID."""
    query = {name.removeprefix("query_"): value for name, value in query.items()}
    headers = {"Authorization": f"Bearer {token}"} | ({} if after is None else {"Last-Event-ID": after})
    with (
        httpx.Client(trust_env=False, timeout=seconds) as client,
        client.stream("GET", f"{url}/api/events", params=query, headers=headers) as response,
    ):
        lines = response.iter_lines()
        stream = Stream(response, lines)
        if response.status_code == 200:
            stream.hello = stream.next()
        yield stream
