"""A history as what the checks look things up in: the lines, requests and rows of each task, and what surrounds them all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

import attrs

from .expected import Unreadable, expected_times, is_fixed_delay
from .faults import Faults
from .history import Attempt, Execution, History, Line, Request, Row, Task
from .verdict import Findings, Kind

RAN: Final = frozenset({"fired", "late"})
NOT_RUN: Final = frozenset({"coalesced", "missed", "skipped"})

Key = tuple[str, int]
"""An attempt: the execution's id and the attempt's number."""


@attrs.frozen
class Trial:
    """One task. expected: its nominal times through where its ledger ends, None where they cannot be known.

    rows: the whole ledger; an execution with a nominal time is a row of it, whether the history lists it as one or not.
    """

    task: Task
    lines: tuple[Line, ...]
    starts: tuple[Line, ...]
    requests: tuple[Request, ...]
    expected: tuple[int, ...] | None
    rows: tuple[Row, ...]
    executions: dict[str, Execution]
    attempts: dict[Key, Attempt]

    @property
    def name(self) -> str:
        """For people."""
        return self.task.name or self.task.id

    @property
    def has_running(self) -> bool:
        """Whether an execution runs, or its abandoned handler, by the store."""
        return any(one.state == "RUNNING" or one.lingers for one in self.task.executions)

    def asked(self, *verbs: str, before: int | None = None) -> list[Request]:
        """The requests of these kinds that may have been carried out, those asked before an instant."""
        return [
            one
            for one in self.requests
            if one.verb in verbs and one.answer != "refused" and (before is None or one.asked_at <= before)
        ]

    def target_of(self, line: Line) -> str | None:
        """The node that a line's execution is for."""
        execution = self.executions.get(line.execution)
        return None if execution is None else execution.target


class Case:
    """A history that is being judged."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.bounds = history.bounds
        self.found = Findings()
        self.lines = sorted(history.lines, key=lambda line: line.at)
        self._known = {task.name: task.id for task in history.tasks} | {task.id: task.id for task in history.tasks}
        self._purges = [
            (self._known.get(one.task, one.task), history.ended_at if one.answered_at is None else one.answered_at)
            for one in history.requests
            if one.verb == "purge" and one.answer != "refused"
        ] + [("", write.at) for write in history.writes or () if write.what == "purge" and write.accepted]
        lines, requests = self._by_task(self.lines), self._requests()
        self.faults = Faults(history.spans, self._nodes(), self.bounds, history.ended_at)
        self.trials = [
            self._trial(task, tuple(lines.get(task.id, ())), tuple(requests.get(task.id, ()))) for task in history.tasks
        ]
        self.busy_keys = {
            trial.task.key[0] for trial in self.trials if trial.task.key is not None and trial.has_running
        }
        self.strangers = [line for line in self.lines if line.task not in self._known]

    @property
    def is_quiet(self) -> bool:
        """Whether the store was read so long after the last fault that nothing may be left over."""
        return self.history.ended_at >= self.history.healed_at + self.bounds.heal

    def task_id(self, reference: str) -> str | None:
        """The id of a task that is named by its id or its name."""
        return self._known.get(reference)

    def purged_after(self, at: int, task: Task | None = None) -> bool:
        """Whether something was purged after an instant, of this task or of all."""
        return any(purge >= at and (task is None or subject in ("", task.id)) for subject, purge in self._purges)

    def _by_task(self, lines: Iterable[Line]) -> dict[str, list[Line]]:
        found: dict[str, list[Line]] = defaultdict(list)
        for line in lines:
            found[self._known.get(line.task, line.task)].append(line)
        return found

    def _requests(self) -> dict[str, list[Request]]:
        found: dict[str, list[Request]] = defaultdict(list)
        for one in sorted(self.history.requests, key=lambda request: request.asked_at):
            found[self._known.get(one.task, one.task)].append(one)
        return found

    def _nodes(self) -> dict[str, str]:
        """Which node a process is a life of, by what it ran and where the store has it."""
        stored = {
            (execution.id, attempt.number): attempt.node
            for task in self.history.tasks
            for execution in task.executions
            for attempt in execution.attempts
        }
        found: dict[str, str] = {}
        for line in self.lines:
            node = stored.get((line.execution, line.attempt))
            if node is not None:
                found.setdefault(line.process, node)
        return found

    def _trial(self, task: Task, lines: tuple[Line, ...], requests: tuple[Request, ...]) -> Trial:
        through = self.history.ended_at if task.deleted else task.settled_through
        expected: tuple[int, ...] | None = None
        if task.revisions and not is_fixed_delay(task):
            try:
                expected = tuple(expected_times(task, through))
            except Unreadable as error:
                self.found.add(Kind.PHANTOM, task.name, None, f"its trigger cannot be judged: {error}")
        return Trial(
            task,
            lines,
            tuple(line for line in lines if line.kind == "start"),
            requests,
            expected,
            whole_ledger(task),
            {one.id: one for one in task.executions},
            {(one.id, attempt.number): attempt for one in task.executions for attempt in one.attempts},
        )


def whole_ledger(task: Task) -> tuple[Row, ...]:
    """The rows, with those of executions that are not listed among them."""
    listed = {(row.execution, row.first) for row in task.rows}
    own = [
        Row(one.nominal, one.nominal, 1, one.outcome, one.reason, one.id, one.target)
        for one in task.executions
        if one.nominal is not None and (one.id, one.nominal) not in listed
    ]
    return tuple(sorted((*task.rows, *own), key=lambda row: (row.first, row.last)))
