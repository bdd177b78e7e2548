"""The servers that contenders need, as child processes that end with this one."""

from __future__ import annotations

import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Final

from runtime.errors import NotFound
from tocsin.embedded.ports import LOOPBACK, free_port
from tocsin.embedded.postgres import EmbeddedPostgres
from tocsin.embedded.process import ServerProcess

DISK: Final = Path("/var/tmp")
"""Kept over a restart, so it is a disk; /tmp may be memory, where a sync to disk costs nothing."""

REDIS_SECONDS: Final = 20.0


@contextmanager
def directory_on_disk() -> Iterator[Path]:
    """A new directory that the servers' own users can enter."""
    directory = Path(tempfile.mkdtemp(prefix="tocsin-peers-", dir=DISK))
    directory.chmod(0o755)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


class Redis:
    """Redis with an append-only file that is synced each second, which is what is advised for queues."""

    def __init__(self, directory: Path) -> None:
        program = shutil.which("redis-server")
        if program is None:
            raise NotFound("Redis is not installed: apt-get install redis-server")
        directory.mkdir()
        self._port: Final = free_port()
        self.url: Final = f"redis://{LOOPBACK}:{self._port}"
        settings = {
            "bind": LOOPBACK,
            "port": str(self._port),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
        }
        arguments = [word for key, value in settings.items() for word in (f"--{key}", value)]
        self._process = ServerProcess("Redis", [program, *arguments], folder=directory, log=directory / "log")

    def empty(self) -> None:
        """Remove everything in it."""
        self._ask("FLUSHALL")

    def __enter__(self) -> Redis:
        self._process.start()
        self._process.wait_ready(self._answers, REDIS_SECONDS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.stop(signal.SIGTERM, REDIS_SECONDS)

    def _answers(self) -> bool:
        with suppress(OSError):
            return self._ask("PING") == "+PONG"
        return False

    def _ask(self, command: str) -> str:
        with socket.create_connection((LOOPBACK, self._port), REDIS_SECONDS) as link:
            link.sendall(f"{command}\r\n".encode("ascii"))
            return link.recv(100).decode("ascii").strip()


class Servers:
    """Starts each server when a contender first asks for it; they end with the block."""

    def __init__(self) -> None:
        self._stack: Final = ExitStack()
        self._directory: Final = self._stack.enter_context(directory_on_disk())
        self._postgres: EmbeddedPostgres | None = None
        self._redis: Redis | None = None

    @contextmanager
    def lend(self, wanted: str) -> Iterator[dict[str, str]]:
        """An empty database of the server (`postgres` or `redis`; nothing for ``), as options for a contender."""
        if wanted == "postgres":
            if self._postgres is None:
                self._postgres = self._stack.enter_context(EmbeddedPostgres(self._directory / "postgres"))
            url = self._postgres.create_database("contender")
            try:
                yield {"dsn": url}
            finally:
                self._postgres.drop_database("contender")
        elif wanted == "redis":
            if self._redis is None:
                self._redis = self._stack.enter_context(Redis(self._directory / "redis"))
            self._redis.empty()
            yield {"redis": self._redis.url}
        else:
            yield {}

    def __enter__(self) -> Servers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()
