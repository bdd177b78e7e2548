"""Two hundred tasks of all kinds, as the bodies with which a client makes them, and what the judge has to know of each."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import attrs

Body = dict[str, Any]

NODES = ("n1", "n2", "n3")
LABELS = {"n1": "zone=a", "n2": "zone=a", "n3": "zone=b"}


@attrs.frozen
class Planned:
    """A task as it is asked for.

    alone: overlap lets no two of its executions run at once. key: (concurrency key, limit). nodes: where it may run. use: what
    the operators do with it: `run`, `edit`, `cancel`, or nothing.
    """

    name: str
    type: str
    trigger: Body
    policies: Body = attrs.field(factory=dict)
    parameters: Body = attrs.field(factory=dict)
    placement: Any = None
    nodes: tuple[str, ...] = NODES
    use: str = ""

    @property
    def body(self) -> Body:
        """What `add_task` takes."""
        body = {"name": self.name, "taskType": self.type, "trigger": self.trigger, "parameters": self.parameters}
        return body | {"policies": self.policies} | ({"placement": self.placement} if self.placement else {})

    @property
    def alone(self) -> bool:
        """Whether no two of its executions may run at once, on the same node where it runs on all."""
        return self.policies.get("overlap", "skip") != "allow"

    @property
    def everywhere(self) -> bool:
        """Whether each slot runs on every node."""
        return self.placement == "all"

    @property
    def key(self) -> tuple[str, int] | None:
        """The concurrency key and its limit."""
        concurrency = self.policies.get("concurrency")
        return None if concurrency is None else (concurrency["key"], concurrency["limit"])

    @property
    def holds(self) -> bool:
        """Whether it stays CRASHED until somebody resumes it."""
        return self.policies.get("onCrash") == "hold"


WORK: Final = """
import json
for number in range(120_000):
    json.loads(json.dumps({"kind": "start", "fence": number, "at": 1795331469665658}))
"""
"""What each of four processes does to measure the machine."""

USUAL_SECONDS: Final = 2.0
"""How long that takes on the two idle cores for which the workload was made."""

SLOWEST: Final = 4.0
"""The most by which the load is made less: a storm of four minutes still has far more than 5,000 nominal times."""


def slowness() -> float:
    """By which this machine, as busy as it is just now, is slower than the one that the workload was made on; 1 to `SLOWEST`.

    Overload makes everything late and nothing wrong, so a storm would have to hold at any load; but what waits for minutes is
    not under fault.
    """
    began = time.monotonic()
    for one in [subprocess.Popen([sys.executable, "-S", "-c", WORK]) for _ in range(4)]:
        assert one.wait() == 0
    return min(max(1.0, (time.monotonic() - began) / USUAL_SECONDS), SLOWEST)


RETRY = {"maxRetries": 50, "delay": "200ms"}
"""Crashes count against the retries of what has no checkpoint; here they must not use them up."""


def every(seconds: float) -> Body:
    """A fixed rate."""
    return {"every": f"{round(seconds * 1000)}ms"}


def tasks(scale: float = 1.0) -> list[Planned]:
    """The workload. scale: by which intervals are longer, for machines that are slower than the one it was made on."""
    return [attrs.evolve(one, policies={"retry": RETRY} | one.policies) for one in _tasks(scale)]


def _tasks(scale: float) -> Iterator[Planned]:
    yield from (Planned(f"tick {n}", "brief", every(0.8 * scale)) for n in range(30))
    yield from (Planned(f"quick {n}", "brief", every(0.4 * scale)) for n in range(4))
    yield from (Planned(f"cron {n}", "brief", {"cron": "* * * * * *"}) for n in range(10))
    yield from (Planned(f"even cron {n}", "brief", {"cron": "*/2 * * * * *"}) for n in range(10))
    yield from (Planned(f"thread {n}", "in a thread", every(2 * scale)) for n in range(8))
    yield from (Planned(f"process {n}", "in a process", every(20 * scale)) for n in range(3))
    yield from (Planned(f"failing {n}", "failing", every(4 * scale), parameters={"attempts": 1}) for n in range(8))
    yield from _caught_up(scale)
    yield from _overlapping(scale)
    yield from _limited(scale)
    yield from _placed(scale)
    yield from _long(scale)
    yield from _single()
    yield from _operated(scale)


def _caught_up(scale: float) -> Iterator[Planned]:
    for policy in ("all", "skip", "earliest"):
        for n in range(8):
            yield Planned(f"catch up {policy} {n}", "brief", every(2 * scale), {"catchUp": policy})


def _overlapping(scale: float) -> Iterator[Planned]:
    """Each lasts longer than its interval."""
    for policy in ("skip", "queue", "queue_all", "allow", "replace"):
        for n in range(4):
            body = {"overlap": policy} | ({"overlapLimit": 3} if policy == "queue_all" else {})
            yield Planned(f"overlap {policy} {n}", "lasting", every(3 * scale), body, {"seconds": 3.4 * scale})


def _limited(scale: float) -> Iterator[Planned]:
    for key, limit in (("one", 1), ("two", 2), ("three", 3)):
        for n in range(6):
            policies = {"concurrency": {"key": key, "limit": limit}}
            yield Planned(f"key {key} {n}", "lasting", every(6 * scale), policies, {"seconds": 0.15})


def _placed(scale: float) -> Iterator[Planned]:
    for n in range(4):
        yield Planned(f"on all {n}", "brief", every(3 * scale), placement="all")
    for n in range(3):
        yield Planned(f"on n2 {n}", "brief", every(3 * scale), placement={"nodes": ["n2"]}, nodes=("n2",))
    for n in range(3):
        where = {"labels": {"zone": "a"}}
        yield Planned(f"in zone {n}", "brief", every(3 * scale), placement=where, nodes=("n1", "n2"))
    for strategy in ("round_robin", "random"):
        yield Planned(f"by {strategy}", "brief", every(3 * scale), placement={"on": "any", "strategy": strategy})


def _long(scale: float) -> Iterator[Planned]:
    """Minutes of work in small steps, and what must not be done twice."""
    for n in range(8):
        parameters = {"steps": 80, "rest": 0.4}
        yield Planned(f"long {n}", "long", every(40), {"onCrash": "resume"}, parameters)
    for n in range(2):
        yield Planned(f"long again {n}", "long", every(40), {"onCrash": "rerun"}, {"steps": 30, "rest": 0.3})
    for n in range(4):
        yield Planned(f"hold {n}", "lasting", every(4 * scale), {"onCrash": "hold"}, {"seconds": 2.5})


def _single() -> Iterator[Planned]:
    now = datetime.now(UTC)
    for n in range(3):
        at = (now + timedelta(minutes=1, seconds=20 * n)).strftime("%H:%M:%S")
        yield Planned(f"daily {n}", "brief", {"everyDays": 1, "at": at})
    for n in range(12):
        yield Planned(f"once {n}", "brief", {"after": f"{5 + 15 * n}s"})


def _operated(scale: float) -> Iterator[Planned]:
    """What the operators run, edit and cancel while it goes on."""
    for n in range(6):
        yield Planned(f"manual {n}", "lasting", every(2 * scale), {"overlap": "skip"}, {"seconds": 0.1}, use="run")
    for n in range(6):
        yield Planned(f"edited {n}", "marked", every(2 * scale), parameters={"edit": 0}, use="edit")
    for n in range(12):
        yield Planned(f"cancelled {n}", "lasting", every(2 * scale), {}, {"seconds": 1.0}, use="cancel")


def rate(planned: list[Planned]) -> float:
    """Nominal times per second, of those whose triggers have a pace."""
    total = 0.0
    for one in planned:
        times = len(one.nodes) if one.everywhere else 1
        if "every" in one.trigger:
            total += times * 1000 / int(one.trigger["every"].removesuffix("ms"))
        elif "cron" in one.trigger:
            total += times * (0.5 if "/2" in one.trigger["cron"] else 1.0)
    return total
