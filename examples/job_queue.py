"""A queue for Tocsin as a web service: with Python's own library, in one file, to start from.

    TOCSIN_QUEUE_TOKEN=secret python examples/job_queue.py 7500

and in the node's configuration `queue.use = "http://127.0.0.1:7500/queue"` and `queue.token_file = "..."`, a file with the token.

It serves several nodes, each with its own jobs. Of the jobs that wait it gives those of the customer (a parameter) who
has the fewest running, and never more than two of one customer at once. What it forgets when it is killed the nodes tell it
again.
"""

from __future__ import annotations

import hmac
import json
import os
import sys
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import Any

AT_ONCE = 2
"""Of one customer."""

NODES: dict[str, dict[str, dict[str, Any]]] = {}
"""Node -> job -> what is known of it."""

ONE_AT_A_TIME = Lock()


def customer(job: dict[str, Any]) -> str:
    """Whose a job is."""
    return str((job.get("parameters") or {}).get("customer", ""))


def start(node: str) -> None:
    """A node begins: what was known of it is over."""
    NODES[node] = {}


def save(node: str, jobs: list[dict[str, Any]]) -> None:
    """These jobs stand so now."""
    known = NODES.setdefault(node, {})
    for job in jobs:
        if job["state"] == "removed":
            known.pop(job["job"], None)
        else:
            known[job["job"]] = known.get(job["job"], {}) | job


def next_jobs(node: str, count: int) -> list[str]:
    """Who is next, at most so many."""
    jobs = list(NODES.get(node, {}).values())
    running = Counter(customer(job) for job in jobs if job["state"] == "running")
    waiting = sorted((job for job in jobs if job["state"] == "waiting"), key=lambda job: job["job"])
    given: list[str] = []
    while len(given) < count:
        able = [job for job in waiting if running[customer(job)] < AT_ONCE and job["job"] not in given]
        if not able:
            break
        chosen = min(able, key=lambda job: running[customer(job)])
        running[customer(chosen)] += 1
        given.append(chosen["job"])
    return given


def list_jobs(node: str) -> list[str]:
    """All that may be given some time."""
    return [key for key, job in NODES.get(node, {}).items() if job["state"] == "waiting"]


def delete(node: str, task: str) -> None:
    """A task is gone."""
    NODES[node] = {key: job for key, job in NODES.get(node, {}).items() if job["taskId"] != task}


def update(node: str, task: str, facts: dict[str, Any]) -> None:
    """A task is another one."""
    for job in NODES.get(node, {}).values():
        if job["taskId"] == task:
            job.update(facts)


def answer(verb: str, said: dict[str, Any]) -> dict[str, Any]:
    """What a verb answers. Raises KeyError or TypeError for what makes no sense."""
    node = said["node"]
    match verb:
        case "start":
            start(node)
        case "save":
            save(node, said["jobs"])
        case "next":
            return {"jobs": next_jobs(node, said["count"])}
        case "list":
            return {"jobs": list_jobs(node)}
        case "data":
            return {"job": NODES.get(node, {}).get(said["job"])}
        case "delete":
            delete(node, said["task"])
        case "rename":
            update(node, said["task"], {"task": said["name"]})
        case "update":
            update(node, said["task"], said["facts"])
        case "flush":
            pass
        case _:
            raise KeyError(verb)
    return {}


class Handler(BaseHTTPRequestHandler):
    """One request after another of each connection."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """A verb is the last part of the path."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        wanted = f"Bearer {os.environ.get('TOCSIN_QUEUE_TOKEN', '')}"
        if not hmac.compare_digest(self.headers.get("Authorization", "").encode(), wanted.encode()):
            self.reply(401, {"error": "a token is needed"})
            return
        try:
            with ONE_AT_A_TIME:
                found = answer(self.path.rpartition("/")[2], json.loads(body))
        except (KeyError, TypeError, ValueError) as error:
            self.reply(400, {"error": repr(error)})
        else:
            self.reply(200, found)

    def reply(self, status: int, found: dict[str, Any]) -> None:
        """Answer with JSON."""
        body = json.dumps(found).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


def main() -> None:
    """Serve until killed."""
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 7500), Handler)
    server.daemon_threads = True
    print(f"http://127.0.0.1:{server.server_address[1]}/queue", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
