"""What a drill found, as records and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

import attrs

from ..checker.history import Bounds, History, Span, Task
from ..checker.verdict import Verdict
from .evidence_core import EPOCH, Seen, in_order, lines_of, request_of, task_of
from .measuring_core import Fault, Lateness, Measured, Takeover

SHOWN: Final = 20
"""Of a list that may be long, so many are told."""

LATENESS_JUDGED: Final = 60_000_000
"""Microseconds: a drill measures lateness, and leaves it to people what is too much; what is later than this was forgotten."""

CLOCK_GRAIN: Final = 2_000
"""Microseconds by which two times that are shown in milliseconds may be out of order."""


@attrs.frozen
class Round:
    """One round. afterwards: what became of the victim, in words."""

    fault: Fault
    canaries: int
    measured: Measured
    verdict: Verdict
    afterwards: str

    @property
    def is_good(self) -> bool:
        """Nothing was missed, doubled or otherwise wrong."""
        measured = self.measured
        return not (measured.missed or measured.doubled or measured.takeover.silent or self.verdict.violations)


@attrs.frozen
class Report:
    """A drill. notes: what else there is to know about it."""

    kind: str
    rounds: tuple[Round, ...]
    notes: tuple[str, ...] = ()

    @property
    def is_good(self) -> bool:
        """Every round was, and there was one."""
        return bool(self.rounds) and all(one.is_good for one in self.rounds)

    def as_json(self) -> dict[str, Any]:
        """All of it; lists are cut to what a person reads."""
        return {
            "drill": self.kind,
            "good": self.is_good,
            "missed": sum(len(one.measured.missed) for one in self.rounds),
            "doubled": sum(len(one.measured.doubled) for one in self.rounds),
            "violations": sum(len(one.verdict.violations) for one in self.rounds),
            "rounds": [_round(one) for one in self.rounds],
            "notes": list(self.notes),
        }


def _round(one: Round) -> dict[str, Any]:
    fault, measured = one.fault, one.measured
    return {
        "node": fault.node,
        "begin": shown(fault.began_at),
        "healed": shown(fault.healed_at),
        "canaries": one.canaries,
        "slots": measured.slots,
        "takeover": _takeover(measured.takeover),
        "lateness": {
            "before": _lateness(measured.before),
            "during": _lateness(measured.during),
            "after": _lateness(measured.after),
        },
        "missed": list(measured.missed[:SHOWN]),
        "doubled": list(measured.doubled[:SHOWN]),
        "violations": [str(violation) for violation in one.verdict.violations[:SHOWN]],
        "excused": len(one.verdict.excused),
        "afterwards": one.afterwards,
    }


def _takeover(takeover: Takeover) -> dict[str, Any]:
    return {
        "canaries": takeover.canaries,
        "medianMs": takeover.median,
        "worstMs": takeover.worst,
        "handoverMs": takeover.handover,
        "silent": list(takeover.silent[:SHOWN]),
    }


def _lateness(lateness: Lateness) -> dict[str, Any]:
    return {"starts": lateness.count, "p50Ms": lateness.p50, "p99Ms": lateness.p99, "worstMs": lateness.worst}


def shown(instant: int) -> str:
    """A time in UTC, to the millisecond."""
    moment = EPOCH + timedelta(microseconds=instant)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def tasks_of(seen: Sequence[Seen]) -> dict[int, list[Task]]:
    """The canaries as tasks, by their partitions."""
    found: dict[int, list[Task]] = {}
    for one in seen:
        found.setdefault(one.canary.partition, []).append(task_of(one))
    return found


def history_of(
    seen: Sequence[Seen], tasks: Mapping[int, Sequence[Task]], fault: Fault, ended_at: int, skew: int
) -> History:
    """What a round left behind, to be judged as a rehearsal is. skew: between the nodes' clocks, in microseconds."""
    members = [task for group in tasks.values() for task in group]

    def process(node: str, at: int) -> str:
        # Who starts something under a killed node's name afterwards is its next life.
        return (
            f"{node}, started again"
            if fault.kind == "kill-owner" and node == fault.node and at > fault.healed_at
            else node
        )

    return History(
        tasks=tuple(members),
        lines=in_order(line for task in members for line in lines_of(task, process)),
        ended_at=ended_at,
        healed_at=fault.healed_at,
        spans=_spans(fault),
        requests=tuple(request_of(one.canary) for one in seen),
        bounds=Bounds(lateness=LATENESS_JUDGED, skew=skew + CLOCK_GRAIN),
    )


def _spans(fault: Fault) -> tuple[Span, ...]:
    match fault.kind:
        case "kill-owner":
            return (Span("dead", fault.node, fault.began_at),)
        case "freeze":
            return (Span("frozen", fault.node, fault.began_at, fault.healed_at),)
        case _:
            return ()
