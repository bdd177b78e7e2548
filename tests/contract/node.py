"""A node process as an outsider uses it: started by the command line, and asked over HTTP."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self, TypeVar

from tests.contract.client import TaskClient
from tests.e2e.harness import NodeProcess

T = TypeVar("T")

HANDLERS = Path(__file__).with_name("handlers.py")

FAR = datetime.now(UTC).replace(microsecond=0) + timedelta(days=365)
"""When tasks are due that are not to run: a full second."""

WAIT_SECONDS = 60.0
"""A bound against hanging: what is waited for takes a fraction of a second, and longer where much else goes on."""

POLL_SECONDS = 0.02


class Node:
    """A child process over a directory of its own."""

    def __init__(self, directory: Path, config: str = "") -> None:
        self.data = directory / "data"
        self.gates = directory / "gates"
        self.gates.mkdir()
        (directory / "node.toml").write_text(config + '[drain]\ntimeout = "0s"\n')
        self.process = NodeProcess(
            self.data, (str(HANDLERS),), {"GATES": str(self.gates)}, ("--config", str(directory / "node.toml"))
        )

    @contextmanager
    def running(self) -> Iterator[Self]:
        """Start it; the process does not outlive the block."""
        try:
            self.start()
            yield self
            assert self.process.terminate() == 0, self.process.log()
        finally:
            self.process.clean_up()

    def start(self) -> None:
        """Begin a life and wait until it answers."""
        self.process.up().close()

    @property
    def url(self) -> str:
        """Where this life listens."""
        return str(json.loads((self.data / "node.json").read_text())["url"])

    def client(self, token: str | None = None) -> TaskClient:
        """A client with this token; the administrator's, if none is given."""
        return TaskClient(self.url, token or (self.data / "token").read_text().strip(), timeout=WAIT_SECONDS)

    def ask(self, path: str, body: object) -> Any:
        """Ask for what the contract does not have."""
        with self.client() as client:
            response = client.raw("POST", path, json=body)
        assert response.is_success, response.text
        return response.json()

    def add(self, name: str, kind: str, retry: dict[str, Any] | None = None) -> str:
        """Make a task that runs once a day, and get its id."""
        task = {"name": name, "taskType": kind, "trigger": {"every": "1d"}, "policies": {"retry": retry or {}}}
        return str(self.ask("/api/tasks", task)["itemId"])

    def apply(self, tasks: list[dict[str, Any]]) -> dict[str, str]:
        """Make many tasks at once, and get their ids by name."""
        text = json.dumps({"tocsin": 1, "tasks": tasks})
        self.ask("/api/apply", {"files": [{"name": "tasks.json", "text": text}]})
        with self.client() as client:
            found = {str(task.raw["name"]): task.item_id for task in client.iterate(limit=200)}
        return {task["name"]: found[task["name"]] for task in tasks}

    def run(self, task: str) -> None:
        """Run a task now."""
        self.ask(f"/api/tasks/{task}/run", {})

    def add_token(self, role: str) -> str:
        """Make a token with a role."""
        return str(self.ask("/api/tokens", {"name": role, "role": role})["token"])

    def resumed(self) -> list[object]:
        """What the attempts of dataSync were resumed from, one after another."""
        return [json.loads(line) for line in (self.gates / "resumed").read_text().splitlines()]


def eventually(condition: Callable[[], T | None]) -> T:
    """Wait until a condition is true, and get what it says."""
    end = time.monotonic() + WAIT_SECONDS
    while not (result := condition()):
        assert time.monotonic() < end, f"it did not become true within {WAIT_SECONDS} s"
        time.sleep(POLL_SECONDS)
    return result


def once(name: str, kind: str, at: datetime | None = None, **parameters: object) -> dict[str, Any]:
    """A task that runs once, at once if no time is given, and is not tried again when it fails."""
    return {
        "name": name,
        "taskType": kind,
        "trigger": {"kind": "once", "at": (at or datetime.now(UTC)).isoformat()},
        "parameters": parameters,
        "policies": {"retry": {"maxRetries": 0}},
    }


def hourly(name: str, kind: str, on_crash: str = "resume", **parameters: object) -> dict[str, Any]:
    """A task that runs every hour, and is not tried again when it fails."""
    return {
        "name": name,
        "taskType": kind,
        "trigger": {"every": "1h"},
        "parameters": parameters,
        "policies": {"onCrash": on_crash, "retry": {"maxRetries": 0}},
    }
