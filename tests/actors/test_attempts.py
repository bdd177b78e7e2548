"""What may become of an execution, function by function."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.keeper_messages import AttemptEnd
from actors.model.execution import Execution, Failure, Kind, WaitsFor
from actors.model.lifecycle import State
from actors.model.occurrence import Outcome, Reason
from actors.model.policy import MAX_CRASHES, OnCrash, Policies, Retry
from actors.rules import attempts
from runtime.clock import SECOND, Instant, Micros
from runtime.errors import Conflict
from runtime.records import evolve
from tests import strategies

NOW = Instant(100 * SECOND)


def waiting(**fields) -> Execution:
    return evolve(attempts.new_execution("e", "t", Kind.OCCURRENCE, NOW, revision=3, nominal=NOW), **fields)


def running(**fields) -> Execution:
    return evolve(attempts.claim(waiting(), 7, "boot", "node", NOW), **fields)


def report(state: State, **fields) -> AttemptEnd:
    return AttemptEnd("t", "e", 7, state, NOW, Instant(NOW + 5), **fields)


def end(execution: Execution, state: State, policies: Policies | None = None, **fields) -> attempts.Ended:
    return attempts.end(execution, report(state, **fields), policies or Policies(), Random(1))


def test_a_claim_makes_an_attempt_and_closes_the_outcome_once():
    first = attempts.claim(waiting(), 7, "boot", "node", Instant(NOW + 2 * SECOND))
    assert (first.state, first.attempt, first.fence, first.boot) == (State.RUNNING, 1, 7, "boot")
    assert (first.outcome, first.reason) == (Outcome.LATE, Reason.QUEUE)
    second = attempts.claim(evolve(first, state=State.WAITING), 8, "boot", "node", Instant(NOW + 99 * SECOND))
    assert (second.attempt, second.first_started_at, second.outcome) == (2, first.first_started_at, Outcome.LATE)
    manual = attempts.claim(waiting(nominal=None), 7, "boot", "node", NOW)
    assert manual.outcome is None


def test_a_late_claim_says_what_held_it_back():
    late = Instant(NOW + 9 * SECOND)
    assert attempts.claim(waiting(waits_for=WaitsFor.NODE), 7, "boot", "node", late).reason is Reason.NO_NODE
    noted = attempts.held(waiting(waits_for=WaitsFor.OVERLAP), late)
    assert attempts.claim(evolve(noted, waits_for=WaitsFor.SLOT), 7, "boot", "node", late).reason is Reason.OVERLAP
    recovered = waiting(created_at=late, waits_for=WaitsFor.NODE)
    assert attempts.claim(recovered, 7, "boot", "node", late).reason is Reason.DOWNTIME
    spread = waiting(assigned=late)
    assert attempts.claim(spread, 7, "boot", "node", late).outcome is Outcome.FIRED


def test_only_a_wait_that_made_it_late_is_noted():
    unchanged = waiting(waits_for=WaitsFor.OVERLAP)
    assert attempts.held(unchanged, NOW) is unchanged
    for one in (waiting(nominal=None), waiting(outcome=Outcome.LATE), waiting(waits_for=None)):
        assert attempts.held(one, Instant(NOW + 9 * SECOND)) is one


def test_the_end_of_waiting():
    assert attempts.expiry(Policies(), NOW) is None
    assert attempts.expiry(Policies(), NOW, Instant(NOW + 3)) == NOW + 3
    assert attempts.expiry(Policies(max_wait=Micros(5)), NOW, Instant(NOW + 3)) == NOW + 5


def test_what_a_lost_attempt_is_reported_as():
    lost = attempts.lost(running(), Instant(NOW + 1))
    assert (lost.state, lost.fence, lost.counted, lost.started_at) == (State.WAITING, 7, True, NOW)


def test_what_runs_cannot_be_claimed():
    with pytest.raises(Conflict, match="RUNNING"):
        attempts.claim(running(), 8, "boot", "node", NOW)


def test_a_completed_one_drops_its_checkpoint():
    assert end(running(), State.COMPLETED) == attempts.Ended(running(state=State.COMPLETED, ended_at=NOW + 5))
    assert end(running(checkpoints=1), State.COMPLETED).drop_checkpoint


@pytest.mark.parametrize("state", [State.FAILED, State.TIMED_OUT])
def test_a_failure_is_tried_again_within_the_budget(state: State):
    policies = Policies(Retry(max_retries=1, delay=Micros(9)))
    ended = end(running(), state, policies, failure=Failure("E", "m"))
    assert (ended.execution.state, ended.execution.waits_for, ended.execution.due) == (
        State.WAITING,
        WaitsFor.RETRY,
        NOW + 5 + 9,
    )
    assert ended.archive is not None
    assert (ended.archive.state, ended.archive.number) == (state, 1)
    again = attempts.claim(ended.execution, 8, "boot", "node", NOW)
    assert end(again, state, policies).execution.state is state
    assert end(running(), state, policies, retryable=False).execution.state is state


def test_an_interruption_costs_nothing():
    ended = end(running(failures=1, crashes=1), State.WAITING, reason="drain")
    assert (ended.execution.failures, ended.execution.crashes, ended.execution.boot) == (1, 1, None)
    assert ended.archive.failure == Failure("Interrupted", "drain")
    assert end(running(), State.WAITING).archive.failure == Failure("Interrupted", "interrupted")


def test_what_was_asked_to_be_cancelled_does_not_run_again():
    asked = running(cancel_reason="cancelled by me")
    assert end(asked, State.WAITING, reason="drain").execution.state is State.CANCELLED
    assert end(asked, State.CANCELLED, reason="x").execution.cancel_reason == "cancelled by me"
    assert end(asked, State.FAILED).execution.state is State.FAILED
    assert end(asked, State.COMPLETED).execution.cancel_reason is None
    assert attempts.crash(asked, Policies(), NOW).execution.state is State.CANCELLED
    retried = attempts.retry_by_hand(evolve(asked, state=State.FAILED), False).execution
    assert (retried.state, retried.cancel_reason) == (State.WAITING, None)


def test_the_executor_tells_why_it_cancelled():
    assert end(running(), State.CANCELLED, reason="cancelled by you").execution.cancel_reason == "cancelled by you"


@pytest.mark.parametrize(
    ("policy", "checkpoints", "state", "drops"),
    [
        (OnCrash.RESUME, 0, State.WAITING, False),
        (OnCrash.RESUME, 2, State.WAITING, False),
        (OnCrash.RERUN, 2, State.WAITING, True),
        (OnCrash.HOLD, 2, State.CRASHED, False),
    ],
)
def test_a_crash_by_policy(policy: OnCrash, checkpoints: int, state: State, drops: bool):
    ended = attempts.crash(running(checkpoints=checkpoints), Policies(on_crash=policy), NOW)
    assert (ended.execution.state, ended.drop_checkpoint) == (state, drops)
    assert ended.execution.failures == (0 if checkpoints else 1)
    assert ended.execution.crashes == 1
    assert (ended.archive is None) is (state is State.CRASHED)


def test_a_crash_without_checkpoint_uses_the_retry_budget():
    assert attempts.crash(running(), Policies(Retry(max_retries=0)), NOW).execution.state is State.CRASHED
    assert attempts.crash(running(checkpoints=1), Policies(Retry(max_retries=0)), NOW).execution.state is State.WAITING


def test_a_handler_that_kills_its_own_process_is_tried_again_and_then_poison():
    died = report(State.FAILED, failure=Failure(attempts.WORKER_DIED, "signal 9"))
    policies = Policies(retry=Retry(max_retries=50))
    execution = running()
    for crashes in range(1, MAX_CRASHES):
        execution = attempts.end(execution, died, policies, Random(1)).execution
        assert (execution.state, execution.crashes, execution.failures) == (State.WAITING, crashes, crashes)
        execution = attempts.claim(execution, 10 + crashes, "boot", "node", NOW)
    ended = attempts.end(execution, died, policies, Random(1))
    assert (ended.execution.state, ended.execution.crashes) == (State.CRASHED, MAX_CRASHES)
    assert ended.execution.failure.type == "Poison"
    assert ended.archive is None


def test_a_handler_that_kills_its_own_process_has_no_more_retries_than_others():
    died = report(State.FAILED, failure=Failure(attempts.WORKER_DIED, "signal 9"))
    assert (
        attempts.end(running(), died, Policies(retry=Retry(max_retries=0)), Random(1)).execution.state is State.FAILED
    )


def test_too_many_crashes_in_a_row_are_poison():
    held = attempts.crash(running(crashes=MAX_CRASHES - 1, checkpoints=1), Policies(), NOW).execution
    assert (held.state, held.failure.type) == (State.CRASHED, "Poison")
    resumed = attempts.resume(held)
    assert (resumed.execution.state, resumed.execution.crashes) == (State.WAITING, 0)
    assert resumed.archive.state is State.CRASHED


def test_a_retry_by_hand_keeps_or_resets_the_count():
    failed = running(state=State.FAILED, failures=4)
    assert attempts.retry_by_hand(failed, False).execution.failures == 4
    assert attempts.retry_by_hand(failed, True).execution.failures == 0
    with pytest.raises(Conflict):
        attempts.retry_by_hand(running(state=State.COMPLETED), True)


def test_cancelling_what_does_not_run():
    cancelled = attempts.cancel(waiting(), "why", NOW)
    assert (cancelled.state, cancelled.outcome, cancelled.reason) == (
        State.CANCELLED,
        Outcome.SKIPPED,
        Reason.CANCELLED,
    )
    assert attempts.cancel(waiting(outcome=Outcome.LATE), "why", NOW).outcome is Outcome.LATE
    assert attempts.cancel(waiting(nominal=None), "why", NOW).outcome is None
    with pytest.raises(Conflict, match="interrupted first"):
        attempts.cancel(running(), "why", NOW)
    with pytest.raises(Conflict, match="COMPLETED"):
        attempts.cancel(running(state=State.COMPLETED), "why", NOW)


def test_a_manual_run_carries_what_was_given():
    manual = attempts.new_execution("e", "t", Kind.MANUAL, NOW, revision=1, channel="cli", parameters="{}")
    assert (manual.channel, manual.parameters, manual.nominal) == ("cli", "{}", None)


@given(strategies.retries, st.integers(1, 10_000), st.integers(0, 9))
def test_a_delay_lies_between_its_bounds(retry: Retry, failures: int, seed: int):
    delay = attempts.retry_delay(retry, failures, Random(seed))
    base = (
        retry.delay if retry.backoff == "fixed" else min(retry.delay * retry.factor ** min(failures - 1, 64), retry.cap)
    )
    assert base - 1 <= delay <= base * (1 + retry.jitter) + 1


def test_delays_grow_up_to_the_cap():
    retry = Retry(delay=Micros(SECOND), backoff="exponential", factor=2, cap=Micros(5 * SECOND))
    assert [attempts.retry_delay(retry, n, Random(0)) // SECOND for n in (1, 2, 3, 4, 500)] == [1, 2, 4, 5, 5]
