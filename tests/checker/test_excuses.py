"""What is excused, and that the same is a violation without its proof: zombies, attempts after crashes, late starts."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from tests.checker.histories import SECOND, Story, sec
from tests.checker.judging import EVERY_MINUTE, excused, found, is_clean, superseded
from tocsin.checker.history import Bounds, Line, Ownership, Revision, Span
from tocsin.checker.verdict import Kind

# -- zombies


@pytest.mark.parametrize("fault", [("frozen", "n2.1"), ("asleep", "n2")])
def test_a_process_that_stood_still_is_excused(fault: tuple[str, str]) -> None:
    story = superseded(fault=fault)
    assert is_clean(story)
    assert excused(story) == {Kind.DUPLICATE, Kind.OVERLAP}


def test_a_process_is_over_within_the_bound_of_its_thaw() -> None:
    assert is_clean(superseded(60 + 1))
    assert found(superseded(60 + 1.001)) == {Kind.ZOMBIE_EFFECT}
    story = superseded(62)
    story.bounds = attrs.evolve(story.bounds, zombie=2 * SECOND)
    assert is_clean(story)


def test_another_process_s_sleep_proves_nothing() -> None:
    assert found(superseded(fault=("frozen", "n1.1"))) >= {Kind.OVERLAP}
    assert found(superseded(fault=("cut", "n2"))) >= {Kind.OVERLAP}


def test_who_was_not_superseded_is_not_excused() -> None:
    """The store has both as valid: the fence alone does not make a zombie."""
    history = superseded().told()
    task = history.tasks[0]
    first, second = task.executions[0].attempts
    late = attrs.evolve(task.executions[0], attempts=(attrs.evolve(first, ended_at=sec(50)), second))
    history = attrs.evolve(history, tasks=(attrs.evolve(task, executions=(late, *task.executions[1:])),))
    assert found(history) == {Kind.OVERLAP}


def test_a_dead_process_needs_no_proof_that_it_is_over() -> None:
    story = superseded(fault=("dead", "n2.1"))
    story.tales[0].lines = [line for line in story.tales[0].lines if line.kind != "cut"]
    assert is_clean(story)
    story.tales[0].lines.append(Line("effect", "n2.1", "id of t", "slot", 1, 1, sec(47), sec(30), key="x"))
    assert found(story) == {Kind.PHANTOM, Kind.ZOMBIE_EFFECT}


def stale_start(at: float, *, frozen: bool) -> Story:
    """An attempt was claimed, and its process stood still before it began: it begins when another one has long begun."""
    story = Story(seconds=200)
    if frozen:
        story.fault("frozen", "n2.1", 29, 60)
    story.fault("dead", "n2.0", 10)
    tale = story.task("t", EVERY_MINUTE | {"anchor": sec(-30)}, settled_through=sec(80), phase="paused")
    key = tale.execution("slot", sec(30))
    tale.attempt(key, sec(30), sec(45), "n2.1", state="CRASHED", comes_back=False)
    tale.attempt(key, sec(46), sec(70), "n3.1")
    tale.lines[0] = attrs.evolve(tale.lines[0], at=sec(at))
    tale.lines.append(attrs.evolve(tale.lines[0], kind="cut", at=sec(at + 0.1)))
    return story


def test_a_start_under_a_lower_fence_needs_the_same_proof() -> None:
    assert is_clean(stale_start(60.2, frozen=True))
    keyed = stale_start(60.2, frozen=True)
    keyed.tales[0].task = attrs.evolve(keyed.tales[0].task, key=("k", 1))
    assert is_clean(keyed)
    assert found(stale_start(60.2, frozen=False)) >= {Kind.ZOMBIE_EFFECT}
    assert found(stale_start(61.2, frozen=True)) >= {Kind.ZOMBIE_EFFECT}


def test_an_effect_of_a_process_that_has_ended_and_stood_still() -> None:
    story = superseded()
    tale = story.tales[0]
    # The attempt had written its end before it stood still: nobody ran beside the newer one.
    tale.lines = [attrs.evolve(line, at=sec(34)) if line.kind == "cut" else line for line in tale.lines]
    tale.lines.append(Line("effect", "n2.1", tale.task.id, "slot", 1, 1, sec(60.5), sec(30), key="x"))
    assert is_clean(story)
    assert Kind.ZOMBIE_EFFECT in excused(story)


# -- starting again


def again(state: str = "CRASHED", **more: Any) -> Story:
    story = Story(seconds=200)
    tale = story.task("t", {"at": sec(5)}, settled_through=sec(5), phase="finished", **more)
    key = tale.execution("slot", sec(5))
    tale.attempt(key, sec(5), sec(6), "n1.1", state=state, boot="lease a")
    tale.attempt(key, sec(7), sec(8), "n3.1", boot="lease b")
    return story


def owned(*live: str) -> Ownership:
    return Ownership({}, {}, dict.fromkeys(live, "n1"))


def test_running_again_after_a_crash_needs_a_proof() -> None:
    assert found(again()) == {Kind.DUPLICATE}
    for kind, subject in (("dead", "n1.1"), ("frozen", "n1.1"), ("cut", "n1"), ("store", ""), ("slow", "n1")):
        story = again()
        story.fault(kind, subject, 5.5, None if kind == "dead" else 7)
        assert is_clean(story), kind
        assert excused(story) == {Kind.DUPLICATE}
    for kind, subject, begin in (("dead", "n3.1", 5.5), ("cut", "n3", 5.5), ("frozen", "n1.1", 6.5)):
        story = again()
        story.fault(kind, subject, begin, 100)
        assert found(story) >= {Kind.DUPLICATE}


def test_a_lease_that_is_gone_proves_it_too() -> None:
    story = again()
    story.ownership = owned("lease b")
    assert is_clean(story)
    story.ownership = owned("lease a", "lease b")
    assert found(story) == {Kind.DUPLICATE}


def test_who_asks_for_it_may_have_it_run_again() -> None:
    story = again()
    story.ask("resume", story.tales[0], 6.5, "unknown")
    assert is_clean(story)
    refused = again()
    refused.ask("resume", refused.tales[0], 6.5, "refused")
    assert found(refused) == {Kind.DUPLICATE}
    late = again()
    late.ask("resume", late.tales[0], 9)
    assert found(late) == {Kind.DUPLICATE}


def test_a_process_that_wrote_nothing_is_known_by_its_node() -> None:
    """It was claimed and never began."""
    story = again()
    story.tales[0].lines = [line for line in story.tales[0].lines if line.attempt == 2]
    assert found(story) == {Kind.DUPLICATE, Kind.LATE}
    story.fault("dead", "n1", 5.5)
    assert is_clean(story)


def test_interrupted_and_failed_attempts_are_tried_again() -> None:
    assert is_clean(again("CANCELLED"))
    assert is_clean(again("FAILED", max_retries=1))
    assert found(again("FAILED")) == {Kind.DUPLICATE}
    assert found(again("RUNNING")) >= {Kind.DUPLICATE}


def test_what_is_held_goes_on_as_often_as_it_is_asked() -> None:
    story = again(on_crash="hold")
    story.fault("dead", "n1.1", 5.5)
    assert found(story) == {Kind.HELD_AGAIN}
    story.ask("resume", story.tales[0], 6.5, "unknown")
    assert is_clean(story)
    tale = story.tales[0]
    tale.executions["slot"] = attrs.evolve(tale.executions["slot"], nominal=sec(5))
    story.tales[0].lines = [line for line in tale.lines if (line.attempt, line.kind) != (2, "end")]
    last = tale.executions["slot"].attempts[-1]
    tale.executions["slot"] = attrs.evolve(
        tale.executions["slot"], attempts=(tale.executions["slot"].attempts[0], attrs.evolve(last, state="CRASHED"))
    )
    tale.attempt("slot", sec(9), sec(10), "n2.1")
    story.fault("dead", "n3.1", 7.5)
    assert found(story) == {Kind.HELD_AGAIN}


def rerun() -> Story:
    story = Story(seconds=200)
    story.fault("dead", "n1.1", 8)
    tale = story.task("t", {"at": sec(5)}, settled_through=sec(5), phase="finished", on_crash="rerun")
    key = tale.execution("slot", sec(5))
    tale.attempt(key, sec(5), sec(12), "n1.1", state="CRASHED", keeps=(1, 2), comes_back=False)
    tale.lines = [attrs.evolve(line, at=min(line.at, sec(7.9))) for line in tale.lines]
    tale.attempt(key, sec(13), sec(14), "n3.1")
    return story


def test_rerun_begins_anew_after_a_crash_and_resume_does_not() -> None:
    story = rerun()
    assert is_clean(story)
    story.tales[0].task = attrs.evolve(story.tales[0].task, on_crash="resume")
    assert found(story) == {Kind.CHECKPOINT_REGRESSION}
    story = rerun()
    lines = story.tales[0].lines
    at = next(n for n, line in enumerate(lines) if (line.kind, line.attempt) == ("start", 2))
    lines[at] = attrs.evolve(lines[at], position=2)
    assert found(story) == {Kind.CHECKPOINT_REGRESSION}
    story.ask("resume", story.tales[0], 12.5)
    assert is_clean(story)


# -- lateness


def late(reason: str | None = "downtime", **more: Any) -> Story:
    story = Story(seconds=200)
    tale = story.task("t", {"at": sec(50)}, settled_through=sec(50), phase="finished", **more)
    key = tale.execution("slot", sec(50))
    tale.attempt(key, sec(55), sec(56))
    tale.executions[key] = attrs.evolve(tale.executions[key], reason=reason)
    return story


def test_a_late_start_needs_a_reason_that_can_be_seen() -> None:
    assert found(late()) == found(late("unheard of")) == found(late(None)) == {Kind.LATE}
    assert is_clean(late("queue"))
    assert is_clean(late("overlap"))
    story = late()
    story.fault("cut", "n1", 10, 25)
    assert is_clean(story)  # healing takes its time
    assert excused(story) == {Kind.LATE}
    story = late()
    story.fault("cut", "n1", 10, 15)
    assert found(story) == {Kind.LATE}


def test_a_busy_machine_makes_late_and_kills_nobody() -> None:
    story = late()
    story.spans.append(Span("busy", "", 0))
    assert is_clean(story)
    crashed = again()
    before = found(crashed)
    crashed.spans.append(Span("busy", "", 0))
    assert found(crashed) == before == {Kind.DUPLICATE}


def test_a_pause_makes_late_and_so_does_a_skewed_clock() -> None:
    story = late("paused")
    story.spans.append(Span("paused", "", sec(40), sec(54)))
    assert is_clean(story)
    story = late("paused")
    story.spans.append(Span("paused", "id of another", sec(40), sec(54)))
    assert found(story) == {Kind.LATE}
    story = late()
    story.bounds = Bounds(skew=5 * SECOND)
    assert is_clean(story)


def test_what_was_past_when_it_was_given_is_not_late() -> None:
    assert is_clean(late(created_at=sec(54), revisions=(Revision(sec(50) - 1, {"at": sec(50)}),)))
