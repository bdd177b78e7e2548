"""Figures of what a node has committed since it started: starts, ends, outcomes, lateness. No figure is of one task."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from runtime.clock import SECOND

from ..model.execution import Execution, Kind
from ..model.lifecycle import State
from ..model.occurrence import Outcome, Reason, Settled

_RUNNING: Final = State.RUNNING
_WAITING: Final = State.WAITING
_OCCURRENCE: Final = Kind.OCCURRENCE
"""Names of the module: looking up a member of an enumeration takes longer than the comparison."""

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

    def add(self, value: float, times: int = 1) -> None:
        """Count a value that came so many times."""
        self.counts[bisect_left(self.bounds, value)] += times
        self.total += value * times


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

    def executions(self, executions: Iterable[Execution]) -> None:
        """Count what has become of executions."""
        # What was committed together mostly went the same way, so runs of the same are counted and not each one.
        ended: State | None = None
        outcome: Outcome | None = None
        reason: Reason | None = None
        late = ends = outcomes = lates = 0
        for execution in executions:
            state = execution.state
            if state is _RUNNING:
                self.starts += 1
                if execution.attempt > 1:
                    self.retries += 1
                    continue
                nominal, started = execution.nominal, execution.started_at
                if nominal is None or started is None or execution.kind is not _OCCURRENCE:
                    continue
                by = started - (execution.assigned or nominal)
                if by != late:
                    if lates:
                        self.lateness.add(max(0, late) / SECOND, lates)
                    late, lates = by, 0
                lates += 1
            elif state is not _WAITING:
                if state is not ended:
                    if ended is not None:
                        self.ended[ended._value_] += ends
                    ended, ends = state, 0
                ends += 1
                if execution.attempt:
                    continue
            else:
                continue
            if execution.outcome is not outcome or execution.reason is not reason:
                if outcome is not None:
                    self._outcome(outcome, reason, outcomes)
                outcome, reason, outcomes = execution.outcome, execution.reason, 0
            outcomes += 1
        if lates:
            self.lateness.add(max(0, late) / SECOND, lates)
        if ended is not None:
            self.ended[ended._value_] += ends
        if outcome is not None:
            self._outcome(outcome, reason, outcomes)

    def settled(self, settled: Settled) -> None:
        """Count nominal times that did not run; of a range that is not counted yet one."""
        self._outcome(settled.outcome, settled.reason, settled.count or 1)

    def _outcome(self, outcome: Outcome, reason: Reason | None, count: int) -> None:
        self.outcomes[outcome._value_, reason or ""] += count
