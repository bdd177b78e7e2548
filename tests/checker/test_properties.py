"""Random histories that are right are found so, and no start can be left out, doubled or moved without being missed."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.checker.dumb import random_story
from tests.checker.histories import SECOND
from tocsin.checker.checker import check
from tocsin.checker.history import History, Line
from tocsin.checker.verdict import Kind

SEEDS = st.integers(0, 2**32)


@given(SEEDS)
@settings(max_examples=80)
def test_what_is_right_is_found_so(seed: int) -> None:
    verdict = check(random_story(seed).told())
    assert verdict.violations == (), verdict.report()


def test_something_happens_in_them() -> None:
    verdicts = [check(random_story(seed).told()) for seed in range(60)]
    assert {one.kind for verdict in verdicts for one in verdict.excused} == {
        "duplicate",
        "late",
        "overlap",
        "zombie_effect",
    }
    outcomes = {name for verdict in verdicts for name in verdict.statistics.outcomes}
    assert outcomes >= {
        "coalesced (catch_up)", "fired", "late (downtime)", "late (overlap)", "missed (downtime)", "skipped (overlap)",
        "skipped (paused)",
    }  # fmt: skip
    assert all(sum(verdict.statistics.resumed for verdict in verdicts) > 10 for _ in verdicts)


def some_start(history: History, data: st.DataObject) -> Line:
    """One that the store says has come to an end of its own."""
    ended = {
        (one.id, attempt.number)
        for task in history.tasks
        for one in task.executions
        for attempt in one.attempts
        if attempt.state in ("COMPLETED", "FAILED")
    }
    starts = [line for line in history.lines if line.kind == "start" and (line.execution, line.attempt) in ended]
    return data.draw(st.sampled_from(starts))


def drop(history: History, start: Line) -> History:
    return attrs.evolve(history, lines=tuple(line for line in history.lines if line is not start))


def double(history: History, start: Line) -> History:
    lines = [*history.lines, attrs.evolve(start, at=start.at + 1)]
    return attrs.evolve(history, lines=tuple(sorted(lines, key=lambda line: line.at)))


def double_as_another(history: History, start: Line) -> History:
    lines = [*history.lines, attrs.evolve(start, at=start.at + 1, execution="another")]
    return attrs.evolve(history, lines=tuple(sorted(lines, key=lambda line: line.at)))


def move_behind_its_end(history: History, start: Line) -> History:
    last = max(line.at for line in history.lines if (line.execution, line.attempt) == (start.execution, start.attempt))
    lines = [attrs.evolve(line, at=last + 1) if line is start else line for line in history.lines]
    return attrs.evolve(history, lines=tuple(sorted(lines, key=lambda line: line.at)))


def move_before_its_time(history: History, start: Line) -> History:
    nominal = start.at if start.nominal is None else start.nominal
    lines = [attrs.evolve(line, at=nominal - 60 * SECOND) if line is start else line for line in history.lines]
    return attrs.evolve(history, lines=tuple(lines))


def move_to_another_slot(history: History, start: Line) -> History:
    nominal = 1 if start.nominal is None else start.nominal + 7
    lines = [attrs.evolve(line, nominal=nominal) if line is start else line for line in history.lines]
    return attrs.evolve(history, lines=tuple(lines))


@pytest.mark.parametrize(
    ("change", "kinds"),
    [
        (drop, {Kind.LOST}),
        (double, {Kind.DUPLICATE}),
        (double_as_another, {Kind.PHANTOM}),
        (move_behind_its_end, {Kind.PHANTOM}),
        (move_before_its_time, {Kind.EARLY, Kind.OVERLAP, Kind.ZOMBIE_EFFECT, Kind.PHANTOM}),
        (move_to_another_slot, {Kind.PHANTOM}),
    ],
)
@given(seed=SEEDS, data=st.data())
@settings(max_examples=25)
def test_no_start_can_be_wrong(
    change: Callable[[History, Line], History], kinds: set[Kind], seed: int, data: st.DataObject
) -> None:
    history = random_story(seed).told()
    start = some_start(history, data)
    if start.nominal is None and change is move_before_its_time:
        return
    verdict = check(change(history, start))
    assert verdict.kinds.keys() & kinds, verdict.report()


@given(seed=SEEDS, data=st.data())
@settings(max_examples=30)
def test_no_row_can_be_missing(seed: int, data: st.DataObject) -> None:
    history = random_story(seed).told()
    task = data.draw(st.sampled_from([one for one in history.tasks if one.executions or one.rows]))
    kept: list[object] = [*task.executions, *task.rows]
    gone = data.draw(st.sampled_from([one for one in kept if getattr(one, "nominal", 0) is not None]))
    less = attrs.evolve(
        task,
        executions=tuple(one for one in task.executions if one is not gone),
        rows=tuple(one for one in task.rows if one is not gone),
    )
    tasks = tuple(less if one is task else one for one in history.tasks)
    assert Kind.LOST in check(attrs.evolve(history, tasks=tasks)).kinds
