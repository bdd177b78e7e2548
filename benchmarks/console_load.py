"""What consoles and programs ask of a node at the same time, from a process of their own: see `bench_served`.

Each is a connection that does nothing but write a request and read past the answer, so that its own share of the machine is
small. As a program it is given the node's address, its token and the numbers, loads until its input ends, and prints what it
did.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from typing import Any, Final

import attrs
import trio

SORTS: Final = ("", "&sortBy=name:asc", "&sortBy=nextScheduledExecution:asc", "&status=RUNNING", "&type=bench.tick")
"""What the clients ask for in turn, all of them pages that consoles show."""

IMPORTED_AT_ONCE: Final = 500
"""Tasks of one file: a few hundred kilobytes, as the body limit allows."""

LINE_END: Final = b"\r\n"


@attrs.frozen
class Load:
    """Who asks for what: connections that list, that follow, tasks to import; and where the node is."""

    port: int
    token: str
    lists: int
    followers: int
    imported: int
    query: str = ""


class Connection:
    """One connection that is kept alive."""

    def __init__(self, stream: trio.SocketStream, token: str) -> None:
        self._stream = stream
        self._token = token
        self._buffer = b""

    async def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """Send a request and read the whole answer: its status and body."""
        await self.send(method, path, body)
        status, length = await self.head()
        return status, await self._exactly(length)

    async def send(self, method: str, path: str, body: bytes = b"") -> None:
        head = (
            f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {self._token}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        await self._stream.send_all(head.encode() + body)

    async def head(self) -> tuple[int, int]:
        """Status and content length of the answer."""
        while (end := self._buffer.find(2 * LINE_END)) < 0:
            await self._more()
        lines = self._buffer[:end].lower().split(LINE_END)
        self._buffer = self._buffer[end + 4 :]
        lengths = [int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length:")]
        return int(lines[0].split()[1]), lengths[0] if lengths else 0

    async def _exactly(self, length: int) -> bytes:
        while len(self._buffer) < length:
            await self._more()
        found, self._buffer = self._buffer[:length], self._buffer[length:]
        return found

    async def _more(self) -> None:
        self._buffer += await self.some()

    async def some(self) -> bytes:
        """Whatever comes next. Raises EOFError at the end."""
        data = await self._stream.receive_some(65_536)
        if not data:
            raise EOFError("the node closed the connection")
        return data


class _Clients:
    """All of them, and what they have done. `done`: by what it was."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self.done: Counter[str] = Counter()
        self.pages: list[float] = []

    async def _connect(self) -> Connection:
        return Connection(await trio.open_tcp_stream("127.0.0.1", self._load.port), self._load.token)

    async def lists(self, first: int) -> None:
        """Ask for pages of 50 without pause."""
        connection, number = await self._connect(), first
        while True:
            began = time.perf_counter()
            status, _ = await connection.ask("GET", f"/api/tasks?limit=50{SORTS[number % len(SORTS)]}")
            self.pages.append(time.perf_counter() - began)
            self.done["pages" if status == 200 else "refusals"] += 1
            number += 1

    async def follows(self) -> None:
        """Follow the live events; they are counted, not read."""
        connection = await self._connect()
        await connection.send("GET", f"/api/events{self._load.query}")
        status, _ = await connection.head()
        self.done["followers" if status == 200 else "refusals"] += 1
        while True:
            data = await connection.some()
            self.done["events"] += data.count(b"\nevent: ")
            self.done["event bytes"] += len(data)

    async def scrapes(self) -> None:
        """Read the metrics every second."""
        connection = await self._connect()
        while True:
            status, _ = await connection.ask("GET", "/metrics")
            self.done["scrapes" if status == 200 else "refusals"] += 1
            await trio.sleep(1.0)

    async def imports(self) -> None:
        """Import tasks that are not due, file after file."""
        connection = await self._connect()
        for start in range(0, self._load.imported, IMPORTED_AT_ONCE):
            numbers = range(start, min(start + IMPORTED_AT_ONCE, self._load.imported))
            status, answer = await connection.ask("POST", "/api/apply", _file(numbers))
            if status != 200:
                raise RuntimeError(answer.decode())
            self.done["imported"] += len(numbers)


def _file(numbers: range) -> bytes:
    tasks = [
        {"name": f"imported {number}", "taskType": "bench.idle", "trigger": {"cron": "0 3 1 1 *"}} for number in numbers
    ]
    text = json.dumps({"tocsin": 1, "tasks": tasks})
    return json.dumps({"files": [{"name": "tasks.json", "text": text}], "fires": 0}).encode()


async def _until_told(load: Load) -> dict[str, Any]:
    clients = _Clients(load)
    used, began = time.process_time(), time.perf_counter()
    async with trio.open_nursery() as nursery:
        for number in range(load.lists):
            nursery.start_soon(clients.lists, number)
        for _ in range(load.followers):
            nursery.start_soon(clients.follows)
        nursery.start_soon(clients.scrapes)
        nursery.start_soon(clients.imports)
        await trio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)
        nursery.cancel_scope.cancel()
    seconds = time.perf_counter() - began
    pages = sorted(clients.pages)
    return dict(clients.done) | {
        "seconds": seconds,
        "core": (time.process_time() - used) / seconds,
        "page p50": pages[len(pages) // 2] if pages else 0.0,
        "page p99": pages[int(len(pages) * 0.99)] if pages else 0.0,
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(trio.run(_until_told, Load(**json.loads(sys.argv[1])))))
