"""What a rehearsal of a user's definitions came to, as plain values: for JSON, and for who prints it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import attrs

from actors.model.execution import Execution
from actors.model.task import Task
from actors.when.triggers import count_between
from runtime.clock import HOUR, MINUTE, SECOND, Instant

from ...checker.history import Line, Row
from ...checker.trial import whole_ledger
from ...checker.verdict import SHOWN
from ...telling.why import reason_words, trigger_words
from ...vocabulary.fields import show_instant
from ..plan import FaultKind
from ..witness import read_task
from .assumptions import Assumptions
from .carry_out import Blow, Rehearsed
from .definitions import Script
from .judged import judge

Json = dict[str, Any]

OUTCOMES: Final = ("fired", "late", "coalesced", "missed", "skipped")

EXAMPLES: Final = 3
"""Instants that are named of each thing that went wrong."""

AFTER_FAULT: Final = 60 * SECOND
"""What comes so soon after a fault is counted as its cost: takeovers and leases are over by then."""


@attrs.frozen
class Told:
    """One task: its rows of the ledger, and its executions."""

    task: Task
    rows: tuple[Row, ...]
    executions: Mapping[str, Execution]
    attempts: Sequence[tuple[str, Any]]


def report(done: Rehearsed, script: Script, assumptions: Assumptions) -> Json:
    """Everything that is told."""
    wanted, stage = done.wanted, done.stage
    tasks = [_told(done, task) for task in _all_tasks(done)]
    starts = _first_starts(stage.record.lines)
    verdict, judged_otherwise = judge(done)
    real, simulated = done.real_seconds, (wanted.end - wanted.begin) / SECOND
    return {
        "from": show_instant(wanted.begin),
        "until": show_instant(wanted.end),
        "days": wanted.days,
        "nodes": list(wanted.names),
        "seed": wanted.seed,
        "sessionSeconds": wanted.session,
        "slotsPerNode": wanted.slots,
        "skewSeconds": dict(wanted.skews),
        "simulatedSeconds": simulated,
        "realSeconds": round(real, 1),
        "assumptions": {
            name: assumptions.of(name).as_json() for name in sorted({one.task.definition.type for one in tasks})
        },
        "tasks": [_task(one, starts) for one in tasks],
        "totals": _totals(tasks, done),
        "trouble": _trouble(tasks, starts),
        "load": _load(done),
        "faults": [_fault(done, blow, tasks, starts) for blow in sorted(done.blows, key=lambda one: one.at)],
        "actions": dict(sorted(done.actions.items())),
        "leftOut": list(script.left_out),
        "checker": {
            "good": not verdict.violations,
            "violations": [str(one) for one in verdict.violations[:SHOWN]],
            "number": len(verdict.violations),
            "excused": len(verdict.excused),
            "notes": judged_otherwise,
        },
        "nodesThatEnded": dict(stage.failed),
    }


def _all_tasks(done: Rehearsed) -> Iterable[Task]:
    store, after = done.stage.store, ""
    while ids := store.task_ids(after=after, limit=500):
        after = ids[-1]
        yield from store.tasks(ids)


def _told(done: Rehearsed, task: Task) -> Told:
    found = read_task(done.stage.store, task)
    listed, _ = done.stage.store.executions(task.id, offset=0, limit=1_000_000)
    attempts = [(one.id, attempt) for one in found.executions for attempt in one.attempts]
    return Told(task, whole_ledger(found), {one.id: one for one in listed}, attempts)


def _first_starts(lines: Iterable[Line]) -> dict[str, int]:
    """When each execution first started, by the handlers' own record."""
    found: dict[str, int] = {}
    for line in lines:
        if line.kind == "start":
            found.setdefault(line.execution, line.at)
    return found


# -- tasks


def _task(told: Told, starts: Mapping[str, int]) -> Json:
    definition = told.task.definition
    counts = _counts(told)
    failed = Counter(one.state.value for one in told.executions.values())
    return {
        "name": definition.name,
        "type": definition.type,
        "trigger": trigger_words(definition.trigger, definition.bounds),
        "due": sum(counts.values()),
        **{outcome: sum(number for (one, _), number in counts.items() if one == outcome) for outcome in OUTCOMES},
        "open": sum(number for (one, _), number in counts.items() if one is None),
        "reasons": {
            f"{outcome}: {reason_words(reason)}": number
            for (outcome, reason), number in sorted(counts.items(), key=str)
            if outcome and reason
        },
        "executions": dict(sorted(failed.items())),
        "crashed": sum(attempt.state == "CRASHED" for _, attempt in told.attempts),
        "lateness": _lateness(_delays(told, starts)),
        "next": show_instant(told.task.due),
    }


def _counts(told: Told) -> Counter[tuple[str | None, str | None]]:
    found: Counter[tuple[str | None, str | None]] = Counter()
    for row in told.rows:
        found[row.outcome, row.reason] += _size(told, row)
    return found


def _size(told: Told, row: Row) -> int:
    if row.count is not None:
        return row.count
    definition = told.task.definition
    return count_between(definition.trigger, definition.bounds, Instant(row.first), Instant(row.last)) or 1


def _delays(told: Told, starts: Mapping[str, int]) -> list[int]:
    """From when each occurrence was to start to when it did, microseconds, in order."""
    found = [_delay(one, starts[one.id]) for one in told.executions.values() if one.id in starts]
    return sorted(one for one in found if one is not None)


def _late(row: Row, executions: Mapping[str, Execution], starts: Mapping[str, int]) -> int | None:
    """By how much what was made for a row started late."""
    execution = executions.get(row.execution or "")
    return None if execution is None or execution.id not in starts else _delay(execution, starts[execution.id])


def _delay(execution: Execution, started: int) -> int | None:
    if execution.nominal is None:
        return None
    return max(0, started - (execution.nominal if execution.assigned is None else execution.assigned))


def _lateness(delays: Sequence[int]) -> Json | None:
    if not delays:
        return None

    def at(share: float) -> float:
        return delays[min(len(delays) - 1, int(len(delays) * share))] / SECOND

    return {"p50Seconds": at(0.5), "p99Seconds": at(0.99), "worstSeconds": delays[-1] / SECOND}


def _totals(tasks: Sequence[Told], done: Rehearsed) -> Json:
    counts: Counter[str] = Counter()
    states: Counter[str] = Counter()
    for told in tasks:
        for (outcome, _), number in _counts(told).items():
            counts[outcome or "open"] += number
        states.update(one.state.value for one in told.executions.values())
    starts = sum(line.kind == "start" for line in done.stage.record.lines)
    return {
        "tasks": len(tasks),
        "due": counts.total(),
        **{outcome: counts[outcome] for outcome in (*OUTCOMES, "open")},
        "starts": starts,
        "executions": dict(sorted(states.items())),
    }


def _trouble(tasks: Sequence[Told], starts: Mapping[str, int]) -> list[Json]:
    """What was late or did not run, by task and reason: how often, when, how bad, why."""
    found: dict[tuple[str, str, str], list[tuple[Row, int]]] = defaultdict(list)
    for told in tasks:
        for row in told.rows:
            if row.outcome not in (None, "fired"):
                found[told.task.definition.name, str(row.outcome), row.reason or ""].append((row, _size(told, row)))
    executions = {one.id: one for told in tasks for one in told.executions.values()}
    shown = []
    for (name, outcome, reason), rows in found.items():
        delays = [
            delay for row, _ in rows if outcome == "late" and (delay := _late(row, executions, starts)) is not None
        ]
        shown.append(
            {
                "task": name,
                "outcome": outcome,
                "reason": reason or None,
                "why": reason_words(reason) if reason else "no reason was kept",
                "number": sum(number for _, number in rows),
                "first": show_instant(Instant(rows[0][0].first)),
                "last": show_instant(Instant(rows[-1][0].last)),
                "examples": [show_instant(Instant(row.first)) for row, _ in rows[:EXAMPLES]],
                "worstSeconds": max(delays) / SECOND if delays else None,
            }
        )
    return sorted(shown, key=lambda one: (OUTCOMES.index(one["outcome"]), one["task"]))


# -- load


def _load(done: Rehearsed) -> Json:
    """Starts by hour and by minute of the hour, the busiest minute, and how many ran at once."""
    begin, lines = done.wanted.begin, done.stage.record.lines
    inside = [line for line in lines if line.kind == "start" and line.at >= begin]
    hours = Counter((line.at - begin) // HOUR for line in inside)
    minutes = Counter(line.at // MINUTE for line in inside)
    number = max(1, -(-(done.wanted.end - begin) // HOUR))
    busiest = max(minutes.items(), key=lambda one: (one[1], -one[0]), default=None)
    peak, at, on_node = _peak(done)
    return {
        "startsByHour": [hours[hour] for hour in range(number)],
        "startsByMinuteOfHour": [sum(n for minute, n in minutes.items() if minute % 60 == m) for m in range(60)],
        "busiestMinute": None
        if busiest is None
        else {"at": show_instant(Instant(busiest[0] * MINUTE)), "starts": busiest[1]},
        "peakRunning": {
            "number": peak,
            "at": None if at is None else show_instant(Instant(at)),
            "slots": done.wanted.slots * done.wanted.nodes,
            "onOneNode": on_node,
            "slotsOfOneNode": done.wanted.slots,
        },
    }


def _peak(done: Rehearsed) -> tuple[int, int | None, int]:
    """The most attempts at once, when, and the most on one node."""
    running: dict[tuple[str, int], str] = {}
    of_node: Counter[str] = Counter()
    deaths = [(span.begin, 0, span.subject) for span in done.stage.spans if span.kind == "dead"]
    events: list[tuple[int, int, Any]] = [(line.at, 2 if line.kind == "start" else 1, line) for line in _edges(done)]
    peak, at, on_node = 0, None, 0
    for instant, kind, what in sorted([*events, *deaths], key=lambda one: one[:2]):
        if kind == 0:
            for key in [key for key, process in running.items() if process == what]:
                of_node[_node_of(running.pop(key))] -= 1
            continue
        key = (what.execution, what.attempt)
        if kind == 1:
            if (process := running.pop(key, None)) is not None:
                of_node[_node_of(process)] -= 1
            continue
        running[key] = what.process
        of_node[_node_of(what.process)] += 1
        on_node = max(on_node, of_node[_node_of(what.process)])
        if len(running) > peak:
            peak, at = len(running), instant
    return peak, at, on_node


def _edges(done: Rehearsed) -> Iterable[Line]:
    return (line for line in done.stage.record.lines if line.kind in ("start", "end", "cut"))


def _node_of(process: str) -> str:
    return process.partition(".")[0]


# -- faults


def _fault(done: Rehearsed, blow: Blow, tasks: Sequence[Told], starts: Mapping[str, int]) -> Json:
    """What a fault cost."""
    fault, name = blow.fault, blow.fault.target[0] if blow.fault.target else None
    cut = _cut_off(blow, tasks)
    begun = {(line.execution, line.attempt): line for line in done.stage.record.lines if line.kind == "start"}
    again = [(at, begun.get((execution, number + 1))) for execution, number, at in cut]
    delays = [line.at - blow.at for _, line in again if line is not None]
    near = [
        (told, row)
        for told in tasks
        for row in told.rows
        if row.outcome not in (None, "fired") and row.reason in ("downtime", "no_node", "node_lost", "too_late")
        if row.last >= blow.at - SECOND and row.first <= blow.until + AFTER_FAULT
    ]
    worst = [delay for told, row in near if (delay := _late(row, told.executions, starts)) is not None]
    affected: Counter[str] = Counter()
    for told, row in near:
        affected[str(row.outcome)] += _size(told, row)
    return {
        "kind": fault.kind.value,
        "nodes": list(fault.target),
        "at": show_instant(blow.at),
        "seconds": fault.seconds,
        "untilTheEnd": blow.until >= done.wanted.end,
        "partitions": blow.owned if name else None,
        "takeoverSeconds": blow.takeover,
        "cutOff": len(cut),
        "startedAgain": len(delays),
        "fromCheckpoint": sum(line is not None and line.position is not None for _, line in again),
        "startedAgainWithinSeconds": max(delays) / SECOND if delays else None,
        "affected": dict(affected),
        "worstSeconds": max(worst) / SECOND if worst else None,
    }


def _cut_off(blow: Blow, tasks: Sequence[Told]) -> list[tuple[str, int, int]]:
    """Attempts that ended because of it: execution, number, when."""
    if blow.fault.kind in (FaultKind.CUT, FaultKind.STOP_STORE, FaultKind.LOSE_QUORUM) or not blow.fault.target:
        return []
    name = blow.fault.target[0]
    return [
        (execution, one.number, one.ended_at)
        for told in tasks
        for execution, one in told.attempts
        if one.node == name and one.started_at is not None and one.ended_at is not None
        if one.state in ("CRASHED", "WAITING", "CANCELLED", "INTERRUPTED")
        if one.started_at <= blow.at and blow.at <= one.ended_at <= blow.until + AFTER_FAULT
    ]
