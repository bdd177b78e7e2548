"""A TCP proxy in front of PostgreSQL that cuts a connection around a COMMIT."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Literal

Cut = Literal["before", "after", "answered"]
"""Before the server sees COMMIT; after it has seen it, without an answer; when the answer is there but was not passed on."""

_COMMIT = b"COMMIT\0"


class CuttingProxy:
    """Listens on `port`. While `cut` is set, the next COMMIT ends its connection and `cut` is cleared.

    `closed`: connections are refused. Use it as a context manager.
    """

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.cut: Cut | None = None
        self.closed = False
        self.close_after_cut = False
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._lock = threading.Lock()
        self._cutting: set[socket.socket] = set()

    def __enter__(self) -> CuttingProxy:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        for pair in self._pairs:
            _end(*pair)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.closed:
                client.close()
                continue
            server = socket.create_connection(("127.0.0.1", self._server_port))
            self._pairs.append((client, server))
            for target in (self._requests, self._answers):
                threading.Thread(target=target, args=(client, server), daemon=True).start()

    def _requests(self, client: socket.socket, server: socket.socket) -> None:
        while data := _receive(client):
            with self._lock:
                wanted = self.cut if _COMMIT in data else None
                if wanted is not None:
                    self.cut, self.closed = None, self.close_after_cut
            if wanted == "before":
                break
            if wanted == "answered":
                self._cutting.add(client)
            _send(server, data)
            if wanted == "after":
                break
        if client not in self._cutting:
            _end(client, server)

    def _answers(self, client: socket.socket, server: socket.socket) -> None:
        while data := _receive(server):
            if client in self._cutting:
                break
            _send(client, data)
        _end(client, server)


def _receive(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65536)
    except OSError:
        return b""


def _send(connection: socket.socket, data: bytes) -> None:
    try:
        connection.sendall(data)
    except OSError:
        return


def _end(*connections: socket.socket) -> None:
    for connection in connections:
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        connection.close()
