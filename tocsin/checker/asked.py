"""What people asked for: what was answered took effect and stays, what was cancelled never starts again, limits hold."""

from __future__ import annotations

from collections import Counter
from functools import partial

from .expected import Unreadable, expected_times
from .history import Line, Request
from .trial import RAN, Case, Trial
from .verdict import Kind


def check_requests(case: Case) -> None:
    """All checks of what was asked for, but for those of one task."""
    for one in case.history.requests:
        is_gone = one.verb == "create" and one.answer == "ok" and case.task_id(one.task) is None
        if is_gone and not case.purged_after(one.asked_at):
            case.found.add(Kind.REQUEST_LOST, one.task, one.asked_at, "the task was made, and is not there")


def check_scheduler_pauses(case: Case) -> None:
    """While everything is paused nothing is claimed, as soon as all nodes have heard of it."""
    asked = [
        one for one in case.history.requests if one.verb in ("pause all", "resume all") and one.answer != "refused"
    ]
    late, skew = case.bounds.lateness, case.bounds.skew
    for pause in (one for one in asked if one.verb == "pause all" and one.answer == "ok"):
        since = _answered(case, pause)
        ends = [one.asked_at for one in asked if one.verb == "resume all" and _answered(case, one) > pause.asked_at]
        until = min(ends, default=case.history.ended_at)
        for trial in case.trials:
            for (execution, number), attempt in trial.attempts.items():
                at = attempt.started_at
                if at is None or not since + late + skew < at < until - skew:
                    continue
                text = f"attempt {number} of {execution} was claimed while everything was paused, since {since}"
                if case.faults.near(since, at) is None:
                    case.found.add(Kind.PHANTOM, trial.name, at, text)
                else:
                    case.found.excuse(Kind.PHANTOM, trial.name, at, text)


def check_asked(case: Case, trial: Trial) -> None:
    """All checks of what was asked of one task."""
    _check_there(case, trial)
    _check_runs(case, trial)
    _check_phase(case, trial)
    _check_cancelled(case, trial)
    _check_paused(case, trial)
    _check_max_runs(case, trial)


def _check_there(case: Case, trial: Trial) -> None:
    add = partial(case.found.add, Kind.REQUEST_LOST, trial.name)
    deletes = trial.asked("delete")
    if trial.task.deleted and not deletes and not case.purged_after(0, trial.task):
        add(trial.task.ended_at, "the task is gone, and nobody deleted it")
    answered = [one for one in deletes if one.answer == "ok"]
    if answered and not trial.task.deleted:
        add(answered[0].asked_at, "the task was deleted, and is there")
    edits = [one for one in trial.requests if one.verb == "edit" and one.answer == "ok"]
    if not trial.task.deleted and len(edits) > max(0, len(trial.task.revisions) - 1):
        add(edits[0].asked_at, f"{len(edits)} edits were answered, it has {len(trial.task.revisions)} revisions")


def _check_runs(case: Case, trial: Trial) -> None:
    """Each promised run is there, and nobody else's is."""
    if trial.task.deleted:
        return
    runs = trial.asked("run")
    for one in runs:
        if one.answer == "ok" and one.key is not None and one.key not in trial.executions:
            if not case.purged_after(one.asked_at, trial.task):
                text = f"run {one.key} was promised, and is not there"
                case.found.add(Kind.REQUEST_LOST, trial.name, one.asked_at, text)
        elif one.answer == "ok" and one.key is not None and trial.executions[one.key].nominal is not None:
            text = f"run {one.key} was promised, and is the occurrence of {trial.executions[one.key].nominal}"
            case.found.add(Kind.REQUEST_LOST, trial.name, one.asked_at, text)
    by_hand = Counter(one.target for one in trial.task.executions if one.nominal is None)
    number = max(by_hand.values(), default=0)
    if number > len(runs):
        first = min(one.created_at for one in trial.task.executions if one.nominal is None)
        case.found.add(Kind.PHANTOM, trial.name, first, f"{number} runs by hand, {len(runs)} were asked for")


def _answered(case: Case, one: Request) -> int:
    return case.history.ended_at if one.answered_at is None else one.answered_at


def _last_word(case: Case, trial: Trial) -> Request | None:
    """The last request that decides on the task's phase, if it was answered and none can have come after it."""
    asked = trial.asked("pause", "resume", "cancel", "edit", "delete")
    if not asked:
        return None
    last = max(asked, key=lambda one: one.asked_at)
    certain = last.answer == "ok" and all(_answered(case, one) <= last.asked_at for one in asked if one is not last)
    return last if certain else None


def _check_phase(case: Case, trial: Trial) -> None:
    last = _last_word(case, trial)
    wanted = {"pause": {"paused"}, "cancel": {"cancelled"}}.get("" if last is None else last.verb)
    if last is not None and wanted is not None and not trial.task.deleted and trial.task.phase not in wanted:
        text = f"{last.verb} was answered, and it is {trial.task.phase}"
        case.found.add(Kind.REQUEST_LOST, trial.name, last.asked_at, text)


def _check_cancelled(case: Case, trial: Trial) -> None:
    """Nothing is claimed after a cancel or delete was answered, until somebody has the task go on."""
    for cancel in (one for one in trial.asked("cancel", "delete") if one.answer == "ok" and one.key is None):
        since = _answered(case, cancel)
        again = [one.asked_at for one in trial.asked("resume") if _answered(case, one) >= cancel.asked_at]
        until = min(again, default=case.history.ended_at + 1)
        for (execution, number), attempt in trial.attempts.items():
            started = attempt.started_at
            if started is not None and since + case.bounds.skew < started < until:
                text = f"attempt {number} of {execution} was claimed after a {cancel.verb} was answered at {since}"
                case.found.add(Kind.CANCELLED_RAN, trial.name, started, text)
        _check_stopped(case, trial, cancel.verb, since, until)
        for line in trial.starts:
            known = trial.attempts.get((line.execution, line.attempt))
            if line.at < until and (known is None or (known.started_at or 0) <= since + case.bounds.skew):
                _check_late_start(case, trial, line, cancel.verb, since)


def _check_stopped(case: Case, trial: Trial, verb: str, since: int, until: int) -> None:
    """What ran when a cancel was answered is interrupted a moment after, and does nothing more."""
    begun = {(line.execution, line.attempt) for line in trial.starts if line.at <= since}
    told = since + case.bounds.lateness + case.bounds.skew
    for line in trial.lines:
        which = line.execution, line.attempt
        if which in begun and line.kind in ("effect", "kept", "end") and told < line.at < until:
            begun.remove(which)
            text = f"attempt {line.attempt} of {line.execution} went on after a {verb} was answered at {since}"
            if case.faults.near(since, line.at) is None:
                case.found.add(Kind.CANCELLED_RAN, trial.name, line.at, text)
            else:
                case.found.excuse(Kind.CANCELLED_RAN, trial.name, line.at, text)


def _check_late_start(case: Case, trial: Trial, line: Line, verb: str, since: int) -> None:
    """One that was claimed before may begin a moment after: the news is on its way. Or its process stood still meanwhile."""
    if line.at <= since + case.bounds.lateness + case.bounds.skew:
        return
    text = f"attempt {line.attempt} of {line.execution} started after a {verb} was answered at {since}"
    if case.faults.near(since, line.at) is None:
        case.found.add(Kind.CANCELLED_RAN, trial.name, line.at, text)
    else:
        case.found.excuse(Kind.CANCELLED_RAN, trial.name, line.at, f"{text}, claimed before it")


def paused_for_certain(case: Case, trial: Trial) -> list[tuple[int, int]]:
    """Stretches of time through which the task was paused, whatever became of what was not answered."""
    found = []
    for pause in (one for one in trial.asked("pause") if one.answer == "ok"):
        since = _answered(case, pause)
        others = [
            one for one in trial.asked("resume", "edit", "cancel", "delete") if _answered(case, one) > pause.asked_at
        ]
        found.append((since, min((one.asked_at for one in others), default=case.history.ended_at)))
    return found


def _check_paused(case: Case, trial: Trial) -> None:
    """No slot of the time that the task was paused runs."""
    skew = case.bounds.skew
    for since, until in paused_for_certain(case, trial):
        for row in trial.rows:
            if row.outcome in RAN and since + skew < row.first < until - skew:
                text = f"{row.first} ran as {row.execution}, and the task was paused from {since} to {until}"
                case.found.add(Kind.PHANTOM, trial.name, row.first, text)


def _check_max_runs(case: Case, trial: Trial) -> None:
    """Executions that the trigger started: never more than the limit, and not fewer where the limit ended the task.

    Having a task go on counts anew. A slot that runs on all nodes counts once.
    """
    task, limit = trial.task, trial.task.max_runs
    if limit is None or task.deleted or case.purged_after(0, task):
        return
    ran = {row.first for row in trial.rows if row.outcome in RAN or (row.outcome is None and row.execution)}
    ran |= {line.nominal for line in trial.starts if line.nominal is not None}
    eras = 1 + len(trial.asked("resume"))
    add = partial(case.found.add, Kind.MAX_RUNS, trial.name)
    if len(ran) > limit * eras:
        add(max(ran), f"the trigger started {len(ran)}, {limit} may")
    kept = {one.nominal for one in task.executions if one.nominal is not None}
    if task.phase == "finished" and len(kept) < limit and trial.expected is not None:
        try:
            left = [time for time in expected_times(task, case.history.ended_at) if time > task.settled_through]
        except Unreadable:
            return
        if left:
            add(task.settled_through, f"the trigger started {len(ran)}, and it is finished before {limit}")
