"""Rehearsal: how many seconds of a cluster's life one second of a core carries out, and what that second goes into.

Seeds as `tocsin rehearse --self` draws them, in this process alone, with the handshakes and the framing of the links as they
are: small ones (3 nodes, 40 tasks) or full ones (5 nodes, 200 tasks). `quiet` are the same clusters without tasks, requests and
faults: what it costs that nodes talk to each other. Nothing may be violated, and a seed that is carried out again is the same.
"""

from __future__ import annotations

from statistics import median
from typing import Any, Final

import attrs

from benchmarks.process import resident_megabytes
from tocsin.rehearsal.outcome import Outcome, judge
from tocsin.rehearsal.swarm import SIZES, draw

TARGET: Final = 100.0
"""Simulated seconds in one second of a core."""

SEEDS: Final = {"small": (3,), "full": tuple(range(1, 11))}


def run(full: bool) -> dict[str, Any]:
    size = "full" if full else "small"
    plans = [draw(seed, SIZES[size]) for seed in SEEDS[size]]
    busy = [judge(plan) for plan in plans]
    quiet = judge(attrs.evolve(plans[0], jobs=(), calls=(), faults=()))
    again = judge(plans[0])
    speed = sum(one.simulated for one in busy) / sum(one.cpu for one in busy)
    return {
        "name": "rehearsal",
        "figures": {
            "simulated seconds in a second of a core": speed,
            "of the median seed": median(_speed(one) for one in busy),
            "of the slowest seed": min(_speed(one) for one in busy),
            "quiet": _speed(quiet),
            "seconds of a core for a seed": sum(one.cpu for one in busy) / len(busy),
            "nominal times in a second of a core": sum(one.due for one in busy) / sum(one.cpu for one in busy),
            "CPU us per nominal time": sum(one.cpu for one in busy) / sum(one.due for one in busy) * 1e6,
            "resident MB": resident_megabytes(),
        },
        "ratios": {"to the target": speed / TARGET},
        "check": {
            "expected": {"violations": 0, "the same again": True},
            "actual": {
                "violations": sum(sum(one.kinds.values()) for one in busy),
                "the same again": again.traces == busy[0].traces,
            },
        },
    }


def _speed(one: Outcome) -> float:
    return one.simulated / one.cpu
