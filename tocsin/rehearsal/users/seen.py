"""How long the tasks of a running node took, and how often they failed: for the stand-ins of a rehearsal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Protocol

from .assumptions import Assumptions

RUNS: Final = 200
"""Of each task so many executions are looked at, the newest: enough for its slow ones to be among them."""


class Node(Protocol):
    """A node that is asked; the command line's client is one."""

    url: str

    def tasks(self, **filters: Any) -> Any:
        """Every task."""
        ...

    def call(self, operation: str, /, **arguments: Any) -> Any:
        """Carry out an operation."""
        ...


def learn(assumptions: Assumptions, node: Node) -> None:
    """Take over what a node's history says of each type."""
    seconds: dict[str, list[float]] = defaultdict(list)
    failed: dict[str, int] = defaultdict(int)
    attempts: dict[str, int] = defaultdict(int)
    for task in node.tasks():
        name = task["taskType"]
        for one in node.call("list_executions", task=task["itemId"], limit=RUNS)["list"]:
            attempts[name] += one["attempt"]
            failed[name] += one["failures"]
            if (taken := _seconds(one)) is not None:
                seconds[name].append(taken)
    for name, number in attempts.items():
        assumptions.seen(name, seconds[name], min(failed[name], number), number, f"history of {node.url}")


def _seconds(execution: Mapping[str, Any]) -> float | None:
    if execution["state"] != "COMPLETED" or execution["startedAt"] is None or execution["endedAt"] is None:
        return None
    span = datetime.fromisoformat(execution["endedAt"]) - datetime.fromisoformat(execution["startedAt"])
    return round(max(0.0, span.total_seconds()), 3)
