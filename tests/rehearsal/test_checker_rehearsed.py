"""What the checker took for violations in rehearsals and are none; each with the same that is one."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from tests.checker.histories import BEGIN, SECOND, sec
from tocsin.checker.checker import check
from tocsin.checker.history import Attempt, Execution, History, Line, Revision, Row, Task
from tocsin.checker.verdict import Kind

ONCE: dict[str, Any] = {"at": sec(10)}
EVERY: dict[str, Any] = {"every": 20 * SECOND, "anchor": sec(30)}


def edited(phase: str, settled: float, *rows: Row, first: dict[str, Any] = ONCE) -> History:
    """It has run at 10; at 30 it is edited; the store is read at 100."""
    execution = Execution("e", sec(10), "COMPLETED", sec(10), "fired", fence=1, attempts=(_attempt(10, 11),))
    task = Task(
        "t",
        "t",
        BEGIN,
        (Revision(BEGIN, first), Revision(sec(10), EVERY)),
        phase,
        sec(settled),
        fence=1,
        ended_at=sec(60),
        rows=(Row(sec(10), sec(10), 1, "fired", None, "e"), *rows),
        executions=(execution,),
    )
    return History((task,), (_line("start", 10), _line("end", 11)), sec(100), sec(50))


def _attempt(start: float, end: float) -> Attempt:
    return Attempt(1, 1, "COMPLETED", sec(start), sec(end), "n1.1", "n1")


def _line(kind: str, at: float, task: str = "t", execution: str = "e") -> Line:
    return Line(kind, "n1.1", task, execution, 1, 1, sec(at), sec(10))


@pytest.mark.parametrize(("phase", "settled"), [("finished", 10), ("cancelled", 70)])
def test_who_edits_a_finished_task_does_not_have_it_go_on(phase: str, settled: float) -> None:
    assert check(edited(phase, settled)).violations == ()


def test_a_task_that_went_on_after_an_edit_owes_all_of_its_times() -> None:
    later = Row(sec(50), sec(50), 1, "skipped", "overlap")
    found = check(edited("cancelled", 70, later))
    assert Kind.LOST in found.kinds


def test_a_task_that_had_times_left_goes_on_after_an_edit() -> None:
    found = check(edited("cancelled", 70, first={"every": 100 * SECOND, "anchor": sec(10)}))
    assert Kind.LOST in found.kinds


def keyed(*order: str) -> History:
    """Two tasks share a key; one ends and the other starts at the same instant, in this order."""
    lines = {
        "a ends": _line("end", 10, "a", "a"),
        "b starts": attrs.evolve(_line("start", 10, "b", "b"), nominal=sec(10)),
    }
    tasks = [_task("a", 9, 10), _task("b", 10, 12)]
    begin = attrs.evolve(_line("start", 9, "a", "a"), nominal=sec(9))
    ends = attrs.evolve(_line("end", 12, "b", "b"), nominal=sec(10))
    between = [attrs.evolve(lines[name], nominal=sec(9) if name == "a ends" else sec(10)) for name in order]
    return History(tuple(reversed(tasks)), (begin, *between, ends), sec(100), sec(0))


def _task(name: str, start: float, end: float) -> Task:
    execution = Execution(
        name, sec(start), "COMPLETED", sec(start), "fired", fence=1, attempts=(_attempt(start, end),), result="{}"
    )
    row = Row(sec(start), sec(start), 1, "fired", None, name)
    trigger = {"at": sec(start)}
    return Task(
        name,
        name,
        BEGIN,
        (Revision(BEGIN, trigger),),
        "finished",
        sec(start),
        fence=1,
        ended_at=sec(end),
        key=("key", 1),
        rows=(row,),
        executions=(execution,),
    )


def test_at_one_instant_the_order_of_the_record_counts() -> None:
    assert check(keyed("a ends", "b starts")).violations == ()
    assert Kind.OVERLAP in check(keyed("b starts", "a ends")).kinds
