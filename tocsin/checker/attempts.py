"""The attempts of each execution: numbered, fenced, one after another, for a reason, and from the checkpoint they were given."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from itertools import pairwise

from .history import Attempt, Execution, Line
from .trial import Case, Trial
from .verdict import Kind


def check_attempts(case: Case, trial: Trial) -> None:
    """All checks of one task's attempts."""
    for execution in trial.task.executions:
        _check_order(case, trial, execution)
        _check_end(case, trial, execution)
        for former, later in pairwise(execution.attempts):
            _check_reason(case, trial, execution, former, later)
        _check_budget(case, trial, execution)
    _check_fences(case, trial)
    _check_held(case, trial)
    check_resumes(case, trial)


def _check_order(case: Case, trial: Trial, execution: Execution) -> None:
    add = partial(case.found.add, task=trial.name)
    numbers = [attempt.number for attempt in execution.attempts]
    if numbers != list(range(1, len(numbers) + 1)):
        add(Kind.PHANTOM, at=execution.created_at, text=f"{execution.id} has the attempts {numbers}")
    apart = 2 * case.bounds.skew
    for former, later in pairwise(execution.attempts):
        what = f"attempt {later.number} of {execution.id}"
        if former.fence >= later.fence:
            add(Kind.STALE_WRITE, at=later.started_at, text=f"{what} has fence {later.fence} after {former.fence}")
        if former.ended_at is None or (later.started_at is not None and later.started_at < former.ended_at - apart):
            add(Kind.OVERLAP, at=later.started_at, text=f"{what} starts before attempt {former.number} has ended")


def _check_end(case: Case, trial: Trial, execution: Execution) -> None:
    """There is one end, it is that of the last attempt, and the result was made under its fence."""
    add = partial(case.found.add, task=trial.name, at=execution.created_at)
    for attempt in execution.attempts[:-1]:
        if attempt.state == "COMPLETED":
            add(Kind.DOUBLE_TERMINAL, text=f"{execution.id} went on after attempt {attempt.number} had completed")
    if execution.attempts:
        last = execution.attempts[-1]
        one_is_complete = "COMPLETED" in (execution.state, last.state)
        if one_is_complete and execution.state != last.state:
            text = f"{execution.id} is {execution.state}, its last attempt {last.number} is {last.state}"
            add(Kind.DOUBLE_TERMINAL, text=text)
        if last.fence != execution.fence:
            text = f"{execution.id} has fence {execution.fence}, its newest attempt {last.fence}"
            add(Kind.STALE_WRITE, text=text)
    elif execution.state == "COMPLETED":
        add(Kind.LOST, text=f"{execution.id} is COMPLETED and has no attempt")
    made_under = _fence_of(execution.result)
    if made_under is not None and made_under != execution.fence:
        add(Kind.STALE_WRITE, text=f"{execution.id} has fence {execution.fence} and a result made under {made_under}")


def _fence_of(result: str | None) -> int | None:
    """The fence under which a result was made, where the result tells."""
    try:
        value = json.loads(result or "null")
    except ValueError:
        return None
    fence = value.get("fence") if isinstance(value, dict) else None
    return fence if isinstance(fence, int) else None


def _check_reason(case: Case, trial: Trial, execution: Execution, former: Attempt, later: Attempt) -> None:
    """What runs again has a reason to: the former attempt failed, was interrupted, or its process was gone."""
    what = f"attempt {later.number} of {execution.id} began although attempt {former.number}"
    if former.state in ("RUNNING", "WAITING"):
        case.found.add(Kind.DUPLICATE, trial.name, later.started_at, f"{what} is {former.state}")
    if former.state == "CANCELLED" and not trial.asked("resume", before=later.started_at):
        # Interrupted, as the store has it: then its handler has not come to its end.
        own = (execution.id, former.number)
        if any(line.kind == "end" and (line.execution, line.attempt) == own for line in trial.lines):
            case.found.add(Kind.DUPLICATE, trial.name, later.started_at, f"{what} had come to its end")
    if former.state != "CRASHED" or trial.asked("resume", before=later.started_at):
        return
    start = next((one for one in trial.starts if (one.execution, one.attempt) == (execution.id, former.number)), None)
    begin, end = former.started_at, former.ended_at
    begin = execution.created_at if begin is None else begin
    end = case.history.ended_at if end is None else end
    process = None if start is None else start.process
    span = case.faults.gone(process, former.node, begin, end)
    live = {} if case.history.ownership is None else case.history.ownership.live
    if span is not None:
        text = f"{what} had not come to its end: {span.kind} {span.subject} from {span.begin}"
        case.found.excuse(Kind.DUPLICATE, trial.name, later.started_at, text)
    elif live and former.boot is not None and former.boot not in live:
        text = f"{what} had not come to its end: its lease {former.boot} is gone"
        case.found.excuse(Kind.DUPLICATE, trial.name, later.started_at, text)
    else:
        text = f"{what} ran in {process or former.node}, to which nothing had happened"
        case.found.add(Kind.DUPLICATE, trial.name, later.started_at, text)


def _check_budget(case: Case, trial: Trial, execution: Execution) -> None:
    """Failures are tried again as often as the task allows, and more often only if somebody asks."""
    failed = sum(attempt.state in ("FAILED", "TIMED_OUT") for attempt in execution.attempts[:-1])
    if failed > trial.task.max_retries and not trial.asked("resume"):
        text = f"{execution.id} was tried again after {failed} failures, {trial.task.max_retries} are allowed"
        case.found.add(Kind.DUPLICATE, trial.name, execution.attempts[-1].started_at, text)


def _check_fences(case: Case, trial: Trial) -> None:
    fences = [attempt.fence for attempt in trial.attempts.values()]
    if len(fences) != len(set(fences)):
        case.found.add(Kind.STALE_WRITE, trial.name, None, "two attempts have the same fence")
    if not trial.task.deleted and max(fences, default=0) > trial.task.fence:
        case.found.add(
            Kind.STALE_WRITE, trial.name, None, f"fence {max(fences)} is above the task's {trial.task.fence}"
        )


def _check_held(case: Case, trial: Trial) -> None:
    """What is held after a crash goes on only when somebody asks for it, once for each time."""
    if trial.task.on_crash != "hold":
        return
    again = sorted(
        (case.history.ended_at if later.started_at is None else later.started_at, one.id)
        for one in trial.task.executions
        for former, later in pairwise(one.attempts)
        if former.state == "CRASHED"
    )
    for number, (at, execution) in enumerate(again, 1):
        asked = len(trial.asked("resume", before=at + case.bounds.skew))
        if number > asked:
            text = f"{execution} ran again after a crash, the {number}. of the task's; it was asked for {asked} times"
            case.found.add(Kind.HELD_AGAIN, trial.name, at, text)


def check_resumes(case: Case, trial: Trial) -> None:
    """An attempt begins where the last acknowledged checkpoint of those before it was, or at a later one that was tried.

    Whatever the order of the lines: an acknowledged write under an older fence that came after the newer attempt had begun would
    have been accepted under a stale fence. After a crash with `rerun` only what was kept since counts.
    """
    tried: dict[str, list[tuple[int, int]]] = defaultdict(list)
    kept: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for line in trial.lines:
        if line.kind in ("trying", "kept"):
            (kept if line.kind == "kept" else tried)[line.execution].append((line.fence, line.position or 0))
    for line in trial.starts:
        since = _crash_before(trial, line) if trial.task.on_crash == "rerun" else 0
        # Whether an attempt had crashed is gone with its execution.
        is_unknown = line.execution not in trial.executions and trial.task.on_crash == "rerun"
        lowest = 0 if is_unknown else _newest(kept[line.execution], since, line.fence)
        highest = max(lowest, _newest(tried[line.execution], 0 if trial.asked("resume") else since, line.fence))
        if not lowest <= (line.position or 0) <= highest:
            text = f"attempt {line.attempt} of {line.execution} starts from {line.position}, not {lowest} to {highest}"
            case.found.add(Kind.CHECKPOINT_REGRESSION, trial.name, line.at, text)


def _newest(positions: Sequence[tuple[int, int]], since: int, before: int) -> int:
    return max((position for fence, position in positions if since < fence < before), default=0)


def _crash_before(trial: Trial, line: Line) -> int:
    """The fence of the last attempt before this one that crashed; 0 if none did."""
    execution = trial.executions.get(line.execution)
    crashed = () if execution is None else execution.attempts
    return max((one.fence for one in crashed if one.state == "CRASHED" and one.fence < line.fence), default=0)
