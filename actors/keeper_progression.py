"""What happens to the executions of one staged task: slots are settled, retries come due, attempts end, what waited goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from runtime.clock import Instant

from . import attempts
from .keeper_claims import Claims
from .keeper_messages import AttemptEnd
from .keeper_staging import Staged
from .model.execution import Execution, Kind, WaitsFor
from .model.lifecycle import OPEN_STATES, Change, Phase, State, change_phase
from .model.occurrence import Reason
from .settling import Settlement, after_delay, is_blocked, is_fixed_delay, settle

if TYPE_CHECKING:
    from random import Random


class Progression:
    """See the module's docstring. `new_id` makes execution ids; `random` is for the jitter of retries."""

    def __init__(self, claims: Claims, random: Random, new_id: Callable[[], str]) -> None:
        self.claims = claims
        self._random = random
        self.new_id = new_id

    def settle(self, staged: Staged, now: Instant) -> None:
        """Everything of the task that is due: retries first, since they are older, then nominal times."""
        self._retries(staged, now)
        self.settle_slots(staged, now)

    def _retries(self, staged: Staged, now: Instant) -> None:
        for execution in list(staged.executions.values()):
            if execution.waits_for is WaitsFor.RETRY and execution.due is not None and execution.due <= now:
                self.claims.to_slot(staged, execution, now)

    def settle_slots(self, staged: Staged, now: Instant) -> None:
        """The nominal times that the task owes."""
        due = staged.state.next_fire
        if staged.state.phase is Phase.ACTIVE and due is not None and due <= now:
            self._give_up_without_node(staged, now)
            self._apply(staged, settle(staged.task, now), now)

    def _give_up_without_node(self, staged: Staged, now: Instant) -> None:
        """What waits for a node that has its type waits until the next occurrence, and no longer."""
        for execution in list(staged.executions.values()):
            if execution.waits_for is WaitsFor.NODE and execution.kind is Kind.OCCURRENCE:
                self.end_waiting(staged, attempts.give_up(execution, Reason.NO_NODE, now), now)

    def end_waiting(self, staged: Staged, ended: Execution, now: Instant) -> None:
        """An execution that did not run has ended; a slot that never started gives its count back."""
        if ended.first_started_at is None and ended.kind is Kind.OCCURRENCE:
            staged.set(runs=max(0, staged.state.runs - 1))
        self.apply_end(staged, attempts.Ended(ended), now)

    def _apply(self, staged: Staged, settlement: Settlement, now: Instant) -> None:
        staged.settle(settlement.dropped)
        phase = change_phase(staged.state.phase, Change.FINISH) if settlement.finished else staged.state.phase
        staged.set(
            phase=phase,
            next_fire=settlement.next_fire,
            settled_through=settlement.settled_through,
            runs=staged.state.runs + len(settlement.admitted),
        )
        for admission in settlement.admitted:
            execution = attempts.new_execution(
                self.new_id(),
                staged.id,
                Kind.OCCURRENCE,
                now,
                revision=staged.state.revision,
                nominal=admission.nominal,
                waits_for=admission.waits_for or WaitsFor.SLOT,
            )
            self.claims.admit(staged, execution, now)

    def ended(self, staged: Staged, execution: Execution, end: AttemptEnd, now: Instant) -> None:
        """A running attempt has ended as `end` says."""
        result = attempts.end(execution, end, staged.definition.policies, self._random)
        self.apply_end(staged, result, now, end.result)

    def recover(self, staged: Staged, live: frozenset[str], now: Instant) -> None:
        """Attempts whose process died are run again or held, by the task's policy."""
        for execution in list(staged.executions.values()):
            if execution.state is State.RUNNING and execution.boot not in live:
                self.apply_end(staged, attempts.crash(execution, staged.definition.policies, now), now)

    def apply_end(self, staged: Staged, ended: attempts.Ended, now: Instant, result: str | None = None) -> None:
        """Stage an execution whose attempt has ended, and let go on what waited for it."""
        execution = ended.execution
        staged.put(execution, archive=ended.archive, result=result, drop_checkpoint=ended.drop_checkpoint)
        match execution.state:
            case State.WAITING:
                staged.set(failure_count=execution.failures)
                if execution.waits_for is WaitsFor.SLOT:
                    self.claims.to_slot(staged, execution, now)
            case State.COMPLETED:
                staged.set(
                    failure_count=0,
                    completed=staged.state.completed + 1,
                    last_state=execution.state,
                    last_ended_at=execution.ended_at,
                )
            case _:
                failed = 0 if execution.state is State.CANCELLED else 1
                staged.set(
                    failure_count=execution.failures,
                    failed=staged.state.failed + failed,
                    last_state=execution.state,
                    last_ended_at=execution.ended_at,
                )
        if execution.state not in OPEN_STATES:
            self._after_execution(staged, execution, now)

    def _after_execution(self, staged: Staged, ended: Execution, now: Instant) -> None:
        """What an execution's end lets go on: the one that waited for it, the next slot of a fixed delay."""
        if staged.state.phase is Phase.CANCELLED:
            return
        for execution in list(staged.executions.values()):
            if execution.waits_for is WaitsFor.OVERLAP and not is_blocked(staged.task, execution.id):
                self.claims.to_slot(staged, execution, now)
        if (
            ended.kind is Kind.OCCURRENCE
            and staged.state.phase is Phase.ACTIVE
            and staged.state.next_fire is None
            and is_fixed_delay(staged.task)
        ):
            following = after_delay(staged.task, ended.ended_at or now)
            phase = staged.state.phase if following is not None else change_phase(staged.state.phase, Change.FINISH)
            staged.set(next_fire=following, phase=phase)
