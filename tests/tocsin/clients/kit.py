"""For clients: wires without a network, to a node that always says the same and to one that is gone; and a server."""

from __future__ import annotations

import json
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import attrs

from tocsin.clients.address import NodeUnreachable
from tocsin.clients.asking_core import Heard, Silence
from tocsin.clients.following_core import Event, Following
from tocsin.clients.requests_core import Reply, Request


@attrs.frozen
class Said:
    """A node that answers everything with one status and one body."""

    status: int
    body: Any

    def send(self, request: Request) -> Heard:
        return Reply(self.status, "as it is said", json.dumps(self.body).encode())

    def follow(self, following: Following) -> Generator[Event, None, float]:
        yield from ()
        return following.refused(self.send(following.request()))

    def close(self) -> None:
        pass


class Gone:
    """A node that nobody reaches."""

    def send(self, request: Request) -> Heard:
        return Silence(NodeUnreachable("no node answers at http://node: refused"), sent=False)

    def follow(self, following: Following) -> Generator[Event, None, float]:
        yield from ()
        return following.refused(self.send(following.request()))

    def close(self) -> None:
        pass


@attrs.define
class Answering:
    """What a server answers with, and what it was asked. promised: the length that it tells, None for the real one."""

    status: int = 200
    body: bytes = b"{}"
    promised: int | None = None
    reads: bool = True
    asked: list[tuple[str, str, dict[str, str], bytes]] = attrs.field(factory=list)


@contextmanager
def answering(answer: Answering) -> Iterator[str]:
    """A server on loopback, and its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))) if answer.reads else b""
            answer.asked.append((self.command, self.path, dict(self.headers), body))
            self.send_response(answer.status)
            self.send_header("Content-Length", str(len(answer.body) if answer.promised is None else answer.promised))
            self.send_header("Retry-After", "3")
            self.end_headers()
            self.wfile.write(answer.body)

        do_POST = do_GET

        def log_message(self, *_told: object) -> None:  # type: ignore[override]
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
