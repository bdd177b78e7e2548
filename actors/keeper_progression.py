"""What happens to the executions of one staged task: slots are settled, instants come, attempts end, what waited goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from runtime.clock import Instant
from runtime.records import evolve

from .keeper_claims import Claims
from .keeper_dependencies import Waits
from .keeper_messages import AttemptEnd, Interrupt, Recover
from .keeper_staging import Staged
from .model.execution import Execution, Kind, WaitsFor
from .model.lifecycle import FAILED_STATES, OPEN_STATES, Change, Phase, State, change_phase
from .model.occurrence import Outcome, Reason
from .model.placement import Where
from .model.policy import CatchUp, OnExhausted
from .model.task import assigned
from .model.trigger import Once
from .rules import attempts
from .rules.catching_up import Governor, is_recovered
from .rules.definition_changes import pause, revive
from .rules.dependencies import counted_start
from .rules.overlapping import all_to_go, room
from .rules.placing import lost
from .rules.selecting import is_fixed_delay
from .rules.settling import (
    Admission,
    Settlement,
    after_delay,
    go_on_catching_up,
    is_owed,
    newest_start,
    settle,
)

if TYPE_CHECKING:
    from random import Random

_UNTIL_THE_NEXT = frozenset({WaitsFor.NODE, WaitsFor.DEPENDENCY})
"""What an occurrence waits for until the next one, unless `max_wait` says otherwise."""

ADMITTED_AT_ONCE: Final = 200
"""Executions, other than the common fires, that one batch makes: after a downtime every task may have a hundred, and the loop
must come back to live ones within some milliseconds. One task's share may go beyond it."""

_TIMED = frozenset({WaitsFor.RETRY, WaitsFor.GOVERNOR})
"""What an execution waits for until an instant comes."""

SCHEDULER = "scheduler"
"""Who has changed a task that was paused because its retries were used up."""


class Progression:
    """See the module's docstring. `new_id` makes execution ids; `random` is for the jitter of retries."""

    def __init__(
        self, claims: Claims, random: Random, new_id: Callable[[], str], governor: Governor | None = None
    ) -> None:
        self.claims = claims
        self.governor = governor or Governor()
        self.admitted = 0
        self._random = random
        self.new_id = new_id
        self.waits = Waits({})

    def settle(self, staged: Staged, now: Instant) -> None:
        """Everything of the task that is due: ends of waiting, retries, since they are older, then nominal times."""
        self._expire(staged, now)
        self._timed(staged, now)
        self.settle_slots(staged, now)

    def _expire(self, staged: Staged, now: Instant) -> None:
        for execution in list(staged.executions.values()):
            if execution.expires is not None and execution.expires <= now and execution.state is State.WAITING:
                self.give_up(staged, execution, now)

    def _timed(self, staged: Staged, now: Instant) -> None:
        for execution in list(staged.executions.values()):
            if execution.waits_for in _TIMED and execution.due is not None and execution.due <= now:
                self.claims.to_slot(staged, execution, now)

    def settle_slots(self, staged: Staged, now: Instant, *, early: bool = False) -> None:
        """The nominal times that the task owes. `early`: those too whose place in the spread window is still to come."""
        if staged.state.phase is Phase.ACTIVE and is_owed(staged.task, now, early=early):
            self._give_up_at_the_next(staged, now)
            self._apply(staged, settle(staged.task, now, early=early, targets=self.targets(staged)), now)

    def targets(self, staged: Staged) -> tuple[str, ...]:
        """The nodes on each of which the task runs now; empty for one that runs once."""
        runs_on_all = staged.definition.placement.where is Where.ALL
        return self.claims.places.targets(staged.definition) if runs_on_all else ()

    def _give_up_at_the_next(self, staged: Staged, now: Instant) -> None:
        """What waits until the next occurrence has come, and no longer.

        With `latest` that is also what the governor holds back: it stands for the newest occurrence, and is that no more.
        """
        policies = staged.definition.policies
        if policies.max_wait is not None:
            return
        for execution in list(staged.executions.values()):
            if execution.target is not None and execution.first_started_at is not None:
                # It stays with its node, until that is gone for good.
                continue
            overtaken = execution.waits_for is WaitsFor.GOVERNOR and policies.catch_up is CatchUp.LATEST
            if execution.kind is Kind.OCCURRENCE and (overtaken or execution.waits_for in _UNTIL_THE_NEXT):
                self.give_up(staged, execution, now)

    def give_up(self, staged: Staged, execution: Execution, now: Instant) -> None:
        """An execution that has waited long enough, or in vain, is ended; of parents it says which one held it."""
        ended = attempts.give_up(execution, now)
        if execution.waits_for is WaitsFor.DEPENDENCY:
            held_by = self.waits.held_by(staged.definition, execution)
            ended = evolve(ended, cancel_reason=f"{ended.cancel_reason}: {held_by}")
        self.end_waiting(staged, ended, now)

    def end_waiting(self, staged: Staged, ended: Execution, now: Instant) -> None:
        """An execution that did not run has ended; a slot that never started gives its count back."""
        self.claims.gone(ended.id)
        returned = ended.first_started_at is None and ended.kind is Kind.OCCURRENCE and ended.target is None
        if returned:
            staged.set(runs=max(0, staged.state.runs - 1))
        self.apply_end(staged, attempts.Ended(ended), now)
        if returned and staged.state.phase is Phase.FINISHED:
            state, rows = revive(staged.task, now)
            staged.replace(staged.definition, state)
            staged.settle(rows)

    def stop(self, staged: Staged, execution: Execution, why: str, now: Instant, skipped: Reason) -> None:
        """End an execution: one that runs is interrupted, one that waits ends at once, skipped for that reason."""
        if execution.state is not State.RUNNING:
            self.end_waiting(staged, attempts.cancel(execution, why, now, skipped), now)
            return
        reason = execution.cancel_reason or why
        if execution.cancel_reason is None:
            # Durable with the command: whatever happens to the interruption on its way, it will not run again.
            staged.put(evolve(execution, cancel_reason=reason))
        staged.directives += (Interrupt(execution.id, execution.fence, reason),)

    def _apply(self, staged: Staged, settlement: Settlement, now: Instant) -> None:
        ids = [self.new_id() for _ in settlement.admitted]
        for new_id, admission in zip(ids, settlement.admitted, strict=True):
            if admission.replaces:
                self.replace(staged, new_id, now, admission.target)
        dropped = settlement.dropped
        if settlement.is_one_slot:
            pairs = zip(ids, settlement.admitted, strict=True)
            standing = next((new_id for new_id, one in pairs if one.refused_by is None), ids[0])
            # The execution that stands for the slots that were coalesced into it.
            dropped = tuple(
                evolve(row, execution=standing) if row.outcome is Outcome.COALESCED else row for row in dropped
            )
        staged.settle(dropped)
        phase = change_phase(staged.state.phase, Change.FINISH) if settlement.finished else staged.state.phase
        staged.set(
            phase=phase,
            next_fire=settlement.next_fire,
            settled_through=settlement.settled_through,
            catching_up=settlement.catching_up,
            runs=staged.state.runs + settlement.counted,
        )
        for new_id, admission in zip(ids, settlement.admitted, strict=True):
            self._admit(staged, new_id, admission, now)

    def _admit(self, staged: Staged, new_id: str, admission: Admission, now: Instant) -> None:
        definition, nominal = staged.definition, admission.nominal
        execution = attempts.new_execution(
            new_id,
            staged.id,
            Kind.OCCURRENCE,
            now,
            revision=staged.state.revision,
            nominal=nominal,
            waits_for=admission.waits_for or WaitsFor.SLOT,
            assigned=assigned(definition, nominal),
            expires=attempts.expiry(definition.policies, now),
            since=self.waits.since(staged),
            target=admission.target,
        )
        if admission.refused_by is not None:
            staged.put(attempts.refused(execution, admission.refused_by, now))
            return
        staged.set(last_admitted=nominal)
        self.admit(staged, execution, now)

    @property
    def is_full(self) -> bool:
        """Whether one batch has admitted as much as it should."""
        return self.admitted >= ADMITTED_AT_ONCE

    def admit(self, staged: Staged, execution: Execution, now: Instant) -> None:
        """A new execution: it waits for the former ones, or goes on to what else may hold it back."""
        self.admitted += 1
        if execution.waits_for is WaitsFor.OVERLAP:
            staged.put(execution)
        else:
            self.let_go(staged, execution, now)

    def let_go(self, staged: Staged, execution: Execution, now: Instant) -> None:
        """Overlap does not hold it back any more: it waits for its parents, its turn among the recovered ones, or a slot."""
        if (held := self.waits.gate(staged, execution)).waits_for is WaitsFor.DEPENDENCY:
            staged.put(held)
            return
        due = self._turn(staged, execution, now)
        if due > now:
            staged.put(evolve(execution, waits_for=WaitsFor.GOVERNOR, due=due))
        else:
            self.claims.to_slot(staged, execution, now)

    def go_on(self, staged: Staged, execution: Execution, now: Instant) -> None:
        """What it waited for has come."""
        self.let_go(staged, evolve(attempts.held(execution, now), waits_for=WaitsFor.SLOT), now)

    def _turn(self, staged: Staged, execution: Execution, now: Instant) -> Instant:
        """When a recovered execution may start: as the governor says, and with the task's own spacing after the former one."""
        if not is_recovered(execution):
            return now
        turn = self.governor.grant(now)
        spacing = staged.definition.policies.catch_up_spacing
        if spacing and staged.definition.policies.catch_up is CatchUp.ALL:
            turns = [one.due for one in staged.executions.values() if one.waits_for is WaitsFor.GOVERNOR]
            starts = [start for start in (staged.state.last_started_at, *turns) if start is not None]
            turn = max([turn, *(Instant(start + spacing) for start in starts)])
        return turn

    def replace(self, staged: Staged, new_id: str, now: Instant, target: str | None = None) -> None:
        """Make room for an execution with this id, where overlap says `replace`. `target`: the node that it is for."""
        for execution in room(staged.definition.policies, staged.task.open, target=target).replaced:
            self.stop(staged, execution, f"cancelled: replaced by execution {new_id}", now, Reason.OVERLAP)

    def ended(self, staged: Staged, execution: Execution, end: AttemptEnd, now: Instant) -> None:
        """A running attempt has ended as `end` says. One that holds its slot still occupies the task."""
        result = attempts.end(execution, end, staged.definition.policies, self._random)
        if end.holds_slot:
            result = evolve(result, execution=evolve(result.execution, lingers=True, boot=execution.boot))
        self.apply_end(staged, result, now, end.result)

    def returned(self, staged: Staged, execution: Execution, now: Instant) -> None:
        """An abandoned handler has returned or is given up: it occupies its task no more."""
        self.claims.ended(execution.id, execution.fence)
        back = evolve(execution, lingers=False)
        staged.put(back)
        self._after_execution(staged, back, now)

    def recover(self, staged: Staged, message: Recover, now: Instant) -> None:
        """Attempts whose process died are run again or held, by the task's policy."""
        for execution in list(staged.executions.values()):
            if not message.counts(execution.boot):
                continue
            if execution.lingers:
                self.returned(staged, execution, now)
            elif execution.state is State.RUNNING:
                self.claims.ended(execution.id, execution.fence)
                self.apply_end(staged, attempts.crash(execution, staged.definition.policies, now), now)

    def lose_nodes(self, staged: Staged, absent: Mapping[str, Instant], now: Instant) -> None:
        """Executions that wait for a node which is gone for good are held. absent: name to since when it has no session."""
        for execution in lost(staged.executions.values(), absent, now):
            self.claims.gone(execution.id)
            self.apply_end(staged, attempts.node_lost(execution, now), now)

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
                    completed_start=newest_start(staged.state.completed_start, counted_start(execution)),
                )
            case _:
                failed = 0 if execution.state is State.CANCELLED else 1
                staged.set(
                    failure_count=execution.failures,
                    failed=staged.state.failed + failed,
                    last_state=execution.state,
                    last_ended_at=execution.ended_at,
                )
                self._pause_if_exhausted(staged, execution)
        if execution.state not in OPEN_STATES:
            self._after_execution(staged, execution, now)

    def _pause_if_exhausted(self, staged: Staged, execution: Execution) -> None:
        definition = staged.definition
        if (
            execution.state in FAILED_STATES
            and execution.kind is Kind.OCCURRENCE
            and definition.policies.on_exhausted is OnExhausted.PAUSE
            and staged.state.phase is Phase.ACTIVE
            and not isinstance(definition.trigger, Once)
        ):
            note = f"execution {execution.id} is {execution.state} after {execution.failures} failures"
            staged.replace(definition, pause(staged.task, note, SCHEDULER))

    def _after_execution(self, staged: Staged, ended: Execution, now: Instant) -> None:
        """What an execution's end lets go on: the one that waited for it, the rest of a catch-up, the slot of a fixed delay."""
        if staged.state.phase is Phase.CANCELLED:
            return
        for waiting in all_to_go(staged.executions.values()):
            self.let_go(staged, attempts.held(waiting, now), now)
        if staged.state.phase is not Phase.ACTIVE or staged.state.next_fire is not None:
            return
        if staged.state.catching_up is not None:
            staged.set(next_fire=go_on_catching_up(staged.task))
        elif is_fixed_delay(staged.task) and not _occurrence_is_open(staged) and ended.kind is Kind.OCCURRENCE:
            following = after_delay(staged.task, ended.ended_at or now)
            phase = staged.state.phase if following is not None else change_phase(staged.state.phase, Change.FINISH)
            staged.set(next_fire=following, phase=phase)


def _occurrence_is_open(staged: Staged) -> bool:
    return any(entry.is_open and entry.kind is Kind.OCCURRENCE for entry in staged.executions.values())
