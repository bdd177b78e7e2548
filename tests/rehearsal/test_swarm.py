"""Seeds of our own rehearsal, each twice: nothing is violated, and both times are the same to the last event.

The same seeds every time; with `TOCSIN_FULL=1` others that move with the seed of the test run make them 200.
"""

from __future__ import annotations

import os
import sys
from collections import Counter

import pytest

from tocsin.cli.self_rehearsal import Asked, carry_out, replay
from tocsin.rehearsal.figures import failure
from tocsin.rehearsal.marks import RESUMED, STALE_WRITE_REFUSED, TAKEOVER
from tocsin.rehearsal.plan import FaultKind
from tocsin.rehearsal.swarm import SIZES, SMALL, VERBS, WARM_UP, WEIGHTS, draw

ALWAYS = (*range(1, 23), 38, 50)
"""Seeds that everybody runs: between them they reach what is asked for below, and all that failed once are among them."""

MOVING = 176 if os.environ.get("TOCSIN_FULL") else 0
"""How many others there are."""


def test_nothing_is_violated_and_everything_is_the_same_twice(
    run_seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    first = 1_000 + run_seed % 1_000_000
    asked = Asked([*ALWAYS, *range(first, first + MOVING)], "small", jobs=os.cpu_count() or 1, twice=True)
    figures = carry_out(asked, lambda one: None)
    with capsys.disabled():
        sys.stdout.write(f"\n{figures.report()}\n")
    assert figures.failed == [], "\n".join(failure(one, replay(one, asked, None)) for one in figures.failed)
    assert figures.as_json()["deterministic"] is True
    for mark in (TAKEOVER, STALE_WRITE_REFUSED, RESUMED):
        assert figures.marks[mark] > 1, f"hardly any of these seeds had a {mark}"


def test_plans_are_drawn_from_their_seed_alone() -> None:
    assert draw(11) == draw(11)
    assert draw(11) != draw(12)


@pytest.mark.parametrize("size", SIZES)
def test_what_is_drawn_can_be_carried_out(size: str) -> None:
    for seed in range(1, 200):
        plan = draw(seed, SIZES[size])
        names = {job.name for job in plan.jobs}
        assert len(names) == len(plan.jobs) == SIZES[size].tasks
        assert all(call.job in names or call.job == "" for call in plan.calls)
        assert all(set(fault.target) <= set(plan.names) for fault in plan.faults)
        assert all(fault.at >= 0 and fault.at + fault.seconds <= plan.seconds for fault in plan.faults)
        assert all(WARM_UP * plan.knobs.rhythm <= fault.at for fault in plan.faults)
        assert all(0 <= call.at <= plan.seconds for call in plan.calls)
        assert len(plan.faults) >= 2


def test_every_kind_of_fault_and_request_is_drawn() -> None:
    plans = [draw(seed, SMALL) for seed in range(1, 300)]
    kinds = Counter(fault.kind for plan in plans for fault in plan.faults)
    verbs = Counter(call.verb for plan in plans for call in plan.calls)
    assert set(WEIGHTS) == set(FaultKind) == set(kinds)
    assert {*VERBS, "resume", "resume all", "purge"} == set(verbs)
    assert any(fault.amount == 1.0 for plan in plans for fault in plan.faults if fault.kind is FaultKind.KILL)


def test_each_seed_has_some_kinds_of_faults_only() -> None:
    plans = [draw(seed, SMALL) for seed in range(1, 100)]
    assert max(len({fault.kind for fault in plan.faults}) for plan in plans) < len(FaultKind) / 2
