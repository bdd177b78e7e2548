"""What becomes of the nominal times that a task owes: the one place where the ledger's decisions are made.

Theory of operation. A task is settled when its `next_fire` has come, or its place in the spread window. All its nominal times
after `settled_through` whose instant has come are owed. Usually that is one. Several are owed after a downtime, and the catch-up
policy says which of them run:

    latest    the newest runs, the older ones are `coalesced` into it; all are `skipped` if the newest is too late
    earliest  the oldest that is not too late runs, the newer ones are `coalesced` into it
    skip      the newest runs if it is not late, all others are `missed`
    all       the newest `catch_up_limit` run one after another, if not too late; the older ones are `missed`

A slot that may run is then judged, once, in this order: the run limit, the overlap policy. Slots that do not run are written as
ranges; those that a calendar excludes are ranges of their own and nothing else is asked about them. `settled_through` moves to
the last slot settled, never back, in the same commit as the rows.

One settlement is bounded: `MAX_ROWS` ranges and, with `all`, `CATCH_UP_SLICE` executions that are open. What is left stays owed:
the task is settled again at once, or, if it has enough to do, when that has shrunk to a half. `catching_up` marks up to where
slots were promised to run; what is promised is not judged a second time.

With catch-up `all` the caught-up slots wait for one another even where overlap says `skip`: who asks for all of them wants
them run. A fixed-delay interval has no grid: it owes at most one slot, and the next one is made when the execution ends.
"""

from __future__ import annotations

from typing import Final

from runtime.clock import Instant
from runtime.records import evolve, record

from .calendars import excluded_by
from .ledger import EXCLUDED, Label, Rows
from .model.execution import Execution, Kind, WaitsFor
from .model.lifecycle import State
from .model.occurrence import Outcome, Reason, Settled
from .model.policy import LATE_AFTER, CatchUp, Overlap, Policies
from .model.task import Definition, Task, assigned
from .model.trigger import Bounds, Interval, Once, Trigger
from .overlapping import WAITS, Room, room
from .triggers import count_between, last_through, next_after, next_allowed, previous_slots

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
class Admission:
    """A slot that gets an execution. `waits_for` is OVERLAP where it has to let a former one end first.

    `replaces`: former executions have to go for it.
    """

    nominal: Instant
    waits_for: WaitsFor | None = None
    replaces: bool = False


@record
class Settlement:
    """The decision about one task. `finished`: the run limit or the end of the trigger was reached.

    `next_fire` None and not finished: an end of an execution makes the next one. `catching_up`: see `TaskState`.
    """

    admitted: tuple[Admission, ...]
    dropped: tuple[Settled, ...]
    settled_through: Instant
    next_fire: Instant | None
    finished: bool
    catching_up: Instant | None = None


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


def is_owed(task: Task, now: Instant, *, early: bool = False) -> bool:
    """Whether the next fire has come. `early`: its place in the spread window is not waited for."""
    first = task.state.next_fire
    return first is not None and first <= clock_of(task.definition, now, early=early)


def clock_of(definition: Definition, now: Instant, *, early: bool = False) -> Instant:
    """The instant up to which nominal times are due: now, less the task's place in the spread window."""
    return now if early else Instant(now - assigned(definition, Instant(0)))


def settle(task: Task, now: Instant, *, early: bool = False) -> Settlement:
    """Decide every nominal time that the task owes at `now`. Requires that it `is_owed`."""
    clock = clock_of(task.definition, now, early=early)
    first = task.state.next_fire
    assert first is not None and first <= clock, f"{task.id} owes nothing at {now}: next fire {first}"
    judge = Judge(task, now, clock)
    return judge.settle(_select(task, first, clock))


def is_fixed_delay(task: Task) -> bool:
    """Whether the next nominal time is only known when an execution has ended."""
    trigger = task.definition.trigger
    return isinstance(trigger, Interval) and trigger.fixed_delay


# -- which of the owed slots may run


def _select(task: Task, first: Instant, clock: Instant) -> Selection:
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
    match task.definition.policies.catch_up:
        case CatchUp.LATEST:
            return _latest(task, begin, first, clock)
        case CatchUp.SKIP:
            return _skip(task, begin, first, clock)
        case CatchUp.EARLIEST:
            return _earliest(task, begin, first, clock)
        case CatchUp.ALL:
            return _all(task, begin, first, clock)


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
    promised = state.catching_up is not None and nominal <= state.catching_up
    if policies.catch_up is CatchUp.EARLIEST and promised:
        return Selection((Stretch(begin, nominal, _COALESCED),))
    # An instant that was past already when it was given for a one-time task has missed nothing.
    given_late = isinstance(task.definition.trigger, Once) and nominal == state.settled_through + 1
    label = _MISSED if policies.catch_up is CatchUp.SKIP and not given_late else _TOO_LATE
    if promised or nominal >= _in_time_since(policies, clock, skips=label is _MISSED):
        return Selection(runnable=(nominal,))
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


def _all(task: Task, begin: Instant, first: Instant, clock: Instant) -> Selection:
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
    room_left = max(0, CATCH_UP_SLICE - _open_ones(task))
    runnable: list[Instant] = []
    while chosen is not None and len(runnable) < room_left:
        runnable.append(chosen)
        chosen = _next_to_run(task, chosen, promised)
    return Selection(before, tuple(runnable), promised=promised, complete=chosen is None and not continued)


def _oldest_to_run(task: Task, first: Instant, newest: Instant) -> Instant:
    """The oldest of the newest `catch_up_limit` slots in [first, newest], both of which may run."""
    trigger, bounds = task.definition.trigger, task.definition.bounds
    limit = task.definition.policies.catch_up_limit
    if isinstance(trigger, Interval) and not bounds.calendars:
        return max(first, Instant(newest - (limit - 1) * trigger.every))
    if bounds.calendars or limit <= WALKED or count_between(trigger, bounds, first, newest) is None:
        most = min(limit, WALKED)
        return previous_slots(trigger, bounds, Instant(first - 1), newest, most, allowed_only=True)[0]
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


def _open_ones(task: Task) -> int:
    return sum(entry.is_open for entry in task.open)


# -- what becomes of those that may run


class Judge:
    """One settlement in the making. `clock`: nominal times up to it are owed."""

    def __init__(self, task: Task, now: Instant, clock: Instant) -> None:
        self._task = task
        self._now = now
        self._clock = clock
        self._rows = Rows(task, now)
        self._admitted: list[Admission] = []
        self._through = task.state.settled_through
        self._runs = task.state.runs
        self._at_limit = False

    def settle(self, selection: Selection) -> Settlement:
        """Go through the selection until it is done or it is too much for once."""
        fits = all(self._drop(stretch) for stretch in selection.before)
        for nominal in selection.runnable:
            # Between slots that may run there is nothing but excluded ones.
            fits = fits and self._exclude(Instant(nominal - 1))
            if not fits or self._at_limit:
                break
            self._run(nominal)
        fits = fits and all(self._drop(stretch) for stretch in selection.after)
        if fits and selection.complete and not self._at_limit:
            self._exclude(self._clock)
        return self._conclude(selection)

    def _drop(self, stretch: Stretch) -> bool:
        fits = self._rows.range(stretch.begin, stretch.end, stretch.label)
        self._through = max(self._through, self._rows.through or self._through)
        return fits

    def _exclude(self, end: Instant) -> bool:
        bounds = self._task.definition.bounds
        if not bounds.calendars or is_fixed_delay(self._task):
            return True
        return self._drop(Stretch(Instant(self._through + 1), end, EXCLUDED))

    def _run(self, nominal: Instant) -> None:
        limit, self._through = self._task.definition.bounds.max_runs, nominal
        if limit is not None and self._runs >= limit:
            # Only an edit that lowers the limit leads here.
            self._at_limit = True
            self._rows.single(nominal, (Outcome.SKIPPED, Reason.LIMIT))
            return
        found = self._room(nominal)
        if found.refused:
            assert found.blocker is not None
            self._rows.single(nominal, (Outcome.SKIPPED, Reason.OVERLAP), found.blocker.id)
            return
        waits_for = WaitsFor.OVERLAP if found.waits else None
        self._admitted.append(Admission(nominal, waits_for, bool(found.replaced)))
        self._runs += 1 - sum(gives_back(entry) for entry in found.replaced)
        self._at_limit = limit is not None and self._runs >= limit

    def _room(self, nominal: Instant) -> Room:
        policies = self._task.definition.policies
        caught_up = policies.catch_up is CatchUp.ALL and (bool(self._admitted) or self._clock - nominal > LATE_AFTER)
        if self._admitted and policies.overlap is not Overlap.ALLOW:
            return WAITS
        return room(policies, self._task.open, caught_up=caught_up)

    def _conclude(self, selection: Selection) -> Settlement:
        promised = selection.promised
        begun = bool(self._admitted) or self._task.state.catching_up is not None
        left = promised is not None and self._through < promised and begun and not self._at_limit
        following = None
        if not self._at_limit:
            following = self._following(parks=left and self._task.definition.policies.catch_up is CatchUp.ALL)
        waits = left or (bool(self._admitted) and is_fixed_delay(self._task))
        return Settlement(
            tuple(self._admitted),
            self._rows.done(),
            self._through,
            following,
            finished=self._at_limit or (following is None and not waits),
            catching_up=promised if left else None,
        )

    def _following(self, *, parks: bool) -> Instant | None:
        if is_fixed_delay(self._task):
            return None if self._admitted else after_delay(self._task, self._now)
        if parks and _open_ones(self._task) + len(self._admitted) >= CATCH_UP_SLICE:
            return None
        definition = self._task.definition
        following = next_after(definition.trigger, definition.bounds, self._through)
        if following is None or following <= self._clock or not definition.bounds.calendars:
            return following
        return next_allowed(definition.trigger, definition.bounds, self._through)


def gives_back(execution: Execution) -> bool:
    """Whether the run limit gets its count back when the execution ends without having run."""
    return execution.state is State.WAITING and execution.first_started_at is None and execution.kind is Kind.OCCURRENCE


def go_on_catching_up(task: Task) -> Instant | None:
    """The next fire of a task whose catch-up waits for room: None until half of its executions have ended."""
    if _open_ones(task) > CATCH_UP_SLICE // 2:
        return None
    return next_after(task.definition.trigger, task.definition.bounds, task.state.settled_through)


def after_delay(task: Task, ended_at: Instant) -> Instant | None:
    """The next nominal time of a fixed-delay interval after an execution ended; None beyond its end.

    Where a calendar excludes it, more whole delays pass: it has no grid, so there is no slot that could be skipped.
    """
    trigger = task.definition.trigger
    assert isinstance(trigger, Interval)
    # The wall clock may have been set back since the last slot; no slot is ever at or before one that is settled.
    following = Instant(max(ended_at, task.state.settled_through) + trigger.every)
    return go_on_with_delays(trigger, task.definition.bounds, following)


def go_on_with_delays(trigger: Trigger, bounds: Bounds, wanted: Instant) -> Instant | None:
    """The first of `wanted` and the instants whole delays after it that bounds and calendars allow."""
    assert isinstance(trigger, Interval)
    return next_allowed(Interval(trigger.every, wanted), evolve(bounds, start=None), Instant(wanted - 1))


def drop_owed(
    task: Task, now: Instant, reason: Reason, outcome: Outcome = Outcome.SKIPPED, *, through: Instant | None = None
) -> tuple[Settled, ...]:
    """The rows for all slots up to `through` (default: now) that are not settled and will not run, for this reason.

    What calendars exclude says so, in rows of its own; of a long time with many such changes the rest is one row.
    """
    rows, end = Rows(task, now), now if through is None else through
    if is_fixed_delay(task):
        first = task.state.next_fire
        if first is not None and first <= end:
            rows.single(first, (outcome, reason))
        return rows.done()
    if not rows.range(Instant(task.state.settled_through + 1), end, (outcome, reason)):
        assert rows.through is not None
        rows.whole(Instant(rows.through + 1), end, (outcome, reason))
    return rows.done()


def outcome_of_start(
    assigned: Instant, created_at: Instant, started_at: Instant, waited: Reason = Reason.QUEUE
) -> tuple[Outcome, Reason | None]:
    """The outcome of a slot whose first attempt started, and why it was late if it was.

    It was downtime if already its admission was late, else what it has `waited` for since.
    """
    if started_at - assigned <= LATE_AFTER:
        return Outcome.FIRED, None
    return Outcome.LATE, Reason.DOWNTIME if created_at - assigned > LATE_AFTER else waited


def newest_start(known: Instant | None, started_at: Instant | None) -> Instant | None:
    """The later of two starts, either of which may be unknown."""
    if known is None or started_at is None:
        return started_at if known is None else known
    return max(known, started_at)
