"""PostgreSQL as a child process: a server of its own on loopback, with the durability that it has by default."""

from __future__ import annotations

import os
import pwd
import secrets
import signal
import stat
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Final, Literal

from runtime.errors import Conflict, InvalidRequest, NotFound

from .ports import LOOPBACK, free_port
from .process import Account, ServerProcess

INSTALL_HINT: Final = "apt-get install postgresql"
USER: Final = "tocsin"
DATABASE: Final = "tocsin"

READY_SECONDS: Final = 60.0
"""A start takes 0.1 s; after a crash the server first replays its log."""

STOP_SECONDS: Final = 20.0
"""A fast stop writes a checkpoint; after this it is killed, which loses nothing but time at the next start."""

_TOOL_SECONDS: Final = 60.0
_MAX_CONNECTIONS: Final = 300
"""Ten nodes of a dozen connections, and tests beside them."""

_INSTALLED: Final = Path("/usr/lib/postgresql")

StopMode = Literal["fast", "immediate"]
_SIGNALS: Final[dict[str, signal.Signals]] = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}


class EmbeddedPostgres:
    """A server whose files are all under `directory`; made at the first start, used again at the next.

    It listens on 127.0.0.1 alone and asks for the password of its one user, made at the first start and kept in the file
    `password` for the owner's eyes. PostgreSQL refuses to run as root: then it runs as `postgres` or `nobody`, and the
    directory must be one that they can reach. port: 0 for a free one.
    """

    def __init__(self, directory: Path, port: int = 0) -> None:
        self.directory: Final = directory.absolute()
        self.port: Final = port or free_port()
        self._programs = find_programs()
        self._account = _account()
        self._process = ServerProcess(
            "PostgreSQL",
            [
                str(self._programs / "postgres"), "-D", str(self._data),
                "-c", f"listen_addresses={LOOPBACK}", "-c", f"port={self.port}", "-c", "unix_socket_directories=",
                "-c", f"max_connections={_MAX_CONNECTIONS}",
            ],
            folder=self.directory,
            log=self.directory / "log",
            account=self._account,
        )  # fmt: skip

    @property
    def dsn(self) -> str:
        """The URL of the database `tocsin`, with the password."""
        return self.dsn_of(DATABASE)

    @property
    def running(self) -> bool:
        """Whether its process lives."""
        return self._process.running

    @property
    def pid(self) -> int:
        """The process id of the server; Conflict if it was not started."""
        return self._process.pid

    @property
    def log(self) -> Path:
        """What the server writes."""
        return self._process.log

    def dsn_of(self, database: str) -> str:
        """The URL of a database, with the password."""
        return f"postgresql://{USER}:{self._password()}@{LOOPBACK}:{self.port}/{database}"

    def start(self) -> None:
        """Start it, made ready first if it is new; returns when it takes connections. Raises Conflict with its last words."""
        if not (self._data / "PG_VERSION").exists():
            self._initialize()
        self._process.start()
        self._process.wait_ready(self._takes_connections, READY_SECONDS)
        if DATABASE not in self.databases():
            self.create_database(DATABASE)

    def stop(self, mode: StopMode = "fast") -> None:
        """Stop it. fast: open transactions are aborted. immediate: as a crash, without a checkpoint."""
        self._process.stop(_SIGNALS[mode], STOP_SECONDS)

    def restart(self, mode: StopMode = "fast") -> None:
        """Stop and start on the same port."""
        self.stop(mode)
        self.start()

    def kill(self) -> None:
        """SIGKILL to the server and all that it has forked."""
        self._process.kill()

    def freeze(self) -> None:
        """Stop all of its processes where they are; connections stay open and nothing answers."""
        self._process.freeze()

    def thaw(self) -> None:
        """Let them go on."""
        self._process.thaw()

    def create_database(self, name: str) -> str:
        """A new empty database; its URL."""
        self.execute(f'CREATE DATABASE "{name}"', "postgres")
        return self.dsn_of(name)

    def drop_database(self, name: str) -> None:
        """Remove a database, and who is connected to it."""
        self.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)', "postgres")

    def databases(self) -> list[str]:
        """The names of its databases."""
        return self.execute("SELECT datname FROM pg_database ORDER BY 1", "postgres").split()

    def execute(self, sql: str, database: str = DATABASE) -> str:
        """What psql answers: columns separated by `|`, a row a line. Raises Conflict with what the server says against it."""
        done = subprocess.run(
            [
                str(self._programs / "psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1",
                "-h", LOOPBACK, "-p", str(self.port), "-U", USER, "-d", database, "-c", sql,
            ],
            env=os.environ | {"PGPASSWORD": self._password(), "PGCONNECT_TIMEOUT": "10"},
            capture_output=True, text=True, timeout=_TOOL_SECONDS, check=False,
        )  # fmt: skip
        if done.returncode:
            raise Conflict(f"PostgreSQL: {done.stderr.strip()}")
        return done.stdout.strip()

    def __enter__(self) -> EmbeddedPostgres:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop("immediate")

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    def _password(self) -> str:
        return (self.directory / "password").read_text(encoding="ascii").strip()

    def _initialize(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        password = self.directory / "password"
        password.touch(mode=0o600)
        password.write_text(secrets.token_urlsafe(24) + "\n", encoding="ascii")
        if self._account is not None:
            _check_reachable(self.directory, self._account)
            os.chown(self.directory, self._account.uid, self._account.gid)
            os.chown(password, self._account.uid, self._account.gid)
        account = self._account
        done = subprocess.run(
            [
                str(self._programs / "initdb"), "-D", str(self._data), "-U", USER, f"--pwfile={password}",
                "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8",
            ],
            cwd=self.directory, capture_output=True, text=True, timeout=_TOOL_SECONDS, check=False,
            user=None if account is None else account.uid, group=None if account is None else account.gid,
            extra_groups=None if account is None else [],
        )  # fmt: skip
        if done.returncode:
            raise Conflict(f"initdb: {done.stderr.strip()}")

    def _takes_connections(self) -> bool:
        asked = subprocess.run(
            [str(self._programs / "pg_isready"), "-q", "-t", "5", "-h", LOOPBACK, "-p", str(self.port)], check=False
        )
        return asked.returncode == 0


def find_programs(installed: Path = _INSTALLED) -> Path:
    """The directory of the newest installed server's programs; NotFound says what to install."""
    versions = [path.parent for path in installed.glob("*/bin/postgres")]
    if not versions:
        raise NotFound(f"PostgreSQL is not installed: {INSTALL_HINT}")
    return max(versions, key=lambda path: [int(part) for part in path.parent.name.split(".") if part.isdigit()])


def _account() -> Account | None:
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise NotFound("PostgreSQL does not run as root, and there is neither a user postgres nor nobody")


def let_enter(directory: Path) -> None:
    """Let PostgreSQL's account, if it is not ours, pass through a directory of ours; it still cannot list it."""
    account = _account()
    if account is not None:
        os.chown(directory, -1, account.gid)
        directory.chmod(stat.S_IMODE(directory.stat().st_mode) | stat.S_IXGRP)


def _check_reachable(directory: Path, account: Account) -> None:
    for parent in directory.parents:
        found = parent.stat()
        mine = found.st_uid == account.uid and found.st_mode & stat.S_IXUSR
        ours = found.st_gid == account.gid and found.st_mode & stat.S_IXGRP
        if not (mine or ours or found.st_mode & stat.S_IXOTH):
            name = pwd.getpwuid(account.uid).pw_name
            raise InvalidRequest(
                f"PostgreSQL does not run as root, and the user {name} cannot enter {parent}: choose another data directory"
            )
