"""What a batch writes beside the tasks' rows: progress, lines of the log, counts of ranges. Nobody waits for any of it."""

from __future__ import annotations

from typing import assert_never

from runtime.records import evolve

from .herald_messages import Noted
from .keeper_messages import Counted, Logged, Progress
from .keeper_staging import Plan
from .store.port import Commit, CommitResult, CountWrite, LogWrite, ProgressWrite


class Notes:
    """See the module's docstring."""

    def __init__(self) -> None:
        self._progress: list[ProgressWrite] = []
        self._logs: list[LogWrite] = []
        self._counts: list[CountWrite] = []

    def take(self, message: Progress | Logged | Counted) -> None:
        """Note what shall be written."""
        match message:
            case Progress():
                self._progress.append(ProgressWrite(message.execution_id, message.fence, message.data))
            case Logged():
                self._logs.append(LogWrite(message.execution_id, message.attempt, message.lines))
            case Counted():
                self._counts.append(CountWrite(message.task_id, message.first, message.count))
            case _:
                assert_never(message)

    def write(self, commit: Commit) -> Commit:
        """The commit with what was noted. Begins anew."""
        progress, logs, counts = tuple(self._progress), tuple(self._logs), tuple(self._counts)
        self._progress, self._logs, self._counts = [], [], []
        return evolve(commit, progress=progress, logs=logs, counts=counts) if progress or logs or counts else commit


def noted(plan: Plan, commit: Commit, result: CommitResult) -> Noted | None:
    """What a commit has made known that stands in no execution; None if there is nothing."""
    if not commit.audits and not commit.progress:
        return None
    there = plan.staged.keys() - result.refused.keys()
    changes = [(audit, plan.staged[audit.task_id][1]) for audit in commit.audits if audit.task_id in there]
    return Noted(tuple(changes), {one.execution_id: one.progress for one in commit.progress})
