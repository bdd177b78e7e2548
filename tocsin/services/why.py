"""What the operation `why` does: it gathers what the node knows about one occurrence, for `tocsin/telling/why.py` to tell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import attrs

from actors.model.execution import CLAIMABLE, Execution, WaitsFor
from actors.model.lifecycle import Phase
from actors.model.occurrence import Outcome, Reason
from actors.model.task import Task, assigned
from actors.store.access import AuditFilter
from actors.store.answers import ExecutionDetail, OutcomeRow
from runtime.clock import Instant
from runtime.errors import InvalidRequest, NotFound

from ..operations.calls import Call
from ..telling.waiting import Situation, nowhere, obstacle_lines
from ..telling.why import (
    Answer,
    Case,
    Paused,
    answer,
    meant,
    newest_lines,
    nothing_ahead,
    of_execution,
    of_nodes,
    phase_lines,
    width_of,
)
from ..vocabulary.fields import show
from ..vocabulary.views import Json
from .cluster_view import facade_of
from .executions import telling
from .scheduler import names_of

if TYPE_CHECKING:
    from actors.node import Node

EXPECTED: Final = ("future", "open")
"""Verdicts about times that the task is still to fire at."""

MOST_PAUSES: Final = 100
"""Ends of pauses that are looked at for the first one after a nominal time; of more, the end is not told."""

MOST_AT_ONCE: Final = 100
"""Rows of the ledger that may touch one second: its own, and one of each outcome and reason that are left of its hour."""


async def why(node: Node, call: Call) -> Json:
    """What became of one nominal time, or of one execution."""
    try:
        task = await node.task(call["task"])
    except NotFound as error:
        return await _why_execution(node, call, error)
    return (await why_task(node, task, call["at"])).view()


async def why_task(node: Node, task: Task, wanted: Instant | None) -> Answer:
    """What became of one nominal time of a task; of the last settled one, and of what goes on, if none is given."""
    now = node.world.now()
    at, row, others = await _asked(node, task, wanted, now)
    detail, blocker = await _executions_of(node, row)
    if row is not None and row.target is not None:
        told = await _of_each_node(node, task, at, now, [row, *others])
    elif wanted is None and row is None and task.state.next_fire is None:
        told = nothing_ahead(task)
    else:
        pause = await _pause_of(node, task, at, row)
        told = answer(Case(task, at, now, row, detail, await node.revisions(task.id), blocker, pause))
    newest = await telling(node, task) if wanted is None else None
    if wanted is None and row is None:
        told = _with_more(told, await _last_run(node, task))
    phase = phase_lines(task) if wanted is None else ()
    telling_most = newest or detail
    execution = None if telling_most is None else telling_most.execution
    return await _with_obstacles(node, task, execution, _with_more(_with_newest(told, task, newest), phase))


async def _last_run(node: Node, task: Task) -> tuple[str, ...]:
    """The last execution of a task that has had no time of its own yet: somebody ran it by hand. Nothing if there is none."""
    if task.state.last_execution is None:
        return ()
    try:
        return of_execution(task, await node.execution(task.state.last_execution)).lines
    except NotFound:
        return ()


async def _of_each_node(node: Node, task: Task, at: Instant, now: Instant, rows: Sequence[OutcomeRow]) -> Answer:
    """What became of a nominal time for which several nodes have executions of their own."""
    revisions = await node.revisions(task.id)
    told = []
    for row in sorted(rows, key=lambda row: row.target or ""):
        detail, blocker = await _executions_of(node, row)
        told.append((row.target or "", answer(Case(task, at, now, row, detail, revisions, blocker))))
    return of_nodes(told)


async def _pause_of(node: Node, task: Task, at: Instant, row: OutcomeRow | None) -> Paused | None:
    """Who paused the task, or the whole scheduler, so that a nominal time was lost to it; None if the audit log does not tell."""
    if row is None or row.reason != Reason.PAUSED or not node.access.is_kept:
        return None
    if row.outcome is Outcome.SKIPPED:
        paused, resumed, whose = "PauseTask", "ActivateTask", task.id
    else:
        paused, resumed, whose = "PauseScheduler", "ResumeScheduler", None
    found, _ = await node.access.audits(AuditFilter(task_id=whose, action=paused, until=at, limit=1))
    if not found:
        return None
    began = found[0].audit
    ends, total = await node.access.audits(
        AuditFilter(task_id=whose, action=resumed, since=began.at, limit=MOST_PAUSES)
    )
    if total > len(ends):
        return Paused(began.actor, began.at)
    first = min((end.audit.at for end in ends), default=None)
    # It had gone on before the asked time: another pause, which the log does not have, is the one.
    return None if first is not None and first < at else Paused(began.actor, began.at, first)


async def _executions_of(node: Node, row: OutcomeRow | None) -> tuple[ExecutionDetail | None, Execution | None]:
    """The execution that the row is, or the one that blocked its slots or stands for them."""
    if row is None or row.execution_id is None:
        return None, None
    try:
        detail = await node.execution(row.execution_id)
    except NotFound:
        return None, None
    return (detail, None) if row.state is not None else (None, detail.execution)


async def _why_execution(node: Node, call: Call, no_task: NotFound) -> Json:
    try:
        detail = await node.execution(call["task"])
    except NotFound:
        raise no_task from None
    if call["at"] is not None:
        raise InvalidRequest(f"at: goes with a task, and {show(call['task'])} is an execution")
    task = await node.task(detail.execution.task_id)
    newest = detail if task.state.last_execution == detail.execution.id or detail.execution.is_open else None
    told = _with_newest(of_execution(task, detail), task, newest)
    return (await _with_obstacles(node, task, detail.execution, told)).view()


def _with_newest(told: Answer, task: Task, newest: ExecutionDetail | None) -> Answer:
    return told if newest is None else _with_more(told, newest_lines(task, newest.execution))


def _with_more(told: Answer, more: tuple[str, ...]) -> Answer:
    return attrs.evolve(told, lines=(*told.lines, *(line for line in more if line not in told.lines)))


async def _with_obstacles(node: Node, task: Task, execution: Execution | None, told: Answer) -> Answer:
    """An answer about what is still to come also says what stands in its way."""
    waits = execution is not None and execution.waits_for is not None
    found = await _situation(node, task, execution if waits else None)
    if not waits and (told.verdict not in EXPECTED or task.state.phase is not Phase.ACTIVE):
        found = Situation()
    return attrs.evolve(told, lines=(*told.lines, *obstacle_lines(found)))


async def _situation(node: Node, task: Task, execution: Execution | None) -> Situation:
    paused = await node.control.scheduler_pause()
    if execution is None:
        return Situation(paused=paused)
    lacks, lock = node.control.waits_for(task.definition, execution)
    placed = execution.waits_for in CLAIMABLE and task.definition.persistent
    holders = () if lock is None else lock.holders
    name = task.definition.policies.queue
    return Situation(
        execution=execution,
        paused=paused,
        lacks=lacks,
        lock=lock,
        queue=next((queue for queue in node.control.queues() if queue.name == name), None),
        names=await names_of(node, (holder.task_id for holder in holders)),
        parents=await node.held_by(task) if execution.waits_for is WaitsFor.DEPENDENCY else None,
        blockers=tuple(one for one in task.open if one.id != execution.id and one.id < execution.id),
        nowhere=nowhere(task.definition, execution, facade_of(node).peers()) if placed else None,
        strategy=node.cluster.places.trouble_with(task.definition) if placed and node.cluster is not None else None,
    )


async def _asked(
    node: Node, task: Task, at: Instant | None, now: Instant
) -> tuple[Instant, OutcomeRow | None, list[OutcomeRow]]:
    """The instant meant, the ledger's row about it, and those for other nodes about the same.

    Without a time: the last settled one, else the next.
    """
    if at is None:
        at = task.state.settled_through
        found, others = _best(await node.outcomes(task.id, since=at, until=at, limit=MOST_AT_ONCE), at)
        if found is not None:
            return at, found, others
        return (task.state.next_fire or now), None, []
    definition = task.definition
    exact = meant(definition.trigger, definition.bounds, at, assigned(definition, Instant(0)))
    found, others = _best(await node.outcomes(task.id, since=exact, until=exact, limit=MOST_AT_ONCE), exact)
    if found is None:
        # Under a former definition the slot may lie anywhere in the second, or millisecond, that was asked about.
        until = Instant(at + width_of(at) - 1)
        found, others = _best(await node.outcomes(task.id, since=at, until=until, limit=MOST_AT_ONCE), exact)
        return (exact if found is None or found.folded else max(found.first, at)), found, others
    return exact, found, others


def _best(rows: Sequence[OutcomeRow], at: Instant) -> tuple[OutcomeRow | None, list[OutcomeRow]]:
    """The row that is about an instant: its own one, else a range, else what is left of its hour; and those beside it."""
    best = min(rows, key=lambda row: (row.folded, row.first != at), default=None)
    if best is None or best.target is None:
        return best, []
    return best, [row for row in rows if row is not best and row.target is not None and row.first == best.first]
