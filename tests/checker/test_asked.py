"""Slots that were not run for a reason, and what people asked for: what the checker accepts, and what it does not."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from tests.checker.histories import SECOND, Story, Tale, sec
from tests.checker.judging import deleted, excused, found, is_clean
from tocsin.checker.history import Bounds, Execution, Revision, Span, Write
from tocsin.checker.verdict import Kind

# -- the pause of everything


@pytest.mark.parametrize(
    ("at", "fault", "good", "proven"),
    [
        (25, None, False, False),
        (25, "frozen", True, True),
        (20.5, None, True, False),
        (45, None, True, False),
    ],
)
def test_nothing_is_claimed_while_everything_is_paused(at: float, fault: str | None, good: bool, proven: bool) -> None:
    """From 20 to 40, and a second for all to hear of it; who stood still did not."""
    story = Story(seconds=60, healed=0)
    tale = story.task("t", settled_through=sec(50), phase="cancelled")
    for n in (10, 50):
        tale.fire(sec(n))
    tale.row(sec(20), sec(40), 3, "missed", "paused")
    tale.attempt(tale.execution("by hand", created_at=sec(19)), sec(at), sec(at + 0.1), "n1.1")
    nobody = attrs.evolve(tale.task, id="")
    for verb, when in (("pause all", 20), ("resume all", 40)):
        story.ask(verb, Tale(nobody), when)
    story.ask("run", tale, 19, key="by hand")
    story.fault("paused", "", 20, 40)
    if fault is not None:
        story.fault(fault, "n1.1", 18, at - 0.1)
    assert (Kind.PHANTOM in found(story)) is not good
    assert (Kind.PHANTOM in excused(story)) is proven


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
    untold = blocked(19, "t@10")
    untold.bounds = Bounds(telling=SECOND)
    assert is_clean(untold), "the store did not have its end yet"


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


@pytest.mark.parametrize(
    ("ends", "died", "fine"),
    [(99, None, False), (99, 60, True), (99, 95, False), (70, None, True), (70, 95, True), (95, 99, False)],
)
def test_what_was_purged_had_ended_if_only_because_its_process_died(
    ends: float, died: float | None, fine: bool
) -> None:
    story = Story(seconds=100)
    tale = story.task("t", {"at": sec(5_000)})
    story.ask("run", tale, 5, key="gone")
    tale.execution("gone", created_at=sec(5))
    tale.attempt("gone", sec(50), sec(ends), "n3.1", comes_back=ends < 99)
    tale.executions.pop("gone")
    story.ask("purge", tale, 90)
    if died is not None:
        story.fault("dead", "n3.1", died)
    assert (Kind.PURGE_ERROR not in found(story)) is fine


def test_a_task_may_be_purged() -> None:
    story, tale = deleted()
    story.requests = [one for one in story.requests if one.verb != "delete"]
    assert found(story) == {Kind.REQUEST_LOST}
    story.ask("purge", tale, 50)
    assert is_clean(story)


# -- what has to stop


def test_what_runs_when_its_task_is_cancelled_is_interrupted() -> None:
    def cancelled(after: float) -> Story:
        story = Story(seconds=100)
        tale = story.task("t", {"at": sec(10)}, settled_through=sec(20), phase="cancelled")
        key = tale.execution("slot", sec(10))
        tale.attempt(key, sec(10), sec(20 + after), effect="mail")
        story.ask("cancel", tale, 20)
        return story

    assert is_clean(cancelled(0.9))
    assert found(cancelled(1.2)) == {Kind.CANCELLED_RAN}
    story = cancelled(5)
    story.fault("cut", "n1", 19, 26)
    assert is_clean(story)
    assert excused(story) == {Kind.CANCELLED_RAN}


def test_a_node_that_drains_acts_for_no_partition() -> None:
    def drained(at: float, boot: str = "n1.1 lease") -> Story:
        story = Story(seconds=100, writes=[])
        tale = story.task("t", settled_through=sec(20), phase="cancelled")
        tale.fire(sec(10))
        tale.fire(sec(20), process="n2.1")
        assert story.writes is not None
        story.writes.append(Write(sec(at), boot, 0, 1, 1, accepted=True))
        story.spans.append(Span("drain", "n1", sec(30), sec(60)))
        return story

    assert is_clean(drained(30.9))
    assert is_clean(drained(61))
    assert is_clean(drained(40, "n2.1 lease"))
    assert found(drained(40)) == {Kind.OWNERSHIP}
    story = drained(40)
    story.fault("store", "", 35, 50)
    assert is_clean(story)
