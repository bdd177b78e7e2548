"""What trio-websocket does and a link cannot bear."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair

from runtime.websocket import FrameStream, LinkBroken, use_as_client, use_as_server

MAX_FRAME = 100_000


async def nothing(frames: FrameStream) -> None:
    raise AssertionError("there was no handshake")


async def client(stream: trio.abc.Stream, use: object) -> None:
    await use_as_client(stream, "far", use, seconds=3, max_frame=MAX_FRAME)  # type: ignore[arg-type]


async def server(stream: trio.abc.Stream, use: object) -> None:
    await use_as_server(stream, use, seconds=3, max_frame=MAX_FRAME)  # type: ignore[arg-type]


@pytest.mark.parametrize("end", [client, server])
async def test_a_peer_that_says_nothing_or_leaves_is_given_up(autojump_clock: MockClock, end: object) -> None:
    for leaves in (False, True):
        near, far = memory_stream_pair()
        if leaves:
            await far.aclose()
        begun = trio.current_time()
        with pytest.raises(LinkBroken):
            await end(near, nothing)  # type: ignore[operator]
        assert trio.current_time() - begun <= 3


async def test_answers_that_are_no_handshake_end_the_connection(autojump_clock: MockClock) -> None:
    for answer in (
        b"HTTP/1.1 403 Forbidden\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"\x00" * 500,
        b"HTTP/1.1 101 x\r\n\r\n",
    ):
        near, far = memory_stream_pair()
        await far.send_all(answer)
        with pytest.raises(LinkBroken):
            await client(near, nothing)


async def test_a_cancelled_send_leaves_whole_frames_behind(autojump_clock: MockClock) -> None:
    near, far = memory_stream_pair()
    got: list[bytes] = []

    async def slowly(*_: object) -> None:
        await trio.sleep(0.01)

    async def send(frames: FrameStream) -> None:
        for number in range(10):
            # Cancelled on its way, the frame leaves nevertheless; the next one is not harmed.
            with trio.move_on_after(0.005):
                near.send_stream.send_all_hook = slowly
                await frames.send(bytes([number]) * 100)
                await trio.sleep_forever()
        near.send_stream.send_all_hook = None

    async def read(frames: FrameStream) -> None:
        while True:
            got.append(await frames.receive())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(client, near, send)
        with pytest.raises(LinkBroken):
            await server(far, read)
    assert got == [bytes([number]) * 100 for number in range(10)]


async def test_a_bug_of_who_uses_frames_is_not_hidden(autojump_clock: MockClock) -> None:
    near, far = memory_stream_pair()

    async def wrong(frames: FrameStream) -> None:
        async with trio.open_nursery():
            raise ZeroDivisionError

    async def read(frames: FrameStream) -> None:
        await frames.receive()

    async with trio.open_nursery() as nursery:

        async def serve() -> None:
            with pytest.raises(LinkBroken):
                await server(far, read)

        nursery.start_soon(serve)
        with pytest.raises(ZeroDivisionError):
            await client(near, wrong)
