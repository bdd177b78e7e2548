"""Rows of the ledger about slots that are not run: ranges, each with one outcome, what calendars exclude apart."""

from __future__ import annotations

from typing import Final

from runtime.clock import Instant
from runtime.records import evolve

from ..model.occurrence import Outcome, Reason, Settled
from ..model.task import Task
from ..when.calendars import border_after, excluded_by
from ..when.triggers import count_between, last_through, next_after

MAX_STEPS: Final = 4
"""Changes between excluded and allowed in one settlement: some milliseconds of work. The next one goes on from there."""

MAX_LOOKS: Final = 64
"""Looks at the calendars for one step, about 3 microseconds each; what it leaves is the next step's."""

Label = tuple[Outcome, Reason]
"""What became of the slots of a range, and why."""

EXCLUDED: Final[Label] = (Outcome.SKIPPED, Reason.CALENDAR)


class Rows:
    """The rows of one settlement, in order of time. `through`: the newest slot they are about."""

    def __init__(self, task: Task, now: Instant) -> None:
        self._task = task
        self._now = now
        self._rows: list[Settled] = []
        self._steps = 0
        self._joins = False
        self.through: Instant | None = None

    def done(self) -> tuple[Settled, ...]:
        """All rows so far."""
        return tuple(self._rows)

    def single(self, nominal: Instant, label: Label, execution: str | None = None) -> None:
        """One slot; `execution` is the one that blocked it."""
        self._push(Settled(self._task.id, nominal, nominal, 1, *label, self._now, self._task.state.revision, execution))

    def cut(self) -> None:
        """A slot that runs lies here: what comes behind it is a row of its own."""
        self._joins = False

    def range(self, begin: Instant, end: Instant, label: Label) -> bool:
        """All slots in [begin, end], what calendars exclude under a label of its own. False: that was too much for once."""
        definition = self._task.definition
        if not definition.bounds.calendars:
            self.whole(begin, end, label)
            return True
        slot = next_after(definition.trigger, definition.bounds, Instant(begin - 1))
        while slot is not None and slot <= end:
            if self._steps == MAX_STEPS:
                return False
            self._steps += 1
            excluded = excluded_by(definition.bounds, slot) is not None
            until = min(end, Instant(self._border(slot, excluded=excluded) - 1))
            self._add(slot, until, EXCLUDED if excluded else label)
            slot = next_after(definition.trigger, definition.bounds, until)
        return True

    def _border(self, instant: Instant, *, excluded: bool) -> Instant:
        """Up to where calendars say the same as at an instant, or nearer."""
        bounds = self._task.definition.bounds
        for _ in range(MAX_LOOKS):
            instant = border_after(bounds.calendars, instant)
            if (excluded_by(bounds, instant) is not None) is not excluded:
                break
        return instant

    def whole(self, begin: Instant, end: Instant, label: Label) -> None:
        """All slots in [begin, end] under one label, what calendars exclude too."""
        definition = self._task.definition
        first = next_after(definition.trigger, definition.bounds, Instant(begin - 1))
        if first is not None and first <= end:
            self._add(first, end, label)

    def _add(self, first: Instant, end: Instant, label: Label) -> None:
        """The slots from `first`, which is one, up to `end`."""
        definition, state = self._task.definition, self._task.state
        last = last_through(definition.trigger, definition.bounds, Instant(first - 1), end)
        assert last is not None
        count = count_between(definition.trigger, definition.bounds, first, last)
        self._push(Settled(definition.id, first, last, count, *label, self._now, state.revision))

    def _push(self, row: Settled) -> None:
        if self._joins and _alike(former := self._rows[-1], row):
            count = None if former.count is None or row.count is None else former.count + row.count
            self._rows[-1] = evolve(former, last=row.last, count=count)
        else:
            self._rows.append(row)
        self._joins = row.execution is None
        self.through = row.last


def _alike(one: Settled, other: Settled) -> bool:
    return (one.outcome, one.reason, one.execution) == (other.outcome, other.reason, other.execution)
