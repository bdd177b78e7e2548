"""What must hold after a storm: judged from the handlers' own record, the operators' notes, and the tables, read directly.

No code of the scheduler takes part; nominal times are enumerated by plain arithmetic. An attempt is valid from its claim until
the store has it ended; what a process still does that was frozen while its attempt was superseded is excused, with the proof:
the process was stopped at the time, the newer attempt has a higher fence, and all is over within a second of the thaw.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, Final

import attrs

from tests.cluster.evidence import Evidence, Ledger, Ownership
from tests.cluster.harness import PARTITIONS
from tests.cluster.workload import Planned
from tests.e2e import checker
from tests.e2e.checker import Attempt, Line

SECOND: Final = 1_000_000
DAY: Final = 86_400 * SECOND

ZOMBIE: Final = SECOND
"""How long after its thaw a frozen process may still act on superseded attempts."""

UNFIRED: Final = 5 * SECOND
"""How far the ledger of an active task may lag behind when nothing has been wrong for a while."""

SLICE: Final = 100
"""Executions that catch-up `all` makes at once; the next ones follow when half of them have ended."""

SHOWN: Final = 40


@attrs.define
class Verdict:
    """What was found. `excused`: acts of frozen processes under superseded fences, each with its proof."""

    due: int = 0
    starts: int = 0
    attempts: int = 0
    crashed: int = 0
    resumed: int = 0
    outcomes: Counter[str] = attrs.field(factory=Counter)
    lateness: list[int] = attrs.field(factory=list)
    seconds: float = 0.0
    requests: str = ""
    excused: list[str] = attrs.field(factory=list)
    violations: list[str] = attrs.field(factory=list)

    def report(self) -> str:
        """For people."""
        late = sorted(self.lateness) or [0]
        found = [
            f"{self.due} nominal times were due in {self.seconds:.0f} s, {self.due / max(1, self.seconds):.0f} per second; "
            f"{self.starts} starts, {self.attempts} attempts in the store, {self.crashed} of them crashed, "
            f"{self.resumed} went on from a checkpoint",
            "outcomes: " + ", ".join(f"{number} {name}" for name, number in self.outcomes.most_common()),
            f"from nominal time to start: median {late[len(late) // 2] / SECOND:.3f} s, "
            f"99 of 100 {late[len(late) * 99 // 100] / SECOND:.3f} s, worst {late[-1] / SECOND:.1f} s",
            self.requests,
            f"{len(self.excused)} acts of frozen processes are excused",
            *(f"  {one}" for one in self.excused[:SHOWN]),
            f"{len(self.violations)} violations",
            *(f"  {one}" for one in self.violations[:SHOWN]),
        ]
        return "\n".join(found)


# -- judging


def judge(evidence: Evidence) -> Verdict:
    """All checks."""
    verdict = Verdict(violations=list(evidence.late))
    by_task: dict[str, list[Line]] = defaultdict(list)
    for line in evidence.lines:
        by_task[line.task].append(line)
    frozen = Frozen(by_task[""])
    for name, planned in evidence.planned.items():
        task = evidence.tasks[name]
        _judge_ledger(verdict, evidence, task, planned)
        _judge_attempts(verdict, task, planned, by_task[name])
        verdict.violations += check_alone(task, planned, by_task[name], by_task[""], frozen, verdict.excused)
        if planned.type == "long":
            verdict.violations += check_resumes(task, by_task[name], rerun=planned.policies["onCrash"] == "rerun")
            verdict.resumed += sum(line.kind == "start" and line.position is not None for line in by_task[name])
        if planned.holds:
            verdict.violations += check_held(task, evidence.asked.resumed.get(name, 0))
    for name in evidence.asked.tried:
        if task_added := evidence.tasks.get(name):
            _judge_ledger(verdict, evidence, task_added, None)
            _judge_attempts(verdict, task_added, None, by_task[name])
    verdict.violations += check_keys(evidence, frozen)
    verdict.violations += check_asked(evidence)
    verdict.violations += check_owners(evidence.owners)
    started = [line for line in evidence.lines if line.kind == "start"]
    verdict.lateness = [line.at - line.nominal for line in started if line.nominal is not None and line.attempt == 1]
    verdict.starts = len(started)
    verdict.seconds = (evidence.stopped_at - min(task.created_at for task in evidence.tasks.values())) / SECOND
    asked = evidence.asked
    verdict.requests = (
        f"requests: {asked.answered} answered, {asked.failed} not; {len(asked.runs)} runs, {len(asked.added)} tasks added, "
        f"{sum(map(len, asked.edits.values()))} edits, {len(asked.cancelled)} tasks cancelled, "
        f"{sum(asked.resumed.values())} resumed"
    )
    return verdict


def _judge_ledger(verdict: Verdict, evidence: Evidence, task: Ledger, planned: Planned | None) -> None:
    expected = expected_times(task)
    verdict.due += len(expected)
    rows = [row for _, row in task.rows]
    for row in rows:
        verdict.outcomes[f"{row.outcome} ({row.reason})" if row.reason else str(row.outcome)] += row.count or 0
    if planned is not None and planned.everywhere:
        for (nominal, target), number in Counter((row.first, node) for node, row in task.rows).items():
            if number > 1:
                verdict.violations.append(f"{task.name}: {nominal} on {target} has {number} outcomes")
        single = {one.nominal: one.id for one in task.executions if one.nominal is not None}
        rows = [row for row in rows if row.execution is None or single[row.first] == row.execution]
    verdict.violations += checker.check_ledger(task.name, expected, rows)
    last = task.revisions[-1][1]
    if task.phase == "active" and "every" in last and task.settled_through < evidence.stopped_at - UNFIRED:
        verdict.violations.append(f"{task.name}: settled through {task.settled_through}, it was {evidence.stopped_at}")
    behind = task.phase == "paused" and task.settled_through < evidence.stopped_at - UNFIRED - _pace(last)
    if behind and not _was_catching_up(task, planned, evidence.stopped_at):
        verdict.violations.append(f"{task.name}: was paused, and what was due before is not settled")


def _was_catching_up(task: Ledger, planned: Planned | None, paused_at: int) -> bool:
    """Whether a slice of catch-up `all` was at least half open when the task was paused: what comes behind it stays owed."""
    if planned is None or planned.policies.get("catchUp") != "all":
        return False
    ended_later = [one for one in task.executions if one.attempts and (one.attempts[-1].ended_at or 0) > paused_at]
    return len(ended_later) > SLICE // 2


def _pace(trigger: dict[str, Any]) -> int:
    if "every" in trigger and "unit" not in trigger:
        return int(trigger["every"])
    return 2 * SECOND if "cron" in trigger else DAY


def expected_times(task: Ledger) -> list[int]:
    """Every nominal time from the task's creation to where its ledger ends, by arithmetic, revision by revision."""
    found: list[int] = []
    ends = [began for began, _ in task.revisions[1:]] + [task.settled_through]
    for number, ((began, trigger), end) in enumerate(zip(task.revisions, ends, strict=True)):
        # The first revision begins with the task, and a slot at that very instant is not in it.
        after = task.created_at if number == 0 else began
        found += times(trigger, after, end)
    return found


def times(trigger: dict[str, Any], after: int, through: int) -> list[int]:
    """The nominal times of a stored trigger in (after, through]."""
    if "anchor" in trigger and "unit" not in trigger:
        return checker.interval_times(int(trigger["anchor"]), int(trigger["every"]), after, through)
    if "cron" in trigger:
        step = {"* * * * * *": SECOND, "*/2 * * * * *": 2 * SECOND}[trigger["cron"]]
        return checker.interval_times(after - after % step, step, after, through)
    if "unit" not in trigger:
        return [int(trigger["at"])] if int(trigger["at"]) <= through else []
    return daily_times(trigger, after, through)


def daily_times(trigger: dict[str, Any], after: int, through: int) -> list[int]:
    """Once a day in UTC, at a time of day in microseconds."""
    at = int(trigger["time_of_day"])
    return checker.interval_times(after - after % DAY - DAY + at, DAY, after, through)


def _judge_attempts(verdict: Verdict, task: Ledger, planned: Planned | None, lines: Sequence[Line]) -> None:
    """What ran is what the store says, and each result was made under the fence that it is kept under."""
    found = verdict.violations
    attempts = {(one.id, attempt.number): attempt for one in task.executions for attempt in one.attempts}
    verdict.attempts += len(attempts)
    verdict.crashed += sum(attempt.state == "CRASHED" for attempt in attempts.values())
    executions = {one.id: one for one in task.executions}
    begun: Counter[tuple[str, int]] = Counter()
    ended = {(line.execution, line.fence) for line in lines if line.kind == "end"}
    for line in lines:
        if line.kind != "start":
            continue
        begun[line.execution, line.attempt] += 1
        attempt, execution = attempts.get((line.execution, line.attempt)), executions.get(line.execution)
        if attempt is None or execution is None or attempt.fence != line.fence:
            found.append(f"{task.name}: attempt {line.attempt} of {line.execution} ran with the fence {line.fence}")
        elif execution.nominal != line.nominal:
            found.append(f"{task.name}: {line.execution} ran for {line.nominal}, the store has {execution.nominal}")
    found += [f"{task.name}: {key} was started {count} times" for key, count in begun.items() if count > 1]
    for one in task.executions:
        if one.state in ("WAITING", "RUNNING") or one.lingers:
            found.append(f"{task.name}: {one.id} is still {one.state}")
        if one.state == "COMPLETED":
            if (one.id, one.fence) not in ended:
                found.append(f"{task.name}: {one.id} is COMPLETED under fence {one.fence} and never came to its end")
            if one.result is not None and json.loads(one.result) != {"fence": one.fence}:
                found.append(f"{task.name}: {one.id} has fence {one.fence} and the result {one.result}")
    stored = [checker.Execution(one.id, one.nominal, one.state, one.outcome, one.attempts) for one in task.executions]
    found += checker.check_attempts(task.name, stored)
    fences = [attempt.fence for attempt in attempts.values()]
    if len(fences) != len(set(fences)) or max(fences, default=0) > task.fence:
        found.append(f"{task.name}: two attempts have the same fence, or one above the task's {task.fence}")


# -- who ran at the same time


class Frozen:
    """When processes were stopped."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self._spans: dict[int, list[tuple[int, int]]] = defaultdict(list)
        since: dict[int, int] = {}
        for line in lines:
            if line.kind == "frozen":
                since[line.pid] = line.at
            elif line.kind == "thawed":
                self._spans[line.pid].append((since.pop(line.pid), line.at))

    def thaw_after(self, pid: int, at: int) -> int | None:
        """When the process went on that was stopped at this instant, or had gone on not longer than `ZOMBIE` before."""
        for begin, end in self._spans[pid]:
            if begin <= at <= end + ZOMBIE:
                return end
        return None


def check_alone(
    task: Ledger,
    planned: Planned,
    lines: Sequence[Line],
    processes: Sequence[Line],
    frozen: Frozen,
    excused: list[str],
) -> list[str]:
    """No attempt starts while another one of the execution, or of the task where overlap forbids it, is valid and runs.

    Fences only grow, in the order in which attempts start. For a task on all nodes: on each of them.
    """
    found: list[str] = []
    attempts = {(one.id, attempt.number): attempt for one in task.executions for attempt in one.attempts}
    targets = {one.id: one.target for one in task.executions}
    running: dict[tuple[str, int], Line] = {}
    highest: dict[str | None, Line] = {}
    ends = {(one.execution, one.attempt): one.at for one in lines if one.kind in ("end", "cut", "kept", "trying")}
    for line in sorted([*lines, *(one for one in processes if one.kind == "dead")], key=lambda one: one.at):
        key = (line.execution, line.attempt)
        if line.kind == "dead":
            running = {which: one for which, one in running.items() if one.pid != line.pid}
        elif line.kind in ("end", "cut"):
            running.pop(key, None)
        if line.kind != "start":
            continue
        scope = targets.get(line.execution) if planned.alone else line.execution
        last = highest.get(scope)
        if last is not None and line.fence <= last.fence:
            _excuse(task.name, line, last, attempts, ends, frozen, excused, found)
            continue
        highest[scope] = line
        for other in running.values():
            if (targets.get(other.execution) if planned.alone else other.execution) == scope:
                _excuse(task.name, other, line, attempts, ends, frozen, excused, found)
        running[key] = line
    return found


def _excuse(
    name: str,
    older: Line,
    newer: Line,
    attempts: dict[tuple[str, int], Attempt],
    ends: dict[tuple[str, int], int],
    frozen: Frozen,
    excused: list[str],
    found: list[str],
) -> None:
    """What runs at the same time as a newer attempt: excused with proof, or a violation."""
    what = (
        f"{name}: attempt {older.attempt} of {older.execution} (fence {older.fence}, process {older.pid}, {older.at}) with "
        f"attempt {newer.attempt} of {newer.execution} (fence {newer.fence}, process {newer.pid}, {newer.at})"
    )
    superseded, claimed = attempts.get((older.execution, older.attempt)), attempts.get((newer.execution, newer.attempt))
    thaw = frozen.thaw_after(older.pid, max(older.at, newer.at))
    over = ends.get((older.execution, older.attempt), 0)
    if superseded is None or claimed is None or superseded.ended_at is None or claimed.started_at is None:
        found.append(f"{what}: one of them is not in the store, or has not ended")
    elif older.fence >= newer.fence or superseded.ended_at > claimed.started_at:
        found.append(f"{what}: both are valid")
    elif thaw is None:
        found.append(f"{what}: the older one is not valid any more, and its process was not stopped")
    elif over > thaw + ZOMBIE:
        found.append(f"{what}: went on for {(over - thaw) / SECOND:.1f} s after its thaw")
    else:
        excused.append(f"{what}: stopped until {thaw}, over {max(0, over - thaw) / SECOND:.2f} s later")


def check_keys(evidence: Evidence, frozen: Frozen) -> list[str]:
    """No concurrency key is held by more valid attempts than its limit."""
    found: list[str] = []
    attempts = {
        (one.id, attempt.number): attempt
        for task in evidence.tasks.values()
        for one in task.executions
        for attempt in one.attempts
    }
    keyed = {name: planned.key for name, planned in evidence.planned.items() if planned.key is not None}
    running: dict[tuple[str, int], Line] = {}
    for line in sorted(evidence.lines, key=lambda one: one.at):
        key = (line.execution, line.attempt)
        if line.kind == "dead":
            running = {which: one for which, one in running.items() if one.pid != line.pid}
        elif line.task in keyed and line.kind in ("end", "cut"):
            running.pop(key, None)
        elif line.task in keyed and line.kind == "start":
            name, limit = keyed[line.task]
            running[key] = line
            started = attempts[key].started_at if key in attempts else None
            held = [
                one
                for which, one in running.items()
                if keyed[one.task][0] == name and not _is_over(attempts.get(which), started, one, frozen)
            ]
            if len(held) > limit:
                shown = ", ".join(f"{one.execution} ({one.task})" for one in held)
                found.append(f"key {name}: {len(held)} hold it at {line.at}, {limit} may: {shown}")
    return found


def _is_over(attempt: Attempt | None, started: int | None, line: Line, frozen: Frozen) -> bool:
    """Whether the attempt had been superseded in the store when another one was claimed, and its process was stopped."""
    if attempt is None or attempt.ended_at is None or started is None or attempt.ended_at > started:
        return False
    return frozen.thaw_after(line.pid, started) is not None


# -- the rest


def check_resumes(task: Ledger, lines: Sequence[Line], *, rerun: bool) -> list[str]:
    """An attempt begins where the last acknowledged checkpoint of those before it was, or at a later one that was tried.

    Whatever the order in the file: an acknowledged write of an older fence that came after the newer attempt has begun would have
    been accepted under a stale fence.
    """
    found: list[str] = []
    crashed = {one.id for one in task.executions if any(attempt.state == "CRASHED" for attempt in one.attempts)}
    positions: dict[str, dict[str, list[tuple[int, int]]]] = defaultdict(lambda: defaultdict(list))
    for line in lines:
        if line.kind in ("kept", "trying"):
            positions[line.execution][line.kind].append((line.fence, line.position or 0))
    for line in lines:
        if line.kind != "start" or (rerun and line.execution in crashed):
            continue
        kept, tried = (
            max((at for fence, at in positions[line.execution][kind] if fence < line.fence), default=0)
            for kind in ("kept", "trying")
        )
        if not kept <= (line.position or 0) <= tried:
            found.append(
                f"{task.name}: attempt {line.attempt} of {line.execution} starts from {line.position}, not {kept} to {tried}"
            )
    return found


def check_held(task: Ledger, resumes: int) -> list[str]:
    """After a crash nothing runs again unless somebody asked for it."""
    again = 0
    for one in task.executions:
        again += sum(former.state == "CRASHED" for former in one.attempts[:-1])
    return (
        [f"{task.name}: {again} crashed attempts were followed by others, {resumes} resumed"] if again > resumes else []
    )


def check_asked(evidence: Evidence) -> list[str]:
    """What was answered took effect and stays; what was cancelled never starts again."""
    asked, tasks, found = evidence.asked, evidence.tasks, []
    executions = {one.id: one for task in tasks.values() for one in task.executions}
    found += [
        f"run {key} of {task} was promised and is not there"
        for key, task in asked.runs.items()
        if key not in executions
    ]
    for name in asked.added:
        ran = tasks[name].executions if name in tasks else ()
        if [one.state for one in ran] != ["COMPLETED"] or ran[0].outcome not in checker.RAN:
            found.append(f"{name}: was added, and has {[(one.state, one.outcome) for one in ran]}")
    for name, at in asked.cancelled.items():
        if tasks[name].phase != "cancelled":
            found.append(f"{name}: was cancelled and is {tasks[name].phase}")
        later = [
            attempt
            for one in tasks[name].executions
            for attempt in one.attempts
            if attempt.started_at is not None and attempt.started_at > at
        ]
        found += [f"{name}: was cancelled at {at}, {attempt} started later" for attempt in later]
    for name, numbers in asked.edits.items():
        has = json.loads(tasks[name].parameters)["edit"]
        if has < max(numbers) or has not in asked.tried_edits[name]:
            found.append(f"{name}: has edit {has}, answered was {max(numbers)}")
    return found


def check_owners(owners: Ownership) -> list[str]:
    """Every partition has one owner, all nodes agree, and the store has it under a boot of that node that lives."""
    found: list[str] = []
    for partition in range(PARTITIONS):
        said = {owned.get(partition) for owned in owners.said.values()}
        stored = owners.live.get(owners.stored.get(partition, ""))
        if said != {stored} or stored is None:
            found.append(f"partition {partition}: owner by the nodes {said}, in the store {stored}")
    return found
