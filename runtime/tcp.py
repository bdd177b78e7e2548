"""TCP: the real `Network`, and a door to sockets."""

from __future__ import annotations

import errno
import ipaddress
import logging
import struct
from contextlib import suppress
from typing import Final

import trio
from trio import socket

from .errors import InvalidRequest, PeerUnreachable
from .transport import Admit, Handler, join_address, split_address

logger = logging.getLogger(__name__)

BACKLOG: Final = 128
"""Connections that the kernel completes before we accept them; what comes on top waits for its retransmission."""

ACCEPTS_PER_SECOND: Final = 1_000
"""Of all hosts together: accepting one costs about 0.1 ms, so that a flood takes a tenth of the loop at most."""

ACCEPTS_AT_ONCE: Final = 20
"""Connections accepted before the loop is left to others."""

WITHOUT_DESCRIPTORS_SECONDS: Final = 0.1
"""How long to wait for a file descriptor to become free before accepting again."""

_SCARCE: Final = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS}
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
_TELL_DEAD_AFTER: Final = ((socket.TCP_KEEPIDLE, 5), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 3))


class TcpNetwork:
    """Connections over the machine's own network."""

    async def connect(self, address: str, deadline: float) -> trio.abc.Stream:
        host, port = split_address(address)
        with trio.move_on_at(deadline):
            try:
                stream = await trio.open_tcp_stream(host, port)
                try:
                    _tune(stream.socket)
                except OSError:
                    # It was reset already.
                    await trio.aclose_forcefully(stream)
                    raise
            except OSError as error:
                raise PeerUnreachable(f"{address}: {error.strerror or error}") from None
            return stream
        raise PeerUnreachable(f"{address} does not answer")

    async def serve(
        self,
        address: str,
        handler: Handler,
        admit: Admit,
        *,
        task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        host, port = split_address(address)
        try:
            listeners = await trio.open_tcp_listeners(port, host=host, backlog=BACKLOG)
        except OSError as error:
            raise InvalidRequest(f"links cannot be accepted at {address}: {error.strerror or error}") from None
        # A name with several addresses is served at the first.
        listening, *others = [listener.socket for listener in listeners]
        for other in others:
            other.close()
        with listening:
            task_status.started(join_address(host, listening.getsockname()[1]))
            async with trio.open_nursery() as nursery:
                while True:
                    await _accept_some(listening, handler, admit, nursery)
                    await trio.sleep(ACCEPTS_AT_ONCE / ACCEPTS_PER_SECOND)

    def is_exposed(self, address: str) -> bool:
        host, _ = split_address(address)
        try:
            return not ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host != "localhost"


async def _accept_some(listening: socket.SocketType, handler: Handler, admit: Admit, nursery: trio.Nursery) -> None:
    for _ in range(ACCEPTS_AT_ONCE):
        try:
            accepted, remote = await listening.accept()
        except OSError as error:
            if error.errno in _SCARCE:
                logger.warning("no connection can be accepted: %s", error.strerror)
                await trio.sleep(WITHOUT_DESCRIPTORS_SECONDS)
            continue
        if admit(remote[0]):
            nursery.start_soon(_handle, accepted, remote[0], handler)
        else:
            # A reset leaves nothing behind, where a close would leave a port in TIME_WAIT for each.
            accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            accepted.close()


async def _handle(accepted: socket.SocketType, host: str, handler: Handler) -> None:
    stream = trio.SocketStream(accepted)
    try:
        with suppress(OSError):
            _tune(accepted)
        await handler(stream, host)
    finally:
        await trio.aclose_forcefully(stream)


def _tune(connected: socket.SocketType) -> None:
    """No delay for small frames, and the kernel's own search for dead peers, should ours not run."""
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _TELL_DEAD_AFTER:
        connected.setsockopt(socket.IPPROTO_TCP, option, value)
