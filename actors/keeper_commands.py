"""What people and programs ask for about one task, carried out on its working copy."""

from __future__ import annotations

from typing import assert_never

from runtime.clock import Instant
from runtime.errors import Conflict
from runtime.records import evolve

from . import attempts
from .definition_changes import activate, cancel_definition, configure, edit, pause
from .keeper_messages import (
    ActivateTask,
    CancelExecution,
    CancelTask,
    Command,
    ConfigureTask,
    DeleteTask,
    EditTask,
    Interrupt,
    PauseTask,
    ResumeTask,
    RetryTask,
    RunTask,
)
from .keeper_progression import Progression
from .keeper_staging import Staged
from .model.execution import Execution, Kind, WaitsFor
from .model.lifecycle import OPEN_STATES, Change, Phase, State, change_phase
from .model.policy import Overlap


class Commands:
    """See the module's docstring."""

    def __init__(self, progression: Progression) -> None:
        self._progression = progression

    def carry_out(self, message: Command, staged: Staged, now: Instant) -> str | None:
        """Stage the command. Answers the id of the execution that the asker wants to see, or None for the task.

        Every refusal is raised before anything is staged.
        """
        match message:
            case EditTask():
                edit(staged.task, message.definition, message.expected, now)
                self._progression.settle_slots(staged, now)
                definition, state, rows = edit(staged.task, message.definition, None, now)
                staged.replace(definition, state)
                staged.settle(rows)
            case ConfigureTask():
                staged.replace(configure(staged.definition, message.max_retries, message.delay), staged.state)
            case PauseTask():
                change_phase(staged.state.phase, Change.PAUSE)
                self._progression.settle_slots(staged, now)
                staged.replace(staged.definition, pause(staged.task, message.note, message.actor))
            case ActivateTask():
                definition, state, rows = activate(staged.task, message.trigger, message.bounds, now)
                staged.replace(definition, state)
                staged.settle(rows)
            case CancelTask():
                self._cancel_task(staged, message.actor, now)
            case DeleteTask():
                self._cancel_task(staged, message.actor, now)
                staged.deleted = True
            case RunTask():
                return self._run(message, staged, now)
            case RetryTask():
                self._retry(message, staged, now)
            case ResumeTask():
                self._resume(staged, now)
            case CancelExecution():
                self._cancel_execution(staged, message.execution_id, message.actor, now)
                return message.execution_id
            case _:
                assert_never(message)
        return None

    def _cancel_task(self, staged: Staged, actor: str, now: Instant) -> None:
        if staged.state.phase is not Phase.CANCELLED:
            state, rows = cancel_definition(staged.task, actor, now)
            staged.replace(staged.definition, state)
            staged.settle(rows)
        for execution in list(staged.executions.values()):
            self._cancel_execution(staged, execution.id, actor, now)

    def _cancel_execution(self, staged: Staged, execution_id: str, actor: str, now: Instant) -> None:
        execution = staged.executions.get(execution_id)
        if execution is None:
            raise Conflict(f"execution {execution_id} has ended or is not of task {staged.id}")
        if execution.state is State.RUNNING:
            reason = execution.cancel_reason or f"cancelled by {actor}"
            if execution.cancel_reason is None:
                # Durable with the command: whatever happens to the interruption on its way, it will not run again.
                staged.put(evolve(execution, cancel_reason=reason))
            staged.directives += (Interrupt(execution.id, execution.fence, reason),)
            return
        self._progression.end_waiting(staged, attempts.cancel(execution, f"cancelled by {actor}", now), now)

    def _run(self, message: RunTask, staged: Staged, now: Instant) -> str:
        if staged.state.phase is Phase.CANCELLED:
            raise Conflict(f"cannot run a task that is {staged.state.phase}: activate it first")
        blocker = _open_one(staged)
        overlap = staged.definition.policies.overlap
        waits_for = WaitsFor.SLOT
        if blocker is not None and overlap is not Overlap.ALLOW:
            if overlap is Overlap.SKIP or any(
                entry.waits_for is WaitsFor.OVERLAP for entry in staged.executions.values()
            ):
                raise Conflict(f"execution {blocker.id} of this task is {blocker.state}, and overlap is {overlap!s}")
            waits_for = WaitsFor.OVERLAP
        execution = attempts.new_execution(
            message.execution_id or self._progression.new_id(),
            staged.id,
            Kind.MANUAL,
            now,
            revision=staged.state.revision,
            waits_for=waits_for,
            channel=message.channel,
            correlation=message.correlation,
            parameters=message.parameters,
        )
        self._progression.claims.admit(staged, execution, now)
        return execution.id

    def _retry(self, message: RetryTask, staged: Staged, now: Instant) -> None:
        last = message.last
        if last is None or staged.state.last_execution != last.id:
            raise Conflict(f"task {staged.id} has no last execution that failed: it is {staged.state.status}")
        staged.adopt(last)
        blocker = _open_one(staged)
        if blocker is not None and staged.definition.policies.overlap is not Overlap.ALLOW:
            raise Conflict(f"cannot retry: execution {blocker.id} of this task is {blocker.state}")
        if staged.state.phase is Phase.CANCELLED:
            raise Conflict("cannot retry a task that is cancelled")
        retried = attempts.retry_by_hand(staged.executions[last.id], message.reset)
        staged.set(failed=max(0, staged.state.failed - 1))
        self._progression.apply_end(staged, retried, now)

    def _resume(self, staged: Staged, now: Instant) -> None:
        held = next((entry for entry in staged.executions.values() if entry.state is State.CRASHED), None)
        if held is None or staged.state.phase is Phase.CANCELLED:
            raise Conflict(f"task {staged.id} is {staged.state.status}, only a CRASHED one can be resumed")
        blocker = _open_one(staged)
        if blocker is not None and staged.definition.policies.overlap is not Overlap.ALLOW:
            raise Conflict(f"cannot resume: execution {blocker.id} of this task is {blocker.state}")
        staged.set(failed=max(0, staged.state.failed - 1))
        self._progression.apply_end(staged, attempts.resume(held), now)


def _open_one(staged: Staged) -> Execution | None:
    return next((entry for entry in staged.executions.values() if entry.state in OPEN_STATES), None)
