"""What must hold after any run with faults, judged from two sources: the ledger, and the handlers' own append-only record.

Pure functions: each takes records and answers the violations it finds as sentences, an empty list when all is well. They share
no code with the scheduler; nominal times are enumerated by the plainest arithmetic there is.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import attrs

RAN = frozenset({"fired", "late"})
OUTCOMES = RAN | {"coalesced", "missed", "skipped"}
FINAL = frozenset({"COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT"})


@attrs.frozen
class Row:
    """A row of the ledger: `count` nominal times from `first` to `last`, in microseconds; `outcome` None while it is open."""

    first: int
    last: int
    count: int | None
    outcome: str | None
    reason: str | None = None
    execution: str | None = None


@attrs.frozen
class Attempt:
    """An attempt as the store has it; instants in microseconds."""

    number: int
    fence: int
    state: str
    started_at: int | None
    ended_at: int | None


@attrs.frozen
class Execution:
    """An execution as the store has it, with its attempts in order."""

    id: str
    nominal: int | None
    state: str
    outcome: str | None
    attempts: tuple[Attempt, ...] = ()


@attrs.frozen
class Line:
    """A line of the record outside the store, in the order of the file.

    kind: `start`, `work` (on `item`), `trying` and `kept` (before and after a checkpoint, at `position`), `end`: written by the
    handler; `dead`: the process `pid` was seen dead. position: how many items are done; at `start` it is that of the checkpoint
    it was given, None without one. at: the time of day in microseconds, where it was written down.
    """

    kind: str
    pid: int
    task: str = ""
    nominal: int | None = None
    execution: str = ""
    attempt: int = 0
    fence: int = 0
    item: str | None = None
    position: int | None = None
    at: int = 0


def interval_times(anchor: int, every: int, after: int, through: int) -> list[int]:
    """The grid `anchor + n * every`, n >= 0, in (after, through]: counted up from the anchor."""
    return [time for time in range(anchor, through + 1, every) if time > after]


def check_ledger(task: str, expected: Sequence[int], rows: Iterable[Row]) -> list[str]:
    """Every expected nominal time has exactly one outcome, and nothing else has one. expected: in order."""
    found: list[str] = []
    covered: Counter[int] = Counter()
    wanted = set(expected)
    for row in rows:
        if row.outcome not in OUTCOMES:
            found.append(f"{task}: the row of {row.first} has the outcome {row.outcome}")
        inside = expected[bisect_left(expected, row.first) : bisect_right(expected, row.last)]
        if row.first not in wanted or row.last not in wanted:
            found.append(f"{task}: the row {row.first} to {row.last} does not begin and end with nominal times")
        if row.count != len(inside):
            found.append(f"{task}: the row {row.first} to {row.last} counts {row.count}, it holds {len(inside)}")
        covered.update(inside)
    found += [f"{task}: {time} has no outcome" for time in expected if not covered[time]]
    found += [f"{task}: {time} has {count} outcomes" for time, count in covered.items() if count > 1]
    return found


def check_starts(task: str, lines: Sequence[Line], rows: Iterable[Row], executions: Iterable[Execution]) -> list[str]:
    """What ran is what the ledger says: no other nominal time, no attempt twice, no attempt under another fence."""
    found: list[str] = []
    admitted = {row.first: row.execution for row in rows if row.outcome in RAN}
    fences = {(one.id, attempt.number): attempt.fence for one in executions for attempt in one.attempts}
    by_nominal: dict[int, set[str]] = {}
    begun: Counter[tuple[str, int]] = Counter()
    for line in _of(lines, task, "start"):
        begun[line.execution, line.attempt] += 1
        if line.nominal is not None:
            by_nominal.setdefault(line.nominal, set()).add(line.execution)
            if admitted.get(line.nominal) != line.execution:
                found.append(
                    f"{task}: {line.nominal} ran as {line.execution}, the ledger has {admitted.get(line.nominal)}"
                )
        if fences.get((line.execution, line.attempt)) != line.fence:
            found.append(f"{task}: attempt {line.attempt} of {line.execution} ran with the fence {line.fence}")
    found += [f"{task}: {key} was started {count} times" for key, count in begun.items() if count > 1]
    found += [f"{task}: {time} ran as {len(ids)} executions" for time, ids in by_nominal.items() if len(ids) > 1]
    return found


def check_completed_ran(task: str, lines: Sequence[Line], executions: Iterable[Execution]) -> list[str]:
    """What the ledger says is COMPLETED has come to its end, by its own record."""
    ended = {line.execution for line in _of(lines, task, "end")}
    return [
        f"{task}: {one.id} is COMPLETED and never came to its end"
        for one in executions
        if one.state == "COMPLETED" and one.id not in ended
    ]


def check_fences(task: str, lines: Sequence[Line]) -> list[str]:
    """Every start of the task has a higher fence than all before it. For tasks whose executions do not overlap."""
    found: list[str] = []
    highest = 0
    for line in _of(lines, task, "start"):
        if line.fence <= highest:
            found.append(
                f"{task}: attempt {line.attempt} of {line.execution} has the fence {line.fence} after {highest}"
            )
        highest = max(highest, line.fence)
    return found


def check_overlap(task: str, lines: Sequence[Line], *, whole_task: bool) -> list[str]:
    """No attempt starts while another of the same execution (of the same task) runs.

    An attempt runs until it ends or its process is dead.
    """
    found: list[str] = []
    running: dict[tuple[str, int], Line] = {}
    for line in lines:
        if line.kind == "dead":
            running = {key: one for key, one in running.items() if one.pid != line.pid}
        elif line.task == task and line.kind == "end":
            running.pop((line.execution, line.attempt), None)
        elif line.task == task and line.kind == "start":
            found += [
                f"{task}: {line.execution}, attempt {line.attempt} starts while {other.execution}, attempt {other.attempt} runs"
                for other in running.values()
                if whole_task or other.execution == line.execution
            ]
            running[line.execution, line.attempt] = line
    return found


def check_resumes(task: str, lines: Sequence[Line]) -> list[str]:
    """A later attempt is given the last checkpoint that was acknowledged, or a later one that was tried."""
    found: list[str] = []
    kept: dict[str, int] = {}
    tried: dict[str, int] = {}
    for line in lines:
        if line.task != task:
            continue
        key = line.execution
        if line.kind == "trying":
            tried[key] = max(tried.get(key, 0), line.position or 0)
        elif line.kind == "kept":
            kept[key] = max(kept.get(key, 0), line.position or 0)
        elif line.kind == "start":
            lowest, highest = kept.get(key, 0), tried.get(key, 0)
            if lowest and line.position is None:
                found.append(f"{task}: attempt {line.attempt} starts from zero, {lowest} was kept")
            elif not lowest <= (line.position or 0) <= highest:
                found.append(
                    f"{task}: attempt {line.attempt} starts from {line.position}, not from {lowest} to {highest}"
                )
    return found


def check_redone(task: str, lines: Sequence[Line]) -> list[str]:
    """Each death costs one item (one checkpoint interval) done again at the most."""
    found: list[str] = []
    begun: dict[tuple[str, str | None], int] = {}
    since: dict[str, int] = {}
    deaths = 0
    for line in lines:
        if line.kind == "dead":
            deaths += 1
            since = {}
        elif line.task == task and line.kind == "work":
            key = line.execution, line.item
            if key in begun:
                again = since[line.execution] = since.get(line.execution, 0) + 1
                if begun[key] == deaths or again > 1:
                    found.append(f"{task}: {line.item} is done again, the {again}. after {deaths} deaths")
            begun[key] = deaths
    return found


def check_attempts(task: str, executions: Iterable[Execution]) -> list[str]:
    """By the store: attempts are numbered without a gap, follow one another, and only the last one can be the final one."""
    found: list[str] = []
    for one in executions:
        numbers = [attempt.number for attempt in one.attempts]
        if numbers != list(range(1, len(numbers) + 1)):
            found.append(f"{task}: {one.id} has the attempts {numbers}")
        for former, later in zip(one.attempts, one.attempts[1:], strict=False):
            if former.fence >= later.fence:
                found.append(f"{task}: {one.id} went from fence {former.fence} to {later.fence}")
            if former.ended_at is None or later.started_at is None or later.started_at < former.ended_at:
                found.append(
                    f"{task}: attempt {later.number} of {one.id} starts before attempt {former.number} has ended"
                )
            if former.state == "COMPLETED":
                found.append(f"{task}: {one.id} went on after attempt {former.number} had completed")
    return found


def _of(lines: Iterable[Line], task: str, kind: str) -> list[Line]:
    return [line for line in lines if line.task == task and line.kind == kind]


def report(violations: Sequence[Any]) -> str:
    """The first violations and their number, for a message."""
    return f"{len(violations)} violations:\n" + "\n".join(str(one) for one in violations[:20])
