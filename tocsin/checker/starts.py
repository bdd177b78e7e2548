"""What really ran, held against what had to: by the slot that each start names, and by time alone.

A slot that the ledger says ran has to have started, once, not before its time; a start that names a slot which the trigger does
not have, or an attempt which the store does not have, is a phantom. What is late needs a reason that can be seen from outside.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from functools import partial
from typing import Final

from .history import Line
from .matching import match
from .trial import NOT_RUN, RAN, Case, Key, Trial
from .verdict import Kind

LATE_AFTER: Final = 1_000_000
"""From here on the ledger itself calls a start late."""

WAITED: Final = frozenset({"queue", "overlap", "dependency"})
"""Reasons to be late that come from the task's own policies and from other work, and not from a fault."""

_BY_NAME: Final = frozenset({Kind.LOST, Kind.EARLY, Kind.LATE, Kind.DUPLICATE, Kind.PHANTOM})

MUST_START: Final = frozenset({"COMPLETED", "FAILED"})
"""An attempt that ended so has run. One that crashed or was interrupted may have been claimed and no more."""


def check_starts(case: Case, trial: Trial) -> None:
    """All checks of what one task's handler wrote."""
    if not trial.task.records:
        return
    _check_stored(case, trial)
    _check_slots(case, trial)
    _check_twice(case, trial)
    _check_first(case, trial)
    _check_ran(case, trial)
    _check_late(case, trial)
    _check_by_time(case, trial)


def check_strangers(case: Case) -> None:
    """What ran although nobody made such a task, and what the dead did."""
    for line in case.strangers:
        if line.kind == "start" and not case.purged_after(line.at):
            case.found.add(Kind.PHANTOM, line.task, line.at, f"{line.execution} ran, and there is no such task")
    deaths: dict[str, int] = {}
    for at, process in case.faults.deaths():
        deaths.setdefault(process, at)
    for line in case.lines:
        # One that dies may still see its handlers cut off.
        if line.kind != "cut" and line.at > deaths.get(line.process, line.at):
            text = f"{line.process} is dead since {deaths[line.process]}, and wrote {line.kind} of {line.execution}"
            case.found.add(Kind.PHANTOM, line.task, line.at, text)


def _check_stored(case: Case, trial: Trial) -> None:
    """Each start is an attempt of the store's."""
    add = partial(case.found.add, task=trial.name)
    if trial.task.deleted:
        return
    for line in trial.starts:
        execution, attempt = trial.executions.get(line.execution), trial.attempts.get((line.execution, line.attempt))
        what = f"attempt {line.attempt} of {line.execution}"
        if execution is None:
            _check_purged(case, trial, line)
        elif attempt is None:
            add(Kind.PHANTOM, at=line.at, text=f"{what} ran, and the store has no such attempt")
        elif attempt.fence != line.fence:
            add(Kind.PHANTOM, at=line.at, text=f"{what} ran under fence {line.fence}, the store has {attempt.fence}")
        elif execution.nominal != line.nominal:
            text = f"{line.execution} ran for {line.nominal}, the store has {execution.nominal}"
            add(Kind.PHANTOM, at=line.at, text=text)


def _check_purged(case: Case, trial: Trial, line: Line) -> None:
    """What is not in the store any more had ended when it was purged, if only because its process died."""
    ended = [_end_of(case, trial, one) for one in trial.starts if one.execution == line.execution]
    if not case.purged_after(line.at, trial.task):
        case.found.add(Kind.PHANTOM, trial.name, line.at, f"{line.execution} ran, and the store has no such execution")
    elif not all(at is not None and case.purged_after(at, trial.task) for at in ended):
        text = f"{line.execution} is not in the store any more, and had not ended when something was purged"
        case.found.add(Kind.PURGE_ERROR, trial.name, line.at, text)


def _end_of(case: Case, trial: Trial, start: Line) -> int | None:
    """When what began with this line was over; None if it was not."""
    for one in trial.lines:
        if one.kind in ("end", "cut") and (one.execution, one.attempt) == (start.execution, start.attempt):
            return one.at
    return case.faults.died_at(start.process)


def _check_slots(case: Case, trial: Trial) -> None:
    """Each start is for a slot of the trigger's, and not before it."""
    expected = None if trial.expected is None else set(trial.expected)
    unknown = trial.task.deleted and any(one.answer == "unknown" for one in trial.asked("edit"))
    for line in trial.starts:
        if line.nominal is None:
            continue
        if expected is not None and line.nominal not in expected and not unknown:
            text = f"{line.execution} ran for {line.nominal}, which is no nominal time of the task"
            case.found.add(Kind.PHANTOM, trial.name, line.at, text)
        execution = trial.executions.get(line.execution)
        if execution is not None and execution.outcome in NOT_RUN:
            text = f"{line.execution} ran, and its slot is {execution.outcome} ({execution.reason})"
            case.found.add(Kind.PHANTOM, trial.name, line.at, text)
        if line.at < line.nominal - case.bounds.skew:
            text = f"{line.execution} started {line.nominal - line.at} us before {line.nominal}"
            case.found.add(Kind.EARLY, trial.name, line.at, text)


def _check_twice(case: Case, trial: Trial) -> None:
    """No attempt starts twice, and no slot runs as two executions."""
    begun = Counter((line.execution, line.attempt) for line in trial.starts)
    last = {(line.execution, line.attempt): line.at for line in trial.starts}
    for key, count in begun.items():
        if count > 1:
            case.found.add(
                Kind.DUPLICATE, trial.name, last[key], f"attempt {key[1]} of {key[0]} was started {count} times"
            )
    slots: dict[tuple[int, str | None], dict[str, int]] = defaultdict(dict)
    for line in trial.starts:
        if line.nominal is not None:
            slots[line.nominal, trial.target_of(line)].setdefault(line.execution, line.at)
    for (nominal, target), ran in slots.items():
        if len(ran) > 1 and not (target is None and trial.task.everywhere):
            text = f"{nominal} ran as {len(ran)} executions: {', '.join(ran)}"
            case.found.add(Kind.DUPLICATE, trial.name, max(ran.values()), text)


def _check_first(case: Case, trial: Trial) -> None:
    """Whatever an attempt does, it has started before."""
    begun: set[Key] = set()
    for line in trial.lines:
        key = line.execution, line.attempt
        if key not in begun and line.kind != "start":
            text = f"{line.kind} of attempt {line.attempt} of {line.execution}, which had not started"
            case.found.add(Kind.PHANTOM, trial.name, line.at, text)
        begun.add(key)


def _check_ran(case: Case, trial: Trial) -> None:
    """What the store says has run has started, and what it says is complete has come to its end."""
    started = {(line.execution, line.attempt) for line in trial.starts}
    ended = {(line.execution, line.fence) for line in trial.lines if line.kind == "end"}
    for (execution, number), attempt in trial.attempts.items():
        if attempt.state not in MUST_START:
            continue
        what = f"attempt {number} of {execution} is {attempt.state}"
        if (execution, number) not in started:
            case.found.add(Kind.LOST, trial.name, attempt.started_at, f"{what} and never started")
        elif attempt.state == "COMPLETED" and (execution, attempt.fence) not in ended:
            text = f"{what} under fence {attempt.fence} and never came to its end"
            case.found.add(Kind.LOST, trial.name, attempt.started_at, text)
    for row in trial.rows:
        one = trial.executions.get(row.execution or "")
        if row.outcome in RAN and one is not None and one.nominal == row.first and not one.attempts:
            case.found.add(Kind.LOST, trial.name, row.first, f"it is {row.outcome}, and {one.id} has no attempt")


def first_starts(trial: Trial) -> dict[str, Line]:
    """The first start of each execution that is for a slot."""
    found: dict[str, Line] = {}
    for line in trial.starts:
        if line.nominal is not None:
            found.setdefault(line.execution, line)
    return found


def _limit(case: Case) -> int:
    """How late a start may be without a reason."""
    return max(case.bounds.lateness, LATE_AFTER) + case.bounds.skew


def _check_late(case: Case, trial: Trial) -> None:
    if trial.task.deleted:
        return  # what the ledger said of it is gone
    limit = _limit(case)
    for line in first_starts(trial).values():
        assert line.nominal is not None
        late = line.at - line.nominal
        execution = trial.executions.get(line.execution)
        outcome, reason = (None, None) if execution is None else (execution.outcome, execution.reason)
        if late <= limit or (outcome == "late" and reason in WAITED):
            continue
        text = f"{line.execution} started {late / LATE_AFTER:.3f} s after {line.nominal}, as {outcome} ({reason})"
        proof = _why_late(case, trial, line)
        if proof is None:
            case.found.add(Kind.LATE, trial.name, line.at, text)
        else:
            case.found.excuse(Kind.LATE, trial.name, line.at, f"{text}: {proof}")


def _why_late(case: Case, trial: Trial, line: Line) -> str | None:
    assert line.nominal is not None
    if line.nominal <= trial.task.created_at:
        return "it was past when it was given"
    if case.faults.paused(trial.task.id, line.nominal, line.at) or case.faults.all_paused(line.nominal, line.at):
        return "it was paused"
    if line.execution not in trial.executions and case.purged_after(line.at, trial.task):
        return "its outcome, which said why, was purged"
    span = case.faults.near(line.nominal, line.at)
    return None if span is None else f"{span.kind} {span.subject} from {span.begin}"


# -- by time alone


def _check_by_time(case: Case, trial: Trial) -> None:
    """By time alone, whatever the names say, each slot that was to run has a start and each start has a slot.

    Where something was found by the names, this tells of the same and nothing is added.
    """
    if any(one.task == trial.name and one.kind in _BY_NAME for one in case.found.violations):
        return
    targets, points, named = _targets(case, trial)
    pairs = match(targets, points)
    add = partial(case.found.add, task=trial.name)
    if len(pairs) < len(targets):
        idle = sorted(targets[index][0] for index in set(range(len(targets))) - {target for target, _ in pairs})
        add(Kind.LOST, at=idle[0], text=f"{len(idle)} slots that ran have no start, by time alone")
    if len(pairs) < len(points):
        lone = sorted(points[index] for index in set(range(len(points))) - {point for _, point in pairs})
        add(Kind.DUPLICATE, at=lone[0], text=f"{len(lone)} starts are for no slot that was to run, by time alone")
    if len(pairs) != named:
        text = f"{len(pairs)} slots have a start by time alone, {named} by their names"
        add(Kind.PHANTOM, at=None, text=text)


def _targets(case: Case, trial: Trial) -> tuple[list[tuple[int, int]], list[int], int]:
    """The times at which something had to start, by the ledger; the first starts; how many of them fit to their own slot."""
    first, limit = first_starts(trial), _limit(case)
    targets: list[tuple[int, int]] = []
    named = 0
    for row in trial.rows:
        line = first.get(row.execution or "")
        is_there = row.outcome in RAN and row.execution in trial.executions
        if not is_there or (line is None and not _must_start(trial, row.execution)):
            continue
        begin, end = row.first - case.bounds.skew, row.first + limit
        if row.outcome == "late" or case.faults.near(begin, end) is not None:
            end = case.history.ended_at
        targets.append((begin, end))
        named += line is not None and line.nominal == row.first and begin <= line.at <= end
    in_store = [line.at for line in first.values() if line.execution in trial.executions]
    return targets, in_store, named


def _must_start(trial: Trial, execution: str | None) -> bool:
    one = trial.executions.get(execution or "")
    return one is not None and any(attempt.state in MUST_START for attempt in one.attempts)
