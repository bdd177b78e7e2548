"""How streams of live events end: with the node, with a token, with a reader that takes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from runtime.errors import Unauthenticated
from tests.tocsin.conftest import Running, settings
from tests.tocsin.live.kit import following
from tests.tocsin.live.test_hub import alone, changed
from tocsin.access.caller import FIRST_ADMINISTRATOR
from tocsin.api.events import CHECK_SECONDS, QUIET_SECONDS, SEND_SECONDS, Events
from tocsin.live.hub import RING, Hub
from tocsin.live.settings import FollowerLimits


def test_a_node_that_stops_says_so(tmp_path: Path) -> None:
    node = Running(tmp_path)
    node.start(settings(tmp_path))
    try:
        with following(node.url, node.token) as stream:
            node._stop()
            end = stream.next()
            assert (end.kind, end.data) == ("end", {"kind": "end", "reason": "the node stops"})
            with pytest.raises(EOFError):
                stream.next()
    finally:
        node.stop()


class Door:
    """Lets everybody in until `shut`."""

    def __init__(self) -> None:
        self.shut = False

    async def caller(self, _request: Any) -> Any:
        if self.shut:
            raise Unauthenticated("the token was revoked")
        return FIRST_ADMINISTRATOR

    still = caller


class Reader:
    """The other end of a connection. `pause`: seconds that each part takes to be read."""

    def __init__(self, pause: float = 0.0) -> None:
        self.parts: list[bytes] = []
        self.status = 0
        self.ended = False
        self.pause = pause

    async def receive(self) -> Any:
        await trio.sleep_forever()

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            return
        if message["body"]:
            await trio.sleep(self.pause)
            self.parts.append(message["body"])
        self.ended = not message["more_body"]

    async def follow(self, hub: Hub, door: Door, query: bytes = b"") -> None:
        scope = {"type": "http", "method": "GET", "path": "/api/events", "query_string": query, "headers": []}
        route = Events(door, lambda *_: None, hub).route()  # type: ignore[arg-type]
        await route.fn(scope, self.receive, self.send)  # type: ignore[arg-type]

    @property
    def text(self) -> str:
        return b"".join(self.parts).decode()


async def test_a_token_that_is_not_good_any_more_ends_the_stream(autojump_clock: trio.testing.MockClock) -> None:
    async with alone() as (hub, _), trio.open_nursery() as nursery:
        door, reader = Door(), Reader()
        nursery.start_soon(reader.follow, hub, door)
        await trio.sleep(3.5 * QUIET_SECONDS)
        assert (reader.status, reader.ended) == (200, False)
        assert reader.text.count(": nothing new") == 3
        door.shut = True
        await trio.sleep(CHECK_SECONDS)
        assert reader.text.endswith('event: end\ndata: {"kind":"end","reason":"the token was revoked"}\n\n')
        assert reader.ended and hub.followers == 0


async def test_a_reader_that_takes_nothing_is_cut_off(autojump_clock: trio.testing.MockClock) -> None:
    async with alone() as (hub, node), trio.open_nursery() as nursery:
        reader = Reader()
        nursery.start_soon(reader.follow, hub, Door())
        await trio.sleep(1)
        reader.pause = 3_600.0
        node.journal.hear(changed("t1"))
        await trio.sleep(SEND_SECONDS)
        assert hub.followers == 1
        await trio.sleep(SEND_SECONDS)
        assert hub.followers == 0


async def test_a_slow_reader_is_told_that_he_is(autojump_clock: trio.testing.MockClock) -> None:
    async with alone(FollowerLimits(rate=1_000)) as (hub, node), trio.open_nursery() as nursery:
        reader = Reader(pause=5.0)
        nursery.start_soon(reader.follow, hub, Door())
        await trio.sleep(6)
        for number in range(3 * RING):
            node.journal.hear(changed(f"t{number}"))
            if number % 100 == 0:
                await trio.sleep(0.2)
        await trio.sleep(20)
        assert "too slow" in reader.text and reader.ended
        assert hub.followers == 0
