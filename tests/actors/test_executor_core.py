"""The executor's decisions: given events, expect directives."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.executor_core import ABANDON_SECONDS, COMPACT_ABOVE, ExecutorCore
from actors.executor_messages import (
    AlarmRang,
    Beat,
    Cancel,
    Directive,
    Drain,
    Drained,
    HandlerEnded,
    InterruptAll,
    Notify,
    Replace,
    Report,
    ReportEnd,
    Resync,
    SetAlarm,
    Spawn,
    Trust,
)
from actors.keeper_messages import AttemptEnd, AttemptsEnded, InSync, Interrupt, Recorded, Release, SlotsFreed
from actors.model.execution import Failure
from actors.model.lifecycle import State
from actors.model.policy import Policies, Retry
from actors.sharing_messages import EndTasks
from runtime.clock import SECOND, Instant, Micros
from runtime.mailbox import Reply
from tests.actors.executor_kit import start


class Driver:
    """A core with a clock: `at` is monotonic seconds, the wall clock is the same."""

    def __init__(self, slots: int = 4) -> None:
        self.core = ExecutorCore(slots)

    def __call__(self, event: Any, at: float = 0.0) -> list[Directive]:
        return self.core.handle(event, Instant(int(at * SECOND)), at)

    def end(self, event: Any, at: float = 0.0) -> AttemptEnd:
        ends = [one.end for one in self(event, at) if isinstance(one, ReportEnd)]
        assert len(ends) == 1
        return ends[0]


def completed(number: int = 1, fence: int = 1, result: str | None = None) -> HandlerEnded:
    return HandlerEnded(f"e{number}", fence, "completed", result)


def failed(*names: str, number: int = 1) -> HandlerEnded:
    return HandlerEnded(f"e{number}", 1, "failed", None, Failure(names[0], "text"), names)


GONE = HandlerEnded("e1", 1, "interrupted")


def test_what_is_started_runs_at_once() -> None:
    first = start()
    assert Driver()(first, 3) == [Spawn(first.definition, first.execution, Instant(3 * SECOND))]


def test_a_start_told_twice_runs_once() -> None:
    core = Driver()
    core(start())
    assert core(start()) == []
    core(completed())
    assert core(start()) == []


def test_a_completed_attempt_is_told_with_its_result() -> None:
    core = Driver()
    core(start(), 1)
    end = core.end(completed(result="[1]"), 2)
    assert end == AttemptEnd("t1", "e1", 1, State.COMPLETED, Instant(SECOND), Instant(2 * SECOND), None, "[1]")


@pytest.mark.parametrize(
    ("retry", "names", "retryable"),
    [
        (Retry(), ("ValueError", "Exception"), True),
        (Retry(give_up_on=("ValueError",)), ("ValueError", "Exception"), False),
        (Retry(give_up_on=("Exception",)), ("ValueError", "Exception"), False),
        (Retry(give_up_on=("KeyError",)), ("ValueError", "Exception"), True),
        (Retry(retry_on=("OSError",)), ("ConnectionError", "OSError"), True),
        (Retry(retry_on=("OSError",)), ("ValueError", "Exception"), False),
        (Retry(retry_on=("OSError",), give_up_on=("ConnectionError",)), ("ConnectionError", "OSError"), False),
    ],
)
def test_the_policy_says_which_failures_are_retried(retry: Retry, names: tuple[str, ...], retryable: bool) -> None:
    core = Driver()
    core(start(policies=Policies(retry=retry)))
    end = core.end(failed(*names))
    assert (end.state, end.failure, end.retryable) == (State.FAILED, Failure(names[0], "text"), retryable)


@pytest.mark.parametrize(
    ("reason", "state"),
    [
        ("cancelled", State.CANCELLED),
        ("cancelled by anna", State.CANCELLED),
        ("lost_lease", State.WAITING),
        ("superseded", State.WAITING),
    ],
)
def test_an_interrupt_ends_the_attempt_by_its_reason(reason: str, state: State) -> None:
    core = Driver()
    core(start())
    assert core(Interrupt("e1", 1, reason))[0] == Cancel("e1", 1, reason)
    end = core.end(GONE)
    assert (end.state, end.reason, end.holds_slot) == (state, reason, False)


def test_all_that_runs_is_ended_at_no_cost() -> None:
    core = Driver()
    core(start(1))
    core(start(2))
    told = core(InterruptAll("lost_lease"))
    assert [one for one in told if isinstance(one, Cancel)] == [
        Cancel("e1", 1, "lost_lease"),
        Cancel("e2", 1, "lost_lease"),
    ]
    assert core.end(GONE).state is State.WAITING


def test_what_was_claimed_before_all_was_ended_is_not_begun_after_it() -> None:
    core = Driver()
    core(InterruptAll("lost_lease"))
    end = core.end(start(1, boot="old"))
    assert (end.state, end.reason, end.holds_slot) == (State.WAITING, "lost_lease", False)
    core(Trust("old"))
    assert Spawn in map(type, core(start(2, boot="old")))


def test_what_was_claimed_under_a_boot_that_is_over_is_not_begun() -> None:
    core = Driver()
    core(InterruptAll("lost_lease"))
    core(Trust("new"))
    assert core.end(start(1, boot="old")).reason == "lost_lease"
    assert Spawn in map(type, core(start(2, boot="new")))


def test_what_runs_of_tasks_that_are_gone_is_ended() -> None:
    core = Driver()
    core(start(1))
    core(start(2))
    told = core(EndTasks(("t2", "t9")))
    assert [one.execution_id for one in told if isinstance(one, Cancel)] == ["e2"]


def test_the_first_interruption_decides() -> None:
    core = Driver()
    core(start())
    core(Interrupt("e1", 1, "cancelled"))
    assert core(Interrupt("e1", 1, "lost_lease")) == []
    assert core.end(GONE).state is State.CANCELLED


def test_an_interrupt_of_what_does_not_run_does_nothing() -> None:
    core = Driver()
    core(start())
    assert core(Interrupt("e1", 7, "cancelled")) == []
    assert core(Interrupt("e9", 1, "cancelled")) == []


@pytest.mark.parametrize(("reason", "state"), [("cancelled", State.CANCELLED), ("lost_lease", State.COMPLETED)])
def test_a_value_that_comes_after_the_interruption(reason: str, state: State) -> None:
    core = Driver()
    core(start())
    core(Interrupt("e1", 1, reason))
    assert core.end(completed(result="1")).state is state


def test_an_error_on_the_way_out_is_told_with_the_interruption() -> None:
    core = Driver()
    core(start())
    core(Interrupt("e1", 1, "cancelled"))
    end = core.end(failed("ValueError"))
    assert (end.state, end.failure) == (State.CANCELLED, Failure("ValueError", "text"))


def test_an_executor_that_stops_interrupts() -> None:
    core = Driver()
    core(start())
    end = core.end(GONE)
    assert (end.state, end.reason) == (State.WAITING, "stopped")


TIMED = Policies(timeout=Micros(5 * SECOND))


def test_a_timeout_cancels_and_is_told() -> None:
    core = Driver()
    assert core(start(policies=TIMED), 1)[1:] == [SetAlarm(6.0)]
    assert core(AlarmRang(), 6)[0] == Cancel("e1", 1, "timeout")
    end = core.end(GONE, 6.5)
    assert (end.state, end.reason) == (State.TIMED_OUT, "timeout")
    assert end.failure == Failure("TimedOut", "still running after 5 s")


def test_a_result_after_the_timeout_is_dropped() -> None:
    core = Driver()
    core(start(policies=TIMED))
    core(AlarmRang(), 5)
    end = core.end(completed(result="1"))
    assert (end.state, end.result) == (State.TIMED_OUT, None)


@pytest.mark.parametrize("event", [completed(result="1"), failed("ValueError"), failed("HandlerInterrupted"), GONE])
def test_an_end_that_comes_before_its_late_alarm_is_a_timeout(event: HandlerEnded) -> None:
    core = Driver()
    core(start(policies=Policies(timeout=Micros(SECOND))))
    end = core.end(event, 3)
    assert (end.state, end.reason, end.result) == (State.TIMED_OUT, "timeout", None)
    assert end.failure == Failure("TimedOut", "still running after 3 s")


def test_an_end_before_the_timeout_is_none() -> None:
    core = Driver()
    core(start(policies=Policies(timeout=Micros(SECOND))))
    assert core.end(completed(result="1"), 0.999).state is State.COMPLETED


def test_what_was_interrupted_in_time_does_not_time_out_later() -> None:
    core = Driver()
    core(start(policies=Policies(timeout=Micros(SECOND))))
    core(Interrupt("e1", 1, "lost_lease"), 0.5)
    assert core.end(GONE, 3).state is State.WAITING


def test_an_early_alarm_is_set_again() -> None:
    core = Driver()
    core(start(policies=TIMED))
    assert core(AlarmRang(), 4) == [SetAlarm(5.0)]


def test_the_alarm_of_an_ended_attempt_rings_for_nobody() -> None:
    core = Driver()
    core(start(policies=TIMED))
    core(completed())
    assert core(AlarmRang(), 5) == []


def test_the_earliest_deadline_is_set() -> None:
    core = Driver()
    core(start(1, policies=TIMED), 0)
    assert len(core(start(2, policies=TIMED), 1)) == 1
    assert SetAlarm(3.0) in core(start(3, policies=Policies(timeout=Micros(SECOND))), 2)
    assert SetAlarm(5.0) in core(AlarmRang(), 3)


BEATING = Policies(heartbeat_timeout=Micros(2 * SECOND))


def test_a_handler_without_heartbeat_times_out() -> None:
    core = Driver()
    core(start(policies=BEATING))
    assert core(Beat("e1", 1), 1.5) == []
    assert core(AlarmRang(), 2) == [SetAlarm(3.5)]
    assert core(AlarmRang(), 3.5)[0] == Cancel("e1", 1, "heartbeat_timeout")
    end = core.end(GONE, 4)
    assert (end.state, end.failure) == (State.TIMED_OUT, Failure("TimedOut", "no heartbeat for 2 s"))


def test_a_timeout_after_a_cancellation_changes_nothing() -> None:
    core = Driver()
    core(start(policies=TIMED))
    core(Interrupt("e1", 1, "cancelled"))
    assert not [one for one in core(AlarmRang(), 5) if isinstance(one, Cancel)]
    assert core.end(GONE, 6).state is State.CANCELLED


def test_a_handler_that_goes_on_is_abandoned_and_its_slot_freed_when_it_returns() -> None:
    core = Driver()
    core(start())
    assert core(Interrupt("e1", 1, "cancelled"), 1)[1] == SetAlarm(1 + ABANDON_SECONDS)
    end = core.end(AlarmRang(), 1 + ABANDON_SECONDS)
    assert (end.state, end.holds_slot) == (State.CANCELLED, True)
    assert end.failure is not None
    assert end.failure.type == "Stuck"
    assert core.core.abandoned == 1
    assert core(completed(), 60) == [Report(SlotsFreed(1, (("t1", "e1", 1),)))]
    assert core(completed(), 60) == []


def test_a_released_handler_gives_its_slot_back_while_it_goes_on() -> None:
    core = Driver(slots=4)
    core(start())
    core(Interrupt("e1", 1, "cancelled"))
    core(AlarmRang(), ABANDON_SECONDS)
    assert core(Release("e1", 1)) == [Report(SlotsFreed(1, (("t1", "e1", 1),))), Replace("e1", 1)]
    assert (core.core.abandoned, core.core.stuck) == (0, 1)
    assert core(Release("e1", 1)) == []
    core(Recorded((("e1", 1),)))
    assert core(Resync()) == [Report(InSync(4, frozenset()))]
    assert core(start()) == [], "the same attempt is not run twice"
    assert core(completed(), 60) == []
    assert core.core.stuck == 0


def test_what_is_not_abandoned_is_not_released() -> None:
    core = Driver()
    core(start())
    assert core(Release("e1", 1)) == []
    assert core(Release("e7", 1)) == []
    assert (core.core.running, core.core.stuck) == (1, 0)


def test_a_newer_attempt_supersedes_the_former_one() -> None:
    core = Driver()
    core(start(fence=1))
    newer = start(fence=2, attempt=2)
    assert core(newer)[:2] == [
        Spawn(newer.definition, newer.execution, Instant(0)),
        Cancel("e1", 1, "superseded"),
    ]
    assert core.end(GONE).state is State.WAITING
    assert core.end(completed(fence=2)).state is State.COMPLETED


def test_in_sync_tells_free_slots_and_what_there_is() -> None:
    core = Driver(slots=4)
    assert core(Resync()) == [Report(InSync(4, frozenset()))]
    for number in (1, 2, 3):
        core(start(number))
    ended = core.end(completed(2))
    assert core(Resync()) == [
        Report(InSync(1, frozenset({("e1", 1), ("e2", 1), ("e3", 1)}))),
        Report(AttemptsEnded((ended,))),
    ]
    core(Recorded((("e2", 1),)))
    assert core(Resync()) == [Report(InSync(2, frozenset({("e1", 1), ("e3", 1)})))]


def test_an_abandoned_handler_keeps_its_slot_in_sync() -> None:
    core = Driver(slots=4)
    core(start())
    core(Interrupt("e1", 1, "cancelled"))
    core(AlarmRang(), ABANDON_SECONDS)
    sync = core(Resync())[0]
    assert isinstance(sync, Report)
    assert sync.message == InSync(3, frozenset({("e1", 1)}), abandoned=frozenset({("e1", 1)}))
    core(completed())
    sync, again = core(Resync())
    assert isinstance(sync, Report)
    assert sync.message == InSync(3, frozenset({("e1", 1)}))
    assert isinstance(again, Report)
    assert isinstance(again.message, AttemptsEnded)
    assert not again.message.ends[0].holds_slot, "the keeper counts the slot when it hears the end again"


def test_a_drain_asks_then_interrupts_then_answers() -> None:
    core = Driver()
    reply: Reply[None] = Reply()
    core(start(1))
    core(start(2))
    told = core(Drain(3.0, reply))
    assert told[:2] == [Notify("e1", 1, "drain"), Notify("e2", 1, "drain")]
    assert SetAlarm(3.0) in told
    assert core.end(completed(2), 1).state is State.COMPLETED
    assert core(AlarmRang(), 3)[0] == Cancel("e1", 1, "drain")
    ended, drained = core(GONE, 3)
    assert isinstance(ended, ReportEnd)
    assert (ended.end.state, ended.end.reason) == (State.WAITING, "drain")
    assert drained == Drained(reply)


@pytest.mark.parametrize(
    ("names", "state", "reason"),
    [
        (("HandlerInterrupted", "BaseException"), State.WAITING, "drain"),
        (("BaseExceptionGroup", "HandlerInterrupted"), State.WAITING, "drain"),
        (("ValueError", "Exception"), State.FAILED, None),
    ],
)
def test_who_gives_way_to_a_drain_has_not_failed(names: tuple[str, ...], state: State, reason: str | None) -> None:
    core = Driver()
    core(start())
    core(Drain(30, Reply()))
    end = core.end(failed(*names))
    assert (end.state, end.reason, end.failure is None) == (state, reason, state is State.WAITING)


def test_who_gives_way_to_nothing_has_failed() -> None:
    core = Driver()
    core(start())
    assert core.end(failed("HandlerInterrupted")).state is State.FAILED


def test_a_drained_executor_starts_nothing() -> None:
    core = Driver()
    reply: Reply[None] = Reply()
    assert core(Drain(3.0, reply)) == [Drained(reply)]
    end = core.end(start())
    assert (end.state, end.reason) == (State.WAITING, "drain")


def test_deadlines_of_ended_attempts_are_swept_out() -> None:
    core = Driver()
    for number in range(3 * COMPACT_ABOVE):
        core(start(number, policies=TIMED))
        core(completed(number))
        core(Recorded(((f"e{number}", 1),)))
    assert len(core.core._deadlines) <= COMPACT_ABOVE + 8
    assert (core.core.running, core.core.unrecorded) == (0, 0)


@given(
    st.lists(st.tuples(st.sampled_from(["start", "end", "interrupt", "ring", "record", "release"]), st.integers(0, 5)))
)
def test_slots_always_add_up(steps: list[tuple[str, int]]) -> None:
    """A keeper that counts as the protocol says agrees with the executor at every `InSync`."""
    core = Driver(slots=6)
    known, at = 6, 0.0
    for what, number in steps:
        at += 1
        if what == "start":
            directives = core(start(number), at)
            known -= any(isinstance(one, Spawn) for one in directives)
        elif what == "end":
            directives = core(completed(number), at)
        elif what == "interrupt":
            directives = core(Interrupt(f"e{number}", 1, "cancelled"), at)
        elif what == "ring":
            at += 2 * ABANDON_SECONDS
            directives = core(AlarmRang(), at)
        elif what == "release":
            directives = core(Release(f"e{number}", 1))
        else:
            directives = core(Recorded(((f"e{number}", 1),)))
        for one in directives:
            if isinstance(one, ReportEnd):
                known += not one.end.holds_slot
            elif isinstance(one, Report) and isinstance(one.message, SlotsFreed):
                known += one.message.count
    sync, *told = core(Resync(), at)
    assert isinstance(sync, Report)
    assert isinstance(sync.message, InSync)
    again = [end for one in told for end in one.message.ends]  # type: ignore[union-attr]
    assert known == sync.message.slots + sum(not end.holds_slot for end in again)
