"""What the judge of a storm makes of its evidence, and the two things that it asks for beside the checker."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from runtime.errors import Conflict, StoreUnavailable
from tests.cluster import judge
from tests.cluster.evidence import BOUNDS, Evidence, processes
from tests.cluster.harness import PARTITIONS
from tests.cluster.operators import Asked
from tocsin.checker.history import Attempt, Execution, History, Line, Ownership, Revision, Span, Task

SECOND = 1_000_000
EVERY = Revision(0, {"every": SECOND, "anchor": SECOND})


def ran(key: str, nominal: int | None, state: str = "COMPLETED") -> Execution:
    attempt = Attempt(1, nominal or 1, state, nominal, nominal, "boot", "n1")
    return Execution(key, 0, state, nominal, "fired", fence=attempt.fence, attempts=(attempt,), ended_at=nominal)


def evidence(*tasks: Task, lines: tuple[Line, ...] = (), asked: Asked | None = None, edit: int = 0) -> Evidence:
    history = History(tasks, lines, ended_at=100 * SECOND, healed_at=100 * SECOND - BOUNDS.heal, bounds=BOUNDS)
    return Evidence(history, asked or Asked(), {task.name: f'{{"edit": {edit}}}' for task in tasks}, [])


def tick(**changes: Any) -> tuple[Task, tuple[Line, ...]]:
    """Two slots that ran, and what their handlers wrote."""
    times = (SECOND, 2 * SECOND)
    executions = tuple(ran(f"e{at}", at) for at in times)
    task = Task("id", "tick", 0, (EVERY,), "paused", 2 * SECOND, fence=2 * SECOND, executions=executions)
    lines = tuple(
        Line(kind, "7", "tick", f"e{at}", 1, at, at + n, at) for at in times for n, kind in enumerate(("start", "end"))
    )
    return attrs.evolve(task, **changes), lines


def test_what_is_well_is_found_to_be_so() -> None:
    task, lines = tick()
    judged = judge.judge(evidence(task, lines=lines))
    assert judged.violations == []
    assert (judged.verdict.statistics.due, judged.verdict.statistics.starts) == (2, 2)


def test_what_is_lost_or_ran_twice_is_found_by_the_checker() -> None:
    task, lines = tick()
    lost = attrs.evolve(task, executions=task.executions[1:])
    assert "it has no outcome" in "\n".join(judge.judge(evidence(lost, lines=lines[2:])).violations)
    twice = judge.judge(evidence(task, lines=(*lines, lines[-2])))
    assert "was started 2 times" in "\n".join(twice.violations)


def test_what_did_not_come_about_in_time_is_a_violation() -> None:
    found = attrs.evolve(evidence(), late=["3 tasks have not come to an end"])
    assert judge.judge(found).violations == ["3 tasks have not come to an end"]


@pytest.mark.parametrize(("has", "good"), [(1, False), (2, True), (3, True), (4, False)])
def test_the_newest_answered_edit_is_there_or_one_that_was_tried_later(has: int, good: bool) -> None:
    task, _ = tick()
    asked = Asked(edits={"tick": [1, 2]}, tried_edits={"tick": [0, 1, 2, 3]})
    assert (list(judge.check_edits(evidence(task, asked=asked, edit=has))) == []) is good


@pytest.mark.parametrize(
    ("executions", "good"),
    [
        ((ran("e", 5),), True),
        ((), False),
        ((ran("e", 5), ran("f", 6)), False),
        ((ran("e", 5, state="FAILED"),), False),
        ((attrs.evolve(ran("e", 5), outcome="skipped"),), False),
    ],
)
def test_what_was_added_has_run_once(executions: tuple[Execution, ...], good: bool) -> None:
    task, _ = tick(name="added", executions=executions)
    assert (list(judge.check_added(evidence(task, asked=Asked(added=["added"])))) == []) is good
    assert list(judge.check_added(evidence(asked=Asked(added=["added"])))) != []


def test_each_partition_has_one_owner_on_whom_all_agree() -> None:
    everything = frozenset(range(PARTITIONS))
    owners = Ownership({"n1": everything}, dict.fromkeys(everything, "boot"), {"boot": "n1"})
    assert judge.check_owners(owners) == []
    assert judge.check_owners(attrs.evolve(owners, said={"n1": everything, "n2": frozenset({3})})) != []
    assert judge.check_owners(attrs.evolve(owners, live={"boot": "n2"})) != []
    assert judge.check_owners(attrs.evolve(owners, live={})) != []


def test_what_was_done_to_processes_stands_in_the_record() -> None:
    raw = [
        {"kind": "frozen", "pid": 7, "at": 1},
        {"kind": "dead", "pid": 8, "at": 2},
        {"kind": "thawed", "pid": 7, "at": 3},
    ]
    assert list(processes(raw)) == [Span("dead", "8", 2), Span("frozen", "7", 1, 3)]


def test_each_request_is_written_down_with_what_came_of_it() -> None:
    asked = Asked()
    made: list[str] = []
    with asked.asking("run", "t", made):
        made.append("the-id")
    with pytest.raises(Conflict), asked.asking("cancel", "t"):
        raise Conflict("no")
    with pytest.raises(StoreUnavailable), asked.asking("run", "t", []):
        raise StoreUnavailable("who knows")
    found = [(one.verb, one.answer, one.key, one.answered_at is None) for one in asked.requests]
    assert found == [
        ("run", "ok", "the-id", False),
        ("cancel", "refused", None, False),
        ("run", "unknown", None, True),
    ]
