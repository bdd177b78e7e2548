"""What becomes of attempts while they run: slots, deadlines, interruption, and how each end is told.

Theory of operation. An attempt is `running` from its Start until its handler has ended, or until it is abandoned because its
handler did not give way. Four things ask a running attempt to end: its timeout, its missing heartbeat, an Interrupt of the
keeper, a Drain. The first one that interrupts decides the end that is told:

    timeout, heartbeat   TIMED_OUT
    "cancel..."          CANCELLED
    any other reason     WAITING: interrupted, costs no attempt

A handler that was interrupted and still returns a value has completed, if the interruption was none of its own making (WAITING):
the work is done, doing it again would help nobody. After a cancellation or a timeout a late value is dropped. While a Drain
only asks, a handler may still complete or fail as always; one that gives way by raising HandlerInterrupted has done what it
was asked to do, and ends as interrupted.

A handler that ends after its timeout has timed out, even if the alarm could not ring before because the loop was blocked.

A handler that has not ended ABANDON_SECONDS after its interruption is abandoned: its end is told with `holds_slot`, and
`SlotsFreed` follows when it returns, if ever, or when the keeper tells to `Release` it: then its slot is given back although the
handler goes on, which is counted as `stuck` until it returns.

The timeouts of an attempt that is held for a worker outside run from when one has Begun it. One whose worker is gone has crashed.

After InterruptAll what comes to be started has ended as interrupted, until Trust names the boot id under which attempts run.

Every end is kept until the keeper says `Recorded`, and told again after each `InSync`. The slots told there leave out those of
ends not yet recorded: the keeper counts them when it hears the ends again. The core outlives a restart of its actor, whose
attempts then end as interrupted, so nothing is lost but the message that crashed it.

Not guaranteed: that an interrupted handler stops at once; that the keeper hears of an end only once.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, assert_never

import attrs

from runtime.clock import SECOND, Instant
from runtime.records import evolve

from .executor_messages import (
    AlarmRang,
    Beat,
    Begun,
    Cancel,
    Directive,
    Drain,
    Drained,
    Event,
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
from .keeper_messages import AttemptEnd, AttemptsEnded, InSync, Interrupt, Recorded, Release, SlotsFreed, Start
from .model.execution import Execution, Failure
from .model.invocation import policies_of
from .model.lifecycle import State
from .model.outside import is_outside
from .model.policy import Policies, Retry
from .model.task import Definition
from .sharing_messages import EndTasks

if TYPE_CHECKING:
    from runtime.mailbox import Reply

ABANDON_SECONDS: Final = 10.0
"""Time between the interruption of a handler and its abandonment: longer than a child process is given before it is killed."""

LOST_LEASE: Final = "lost_lease"
"""Why attempts are ended whose node may count as dead, or does."""

GAVE_WAY: Final = "HandlerInterrupted"
"""The exception with which a handler gives way; a worker process tells it by its name."""

COMPACT_ABOVE: Final = 1_024
"""Deadlines that are kept before those of ended attempts are swept out; below this the memory does not matter."""

DEADLINES_EACH: Final = 8
"""Deadlines that a running attempt can have (timeout, heartbeat, drain, abandon), twice: a sweep halves the heap."""

Key = tuple[str, int]
"""Execution id and fence."""


@attrs.define
class Running:
    """An attempt whose handler runs. `ending` is set by its interruption: the state and the reason of its end.

    `notified`: why it was asked to end without being interrupted. `held`: its policies, until a worker outside has begun it.
    """

    task_id: str
    execution_id: str
    fence: int
    retry: Retry
    started_at: Instant
    times_out_at: float = math.inf
    heartbeat_seconds: float | None = None
    beat_at: float = 0.0
    ending: tuple[State, str] | None = None
    notified: str | None = None
    failure: Failure | None = None
    held: Policies | None = None


class ExecutorCore:
    """The state of one executor. `slots`: attempts it runs at the same time."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._running: dict[Key, Running] = {}
        self._newest: dict[str, int] = {}
        self._abandoned: dict[Key, str] = {}
        self._stuck: set[Key] = set()
        self._unrecorded: dict[Key, AttemptEnd] = {}
        self._deadlines: list[tuple[float, str, int, str]] = []
        self._alarm_at: float | None = None
        self._draining: list[Reply[None]] = []
        self._drained = False
        self._boot: str | None = None
        self._doubt: str | None = None

    @property
    def running(self) -> int:
        """Attempts whose handlers run, those not counted that were abandoned."""
        return len(self._running)

    @property
    def task_ids(self) -> frozenset[str]:
        """The tasks whose handlers run."""
        return frozenset(attempt.task_id for attempt in self._running.values())

    @property
    def load(self) -> tuple[int, int, int]:
        """All slots, those that are free, and the attempts whose handlers run."""
        running = len(self._running)
        return self._slots, max(0, self._slots - running - len(self._abandoned)), running

    @property
    def abandoned(self) -> int:
        """Handlers that were abandoned, have not returned, and hold their slots."""
        return len(self._abandoned)

    @property
    def stuck(self) -> int:
        """Handlers that have not returned although their slots were given back."""
        return len(self._stuck)

    @property
    def unrecorded(self) -> int:
        """Ends that the keeper has not recorded yet."""
        return len(self._unrecorded)

    def handle(self, event: Event, now: Instant, monotonic: float) -> list[Directive]:
        """What follows from an event. now: the wall clock; monotonic: the clock of deadlines, seconds."""
        directives: list[Directive] = []
        match event:
            case Start():
                self._start(event, now, monotonic, directives)
            case HandlerEnded():
                self._handler_ended(event, now, monotonic, directives)
            case Beat(execution_id=execution_id, fence=fence):
                if (attempt := self._running.get((execution_id, fence))) is not None:
                    attempt.beat_at = monotonic
            case Begun(execution_id=execution_id, fence=fence):
                attempt = self._running.get((execution_id, fence))
                if attempt is not None and attempt.held is not None:
                    self._set_timeouts(attempt, attempt.held, monotonic, directives)
                    attempt.held = None
            case Recorded(ended=ended):
                for key in ended:
                    self._unrecorded.pop(key, None)
            case Release(execution_id=execution_id, fence=fence):
                self._release((execution_id, fence), directives)
            case Interrupt(execution_id=execution_id, fence=fence, reason=reason):
                state = State.CANCELLED if reason.startswith("cancel") else State.WAITING
                self._interrupt((execution_id, fence), state, reason, monotonic, directives)
            case EndTasks(task_ids=ids):
                for key in [key for key, attempt in self._running.items() if attempt.task_id in ids]:
                    self._interrupt(key, State.CANCELLED, "cancelled: the task was deleted", monotonic, directives)
            case InterruptAll(reason=reason):
                self._doubt = reason
                for key in list(self._running):
                    self._interrupt(key, State.WAITING, reason, monotonic, directives)
            case Trust(boot=boot):
                self._boot, self._doubt = boot, None
            case Resync(token=token):
                self._sync(token, directives)
            case Drain():
                self._drain(event, monotonic, directives)
            case AlarmRang():
                self._ring(now, monotonic, directives)
            case _:
                assert_never(event)
        return directives

    def start_plain(
        self, definition: Definition, execution: Execution, now: Instant, monotonic: float
    ) -> list[Directive] | None:
        """Count a `Start` that only spawns its handler: as `handle`. The alarm that is to be set for it, if there is one.

        None, and nothing has changed, if it may not run, is held for a worker, or supersedes another one.
        """
        key = (execution.id, execution.fence)
        if (
            execution.id in self._newest
            or self._is_known(key)
            or self._refusal(execution.boot) is not None
            or is_outside(definition.type)
        ):
            return None
        policies = policies_of(definition, execution)
        attempt = Running(definition.id, execution.id, execution.fence, definition.policies.retry, now)
        self._running[key] = attempt
        self._newest[execution.id] = execution.fence
        directives: list[Directive] = []
        if policies.timeout is not None or policies.heartbeat_timeout is not None:
            self._set_timeouts(attempt, policies, monotonic, directives)
        return directives

    def completed_plain(
        self, key: Key, result: str | None, now: Instant, monotonic: Callable[[], float]
    ) -> AttemptEnd | None:
        """The end of an attempt that nothing else has ended and whose handler returned: as `handle`, which would report it.

        None, and nothing has changed, if it is not for the handler alone to say how it ended, or more follows from it.
        monotonic: the clock of deadlines, which is read only if there is one.
        """
        attempt = self._running.get(key)
        if (
            attempt is None
            or attempt.ending is not None
            or (attempt.times_out_at != math.inf and attempt.times_out_at <= monotonic())
            or self._draining
        ):
            return None
        end = AttemptEnd(
            attempt.task_id, attempt.execution_id, attempt.fence, State.COMPLETED, attempt.started_at, now, None, result
        )
        self._keep(key, end)
        return end

    def _start(self, event: Start, now: Instant, monotonic: float, directives: list[Directive]) -> None:
        definition, execution = event.definition, event.execution
        key = (execution.id, execution.fence)
        if self._is_known(key):
            return
        attempt = Running(definition.id, execution.id, execution.fence, definition.policies.retry, now)
        if (refusal := self._refusal(execution.boot)) is not None:
            self._end(attempt, AttemptEnd(*_identity(attempt), State.WAITING, now, now, reason=refusal), directives)
            return
        former = self._newest.get(execution.id)
        self._running[key] = attempt
        self._newest[execution.id] = execution.fence
        directives.append(Spawn(definition, execution, now))
        if is_outside(definition.type):
            attempt.held = policies_of(definition, execution)
        else:
            self._set_timeouts(attempt, policies_of(definition, execution), monotonic, directives)
        if former is not None:
            # A newer attempt fences the former one, whatever that is doing.
            self._interrupt((execution.id, former), State.WAITING, "superseded", monotonic, directives)

    def _is_known(self, key: Key) -> bool:
        """Whether an attempt was started here, and something of it is still to be done."""
        return key in self._running or key in self._unrecorded or key in self._abandoned or key in self._stuck

    def _set_timeouts(
        self, attempt: Running, policies: Policies, monotonic: float, directives: list[Directive]
    ) -> None:
        key = (attempt.execution_id, attempt.fence)
        if policies.timeout is not None:
            attempt.times_out_at = monotonic + policies.timeout / SECOND
            self._set_deadline(attempt.times_out_at, key, "timeout", directives)
        if policies.heartbeat_timeout is not None:
            attempt.beat_at = monotonic
            attempt.heartbeat_seconds = policies.heartbeat_timeout / SECOND
            self._set_deadline(monotonic + attempt.heartbeat_seconds, key, "heartbeat", directives)

    def _refusal(self, boot: str | None) -> str | None:
        """Why an attempt that was claimed under this boot id may not run here any more, None if it may.

        Its claim may have been on its way to the store or back when everything that ran was ended.
        """
        if self._drained:
            return "drain"
        return LOST_LEASE if self._doubt is None and self._boot not in (None, boot) else self._doubt

    def _handler_ended(self, event: HandlerEnded, now: Instant, monotonic: float, directives: list[Directive]) -> None:
        key = (event.execution_id, event.fence)
        attempt = self._running.get(key)
        if attempt is not None:
            if attempt.ending is None and attempt.times_out_at <= monotonic:
                # A handler that blocks the loop is not overtaken by its alarm.
                attempt.failure = _still_running(attempt, now)
                attempt.ending = (State.TIMED_OUT, "timeout")
            self._end(attempt, _end_of(attempt, event, now), directives)
        else:
            self._free(key, directives)
            self._stuck.discard(key)

    def _release(self, key: Key, directives: list[Directive]) -> None:
        if self._free(key, directives):
            self._stuck.add(key)
            directives.append(Replace(*key))

    def _free(self, key: Key, directives: list[Directive]) -> bool:
        """Give the slot of an abandoned handler back. False if there is none such."""
        task_id = self._abandoned.pop(key, None)
        if task_id is None:
            return False
        if (end := self._unrecorded.get(key)) is not None:
            # Should the keeper have to hear it again, it holds no slot any more.
            self._unrecorded[key] = evolve(end, holds_slot=False)
        directives.append(Report(SlotsFreed(1, ((task_id, *key),))))
        return True

    def _end(self, attempt: Running, end: AttemptEnd, directives: list[Directive]) -> None:
        self._keep((attempt.execution_id, attempt.fence), end)
        directives.append(ReportEnd(end))
        if self._draining:
            self._answer_drains(directives)

    def _keep(self, key: Key, end: AttemptEnd) -> None:
        """It runs no more, and its end waits for being recorded."""
        self._running.pop(key, None)
        execution_id, fence = key
        if self._newest.get(execution_id) == fence:
            del self._newest[execution_id]
        self._unrecorded[key] = end

    def _interrupt(self, key: Key, state: State, reason: str, monotonic: float, directives: list[Directive]) -> None:
        attempt = self._running.get(key)
        if attempt is None or attempt.ending is not None:
            return
        attempt.ending = (state, reason)
        directives.append(Cancel(*key, reason))
        self._set_deadline(monotonic + ABANDON_SECONDS, key, "abandon", directives)

    def _sync(self, token: str, directives: list[Directive]) -> None:
        held = sum(not end.holds_slot for end in self._unrecorded.values())
        free = max(0, self._slots - len(self._running) - len(self._abandoned) - held)
        known = frozenset((*self._running, *self._unrecorded))
        directives.append(Report(InSync(free, known, token, frozenset(self._abandoned))))
        if self._unrecorded:
            directives.append(Report(AttemptsEnded(tuple(self._unrecorded.values()))))

    def _drain(self, event: Drain, monotonic: float, directives: list[Directive]) -> None:
        self._drained = True
        self._draining.append(event.reply)
        directives.extend(Notify(*key, "drain") for key in self._running)
        for key, attempt in self._running.items():
            attempt.notified = "drain"
            self._set_deadline(monotonic + event.grace_seconds, key, "drain", directives)
        self._answer_drains(directives)

    def _answer_drains(self, directives: list[Directive]) -> None:
        if not self._running:
            directives.extend(Drained(reply) for reply in self._draining)
            self._draining.clear()

    # -- deadlines

    def _set_deadline(self, at: float, key: Key, kind: str, directives: list[Directive]) -> None:
        heapq.heappush(self._deadlines, (at, *key, kind))
        if len(self._deadlines) > COMPACT_ABOVE + DEADLINES_EACH * len(self._running):
            # Handlers mostly end long before their deadlines; what they leave behind is swept out now and then.
            self._deadlines = [entry for entry in self._deadlines if (entry[1], entry[2]) in self._running]
            heapq.heapify(self._deadlines)
        if self._alarm_at is None or at < self._alarm_at:
            self._alarm_at = at
            directives.append(SetAlarm(at))

    def _ring(self, now: Instant, monotonic: float, directives: list[Directive]) -> None:
        self._alarm_at = None
        heap = self._deadlines
        while heap and (heap[0][0] <= monotonic or (heap[0][1], heap[0][2]) not in self._running):
            _, execution_id, fence, kind = heapq.heappop(heap)
            attempt = self._running.get((execution_id, fence))
            if attempt is not None:
                self._deadline_passed(attempt, kind, now, monotonic, directives)
        if heap and self._alarm_at != heap[0][0]:
            self._alarm_at = heap[0][0]
            directives.append(SetAlarm(heap[0][0]))

    def _deadline_passed(
        self, attempt: Running, kind: str, now: Instant, monotonic: float, directives: list[Directive]
    ) -> None:
        key = (attempt.execution_id, attempt.fence)
        match kind:
            case "abandon":
                self._abandon(attempt, now, directives)
            case "drain":
                self._interrupt(key, State.WAITING, "drain", monotonic, directives)
            case "heartbeat":
                self._heartbeat_due(attempt, now, monotonic, directives)
            case _:
                self._time_out(attempt, "timeout", _still_running(attempt, now), monotonic, directives)

    def _heartbeat_due(self, attempt: Running, now: Instant, monotonic: float, directives: list[Directive]) -> None:
        assert attempt.heartbeat_seconds is not None
        due = attempt.beat_at + attempt.heartbeat_seconds
        if due > monotonic:
            self._set_deadline(due, (attempt.execution_id, attempt.fence), "heartbeat", directives)
            return
        failure = Failure("TimedOut", f"no heartbeat for {attempt.heartbeat_seconds:g} s")
        self._time_out(attempt, "heartbeat_timeout", failure, monotonic, directives)

    def _time_out(
        self, attempt: Running, reason: str, failure: Failure, monotonic: float, directives: list[Directive]
    ) -> None:
        if attempt.ending is None:
            attempt.failure = failure
            self._interrupt((attempt.execution_id, attempt.fence), State.TIMED_OUT, reason, monotonic, directives)

    def _abandon(self, attempt: Running, now: Instant, directives: list[Directive]) -> None:
        assert attempt.ending is not None
        state, reason = attempt.ending
        text = f"the handler went on for {ABANDON_SECONDS:g} s after it was interrupted ({reason}) and still does"
        failure = attempt.failure or Failure("Stuck", text)
        end = AttemptEnd(
            *_identity(attempt), state, attempt.started_at, now, failure=failure, reason=reason, holds_slot=True
        )
        self._abandoned[attempt.execution_id, attempt.fence] = attempt.task_id
        self._end(attempt, end, directives)


def _identity(attempt: Running) -> tuple[str, str, int]:
    return attempt.task_id, attempt.execution_id, attempt.fence


def _still_running(attempt: Running, now: Instant) -> Failure:
    return Failure("TimedOut", f"still running after {(now - attempt.started_at) / SECOND:g} s")


def _end_of(attempt: Running, event: HandlerEnded, now: Instant) -> AttemptEnd:
    task_id, execution_id, fence = attempt.task_id, attempt.execution_id, attempt.fence
    started_at = attempt.started_at
    ending = attempt.ending
    if event.how == "completed" and (ending is None or ending[0] is State.WAITING):
        return AttemptEnd(task_id, execution_id, fence, State.COMPLETED, started_at, now, None, event.result)
    if event.how == "crashed" and (ending is None or ending[0] is State.WAITING):
        return AttemptEnd(task_id, execution_id, fence, State.CRASHED, started_at, now, failure=event.failure)
    if ending is not None:
        failure = attempt.failure or event.failure
        return AttemptEnd(task_id, execution_id, fence, ending[0], started_at, now, failure, reason=ending[1])
    if event.how == "interrupted":
        return AttemptEnd(task_id, execution_id, fence, State.WAITING, started_at, now, reason="stopped")
    if attempt.notified is not None and GAVE_WAY in event.names:
        return AttemptEnd(task_id, execution_id, fence, State.WAITING, started_at, now, reason=attempt.notified)
    retryable = _retryable(attempt.retry, event.names)
    return AttemptEnd(
        task_id, execution_id, fence, State.FAILED, started_at, now, failure=event.failure, retryable=retryable
    )


def _retryable(retry: Retry, names: tuple[str, ...]) -> bool:
    """Whether the policy lets an exception with these class names be tried again."""
    if any(name in retry.give_up_on for name in names):
        return False
    return not retry.retry_on or any(name in retry.retry_on for name in names)
