"""The ledger: every nominal time has exactly one outcome, nothing else has one, and it goes on to where it has to."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Final

from .expected import Unreadable, expected_times
from .history import Row
from .trial import NOT_RUN, RAN, Case, Trial
from .verdict import Kind
from .waiting import check_open

SLICE: Final = 100
"""Executions that catch-up `all` makes at once; the next ones follow when half of them have ended."""


def check_ledger(case: Case, trial: Trial) -> None:
    """All checks of one task's ledger. A task that was deleted has none."""
    if trial.task.deleted:
        return
    rows: Sequence[Row] = trial.rows
    if trial.task.everywhere:
        rows = _once_per_slot(case, trial)
    for row in rows:
        _check_row(case, trial, row)
    if trial.expected is None:
        _check_order(case, trial, rows)
    else:
        _check_cover(case, trial, rows, trial.expected)
        _check_progress(case, trial)
    for execution in trial.task.executions:
        check_open(case, trial, execution)


def _once_per_slot(case: Case, trial: Trial) -> list[Row]:
    """One row for each slot that ran on all nodes, after a look at whether each node has one."""
    counted = Counter((row.first, row.target) for row in trial.rows if row.target is not None)
    for (first, target), number in counted.items():
        if number > 1:
            case.found.add(Kind.DUPLICATE, trial.name, first, f"it has {number} outcomes on {target}")
    kept: dict[int, Row] = {}
    for row in trial.rows:
        if row.target is not None:
            kept.setdefault(row.first, row)
    return [row for row in trial.rows if row.target is None or kept[row.first] is row]


def _check_row(case: Case, trial: Trial, row: Row) -> None:
    add = partial(case.found.add, task=trial.name, at=row.first)
    if row.outcome is None:
        if row.execution not in trial.executions:
            add(Kind.LOST, text=f"its row is open and waits for {row.execution}, which is not there")
    elif row.outcome in RAN:
        if row.execution not in trial.executions and not case.purged_after(row.first, trial.task):
            add(Kind.LOST, text=f"it is {row.outcome} as {row.execution}, which is not there")
        elif row.execution in trial.executions and trial.executions[row.execution].nominal != row.first:
            nominal = trial.executions[row.execution].nominal
            add(Kind.LOST, text=f"it is {row.outcome} as {row.execution}, which is for {nominal}")
    elif row.outcome not in NOT_RUN:
        add(Kind.PHANTOM, text=f"it has the outcome {row.outcome}")


def _check_cover(case: Case, trial: Trial, rows: Sequence[Row], expected: Sequence[int]) -> None:
    add = partial(case.found.add, task=trial.name)
    covered: Counter[int] = Counter()
    wanted = set(expected)
    for row in rows:
        inside = expected[bisect_left(expected, row.first) : bisect_right(expected, row.last)]
        if row.first not in wanted or row.last not in wanted:
            add(Kind.PHANTOM, at=row.first, text=f"a row to {row.last} does not begin and end with nominal times")
        elif row.count != len(inside):
            kind = Kind.PHANTOM if row.count is not None and row.count > len(inside) else Kind.LOST
            add(kind, at=row.first, text=f"a row to {row.last} counts {row.count}, it holds {len(inside)}")
        covered.update(inside)
    purged = sum(not covered[time] and case.purged_after(time, trial.task) for time in expected)
    for time in expected:
        if covered[time] > 1:
            add(Kind.DUPLICATE, at=time, text=f"it has {covered[time]} outcomes")
        elif not covered[time] and not (
            _may_be_missing(case, trial, time) or _was_over(trial, rows, time) or _at_limit(trial, rows, time, purged)
        ):
            add(Kind.LOST, at=time, text="it has no outcome")


def _was_over(trial: Trial, rows: Sequence[Row], time: int) -> bool:
    """The definition that a time is of was given to a task that had finished: its former one had come to its end, and not one of
    its own times is in the ledger. Who edits a finished task does not have it go on."""
    revisions = trial.task.revisions
    number = bisect_left(revisions, time, key=lambda one: one.began_at) - 1
    if number < 1:
        return False
    former, begin = revisions[number - 1], revisions[number].began_at
    ends = [int(at) for at in (former.trigger.get("at"), former.bounds.get("end")) if at is not None]
    if trial.task.max_runs is None and not any(end <= begin for end in ends):
        return False
    end = revisions[number + 1].began_at if number + 1 < len(revisions) else time
    return not any(begin < row.first <= max(end, time) for row in rows)


def _at_limit(trial: Trial, rows: Sequence[Row], time: int, purged: int) -> bool:
    """The task had run as often as it may before a time, and nothing has an outcome since: it was finished. What was purged may
    have run; what waited and was cancelled had been started by the trigger."""
    limit = trial.task.max_runs
    if limit is None or any(row.first > time for row in rows):
        return False
    return sum(row.outcome in RAN or row.reason == "cancelled" for row in rows if row.execution) + purged >= limit


def _may_be_missing(case: Case, trial: Trial, time: int) -> bool:
    """Purged; or the task was over, cancelled or at its limit, and somebody had it go on later."""
    if case.purged_after(time, trial.task):
        return True
    ended = case.history.ended_at
    if not any((ended if one.answered_at is None else one.answered_at) >= time for one in trial.asked("resume")):
        return False
    return trial.task.max_runs is not None or bool(trial.asked("cancel", before=time))


def _check_order(case: Case, trial: Trial, rows: Sequence[Row]) -> None:
    """With a fixed delay nothing is known beforehand, but that two slots are not nearer than the delay, and have one outcome."""
    delays = [int(one.trigger["delay"]) for one in trial.task.revisions if "delay" in one.trigger]
    if not delays or len(delays) != len(trial.task.revisions):
        return  # it became one, or ceased to be one, or nobody told: where its slots lie is known to nobody else
    for former, later in pairwise(rows):
        if later.first <= former.last:
            case.found.add(Kind.DUPLICATE, trial.name, later.first, "it has two outcomes")
        elif later.first - former.last < min(delays):
            case.found.add(Kind.EARLY, trial.name, later.first, f"it follows {former.last} in less than the delay")


def _check_progress(case: Case, trial: Trial) -> None:
    """After healing nothing due is left: an active task's ledger is complete up to now, a paused one's up to its pause."""
    task, ended = trial.task, case.history.ended_at
    if not case.is_quiet:
        return
    match task.phase:
        case "active":
            through = ended - case.bounds.lateness - case.bounds.skew
            if case.faults.all_paused(through, ended):
                return
        case "paused":
            # One that was not answered may have come too late: the task was paused already.
            pauses = [one.asked_at for one in trial.asked("pause") if one.answer == "ok"]
            pauses += [begin for begin, _ in case.faults.pauses(task.id)]
            through = max(pauses, default=task.settled_through) - case.bounds.skew
        case "finished":
            # Who edits a finished task does not have it go on; a definition is in force from where the ledger was then.
            if any(one.began_at >= task.settled_through for one in task.revisions[1:]):
                return
            through = (ended if task.ended_at is None else task.ended_at) - case.bounds.skew
        case _:
            return
    if _is_catching_up(trial, through):
        return
    left = _following(trial, through)
    if left and not (task.phase == "finished" and task.max_runs is not None):
        text = f"it is due, and the ledger of the {task.phase} task ends at {task.settled_through}"
        case.found.add(Kind.LOST, trial.name, left[0], text)


def _is_catching_up(trial: Trial, at: int) -> bool:
    """Whether a slice of catch-up `all` was more than half open at an instant: what comes behind it stays owed for so long."""
    if trial.task.catch_up != "all":
        return False
    started = [one for one in trial.task.executions if one.created_at <= at]
    still_open = [
        one
        for one in started
        if one.state in ("WAITING", "RUNNING") or (one.attempts and (one.attempts[-1].ended_at or at) > at)
    ]
    return len(still_open) > SLICE // 2


def _following(trial: Trial, through: int) -> list[int]:
    """Nominal times that the ledger has not come to."""
    task = trial.task
    if through <= task.settled_through:
        return []
    try:
        return [time for time in expected_times(task, through) if time > task.settled_through]
    except Unreadable:
        return []
