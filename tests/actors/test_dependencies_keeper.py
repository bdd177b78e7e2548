"""The keeper and tasks that wait for parents: who waits, what lets them go on, what ends the wait."""

from __future__ import annotations

import pytest

from actors.keeper_messages import Recover
from actors.model.execution import WaitsFor
from actors.model.lifecycle import Phase, State, Status
from actors.model.policy import OnCrash, Overlap, Policies, Retry
from actors.model.trigger import Bounds, Interval, Once
from runtime.clock import HOUR, SECOND, Instant, Micros
from runtime.errors import Conflict
from runtime.records import evolve

from .dependency_kit import NO_RETRY, child, last, made, parent, run_parent, waiting, waits_for
from .keeper_kit import START, Rig, definition

# -- who waits, and what lets it go on


def test_case_74_dependencies_block_until_both_parents_have_completed() -> None:
    rig = Rig()
    made(rig, parent("a"), parent("b"), child("a", "b"))
    rig.settle("c", after=10)
    assert rig.task("c").state.status is Status.WAITING
    run_parent(rig, "a")
    assert waits_for(rig) == [WaitsFor.DEPENDENCY]
    run_parent(rig, "b")
    assert [execution.state for execution in rig.task("c").open] == [State.RUNNING]
    rig.end()
    assert rig.ledger("c") == [(10, 10, "fired", None)]


def test_one_parent_is_enough_where_the_mode_says_any() -> None:
    rig = Rig()
    made(rig, parent("a"), parent("b"), child("a", "b", mode="any"))
    rig.settle("c", after=10)
    assert waits_for(rig) == [WaitsFor.DEPENDENCY]
    run_parent(rig, "b")
    assert waits_for(rig) == [None]


def test_a_parent_that_has_completed_since_the_creation_of_the_child_is_enough() -> None:
    rig = Rig()
    made(rig, parent(), child("p"))
    rig.now = Instant(rig.now + SECOND)
    run_parent(rig)
    rig.settle("c", after=9)
    assert waits_for(rig) == [None]


def test_what_the_parent_did_before_the_former_slot_does_not_count() -> None:
    rig = Rig()
    made(rig, parent(), child("p"))
    rig.now = Instant(rig.now + SECOND)
    run_parent(rig)
    rig.settle("c", after=9)
    rig.end()
    rig.settle("c", after=10)
    assert waits_for(rig) == [WaitsFor.DEPENDENCY]
    assert last(rig).since == START + 10 * SECOND
    run_parent(rig)
    assert waits_for(rig) == [None]


def test_an_execution_of_the_parent_that_started_before_the_former_slot_does_not_count() -> None:
    rig = Rig()
    made(rig, parent(), child("p", trigger=Interval(Micros(10 * SECOND), START)))
    early = rig.run("p")
    rig.settle("c", after=10)
    rig.end(execution=rig.running[early.id, early.fence])
    assert waits_for(rig) == [WaitsFor.DEPENDENCY], "it started at the child's creation, not after it"
    run_parent(rig)
    assert waits_for(rig) == [None]


def test_an_occurrence_that_waited_long_is_late() -> None:
    rig = waiting()
    rig.now = Instant(rig.now + 5 * SECOND)
    run_parent(rig)
    ((_, _, outcome, reason),) = rig.ledger("c")
    assert (outcome, reason) == ("late", "dependency")


def test_a_run_by_hand_does_not_wait_and_obeys_overlap() -> None:
    rig = waiting()
    with pytest.raises(Conflict, match="WAITING"):
        rig.run("c")
    rig = Rig()
    made(rig, parent(), child("p"))
    assert rig.run("c").state is State.RUNNING


def test_a_retry_does_not_wait_for_the_parents_again() -> None:
    rig = waiting(policies=Policies(retry=Retry(max_retries=1, delay=Micros(SECOND))))
    run_parent(rig)
    rig.end(State.FAILED)
    rig.settle("c", after=1)
    assert [(entry.state, entry.attempt) for entry in rig.task("c").open] == [(State.RUNNING, 2)]


def test_a_crashed_attempt_does_not_wait_for_the_parents_again() -> None:
    rig = waiting()
    run_parent(rig)
    rig.restart_executor()
    assert [(entry.state, entry.attempt) for entry in rig.task("c").open] == [(State.RUNNING, 2)]


def test_a_finished_parent_that_still_runs_may_complete() -> None:
    rig = Rig()
    once = definition("p", Once(Instant(START + 10 * SECOND)))
    made(rig, once, child("p", fail_fast=True))
    rig.settle("p", "c", after=10)
    assert rig.task("p").state.phase is Phase.FINISHED
    assert waits_for(rig) == [WaitsFor.DEPENDENCY]
    rig.end()
    assert waits_for(rig) == [None]


# -- what ends the wait


def break_parent(rig: Rig, how: str) -> None:
    match how:
        case "failed":
            run_parent(rig, state=State.FAILED)
        case "timed out":
            run_parent(rig, state=State.TIMED_OUT)
        case "cancelled execution":
            execution = rig.run("p")
            rig.cancel_execution(execution.id, "p")
            rig.end(State.CANCELLED, execution=rig.running[execution.id, execution.fence])
        case "cancelled":
            rig.cancel("p")
        case "deleted":
            rig.delete("p")
        case "paused":
            rig.pause("p")


BROKEN = {
    "failed": "parent 'name of p' FAILED at",
    "timed out": "parent 'name of p' TIMED_OUT at",
    "cancelled execution": "parent 'name of p' CANCELLED at",
    "cancelled": "parent 'name of p' is cancelled",
    "deleted": "parent p is gone",
    "paused": "parent 'name of p' is paused",
}


@pytest.mark.parametrize("how", BROKEN)
def test_case_76_fail_fast_gives_up_at_once_and_names_the_parent(how: str) -> None:
    rig = waiting(fail_fast=True)
    break_parent(rig, how)
    assert rig.task("c").open == ()
    assert rig.ledger("c") == [(10, 10, "skipped", "dependency")]
    assert BROKEN[how] in (last(rig).cancel_reason or "")


@pytest.mark.parametrize("how", BROKEN)
def test_case_76_without_fail_fast_the_wait_ends_at_the_next_slot(how: str) -> None:
    rig = waiting()
    break_parent(rig, how)
    first = last(rig)
    assert waits_for(rig) == [WaitsFor.DEPENDENCY]
    rig.settle("c", after=10)
    assert rig.ledger("c")[0] == (10, 10, "skipped", "dependency")
    stored = rig.store.execution(first.id)
    assert stored is not None
    assert BROKEN[how] in (stored.execution.cancel_reason or "")
    assert waits_for(rig) == [WaitsFor.DEPENDENCY], "the next one waits in its turn"


@pytest.mark.parametrize("how", BROKEN)
def test_case_76_fail_fast_where_the_parent_is_broken_already(how: str) -> None:
    rig = Rig()
    made(rig, parent(), child("p", fail_fast=True))
    rig.now = Instant(rig.now + SECOND)
    break_parent(rig, how)
    rig.settle("c", after=9)
    assert rig.ledger("c") == [(10, 10, "skipped", "dependency")]
    assert BROKEN[how] in (last(rig).cancel_reason or "")


def test_case_76_a_finished_parent() -> None:
    rig = Rig()
    once = definition("p", Once(Instant(START + SECOND)), policies=NO_RETRY)
    made(rig, once, child("p", fail_fast=True))
    rig.settle("p", after=1)
    rig.end()
    rig.settle("c", after=9)
    rig.end()
    rig.settle("c", after=10)
    assert rig.ledger("c") == [(10, 10, "fired", None), (20, 20, "skipped", "dependency")]
    assert "parent 'name of p' is finished" in (last(rig).cancel_reason or "")


def test_case_76_a_crashed_parent_that_is_held() -> None:
    rig = waiting(fail_fast=True)
    rig.edit(parent(policies=Policies(on_crash=OnCrash.HOLD, retry=Retry(max_retries=0))))
    rig.run("p")
    dead = Rig(boot="boot-2", store=rig.store, now=rig.now)
    dead.send(Recover(("p",), frozenset({"boot-2"})))
    assert rig.ledger("c") == [(10, 10, "skipped", "dependency")]


def test_case_76_a_periodic_parent_serves_every_slot_of_the_child() -> None:
    rig = Rig()
    made(rig, definition("p", Interval(Micros(10 * SECOND), Instant(START + 5 * SECOND))), child("p"))
    for _ in range(4):
        rig.settle("p", after=5)
        rig.end()
        rig.settle("c", after=5)
        rig.end()
    assert [row[2] for row in rig.ledger("c")] == ["fired"] * 4


def test_max_wait_ends_the_wait_whatever_the_next_slot() -> None:
    rig = waiting(policies=Policies(max_wait=Micros(3 * SECOND)))
    rig.settle("c", after=2)
    assert waits_for(rig) == [WaitsFor.DEPENDENCY]
    rig.settle("c", after=1)
    assert rig.ledger("c") == [(10, 10, "skipped", "dependency")]
    assert "name of p" in (last(rig).cancel_reason or "")


def test_a_long_max_wait_outlasts_the_next_slots_which_overlap_judges() -> None:
    rig = waiting(policies=Policies(max_wait=HOUR))
    first = last(rig)
    rig.settle("c", after=10)
    assert rig.ledger("c") == [(10, 10, "None", None), (20, 20, "skipped", "overlap")]
    assert [row.execution_id for row in rig.outcomes("c")] == [first.id, first.id]
    run_parent(rig)
    assert waits_for(rig) == [None]


def test_a_one_time_child_waits_until_its_parent_completes() -> None:
    rig = Rig()
    made(rig, parent(), child("p", trigger=Once(Instant(START + 10 * SECOND))))
    rig.settle("c", after=10)
    rig.settle("c", after=100_000)
    assert waits_for(rig) == [WaitsFor.DEPENDENCY]
    run_parent(rig)
    assert waits_for(rig) == [None]


def test_a_slot_that_waited_in_vain_gives_its_count_back() -> None:
    rig = waiting(fail_fast=True, bounds=Bounds(max_runs=2))
    assert rig.task("c").state.runs == 1
    rig.pause("p")
    assert rig.task("c").state.runs == 0


# -- together with everything else


def test_with_overlap_queue_the_second_waits_for_the_first_then_for_the_parents() -> None:
    rig = Rig()
    made(rig, parent(), child("p", policies=Policies(overlap=Overlap.QUEUE)))
    rig.now = Instant(rig.now + SECOND)
    run_parent(rig)
    rig.settle("c", after=9)
    rig.settle("c", after=10)
    assert waits_for(rig) == [None, WaitsFor.OVERLAP]
    rig.end()
    assert waits_for(rig) == [WaitsFor.DEPENDENCY]
    assert last(rig).since == START + 10 * SECOND
    run_parent(rig)
    assert waits_for(rig) == [None]


def test_with_overlap_allow_each_counts_from_the_slot_before_it() -> None:
    rig = waiting(policies=Policies(overlap=Overlap.ALLOW, max_wait=HOUR))
    rig.settle("c", after=10)
    assert waits_for(rig) == [WaitsFor.DEPENDENCY] * 2
    assert [execution.since for execution in rig.task("c").open] == [START, START + 10 * SECOND]
    run_parent(rig)
    assert waits_for(rig) == [None, None]


def test_with_overlap_replace_the_next_slot_takes_the_place_of_the_one_that_waits() -> None:
    rig = waiting(policies=Policies(overlap=Overlap.REPLACE, max_wait=HOUR))
    first = last(rig)
    rig.settle("c", after=10)
    assert waits_for(rig) == [WaitsFor.DEPENDENCY]
    assert last(rig).id != first.id
    assert rig.ledger("c")[0][2] == "skipped"


def test_a_waiting_execution_can_be_cancelled() -> None:
    rig = waiting()
    rig.cancel_execution(last(rig).id, "c")
    assert rig.ledger("c") == [(10, 10, "skipped", "cancelled")]
    run_parent(rig)
    assert rig.task("c").open == ()


def test_a_paused_child_that_waits_goes_on_when_the_parent_completes() -> None:
    rig = waiting()
    rig.pause("c")
    run_parent(rig)
    assert waits_for(rig) == [None]


def test_a_deleted_child_is_forgotten() -> None:
    rig = waiting()
    rig.delete("c")
    run_parent(rig)
    assert not rig.core.waits.anybody
    assert rig.core.waits.sweep() is None


def test_after_a_downtime_the_newest_slot_waits() -> None:
    rig = waiting()
    rig.settle("c", after=100)
    rows = rig.ledger("c")
    assert rows[0] == (10, 10, "skipped", "dependency")
    assert rows[-1][:2] == (110, 110)
    assert waits_for(rig) == [WaitsFor.DEPENDENCY]


def test_an_edit_that_takes_the_dependencies_away_lets_go() -> None:
    rig = waiting()
    rig.edit(evolve(rig.task("c").definition, dependencies=None))
    assert waits_for(rig) == [None]
    assert rig.store.edges() == []


def test_an_edit_to_another_parent_counts_for_the_one_that_waits() -> None:
    rig = waiting()
    made(rig, parent("q"))
    run_parent(rig, "q")
    assert waits_for(rig) == [WaitsFor.DEPENDENCY]
    rig.edit(child("q"))
    assert waits_for(rig) == [None]
