"""The judge of a storm catches what it is there for, and excuses nothing without proof."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from tests.cluster import judge
from tests.cluster.evidence import Evidence, Ledger, Ownership, Ran
from tests.cluster.judge import SECOND, Frozen
from tests.cluster.operators import Asked
from tests.cluster.workload import Planned, every
from tests.e2e.checker import Attempt, Line, Row

PLANNED = Planned("t", "lasting", every(1))
LONG = Planned("t", "long", every(1), {"onCrash": "resume"})


def line(kind: str, at: int, execution: str = "a", attempt: int = 1, fence: int = 1, pid: int = 7, **more: Any) -> Line:
    return Line(kind, pid, "t", None, execution, attempt, fence, at=at, **more)


def process(kind: str, at: int, pid: int = 7) -> Line:
    return Line(kind, pid, at=at)


def ran(key: str, *attempts: Attempt, state: str = "COMPLETED", **more: Any) -> Ran:
    last = attempts[-1].fence if attempts else 0
    given: dict[str, Any] = {"nominal": None, "target": None, "outcome": "fired", "reason": None, "lingers": False}
    return Ran(key, state=state, fence=last, result=f'{{"fence": {last}}}', attempts=attempts, **given | more)


def ledger(*executions: Ran, **more: Any) -> Ledger:
    given: dict[str, Any] = {
        "parameters": "{}",
        "created_at": 50,
        "settled_through": 300,
        "phase": "paused",
        "fence": 9,
    }
    given["revisions"] = ((0, {"every": 100, "anchor": 100}),)
    return Ledger("id", "t", settled=(), executions=executions, **given | more)


SUPERSEDED = ledger(
    ran("a", Attempt(1, 1, "CRASHED", 10, 30 * SECOND), Attempt(2, 2, "COMPLETED", 31 * SECOND, 40 * SECOND))
)
ZOMBIE = [line("start", 10), line("start", 32 * SECOND, attempt=2, fence=2, pid=8)]
STOPPED = [process("frozen", 5 * SECOND), process("thawed", 35 * SECOND)]


def alone(task: Ledger, lines: list[Line], processes: list[Line]) -> tuple[list[str], list[str]]:
    excused: list[str] = []
    return judge.check_alone(task, PLANNED, lines, processes, Frozen(processes), excused), excused


def test_a_process_that_was_stopped_while_it_was_superseded_is_excused() -> None:
    found, excused = alone(SUPERSEDED, [*ZOMBIE, line("cut", 35 * SECOND + 1)], STOPPED)
    assert (found, len(excused)) == ([], 1)


@pytest.mark.parametrize(
    ("lines", "processes", "expected"),
    [
        pytest.param(ZOMBIE, [], "its process was not stopped", id="it ran on"),
        pytest.param([*ZOMBIE, line("end", 37 * SECOND)], STOPPED, "went on for 2.0 s", id="too long after the thaw"),
        pytest.param(
            [ZOMBIE[0], attrs.evolve(ZOMBIE[1], fence=1)], STOPPED, "both are valid", id="a fence that is not higher"
        ),
        pytest.param(
            [line("start", 10), line("start", 20, "b", 1, 3, 8)],
            STOPPED,
            "not in the store",
            id="one that nobody claimed",
        ),
    ],
)
def test_nothing_is_excused_without_proof(lines: list[Line], processes: list[Line], expected: str) -> None:
    found, _ = alone(SUPERSEDED, lines, processes)
    assert expected in "\n".join(found)


def test_two_valid_attempts_are_caught() -> None:
    task = ledger(
        ran("a", Attempt(1, 1, "COMPLETED", 10, 50 * SECOND)),
        ran("b", Attempt(1, 2, "COMPLETED", 31 * SECOND, 40 * SECOND)),
    )
    found, _ = alone(task, [line("start", 10), line("start", 32 * SECOND, "b", 1, 2, 8)], STOPPED)
    assert "both are valid" in found[0]
    over = [line("start", 10), process("dead", 20), line("start", 32 * SECOND, "b", 1, 2, 8)]
    assert alone(task, [over[0], over[2]], [over[1]]) == ([], [])


@pytest.mark.parametrize(
    ("task", "lines", "expected"),
    [
        (ledger(ran("a", Attempt(1, 1, "COMPLETED", 1, 2))), [], "never came to its end"),
        (ledger(ran("a", Attempt(1, 1, "RUNNING", 1, None), state="RUNNING")), [], "is still RUNNING"),
        (ledger(), [line("start", 1)], "ran with the fence 1"),
        (
            ledger(attrs.evolve(ran("a", Attempt(1, 2, "COMPLETED", 1, 2)), result='{"fence": 1}')),
            [line("start", 1, fence=2), line("end", 2, fence=2)],
            "has fence 2 and the result",
        ),
        (
            ledger(*(ran(key, Attempt(1, 1, "FAILED", 1, 2), state="FAILED") for key in "ab")),
            [],
            "the same fence",
        ),
    ],
)  # fmt: skip
def test_bad_attempts_are_caught(task: Ledger, lines: list[Line], expected: str) -> None:
    verdict = judge.Verdict()
    judge._judge_attempts(verdict, task, PLANNED, lines)
    assert expected in "\n".join(verdict.violations)


CHECKPOINTS = [
    line("kept", 2, position=3),
    line("trying", 3, position=4),
    line("trying", 1, position=3),
]


def test_resumes_are_judged_by_fences_and_not_by_their_order() -> None:
    def judged(position: int | None) -> list[str]:
        # The acknowledged checkpoint stands after the newer start: it must have been accepted before all the same.
        lines = [line("start", 1, attempt=2, fence=2, position=position), *CHECKPOINTS]
        return judge.check_resumes(ledger(ran("a")), lines, rerun=False)

    assert judged(3) == judged(4) == []
    assert judged(None)
    assert judged(2)
    assert judged(5)


def test_a_held_execution_goes_on_only_when_asked() -> None:
    task = ledger(ran("a", Attempt(1, 1, "CRASHED", 1, 2), Attempt(2, 2, "COMPLETED", 3, 4)))
    assert judge.check_held(task, 1) == []
    assert judge.check_held(task, 0)


def evidence(task: Ledger, asked: Asked, planned: Planned = PLANNED, lines: list[Line] | None = None) -> Evidence:
    owned = {"n1": dict.fromkeys(range(judge.PARTITIONS), "n1")}
    epochs = dict.fromkeys(range(judge.PARTITIONS), "boot")
    owners = Ownership(owned, epochs, {"boot": "n1"})
    return Evidence({"t": planned}, asked, {"t": task}, lines or [], 0, owners, [])


def test_what_was_answered_has_to_hold() -> None:
    task = ledger(ran("a", Attempt(1, 1, "COMPLETED", 100, 110)), phase="cancelled", parameters='{"edit": 1}')
    good = Asked(runs={"a": "t"}, cancelled={"t": 105}, edits={"t": [1]}, tried_edits={"t": [0, 1]})
    assert judge.check_asked(evidence(task, good)) == []
    for bad, expected in (
        (Asked(runs={"b": "t"}), "was promised"),
        (Asked(added=["s"]), "was added"),
        (Asked(cancelled={"t": 99}), "started later"),
        (Asked(edits={"t": [2]}, tried_edits={"t": [0, 1, 2]}), "has edit 1"),
    ):
        assert expected in judge.check_asked(evidence(task, bad))[0]


def test_a_key_that_too_many_hold_is_caught() -> None:
    planned = attrs.evolve(PLANNED, policies={"concurrency": {"key": "k", "limit": 1}})
    task = ledger(ran("a", Attempt(1, 1, "COMPLETED", 1, 9)), ran("b", Attempt(1, 2, "COMPLETED", 5, 9)))
    both = [line("start", 1), line("start", 5, "b", 1, 2, 8), line("end", 9), line("end", 9, "b", 1, 2, 8)]
    assert "2 hold it" in judge.check_keys(evidence(task, Asked(), planned, both), Frozen([]))[0]
    after = [line("start", 1), line("end", 4), line("start", 5, "b", 1, 2, 8)]
    assert judge.check_keys(evidence(task, Asked(), planned, after), Frozen([])) == []


def test_partitions_without_one_owner_are_caught() -> None:
    good = evidence(ledger(), Asked()).owners
    assert judge.check_owners(good) == []
    assert len(judge.check_owners(attrs.evolve(good, live={}))) == judge.PARTITIONS
    torn = attrs.evolve(good, said={**good.said, "n2": dict.fromkeys(range(judge.PARTITIONS), "n2")})
    assert len(judge.check_owners(torn)) == judge.PARTITIONS


def test_nominal_times_follow_the_revisions() -> None:
    task = ledger(
        settled_through=700, revisions=((50, {"every": 100, "anchor": 100}), (300, {"every": 200, "anchor": 0}))
    )
    assert judge.expected_times(task) == [100, 200, 300, 400, 600]
    assert judge.times({"cron": "*/2 * * * * *"}, 1, 5 * SECOND) == [2 * SECOND, 4 * SECOND]
    assert judge.times({"at": 7}, 1, 6) == []
    daily = {"unit": "days", "every": 1, "anchor_day": 1, "time_of_day": 3 * SECOND}
    assert judge.times(daily, 4 * SECOND, judge.DAY + 3 * SECOND) == [judge.DAY + 3 * SECOND]


def test_what_a_paused_task_owes_is_excused_behind_a_slice_of_its_catch_up_only() -> None:
    def judged(number: int, policy: str) -> list[str]:
        verdict, paused_at = judge.Verdict(), 60 * SECOND
        slots = [
            ran(str(slot), Attempt(1, slot, "COMPLETED", 0, paused_at + slot), nominal=100 * slot)
            for slot in range(1, number + 1)
        ]
        case = attrs.evolve(evidence(ledger(), Asked()), stopped_at=paused_at)
        planned = attrs.evolve(PLANNED, policies={"catchUp": policy})
        judge._judge_ledger(verdict, case, ledger(*slots, settled_through=100 * number), planned)
        return verdict.violations

    assert judged(51, "all") == []
    assert judged(50, "all") == judged(51, "skip") == ["t: was paused, and what was due before is not settled"]


def test_a_ledger_with_a_hole_is_caught() -> None:
    verdict = judge.Verdict()
    slots = [ran(str(at), Attempt(1, at // 100, "COMPLETED", at, at), nominal=at) for at in (100, 300)]
    judge._judge_ledger(verdict, evidence(ledger(), Asked()), ledger(*slots), PLANNED)
    assert verdict.violations == ["t: 200 has no outcome"]
    everywhere = attrs.evolve(PLANNED, placement="all")
    verdict = judge.Verdict()
    twice = [attrs.evolve(slots[0], id=key, target="n1") for key in "ab"]
    hole = (Row(200, 300, 2, "coalesced"),)
    judge._judge_ledger(verdict, evidence(ledger(), Asked()), attrs.evolve(ledger(*twice), settled=hole), everywhere)
    assert verdict.violations == ["t: 100 on n1 has 2 outcomes"]
