"""What is excused, and that the same is a violation without its proof; and what is no violation at all, however odd it looks."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from tests.rehearsal.histories import BEGIN, SECOND, Story, Tale, sec
from tocsin.rehearsal import starts
from tocsin.rehearsal.checker import check
from tocsin.rehearsal.history import Attempt, Bounds, Execution, History, Line, Ownership, Revision, Row, Span
from tocsin.rehearsal.trial import Case
from tocsin.rehearsal.verdict import Kind, Verdict

EVERY_MINUTE: dict[str, Any] = {"every": 60 * SECOND, "anchor": BEGIN}


def judged(story: Story) -> Verdict:
    return check(story.told())


def is_clean(story: Story) -> bool:
    verdict = judged(story)
    assert verdict.violations == (), verdict.report()
    return True


def found(history: History | Story) -> set[Kind]:
    return set(check(history.told() if isinstance(history, Story) else history).kinds)


def excused(story: Story) -> set[Kind]:
    return {one.kind for one in judged(story).excused}


# -- zombies


def superseded(back: float = 60.5, *, fault: tuple[str, str] = ("frozen", "n2.1")) -> Story:
    """A process stands still from 35 to 60; its attempt is superseded at 45, and is over when it says so."""
    story = Story()
    story.fault(*fault, 35, 60)
    tale = story.task(
        "t", EVERY_MINUTE | {"anchor": sec(-30)}, settled_through=sec(100), phase="paused", overlap="queue"
    )
    key = tale.execution("slot", sec(30))
    tale.attempt(key, sec(30), sec(45), "n2.1", state="CRASHED", keeps=(1,), comes_back=False)
    tale.lines[1:] = [attrs.evolve(line, at=sec(32)) for line in tale.lines[1:]]
    tale.attempt(key, sec(46), sec(70), "n3.1", position=1)
    tale.lines.append(Line("cut", "n2.1", tale.task.id, key, 1, 1, sec(back), sec(30)))
    tale.fire(sec(90), process="n3.1")
    story.seconds = 200
    return story


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
    assert found(late()) == found(late("takeover")) == found(late(None)) == {Kind.LATE}
    assert is_clean(late("queue"))
    assert is_clean(late("overlap"))
    story = late()
    story.fault("cut", "n1", 10, 25)
    assert is_clean(story)  # healing takes its time
    assert excused(story) == {Kind.LATE}
    story = late()
    story.fault("cut", "n1", 10, 15)
    assert found(story) == {Kind.LATE}


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


# -- skips


def skipping(outcome: str, reason: str, trigger: Any = None, **more: Any) -> tuple[Story, Tale]:
    story = Story(seconds=60, healed=0)
    tale = story.task("t", trigger, **{"settled_through": sec(50), "phase": "cancelled"} | more)
    for n in (10, 20, 50):
        tale.fire(sec(n))
    tale.row(sec(30), sec(40), 2, outcome, reason)
    return story, tale


@pytest.mark.parametrize(
    ("outcome", "reason", "catch_up"),
    [
        ("missed", "downtime", "skip"),
        ("missed", "downtime", "all"),
        ("coalesced", "catch_up", "latest"),
        ("coalesced", "catch_up", "earliest"),
        ("skipped", "too_late", "latest"),
        ("skipped", "no_node", "latest"),
        ("skipped", "node_lost", "latest"),
    ],
)
def test_what_was_not_run_for_a_fault_needs_one(outcome: str, reason: str, catch_up: str) -> None:
    story, _ = skipping(outcome, reason, catch_up=catch_up)
    assert found(story) == {Kind.UNEXPLAINED_SKIP}
    story.fault("store", "", 29, 42)
    assert is_clean(story)
    story, _ = skipping(outcome, reason, catch_up=catch_up)
    story.spans.append(Span("paused", "", sec(29), sec(42)))
    assert is_clean(story)


def test_an_edit_may_cut_short_what_was_to_be_caught_up() -> None:
    story, tale = skipping("missed", "downtime", catch_up="earliest")
    story.fault("store", "", 29, 42)
    assert found(story) == {Kind.UNEXPLAINED_SKIP}
    first = tale.task.revisions[0]
    tale.task = attrs.evolve(tale.task, revisions=(first, Revision(sec(42), first.trigger)))
    story.ask("edit", tale, 42, "unknown")
    assert is_clean(story)


def test_a_range_lies_within_the_pause_or_it_is_not_explained() -> None:
    for verb, since, until, good in (
        ("resume", 29, 41, True),
        ("resume", 31, 41, False),
        ("resume", 29, 39, False),
    ):
        story, tale = skipping("skipped", "paused")
        story.ask("pause", tale, since)
        story.ask(verb, tale, until)
        assert (found(story) == set()) is good, (verb, since, until)
    story, tale = skipping("skipped", "paused")
    story.spans.append(Span("paused", "id of t", sec(29), sec(41)))
    assert is_clean(story)
    story, tale = skipping("skipped", "paused")
    story.ask("pause", tale, 10, "unknown")
    story.ask("resume", tale, 15)
    assert is_clean(story)  # who was not answered may have been heard late
    story.requests[-2] = attrs.evolve(story.requests[-2], answer="ok", answered_at=sec(11))
    assert found(story) == {Kind.UNEXPLAINED_SKIP}


def test_a_task_that_gives_up_pauses_itself() -> None:
    story, tale = skipping("skipped", "paused")
    tale.execution("t@20", sec(20))
    tale.lines = [line for line in tale.lines if line.execution != "t@20"]
    tale.fence += 1
    tale.attempt("t@20", sec(20.1), sec(20.2), state="FAILED")
    tale.lines.sort(key=lambda line: line.at)
    tale.executions["t@50"] = tale.executions.pop("t@50")
    assert Kind.UNEXPLAINED_SKIP not in found(story)


def test_what_blocked_a_slot_was_open_then() -> None:
    def blocked(until: float, named: str | None, **more: Any) -> Story:
        story = Story(seconds=60)
        tale = story.task("t", settled_through=sec(30), phase="cancelled", **more)
        tale.fire(sec(10), length=round((until - 10) * SECOND))
        tale.row(sec(20), sec(20), 1, "skipped", "overlap", named)
        tale.fire(sec(30))
        return story

    assert is_clean(blocked(21, "t@10"))
    assert is_clean(blocked(21, None))
    assert found(blocked(19, "t@10")) == found(blocked(19, None)) == {Kind.UNEXPLAINED_SKIP}
    skewed = blocked(19, "t@10")
    skewed.bounds = Bounds(skew=SECOND)
    assert is_clean(skewed)


def test_a_slot_that_was_replaced_while_it_waited() -> None:
    story = Story(seconds=60)
    tale = story.task("t", settled_through=sec(30), phase="cancelled", overlap="replace")
    tale.fire(sec(10))
    tale.executions["waited"] = Execution("waited", sec(20), "CANCELLED", sec(20), "skipped", "overlap")
    tale.fire(sec(30))
    assert is_clean(story)
    tale.executions["waited"] = Execution("waited", sec(20), "CANCELLED", sec(20), "skipped", "cancelled")
    assert is_clean(story)


def test_what_waited_too_long_has_waited() -> None:
    story, tale = skipping("skipped", "queue")
    assert found(story) == {Kind.UNEXPLAINED_SKIP}
    tale.rows.clear()
    for n in (30, 40):
        tale.executions[f"{n}"] = Execution(f"{n}", sec(n), "CANCELLED", sec(n), "skipped", "queue")
    assert is_clean(story)


def test_a_node_s_own_execution_blocks_it() -> None:
    def on_nodes(blocker: str) -> Story:
        story = Story(seconds=60)
        tale = story.task("t", settled_through=sec(20), phase="cancelled", everywhere=True)
        for node in ("n1", "n2"):
            key = tale.execution(f"{node} 10", sec(10), target=node)
            tale.attempt(key, sec(10), sec(25 if node == blocker else 11), f"{node}.1")
        tale.execution("n1 20", sec(20), target="n1", state="CANCELLED", outcome="skipped", reason="overlap")
        tale.attempt(tale.execution("n2 20", sec(20), target="n2"), sec(26), sec(27), "n2.1")
        tale.executions["n2 20"] = attrs.evolve(tale.executions["n2 20"], reason="queue")
        return story

    assert is_clean(on_nodes("n1"))
    assert found(on_nodes("n2")) == {Kind.UNEXPLAINED_SKIP}


# -- what people ask for


def test_an_unknown_request_allows_both_worlds() -> None:
    for there in (False, True):
        story = Story(seconds=60)
        tale = story.task("t", {"at": sec(500)})
        for verb in ("run", "pause", "resume", "cancel", "edit", "delete"):
            story.ask(verb, tale, 5, "unknown", key="run" if verb == "run" else None)
        if there:
            tale.attempt(tale.execution("run", created_at=sec(5)), sec(5), sec(6))
            tale.task = attrs.evolve(
                tale.task, phase="cancelled", revisions=(*tale.task.revisions, Revision(sec(5), {"at": sec(400)}))
            )
        assert is_clean(story)


def test_a_refused_request_changes_nothing() -> None:
    story = Story(seconds=60)
    tale = story.task("t", {"at": sec(500)})
    story.ask("run", tale, 5, "refused", key="run")
    assert is_clean(story)
    tale.attempt(tale.execution("run", created_at=sec(5)), sec(5), sec(6))
    assert found(story) == {Kind.PHANTOM}


def test_the_last_word_counts_only_if_none_can_have_come_after_it() -> None:
    story = Story(seconds=60)
    tale = story.task("t", {"at": sec(500)})
    story.ask("resume", tale, 4, "unknown")
    story.ask("pause", tale, 5)
    assert is_clean(story)
    story.requests = [one for one in story.requests if one.answer == "ok"]
    assert found(story) == {Kind.REQUEST_LOST}


def test_a_run_on_all_nodes_is_one_run() -> None:
    story = Story(seconds=60)
    tale = story.task("t", {"at": sec(500)}, everywhere=True)
    story.ask("run", tale, 5, key="run n1")
    for node in ("n1", "n2"):
        tale.attempt(tale.execution(f"run {node}", created_at=sec(5), target=node), sec(5), sec(6), f"{node}.1")
    assert is_clean(story)


def deleted() -> tuple[Story, Tale]:
    """Only who asked for it knows of it, and what its handler wrote."""
    story = Story(seconds=200)
    tale = story.task("t")
    for n in (10, 20, 30):
        tale.fire(sec(n))
    story.ask("delete", tale, 31)
    tale.task = attrs.evolve(tale.task, phase="deleted", deleted=True, settled_through=0)
    tale.executions.clear()
    return story, tale


def test_a_deleted_task_is_judged_by_what_it_did() -> None:
    story, tale = deleted()
    assert is_clean(story)
    tale.task = attrs.evolve(tale.task, revisions=(), created_at=0)
    assert is_clean(story)


def test_a_deleted_task_does_not_start_again() -> None:
    story, tale = deleted()
    start = tale.lines[0]
    tale.lines.append(attrs.evolve(start, at=sec(40), nominal=sec(40), execution="t@40", fence=4))
    assert found(story) == {Kind.CANCELLED_RAN}
    story.fault("slow", "", 25, 35)
    assert is_clean(story)
    assert excused(story) == {Kind.CANCELLED_RAN}


def test_a_deleted_task_ran_for_its_slots_and_one_after_the_other() -> None:
    story, tale = deleted()
    tale.lines[2] = attrs.evolve(tale.lines[2], nominal=sec(19.5))
    assert found(story) == {Kind.PHANTOM}
    story.ask("edit", tale, 12, "unknown")
    assert is_clean(story)
    story, tale = deleted()
    tale.lines = [line for line in tale.lines if (line.execution, line.kind) != ("t@10", "end")]
    assert found(story) == {Kind.OVERLAP}
    story.fault("frozen", "n1.1", 11, 19.5)
    assert found(story) == {Kind.ZOMBIE_EFFECT}


def test_a_cancel_is_forgotten_when_the_task_goes_on() -> None:
    story = Story(seconds=60)
    tale = story.task("t", settled_through=sec(60))
    for n in (10, 20):
        tale.fire(sec(n))
    story.ask("cancel", tale, 25)
    story.ask("resume", tale, 45)
    for n in (50, 60):
        tale.fire(sec(n) - 0)
    story.seconds = 61
    assert is_clean(story)  # and what came due meanwhile belongs to nobody
    story.requests = [one for one in story.requests if one.verb != "resume"]
    assert found(story) == {Kind.LOST, Kind.CANCELLED_RAN, Kind.REQUEST_LOST}


def test_a_limit_is_counted_anew_when_the_task_goes_on() -> None:
    story = Story(seconds=100)
    tale = story.task("t", settled_through=sec(70), phase="finished", max_runs=2)
    for n in (10, 20, 60, 70):
        tale.fire(sec(n))
    story.ask("resume", tale, 55)
    assert is_clean(story)
    story.requests = [one for one in story.requests if one.verb != "resume"]
    assert found(story) == {Kind.MAX_RUNS, Kind.LOST}


# -- purged


def test_what_was_purged_had_ended_and_is_missed_by_nobody() -> None:
    story = Story(seconds=100)
    tale = story.task("t", settled_through=sec(100), overlap="allow")
    for n in range(10, 101, 10):
        tale.fire(sec(n) - 0)
    story.seconds = 101
    tale.row(sec(20), sec(20), 1, "fired", "", "t@20")
    tale.executions.pop("t@20")
    story.ask("run", tale, 5, key="gone")
    story.ask("purge", tale, 90)
    assert is_clean(story)
    story.requests[-1] = attrs.evolve(story.requests[-1], task="another")
    assert found(story) == {Kind.LOST, Kind.PHANTOM, Kind.REQUEST_LOST}
    story.requests[-1] = attrs.evolve(story.requests[-1], task="")
    tale.rows.clear()
    assert is_clean(story)
    tale.executions.pop("t@100")
    assert found(story) == {Kind.LOST, Kind.PHANTOM}


def test_a_task_may_be_purged() -> None:
    story, tale = deleted()
    story.requests = [one for one in story.requests if one.verb != "delete"]
    assert found(story) == {Kind.REQUEST_LOST}
    story.ask("purge", tale, 50)
    assert is_clean(story)


# -- what is no violation


@pytest.mark.parametrize(
    ("state", "attempts", "phase", "good"),
    [
        ("WAITING", (), "active", False),
        ("WAITING", (Attempt(1, 1, "FAILED", sec(10), sec(11)),), "active", True),
        ("RUNNING", (Attempt(1, 1, "RUNNING", sec(10), None),), "active", True),
        ("RUNNING", (Attempt(1, 1, "RUNNING", sec(10), None),), "cancelled", False),
    ],
)
def test_what_is_open_needs_a_reason_to_be(state: str, attempts: tuple[Attempt, ...], phase: str, good: bool) -> None:
    story = Story(seconds=100)
    tale = story.task("t", {"at": sec(10)}, phase=phase, settled_through=sec(10), fence=1)
    outcome = "fired" if attempts else None
    tale.executions["slot"] = Execution(
        "slot", sec(10), state, sec(10), outcome, fence=len(attempts), attempts=attempts
    )  # fmt: skip
    if attempts:
        kinds = ("start",) if state == "RUNNING" else ("start", "cut")
        tale.lines = [Line(kind, "n1.1", tale.task.id, "slot", 1, 1, sec(10), sec(10)) for kind in kinds]
    if good:
        assert is_clean(story)
    else:
        assert found(story) == {Kind.LOST}
    story.healed = 90
    assert is_clean(story)  # too soon to tell


def test_a_running_attempt_whose_process_is_dead_is_lost() -> None:
    story = Story(seconds=100)
    story.fault("dead", "n1.1", 12)
    tale = story.task("t", {"at": sec(10)}, settled_through=sec(10))
    tale.attempt(tale.execution("slot", sec(10)), sec(10), sec(11), state="RUNNING", comes_back=False)
    assert found(story) == {Kind.LOST}
    tale.task = attrs.evolve(tale.task, records=False)
    tale.lines.clear()
    assert is_clean(story)


def test_a_queue_waits_as_long_as_something_runs() -> None:
    story = Story(seconds=100)
    tale = story.task("t", {"at": sec(500)}, overlap="queue")
    story.ask("run", tale, 5)
    story.ask("run", tale, 6)
    tale.attempt(tale.execution("one", created_at=sec(5)), sec(5), sec(6), state="RUNNING", comes_back=False)
    tale.execution("two", created_at=sec(6))
    assert is_clean(story)


def test_one_with_a_key_waits_for_the_others_that_have_it() -> None:
    story = Story(seconds=100)
    one, other = (story.task(name, {"at": sec(500)}, key=("k", 1)) for name in ("one", "other"))
    story.ask("run", one, 5)
    story.ask("run", other, 6)
    one.attempt(one.execution("first", created_at=sec(5)), sec(5), sec(6), state="RUNNING", comes_back=False)
    other.execution("second", created_at=sec(6))
    assert is_clean(story)
    other.task = attrs.evolve(other.task, key=("another", 1))
    assert found(story) == {Kind.LOST}
    story.spans.append(Span("paused", "", sec(1)))
    assert is_clean(story)


def test_slots_with_a_fixed_delay_are_judged_by_their_order() -> None:
    def delayed(*nominal: float, revisions: int = 1) -> Story:
        story = Story(seconds=100)
        trigger = {"delay": 10 * SECOND}
        tale = story.task("t", trigger, settled_through=sec(60))
        tale.task = attrs.evolve(tale.task, revisions=tuple(Revision(sec(n), trigger) for n in range(revisions)))
        for number, at in enumerate(nominal):
            tale.attempt(tale.execution(f"{number}", sec(at)), sec(at + 0.1), sec(at + 0.2))
        return story

    assert is_clean(delayed(10, 20.2, 45))
    assert found(delayed(10, 19)) == {Kind.EARLY}
    assert Kind.DUPLICATE in found(delayed(10, 10))
    story = delayed(10, 12)
    story.tales[0].task = attrs.evolve(
        story.tales[0].task, revisions=(Revision(BEGIN, EVERY_MINUTE), *story.tales[0].task.revisions)
    )
    assert is_clean(story)


def test_a_trigger_that_cannot_be_judged_is_told() -> None:
    story = Story(seconds=100)
    story.task("t", {"cron": "0 0 * * *", "timezone": "Europe/Berlin"})
    assert found(story) == {Kind.PHANTOM}


@pytest.mark.parametrize(("number", "good"), [(50, False), (51, True)])
def test_what_comes_behind_a_slice_of_catch_up_stays_owed(number: int, good: bool) -> None:
    story = Story(seconds=400)
    trigger = {"every": SECOND, "anchor": BEGIN}
    tale = story.task("t", trigger, settled_through=sec(number), phase="paused", catch_up="all", overlap="queue_all")
    for n in range(1, number + 1):
        key = tale.execution(f"{n}", sec(n), created_at=sec(60))
        tale.attempt(key, sec(200 + n), sec(200.5 + n))
    story.ask("pause", tale, 150)
    story.fault("store", "", 0, 190)
    if good:
        assert is_clean(story)
    else:
        assert found(story) == {Kind.LOST}


def test_a_paused_cluster_owes_nothing_now() -> None:
    story = Story(seconds=100)
    story.task("t", settled_through=sec(0))
    story.spans.append(Span("paused", "", sec(1)))
    assert is_clean(story)
    story.spans.clear()
    assert found(story) == {Kind.LOST}


def test_a_key_is_held_by_valid_attempts_only() -> None:
    def held(until: float) -> Story:
        story = superseded(fault=("frozen", "n2.1"))
        story.tales[0].task = attrs.evolve(story.tales[0].task, key=("k", 1))
        other = story.task("o", {"at": sec(72)}, key=("k", 1), settled_through=sec(72), phase="finished")
        other.attempt(other.execution("other", sec(72)), sec(until), sec(until + 1), "n3.1")
        return story

    assert is_clean(held(72))
    assert found(held(72 - 4)) == {Kind.OVERLAP, Kind.EARLY}
    allowed = held(72)
    for tale in allowed.tales:
        tale.task = attrs.evolve(tale.task, key=("k", 2))
    assert is_clean(allowed)


def test_of_differing_limits_that_of_the_last_claim_counts() -> None:
    def held(first: int, second: int, skew: int = 0) -> Story:
        story = Story(seconds=60, bounds=Bounds(skew=skew))
        for name, limit, at in (("a", first, 5), ("b", second, 5.5)):
            tale = story.task(name, {"at": sec(at)}, key=("k", limit), settled_through=sec(at), phase="finished")
            tale.attempt(tale.execution(f"slot {name}", sec(at)), sec(at), sec(10))
        # The handler of the one that was claimed first began last.
        tale = story.tales[0]
        tale.lines[0] = attrs.evolve(tale.lines[0], at=sec(5.51))
        return story

    assert is_clean(held(1, 2))
    assert found(held(2, 1)) == {Kind.OVERLAP}
    assert is_clean(held(2, 1, SECOND))


def test_a_dead_holder_has_let_go_of_its_key() -> None:
    story = Story(seconds=200)
    story.fault("dead", "n1.1", 6)
    for name, process, at in (("a", "n1.1", 5), ("b", "n2.1", 20)):
        tale = story.task(
            name, {"at": sec(at)}, key=("k", 1), settled_through=sec(at), phase="finished", on_crash="hold"
        )
        crashed = name == "a"
        key = tale.execution(f"slot {name}", sec(at))
        tale.attempt(
            key, sec(at), sec(at + 10), process, state="CRASHED" if crashed else "COMPLETED", comes_back=not crashed
        )
    assert is_clean(story)


def test_names_are_as_good_as_ids() -> None:
    story = Story(seconds=60)
    tale = story.task("t", settled_through=sec(50), phase="cancelled")
    for n in (10, 20, 30, 40, 50):
        tale.fire(sec(n))
    tale.lines = [attrs.evolve(line, task="t") for line in tale.lines]
    assert is_clean(story)


def test_rows_that_list_what_ran_are_not_counted_twice() -> None:
    story = Story(seconds=60)
    tale = story.task("t", settled_through=sec(20), phase="cancelled")
    for n in (10, 20):
        key = tale.fire(sec(n))
        tale.rows.append(Row(sec(n), sec(n), 1, "fired", None, key))
    assert is_clean(story)
    assert judged(story).statistics.outcomes == {"fired": 2}


# -- by time alone


def test_starts_with_the_wrong_names_are_found_by_their_times() -> None:
    """Two slots ran as each other: neither name is wrong for itself, and the later one started before its time."""
    story = Story(seconds=60)
    tale = story.task("t", settled_through=sec(20), phase="cancelled", overlap="allow")
    for n in (10, 20):
        tale.fire(sec(n))
    history = story.told()
    swapped = {"t@10": "t@20", "t@20": "t@10"}
    lines = tuple(attrs.evolve(line, execution=swapped[line.execution]) for line in history.lines)
    assert Kind.PHANTOM in found(attrs.evolve(history, lines=lines))


def test_the_two_ways_to_match_have_to_agree() -> None:
    story = Story(seconds=60)
    tale = story.task("t", settled_through=sec(20), phase="cancelled", overlap="allow")
    for n in (10, 20):
        tale.fire(sec(n))
    tale.lines = [attrs.evolve(line, nominal=sec(30) - line.nominal) for line in tale.lines if line.nominal is not None]
    case = Case(story.told())
    starts._check_by_time(case, case.trials[0])
    assert [one.kind for one in case.found.violations] == [Kind.PHANTOM]


def test_a_start_that_serves_no_slot_is_found_by_its_time() -> None:
    story = Story(seconds=60)
    tale = story.task("t", settled_through=sec(20), phase="cancelled", overlap="allow")
    for n in (10, 20):
        tale.fire(sec(n))
    tale.lines = [attrs.evolve(line, at=line.at - 8 * SECOND) for line in tale.lines]
    case = Case(story.told())
    starts._check_by_time(case, case.trials[0])
    assert [one.kind for one in case.found.violations] == [Kind.LOST, Kind.DUPLICATE]


def test_a_result_may_be_anything() -> None:
    for result in ("no JSON", '["fence"]', '{"fence": "1"}', "null"):
        story = Story(seconds=60)
        tale = story.task("t", settled_through=sec(10), phase="cancelled")
        key = tale.fire(sec(10))
        tale.executions[key] = attrs.evolve(tale.executions[key], result=result)
        assert is_clean(story)


def test_a_limit_is_judged_where_the_trigger_can_be_read() -> None:
    def limited(**more: Any) -> Story:
        story = Story(seconds=100)
        tale = story.task("t", settled_through=sec(20), phase="finished", max_runs=3, **more)
        for n in (10, 20):
            tale.fire(sec(n))
        return story

    assert found(limited()) == {Kind.MAX_RUNS}
    first = Revision(BEGIN, {"every": 10 * SECOND, "anchor": BEGIN}, {"end": sec(25)})
    assert is_clean(limited(revisions=(first,)))  # it has come to its end before its limit


# -- for people


def test_the_report_tells_everything_that_matters() -> None:
    story = superseded(fault=("frozen", "n1.1"))
    verdict = judged(story)
    text = verdict.report()
    assert "2 nominal times were due" in text
    assert f"{len(verdict.violations)} violations: " in text
    assert str(verdict.violations[0]) in text
    plain = verdict.as_json()
    assert plain["good"] is False
    assert plain["violations"][0]["kind"] in set(Kind)
    assert plain["statistics"]["lateness"] == {"p50": 1000, "p99": 1000, "worst": 1000}
    assert Verdict().as_json()["good"]
    assert "0 violations: none" in Verdict().report()


def test_statistics_count_what_happened() -> None:
    story = superseded()
    figures = judged(story).statistics
    assert (figures.tasks, figures.due, figures.starts, figures.attempts) == (1, 2, 3, 3)
    assert (figures.crashed, figures.resumed, figures.retries, figures.seconds) == (1, 1, 1, 200)
    assert figures.takeovers is None
    assert figures.lateness == [0, 1000]
    assert (figures.late(0.5), figures.late(1.0)) == (1000, 1000)
