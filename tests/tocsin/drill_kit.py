"""A cluster made up for drills: it answers as the API does, in a time that only passes when the drill waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import attrs

from runtime.clock import Instant
from tocsin.drill.evidence_core import micros
from tocsin.vocabulary.fields import parse_duration, show_instant

BEGIN = 1_700_000_000_000_000
MS = 1_000
PARTITIONS = 8

Json = dict[str, Any]


def iso(at: int) -> str:
    text = show_instant(Instant(at))
    assert text is not None
    return text


@attrs.define
class FakeClock:
    """Time passes when somebody sleeps. broken_at: then the drill is interrupted."""

    at: int = BEGIN
    broken_at: int | None = None

    def now(self) -> int:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += round(seconds * 1_000_000)
        if self.broken_at is not None and self.at >= self.broken_at:
            self.broken_at = None
            raise KeyboardInterrupt


@attrs.define
class FakeCluster:
    """Three nodes, of which n1 answers. A node that is down loses its partitions to n1 after `takeover` microseconds.

    bend: changes the executions of a canary before they are shown.
    """

    clock: FakeClock
    takeover: int = 5_000 * MS
    drained_after: int = 300 * MS
    latency: int = 5 * MS
    bend: Callable[[Json, list[Json]], list[Json]] = lambda canary, rows: rows
    down: dict[str, int] = attrs.field(factory=dict)
    up: dict[str, int] = attrs.field(factory=dict)
    killed: set[str] = attrs.field(factory=set)
    canaries: dict[str, Json] = attrs.field(factory=dict)
    told: list[str] = attrs.field(factory=list)
    removed: int = 0

    def natural(self, partition: int) -> str:
        return f"n{partition % 3 + 1}"

    def owner(self, partition: int) -> str:
        """Who owns it now."""
        name = self.natural(partition)
        if name not in self.down:
            return name
        moved = self.down[name] + self.takeover
        given_back = self.up.get(name)
        if self.clock.at < moved or (given_back is not None and (given_back < moved or self.clock.at >= given_back)):
            return name
        return "n1"

    def call(self, operation: str, /, **arguments: Any) -> Any:
        answers: dict[str, Callable[..., Any]] = {
            "list_nodes": self.list_nodes,
            "list_partitions": lambda: {"list": [{"number": p, "owner": self.owner(p)} for p in range(PARTITIONS)]},
            "show_process": lambda node: {"node": node, "pid": 7, "host": "here", "machine": None, "began": None},
            "add_canaries": self.add_canaries,
            "cancel_task": self.cancel_task,
            "list_executions": lambda task, limit: {"list": self.rows(task)},
            "list_outcomes": self.list_outcomes,
            "show_execution": lambda execution: next(
                row for task in self.canaries for row in self.rows(task) if row["id"] == execution
            ),
            "drain_node": self.drain_node,
        }
        return answers[operation](**arguments)

    def list_nodes(self) -> Json:
        return {
            "list": [
                {
                    "name": name,
                    "state": "dead" if name in self.killed else "alive",
                    "here": name == "n1",
                    "partitions": sum(self.owner(p) == name for p in range(PARTITIONS)),
                    "offsetMs": 0.5,
                }
                for name in ("n1", "n2", "n3")
            ]
        }

    def drain_node(self, node: str, undo: bool = False) -> None:
        self.told.append(f"{'undo ' if undo else ''}drain {node}")
        if undo:
            self.up[node] = self.clock.at
        else:
            self.takeover, self.down[node] = self.drained_after, self.clock.at

    def add_canaries(self, body: Json) -> Json:
        number, every = body.get("number", PARTITIONS), parse_duration(body["every"], "every")
        made = [
            {
                "id": f"c{index}",
                "name": f"canary {body['drill']} {index}",
                "partition": index * PARTITIONS // number,
                "anchor": iso(self.clock.at + every),
                "createdAt": iso(self.clock.at),
                "every": every,
                "drill": body["drill"],
            }
            for index in range(number)
        ]
        self.canaries |= {one["id"]: one for one in made}
        return {"list": made}

    def cancel_task(self, task: str, permanent: bool) -> None:
        assert permanent
        del self.canaries[task]
        self.removed += 1

    def tasks(self, **filters: Any) -> Iterator[Json]:
        assert filters["type"] == "canary"
        for one in list(self.canaries.values()):
            yield {
                "itemId": one["id"],
                "labels": {"drill": one["drill"]},
                "nextScheduledExecution": iso(micros(one["anchor"]) + len(self.natural_rows(one["id"])) * one["every"]),
                "open": [],
                "phase": "active",
            }

    def rows(self, task: str) -> list[Json]:
        return self.bend(self.canaries[task], self.natural_rows(task))

    def natural_rows(self, task: str) -> list[Json]:
        canary = self.canaries[task]
        name = self.natural(canary["partition"])
        begin, end = self.down.get(name), self.up.get(name, self.clock.at)
        rows = []
        for nominal in range(micros(canary["anchor"]), self.clock.at + 1, canary["every"]):
            start = nominal + self.latency
            if begin is not None and begin <= nominal < min(begin + self.takeover, end):
                start = min(begin + self.takeover, end) + self.latency
            if start <= self.clock.at:
                rows.append(row(task, nominal, start, self.latency))
        return rows

    def list_outcomes(self, task: str, since: str, until: str, limit: int) -> Json:
        rows = [
            {
                "first": one["nominal"],
                "last": one["nominal"],
                "count": 1,
                "outcome": one["outcome"],
                "reason": one["reason"],
                "executionId": one["id"],
                "target": None,
            }
            for one in self.rows(task)
            if micros(one["nominal"]) <= micros(until)
        ]
        return {"list": rows[:limit]}


def row(task: str, nominal: int, start: int, latency: int) -> Json:
    late = start - nominal > 1_000 * MS
    return {
        "id": f"{task}@{nominal}",
        "taskId": task,
        "state": "COMPLETED",
        "nominal": iso(nominal),
        "outcome": "late" if late else "fired",
        "reason": "downtime" if late else None,
        "target": None,
        "fence": (nominal - BEGIN) // (100 * MS),
        "lingers": False,
        "attempt": 1,
        "node": "n1",
        "createdAt": iso(start),
        "startedAt": iso(start),
        "endedAt": iso(start + latency),
    }


@attrs.define
class FakeVictim:
    """A node's process."""

    cluster: FakeCluster
    node: str
    is_closed: bool = False

    def send(self, name: str) -> None:
        self.cluster.told.append(f"{name} {self.node}")
        if name == "CONT":
            self.cluster.up.setdefault(self.node, self.cluster.clock.at)
        else:
            self.cluster.down[self.node] = self.cluster.clock.at
        if name == "KILL":
            self.cluster.killed.add(self.node)

    def guard(self, seconds: float) -> None:
        self.cluster.told.append(f"guard {seconds:g}")

    def close(self) -> None:
        self.is_closed = True
