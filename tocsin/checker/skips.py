"""Slots that were not run: each reason has to be one that the task's policies allow, and something in the history shows it."""

from __future__ import annotations

from .history import Execution, Row
from .trial import NOT_RUN, Case, Trial
from .verdict import Kind

ENDED_BADLY = frozenset({"FAILED", "TIMED_OUT"})


def check_skips(case: Case, trial: Trial) -> None:
    """Every row about slots that did not run."""
    for row in trial.rows:
        if row.outcome not in NOT_RUN or row.outcome is None:
            continue
        objection = _objection(case, trial, row)
        if objection is not None:
            text = f"through {row.last} {row.outcome} ({row.reason}): {objection}"
            case.found.add(Kind.UNEXPLAINED_SKIP, trial.name, row.first, text)


def _objection(case: Case, trial: Trial, row: Row) -> str | None:
    """What is wrong about the reason; None if it is right."""
    match row.outcome, row.reason:
        case "skipped", "paused":
            return _paused(case, trial, row)
        case "skipped", "overlap":
            return _overlap(case, trial, row)
        case "skipped", "cancelled":
            return None if _cancelled(trial) else "nobody cancelled it"
        case "skipped", "queue":
            own = trial.executions.get(row.execution or "")
            return None if own is not None and not own.attempts else "it did not wait"
        case "skipped", "limit":
            return None if trial.task.max_runs is not None else "there is no limit"
        case "skipped", "calendar":
            return None if trial.task.calendars else "it keeps to no calendar"
        case "skipped", "dependency":
            return None if trial.task.parents else "it depends on nothing"
        case "skipped", "too_late" | "no_node" | "node_lost":
            return _disturbed(case, trial, row)
        case "coalesced", "catch_up":
            return _coalesced(case, trial, row)
        case "missed", "downtime" | "paused":
            if trial.task.catch_up not in ("skip", "all") and not _changed(trial):
                return f"catch-up is {trial.task.catch_up}"
            return _disturbed(case, trial, row)
        case _:
            return "the history tells of nothing that allows it"


def _disturbed(case: Case, trial: Trial, row: Row) -> str | None:
    """Something was wrong at the time, or shortly before, or everything was paused; or the slot was past when it was given."""
    late = row.last + max(case.bounds.lateness, 1_000_000)
    if case.faults.near(row.first, late) is not None or case.faults.all_paused(row.first, late):
        return None
    if row.last <= trial.task.created_at:
        return None
    return "nothing was wrong at the time"


def _changed(trial: Trial) -> bool:
    """Whether an edit can have cut short what was to be caught up."""
    return len(trial.task.revisions) > 1


def _paused(case: Case, trial: Trial, row: Row) -> str | None:
    """All of it lies within a time at which the task may have been paused."""
    skew, ended = case.bounds.skew, case.history.ended_at
    spans = list(case.faults.pauses(trial.task.id))
    for pause in trial.asked("pause"):
        later = [
            ended if one.answered_at is None else one.answered_at
            for one in trial.asked("resume", "edit", "cancel", "delete")
            # One that was not answered may have come about after whatever was asked next.
            if one.answer == "ok" and pause.answered_at is not None and one.asked_at >= pause.answered_at
        ]
        spans.append((pause.asked_at, min(later, default=ended)))
    # A task that gives up after its last failure pauses itself.
    gave_up = [_end_of(one) for one in trial.task.executions if one.state in ENDED_BADLY]
    spans += [(at, ended) for at in gave_up if at is not None]
    if any(begin - skew <= row.first and row.last <= end + skew for begin, end in spans):
        return None
    return "it was not paused then"


def _end_of(execution: Execution) -> int | None:
    if execution.ended_at is not None:
        return execution.ended_at
    return execution.attempts[-1].ended_at if execution.attempts else execution.created_at


def _overlap(case: Case, trial: Trial, row: Row) -> str | None:
    """Another execution of the task, on the same node where it runs on all, was open at the slot or later."""
    if trial.task.overlap == "allow":
        return "overlap is allowed"
    own = trial.executions.get(row.execution or "")
    is_own = own is not None and own.nominal == row.first
    if not is_own and row.execution is not None:
        if own is None:
            return (
                None if case.purged_after(row.first, trial.task) else f"{row.execution}, which blocked it, is not there"
            )
        return None if _is_open_at(case, own, row.first) else f"{own.id}, which blocked it, had ended"
    # Whoever replaces it is newer than it; whoever blocks it was there when it came to be.
    settled = row.first + case.bounds.lateness if own is None else own.created_at
    for other in trial.task.executions:
        meets = row.target is None or other.target is None or other.target == row.target
        there = trial.task.overlap == "replace" or other.created_at <= settled + 2 * case.bounds.skew
        if other is not own and meets and there and _is_open_at(case, other, row.first):
            return None
    return "no other execution of the task was open"


def _is_open_at(case: Case, execution: Execution, at: int) -> bool:
    """Whether it had not ended for good at an instant; it may have come to be later, for the slot may have been settled later."""
    if execution.state in ("WAITING", "RUNNING") or execution.lingers:
        return True
    end = _end_of(execution)
    if end is None or end >= at - 2 * case.bounds.skew - case.bounds.telling or not execution.attempts:
        return True
    return case.faults.is_untold(end, at)


def _cancelled(trial: Trial) -> bool:
    return bool(trial.asked("cancel", "delete")) or trial.task.overlap == "replace"


def _coalesced(case: Case, trial: Trial, row: Row) -> str | None:
    """Another slot of the task's stands for it, a newer one or an older one as catch-up says."""
    task = trial.task
    if task.catch_up not in ("latest", "earliest"):
        return f"catch-up is {task.catch_up}"
    stands = trial.executions.get(row.execution or "")
    if row.execution is not None and stands is None and not case.purged_after(row.first, trial.task):
        return f"{row.execution}, which stands for it, is not there"
    if stands is not None and stands.nominal is not None:
        is_newer = stands.nominal > row.last
        if is_newer is not (task.catch_up == "latest") or row.first <= stands.nominal <= row.last:
            return f"{stands.nominal} stands for it, and catch-up is {task.catch_up}"
    return _disturbed(case, trial, row)
