"""The checker catches what it is there for: every kind of bad history is found, and a good one passes."""

from __future__ import annotations

import attrs
import pytest

from tests.e2e import checker
from tests.e2e.checker import Attempt, Execution, Line, Row

GRID = [100, 200, 300, 400, 500]
GOOD_ROWS = [
    Row(100, 100, 1, "fired", None, "a"),
    Row(200, 300, 2, "coalesced", "catch_up"),
    Row(400, 400, 1, "late", "downtime", "b"),
    Row(500, 500, 1, "skipped", "overlap"),
]


def line(kind: str, execution: str = "a", attempt: int = 1, fence: int = 1, pid: int = 7, **more: object) -> Line:
    return Line(kind, pid, "t", 100 if execution == "a" else 400, execution, attempt, fence, **more)  # type: ignore[arg-type]


def test_intervals_are_counted_from_the_anchor() -> None:
    assert checker.interval_times(100, 100, 99, 500) == GRID
    assert checker.interval_times(0, 250, 250, 1000) == [500, 750, 1000]


def test_a_good_ledger_passes() -> None:
    assert checker.check_ledger("t", GRID, GOOD_ROWS) == []


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        pytest.param(GOOD_ROWS[1:], "100 has no outcome", id="lost"),
        pytest.param([*GOOD_ROWS, Row(100, 100, 1, "skipped", "overlap")], "100 has 2 outcomes", id="doubled"),
        pytest.param([*GOOD_ROWS, Row(250, 250, 1, "fired")], "does not begin and end", id="invented"),
        pytest.param(
            [Row(200, 300, 3, "missed"), *GOOD_ROWS[:1], *GOOD_ROWS[2:]], "counts 3, it holds 2", id="miscounted"
        ),
        pytest.param([*GOOD_ROWS[:3], Row(500, 500, 1, None)], "has the outcome None", id="left open"),
        pytest.param([*GOOD_ROWS, Row(300, 400, 2, "missed")], "400 has 2 outcomes", id="ranges overlap"),
    ],
)
def test_a_bad_ledger_is_caught(rows: list[Row], expected: str) -> None:
    assert expected in checker.report(checker.check_ledger("t", GRID, rows))


EXECUTIONS = [
    Execution("a", 100, "COMPLETED", "fired", (Attempt(1, 1, "COMPLETED", 100, 110),)),
    Execution(
        "b", 400, "COMPLETED", "late", (Attempt(1, 2, "CRASHED", 410, 420), Attempt(2, 3, "COMPLETED", 430, 440))
    ),
]
STARTS = [line("start"), line("end"), line("start", "b", 1, 2), Line("dead", 7), line("start", "b", 2, 3, 8)]


def test_good_starts_pass() -> None:
    assert checker.check_starts("t", STARTS, GOOD_ROWS, EXECUTIONS) == []
    assert checker.check_fences("t", STARTS) == []
    assert checker.check_overlap("t", STARTS, whole_task=True) == []
    assert checker.check_attempts("t", EXECUTIONS) == []


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        pytest.param(line("start"), "was started 2 times", id="attempt twice"),
        pytest.param(
            attrs.evolve(line("start"), nominal=300), "300 ran as a, the ledger has None", id="dropped slot ran"
        ),
        pytest.param(line("start", "b", 3, 4), "ran with the fence 4", id="unknown attempt"),
        pytest.param(attrs.evolve(line("start", "b", 2, 3), nominal=100), "100 ran as 2 executions", id="fired twice"),
    ],
)
def test_bad_starts_are_caught(more: Line, expected: str) -> None:
    found = checker.check_starts("t", [*STARTS, more], GOOD_ROWS, EXECUTIONS)
    assert expected in checker.report(found)


def test_a_completed_execution_without_an_end_is_caught() -> None:
    assert "b is COMPLETED and never" in checker.report(checker.check_completed_ran("t", STARTS, EXECUTIONS))
    assert checker.check_completed_ran("t", [*STARTS, line("end", "b", 2, 3)], EXECUTIONS) == []


@pytest.mark.parametrize("fence", [3, 2])
def test_a_fence_that_does_not_grow_is_caught(fence: int) -> None:
    assert len(checker.check_fences("t", [*STARTS, line("start", "c", 1, fence)])) == 1


def test_overlap_is_caught() -> None:
    both = [line("start"), line("start", "a", 2, 2)]
    assert len(checker.check_overlap("t", both, whole_task=False)) == 1
    two = [line("start"), line("start", "b", 1, 2)]
    assert checker.check_overlap("t", two, whole_task=False) == []
    assert len(checker.check_overlap("t", two, whole_task=True)) == 1
    other_died = [line("start"), Line("dead", 9), line("start", "a", 2, 2)]
    assert len(checker.check_overlap("t", other_died, whole_task=False)) == 1


CHECKPOINTS = [
    line("start"),
    line("trying", position=1),
    line("kept", position=1),
    line("trying", position=2),
    Line("dead", 7),
]


@pytest.mark.parametrize("position", [1, 2])
def test_a_resume_from_the_last_checkpoint_passes(position: int) -> None:
    assert checker.check_resumes("t", [*CHECKPOINTS, line("start", attempt=2, position=position)]) == []


@pytest.mark.parametrize(
    ("position", "expected"), [(None, "starts from zero"), (0, "starts from 0"), (3, "starts from 3")]
)
def test_a_resume_from_elsewhere_is_caught(position: int | None, expected: str) -> None:
    found = checker.check_resumes("t", [*CHECKPOINTS, line("start", attempt=2, position=position)])
    assert expected in checker.report(found)


def work(*items: str) -> list[Line]:
    return [line("work", item=item) for item in items]


def test_one_item_done_again_for_each_death_passes() -> None:
    history = [*work("a", "b"), Line("dead", 7), *work("b", "c"), Line("dead", 8), *work("c", "d")]
    assert checker.check_redone("t", history) == []
    twice = [*work("a", "b"), Line("dead", 7), *work("b"), Line("dead", 8), *work("b", "c")]
    assert checker.check_redone("t", twice) == []


@pytest.mark.parametrize(
    "history",
    [
        pytest.param([*work("a", "b"), Line("dead", 7), *work("a", "b", "c")], id="two intervals"),
        pytest.param(work("a", "b", "a"), id="without a death"),
        pytest.param([*work("a"), Line("dead", 7), *work("b", "b")], id="twice in one life"),
    ],
)
def test_more_work_done_again_is_caught(history: list[Line]) -> None:
    assert checker.check_redone("t", history)


@pytest.mark.parametrize(
    ("attempts", "expected"),
    [
        ((Attempt(2, 1, "COMPLETED", 1, 2),), "has the attempts [2]"),
        ((Attempt(1, 2, "CRASHED", 1, 2), Attempt(2, 2, "COMPLETED", 3, 4)), "from fence 2 to 2"),
        ((Attempt(1, 1, "CRASHED", 1, 4), Attempt(2, 2, "COMPLETED", 3, 5)), "starts before attempt 1 has ended"),
        ((Attempt(1, 1, "COMPLETED", 1, 2), Attempt(2, 2, "COMPLETED", 3, 4)), "went on after attempt 1"),
    ],
)
def test_bad_attempts_are_caught(attempts: tuple[Attempt, ...], expected: str) -> None:
    found = checker.check_attempts("t", [Execution("a", 100, "COMPLETED", "fired", attempts)])
    assert expected in checker.report(found)
