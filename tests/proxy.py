"""A TCP proxy that fails on command: per direction it holds back, delays or swallows; it resets connections and refuses them.

What it holds back is delivered later, as TCP's retransmission would: `cut` and `heal` are a network that drops packets for a
while, `reset` is one that answers for a dead host. It stands between any client and any server of the tests.
"""

from __future__ import annotations

import math
import socket
import struct
from contextlib import suppress

import attrs
import trio

HOST = "127.0.0.1"
CHUNK = 65_536
BROKEN = (OSError, trio.BrokenResourceError, trio.ClosedResourceError)


@attrs.define(eq=False)
class Way:
    """One direction of all connections of a proxy. `delay_seconds`: how late bytes arrive. `swallow`: they vanish."""

    delay_seconds: float = 0.0
    swallow: bool = False
    passed: int = 0
    _free: trio.Event = attrs.field(factory=trio.Event)

    def __attrs_post_init__(self) -> None:
        self._free.set()

    def hold(self) -> None:
        """Keep everything back until `release`."""
        if self._free.is_set():
            self._free = trio.Event()

    def release(self) -> None:
        """Let everything pass, first of all what was kept back."""
        self._free.set()

    async def wait_free(self) -> None:
        """Until nothing is kept back."""
        await self._free.wait()


class Proxy:
    """Listens on a free loopback port and passes everything on to `target` (HOST:PORT). To be run in a nursery.

    `up` is the way to the server, `down` the way back. `refusing`: new connections are reset at once.
    """

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self.target = (host, int(port))
        self.up = Way()
        self.down = Way()
        self.refusing = False
        self.accepted = 0
        self._streams: dict[trio.SocketStream, trio.CancelScope] = {}
        self._port = 0

    @property
    def address(self) -> str:
        """HOST:PORT to connect to."""
        return f"{HOST}:{self._port}"

    @property
    def connections(self) -> int:
        """How many clients are connected now."""
        return len(self._streams)

    def cut(self) -> None:
        """Nothing passes in either direction; connections, new ones too, seem to stand."""
        self.up.hold()
        self.down.hold()

    def heal(self) -> None:
        """Everything passes again."""
        self.refusing = False
        for way in (self.up, self.down):
            way.swallow = False
            way.delay_seconds = 0.0
            way.release()

    def reset(self) -> None:
        """Break every connection: both ends see it at once."""
        for stream, scope in list(self._streams.items()):
            with suppress(OSError):
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            scope.cancel()

    async def run(self, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled; reports the address."""
        listeners = await trio.open_tcp_listeners(self._port, host=HOST)
        self._port = listeners[0].socket.getsockname()[1]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, self._pass_on, listeners)
            task_status.started(self.address)

    async def _pass_on(self, client: trio.SocketStream) -> None:
        self.accepted += 1
        with trio.CancelScope() as scope:
            self._streams[client] = scope
            try:
                if self.refusing:
                    self.reset()
                await self.up.wait_free()
                with suppress(*BROKEN):
                    server = await trio.open_tcp_stream(*self.target)
                    async with server, trio.open_nursery() as nursery:
                        nursery.start_soon(_carry, client, server, self.up, nursery.cancel_scope)
                        nursery.start_soon(_carry, server, client, self.down, nursery.cancel_scope)
            finally:
                del self._streams[client]
                await trio.aclose_forcefully(client)


async def _carry(source: trio.SocketStream, sink: trio.SocketStream, way: Way, whole: trio.CancelScope) -> None:
    """Pass one direction on until either end is gone, then end both."""
    send, receive = trio.open_memory_channel[tuple[float, bytes]](math.inf)

    async def write() -> None:
        with suppress(*BROKEN):
            async for due, data in receive:
                await trio.sleep_until(due)
                await way.wait_free()
                if not way.swallow:
                    await sink.send_all(data)
                    way.passed += len(data)
        whole.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write)
        with suppress(*BROKEN):
            while data := await source.receive_some(CHUNK):
                send.send_nowait((trio.current_time() + way.delay_seconds, bytes(data)))
        send.close()
