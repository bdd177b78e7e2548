"""People at work while the cluster suffers: on each node one who makes, runs, edits and cancels tasks, and resumes what is held.

What was answered is remembered as acknowledged; a request without an answer may have been carried out, or not.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import partial

import attrs

from runtime.errors import Conflict, InvalidRequest, NotFound, TocsinError
from tests.cluster.harness import Cluster
from tests.cluster.workload import Planned
from tests.e2e.harness import wait_for
from tocsin.checker.history import Request
from tocsin.client import Client

PACE_SECONDS = (0.1, 0.5)
"""Between two requests of one operator."""

MAKE_SECONDS = 60.0

TYPES = ("brief", "lasting", "marked", "failing", "in a thread", "in a process", "long")


def now() -> int:
    """Microseconds."""
    return time.time_ns() // 1_000


@attrs.define
class Asked:
    """What was asked for.

    requests: all of it, as the checker takes it. added: tasks that run once and were answered; tried: all of those. cancelled:
    tasks that are. edits: task -> the numbers of its acknowledged edits, and of all.
    """

    added: list[str] = attrs.field(factory=list)
    tried: list[str] = attrs.field(factory=list)
    cancelled: set[str] = attrs.field(factory=set)
    edits: dict[str, list[int]] = attrs.field(factory=dict)
    tried_edits: dict[str, list[int]] = attrs.field(factory=dict)
    requests: list[Request] = attrs.field(factory=list)
    answered: int = 0
    failed: int = 0

    @contextmanager
    def asking(self, verb: str, task: str, key: list[str] | None = None) -> Iterator[None]:
        """One request, written down with what came of it. key: into which the id of an execution is put."""
        since = now()
        answer = "unknown"
        try:
            yield
            answer = "ok"
        except (Conflict, InvalidRequest, NotFound):
            answer = "refused"
            raise
        finally:
            self.requests.append(
                Request(verb, task, since, None if answer == "unknown" else now(), answer, *(key or ()))
            )


class Operators:
    """One thread per node. `errors`: what went wrong in them, other than that a node did not do what was asked."""

    def __init__(self, cluster: Cluster, rng: random.Random, planned: list[Planned]) -> None:
        self.cluster = cluster
        self.asked = Asked()
        self.errors: list[BaseException] = []
        self._planned = planned
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._seeds = {name: rng.random() for name in cluster.nodes}
        self._ids: dict[str, str] = {}

    def make_tasks(self) -> None:
        """All of the workload, each over another node."""
        with ExitStack() as stack:
            clients = [stack.enter_context(self.cluster.client(name)) for name in self.cluster.nodes]
            for number, one in enumerate(self._planned):
                client = clients[number % len(clients)]
                wait_for(partial(self._make, client, one), MAKE_SECONDS, f"{one.name} to be made", poll=0.5)

    def _make(self, client: Client, one: Planned) -> bool:
        """Also where a machine is so slow that a request goes without an answer."""
        try:
            with suppress(Conflict):
                client.call("add_task", body=one.body)
            self._ids[one.name] = client.call("find_task", reference=one.name)["itemId"]
        except TocsinError:
            return False
        return True

    def start(self) -> None:
        """Begin to work."""
        names = sorted(self.cluster.nodes)
        for number, name in enumerate(names):
            # Each has tasks of his own to edit and to cancel: what he was answered last holds.
            own = self._planned[number :: len(names)]
            thread = threading.Thread(target=self._work, args=(name, own), name=f"operator of {name}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """Until everybody has stopped. May be called again."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        if self.errors:
            raise self.errors[0]

    def _work(self, name: str, own: list[Planned]) -> None:
        try:
            self._work_on(name, own)
        except BaseException as error:
            self.errors.append(error)

    def _work_on(self, name: str, own: list[Planned]) -> None:
        rng = random.Random(self._seeds[name])
        while not self._stop.wait(rng.uniform(*PACE_SECONDS)):
            try:
                with self.cluster.client(name) as client:
                    while not self._stop.wait(rng.uniform(*PACE_SECONDS)):
                        self._ask(client, name, rng, own)
                        self.asked.answered += 1
            except TocsinError:
                self.asked.failed += 1

    def _ask(self, client: Client, name: str, rng: random.Random, own: list[Planned]) -> None:
        match rng.choices(["run", "add", "edit", "cancel", "resume"], [6, 3, 4, 0.4, 1])[0]:
            case "run":
                task = rng.choice([one.name for one in self._planned if one.use == "run"])
                made: list[str] = []
                with self.asked.asking("run", task, made):
                    made.append(client.call("run_task", task=self._ids[task])["id"])
            case "add":
                self._add(client, name, rng)
            case "edit":
                self._edit(client, rng.choice([one.name for one in own if one.use == "edit"]), rng)
            case "cancel":
                self._cancel(client, [one.name for one in own if one.use == "cancel"])
            case "resume":
                resume_held(client, self.asked)

    def _add(self, client: Client, name: str, rng: random.Random) -> None:
        task = f"added {len(self.asked.tried)} over {name}"
        self.asked.tried.append(task)
        trigger = {"after": f"{rng.randrange(1, 4_000)}ms"}
        with self.asked.asking("create", task):
            client.call("add_task", body={"name": task, "taskType": "brief", "trigger": trigger, "policies": ADDED})
        self.asked.added.append(task)

    def _edit(self, client: Client, task: str, rng: random.Random) -> None:
        tried = self.asked.tried_edits.setdefault(task, [0])
        number = tried[-1] + 1
        tried.append(number)
        every = f"{rng.randrange(1_500, 3_000)}ms"
        body = {"parameters": {"edit": number}} | ({"trigger": {"every": every}} if rng.random() < 0.5 else {})
        with self.asked.asking("edit", task):
            client.call("edit_task", task=self._ids[task], body=body)
        self.asked.edits.setdefault(task, []).append(number)

    def _cancel(self, client: Client, names: list[str]) -> None:
        left = [task for task in names if task not in self.asked.cancelled]
        if left:
            with self.asked.asking("cancel", left[0]):
                client.call("cancel_task", task=self._ids[left[0]])
            self.asked.cancelled.add(left[0])


ADDED = {"retry": {"maxRetries": 50, "delay": "200ms"}}


def resume_held(client: Client, asked: Asked) -> None:
    """Let everything go on that is held after a crash."""
    for task in client.tasks(status="CRASHED"):
        with suppress(TocsinError), asked.asking("resume", task["name"]):
            client.call("resume_task", task=task["itemId"])


def pause_all(cluster: Cluster) -> int:
    """Let nothing new begin, each node taking its share. Answers when all that was due before had to be settled."""
    since = now()
    with cluster.client(cluster.living()[0]) as client:
        left = [task["itemId"] for task in client.tasks() if task["phase"] == "active" and task["taskType"] in TYPES]
    names = cluster.living()
    with ThreadPoolExecutor() as pool:
        list(pool.map(partial(_pause_some, cluster), names, [left[n :: len(names)] for n in range(len(names))]))
    return since


def _pause_some(cluster: Cluster, name: str, tasks: list[str]) -> None:
    with cluster.client(name) as client:
        for task in tasks:
            wait_for(partial(_pause, client, task), MAKE_SECONDS, f"{task} to pause")


def _pause(client: Client, task: str) -> bool:
    try:
        client.call("pause_task", task=task)
    except TocsinError:
        return client.call("show_task", task=task)["phase"] != "active"
    return True
