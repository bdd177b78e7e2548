"""A rehearsal of a user's definitions as the checker takes it. What it cannot read by itself, it is told, and that is said."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import attrs

from actors.model.execution import WaitsFor
from actors.model.task import Definition
from actors.model.task import Task as StoredTask
from actors.model.trigger import CalendarInterval, Cron, Interval, Trigger, Union
from actors.when.triggers import next_after
from runtime.clock import SECOND, Instant

from ...checker.checker import check
from ...checker.expected import Unreadable, expected_times
from ...checker.history import Bounds, History, Ownership, Revision, Task
from ...checker.verdict import Verdict
from ..witness import read_task
from .carry_out import Rehearsed, UserStage

LATE_SECONDS: Final = 2.0
"""From here on a start needs a reason; the ledger calls it late after one."""

OTHERS_WAITS: Final = frozenset({WaitsFor.SLOT, WaitsFor.QUEUE, WaitsFor.KEY, WaitsFor.DEPENDENCY, WaitsFor.GOVERNOR})
"""What an execution may wait for as long as it takes."""


def judge(done: Rehearsed) -> tuple[Verdict, list[str]]:
    """The checker's verdict, and what it could not judge by itself."""
    stage, wanted = done.stage, done.wanted
    edges = [at for blow in done.blows for at in (blow.at, blow.until) if at < wanted.end]
    return judge_stage(stage, done.ended_at, max(edges, default=wanted.begin))


def judge_stage(stage: UserStage, ended_at: Instant, healed_at: Instant) -> tuple[Verdict, list[str]]:
    """The same of any stage. healed_at: the last instant at which something began or ceased to be wrong."""
    store = stage.store
    tasks, notes, waits = [], [], False
    for stored in _stored(stage):
        found = read_task(store, stored)
        task, note = _judged(stored, found, ended_at)
        tasks.append(task)
        waits = waits or any(one.waits_for in OTHERS_WAITS for one in stored.open)
        notes += [] if note is None else [note]
    heal = 2 * stage.careful_seconds
    skew = max((abs(one) for one in stage.skews.values()), default=0.0)
    history = History(
        tasks=tuple(tasks),
        lines=tuple(stage.record.lines),
        ended_at=ended_at,
        # While something waits for others, nothing can be said of how long it may.
        healed_at=ended_at if waits else healed_at,
        spans=tuple(stage.spans),
        writes=tuple(stage.database.writes),
        ownership=_ownership(stage, ended_at - healed_at >= heal * SECOND),
        partitions=stage.partitions,
        bounds=Bounds(
            lateness=round(LATE_SECONDS * SECOND), heal=round(heal * SECOND), skew=round(skew * SECOND) or 1_000
        ),
    )
    return check(history), notes


def _stored(stage: UserStage) -> Iterator[StoredTask]:
    after = ""
    while ids := stage.store.task_ids(after=after, limit=500):
        after = ids[-1]
        yield from stage.store.tasks(ids)


def _judged(stored: StoredTask, task: Task, through: Instant) -> tuple[Task, str | None]:
    """With times that the checker can enumerate itself; where it cannot, with those that the scheduler's arithmetic names."""
    definition = stored.definition
    name = definition.name
    if definition.bounds.spread or definition.bounds.calendars:
        # Whose starts are not at their nominal times, or move, is judged by the ledger alone.
        task = attrs.evolve(task, records=False)
    if isinstance(definition.trigger, Interval) and definition.trigger.fixed_delay:
        return task, f"{name}: with a fixed delay only the order of its times is judged"
    try:
        expected_times(task, through)
    except Unreadable:
        listed = {"union": [{"at": at} for at in _times(definition, through)]}
        began = task.revisions[0].began_at if task.revisions else task.created_at
        task = attrs.evolve(task, revisions=(Revision(began, listed, {}),))
        return task, f"{name}: its times are the scheduler's own arithmetic ({_why(definition)})"
    if not task.records:
        return task, f"{name}: judged by its ledger alone, because its starts are spread or moved"
    return task, None


def _why(definition: Definition) -> str:
    if definition.bounds.calendars:
        return "it keeps to a calendar"
    trigger = definition.trigger
    zones = sorted({one.timezone for one in _members(trigger) if isinstance(one, Cron | CalendarInterval)} - {"UTC"})
    return f"in {', '.join(zones)}" if zones else "the checker cannot read such a trigger"


def _members(trigger: Trigger) -> tuple[Trigger, ...]:
    return trigger.triggers if isinstance(trigger, Union) else (trigger,)


def _times(definition: Definition, through: Instant) -> Iterator[int]:
    at = next_after(definition.trigger, definition.bounds, Instant(definition.created_at))
    while at is not None and at <= through:
        yield int(at)
        at = next_after(definition.trigger, definition.bounds, at)


def _ownership(stage: UserStage, is_quiet: bool) -> Ownership | None:
    if not is_quiet or len(stage.living()) < len(stage.names):
        return None
    said, live = {}, {}
    for name, node in stage.living().items():
        if node.cluster is not None:
            said[name] = frozenset(node.cluster.owned)
            live[node.cluster.lease] = name
    return Ownership(said, {}, live)
