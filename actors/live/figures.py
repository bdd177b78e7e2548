"""Figures of what a node has committed since it started: starts, ends, outcomes, lateness. No figure is of one task."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from typing import Final

from runtime.clock import SECOND

from ..model.execution import Execution, Kind
from ..model.lifecycle import State
from ..model.occurrence import Settled

LATENESS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0)
"""Bounds in seconds: from what a quiet node reaches to the end of what is still called on time, and beyond."""

COMMITS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
"""Bounds in seconds: from a disk with a battery to a database that is in trouble."""

BATCHES: Final = (1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 512.0)
"""Bounds in tasks: up to the most that the keeper puts into one transaction."""


class Histogram:
    """How many values were within each bound and above the one before; the last: above all."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class CommitFigures:
    """What became of a keeper's transactions: how long they took, in seconds, and how many tasks they were about."""

    def __init__(self) -> None:
        self.seconds = Histogram(COMMITS)
        self.tasks = Histogram(BATCHES)
        self.failed = 0

    def done(self, seconds: float, tasks: int) -> None:
        """One was made."""
        self.seconds.add(seconds)
        self.tasks.add(tasks)


class Figures:
    """See the module's docstring. `ended` by state, `outcomes` by outcome and reason, `settled`: occurrences that did not run."""

    def __init__(self) -> None:
        self.starts = 0
        self.retries = 0
        self.ended: Counter[str] = Counter()
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self.lateness = Histogram(LATENESS)

    def execution(self, execution: Execution) -> None:
        """Count what has become of an execution."""
        if execution.state is State.RUNNING:
            self._started(execution)
        elif execution.state is not State.WAITING:
            self.ended[execution.state.value] += 1
            if execution.attempt == 0 and execution.outcome is not None:
                self._outcome(execution.outcome.value, execution.reason, 1)

    def _started(self, execution: Execution) -> None:
        self.starts += 1
        if execution.attempt > 1:
            self.retries += 1
            return
        if execution.kind is not Kind.OCCURRENCE or execution.nominal is None or execution.started_at is None:
            return
        self.lateness.add(max(0, execution.started_at - (execution.assigned or execution.nominal)) / SECOND)
        if execution.outcome is not None:
            self._outcome(execution.outcome.value, execution.reason, 1)

    def settled(self, settled: Settled) -> None:
        """Count nominal times that did not run; of a range that is not counted yet one."""
        self._outcome(settled.outcome.value, settled.reason, settled.count or 1)

    def _outcome(self, outcome: str, reason: str | None, count: int) -> None:
        self.outcomes[outcome, reason or ""] += count
