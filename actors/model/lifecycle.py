"""The two transition tables: what may become of a task, and what may become of an execution.

Anything the tables do not hold is a `Conflict` that tells the current state and changes nothing.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from runtime.errors import Conflict


class Phase(StrEnum):
    """The state of a task's definition."""

    ACTIVE = "active"
    PAUSED = "paused"
    FINISHED = "finished"
    CANCELLED = "cancelled"


class Change(StrEnum):
    """What can happen to a task's definition."""

    EDIT = "edit"
    PAUSE = "pause"
    ACTIVATE = "activate"
    FINISH = "finish"
    CANCEL = "cancel"


TASK_TRANSITIONS: Final[dict[tuple[Phase, Change], Phase]] = {
    (Phase.ACTIVE, Change.EDIT): Phase.ACTIVE,
    (Phase.ACTIVE, Change.PAUSE): Phase.PAUSED,
    (Phase.ACTIVE, Change.FINISH): Phase.FINISHED,
    (Phase.ACTIVE, Change.CANCEL): Phase.CANCELLED,
    (Phase.PAUSED, Change.EDIT): Phase.PAUSED,
    (Phase.PAUSED, Change.ACTIVATE): Phase.ACTIVE,
    (Phase.PAUSED, Change.CANCEL): Phase.CANCELLED,
    (Phase.FINISHED, Change.EDIT): Phase.FINISHED,
    (Phase.FINISHED, Change.ACTIVATE): Phase.ACTIVE,
    (Phase.FINISHED, Change.CANCEL): Phase.CANCELLED,
    (Phase.CANCELLED, Change.ACTIVATE): Phase.ACTIVE,
}


class State(StrEnum):
    """The state of an execution."""

    WAITING = "WAITING"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    CRASHED = "CRASHED"
    TIMED_OUT = "TIMED_OUT"


class Event(StrEnum):
    """What can happen to an execution."""

    CLAIM = "claim"
    COMPLETE = "complete"
    FAIL = "fail"
    TIME_OUT = "time out"
    CANCEL = "cancel"
    CRASH = "crash"
    INTERRUPT = "interrupt"
    RETRY = "retry"
    RESUME = "resume"
    LOSE_NODE = "lose the node of"


EXECUTION_TRANSITIONS: Final[dict[tuple[State, Event], State]] = {
    (State.WAITING, Event.CLAIM): State.RUNNING,
    (State.WAITING, Event.CANCEL): State.CANCELLED,
    (State.WAITING, Event.LOSE_NODE): State.CRASHED,
    (State.RUNNING, Event.COMPLETE): State.COMPLETED,
    (State.RUNNING, Event.FAIL): State.FAILED,
    (State.RUNNING, Event.TIME_OUT): State.TIMED_OUT,
    (State.RUNNING, Event.CANCEL): State.CANCELLED,
    (State.RUNNING, Event.CRASH): State.CRASHED,
    (State.RUNNING, Event.INTERRUPT): State.WAITING,
    (State.FAILED, Event.RETRY): State.WAITING,
    (State.TIMED_OUT, Event.RETRY): State.WAITING,
    (State.CRASHED, Event.RETRY): State.WAITING,
    (State.CRASHED, Event.RESUME): State.WAITING,
    (State.CRASHED, Event.CANCEL): State.CANCELLED,
}

OPEN_STATES: Final = frozenset({State.WAITING, State.RUNNING})
FAILED_STATES: Final = frozenset({State.FAILED, State.TIMED_OUT})


def change_phase(phase: Phase, change: Change) -> Phase:
    """The phase after `change`. Raises Conflict naming the current one."""
    try:
        return TASK_TRANSITIONS[phase, change]
    except KeyError:
        raise Conflict(f"cannot {change} a task that is {phase}") from None


def change_state(state: State, event: Event) -> State:
    """The state after `event`. Raises Conflict naming the current one."""
    try:
        return EXECUTION_TRANSITIONS[state, event]
    except KeyError:
        raise Conflict(f"cannot {event} an execution that is {state}") from None


class Status(StrEnum):
    """The one word of the REST contract about a task, computed from definition and executions."""

    SCHEDULED = "SCHEDULED"
    WAITING = "WAITING"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    CRASHED = "CRASHED"
