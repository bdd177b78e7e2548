"""What is no violation however odd it looks, what is told by time alone, and what people are told."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from tests.checker.histories import BEGIN, SECOND, Story, sec
from tests.checker.judging import EVERY_MINUTE, found, is_clean, judged, superseded
from tocsin.checker import starts
from tocsin.checker.history import Attempt, Bounds, Execution, Line, Request, Revision, Row, Span
from tocsin.checker.trial import Case
from tocsin.checker.verdict import Kind, Verdict

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


def test_a_pause_that_was_not_answered_may_have_come_too_late() -> None:
    story = Story(seconds=100)
    tale = story.task("t", settled_through=sec(20), phase="paused")
    for n in (10, 20):
        tale.fire(sec(n))
    story.ask("pause", tale, 25)
    story.ask("pause", tale, 50, "unknown")
    assert is_clean(story)
    story.ask("pause", tale, 50)
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
    def held(first: int, second: int, skew: int = 0, telling: int = 0) -> Story:
        story = Story(seconds=60, bounds=Bounds(skew=skew, telling=telling))
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
    assert is_clean(held(2, 1, telling=SECOND))


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


@pytest.mark.parametrize("ended", [None, 38.0], ids=["at its attempt's end", "later, as it waited to be tried again"])
def test_an_execution_that_waits_to_be_tried_again_is_open(ended: float | None) -> None:
    """Cancelled while it waited, it was in the way of the slots until then, and not only as long as its attempt ran."""
    story = Story()
    tale = story.task("tick", {"every": 10 * SECOND, "anchor": BEGIN}, max_retries=3)
    tale.fire(sec(10))
    key = tale.execution("failed", sec(20))
    tale.attempt(key, sec(20.001), sec(21), state="FAILED")
    failed = tale.executions[key]
    tale.executions[key] = attrs.evolve(failed, state="CANCELLED", ended_at=None if ended is None else sec(ended))
    tale.row(sec(30), sec(30), 1, "skipped", "overlap")
    for nominal in range(40, 121, 10):
        tale.fire(sec(nominal))
    kinds = judged(story).kinds
    assert (Kind.UNEXPLAINED_SKIP in kinds) is (ended is None)


def test_a_task_at_its_limit_has_no_slots_left_when_it_is_cancelled() -> None:
    """Cancelling moves the mark up to which its ledger is complete; the slots until then were nobody's."""
    story = Story()
    tale = story.task("twice", {"every": 10 * SECOND, "anchor": BEGIN}, max_runs=2, phase="cancelled", ended_at=sec(55))
    tale.task = attrs.evolve(tale.task, settled_through=sec(55))
    tale.fire(sec(10))
    tale.fire(sec(20))
    story.requests.append(Request("cancel", tale.task.id, sec(54), sec(55), "ok"))
    assert is_clean(story)
    tale.task = attrs.evolve(tale.task, max_runs=3)
    assert Kind.LOST in judged(story).kinds


@pytest.mark.parametrize(("reason", "fine"), [("cancelled", True), ("overlap", False)])
def test_one_that_waited_and_was_cancelled_with_its_task_counts_against_the_limit(reason: str, fine: bool) -> None:
    story = Story()
    tale = story.task("twice", {"every": 10 * SECOND, "anchor": BEGIN}, max_runs=2, phase="cancelled", ended_at=sec(55))
    tale.task = attrs.evolve(tale.task, settled_through=sec(55))
    tale.fire(sec(10))
    waited = tale.execution("waited", sec(20), state="CANCELLED", outcome="skipped", reason=reason)
    tale.row(sec(20), sec(20), 1, "skipped", reason, waited)
    story.requests.append(Request("cancel", tale.task.id, sec(54), sec(55), "ok"))
    assert (Kind.LOST not in judged(story).kinds) is fine


@pytest.mark.parametrize("purged", [15.0, 5.0])
def test_what_was_purged_counts_against_the_limit(purged: float) -> None:
    """The first of two runs is gone with its row, if it was purged; if what was purged is older, it was lost."""
    story = Story()
    tale = story.task("twice", {"every": 10 * SECOND, "anchor": BEGIN}, max_runs=2, phase="cancelled", ended_at=sec(55))
    tale.task = attrs.evolve(tale.task, settled_through=sec(55))
    tale.fire(sec(20))
    story.ask("purge", tale, purged)
    story.requests.append(Request("cancel", tale.task.id, sec(54), sec(55), "ok"))
    lost = [one.at for one in judged(story).violations if one.kind is Kind.LOST]
    assert lost == ([] if purged > 10 else [sec(10), sec(30), sec(40), sec(50)])


@pytest.mark.parametrize("gone", ["purged", "deleted", "neither"])
def test_for_which_node_an_execution_was_is_gone_with_it(gone: str) -> None:
    story = Story()
    tale = story.task("all", {"every": 60 * SECOND, "anchor": BEGIN}, everywhere=True)
    for slot in (60, 120):
        for node in ("n1", "n2"):
            key = tale.execution(f"{slot} {node}", sec(slot), target=node)
            tale.attempt(key, sec(slot) + 1_000, sec(slot + 20), f"{node}.1")
    del tale.executions["60 n1"]
    if gone == "purged":
        story.requests.append(Request("purge", "", sec(100), sec(101), "ok"))
    if gone == "deleted":
        tale.executions.clear()
        tale.task = attrs.evolve(tale.task, deleted=True, revisions=(), settled_through=0)
    assert (Kind.OVERLAP in judged(story).kinds) is (gone == "neither")


@pytest.mark.parametrize(("kind", "is_wrong"), [("full store", False), ("cut", True)])
def test_an_end_that_could_not_be_written_is_no_end_yet(kind: str, is_wrong: bool) -> None:
    story = Story()
    tale = story.task("tick", {"every": 10 * SECOND, "anchor": BEGIN})
    tale.fire(sec(10))
    tale.fire(sec(20), length=5 * SECOND)
    tale.row(sec(30), sec(30), 1, "skipped", "overlap", "tick@20")
    for nominal in range(40, 121, 10):
        tale.fire(sec(nominal))
    story.spans.append(Span(kind, "", sec(24), sec(31)))
    assert (Kind.UNEXPLAINED_SKIP in judged(story).kinds) is is_wrong


def test_how_late_a_deleted_task_was_is_not_judged() -> None:
    story = Story()
    tale = story.task("gone", {"every": 60 * SECOND, "anchor": BEGIN})
    tale.attempt(tale.execution("late", sec(60), outcome="fired"), sec(90), sec(91))
    assert Kind.LATE in judged(story).kinds
    tale.task = attrs.evolve(tale.task, deleted=True, revisions=(), settled_through=0)
    tale.executions.clear()
    assert Kind.LATE not in judged(story).kinds


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
