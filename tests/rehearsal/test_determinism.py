"""One plan gives one history, byte for byte: in one process and in others, whatever the hashes of strings are there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import attrs

from tocsin.rehearsal import run
from tocsin.rehearsal.plan import Call, Fault, FaultKind, Job, Knobs, Plan

ROOT = Path(__file__).parents[2]

PLAN = Plan(
    7,
    3,
    4,
    45.0,
    Knobs(rhythm=2.0, slots=3, jitter=0.01, chunk=64, store_latency=0.01, skew=0.05, drift=1e-4),
    (
        *(Job(f"brief {n}", "brief", every=3.0 + n) for n in range(4)),
        *(
            Job(f"long {n}", "long", after=2.0 + n, parameters={"steps": 8, "rest": 2.0}, policies={"retry": (5, 1.0)})
            for n in range(3)
        ),
        Job("failing", "failing", every=9.0, parameters={"attempts": 1}, policies={"retry": (5, 0.5)}),
    ),
    (Call(15.0, "run", "brief 1"), Call(18.0, "edit", "brief 2", 5.0), Call(22.0, "cancel", "long 2")),
    (
        Fault(4.0, FaultKind.CORRUPT, ("n1",), 20.0, 0.3),
        Fault(8.0, FaultKind.RESET, ("n2",)),
        Fault(10.0, FaultKind.VANISH, ("n3",)),
        Fault(12.0, FaultKind.FLAKY_STORE, ("n2",), 8.0, 0.3),
        Fault(14.0, FaultKind.FREEZE, ("n2",), 12.0),
        Fault(16.0, FaultKind.LOSE_REPLY),
        Fault(20.0, FaultKind.KILL, ("n3",), 6.0),
        Fault(24.0, FaultKind.COMMIT_UNKNOWN, ("n1",), 5.0, 1.0),
    ),
)
"""A little of everything that takes chances: the network's, the store's, the coordination's, and who runs next."""

SCRIPT = """
from tests.rehearsal.test_determinism import PLAN
from tocsin.rehearsal import run
run.HEAL = 5.0
print(run.rehearse(PLAN).trace)
"""


def trace(plan: Plan) -> str:
    """Of a run here."""
    usual, run.HEAL = run.HEAL, 5.0  # type: ignore[misc]
    try:
        return run.rehearse(plan).trace
    finally:
        run.HEAL = usual  # type: ignore[misc]


def trace_elsewhere(hash_seed: str) -> str:
    """Of a run in another process."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_plan_gives_one_history_here_and_elsewhere() -> None:
    first = trace(PLAN)
    assert trace(PLAN) == first
    assert [trace_elsewhere(seed) for seed in ("1", "2")] == [first, first]


def test_another_seed_gives_another_history() -> None:
    assert trace(PLAN) != trace(attrs.evolve(PLAN, seed=8))
