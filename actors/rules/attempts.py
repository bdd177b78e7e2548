"""What may become of an execution: pure functions from one `Execution` to the next.

Theory of operation. An execution makes attempts; each draws a fence, one higher than any attempt of the task before it, in the
commit that creates it. The newest attempt's data stand in the execution's own row; when another one will follow, the ended
one is archived as an `Attempt`. The transition table in `model/lifecycle.py` is consulted for every change of state.

Budgets: a failure or time-out counts against `max_retries`. A crash counts in `crashes`, which a new checkpoint sets to 0;
one that happened before any checkpoint counts as a failure too. The death of a process that a handler has for itself is a failure
of the handler, tried again as such, and counts in `crashes` too. An interruption (drain, lost lease, operator) costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from runtime.clock import SECOND, Instant, Micros
from runtime.errors import Conflict
from runtime.records import evolve, record

from ..keeper_messages import AttemptEnd
from ..model.execution import Attempt, Execution, Failure, Kind, WaitsFor
from ..model.lifecycle import Event, State, change_state
from ..model.occurrence import Outcome, Reason
from ..model.policy import LATE_AFTER, MAX_CRASHES, OnCrash, Policies, Retry
from .settling import outcome_of_start

if TYPE_CHECKING:
    from random import Random

INTERRUPTED: Final = "Interrupted"
"""The type in the failure of an attempt that was interrupted and cost nothing; its state is CANCELLED."""

WORKER_DIED: Final = "WorkerDied"
"""The type in the failure of an attempt whose own process ended otherwise than by an answer."""

NODE_LOST: Final = "NodeLost"
"""The type in the failure of an execution whose node is gone for good."""


@record
class Ended:
    """An execution after one of its attempts ended; `archive` is that attempt if another one may follow."""

    execution: Execution
    archive: Attempt | None = None
    drop_checkpoint: bool = False


def claim(execution: Execution, fence: int, boot: str, node: str, now: Instant) -> Execution:
    """A new attempt, claimed by a node. Closes the occurrence's outcome if it is the first one."""
    state = change_state(execution.state, Event.CLAIM)
    outcome, reason, first = execution.outcome, execution.reason, execution.first_started_at
    if first is None:
        first = now
        if execution.nominal is not None:
            assigned = execution.assigned or execution.nominal
            outcome, reason = outcome_of_start(assigned, execution.created_at, now, _held_by(execution))
    return evolve(
        execution,
        state=state,
        waits_for=None,
        due=None,
        expires=None,
        attempt=execution.attempt + 1,
        fence=fence,
        boot=boot,
        node=node,
        outcome=outcome,
        reason=reason,
        first_started_at=first,
        started_at=now,
        ended_at=None,
        failure=None,
    )


_WAITED_FOR: Final = {
    WaitsFor.SLOT: Reason.QUEUE,
    WaitsFor.QUEUE: Reason.QUEUE,
    WaitsFor.KEY: Reason.QUEUE,
    WaitsFor.OVERLAP: Reason.OVERLAP,
    WaitsFor.NODE: Reason.NO_NODE,
    WaitsFor.DEPENDENCY: Reason.DEPENDENCY,
    WaitsFor.GOVERNOR: Reason.TOO_LATE,
}
"""Why an execution is given up that waits for this. The governor's are late by downtime: what they wait for is their turn."""


def _held_by(execution: Execution) -> Reason:
    """What made a first start late, if not that it was admitted late: what it waits for now, else what was noted by `held`."""
    if execution.waits_for is WaitsFor.NODE:
        return Reason.NO_NODE
    return execution.reason or Reason.QUEUE


def held(execution: Execution, now: Instant) -> Execution:
    """An occurrence whose wait is over and that has not started: what it waited for is noted if that alone made it late."""
    assigned = execution.assigned or execution.nominal
    if assigned is None or execution.outcome is not None or now - assigned <= LATE_AFTER or execution.waits_for is None:
        return execution
    return evolve(execution, reason=_WAITED_FOR[execution.waits_for])


_EVENTS = {
    State.COMPLETED: Event.COMPLETE,
    State.FAILED: Event.FAIL,
    State.TIMED_OUT: Event.TIME_OUT,
    State.CANCELLED: Event.CANCEL,
    State.WAITING: Event.INTERRUPT,
}


def end(execution: Execution, report: AttemptEnd, policies: Policies, random: Random) -> Ended:
    """What an attempt's end makes of its execution: final, waiting for a retry, or waiting to be run again."""
    if report.state is State.CRASHED:
        return crash(execution, policies, report.ended_at, report.failure)
    event = _EVENTS[report.state]
    if event is Event.INTERRUPT and execution.cancel_reason is not None:
        event = Event.CANCEL
    state = change_state(execution.state, event)
    ended = evolve(
        execution, state=state, started_at=report.started_at, ended_at=report.ended_at, failure=report.failure
    )
    match state:
        case State.COMPLETED:
            return Ended(evolve(ended, cancel_reason=None), drop_checkpoint=execution.checkpoints > 0)
        case State.FAILED if report.failure is not None and report.failure.type == WORKER_DIED:
            return _worker_died(execution, ended, policies.retry, report.retryable, random)
        case State.FAILED | State.TIMED_OUT:
            # A time limit that ran out has no exception whose names were looked at where it ran.
            given_up = report.failure is not None and report.failure.type in policies.retry.give_up_on
            return _failed(ended, policies.retry, report.retryable and not given_up, random)
        case State.WAITING:
            return Ended(
                evolve(ended, waits_for=WaitsFor.SLOT, failure=None, boot=None),
                _archive(ended, State.CANCELLED, Failure(INTERRUPTED, report.reason or "interrupted")),
            )
        case _:
            return Ended(evolve(ended, cancel_reason=execution.cancel_reason or report.reason))


def _worker_died(running: Execution, ended: Execution, retry: Retry, retryable: bool, random: Random) -> Ended:
    """Tried again like any failure, but for the last of too many in a row."""
    crashes = running.crashes + 1
    if crashes < MAX_CRASHES or running.cancel_reason is not None:
        return _failed(evolve(ended, crashes=crashes), retry, retryable, random)
    return _poisonous(evolve(ended, state=running.state, crashes=crashes, failures=running.failures + 1))


def _failed(execution: Execution, retry: Retry, retryable: bool, random: Random) -> Ended:
    failures = execution.failures + 1
    if not retryable or failures > retry.max_retries or execution.cancel_reason is not None:
        return Ended(evolve(execution, failures=failures))
    assert execution.ended_at is not None
    due = Instant(execution.ended_at + retry_delay(retry, failures, random))
    again = evolve(
        execution,
        state=change_state(execution.state, Event.RETRY),
        waits_for=WaitsFor.RETRY,
        due=due,
        failures=failures,
        boot=None,
    )
    return Ended(again, _archive(execution, execution.state, execution.failure))


def retry_delay(retry: Retry, failures: int, random: Random) -> Micros:
    """How long to wait after the n-th failure (n >= 1): fixed, or growing by `factor` up to `cap`; then up to `jitter` more."""
    delay = float(retry.delay)
    if retry.backoff == "exponential":
        # The exponent is bounded because a float overflows long before the cap would bite.
        delay = min(delay * retry.factor ** min(failures - 1, 64), float(retry.cap))
    return Micros(round(delay * (1 + retry.jitter * random.random())))


def crash(execution: Execution, policies: Policies, now: Instant, failure: Failure | None = None) -> Ended:
    """What the death of its process makes of a running execution: run again, held, or cancelled if that was asked for.

    failure: what died, if not the node's process.
    """
    if execution.cancel_reason is not None:
        return Ended(evolve(execution, state=change_state(execution.state, Event.CANCEL), ended_at=now))
    crashed = evolve(
        execution,
        state=change_state(execution.state, Event.CRASH),
        crashes=execution.crashes + 1,
        failures=execution.failures + (0 if execution.checkpoints else 1),
        ended_at=now,
        failure=failure or Failure("NodeCrashed", f"the process that ran attempt {execution.attempt} died"),
    )
    archive = _archive(crashed, State.CRASHED, crashed.failure)
    if policies.on_crash is OnCrash.HOLD:
        return Ended(crashed)
    if crashed.crashes >= MAX_CRASHES:
        return _poisonous(crashed)
    if not execution.checkpoints and crashed.failures > policies.retry.max_retries:
        return Ended(crashed)
    again = evolve(crashed, state=change_state(crashed.state, Event.RESUME), waits_for=WaitsFor.SLOT, boot=None)
    if policies.on_crash is OnCrash.RERUN:
        return Ended(evolve(again, checkpoints=0), archive, drop_checkpoint=True)
    return Ended(again, archive)


def _poisonous(execution: Execution) -> Ended:
    """It kills the process each time: held until an operator looks at it."""
    state = State.CRASHED if execution.state is State.CRASHED else change_state(execution.state, Event.CRASH)
    poison = Failure("Poison", f"{execution.crashes} crashes in a row without a new checkpoint")
    return Ended(evolve(execution, state=state, failure=poison))


def node_lost(execution: Execution, now: Instant) -> Ended:
    """The node that a waiting execution is for is gone for good, as `placing.lost` finds: it is held, and never moves.

    What ran there has crashed before, and waits. An occurrence that never started is `skipped`. An operator may resume it, should
    the node come back, or cancel it.
    """
    gone = evolve(
        execution,
        state=change_state(execution.state, Event.LOSE_NODE),
        waits_for=None,
        due=None,
        expires=None,
        ended_at=now,
        failure=Failure(NODE_LOST, f"node_lost: node {execution.target} is gone"),
    )
    if execution.nominal is None or execution.outcome is not None:
        return Ended(gone)
    return Ended(evolve(gone, outcome=Outcome.SKIPPED, reason=Reason.NODE_LOST))


def refused(execution: Execution, blocker: str, now: Instant) -> Execution:
    """The execution of one of many nodes on which overlap lets it not run: it has ended as soon as it is made.

    blocker: the id of the open execution of that node.
    """
    return cancel(execution, f"overlap: execution {blocker} is open on {execution.target}", now, Reason.OVERLAP)


def lost(execution: Execution, now: Instant) -> AttemptEnd:
    """The end of an attempt that never began or whose executor is gone: interrupted, at no cost, and without a slot."""
    return AttemptEnd(
        execution.task_id,
        execution.id,
        execution.fence,
        State.WAITING,
        execution.started_at or now,
        now,
        reason="the executor was restarted",
        counted=True,
    )


def resume(execution: Execution) -> Ended:
    """An operator lets a held execution go on; its crashes are forgiven."""
    state = change_state(execution.state, Event.RESUME)
    again = evolve(execution, state=state, waits_for=WaitsFor.SLOT, crashes=0, boot=None)
    return Ended(again, _archive_newest(execution))


def retry_by_hand(execution: Execution, reset: bool) -> Ended:
    """An operator has a failed execution run once more, or with the whole budget where the count is reset."""
    state = change_state(execution.state, Event.RETRY)
    failures = 0 if reset else execution.failures
    again = evolve(
        execution,
        state=state,
        waits_for=WaitsFor.SLOT,
        failures=failures,
        crashes=0,
        boot=None,
        cancel_reason=None,
    )
    return Ended(again, _archive_newest(execution))


def cancel(execution: Execution, why: str, now: Instant, skipped: Reason = Reason.CANCELLED) -> Execution:
    """An execution that does not run is ended; an occurrence that never started is `skipped`, for that reason."""
    if execution.state is State.RUNNING:
        raise Conflict(f"execution {execution.id} is RUNNING and has to be interrupted first")
    ended = evolve(
        execution,
        state=change_state(execution.state, Event.CANCEL),
        waits_for=None,
        due=None,
        expires=None,
        ended_at=now,
        cancel_reason=why,
    )
    if execution.nominal is None or execution.outcome is not None:
        return ended
    return evolve(ended, outcome=Outcome.SKIPPED, reason=skipped)


def give_up(execution: Execution, now: Instant) -> Execution:
    """An execution that never started is ended because it has waited long enough; the reason is what it waits for."""
    assert execution.waits_for is not None, f"{execution.id} is {execution.state} and waits for nothing"
    reason = _WAITED_FOR[execution.waits_for]
    waited = (now - execution.created_at) / SECOND
    return cancel(execution, f"{reason.value}: waited {waited:g} s for {execution.waits_for}", now, reason)


def expiry(policies: Policies, now: Instant, default: Instant | None = None) -> Instant | None:
    """When an execution admitted now is given up if it has not started: by `max_wait`, or at `default` where none is set."""
    return default if policies.max_wait is None else Instant(now + policies.max_wait)


def new_execution(
    execution_id: str,
    task_id: str,
    kind: Kind,
    now: Instant,
    *,
    revision: int,
    nominal: Instant | None = None,
    waits_for: WaitsFor = WaitsFor.SLOT,
    assigned: Instant | None = None,
    expires: Instant | None = None,
    since: Instant | None = None,
    target: str | None = None,
    **manual: str | None,
) -> Execution:
    """An execution that waits. `manual`: channel, correlation and parameters of a run by hand."""
    fresh = Execution(
        execution_id,
        task_id,
        kind,
        State.WAITING,
        now,
        nominal,
        revision=revision,
        waits_for=waits_for,
        assigned=assigned if assigned != nominal else None,
        expires=expires,
        since=since,
        target=target,
    )
    return evolve(fresh, **manual) if manual else fresh


def _archive_newest(execution: Execution) -> Attempt | None:
    """The attempt with which an execution ended. One that lost its node ended between two: there is none, or it is archived."""
    if execution.failure is not None and execution.failure.type == NODE_LOST:
        return None
    return _archive(execution, execution.state, execution.failure)


def archived(execution: Execution) -> Attempt:
    """The newest attempt of an execution that has ended, as a former one is kept."""
    return _archive(execution, execution.state, execution.failure)


def _archive(execution: Execution, state: State, failure: Failure | None) -> Attempt:
    assert execution.started_at is not None
    return Attempt(
        execution.id,
        execution.attempt,
        execution.fence,
        execution.node,
        execution.boot,
        state,
        execution.started_at,
        execution.ended_at,
        failure,
    )
