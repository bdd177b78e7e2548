"""What creating, editing, pausing, activating and cancelling do to a task's state: pure, one function each.

The rule of edits and activation (design page 3): what the old definition still owed is settled first, by the caller; the new
trigger begins after max(now, settled through). No past occurrence is fired because a trigger changed.
"""

from __future__ import annotations

from runtime.clock import DAY, Instant, Micros, isoformat
from runtime.errors import Conflict, InvalidRequest, StaleVersion
from runtime.records import evolve

from ..model.lifecycle import Change, Phase, change_phase
from ..model.occurrence import Outcome, Reason, Settled
from ..model.task import Definition, Task, TaskState
from ..model.trigger import Bounds, Once, Trigger
from ..when.moves import FARTHEST_MOVE
from ..when.trigger_words import explain
from ..when.triggers import next_after, next_allowed
from .placing import check_goes_with
from .selecting import is_fixed_delay
from .settling import after_delay, clock_of, drop_owed, go_on_with_delays


def first_state(definition: Definition, now: Instant) -> TaskState:
    """The state of a new task. A one-time task whose instant is past is due at once.

    Raises InvalidRequest if the trigger has no nominal time left.
    """
    begin = _before_once(definition, now)
    first = next_allowed(definition.trigger, definition.bounds, begin)
    if first is None:
        raise InvalidRequest(f"trigger: never fires after {isoformat(now)}: {explain(definition.trigger)!r}")
    return TaskState(next_fire=first, settled_through=begin)


def _before_once(definition: Definition, now: Instant) -> Instant:
    """Now, or just before the instant of a one-time task that is past, which calendars may have moved."""
    trigger = definition.trigger
    if not isinstance(trigger, Once):
        return now
    found = next_after(trigger, definition.bounds, Instant(trigger.at - (FARTHEST_MOVE + 1) * DAY))
    return min(now, trigger.at if found is None else Instant(found - 1))


def changes_times(task: Task, definition: Definition) -> bool:
    """Whether a definition names other nominal times than the task's present one, or judges them by other calendars."""
    return (definition.trigger, definition.bounds) != (task.definition.trigger, task.definition.bounds)


def edit(
    task: Task, definition: Definition, expected: int | None, now: Instant, base: Definition | None = None
) -> tuple[Definition, TaskState, tuple[Settled, ...]]:
    """Replace the definition; with rows for what the old one owed and will not run: excluded and paused time, the rest of a
    catch-up. The caller has settled before what was due, also what had its place in the spread window still to come.

    base: what the definition was made from, None for whatever there is. Raises Conflict in a phase that cannot be edited,
    StaleVersion if the task has another version than the expected one, or its definition was changed since.
    """
    phase = change_phase(task.state.phase, Change.EDIT)
    if expected is not None and expected != task.state.version:
        raise StaleVersion(f"task {task.id} has version {task.state.version}, the edit was made on {expected}")
    if base is not None and base != task.definition:
        raise StaleVersion(f"task {task.id} has version {task.state.version}, its definition was changed meanwhile")
    state = evolve(task.state, phase=phase, revision=task.state.revision + 1)
    if phase is Phase.FINISHED or not changes_times(task, definition):
        return definition, state, ()
    begin = max(now, state.settled_through)
    if phase is Phase.PAUSED:
        return definition, evolve(state, settled_through=begin), drop_owed(task, now, Reason.PAUSED)
    first = next_allowed(definition.trigger, definition.bounds, begin)
    if first is None:
        raise Conflict(f"trigger: has no nominal time after {isoformat(begin)}: {explain(definition.trigger)!r}")
    rows = drop_owed(task, now, Reason.DOWNTIME, Outcome.MISSED)
    return definition, evolve(state, next_fire=first, settled_through=begin, catching_up=None), rows


def recalculate(task: Task, definition: Definition, now: Instant) -> tuple[Definition, TaskState, tuple[Settled, ...]]:
    """The same task whose times have come to be others: a calendar has a new version, or the zone database has.

    Nothing is refused and nobody is asked: a task that has no nominal time left is finished. Slots whose place in the spread
    window is still to come stay owed. The caller has settled before what was due.
    """
    state = evolve(task.state, revision=task.state.revision + (definition is not task.definition))
    begin = max(clock_of(task.definition, now), state.settled_through)
    if state.phase is Phase.PAUSED:
        return definition, evolve(state, settled_through=begin), drop_owed(task, now, Reason.PAUSED, through=begin)
    if state.phase is not Phase.ACTIVE or (is_fixed_delay(task) and state.next_fire is None):
        return definition, state, ()
    rows: tuple[Settled, ...] = ()
    if is_fixed_delay(task):
        assert state.next_fire is not None
        first = go_on_with_delays(task.definition.trigger, definition.bounds, state.next_fire)
    elif state.catching_up is not None:
        # What was promised will run; a slot of the old times may be none of the new.
        first = state.next_fire and next_after(definition.trigger, definition.bounds, state.settled_through)
        return definition, evolve(state, next_fire=first), ()
    else:
        rows = drop_owed(task, now, Reason.DOWNTIME, Outcome.MISSED, through=begin)
        first = next_allowed(definition.trigger, definition.bounds, begin)
        state = evolve(state, settled_through=begin)
    if first is None:
        state = evolve(state, phase=change_phase(state.phase, Change.FINISH))
    return definition, evolve(state, next_fire=first), rows


def configure(definition: Definition, max_retries: int | None, delay: int | None) -> Definition:
    """Change retry numbers; None leaves one as it is."""
    retry = definition.policies.retry
    changed = evolve(
        retry,
        max_retries=retry.max_retries if max_retries is None else max_retries,
        delay=retry.delay if delay is None else Micros(delay),
    )
    return evolve(definition, policies=evolve(definition.policies, retry=changed))


def pause(task: Task, note: str | None, actor: str) -> TaskState:
    """Fire no more. Raises Conflict unless active."""
    phase = change_phase(task.state.phase, Change.PAUSE)
    return evolve(task.state, phase=phase, next_fire=None, catching_up=None, note=note, changed_by=actor)


def activate(
    task: Task, trigger: Trigger | None, bounds: Bounds | None, now: Instant
) -> tuple[Definition, TaskState, tuple[Settled, ...]]:
    """Go on after a pause, or begin anew; with the row for the time it was paused.

    Raises Conflict when active already, when a cancelled task is given no trigger, and when no nominal time is left;
    InvalidRequest for a trigger that does not go with where the task runs.
    """
    phase = change_phase(task.state.phase, Change.ACTIVATE)
    if task.state.phase is Phase.CANCELLED and trigger is None:
        raise Conflict("a cancelled task can only be activated with a trigger")
    rows = drop_owed(task, now, Reason.PAUSED) if task.state.phase is Phase.PAUSED else ()
    definition = task.definition
    if trigger is not None or bounds is not None:
        definition = evolve(definition, trigger=trigger or definition.trigger, bounds=bounds or definition.bounds)
        check_goes_with(definition.placement, definition.trigger)
    settled = max([task.state.settled_through, *(row.last for row in rows)])
    begin = max(now, settled)
    if isinstance(trigger, Once):
        # A one-time task activated for an instant just past is due at once, as when it is created so.
        begin = max(_before_once(definition, now), settled)
    first = next_allowed(definition.trigger, definition.bounds, begin)
    if first is None:
        words = explain(definition.trigger)
        raise Conflict(f"trigger: every nominal time of {words!r} is settled: activate with another trigger")
    changed = definition is not task.definition
    state = evolve(
        task.state,
        phase=phase,
        revision=task.state.revision + changed,
        next_fire=first,
        settled_through=begin,
        runs=0,
        note=None,
        changed_by=None,
    )
    return definition, state, rows


def cancel_definition(task: Task, actor: str, now: Instant) -> tuple[TaskState, tuple[Settled, ...]]:
    """Fire never again, unless activated. What it owed up to now is skipped."""
    phase = change_phase(task.state.phase, Change.CANCEL)
    reason = Reason.PAUSED if task.state.phase is Phase.PAUSED else Reason.CANCELLED
    rows = drop_owed(task, now, reason) if task.state.phase is not Phase.FINISHED else ()
    through = max(now, task.state.settled_through)
    state = evolve(task.state, phase=phase, next_fire=None, settled_through=through, catching_up=None, changed_by=actor)
    return state, rows


def revive(task: Task, now: Instant) -> tuple[TaskState, tuple[Settled, ...]]:
    """A finished task got a count of its run limit back: it goes on, if its trigger has slots left.

    Those that have passed since it finished were not run because the limit was reached, and that is what their row says.
    """
    limit = task.definition.bounds.max_runs
    begin = max(now, task.state.settled_through)
    if is_fixed_delay(task):
        following = after_delay(task, now)
    else:
        following = next_allowed(task.definition.trigger, task.definition.bounds, begin)
    if limit is None or task.state.runs >= limit or following is None:
        return task.state, ()
    phase = change_phase(task.state.phase, Change.ACTIVATE)
    rows = drop_owed(task, now, Reason.LIMIT)
    return evolve(task.state, phase=phase, next_fire=following, settled_through=begin), rows
