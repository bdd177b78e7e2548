"""One more execution beside those that are open: every policy, row by row."""

from __future__ import annotations

import pytest

from actors.model.execution import Execution, Kind, WaitsFor
from actors.model.lifecycle import State
from actors.model.policy import Overlap, Policies
from actors.rules.attempts import new_execution
from actors.rules.overlapping import FREE, blocker_of, next_to_go, room
from runtime.records import evolve

from .keeper_kit import START


def entry(name: str, state: State = State.RUNNING, waits_for: WaitsFor | None = None, **more) -> Execution:
    return evolve(
        new_execution(name, "t", Kind.OCCURRENCE, START, revision=1), state=state, waits_for=waits_for, **more
    )


RUNS = entry("e1")
LINGERS = entry("e1", State.TIMED_OUT, lingers=True)
HELD = entry("e1", State.CRASHED)
RETRIES = entry("e1", State.WAITING, WaitsFor.RETRY)
FIRST = entry("e2", State.WAITING, WaitsFor.OVERLAP)
SECOND = entry("e3", State.WAITING, WaitsFor.OVERLAP)

TABLE = [
    # open, policy: what becomes of the next one, who is named, what goes
    ((), Overlap.SKIP, "runs", None, ""),
    ((HELD,), Overlap.SKIP, "runs", None, ""),
    ((RUNS,), Overlap.ALLOW, "runs", None, ""),
    ((RUNS, FIRST), Overlap.ALLOW, "runs", None, ""),
    ((RUNS,), Overlap.SKIP, "refused", "e1", ""),
    ((RETRIES,), Overlap.SKIP, "refused", "e1", ""),
    ((LINGERS,), Overlap.SKIP, "refused", "e1", ""),
    ((RUNS,), Overlap.QUEUE, "waits", "e1", ""),
    ((LINGERS,), Overlap.QUEUE, "waits", "e1", ""),
    ((RUNS, FIRST), Overlap.QUEUE, "refused", "e1", ""),
    ((RUNS, FIRST), Overlap.QUEUE_ALL, "waits", "e1", ""),
    ((RUNS, FIRST, SECOND), Overlap.QUEUE_ALL, "refused", "e1", ""),
    ((RUNS,), Overlap.REPLACE, "waits", "e1", "e1"),
    ((RUNS, FIRST), Overlap.REPLACE, "waits", "e1", "e2 e1"),
    ((LINGERS,), Overlap.REPLACE, "waits", "e1", ""),
    ((LINGERS, FIRST), Overlap.REPLACE, "waits", "e1", "e2"),
    ((RETRIES,), Overlap.REPLACE, "runs", "e1", "e1"),
]


@pytest.mark.parametrize(("executions", "overlap", "becomes", "blocker", "gone"), TABLE)
def test_the_table(executions: tuple, overlap: Overlap, becomes: str, blocker: str | None, gone: str):
    found = room(Policies(overlap=overlap, overlap_limit=2), executions)
    assert ("refused" if found.refused else "waits" if found.waits else "runs") == becomes
    assert (found.blocker.id if found.blocker else None) == blocker
    assert " ".join(one.id for one in found.replaced) == gone


@pytest.mark.parametrize("overlap", Overlap)
def test_what_is_caught_up_waits_for_the_former_ones(overlap: Overlap):
    found = room(Policies(overlap=overlap), (RUNS, FIRST), caught_up=True)
    assert found == FREE if overlap is Overlap.ALLOW else found.waits
    assert found.replaced == ()


def test_what_is_at_work_is_named_before_what_waits():
    assert blocker_of([FIRST, RUNS]) == RUNS
    assert blocker_of([HELD, SECOND, FIRST]) == SECOND
    assert blocker_of([HELD]) is None


@pytest.mark.parametrize(
    ("executions", "goes"),
    [
        ((), None),
        ((RUNS, FIRST), None),
        ((LINGERS, FIRST), None),
        ((RETRIES, FIRST), None),
        ((HELD, FIRST, SECOND), FIRST),
        ((SECOND, FIRST), FIRST),
        ((entry("e1", State.WAITING, WaitsFor.SLOT),), None),
    ],
)
def test_who_goes_on(executions: tuple, goes: Execution | None):
    assert next_to_go(executions) == goes
