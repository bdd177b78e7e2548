"""Node processes for tests: started over a data directory of their own, killed, started again, and read when they are dead."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.e2e.checker import Line
from tests.e2e.record import append
from tocsin.checker.history import Attempt, Execution, Row
from tocsin.client import Client

ROOT = Path(__file__).resolve().parents[2]

START_SECONDS = 180.0
"""A bound against hanging: a node starts within a second or two, and where much else goes on within a minute or two."""

STOP_SECONDS = 120.0
"""Longer than any drain in these tests."""

POLL_SECONDS = 0.02

FINAL = ("COMPLETED", "FAILED", "CANCELLED", "CRASHED", "TIMED_OUT")


class NodeEnded(Exception):
    """The process ended while something was waited for."""


@attrs.define
class NodeProcess:
    """`tocsin up` as a child process, one life after another.

    data: its data directory. modules: what `tocsin up` loads. environment: variables over those of the tests.
    """

    data: Path
    modules: tuple[str, ...] = ()
    environment: dict[str, str] = attrs.field(factory=dict)
    arguments: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None
    lives: int = 0
    exit_code: int | None = None

    def start(self, **variables: str) -> None:
        """Begin a life; does not wait."""
        assert self.process is None, f"life {self.lives} has not ended"
        self.lives += 1
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [*TOCSIN, "up", *self.modules, "--data", str(self.data), "--listen", "127.0.0.1:0", *self.arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                cwd=self.data.parent,
                env=environment(**self.environment, **variables),
            )

    @property
    def log_path(self) -> Path:
        """What the lives wrote to their standard error, one after another."""
        return self.data.with_name(f"{self.data.name}.log")

    def log(self) -> str:
        """The end of the log, for messages."""
        return self.log_path.read_text("utf-8", "replace")[-4000:]

    @property
    def pid(self) -> int:
        """The process of this life."""
        assert self.process is not None
        return self.process.pid

    def wait_ready(self) -> Client:
        """Wait until this life answers. Raises NodeEnded if it ends first."""
        wait_for(self._is_listening, START_SECONDS, "the node to listen", self)
        return Client(data=self.data)

    def _is_listening(self) -> bool:
        try:
            return bool(json.loads((self.data / "node.json").read_text())["pid"] == self.pid)
        except (OSError, ValueError):
            return False

    def up(self, **variables: str) -> Client:
        """Begin a life and wait until it answers."""
        self.start(**variables)
        try:
            return self.wait_ready()
        except NodeEnded as error:
            raise AssertionError(f"{error}\n{self.log()}") from None

    def kill(self) -> int:
        """End the life by SIGKILL, wherever it is. Answers its process id."""
        assert self.process is not None
        self.process.kill()
        return self.reap()

    def terminate(self) -> int:
        """End the life by SIGTERM; answers the exit code."""
        assert self.process is not None
        process = self.process
        process.send_signal(signal.SIGTERM)
        self.reap()
        assert self.exit_code is not None
        return self.exit_code

    def reap(self, seconds: float = STOP_SECONDS) -> int:
        """Wait for the end of the life, whose exit code is then known. Answers its process id."""
        assert self.process is not None
        process = self.process
        try:
            self.exit_code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"the node did not end within {seconds} s\n{self.log()}") from None
        finally:
            self.process = None
        return process.pid

    def clean_up(self) -> None:
        """Whatever happened, no process stays behind."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


TOCSIN = (sys.executable, "-m", "tocsin")


def environment(**variables: str) -> dict[str, str]:
    """The environment of a child: nothing of Tocsin's from outside, and the tree under test."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TOCSIN_")}
    return inherited | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"} | variables


def tocsin(
    data: Path, *arguments: str, expect: int | None = 0, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command of the command line against the node over `data`."""
    done = subprocess.run(
        [*TOCSIN, *arguments],
        env=environment(TOCSIN_DATA=str(data)),
        cwd=cwd or data.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if expect is not None:
        assert done.returncode == expect, f"{arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def wait_for(
    condition: Callable[[], object],
    seconds: float,
    what: str,
    node: NodeProcess | None = None,
    poll: float = POLL_SECONDS,
) -> None:
    """Look again and again until the condition holds. AssertionError when it does not in time, NodeEnded if the node ends."""
    deadline = time.monotonic() + seconds
    while not condition():
        if node is not None and node.process is not None and node.process.poll() is not None:
            raise NodeEnded(f"the node ended with {node.process.returncode} while waiting for {what}")
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}" + (f"\n{node.log()}" if node else "")
        time.sleep(poll)


@contextmanager
def node_process(data: Path, *modules: Path, **variables: str) -> Iterator[NodeProcess]:
    """A node process that does not outlive the block. It is not started yet."""
    node = NodeProcess(data, tuple(str(module) for module in modules), dict(variables))
    try:
        yield node
    finally:
        node.clean_up()


# -- the handlers' own record


class RecordFile:
    """The append-only file in which handlers and harness write what really happened."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, **line: Any) -> None:
        """Add a line; it is on the disk when this returns."""
        append(self.path, {"at": time.time_ns() // 1_000} | line)

    def lines(self) -> list[Line]:
        """All lines, in the order in which they were written."""
        if not self.path.exists():
            return []
        return [Line(**json.loads(text)) for text in self.path.read_text().splitlines()]


# -- the store of a dead node


@attrs.frozen
class StoredTask:
    """A task as the store has it: its trigger as JSON, and how far its ledger reaches."""

    id: str
    name: str
    definition: dict[str, Any]
    created_at: int
    began_at: int
    settled_through: int
    phase: str
    next_fire: int | None
    fence: int


@attrs.frozen
class Ledger:
    """What the store of a dead node holds, read without any of the node's code."""

    tasks: dict[str, StoredTask]
    rows: dict[str, list[Row]]
    executions: dict[str, list[Execution]]


def read_ledger(data: Path) -> Ledger:
    """Read the store in `data`; rows and executions are by task name."""
    with closing(sqlite3.connect(f"file:{data / 'tocsin.db'}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        tasks = {
            row["name"]: StoredTask(
                row["id"],
                row["name"],
                json.loads(row["definition"]),
                row["created_at"],
                row["began_at"],
                row["settled_through"],
                row["phase"],
                row["next_fire"],
                row["fence"],
            )
            for row in connection.execute("SELECT * FROM tasks")
        }
        attempts = _attempts(connection)
        return Ledger(
            tasks,
            {name: _rows(connection, task.id) for name, task in tasks.items()},
            {name: _executions(connection, task.id, attempts) for name, task in tasks.items()},
        )


def _attempts(connection: sqlite3.Connection) -> dict[str, list[Attempt]]:
    found: dict[str, list[Attempt]] = {}
    for row in connection.execute("SELECT * FROM attempts ORDER BY execution_id, number"):
        found.setdefault(row["execution_id"], []).append(
            Attempt(
                row["number"],
                row["fence"],
                row["state"],
                row["started_at"],
                row["ended_at"],
                row["boot"],
                row["node"],
            )
        )
    return found


def _rows(connection: sqlite3.Connection, task_id: str) -> list[Row]:
    single = connection.execute(
        "SELECT nominal, outcome, reason, id FROM executions WHERE task_id = ? AND nominal IS NOT NULL", (task_id,)
    )
    ranges = connection.execute("SELECT first, last, count, outcome, reason FROM settled WHERE task_id = ?", (task_id,))
    return [Row(row["nominal"], row["nominal"], 1, row["outcome"], row["reason"], row["id"]) for row in single] + [
        Row(row["first"], row["last"], row["count"], row["outcome"], row["reason"], None) for row in ranges
    ]


def _executions(connection: sqlite3.Connection, task_id: str, attempts: dict[str, list[Attempt]]) -> list[Execution]:
    found = []
    for row in connection.execute("SELECT * FROM executions WHERE task_id = ? ORDER BY number", (task_id,)):
        tries = list(attempts.get(row["id"], ()))
        if row["attempt"] > len(tries):
            times = row["started_at"], row["ended_at"]
            tries.append(Attempt(row["attempt"], row["fence"], row["state"], *times, row["boot"], row["node"]))
        names = ("id", "created_at", "state", "nominal", "outcome", "reason", "target", "fence", "ended_at")
        values = {name: row[name] for name in names}
        found.append(Execution(**values, lingers=bool(row["lingers"]), attempts=tuple(tries)))
    return found


needs_root = pytest.mark.skipif(os.geteuid() != 0 and not os.environ.get("CI"), reason="mounting needs root")
