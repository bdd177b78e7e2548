"""Frames over any stream by WebSocket, and the one door to trio-websocket.

What the library does and a link cannot bear is kept inside here:

- Its client waits for a handshake that never comes, and its server for a request: both stand under a deadline of ours.
- Its reader stops while its queue is full, and then answers nothing: whoever uses a `FrameStream` reads on without pause.
- A send that is cancelled leaves half a frame behind: `send` is shielded, stands under a deadline, and ends the connection
  with it.
- Errors of its tasks, and of its dependencies on hostile bytes, end as `LinkBroken` of one connection.
- It reads 4 KiB at a time and waits a minute for the other end to close: here 64 KiB and a second.
- It never finds a frozen peer: the link above has heartbeats of its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, cast

import trio
from trio_websocket import WebSocketConnection, wrap_client_stream, wrap_server_stream

from .errors import TocsinError

PATH: Final = "/link"
"""The resource that nodes ask for."""

RECEIVE_BYTES: Final = 64 * 1024
"""Bytes read from the stream at once: a whole batch."""

QUEUED_FRAMES: Final = 16
"""Frames that have been read and not yet been looked at; with the largest frame this bounds what a link holds to 8 MiB."""

SEND_SECONDS: Final = 5.0
"""How long one frame may take to leave before the peer counts as one that does not read."""

CLOSE_SECONDS: Final = 1.0
"""How long the other end has to answer a close."""

NORMAL: Final = 1000
ABNORMAL: Final = 1006
"""Codes of RFC 6455, section 7.4.1."""


class LinkBroken(TocsinError):
    """The connection has ended; the message tells how. `quiet`: the other end said goodbye."""

    def __init__(self, message: str, *, quiet: bool = False) -> None:
        super().__init__(message)
        self.quiet = quiet


class FrameStream:
    """A connection that carries whole frames. One task sends, one task receives."""

    def __init__(self, connection: WebSocketConnection, send_seconds: float = SEND_SECONDS) -> None:
        self._connection = connection
        self._send_seconds = send_seconds

    async def send(self, frame: bytes) -> None:
        """Send a frame whole. Raises LinkBroken, also when the peer does not read for too long."""
        with trio.CancelScope(shield=True, deadline=trio.current_time() + self._send_seconds):
            try:
                await self._connection.send_message(frame)
            except Exception as error:
                raise self._broken(error) from None
            return
        raise LinkBroken(f"a frame of {len(frame)} bytes did not leave within {self._send_seconds:g} s")

    async def receive(self) -> bytes:
        """The next frame. Raises LinkBroken when there will be none."""
        try:
            frame = await self._connection.get_message()
        except Exception as error:
            raise self._broken(error) from None
        if isinstance(frame, str):
            raise LinkBroken("the peer sends text")
        return frame

    async def close(self) -> None:
        """Say goodbye, for as long as the other end listens but a second at most."""
        with trio.CancelScope(shield=True, deadline=trio.current_time() + CLOSE_SECONDS):
            await self._connection.aclose()

    def _broken(self, error: Exception) -> LinkBroken:
        closed = self._connection.closed
        if closed is None:
            return LinkBroken(f"the connection failed: {error}")
        if closed.code == ABNORMAL:
            return LinkBroken("the connection ended without a word")
        return LinkBroken(f"the connection was closed: {closed.reason or closed.name}", quiet=closed.code == NORMAL)


Use = Callable[[FrameStream], Awaitable[None]]
"""What is done with a connection. TocsinErrors of it are passed on to who opened the connection."""


async def use_as_client(
    stream: trio.abc.Stream, host: str, use: Use, *, seconds: float, max_frame: int, queue: int = QUEUED_FRAMES
) -> None:
    """Open frames at the end that has connected, and use them; the stream is closed afterwards. Raises LinkBroken.

    `host`: for the request's header. `seconds`: for the handshake. `max_frame`: bytes; a larger one ends the connection.
    """

    async def open_frames(nursery: trio.Nursery) -> WebSocketConnection:
        return await wrap_client_stream(
            nursery,
            cast("trio.SocketStream", stream),
            host,
            PATH,
            message_queue_size=queue,
            max_message_size=max_frame,
            receive_buffer_size=RECEIVE_BYTES,
        )

    await _use(stream, open_frames, use, seconds)


async def use_as_server(
    stream: trio.abc.Stream, use: Use, *, seconds: float, max_frame: int, queue: int = QUEUED_FRAMES
) -> None:
    """Open frames at the end that was connected to; otherwise as `use_as_client`. Requests of browsers are refused."""

    async def open_frames(nursery: trio.Nursery) -> WebSocketConnection:
        request = await wrap_server_stream(
            nursery,
            stream,
            message_queue_size=queue,
            max_message_size=max_frame,
            receive_buffer_size=RECEIVE_BYTES,
        )
        if request.path != PATH or any(name.lower() == b"origin" for name, _ in request.headers):
            await request.reject(403)
            raise LinkBroken("the request does not come from a node")
        return await request.accept()

    await _use(stream, open_frames, use, seconds)


async def _use(
    stream: trio.abc.Stream,
    open_frames: Callable[[trio.Nursery], Awaitable[WebSocketConnection]],
    use: Use,
    seconds: float,
) -> None:
    """The connection's tasks, its opening under a deadline, its use and its end; sorts out what comes of all that."""
    ours: list[BaseException] = []
    opened = False

    async def run() -> None:
        nonlocal opened
        async with trio.open_nursery() as nursery:
            with trio.fail_after(seconds):
                connection = await open_frames(nursery)
            opened = True
            frames = FrameStream(connection)
            try:
                await use(frames)
            except BaseException as error:
                ours.extend(_leaves(error))
                raise
            finally:
                await frames.close()
                nursery.cancel_scope.cancel()

    try:
        await run()
    except BaseExceptionGroup as group:
        cancelled, rest = group.split(trio.Cancelled)
        if cancelled is not None:
            # What else went wrong on the way out interests nobody.
            raise cancelled from None
        assert rest is not None
        leaves = _leaves(rest)
        own = [leaf for leaf in leaves if isinstance(leaf, TocsinError) or leaf in ours]
        if own:
            raise own[0] from None
        if any(isinstance(leaf, trio.TooSlowError) for leaf in leaves) and not opened:
            raise LinkBroken(f"no handshake within {seconds:g} s") from None
        raise LinkBroken(f"the connection failed: {leaves[0]!r}"[:300]) from None
    finally:
        await trio.aclose_forcefully(stream)


def _leaves(error: BaseException) -> list[BaseException]:
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for part in error.exceptions for leaf in _leaves(part)]
