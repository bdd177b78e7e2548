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

A slot of a task that runs on all nodes is judged for each of them: an execution for each, with its name as `target`, and each
execution is that node's row of the ledger, also where overlap refuses it. Against the run limit it counts once. Where there is
no node, the slot is skipped with one row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from runtime.clock import Instant
from runtime.records import evolve, record

from ..model.execution import Execution, Kind, WaitsFor
from ..model.lifecycle import State
from ..model.occurrence import Outcome, Reason, Settled
from ..model.placement import Where
from ..model.policy import LATE_AFTER, CatchUp, Overlap
from ..model.task import Definition, Task, assigned
from ..model.trigger import Bounds, Interval, Trigger
from ..when.triggers import next_after, next_allowed
from .ledger import EXCLUDED, Rows
from .overlapping import WAITS, Room, room
from .selecting import CATCH_UP_SLICE, Selection, Stretch, is_fixed_delay, open_ones, select, slice_of


@record
class Admission:
    """A slot that gets an execution. `waits_for` is OVERLAP where it has to let a former one end first.

    `replaces`: former executions have to go for it. `target`: the node that it is for, where the task runs on all.
    `refused_by`: it does not run because of this open execution; only with a target, for its row of the ledger.
    """

    nominal: Instant
    waits_for: WaitsFor | None = None
    replaces: bool = False
    target: str | None = None
    refused_by: str | None = None


@record
class Settlement:
    """The decision about one task. `finished`: the run limit or the end of the trigger was reached.

    `next_fire` None and not finished: an end of an execution makes the next one. `catching_up`: see `TaskState`.
    `counted`: slots that count against the run limit.
    """

    admitted: tuple[Admission, ...]
    dropped: tuple[Settled, ...]
    settled_through: Instant
    next_fire: Instant | None
    finished: bool
    catching_up: Instant | None = None
    counted: int = 0

    @property
    def is_one_slot(self) -> bool:
        """Whether all that is admitted belongs to one nominal time, which then stands for what is coalesced into it."""
        return len({admission.nominal for admission in self.admitted}) == 1


def is_owed(task: Task, now: Instant, *, early: bool = False) -> bool:
    """Whether the next fire has come. `early`: its place in the spread window is not waited for."""
    first = task.state.next_fire
    return first is not None and first <= clock_of(task.definition, now, early=early)


def clock_of(definition: Definition, now: Instant, *, early: bool = False) -> Instant:
    """The instant up to which nominal times are due: now, less the task's place in the spread window."""
    return now if early else Instant(now - assigned(definition, Instant(0)))


def settle(task: Task, now: Instant, *, early: bool = False, targets: Sequence[str] = ()) -> Settlement:
    """Decide every nominal time that the task owes at `now`. Requires that it `is_owed`.

    targets: the nodes on each of which a slot runs, as `placing.targets` finds them; looked at only if the task runs on all.
    """
    clock = clock_of(task.definition, now, early=early)
    first = task.state.next_fire
    assert first is not None and first <= clock, f"{task.id} owes nothing at {now}: next fire {first}"
    on = tuple(targets) if task.definition.placement.where is Where.ALL else ANYWHERE
    return Judge(task, now, clock, on).settle(select(task, first, clock, max(1, len(on))))


# -- what becomes of those that may run


ANYWHERE: Final[tuple[str | None, ...]] = (None,)
"""The targets of a slot that runs once."""


class Judge:
    """One settlement in the making. `clock`: nominal times up to it are owed. `targets`: a slot runs on each of these nodes."""

    def __init__(self, task: Task, now: Instant, clock: Instant, targets: tuple[str | None, ...] = ANYWHERE) -> None:
        self._task = task
        self._now = now
        self._clock = clock
        self._rows = Rows(task, now)
        self._targets = targets
        self._admitted: list[Admission] = []
        self._busy: set[str | None] = set()
        self._opened = 0
        self._counted = 0
        self._through = task.state.settled_through
        self._runs = task.state.runs
        self._at_limit = False

    def settle(self, selection: Selection) -> Settlement:
        """Go through the selection until it is done or it is too much for once."""
        fits = judged = all(self._drop(stretch) for stretch in selection.before)
        for nominal in selection.runnable:
            # Between slots that may run there is nothing but excluded ones.
            fits = fits and self._exclude(Instant(nominal - 1))
            if not fits or self._at_limit:
                break
            self._run(nominal)
        fits = fits and all(self._drop(stretch) for stretch in selection.after)
        if fits and selection.complete and not self._at_limit:
            self._exclude(self._clock)
        return self._conclude(selection, promises=judged)

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
        if not self._targets:
            self._rows.single(nominal, (Outcome.SKIPPED, Reason.NO_NODE))
            return
        rooms = [(target, self._room(nominal, target)) for target in self._targets]
        runs = [self._admit(nominal, target, found) for target, found in rooms]
        if any(runs):
            self._counted += 1
            self._runs += 1
            self._at_limit = limit is not None and self._runs >= limit

    def _admit(self, nominal: Instant, target: str | None, found: Room) -> bool:
        """One execution of the slot; False if it does not run."""
        if found.refused:
            assert found.blocker is not None
            if target is None:
                self._rows.single(nominal, (Outcome.SKIPPED, Reason.OVERLAP), found.blocker.id)
            else:
                self._rows.cut()
                self._admitted.append(Admission(nominal, target=target, refused_by=found.blocker.id))
            return False
        self._rows.cut()
        waits_for = WaitsFor.OVERLAP if found.waits else None
        self._admitted.append(Admission(nominal, waits_for, bool(found.replaced), target))
        self._busy.add(target)
        self._opened += 1
        self._runs -= sum(gives_back(entry) for entry in found.replaced)
        return True

    def _room(self, nominal: Instant, target: str | None) -> Room:
        policies = self._task.definition.policies
        if target in self._busy and policies.overlap is not Overlap.ALLOW:
            return WAITS
        caught_up = policies.catch_up is CatchUp.ALL and self._clock - nominal > LATE_AFTER
        return room(policies, self._task.open, caught_up=caught_up, target=target)

    def _conclude(self, selection: Selection, *, promises: bool) -> Settlement:
        promised = selection.promised
        promises = promises or promised == self._task.state.catching_up
        left = promises and promised is not None and self._through < promised and not self._at_limit
        following = None
        if not self._at_limit:
            following = self._following(parks=left and self._task.definition.policies.catch_up is CatchUp.ALL)
        waits = left or (self._opened > 0 and is_fixed_delay(self._task))
        return Settlement(
            tuple(self._admitted),
            self._rows.done(),
            self._through,
            following,
            finished=self._at_limit or (following is None and not waits),
            catching_up=promised if left else None,
            counted=self._counted,
        )

    def _following(self, *, parks: bool) -> Instant | None:
        if is_fixed_delay(self._task):
            return None if self._opened else after_delay(self._task, self._now)
        width = max(1, len(self._targets))
        if parks and open_ones(self._task) + self._opened + width > slice_of(width):
            return None
        definition = self._task.definition
        following = next_after(definition.trigger, definition.bounds, self._through)
        if following is None or following <= self._clock or not definition.bounds.calendars:
            return following
        return next_allowed(definition.trigger, definition.bounds, self._through)


def gives_back(execution: Execution) -> bool:
    """Whether the run limit gets its count back when the execution ends without having run.

    A slot that runs on all nodes keeps its count, whatever becomes of one of them.
    """
    return (
        execution.state is State.WAITING
        and execution.first_started_at is None
        and execution.kind is Kind.OCCURRENCE
        and execution.target is None
    )


def go_on_catching_up(task: Task) -> Instant | None:
    """The next fire of a task whose catch-up waits for room: None until half of its executions have ended."""
    if open_ones(task) > CATCH_UP_SLICE // 2:
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
