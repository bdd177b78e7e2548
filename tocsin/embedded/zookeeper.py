"""ZooKeeper as child processes: one server, or an ensemble, with a tick short enough for quick sessions."""

from __future__ import annotations

import shutil
import signal
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final

from runtime.errors import Conflict, InvalidRequest, NotFound

from .ports import LOOPBACK, free_port
from .process import POLL_SECONDS, ServerProcess

INSTALL_HINT: Final = "apt-get install zookeeper default-jre-headless libslf4j-java"

TICK_MS: Final = 500
"""Sessions are looked at once per tick, and none is shorter than two."""

MIN_SESSION_MS: Final = 1_000
MAX_SESSION_MS: Final = 60_000

READY_SECONDS: Final = 60.0
"""A server is up in half a second, an ensemble in two; more where many things start at once."""

STOP_SECONDS: Final = 5.0
WORD_SECONDS: Final = 1.0
"""How long a server has to answer a four-letter word."""

_JARS: Final = (Path("/usr/share/java/zookeeper.jar"), Path("/usr/share/java/slf4j-simple.jar"))
_FLAGS: Final = (
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    "-Xmx128m",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
)
"""For a server that starts fast and does little."""

_SETTINGS: Final = {
    "4lw.commands.whitelist": "*",
    "admin.enableServer": "false",
    "maxClientCnxns": "0",
    "preAllocSize": "4096",
    "autopurge.purgeInterval": "1",
}
"""No HTTP server, no limit of connections from the one address that all come from, 4 MiB of log at a time, old files removed."""

_INIT_TICKS: Final = 20
_SYNC_TICKS: Final = 4
"""A follower that has not heard of its leader for two seconds begins an election: within the shortest usual session."""


class ZooKeeperServer:
    """One server; made by `EmbeddedZooKeeper`. `number` counts from 1; `address` is what clients connect to."""

    def __init__(self, number: int, client_port: int, folder: Path) -> None:
        self.number: Final = number
        self.client_port: Final = client_port
        self._process = ServerProcess(
            f"ZooKeeper server {number}",
            [
                find_java(), *_FLAGS, "-cp", ":".join(map(str, find_jars())),
                "org.apache.zookeeper.server.quorum.QuorumPeerMain", str(folder / "zoo.cfg"),
            ],
            folder=folder,
            log=folder / "log",
        )  # fmt: skip

    @property
    def address(self) -> str:
        """HOST:PORT for clients."""
        return f"{LOOPBACK}:{self.client_port}"

    @property
    def running(self) -> bool:
        """Whether its process lives."""
        return self._process.running

    @property
    def pid(self) -> int:
        """Its process id; Conflict if it was not started."""
        return self._process.pid

    @property
    def log(self) -> Path:
        """What the server writes."""
        return self._process.log

    def start(self, *, wait: bool = True) -> None:
        """Start it. wait: until it serves, which in an ensemble takes a majority."""
        self._process.start()
        if wait:
            self.wait_ready()

    def wait_ready(self, seconds: float = READY_SECONDS) -> None:
        """Wait until it serves clients; Conflict with its last words if it does not."""
        self._process.wait_ready(lambda: bool(self.mode()), seconds)

    def stop(self) -> None:
        """End it in order; sessions live on at other servers, or until the next start."""
        self._process.stop(signal.SIGTERM, STOP_SECONDS)

    def restart(self) -> None:
        """Stop and start, and wait until it serves."""
        self.stop()
        self.start()

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()

    def freeze(self) -> None:
        """SIGSTOP: connections stay open and nothing answers."""
        self._process.freeze()

    def thaw(self) -> None:
        """SIGCONT."""
        self._process.thaw()

    def ask(self, word: str, seconds: float = WORD_SECONDS) -> str:
        """What it answers to a four-letter word (`ruok`, `srvr`, `mntr`, `cons`, `dump`); empty if it does not answer."""
        answer = b""
        try:
            with socket.create_connection((LOOPBACK, self.client_port), timeout=seconds) as connection:
                connection.sendall(word.encode("ascii"))
                while part := connection.recv(65_536):
                    answer += part
        except OSError:
            return ""
        return answer.decode("utf-8", "replace")

    def mode(self) -> str:
        """leader, follower or standalone; empty while it does not serve."""
        for line in self.ask("srvr").splitlines():
            if line.startswith("Mode: "):
                return line.removeprefix("Mode: ")
        return ""


class EmbeddedZooKeeper:
    """One server or an ensemble whose files are all under `directory`. Clients need no password: it listens on 127.0.0.1 alone.

    ports: of the servers' clients, in order; free ones where none are given. settings: further lines of `zoo.cfg`.
    """

    def __init__(
        self,
        directory: Path,
        servers: int = 1,
        *,
        tick_ms: int = TICK_MS,
        min_session_ms: int = MIN_SESSION_MS,
        ports: tuple[int, ...] = (),
        settings: Mapping[str, str] | None = None,
    ) -> None:
        if servers < 1 or servers % 2 == 0:
            raise InvalidRequest(f"servers: an odd number, so that there is a majority, not {servers}")
        self.directory: Final = directory.absolute()
        numbers = range(1, servers + 1)
        peers = [
            f"server.{number}={LOOPBACK}:{free_port()}:{free_port()}" for number in numbers if servers > 1
        ]  # fmt: skip
        made = []
        for number, port in zip(numbers, [*ports, *(free_port() for _ in numbers[len(ports) :])], strict=True):
            folder = self.directory / f"server-{number}"
            lines = _SETTINGS | {
                "dataDir": str(folder / "data"),
                "clientPort": str(port),
                "clientPortAddress": LOOPBACK,
                "tickTime": str(tick_ms),
                "minSessionTimeout": str(min_session_ms),
                "maxSessionTimeout": str(MAX_SESSION_MS),
                "initLimit": str(_INIT_TICKS),
                "syncLimit": str(_SYNC_TICKS),
                **(settings or {}),
            }
            (folder / "data").mkdir(parents=True, exist_ok=True)
            text = "".join(f"{line}\n" for line in [*(f"{key}={value}" for key, value in lines.items()), *peers])
            (folder / "zoo.cfg").write_text(text, encoding="utf-8")
            (folder / "data" / "myid").write_text(f"{number}\n", encoding="ascii")
            made.append(ZooKeeperServer(number, port, folder))
        self.servers: Final = tuple(made)

    @property
    def addresses(self) -> tuple[str, ...]:
        """HOST:PORT of each server."""
        return tuple(server.address for server in self.servers)

    def start(self) -> None:
        """Start those servers that do not run; returns when all of them serve."""
        for server in self.servers:
            if not server.running:
                server.start(wait=False)
        for server in self.servers:
            server.wait_ready()

    def stop(self) -> None:
        """End all servers in order."""
        for server in self.servers:
            server.stop()

    def kill(self) -> None:
        """SIGKILL to all servers."""
        for server in self.servers:
            server.kill()

    def leader(self, seconds: float = READY_SECONDS) -> ZooKeeperServer:
        """The server that leads (the only one, if there is one); waits for an election."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for server in self.servers:
                if server.running and server.mode() in ("leader", "standalone"):
                    return server
            time.sleep(POLL_SECONDS)
        raise Conflict(f"no ZooKeeper server leads after {seconds:g} s")

    def followers(self) -> tuple[ZooKeeperServer, ...]:
        """The servers that follow now."""
        return tuple(server for server in self.servers if server.running and server.mode() == "follower")

    def __enter__(self) -> EmbeddedZooKeeper:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.kill()


def find_java() -> str:
    """The Java runtime; NotFound says what to install."""
    found = shutil.which("java")
    if found is None:
        raise NotFound(f"no Java runtime is installed: {INSTALL_HINT}")
    return found


def find_jars(jars: tuple[Path, ...] = _JARS) -> tuple[Path, ...]:
    """The server and its logging as archives; NotFound says what to install."""
    missing = [str(path) for path in jars if not path.is_file()]
    if missing:
        raise NotFound(f"ZooKeeper is not installed, {' and '.join(missing)} missing: {INSTALL_HINT}")
    return jars
