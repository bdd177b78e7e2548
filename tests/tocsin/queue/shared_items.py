"""Two workers in two languages share the items of a queue while one of them is killed or frozen every few seconds.

    python -m tests.tocsin.queue.shared_items --items 10000

Checked at the end, from what the store has: every item was completed, by exactly one attempt, the newest; and its result is that
attempt's own. Beside them somebody keeps what he has taken until it was taken over, and then tries to save it: always refused.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import attrs

from runtime.errors import StaleFence
from tests.tocsin.conftest import Running, settings
from tocsin.client import Client

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
COMMANDS = {
    "javascript": ["node", str(EXAMPLES / "worker.js")],
    "python": [sys.executable, str(EXAMPLES / "worker.py")],
}
KIND = "adding"
LEASE = "2s"
FROZEN_SECONDS = 3.0
"""Longer than the lease, so that what a frozen worker says when it is let go is stale."""


@attrs.define
class Found:
    """What the run showed."""

    items: int
    completed: int = 0
    wrong: list[str] = attrs.field(factory=list)
    kills: int = 0
    freezes: int = 0
    stale_tried: int = 0
    stale_accepted: int = 0
    attempts: int = 0
    by_worker: dict[str, int] = attrs.field(factory=dict)
    seconds: float = 0.0


@attrs.define
class Workers:
    """The two workers, as processes that are started again under their names."""

    url: str
    token: str
    log: Path
    running: dict[str, subprocess.Popen[bytes]] = attrs.field(factory=dict)

    def start(self, name: str) -> None:
        environment = {
            "PATH": os.environ["PATH"],
            "TOCSIN_URL": self.url,
            "TOCSIN_TOKEN": self.token,
            "WORKER_NAME": name,
            "WORKER_LEASE": LEASE,
        }
        with self.log.open("ab") as log:
            command = [*COMMANDS[name], KIND]
            self.running[name] = subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    def kill(self, name: str) -> None:
        self.running[name].kill()
        self.running[name].wait(30)

    def stop(self) -> None:
        for process in self.running.values():
            process.kill()
            process.wait(30)


def add_items(client: Client, count: int, pause: int) -> list[str]:
    """The items, each a task that runs once."""
    return [
        client.call(
            "add_task",
            body={
                "name": f"item {number}",
                "taskType": f"worker:{KIND}",
                "trigger": {"after": "0s"},
                "parameters": {"number": number % 3, "pause": pause},
                "policies": {"retry": {"maxRetries": 20, "delay": "0s"}},
            },
        )["itemId"]
        for number in range(count)
    ]


def cling(url: str, token: str, found: Found, over: threading.Event) -> None:
    """Take an item, have it taken over, and try to save it all the same."""
    seen = set()
    with Client(url, token) as client:
        while not over.is_set():
            job = client.call("queue_next", worker="clinging", body={"types": [KIND], "wait": "100ms", "lease": "30s"})[
                "job"
            ]
            if job is None:
                over.wait(0.2)
                continue
            if job["job"] in seen:
                # What crashes again and again is held, as it should be.
                client.call("queue_save", job=job["job"], body={"lease": job["lease"], "status": "released"})
                over.wait(0.5)
                continue
            seen.add(job["job"])
            client.call("queue_start", worker="clinging")
            for said in ({"status": "completed", "result": "stale"}, {"checkpoint": {"done": 99, "total": 99}}, {}):
                found.stale_tried += 1
                try:
                    client.call("queue_save", job=job["job"], body={"lease": job["lease"], **said})
                    found.stale_accepted += 1
                except StaleFence:
                    continue
            over.wait(0.5)


def disturb(workers: Workers, found: Found, chance: random.Random, every: float, over: threading.Event) -> None:
    """Kill one of the workers and start it again, or freeze it for longer than its lease."""
    while not over.wait(every * chance.uniform(0.5, 1.5)):
        name = chance.choice(sorted(workers.running))
        if chance.random() < 0.7:
            workers.kill(name)
            workers.start(name)
            found.kills += 1
        else:
            process = workers.running[name]
            process.send_signal(signal.SIGSTOP)
            over.wait(FROZEN_SECONDS)
            process.send_signal(signal.SIGCONT)
            found.freezes += 1


def check(client: Client, ids: list[str], found: Found) -> None:
    """What the store has of each item."""
    for number, task_id in enumerate(ids):
        task = client.call("show_task", task=task_id)
        if task["status"] != "COMPLETED" or task["lastExecution"] is None:
            found.wrong.append(f"item {number}: {task['status']}, {task['lastFailure']}")
            continue
        detail = client.call("show_execution", execution=task["lastExecution"])
        attempts, result = detail["attempts"], detail["result"]
        found.attempts += len(attempts)
        completed = [one for one in attempts if one["state"] == "COMPLETED"]
        upto = number % 3
        good = (
            len(completed) == 1
            and completed[0] == attempts[-1]
            and completed[0]["fence"] == max(one["fence"] for one in attempts)
            and result["fence"] == completed[0]["fence"]
            and result["sum"] == upto * (upto + 1) // 2
            and task["runs"] == 1
            and task["completed"] == 1
        )
        if good:
            found.completed += 1
            found.by_worker[result["worker"]] = found.by_worker.get(result["worker"], 0) + 1
        else:
            found.wrong.append(f"item {number}: {attempts}, {result}")


def share(data: Path, *, items: int, every: float, pause: int, seed: int, seconds: float) -> Found:
    """Run it all. every: seconds between two disturbances. seconds: bound against hanging."""
    node = Running(data / "node")
    node.start(settings(node.data))
    found = Found(items)
    workers = Workers(node.url, node.token, data / "workers.log")
    over = threading.Event()
    helpers = [
        threading.Thread(target=cling, args=(node.url, node.token, found, over)),
        threading.Thread(target=disturb, args=(workers, found, random.Random(seed), every, over)),
    ]
    began = time.monotonic()
    try:
        with Client(node.url, node.token) as client:
            for name in COMMANDS:
                workers.start(name)
            for helper in helpers:
                helper.start()
            ids = add_items(client, items, pause)
            _until_done(client, items, began + seconds)
            found.seconds = time.monotonic() - began
            over.set()
            for helper in helpers:
                helper.join(60)
            check(client, ids, found)
    finally:
        over.set()
        workers.stop()
        node.stop()
    return found


def _until_done(client: Client, items: int, deadline: float) -> None:
    while client.call("list_tasks", type=f"worker:{KIND}", status="COMPLETED", limit=1)["totalSize"] < items:
        if time.monotonic() > deadline:
            return
        time.sleep(0.2)


def main() -> int:
    """By command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--every", type=float, default=3.0)
    parser.add_argument("--pause", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=3_600.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        found = share(
            Path(directory),
            items=given.items,
            every=given.every,
            pause=given.pause,
            seed=given.seed,
            seconds=given.seconds,
        )
        sys.stdout.write(f"{found}\n{(Path(directory) / 'workers.log').read_text()[-2_000:]}")
    return 0 if found.completed == found.items and not found.stale_accepted else 1


if __name__ == "__main__":
    sys.exit(main())
