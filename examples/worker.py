"""A worker for Tocsin's queue over REST, with nothing but Python's own library: a pattern for other languages.

    TOCSIN_URL=http://127.0.0.1:7400 TOCSIN_TOKEN=... python examples/worker.py render

It asks for jobs of the types that are named, one after another, and does them. Kill it at any moment: what it had is done by
the next worker, from the last checkpoint.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import sys
import threading
import time
import traceback
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import quote

URL = os.environ.get("TOCSIN_URL", "http://127.0.0.1:7400")
TOKEN = os.environ.get("TOCSIN_TOKEN", "")
NAME = os.environ.get("WORKER_NAME", f"python-{os.getpid()}")
LEASE = os.environ.get("WORKER_LEASE", "30s")

ANSWER_SECONDS = 40.0
"""Longer than the longest wait for a job, so that the node's answer is the one that is seen."""

AGAIN_SECONDS = 0.5
"""Before something is asked again that had no answer."""


class Stop(Exception):
    """The job is not this worker's any more, or shall be stopped: whatever is being done for it ends."""


class Refused(Exception):
    """The request is wrong, and would be the next time."""


def ask(method: str, path: str, body: dict[str, Any] | None) -> Any:
    """One request. Raises Stop, Refused, OSError."""
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{URL}/api{path}", data=data, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        message = json.load(error)["message"]
        if error.code in (404, 409):
            raise Stop(message) from None
        if error.code < 429:
            raise Refused(message) from None
        raise OSError(message) from None


def surely(method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """The same request until there is an answer. A save that was accepted is accepted again, and counts once."""
    while True:
        try:
            return ask(method, path, body)
        except (OSError, ValueError, http.client.HTTPException) as error:
            print(f"{NAME}: asking again: {error}", file=sys.stderr, flush=True)
            time.sleep(AGAIN_SECONDS)


class Job:
    """What a handler is given: the fields of the job, and the way to say how it is."""

    def __init__(self, given: dict[str, Any]) -> None:
        self.given = given
        self.stopped: str | None = None
        self._over = threading.Event()
        threading.Thread(target=self._beat, daemon=True).start()

    def _beat(self) -> None:
        while not self._over.wait(self.given["leaseSeconds"] / 3):
            try:
                self.say("POST", "/heartbeat", {})
            except (Stop, Refused) as error:
                self.stopped = str(error)
                return

    def say(self, method: str, path: str, body: dict[str, Any]) -> Any:
        """Say something about the job, under its lease."""
        answer = surely(method, f"/queue/jobs/{self.given['job']}{path}", {"lease": self.given["lease"], **body})
        if answer["cancel"] is not None:
            self.stopped = answer["cancel"]
        return answer

    def save(self, **said: Any) -> None:
        """Progress, a checkpoint, lines for the log. Raises Stop when the job shall not go on."""
        self.say("PUT", "", said)
        self.check()

    def check(self) -> None:
        """Raise Stop when the job shall not go on."""
        if self.stopped is not None:
            raise Stop(self.stopped)

    def end(self) -> None:
        """No more signs of life."""
        self._over.set()


def add_up(job: Job) -> dict[str, Any]:
    """The work itself: adds up 1 to `number` in steps of `pause` milliseconds, and goes on where somebody else stopped."""
    number, pause = job.given["parameters"].get("number", 3), job.given["parameters"].get("pause", 0)
    kept = job.given["checkpoint"] or {"done": 0, "total": 0}
    done, total = kept["done"], kept["total"]
    while done < number:
        time.sleep(pause / 1000)
        job.check()
        done += 1
        total += done
        job.save(
            checkpoint={"done": done, "total": total},
            progress={"done": done, "total": number, "step": f"adding {done}"},
        )
    return {"sum": total, "worker": NAME, "fence": job.given["fence"]}


def carry_out(job: Job) -> None:
    """Do a job and say how it ended."""
    try:
        try:
            said: dict[str, Any] = {"status": "completed", "result": add_up(job)}
        except Stop:
            said = {"status": "released"}
        except Exception as error:
            failure = {"type": type(error).__name__, "message": str(error), "traceback": traceback.format_exc()}
            said = {"status": "failed", "error": failure}
        job.say("PUT", "", said)
        print(f"{NAME}: {job.given['task']}: {said['status']}", flush=True)
    except (Stop, Refused) as error:
        print(f"{NAME}: {job.given['task']}: refused: {error}", flush=True)
    finally:
        job.end()


def main(types: list[str]) -> int:
    """Work until SIGTERM."""
    if not types:
        print("usage: worker.py TYPE ...", file=sys.stderr)
        return 2
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    me = f"/queue/workers/{quote(NAME, safe='')}"
    surely("POST", f"{me}/start")
    while not stopping.is_set():
        found = surely("POST", f"{me}/next", {"types": types, "lease": LEASE})["job"]
        if found is not None:
            carry_out(Job(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
