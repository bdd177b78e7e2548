"""What people and programs ask for about one task, carried out on its working copy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

from runtime.clock import Instant
from runtime.errors import Conflict
from runtime.records import evolve

from .command_messages import (
    ActivateTask,
    CancelExecution,
    CancelTask,
    Command,
    ConfigureTask,
    DeleteTask,
    EditTask,
    PauseTask,
    ReleaseExecution,
    ResumeTask,
    RetryTask,
    RunTask,
)
from .keeper_messages import Release
from .keeper_progression import Progression
from .keeper_staging import Staged
from .model.execution import Execution, Kind, WaitsFor
from .model.invocation import untraced
from .model.lifecycle import OPEN_STATES, Change, Phase, State, change_phase
from .model.occurrence import Reason
from .model.placement import Where
from .model.policy import Overlap
from .model.retention import SYSTEM
from .model.system import is_system, refuse_type
from .model.task import Task
from .rules import attempts
from .rules.auditing import changed
from .rules.definition_changes import activate, cancel_definition, changes_times, configure, edit, pause
from .rules.overlapping import Room, room


class Commands:
    """See the module's docstring."""

    def __init__(self, progression: Progression) -> None:
        self._progression = progression
        self._stored: dict[str, Execution] = {}

    def learn(self, executions: Iterable[Execution]) -> None:
        """Of the executions that are asked for by their ids those that the store has, ended or not."""
        self._stored = {execution.id: execution for execution in executions}

    def carry_out(self, message: Command, staged: Staged, now: Instant) -> str | None:
        """Stage the command. Answers the id of the execution that the asker wants to see, or None for the task.

        Every refusal is raised before anything is staged. What is staged leaves a record in the audit log.
        """
        former = Task(staged.definition, evolve(staged.state))
        shown = self._stage(message, staged, now)
        now_is = None if staged.deleted else Task(staged.definition, staged.state)
        execution = getattr(message, "execution_id", None) or shown
        staged.audits += (changed(message.actor, type(message).__name__, former, now_is, now, execution),)
        return shown

    def _stage(self, message: Command, staged: Staged, now: Instant) -> str | None:
        if message.actor != SYSTEM:
            if is_system(staged.definition):
                _refuse_change(message, staged.definition.name)
            if isinstance(message, EditTask):
                refuse_type(message.definition.type)
        match message:
            case EditTask():
                edit(staged.task, message.definition, message.expected, now, message.base)
                self._progression.settle_slots(staged, now, early=changes_times(staged.task, message.definition))
                definition, state, rows = edit(staged.task, message.definition, None, now)
                staged.replace(definition, state)
                staged.settle(rows)
                self._progression.claims.edited(staged)
            case ConfigureTask():
                staged.replace(configure(staged.definition, message.max_retries, message.delay), staged.state)
            case PauseTask():
                change_phase(staged.state.phase, Change.PAUSE)
                self._progression.settle_slots(staged, now)
                staged.replace(staged.definition, pause(staged.task, message.note, str(message.actor)))
            case ActivateTask():
                definition, state, rows = activate(staged.task, message.trigger, message.bounds, now)
                staged.replace(definition, state)
                staged.settle(rows)
            case CancelTask():
                self._cancel_task(staged, str(message.actor), now)
            case DeleteTask():
                self._cancel_task(staged, str(message.actor), now)
                staged.deleted = True
            case RunTask():
                return self._run(message, staged, now)
            case RetryTask():
                self._retry(message, staged, now)
            case ResumeTask():
                self._resume(staged, now)
            case CancelExecution():
                why = message.actor if message.note is None else f"{message.actor}: {message.note}"
                self._cancel_execution(staged, message.execution_id, why, now)
                return message.execution_id
            case ReleaseExecution():
                self._release(staged, message.execution_id, now)
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
            if not has_ended(execution):
                self._cancel_execution(staged, execution.id, actor, now)

    def _cancel_execution(self, staged: Staged, execution_id: str, by: str, now: Instant) -> None:
        """by: who wants it, and why if he said so."""
        execution = staged.executions.get(execution_id)
        if execution is None:
            raise Conflict(f"execution {execution_id} has ended or is not of task {staged.id}")
        if has_ended(execution):
            raise Conflict(f"execution {execution_id} {told(execution)}: it can only be released")
        self._progression.stop(staged, execution, f"cancelled by {by}", now, Reason.CANCELLED)

    def _release(self, staged: Staged, execution_id: str, now: Instant) -> None:
        execution = staged.executions.get(execution_id)
        if execution is None or not execution.lingers:
            state = "has ended or is not of this task" if execution is None else f"is {execution.state}"
            raise Conflict(f"execution {execution_id} {state}: only an abandoned handler can be released")
        staged.directives += (Release(execution.id, execution.fence),)
        self._progression.returned(staged, execution, now)

    def _run(self, message: RunTask, staged: Staged, now: Instant) -> str:
        if (known := self._asked_before(message, staged)) is not None:
            staged.adopt(known)
            return known.id
        if staged.state.phase is Phase.CANCELLED:
            raise Conflict(f"cannot run a task that is {staged.state.phase}: activate it first")
        policies = staged.definition.policies
        targets: tuple[str | None, ...] = (None,)
        if staged.definition.placement.where is Where.ALL:
            targets = self._progression.targets(staged)
        places = [(target, room(policies, staged.task.open, target=target)) for target in targets]
        if not places:
            raise Conflict(f"no node takes a task of type {staged.definition.type!r} now")
        if all(place.refused for _, place in places) and (blocker := places[0][1].blocker) is not None:
            raise Conflict(f"execution {blocker.id} of this task {told(blocker)}, and overlap is {policies.overlap!s}")
        ids = [self._admit(message, staged, target, place, now) for target, place in places if not place.refused]
        return ids[0]

    def _asked_before(self, message: RunTask, staged: Staged) -> Execution | None:
        """What the same request was answered with, for as long as it is kept."""
        wanted = message.execution_id
        if wanted is None:
            return None
        known = staged.executions.get(wanted) or self._stored.get(wanted)
        if known is not None and _request(known) != (
            staged.id,
            untraced(message.parameters),
            message.channel,
            message.correlation,
        ):
            raise Conflict(f"execution {wanted} is there already, and was asked for in another way")
        return known

    def _admit(self, message: RunTask, staged: Staged, target: str | None, place: Room, now: Instant) -> str:
        policies = staged.definition.policies
        wanted = message.execution_id
        new_id = wanted if wanted is not None and wanted not in staged.executions else self._progression.new_id()
        if place.replaced:
            self._progression.replace(staged, new_id, now, target)
        execution = attempts.new_execution(
            new_id,
            staged.id,
            Kind.MANUAL,
            now,
            revision=staged.state.revision,
            waits_for=WaitsFor.OVERLAP if place.waits else WaitsFor.SLOT,
            expires=attempts.expiry(policies, now),
            channel=message.channel,
            correlation=message.correlation,
            parameters=message.parameters,
            target=target,
        )
        self._progression.admit(staged, execution, now)
        return execution.id

    def _retry(self, message: RetryTask, staged: Staged, now: Instant) -> None:
        last = message.last and self._stored.get(message.last.id, message.last)
        if last is None or staged.state.last_execution != last.id:
            raise Conflict(f"task {staged.id} has no last execution that failed: it is {staged.state.status}")
        staged.adopt(last)
        if staged.executions[last.id].lingers:
            raise Conflict(f"cannot retry: execution {last.id} {told(last)}: release it first")
        blocker = _open_one(staged)
        if blocker is not None and staged.definition.policies.overlap is not Overlap.ALLOW:
            raise Conflict(f"cannot retry: execution {blocker.id} of this task {told(blocker)}")
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
            raise Conflict(f"cannot resume: execution {blocker.id} of this task {told(blocker)}")
        staged.set(failed=max(0, staged.state.failed - 1))
        self._progression.apply_end(staged, attempts.resume(held), now)


def _refuse_change(message: Command, name: str) -> None:
    """People may pause system tasks, activate them as they are and run them; what they are is the configuration's matter."""
    match message:
        case EditTask() | ConfigureTask() | CancelTask() | DeleteTask():
            refused = True
        case ActivateTask(trigger=trigger, bounds=bounds):
            refused = trigger is not None or bounds is not None
        case _:
            refused = False
    if refused:
        raise Conflict(f"{name} is a task of the node itself: it can be paused and run, its definition is configured")


def _request(execution: Execution) -> tuple[str, str | None, str, str | None]:
    """What was asked for when it was made."""
    return execution.task_id, untraced(execution.parameters), execution.channel, execution.correlation


def _open_one(staged: Staged) -> Execution | None:
    return next((entry for entry in staged.executions.values() if entry.is_open), None)


def has_ended(execution: Execution) -> bool:
    """Whether nothing is left of it but perhaps an abandoned handler."""
    return execution.state not in OPEN_STATES and execution.state is not State.CRASHED


def told(execution: Execution) -> str:
    """How it stands, for people who are refused because of it."""
    return f"is {execution.state}" + (", its handler has not returned" if execution.lingers else "")
