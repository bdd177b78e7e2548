"""What becomes of an execution, field by field: whole records are compared, so that nothing of a former attempt stays behind."""

from __future__ import annotations

from random import Random

import pytest

from actors.keeper_messages import AttemptEnd
from actors.model.execution import Attempt, Execution, Failure, Kind, WaitsFor
from actors.model.lifecycle import State
from actors.model.occurrence import Outcome, Reason
from actors.model.policy import LATE_AFTER, OnCrash, Policies, Retry
from actors.rules import attempts
from runtime.clock import SECOND, Instant, Micros
from runtime.records import evolve

NOW = Instant(100 * SECOND)
LATER = Instant(NOW + 3 * SECOND)

WAITING = Execution(
    "e",
    "t",
    Kind.OCCURRENCE,
    State.WAITING,
    Instant(NOW - 5),
    NOW,
    waits_for=WaitsFor.RETRY,
    due=NOW,
    expires=LATER,
    attempt=1,
    fence=4,
    boot="old",
    node="old",
    outcome=Outcome.FIRED,
    first_started_at=NOW,
    started_at=NOW,
    ended_at=NOW,
    failure=Failure("E", "m"),
    failures=1,
)

RUNNING = evolve(
    WAITING,
    state=State.RUNNING,
    waits_for=None,
    due=None,
    expires=None,
    attempt=2,
    fence=7,
    boot="boot",
    node="node",
    started_at=LATER,
    ended_at=None,
    failure=None,
)


def archived(state: State, failure: Failure | None, ended_at: Instant) -> Attempt:
    return Attempt("e", 2, 7, "node", "boot", state, LATER, ended_at, failure)


def test_a_claim_leaves_nothing_of_what_was_waited_for_nor_of_the_former_attempt():
    assert attempts.claim(WAITING, 7, "boot", "node", LATER) == RUNNING
    fresh = evolve(WAITING, first_started_at=None, outcome=None)
    assert attempts.claim(fresh, 7, "boot", "node", NOW).first_started_at == NOW


def test_an_end_is_recorded_with_its_times_and_its_failure():
    report = AttemptEnd("t", "e", 7, State.FAILED, Instant(LATER + 1), Instant(LATER + 2), Failure("F", "n"))
    ended = attempts.end(RUNNING, report, Policies(Retry(max_retries=0)), Random(1))
    assert ended.archive is None
    assert ended.execution == evolve(
        RUNNING,
        state=State.FAILED,
        started_at=Instant(LATER + 1),
        ended_at=Instant(LATER + 2),
        failure=Failure("F", "n"),
        failures=2,
    )


def test_who_waits_for_a_retry_belongs_to_no_process():
    report = AttemptEnd("t", "e", 7, State.FAILED, LATER, LATER, Failure("F", "n"))
    ended = attempts.end(RUNNING, report, Policies(Retry(max_retries=9, delay=Micros(SECOND))), Random(1))
    assert ended.execution == evolve(
        RUNNING,
        state=State.WAITING,
        waits_for=WaitsFor.RETRY,
        due=Instant(LATER + SECOND),
        boot=None,
        ended_at=LATER,
        failure=Failure("F", "n"),
        failures=2,
    )
    assert ended.archive == archived(State.FAILED, Failure("F", "n"), LATER)


def test_who_was_interrupted_waits_for_a_slot_and_has_not_failed():
    report = AttemptEnd("t", "e", 7, State.WAITING, LATER, LATER, Failure("F", "n"), reason="drain")
    ended = attempts.end(RUNNING, report, Policies(), Random(1))
    assert ended.execution == evolve(
        RUNNING, state=State.WAITING, waits_for=WaitsFor.SLOT, boot=None, ended_at=LATER, failure=None
    )
    assert ended.archive == archived(State.CANCELLED, Failure("Interrupted", "drain"), LATER)


CRASHED = Failure("NodeCrashed", "the process that ran attempt 2 died")


def test_a_crash_within_the_budget_waits_for_a_slot():
    ended = attempts.crash(RUNNING, Policies(Retry(max_retries=2)), NOW)
    assert ended.execution == evolve(
        RUNNING,
        state=State.WAITING,
        waits_for=WaitsFor.SLOT,
        boot=None,
        ended_at=NOW,
        failure=CRASHED,
        failures=2,
        crashes=1,
    )
    assert ended.archive == archived(State.CRASHED, CRASHED, NOW)
    assert attempts.crash(RUNNING, Policies(Retry(max_retries=1)), NOW).execution.state is State.CRASHED


def test_a_crash_behind_a_checkpoint_is_free_however_often_it_failed_before():
    failed = evolve(RUNNING, failures=9, checkpoints=1)
    again = attempts.crash(failed, Policies(Retry(max_retries=0)), NOW).execution
    assert (again.state, again.failures, again.checkpoints) == (State.WAITING, 9, 1)


def test_who_begins_anew_after_a_crash_has_no_checkpoint():
    again = attempts.crash(evolve(RUNNING, checkpoints=3), Policies(on_crash=OnCrash.RERUN), NOW).execution
    assert (again.state, again.checkpoints) == (State.WAITING, 0)


def test_a_crash_of_what_was_to_be_cancelled_ends_it():
    asked = evolve(RUNNING, cancel_reason="why")
    assert attempts.crash(asked, Policies(), NOW).execution == evolve(asked, state=State.CANCELLED, ended_at=NOW)


@pytest.mark.parametrize(("started", "reported"), [(NOW, NOW), (None, LATER)])
def test_a_lost_attempt_is_reported_under_its_own_fence(started: Instant | None, reported: Instant):
    assert attempts.lost(evolve(RUNNING, started_at=started), LATER) == AttemptEnd(
        "t", "e", 7, State.WAITING, reported, LATER, reason="the executor was restarted", counted=True
    )


def test_who_is_resumed_waits_for_a_slot_and_belongs_to_no_process():
    held = evolve(RUNNING, state=State.CRASHED, failure=CRASHED, ended_at=NOW, crashes=3)
    resumed = attempts.resume(held)
    assert resumed.execution == evolve(held, state=State.WAITING, waits_for=WaitsFor.SLOT, crashes=0, boot=None)
    assert resumed.archive == archived(State.CRASHED, CRASHED, NOW)


def test_who_is_retried_by_hand_begins_with_no_crashes_and_no_cancellation():
    failed = evolve(RUNNING, state=State.FAILED, failure=CRASHED, ended_at=NOW, crashes=2, cancel_reason="why")
    retried = attempts.retry_by_hand(failed, False)
    assert retried.execution == evolve(
        failed, state=State.WAITING, waits_for=WaitsFor.SLOT, crashes=0, boot=None, cancel_reason=None
    )
    assert retried.archive == archived(State.FAILED, CRASHED, NOW)


def test_who_is_cancelled_waits_for_nothing_any_more():
    fresh = evolve(WAITING, outcome=None)
    assert attempts.cancel(fresh, "why", LATER) == evolve(
        fresh,
        state=State.CANCELLED,
        waits_for=None,
        due=None,
        expires=None,
        ended_at=LATER,
        cancel_reason="why",
        outcome=Outcome.SKIPPED,
        reason=Reason.CANCELLED,
    )


def test_a_fresh_execution_has_all_that_it_was_given():
    assert attempts.new_execution(
        "e", "t", Kind.OCCURRENCE, NOW, revision=3, nominal=NOW, assigned=LATER, expires=LATER, since=NOW
    ) == Execution(
        "e",
        "t",
        Kind.OCCURRENCE,
        State.WAITING,
        NOW,
        NOW,
        revision=3,
        waits_for=WaitsFor.SLOT,
        assigned=LATER,
        expires=LATER,
        since=NOW,
    )
    same = attempts.new_execution("e", "t", Kind.OCCURRENCE, NOW, revision=3, nominal=NOW, assigned=NOW)
    assert same.assigned is None, "what is due at its nominal time has no place of its own"


def test_a_wait_is_noted_only_beyond_the_bound_of_lateness_and_from_its_own_place():
    fresh = attempts.new_execution("e", "t", Kind.OCCURRENCE, NOW, revision=1, nominal=NOW, waits_for=WaitsFor.OVERLAP)
    on_time = Instant(NOW + LATE_AFTER)
    assert attempts.held(fresh, on_time) is fresh
    assert attempts.held(fresh, Instant(on_time + 1)).reason is Reason.OVERLAP
    spread = evolve(fresh, assigned=LATER)
    assert attempts.held(spread, Instant(on_time + 1)) is spread
    assert attempts.held(spread, Instant(LATER + LATE_AFTER + 1)).reason is Reason.OVERLAP
