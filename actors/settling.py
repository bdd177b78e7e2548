"""What becomes of the nominal times that a task owes: the one place where the ledger's decisions are made.

Theory of operation. A task is settled when its `next_fire` has come. All its nominal times in (settled_through, now] are owed.
Usually that is one. Several are owed after a downtime, and the catch-up policy says which of them run:

    latest    the newest runs, the older ones are `coalesced` into it
    earliest  the oldest runs, the newer ones are `coalesced` into it
    skip      the newest runs if it is not late, all others are `missed`
    all       the newest `catch_up_limit` run one after another, the older ones are `missed`

A slot that may run is then judged, once, in this order: its lateness limit, the run limit, the overlap policy. Slots that do
not run are written as ranges. `settled_through` moves to the last slot settled, never back, in the same commit as the rows.

With catch-up `all` the caught-up slots wait for one another even where overlap says `skip`: who asks for all of them wants
them run. A fixed-delay interval has no grid: it owes at most one slot, and the next one is made when the execution ends.
"""

from __future__ import annotations

from runtime.clock import Instant
from runtime.records import record

from .model.execution import WaitsFor
from .model.lifecycle import State
from .model.occurrence import Outcome, Reason, Settled
from .model.policy import LATE_AFTER, CatchUp, Overlap
from .model.task import Task
from .model.trigger import Interval
from .triggers import count_between, last_through, next_after, previous_slots


@record
class Admission:
    """A slot that gets an execution. `waits_for` is OVERLAP where it has to let a former one end first."""

    nominal: Instant
    waits_for: WaitsFor | None = None


@record
class Settlement:
    """The decision about one task. `finished`: the run limit or the end of the trigger was reached."""

    admitted: tuple[Admission, ...]
    dropped: tuple[Settled, ...]
    settled_through: Instant
    next_fire: Instant | None
    finished: bool


def settle(task: Task, now: Instant) -> Settlement:
    """Decide every nominal time that the task owes at `now`. Requires `next_fire <= now`."""
    definition, state = task.definition, task.state
    first = state.next_fire
    assert first is not None and first <= now, f"{task.id} owes nothing at {now}: next fire {first}"
    if is_fixed_delay(task):
        following, newest = None, first
    else:
        following = next_after(definition.trigger, definition.bounds, first)
        newest = first
    if following is not None and following <= now:
        runnable, dropped, newest = _catch_up(task, first, now)
        following = next_after(definition.trigger, definition.bounds, newest)
    else:
        runnable, dropped = [first], []
    return _judge(task, runnable, dropped, newest, following, now)


def is_fixed_delay(task: Task) -> bool:
    """Whether the next nominal time is only known when an execution has ended."""
    trigger = task.definition.trigger
    return isinstance(trigger, Interval) and trigger.fixed_delay


def _catch_up(task: Task, first: Instant, now: Instant) -> tuple[list[Instant], list[Settled], Instant]:
    """Several slots are owed: (those that may run, rows of the others, the newest slot)."""
    definition = task.definition
    newest = last_through(definition.trigger, definition.bounds, Instant(first - 1), now)
    assert newest is not None
    match definition.policies.catch_up:
        case CatchUp.LATEST:
            return [newest], [_range(task, first, _before(task, newest), Outcome.COALESCED, now)], newest
        case CatchUp.EARLIEST:
            second = next_after(definition.trigger, definition.bounds, first)
            assert second is not None
            return [first], [_range(task, second, newest, Outcome.COALESCED, now)], newest
        case CatchUp.SKIP if now - newest > LATE_AFTER:
            return [], [_range(task, first, newest, Outcome.MISSED, now)], newest
        case CatchUp.SKIP:
            return [newest], [_range(task, first, _before(task, newest), Outcome.MISSED, now)], newest
        case CatchUp.ALL:
            return _all_of(task, first, newest, now)


def _all_of(task: Task, first: Instant, newest: Instant, now: Instant) -> tuple[list[Instant], list[Settled], Instant]:
    definition = task.definition
    limit = definition.policies.catch_up_limit
    slots = previous_slots(definition.trigger, definition.bounds, Instant(first - 1), newest, limit)
    if slots[0] == first:
        return slots, [], newest
    return slots, [_range(task, first, _before(task, slots[0]), Outcome.MISSED, now)], newest


def _before(task: Task, slot: Instant) -> Instant:
    found = last_through(task.definition.trigger, task.definition.bounds, Instant(0), Instant(slot - 1))
    assert found is not None
    return found


def _range(task: Task, first: Instant, last: Instant, outcome: Outcome, now: Instant) -> Settled:
    reason = Reason.CATCH_UP if outcome is Outcome.COALESCED else Reason.DOWNTIME
    return _range_for(task, first, last, outcome, reason, now)


def _range_for(task: Task, first: Instant, last: Instant, outcome: Outcome, reason: Reason, now: Instant) -> Settled:
    count = count_between(task.definition.trigger, first, last)
    return Settled(task.id, first, last, count, outcome, reason, now, task.state.revision)


def _judge(
    task: Task,
    runnable: list[Instant],
    dropped: list[Settled],
    newest: Instant,
    following: Instant | None,
    now: Instant,
) -> Settlement:
    admitted: list[Admission] = []
    limit = task.definition.bounds.max_runs
    lateness = task.definition.policies.lateness_limit
    for nominal in runnable:
        if limit is not None and task.state.runs + len(admitted) >= limit:
            # Only an edit that lowers the limit leads here.
            dropped.append(_single(task, nominal, Reason.LIMIT, now, None))
            return Settlement(tuple(admitted), tuple(dropped), _last_of(nominal, dropped), None, finished=True)
        if lateness is not None and now - nominal > lateness:
            dropped.append(_single(task, nominal, Reason.TOO_LATE, now, None))
            continue
        admission = _overlap(task, nominal, admitted, now, dropped)
        if admission is None:
            continue
        admitted.append(admission)
        if limit is not None and task.state.runs + len(admitted) >= limit:
            return Settlement(tuple(admitted), tuple(dropped), _last_of(nominal, dropped), None, finished=True)
    if is_fixed_delay(task):
        return _fixed_delay(task, admitted, dropped, newest, now)
    return Settlement(tuple(admitted), tuple(dropped), newest, following, finished=following is None)


def _last_of(nominal: Instant, dropped: list[Settled]) -> Instant:
    return max([nominal, *(row.last for row in dropped)])


def _overlap(
    task: Task, nominal: Instant, admitted: list[Admission], now: Instant, dropped: list[Settled]
) -> Admission | None:
    policy = task.definition.policies
    blocker = next((execution.id for execution in task.open if execution.is_open), None)
    if policy.overlap is Overlap.ALLOW or (blocker is None and not admitted):
        return Admission(nominal)
    caught_up = policy.catch_up is CatchUp.ALL and (admitted or now - nominal > LATE_AFTER)
    queue_is_free = policy.overlap is Overlap.QUEUE and not _someone_waits(task, admitted)
    if caught_up or queue_is_free:
        return Admission(nominal, WaitsFor.OVERLAP)
    dropped.append(_single(task, nominal, Reason.OVERLAP, now, blocker))
    return None


def _someone_waits(task: Task, admitted: list[Admission]) -> bool:
    return any(one.waits_for is WaitsFor.OVERLAP for one in task.open) or any(
        one.waits_for is WaitsFor.OVERLAP for one in admitted
    )


def _single(task: Task, nominal: Instant, reason: Reason, now: Instant, blocker: str | None) -> Settled:
    return Settled(task.id, nominal, nominal, 1, Outcome.SKIPPED, reason, now, task.state.revision, blocker)


def _fixed_delay(
    task: Task, admitted: list[Admission], dropped: list[Settled], nominal: Instant, now: Instant
) -> Settlement:
    following = None if admitted else after_delay(task, now)
    return Settlement(tuple(admitted), tuple(dropped), nominal, following, not admitted and following is None)


def after_delay(task: Task, ended_at: Instant) -> Instant | None:
    """The next nominal time of a fixed-delay interval after an execution ended; None beyond its end."""
    trigger = task.definition.trigger
    assert isinstance(trigger, Interval)
    # The wall clock may have been set back since the last slot; no slot is ever at or before one that is settled.
    following = Instant(max(ended_at, task.state.settled_through) + trigger.every)
    end = task.definition.bounds.end
    return None if end is not None and following > end else following


def drop_owed(task: Task, now: Instant, reason: Reason) -> Settled | None:
    """The row for all slots up to now that are not settled, to be skipped for this reason; None if there are none."""
    definition = task.definition
    if is_fixed_delay(task):
        first = task.state.next_fire
        return None if first is None or first > now else _single(task, first, reason, now, None)
    first = next_after(definition.trigger, definition.bounds, task.state.settled_through)
    if first is None or first > now:
        return None
    last = last_through(definition.trigger, definition.bounds, Instant(first - 1), now)
    assert last is not None
    return _range_for(task, first, last, Outcome.SKIPPED, reason, now)


def outcome_of_start(nominal: Instant, created_at: Instant, started_at: Instant) -> tuple[Outcome, Reason | None]:
    """The outcome of a slot whose first attempt started, and why it was late if it was."""
    if started_at - nominal <= LATE_AFTER:
        return Outcome.FIRED, None
    return Outcome.LATE, Reason.DOWNTIME if created_at - nominal > LATE_AFTER else Reason.QUEUE


def is_blocked(task: Task, but: str) -> bool:
    """Whether an open execution other than `but` holds back one that waits for overlap: anything running, or older."""
    return any(
        execution.id != but and (execution.state is State.RUNNING or (execution.is_open and execution.id < but))
        for execution in task.open
    )
