"""kazoo's connection as it is used here: calls back in its own thread, has TLS of our own, tells what it keeps to itself."""

from __future__ import annotations

import math
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any

from kazoo.handlers.threading import SequentialThreadingHandler
from kazoo.protocol.connection import ConnectionHandler


class Inline(SequentialThreadingHandler):  # type: ignore[misc]
    """Calls back where it is: one thread fewer for watches and one for answers, and both in the order of the wire.

    TLS is made here: kazoo would trust every authority that the system trusts, and leave refused connections open.
    """

    def __init__(self, tls: ssl.SSLContext | None) -> None:
        super().__init__()
        self._tls = tls

    def start(self) -> None:
        """No threads."""

    def stop(self) -> None:
        """None were started."""

    def dispatch_callback(self, callback: Any) -> None:
        callback.func(*callback.args)

    def create_connection(self, *, address: tuple[str, int], hostname: str, timeout: float, **_: Any) -> socket.socket:
        connection = socket.create_connection(address, timeout)
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return connection if self._tls is None else self._tls.wrap_socket(connection, server_hostname=hostname)
        except BaseException:
            connection.close()
            raise


class Wire(ConnectionHandler):  # type: ignore[misc]
    """kazoo's connection, telling what it keeps to itself: that a session stands, authenticated, and when pings are answered."""

    connected: Callable[[int, float], None]
    answered: Callable[[float], None]
    _pinged = -math.inf

    def _connect(self, *where: Any) -> Any:
        read_timeout, connect_timeout = super()._connect(*where)
        # Two thirds of what was agreed, in milliseconds.
        self.connected(self.client._session_id, read_timeout * 1.5 / 1000)
        return read_timeout, connect_timeout

    def _send_ping(self, connect_timeout: Any) -> None:
        self._pinged = time.monotonic()
        super()._send_ping(connect_timeout)

    def _read_socket(self, read_timeout: Any) -> Any:
        waiting = self.ping_outstanding.is_set()
        response = super()._read_socket(read_timeout)
        if waiting and not self.ping_outstanding.is_set():
            self.answered(self._pinged)
        return response
