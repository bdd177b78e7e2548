"""What is open a long while after the last fault needs a reason to be: something it waits for, or a handler that is at work.

A reason is no reason for ever. Where all slots are full, or the own concurrency key is always held, an execution waits for its
turn, and turns are taken by age in the whole cluster: those who came later and were served meanwhile prove that it was passed
over. Nodes know of each other's waiting ones as of their last look, so each may serve one out of turn: more than there are nodes
are proof.
"""

from __future__ import annotations

from typing import Final

from .history import Execution, History, Task
from .trial import Case, Trial
from .verdict import Kind

BUSY: Final = 0.5
"""Of the slots' time. From there on a cluster has as much to do as it can: claims, offers and hearing of them take the rest."""


def check_open(case: Case, trial: Trial, execution: Execution) -> None:
    """An execution that is open a long while after the last fault must have a reason to be."""
    if not case.is_quiet or not (execution.state in ("WAITING", "RUNNING") or execution.lingers):
        return
    if case.history.ended_at - _last_sign(trial, execution) <= case.bounds.heal:
        return
    if execution.state == "WAITING" and _may_wait(case, trial, execution):
        return
    if execution.state == "RUNNING" and trial.task.phase == "active" and _runs(trial, execution, case):
        return
    state = "lingering" if execution.lingers else execution.state
    case.found.add(Kind.LOST, trial.name, execution.created_at, f"{execution.id} is still {state}")


def _last_sign(trial: Trial, execution: Execution) -> int:
    """When something was last heard of an execution."""
    times = [execution.created_at, *(line.at for line in trial.lines if line.execution == execution.id)]
    for attempt in execution.attempts:
        times += [at for at in (attempt.started_at, attempt.ended_at) if at is not None]
    return max(times)


def _may_wait(case: Case, trial: Trial, execution: Execution) -> bool:
    """For its retry, whose delay is not known here, for one of its task that runs, for the end of a pause; or for its turn at its
    key or at a slot."""
    if execution.attempts and execution.attempts[-1].state in ("FAILED", "TIMED_OUT"):
        return True
    ended = case.history.ended_at
    if trial.has_running or case.faults.all_paused(ended - case.bounds.heal, ended):
        return True
    key = trial.task.key
    waits_its_turn = (key is not None and key[0] in case.busy_keys) or _is_full(case, execution.target)
    return waits_its_turn and not _is_passed_over(case, trial, execution)


def _nodes(history: History) -> int:
    return len(history.ownership.said) if history.ownership is not None else 1


def _is_full(case: Case, node: str | None) -> bool:
    """Whether the slots of a node, or of all of them, were busy for most of the last while."""
    history = case.history
    if not history.slots or history.ownership is None:
        return False
    begin = history.ended_at - case.bounds.heal // 2
    busy = 0
    for trial in case.trials:
        for attempt in trial.attempts.values():
            if attempt.started_at is not None and node in (None, attempt.node):
                over = history.ended_at if attempt.ended_at is None else attempt.ended_at
                busy += max(0, over - max(attempt.started_at, begin))
    nodes = _nodes(history) if node is None else 1
    return busy >= BUSY * nodes * history.slots * (history.ended_at - begin)


def _is_passed_over(case: Case, trial: Trial, execution: Execution) -> bool:
    """Whether some that came later have been served though all want the same: the key, or the node that they are for alone.

    Only where nothing else can have been in the way, and where all nodes have long been well.
    """
    task, known = trial.task, case.bounds.lateness + 2 * case.bounds.skew
    if not _stands_in_line(trial, execution, known):
        return False
    since = _last_sign(trial, execution) + known
    well = case.history.healed_at + case.bounds.heal // 2
    passed = 0
    for other in case.trials:
        if not _compete(task, other.task):
            continue
        for one in other.task.executions:
            first = one.attempts[0] if one.attempts else None
            if first is None or first.started_at is None or one.created_at < since or first.started_at < well:
                continue
            passed += task.key is not None or first.node == execution.target
    return passed > _nodes(case.history)


def _stands_in_line(trial: Trial, execution: Execution, known: int) -> bool:
    """Whether it waits for its key alone, or for a slot of the one node that it is for: not for both, nor for what its task has
    open before it, for parents, or among what is caught up with slowly."""
    task = trial.task
    if (task.key is None) is not task.everywhere or task.pinned or task.phase != "active" or task.parents:
        return False
    if execution.nominal is not None and execution.created_at - execution.nominal > known:
        return False
    return not any(
        one.state == "WAITING" and one.target == execution.target and one.created_at < execution.created_at
        for one in task.executions
    )


def _compete(task: Task, other: Task) -> bool:
    """Whether two tasks stand in one line: of one key, or, without keys, of one node's slots.

    Where the other's limit is greater, there may be a place for him and none for this one.
    """
    if (task.priority, task.queue) != (other.priority, other.queue):
        return False
    if task.key is None or other.key is None:
        return task.key is other.key
    return task.key[0] == other.key[0] and task.key[1] >= other.key[1] and not (other.everywhere or other.pinned)


def _runs(trial: Trial, execution: Execution, case: Case) -> bool:
    """Whether its newest attempt is at work, by the handlers' own record."""
    number = execution.attempts[-1].number if execution.attempts else 0
    kinds = {line.kind: line for line in trial.lines if (line.execution, line.attempt) == (execution.id, number)}
    if not trial.task.records:
        return True
    start = kinds.get("start")
    return start is not None and not kinds.keys() & {"end", "cut"} and case.faults.died_at(start.process) is None
