"""Which of the slots that a task owes may run: the catch-up policy, the lateness limit, and what calendars leave.

The rules are those of `settling`. Nothing here looks at what else the task has open, but for how much of a long catch-up fits.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, assert_never

from runtime.clock import HOUR, Instant, Micros
from runtime.records import record

from ..model.occurrence import Outcome, Reason
from ..model.policy import LATE_AFTER, CatchUp, Policies
from ..model.task import Task
from ..model.trigger import Bounds, Interval, Once
from ..when.calendars import border_after, excluded_by
from ..when.triggers import count_between, last_through, next_after, next_allowed, previous_slots
from .ledger import EXCLUDED, Label

CATCH_UP_SLICE: Final = 100
"""Executions of one task that catch-up `all` has open at once; each of them is part of the task's record in memory."""

WALKED: Final = 1_000
"""Slots that the search for the newest ones walks through, some milliseconds; a larger limit needs slots that can be counted."""

_MISSED: Final = (Outcome.MISSED, Reason.DOWNTIME)
_COALESCED: Final = (Outcome.COALESCED, Reason.CATCH_UP)
_TOO_LATE: Final = (Outcome.SKIPPED, Reason.TOO_LATE)

_BEGINNING: Final = Instant(-(1 << 62))
"""Before every nominal time."""


@record
class Stretch:
    """Slots in [begin, end] that do not run, and why."""

    begin: Instant
    end: Instant
    label: Label


@record
class Selection:
    """What catch-up makes of the owed slots: stretches before and after those that may run, in order of time.

    `promised`: the newest slot that this catch-up is about, where what does not fit into this settlement is not judged again.
    `complete`: everything up to the clock is in it.
    """

    before: tuple[Stretch, ...] = ()
    runnable: tuple[Instant, ...] = ()
    after: tuple[Stretch, ...] = ()
    promised: Instant | None = None
    complete: bool = True


def is_fixed_delay(task: Task) -> bool:
    """Whether the next nominal time is only known when an execution has ended."""
    trigger = task.definition.trigger
    return isinstance(trigger, Interval) and trigger.fixed_delay


def open_ones(task: Task) -> int:
    """How many executions of the task are open."""
    return sum(entry.is_open for entry in task.open)


def slice_of(width: int) -> int:
    """Executions of a catch-up that are open at once, if each slot has so many: those of one slot in any case."""
    return max(CATCH_UP_SLICE, width)


def select(task: Task, first: Instant, clock: Instant, width: int = 1) -> Selection:
    """What becomes of the slots from the next fire `first` up to the clock, by catch-up, lateness and calendars.

    width: executions that each slot has, at least 1.
    """
    if is_fixed_delay(task):
        return _one(task, first, first, clock)
    begin = first
    if task.definition.bounds.calendars:
        begin = Instant(task.state.settled_through + 1)
        found = _next_to_run(task, Instant(first - 1), clock)
        if found is None:
            return Selection((Stretch(begin, clock, EXCLUDED),))
        first = found
    if _next_to_run(task, first, clock) is None:
        return _one(task, begin, first, clock)
    match catch_up := task.definition.policies.catch_up:
        case CatchUp.LATEST:
            return _latest(task, begin, first, clock)
        case CatchUp.SKIP:
            return _skip(task, begin, first, clock)
        case CatchUp.EARLIEST:
            return _earliest(task, begin, first, clock)
        case CatchUp.ALL:
            return _all(task, begin, first, clock, width)
        case _:
            assert_never(catch_up)


def _next_to_run(task: Task, after: Instant, through: Instant) -> Instant | None:
    """The first slot in (after, through] that no calendar excludes."""
    trigger, bounds = task.definition.trigger, task.definition.bounds
    found = next_allowed(trigger, bounds, after)
    while found is not None and found <= through:
        if excluded_by(bounds, found) is None:
            return found
        # The search for an allowed one was given up there.
        found = next_allowed(trigger, bounds, found)
    return None


def _one(task: Task, begin: Instant, nominal: Instant, clock: Instant) -> Selection:
    policies, state = task.definition.policies, task.state
    promised = _promised(task, nominal)
    if policies.catch_up is CatchUp.EARLIEST and promised is not None:
        return Selection((Stretch(begin, nominal, _COALESCED),), promised=promised)
    # An instant that was past already when it was given for a one-time task has missed nothing.
    given_late = isinstance(task.definition.trigger, Once) and nominal == state.settled_through + 1
    label = _MISSED if policies.catch_up is CatchUp.SKIP and not given_late else _TOO_LATE
    if promised is not None or nominal >= _in_time_since(policies, clock, skips=label is _MISSED):
        return Selection(runnable=(nominal,), promised=promised)
    return Selection((Stretch(begin, nominal, label),))


def _in_time_since(policies: Policies, clock: Instant, *, skips: bool = False) -> Instant:
    """The oldest nominal time that is not too late. With `skip` there is a limit in any case: `LATE_AFTER` if no other."""
    limit = LATE_AFTER if skips and policies.lateness_limit is None else policies.lateness_limit
    return _BEGINNING if limit is None else Instant(clock - limit)


def _newest(task: Task, first: Instant, clock: Instant) -> Instant:
    """The newest slot up to the clock that may run. `first` is one.

    By bisection where calendars exclude the newest of all: the search for the next one never goes backwards.
    """
    found = last_through(task.definition.trigger, task.definition.bounds, Instant(first - 1), clock)
    assert found is not None
    if excluded_by(task.definition.bounds, found) is None:
        return found
    low, high = first, found
    while low < high:
        middle = Instant((low + high) // 2)
        candidate = _next_to_run(task, middle, clock)
        if candidate is None:
            high = middle
        else:
            low = candidate
    return low


def _latest(task: Task, begin: Instant, first: Instant, clock: Instant) -> Selection:
    newest = _newest(task, first, clock)
    if newest < _in_time_since(task.definition.policies, clock):
        return Selection((Stretch(begin, newest, _TOO_LATE),))
    return Selection((Stretch(begin, Instant(newest - 1), _COALESCED),), (newest,))


def _skip(task: Task, begin: Instant, first: Instant, clock: Instant) -> Selection:
    newest = _newest(task, first, clock)
    if newest < _in_time_since(task.definition.policies, clock, skips=True):
        return Selection((Stretch(begin, newest, _MISSED),))
    return Selection((Stretch(begin, Instant(newest - 1), _MISSED),), (newest,))


def _earliest(task: Task, begin: Instant, first: Instant, clock: Instant) -> Selection:
    if (promised := _promised(task, first)) is not None:
        return Selection((Stretch(begin, promised, _COALESCED),), promised=promised, complete=False)
    newest = _newest(task, first, clock)
    late, chosen = _not_too_late(task, begin, first, newest, clock)
    if chosen is None:
        return Selection(late)
    return Selection(late, (chosen,), (Stretch(Instant(chosen + 1), newest, _COALESCED),), newest)


def _promised(task: Task, first: Instant) -> Instant | None:
    """The end of the catch-up under way, if the first owed slot belongs to it."""
    end = task.state.catching_up
    return end if end is not None and first <= end else None


def _not_too_late(
    task: Task, begin: Instant, first: Instant, newest: Instant, clock: Instant
) -> tuple[tuple[Stretch, ...], Instant | None]:
    """The stretch that is too late, if any, and the first slot that is not. It and all up to the newest may run."""
    since = _in_time_since(task.definition.policies, clock)
    if first >= since:
        return (), first
    chosen = _next_to_run(task, Instant(since - 1), newest)
    end = newest if chosen is None else Instant(chosen - 1)
    return (Stretch(begin, end, _TOO_LATE),), chosen


def _all(task: Task, begin: Instant, first: Instant, clock: Instant, width: int) -> Selection:
    before: tuple[Stretch, ...] = ()
    chosen: Instant | None = first
    promised = _promised(task, first)
    continued = promised is not None
    if promised is None:
        promised = _newest(task, first, clock)
        oldest = _oldest_to_run(task, first, promised)
        if oldest > first:
            before, begin = (Stretch(begin, Instant(oldest - 1), _MISSED),), oldest
        late, chosen = _not_too_late(task, begin, oldest, promised, clock)
        before += late
    room_left = max(0, slice_of(width) - open_ones(task)) // width
    runnable: list[Instant] = []
    while chosen is not None and len(runnable) < room_left:
        runnable.append(chosen)
        chosen = _next_to_run(task, chosen, promised)
    return Selection(before, tuple(runnable), promised=promised, complete=chosen is None and not continued)


def _oldest_to_run(task: Task, first: Instant, newest: Instant) -> Instant:
    """The oldest of the newest `catch_up_limit` slots in [first, newest], both of which may run."""
    trigger, bounds = task.definition.trigger, task.definition.bounds
    limit = task.definition.policies.catch_up_limit
    if bounds.calendars:
        return _oldest_left(task, first, newest, min(limit, WALKED))
    if isinstance(trigger, Interval):
        return max(first, Instant(newest - (limit - 1) * trigger.every))
    if limit <= WALKED or count_between(trigger, bounds, first, newest) is None:
        return previous_slots(trigger, bounds, Instant(first - 1), newest, min(limit, WALKED))[0]
    low, high = first, newest
    while low < high:
        middle = Instant((low + high + 1) // 2)
        if (count_between(trigger, bounds, middle, newest) or 0) >= limit:
            low = middle
        else:
            high = Instant(middle - 1)
    found = next_after(trigger, bounds, Instant(low - 1))
    assert found is not None
    return found


def _oldest_left(task: Task, first: Instant, newest: Instant, limit: int) -> Instant:
    """The same where calendars exclude some: looks back piece by piece, through what they leave of each."""
    trigger, bounds = task.definition.trigger, task.definition.bounds
    oldest, end, span = newest, newest, HOUR
    while limit and end >= first:
        begin = max(first, Instant(end - span))
        for left, right in reversed(list(_left_by(bounds, begin, end))):
            found = previous_slots(trigger, bounds, Instant(left - 1), right, limit)
            limit -= len(found)
            if found:
                oldest = found[0]
            if not limit:
                break
        end, span = Instant(begin - 1), Micros(span * 4)
    return oldest


def _left_by(bounds: Bounds, begin: Instant, end: Instant) -> Iterator[tuple[Instant, Instant]]:
    """The stretches of [begin, end] that no calendar excludes."""
    at, left = begin, begin
    excluded = excluded_by(bounds, at) is not None
    while at <= end:
        at = border_after(bounds.calendars, at)
        now_excluded = excluded_by(bounds, at) is not None
        if now_excluded and not excluded:
            yield left, min(end, Instant(at - 1))
        if excluded and not now_excluded:
            left = at
        excluded = now_excluded
    if not excluded and left <= end:
        yield left, end
