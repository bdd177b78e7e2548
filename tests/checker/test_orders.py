"""What people order is carried out at once, and what was told is not done again: the checker on stories made up by hand."""

from __future__ import annotations

import attrs
import pytest

from tests.checker.histories import SECOND, Story, sec
from tocsin.checker.checker import check
from tocsin.checker.history import Bounds, Request, Write
from tocsin.checker.verdict import Kind

ONCE = {"at": sec(10)}


def cancelled(ends: float, fault: str | None = None) -> Story:
    """A task is cancelled at 20 while it runs, and its handler is there until `ends`."""
    story = Story(bounds=Bounds(lateness=3 * SECOND, heal=30 * SECOND))
    tale = story.task("one", ONCE, phase="cancelled", ended_at=sec(20))
    tale.execution("run", sec(10))
    tale.attempt("run", sec(10), sec(ends), effect="done")
    story.ask("cancel", tale, 20)
    if fault is not None:
        story.fault(fault, "n1", 15, 16)
    return story


@pytest.mark.parametrize(("ends", "is_wrong"), [(21.0, False), (25.0, True)])
def test_what_runs_when_a_cancel_is_answered_has_a_moment_to_stop(ends: float, is_wrong: bool) -> None:
    verdict = check(cancelled(ends).told())
    assert (Kind.CANCELLED_RAN in verdict.kinds) is is_wrong, verdict.report()


def test_news_that_a_fault_may_have_held_up_is_excused() -> None:
    verdict = check(cancelled(25.0, "store").told())
    assert Kind.CANCELLED_RAN not in verdict.kinds, verdict.report()
    assert Kind.CANCELLED_RAN in {one.kind for one in verdict.excused}


def interrupted(*, came_to_its_end: bool) -> Story:
    """An attempt that was interrupted by the store's word, and another one after it."""
    story = Story()
    tale = story.task("one", ONCE, phase="finished", ended_at=sec(30))
    tale.execution("run", sec(10))
    tale.attempt("run", sec(10), sec(12), state="CANCELLED")
    tale.attempt("run", sec(13), sec(15))
    if came_to_its_end:
        index = next(n for n, line in enumerate(tale.lines) if line.kind == "cut")
        tale.lines[index] = type(tale.lines[index])(
            "end", "n1.1", tale.task.id, "run", 1, 1, sec(12), tale.lines[index].nominal
        )
    return story


@pytest.mark.parametrize("came_to_its_end", [False, True])
def test_what_came_to_its_end_is_not_run_again_as_if_it_had_been_interrupted(came_to_its_end: bool) -> None:
    verdict = check(interrupted(came_to_its_end=came_to_its_end).told())
    assert (Kind.DUPLICATE in verdict.kinds) is came_to_its_end, verdict.report()


def drained(at: float, *, accepted: bool = True, fault: str | None = None) -> Story:
    """n1 drains from 40 to 80, and a commit of its boot under an epoch comes at an instant."""
    story = Story(bounds=Bounds(lateness=3 * SECOND, heal=10 * SECOND))
    story.task("one", ONCE, phase="finished", ended_at=sec(30)).fire(sec(10))
    story.fault("drain", "n1", 40, 80)
    if fault is not None:
        story.fault(fault, "n2", 39, 41)
    story.writes = [Write(sec(at), "n1.1 lease", 0, 1, 1, accepted)]
    return story


@pytest.mark.parametrize(
    ("story", "is_wrong"),
    [
        (drained(30), False),
        (drained(42), False),
        (drained(60), True),
        (drained(60, accepted=False), False),
        (drained(60, fault="cut"), False),
        (drained(90), False),
    ],
    ids=["before", "at once", "much later", "refused", "something else is wrong too", "after it"],
)
def test_a_node_that_drains_acts_for_no_partition_any_more(story: Story, is_wrong: bool) -> None:
    verdict = check(story.told())
    assert (Kind.OWNERSHIP in verdict.kinds) is is_wrong, verdict.report()


@pytest.mark.parametrize("purged", [False, True])
def test_what_was_purged_is_not_missed(purged: bool) -> None:
    """A task that is over, and the reason why an execution was late, go with a purge."""
    story = Story()
    late, over = story.task("late"), story.task("over")
    late.execution("run", sec(10))
    late.attempt("run", sec(25), sec(26))
    del late.executions["run"]
    late.row(sec(20), sec(120), 11, "skipped", "paused")
    history = story.told()
    history = attrs.evolve(history, tasks=tuple(task for task in history.tasks if task.name != over.task.name))
    if purged:
        request = Request("purge", "", sec(50), sec(51), "ok")
        history = attrs.evolve(history, requests=(*history.requests, request))
    kinds = check(history).kinds
    assert (Kind.REQUEST_LOST in kinds, Kind.LATE in kinds) == (not purged, not purged)
