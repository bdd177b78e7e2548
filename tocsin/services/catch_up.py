"""What the operations about catching up do: what is owed from a time without nodes, what would become of it, and dropping it.

What the governor holds back are executions that wait for their turn. About what is overdue nobody has decided yet, as under a
pause of the scheduler; a preview decides about it as the keeper would now, and keeps nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

import attrs

from actors.command_messages import CancelExecution
from actors.lanes import COMPUTED
from actors.model.execution import Execution, WaitsFor
from actors.model.lifecycle import Phase, State
from actors.model.task import Task
from actors.rules.settling import is_owed, settle
from actors.store.answers import Active, ActivityFilter
from runtime.clock import SECOND, Instant, Micros
from runtime.errors import InvalidRequest, TocsinError

from ..operations.calls import Call
from ..operations.overviews import MAX_DISCARD
from ..vocabulary.fields import Fields, show, show_instant
from ..vocabulary.views import Json, named_view
from .bulk import Refusal, carry_out

if TYPE_CHECKING:
    from actors.node import Node

OVERDUE_AFTER: Final = Micros(2 * SECOND)
"""A time that has come so long ago and is not settled is overdue: a busy node is later than usual, not behind."""

LOOKED_AT: Final = 10_000
"""Open executions, and overdue tasks, of one look; of more it is said that there are more."""

TASKS_SHOWN: Final = 500
"""Tasks of one answer, those that wait longest first."""

SLICE: Final = 20
"""Tasks that are decided about at a time in a thread: each may take some milliseconds."""


@attrs.define
class Owed:
    """What one task is owed. `since`: the next fire that is overdue, None if none is."""

    task: Task
    waiting: list[Execution] = attrs.field(factory=list)
    held: int = 0
    since: Instant | None = None

    @property
    def order(self) -> Instant:
        """Since when it is owed anything."""
        times = [at for one in self.waiting if (at := one.nominal) is not None]
        return min([*times, *([] if self.since is None else [self.since])], default=Instant(2**62))


async def show_catch_up(node: Node, _call: Call) -> Json:
    """What is owed, by task, and at what pace it is made up for."""
    owed, more = await _owed(node)
    turns = [one.due for row in owed for one in row.waiting if one.due is not None]
    shown = sorted(owed, key=lambda row: (row.order, row.task.id))
    return {
        "paused": await node.control.scheduler_pause() is not None,
        "rate": node.config.catch_up_rate,
        "burst": node.config.catch_up_burst,
        "running": node.config.catch_up_running,
        "waiting": sum(len(row.waiting) for row in owed),
        "last": show_instant(max(turns, default=None)),
        "held": sum(row.held for row in owed),
        "overdue": sum(row.since is not None for row in owed),
        "tasks": [_owed_view(row) for row in shown[:TASKS_SHOWN]],
        "more": more or len(shown) > TASKS_SHOWN,
    }


async def _owed(node: Node) -> tuple[list[Owed], bool]:
    """Every task that is owed something, and whether there may be more."""
    now = node.world.now()
    wanted = ActivityFilter(now, now, states=(State.WAITING, State.CRASHED), limit=LOOKED_AT, scanned=LOOKED_AT)
    activity = await node.control.activity(wanted)
    concerned = [row.execution for row in activity.rows if _is_concerned(row)]
    due = await node.control.due(Instant(now - OVERDUE_AFTER), LOOKED_AT)
    ids = list(dict.fromkeys([*(one.task_id for one in concerned), *(task_id for _, task_id in due)]))
    found = {task.id: Owed(task) for task in await node.control.tasks(ids)}
    for execution in concerned:
        if (row := found.get(execution.task_id)) is None:
            continue
        if execution.state is State.CRASHED:
            row.held += 1
        else:
            row.waiting.append(execution)
    for row in found.values():
        row.since = overdue_since(row.task, now)
    some = [row for row in found.values() if row.waiting or row.held or row.since is not None]
    return some, activity.more or len(due) == LOOKED_AT


def _is_concerned(row: Active) -> bool:
    return row.execution.state is State.CRASHED or row.execution.waits_for is WaitsFor.GOVERNOR


def overdue_since(task: Task, now: Instant) -> Instant | None:
    """The next fire of a task that has come and is not settled; None if it has not come."""
    if task.state.phase is not Phase.ACTIVE or not is_owed(task, Instant(now - OVERDUE_AFTER)):
        return None
    return task.state.next_fire


def _owed_view(row: Owed) -> Json:
    times = sorted(one.nominal for one in row.waiting if one.nominal is not None)
    return _task_view(row.task) | {
        "waiting": len(row.waiting),
        "oldest": show_instant(times[0] if times else None),
        "newest": show_instant(times[-1] if times else None),
        "pending": row.task.state.catching_up is not None,
        "held": row.held,
        "overdue": show_instant(row.since),
    }


def _task_view(task: Task) -> Json:
    return named_view(task) | {"policy": task.definition.policies.catch_up.value}


# -- what would become of it


async def preview_catch_up(node: Node, call: Call) -> Json:
    """What would be decided about what is overdue, of all tasks or of some, if it were decided now."""
    fields = Fields(call["body"] or {})
    references = fields.take("tasks")
    fields.finish()
    now, more = node.world.now(), False
    if references is None:
        owed, more = await _owed(node)
        tasks = [row.task for row in owed if row.since is not None]
    else:
        tasks = [await node.task(one) for one in _references(references)]
        tasks = [task for task in tasks if task.state.phase is Phase.ACTIVE and is_owed(task, now)]
    names = (
        [node.config.name] if node.cluster is None else [peer.name for peer in node.cluster.peers() if peer.executor]
    )
    found: list[Json] = []
    for start in range(0, min(len(tasks), TASKS_SHOWN), SLICE):
        some = tasks[start : min(start + SLICE, TASKS_SHOWN)]
        found += await node.world.blocking(partial(_decided, some, now, names), lane=COMPUTED)
    return {"list": found, "runs": sum(one["runs"] for one in found), "more": more or len(tasks) > TASKS_SHOWN}


def _decided(tasks: Sequence[Task], now: Instant, names: Sequence[str]) -> list[Json]:
    return [decided(task, now, names) for task in tasks]


def decided(task: Task, now: Instant, names: Sequence[str]) -> Json:
    """What would become of the nominal times that a task owes. names: of the nodes, for one that runs on all."""
    settlement = settle(task, now, targets=names)
    outcomes: Counter[str] = Counter()
    for row in settlement.dropped:
        outcomes[row.outcome.value] += row.count or 0
    uncounted = any(row.count is None for row in settlement.dropped)
    runs = len({(one.nominal, one.target) for one in settlement.admitted if one.refused_by is None})
    complete = settlement.catching_up is None and (settlement.next_fire is None or settlement.next_fire > now)
    return _task_view(task) | {
        "owed": None if uncounted else runs + outcomes.total(),
        "runs": runs,
        "outcomes": dict(outcomes),
        "first": show_instant(task.state.next_fire),
        "last": show_instant(settlement.settled_through),
        "complete": complete,
    }


def _references(value: object) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise InvalidRequest(f"tasks: a list of ids or names, not {show(value)}")
    if not 1 <= len(value) <= MAX_DISCARD:
        raise InvalidRequest(f"tasks: 1 to {MAX_DISCARD} of them, not {len(value)}")
    return list(dict.fromkeys(value))


# -- dropping it


async def discard_catch_up(node: Node, call: Call) -> Json:
    """End the executions of some tasks that wait for the governor: their times are skipped."""
    fields = Fields(call["body"])
    references, dry = _references(fields.take("tasks")), fields.flag("dryRun") or False
    fields.finish()
    ids = {(await node.task(reference)).id for reference in references}
    owed, more = await _owed(node)
    waiting = [(row.task, one) for row in owed if row.task.id in ids for one in row.waiting]
    refused: list[Refusal] = []
    done, left = 0, 0
    if not dry:
        done, left = await carry_out(waiting, partial(_discard, node, call), _refusal, refused)
    return {
        "dryRun": dry,
        "matched": len(waiting),
        "discarded": done,
        "refused": [one.view() for one in refused],
        "more": more or left > 0,
    }


async def _discard(node: Node, call: Call, one: tuple[Task, Execution]) -> None:
    task, execution = one
    await node.command(task.id, lambda reply: CancelExecution(task.id, execution.id, call.actor, reply))


def _refusal(one: tuple[Task, Execution], error: TocsinError) -> Refusal:
    return Refusal(one[0].id, one[0].definition.name, error)
