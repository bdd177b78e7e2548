"""The attempts of an execution in words: where each ran, how it ended and why, and what the newest began with."""

from __future__ import annotations

from actors.model.execution import Attempt, Execution, Failure
from actors.model.lifecycle import State
from actors.rules.attempts import INTERRUPTED
from actors.store.answers import ExecutionDetail

from ..vocabulary.fields import show_instant
from .frames import place_of
from .resumption import resumption


def attempt_lines(detail: ExecutionDetail) -> list[str]:
    """A line for each attempt, and one about what the newest began with, if there is something to tell."""
    execution = detail.execution
    lines = [_attempt_line(attempt) for attempt in detail.attempts]
    if execution.attempt:
        lines.append(_newest_line(execution))
    began = _began(detail)
    return lines if began is None else [*lines, began]


def _began(detail: ExecutionDetail) -> str | None:
    execution = detail.execution
    return resumption(
        execution.state.value,
        execution.attempt,
        [attempt.state.value for attempt in detail.attempts if attempt.number < execution.attempt],
        failures=execution.failures,
        crashes=execution.crashes,
        checkpoints=execution.checkpoints,
        last=detail.checkpoint,
    )


def _attempt_line(attempt: Attempt) -> str:
    where = f"on {attempt.node or 'a node'} under fence {attempt.fence}"
    when = show_instant(attempt.ended_at)
    if attempt.failure is not None and attempt.failure.type == INTERRUPTED:
        return f"Attempt {attempt.number} {where} was interrupted at {when} ({attempt.failure.message})."
    return _ended(f"Attempt {attempt.number} {where} ended {attempt.state} at {when}", attempt.failure)


def _newest_line(execution: Execution) -> str:
    where = f"on {execution.node or 'a node'} under fence {execution.fence}"
    if execution.state is State.RUNNING:
        return f"Attempt {execution.attempt} runs {where} since {show_instant(execution.started_at)}."
    if execution.state is State.WAITING:
        many = (
            "1 attempt was made" if execution.attempt == 1 else f"{execution.attempt} attempts were made, the last one"
        )
        return f"{many} {where}."
    ended = show_instant(execution.ended_at)
    return _ended(f"Attempt {execution.attempt} {where} ended {execution.state} at {ended}", execution.failure)


def _ended(how: str, failure: Failure | None) -> str:
    """A sentence about an end; what else the error says than its first line stands below, as it is."""
    rest = [] if failure is None else failure.message.splitlines()[1:]
    return "\n    ".join([f"{how}{brief_error(failure)}{':' if rest else '.'}", *rest])


def brief_error(failure: Failure | None) -> str:
    """An error with the first line of its text, and where in the user's own code it was; nothing for none."""
    if failure is None:
        return ""
    place = place_of(failure.traceback, failure.message)
    where = "" if place is None else f", at {place}"
    first = failure.message.partition("\n")[0].rstrip("\r")
    return f" with {failure.type}: {first}{where}" if first else f" with {failure.type}{where}"
