"""What the store says at the end of a run, as plain records: read from its adapter directly, not through any node."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from actors.model.execution import Attempt as StoredAttempt
from actors.model.execution import Execution as StoredExecution
from actors.model.lifecycle import Phase
from actors.model.placement import Where
from actors.model.task import Definition
from actors.model.task import Task as StoredTask
from actors.model.trigger import Bounds, CalendarInterval, Cron, Interval, Once, Single, Trigger, Union
from actors.store.answers import ExecutionDetail
from actors.store.shared import SharedStore
from runtime.clock import Instant

from ..checker.history import Attempt, Execution, Revision, Row, Task

PAGE: Final = 500
EVERYTHING: Final = 1_000_000
LAST: Final = Instant(1 << 62)


def read_tasks(store: SharedStore) -> Iterator[Task]:
    """Every task that is there."""
    after = ""
    while ids := store.task_ids(after=after, limit=PAGE):
        after = ids[-1]
        for task in store.tasks(ids):
            yield read_task(store, task)


def read_task(store: SharedStore, task: StoredTask) -> Task:
    """One task with all that belongs to it."""
    definition, state, policies = task.definition, task.state, task.definition.policies
    listed, _ = store.executions(task.id, offset=0, limit=EVERYTHING)
    details = [detail for one in reversed(listed) if (detail := store.execution(one.id)) is not None]
    outcomes = store.outcomes(task.id, since=Instant(0), until=LAST, limit=EVERYTHING)
    over = state.phase in (Phase.FINISHED, Phase.CANCELLED)
    return Task(
        id=task.id,
        name=definition.name,
        created_at=definition.created_at,
        revisions=tuple(_revisions(store, definition)),
        phase=state.phase.value,
        settled_through=state.settled_through,
        fence=state.fence,
        overlap=policies.overlap.value,
        overlap_limit=policies.overlap_limit,
        catch_up=policies.catch_up.value,
        on_crash=policies.on_crash.value,
        max_runs=definition.bounds.max_runs,
        calendars=tuple(rule.calendar.name for rule in definition.bounds.calendars),
        parents=() if definition.dependencies is None else definition.dependencies.parents,
        key=None if policies.concurrency is None else (policies.concurrency.key, policies.concurrency.limit),
        everywhere=definition.placement.where is Where.ALL,
        pinned=definition.placement.where in (Where.NAMED, Where.SELECTOR),
        priority=policies.priority,
        queue=policies.queue,
        max_retries=policies.retry.max_retries,
        ended_at=state.last_ended_at if over else None,
        rows=tuple(
            Row(
                one.first,
                one.last,
                one.count,
                one.outcome and one.outcome.value,
                one.reason,
                one.execution_id,
                one.target,
            )
            for one in outcomes
            if not one.folded  # counts by the hour, of what was purged: no slot can be told from them
        ),
        executions=tuple(execution(one) for one in details),
    )


def _revisions(store: SharedStore, definition: Definition) -> Iterator[Revision]:
    for one in store.revisions(definition.id):
        yield Revision(one.began_at, plain(one.definition.trigger), bounds(one.definition.bounds))


def plain(trigger: Trigger) -> dict[str, Any]:
    """A trigger without a type of the scheduler's."""
    if isinstance(trigger, Union):
        return {"union": [_single(one) for one in trigger.triggers]}
    return _single(trigger)


def _single(trigger: Single) -> dict[str, Any]:
    match trigger:
        case Once(at=at):
            return {"at": int(at)}
        case Interval(every=every, fixed_delay=True):
            return {"delay": int(every)}
        case Interval(every=every, anchor=anchor):
            return {"every": int(every), "anchor": int(anchor)}
        case Cron(expression=expression, timezone=timezone):
            return {"cron": expression, "timezone": timezone}
        case CalendarInterval():
            names = ("every", "unit", "anchor_day", "time_of_day", "timezone")
            return {name: getattr(trigger, name) for name in names}


def bounds(stored: Bounds) -> dict[str, int]:
    """Start and end, where there are any."""
    return {name: int(at) for name in ("start", "end") if (at := getattr(stored, name)) is not None}


def execution(detail: ExecutionDetail) -> Execution:
    """An execution with its attempts, the newest among them."""
    one = detail.execution
    attempts = [_attempt(former) for former in detail.attempts]
    if one.attempt > len(attempts):
        attempts.append(_newest(one))
    return Execution(
        id=one.id,
        created_at=one.created_at,
        state=one.state.value,
        nominal=one.nominal,
        outcome=one.outcome and one.outcome.value,
        reason=one.reason and one.reason.value,
        target=one.target,
        fence=one.fence,
        lingers=one.lingers,
        result=detail.result,
        attempts=tuple(attempts),
        ended_at=one.ended_at,
    )


def _attempt(one: StoredAttempt) -> Attempt:
    return Attempt(one.number, one.fence, one.state.value, one.started_at, one.ended_at, one.boot, one.node)


def _newest(one: StoredExecution) -> Attempt:
    return Attempt(one.attempt, one.fence, one.state.value, one.started_at, one.ended_at, one.boot, one.node)
