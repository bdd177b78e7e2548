"""What the judge of one node makes of its ledger and record, and the two checks of its own."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from tests.e2e import checker
from tests.e2e.checker import Line
from tests.e2e.harness import Ledger, StoredTask
from tocsin.checker.history import Attempt, Execution, Row

TIMES = [100, 200, 300, 400, 500, 600]
ROWS = [
    Row(100, 100, 1, "fired", None, "a"),
    Row(200, 300, 2, "missed", "downtime"),
    Row(400, 400, 1, "late", "downtime", "b"),
    Row(500, 500, 1, "skipped", "overlap", "b"),
    Row(600, 600, 1, "coalesced", None, "c"),
]


@pytest.mark.parametrize(
    ("rows", "violation"),
    [
        (ROWS[1:], "t: 100 has no outcome"),
        ([*ROWS, Row(200, 200, 1, "fired", None, "z")], "t: 200 has 2 outcomes"),
        ([attrs.evolve(ROWS[0], outcome=None), *ROWS[1:]], "t: the row of 100 has the outcome None"),
        ([*ROWS[:1], attrs.evolve(ROWS[1], count=3), *ROWS[2:]], "t: the row 200 to 300 counts 3, it holds 2"),
        ([*ROWS, Row(550, 550, 1, "fired")], "t: the row 550 to 550 does not begin and end with nominal times"),
    ],
)
def test_a_ledger_has_each_time_once(rows: list[Row], violation: str) -> None:
    assert checker.check_ledger("t", TIMES, ROWS) == []
    assert violation in checker.check_ledger("t", TIMES, rows)


def test_a_grid_is_counted_up_from_its_anchor() -> None:
    assert checker.interval_times(100, 100, 150, 400) == [200, 300, 400]
    assert checker.interval_times(500, 100, 0, 400) == []


def ledger(*states: str, **changes: Any) -> tuple[Ledger, list[Line]]:
    """Slots at 100, 200, ... with executions that ended so, and what their handlers wrote."""
    times = [100 * (n + 1) for n in range(len(states))]
    executions = [
        Execution(str(at), 0, state, at, "fired", fence=at, attempts=(Attempt(1, at, state, at, at + 9, "b", "n"),))
        for at, state in zip(times, states, strict=True)
    ]
    given: dict[str, Any] = {"definition": {"trigger": {"every": 100, "anchor": 100}}, "phase": "active"}
    task = StoredTask(
        "id", "t", created_at=0, began_at=0, settled_through=times[-1], next_fire=None, fence=999, **given
    )
    lines = [
        Line(kind, 7, "t", at, str(at), 1, at, at=at + n) for at in times for n, kind in enumerate(("start", "end"))
    ]
    return Ledger({"t": attrs.evolve(task, **changes)}, {"t": []}, {"t": executions}), lines


def test_a_ledger_is_held_against_the_record() -> None:
    stored, lines = ledger("COMPLETED", "COMPLETED")
    assert checker.judge(stored, lines, ["t"]) == []
    assert "never came to its end" in "\n".join(checker.judge(stored, lines[:-1], ["t"]))
    assert "was started 2 times" in "\n".join(checker.judge(stored, [*lines, lines[0]], ["t"]))
    assert checker.judge(stored, [], ["t"], silent=["t"]) == []
    assert "it has no outcome" in "\n".join(
        checker.judge(ledger("COMPLETED", settled_through=300)[0], lines[:2], ["t"])
    )


def test_a_death_is_told_to_the_checker() -> None:
    stored, lines = ledger("COMPLETED")
    assert checker.judge(stored, [*lines, Line("dead", 7, at=150)], ["t"]) == []
    found = checker.judge(stored, [*lines, Line("dead", 7, at=50)], ["t"])
    assert "7 is dead since 50" in "\n".join(found)


def work(item: str, fence: int = 1) -> Line:
    return Line("work", 7, "t", 100, "a", fence, fence, item=item)


@pytest.mark.parametrize(
    ("lines", "violation"),
    [
        ([work("x"), Line("dead", 7), work("x", 2), work("y", 2)], None),
        ([work("x"), work("y"), Line("dead", 7), work("y", 2)], None),
        ([work("x"), work("x", 2)], "x is done again"),
        ([work("x"), work("y"), Line("dead", 7), work("x", 2), work("y", 2)], "y is done again, the 2. after 1 deaths"),
    ],
)
def test_a_death_costs_one_piece_of_work(lines: list[Line], violation: str | None) -> None:
    found = checker.check_redone("t", lines)
    assert (found == []) if violation is None else any(violation in one for one in found)


def test_a_report_tells_the_number_and_the_first_ones() -> None:
    told = checker.report([f"wrong {n}" for n in range(30)])
    assert told.startswith("30 violations:\nwrong 0\n")
    assert told.count("\n") == 20
