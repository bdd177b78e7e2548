"""Rows of the ledger about slots that are not run: ranges, each with one outcome, what calendars exclude apart."""

from __future__ import annotations

from typing import Final

from runtime.clock import Instant
from runtime.records import evolve

from .model.occurrence import Outcome, Reason, Settled
from .model.task import Task
from .triggers import count_between, last_through, next_after

MAX_ROWS: Final = 100
"""Rows of one settlement: some milliseconds of work. What is left is settled by the next one."""

Label = tuple[Outcome, Reason]
"""What became of the slots of a range, and why."""

EXCLUDED: Final[Label] = (Outcome.SKIPPED, Reason.CALENDAR)


class Rows:
    """The rows of one settlement, in order of time. `through`: the newest slot they are about."""

    def __init__(self, task: Task, now: Instant) -> None:
        self._task = task
        self._now = now
        self._rows: list[Settled] = []
        self.through: Instant | None = None

    def done(self) -> tuple[Settled, ...]:
        """All rows so far."""
        return tuple(self._rows)

    def single(self, nominal: Instant, label: Label, execution: str | None = None) -> None:
        """One slot; `execution` is the one that blocked it."""
        self._push(Settled(self._task.id, nominal, nominal, 1, *label, self._now, self._task.state.revision, execution))

    def range(self, begin: Instant, end: Instant, label: Label) -> bool:
        """All slots in [begin, end], what calendars exclude under a label of its own. False: there was no room for all."""
        self.rest(begin, end, label)
        return True

    def rest(self, begin: Instant, end: Instant, label: Label) -> None:
        """All slots in [begin, end] under one label, what calendars exclude too."""
        definition = self._task.definition
        first = next_after(definition.trigger, definition.bounds, Instant(begin - 1))
        if first is None or first > end:
            return
        last = last_through(definition.trigger, definition.bounds, Instant(first - 1), end)
        assert last is not None
        self._add(first, last, label)

    def _add(self, first: Instant, last: Instant, label: Label) -> None:
        definition = self._task.definition
        count = count_between(self._task.definition.trigger, self._task.definition.bounds, first, last)
        self._push(Settled(self._task.id, first, last, count, *label, self._now, self._task.state.revision))

    def _push(self, row: Settled) -> None:
        former = self._rows[-1] if self._rows else None
        if former is not None and former.execution is None and row.execution is None and _alike(former, row):
            count = None if former.count is None or row.count is None else former.count + row.count
            self._rows[-1] = evolve(former, last=row.last, count=count)
        else:
            self._rows.append(row)
        self.through = row.last


def _alike(one: Settled, other: Settled) -> bool:
    return (one.outcome, one.reason) == (other.outcome, other.reason)
