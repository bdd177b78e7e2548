"""What is asked about the queue by those who are no workers: list, data, delete, rename, update, flush.

A job is an execution of a task that workers do. Who asks sees what his scope covers, and may look at less of it: `user` is what
belongs to him, `company` what belongs to his tenant, `all` is everything, for those who belong to no tenant.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio

from actors.command_messages import DeleteTask, EditTask
from actors.model.execution import Execution
from actors.model.lifecycle import Phase, State
from actors.model.outside import PREFIX, is_outside
from actors.model.retention import FINAL_STATES
from actors.model.scope import EVERYTHING, Scope
from actors.model.task import Task
from actors.store.answers import TaskFilter
from runtime.clock import Instant, Micros
from runtime.errors import Conflict, Forbidden, InvalidRequest, NotFound, TocsinError

from ..access.caller import Caller
from ..access.commands import check_commands
from ..operations.calls import Call
from ..peers.peer_calls import ask_nodes
from ..vocabulary.checks import check_name
from ..vocabulary.definitions import definition_from_json, definition_json
from ..vocabulary.fields import Fields, show, show_instant
from ..vocabulary.references import references_in, resolve
from ..vocabulary.views import Json, detail_view, page_view
from .reading import read_type
from .workers import ANEW, HOLDERS, claim_anew, holders

if TYPE_CHECKING:
    from actors.node import Node

LEVELS: Final = ("user", "company", "all")
"""How much of the queue somebody looks at."""

FLUSH_PAGE: Final = 500
"""Tasks that are looked at together when the queue is flushed."""

FLUSH_AT_ONCE: Final = 50
"""Tasks that are removed together: they go into one commit or a few."""

FLUSH_SECONDS: Final = 20.0
"""How long one flush may take, below every client's patience; whoever asks again goes on."""


def at_level(node: Node, call: Call, level: str | None) -> Node:
    """The part of the node that is meant by a level. Raises InvalidRequest, Forbidden for more than the caller sees."""
    return node if level is None else node.seen_by(scope_at(call.caller, level))


def scope_at(caller: Caller, level: str | None) -> Scope:
    """What a caller looks at on a level, all that he sees if none is said. Raises as `at_level`."""
    if level is None:
        return caller.scope
    if level not in LEVELS:
        raise InvalidRequest(f"level: one of {', '.join(LEVELS)}, not {show(level)}")
    if level == "user":
        return Scope(caller.scope.tenant, caller.scope.owner or caller.user)
    if level == "company" and caller.scope.owner is None:
        return Scope(caller.scope.home)
    if level == "all" and caller.scope == EVERYTHING:
        return EVERYTHING
    raise Forbidden(f"level: this caller does not see {level!r}")


async def _task(node: Node, reference: str) -> Task:
    """A task that workers do. Raises NotFound, Conflict for another one."""
    task = await node.task(reference)
    if not is_outside(task.definition.type):
        raise Conflict(f"task {task.definition.name!r} is of type {task.definition.type!r}, which no worker does")
    return task


# -- list and data


async def queue_list(node: Node, call: Call) -> Json:
    """A page of tasks with their open jobs, without what is large."""
    seen = at_level(node, call, call["level"])
    wanted = TaskFilter(type_prefix=PREFIX, offset=call["offset"], limit=call["limit"])
    if call["type"] is not None:
        wanted = attrs.evolve(wanted, type=read_type(call["type"]))
    page = await seen.page(wanted)
    known, silent = await _holders(node, call)
    rows = [_row(task, known) for task in page.tasks]
    return page_view(rows, wanted.offset, wanted.limit, page.total) | {"unreachable": silent}


def _row(task: Task, known: dict[str, list[Any]]) -> Json:
    definition, state = task.definition, task.state
    return {
        "taskId": definition.id,
        "task": definition.name,
        "type": definition.type,
        "tenant": definition.tenant,
        "owner": definition.owner,
        "status": state.status.value,
        "nextScheduledExecution": None if state.phase is Phase.PAUSED else show_instant(task.due),
        "lastState": state.last_state and state.last_state.value,
        "lastEnd": show_instant(state.last_ended_at),
        "jobs": [_job(execution, known) for execution in task.open],
    }


def _job(execution: Execution, known: dict[str, list[Any]]) -> Json:
    worker, left = known.get(execution.id, (None, None))
    return {
        "job": execution.id,
        "state": execution.state.value,
        "waitsFor": "worker"
        if execution.state is State.RUNNING and worker is None
        else execution.waits_for and execution.waits_for.value,
        "worker": worker,
        "leaseSeconds": left,
        "attempt": execution.attempt,
        "node": execution.node,
        "createdAt": show_instant(execution.created_at),
    }


async def _holders(node: Node, call: Call) -> tuple[dict[str, list[Any]], list[str]]:
    """Who has which job, and the nodes that do not say it."""
    found = await holders(node, {})
    if node.cluster is None:
        return found, []
    peers = list(node.cluster.others())
    told = await ask_nodes(node.cluster, [(peer, {}) for peer in peers], HOLDERS, call)
    for answer in told.values():
        found |= answer
    return found, sorted(peer.name for peer in peers if peer.boot not in told)


async def queue_data(node: Node, call: Call) -> Json:
    """One job in full: its execution, its task's definition, and who has it."""
    detail = await node.execution(call["execution"])
    task = await _task(node, detail.execution.task_id)
    known, _ = await _holders(node, call)
    return {
        "job": _job(detail.execution, known),
        "execution": detail_view(detail),
        "definition": definition_json(task.definition),
        "taskId": task.id,
    }


# -- changes


async def queue_delete(node: Node, call: Call) -> None:
    """Remove a task with its jobs."""
    task = await _task(node, call["task"])
    await node.command(task.id, lambda reply: DeleteTask(task.id, call.actor, reply))


async def queue_rename(node: Node, call: Call) -> Json:
    """Give a task another name."""
    task = await _task(node, call["task"])
    fields = Fields(call["body"])
    name = check_name(fields.take("name"))
    fields.finish()
    base = task.definition
    edited: Task = await node.command(
        task.id, lambda reply: EditTask(attrs.evolve(base, name=name), None, call.actor, reply, base)
    )
    return _changed(edited)


async def queue_update(node: Node, call: Call) -> Json:
    """Change a definition. Jobs that no worker has yet are done under it, with the parameters that were chosen for them alone.

    Those that a worker has go on with what he was given; should they be tried again, it is under the new one.
    """
    task = await _task(node, call["task"])
    base = task.definition
    known = await resolve(node, references_in(call["body"]), base.tenant)
    definition = definition_from_json(
        call["body"], node.catalogue, node.world.now(), task_id=task.id, owner=base.owner, base=base, known=known
    )
    if not is_outside(definition.type):
        raise InvalidRequest(f"taskType: one that workers do, such as worker:render, not {show(definition.type)}")
    await check_commands(node, call.caller, [definition])
    edited: Task = await node.command(task.id, lambda reply: EditTask(definition, None, call.actor, reply, base))
    await claim_anew(node, {"task": task.id})
    if node.cluster is not None:
        asked = [(peer, {"task": task.id}) for peer in node.cluster.others()]
        await ask_nodes(node.cluster, asked, ANEW, call)
    return _changed(edited)


def _changed(task: Task) -> Json:
    return {
        "taskId": task.id,
        "task": task.definition.name,
        "version": task.state.version,
        "jobs": [execution.id for execution in task.open],
    }


# -- flush


async def queue_flush(node: Node, call: Call) -> Json:
    """Remove what has ended: tasks that fire no more, and of the others their ended jobs."""
    fields = Fields(call["body"] or {})
    level, age = fields.text("level"), fields.duration("olderThan")
    dry = fields.flag("dryRun") or False
    fields.finish()
    seen = at_level(node, call, level)
    before = Instant(node.world.now() - (age or 0))
    until = trio.current_time() + FLUSH_SECONDS
    over, others = await _ended_tasks(seen, before)
    if dry:
        jobs, complete = await _count(seen, others, before, until)
        return {"tasks": len(over), "jobs": jobs, "complete": complete}
    tasks = await _delete_all(seen, over, call.actor, until)
    jobs = 0
    for task_id in others:
        if trio.current_time() >= until:
            break
        jobs += await _purge(seen, task_id, age, call.actor)
    if node.job_queue is not None:
        await node.job_queue.flush(before)
    return {"tasks": tasks, "jobs": jobs, "complete": trio.current_time() < until}


async def _count(node: Node, ids: list[str], before: Instant, until: float) -> tuple[int, bool]:
    """How many executions of these tasks ended before an instant, and whether there was time to look at all of them."""
    found = 0
    for task_id in ids:
        offset, total = 0, 1
        while offset < total:
            if trio.current_time() >= until:
                return found, False
            rows, total = await node.executions(task_id, offset=offset, limit=FLUSH_PAGE)
            found += sum(
                row.state in FINAL_STATES and row.ended_at is not None and row.ended_at <= before for row in rows
            )
            offset += FLUSH_PAGE
    return found, True


async def _purge(node: Node, task_id: str, age: Micros | None, actor: str) -> int:
    swept = await node.purges.purge(actor, task_id, Micros(age or 0), FINAL_STATES)
    return sum(swept.removed.values())


async def _ended_tasks(node: Node, before: Instant) -> tuple[list[str], list[str]]:
    """The tasks that are over since before an instant, and those that have run and are not."""
    over: list[str] = []
    others: list[str] = []
    offset, total = 0, 1
    while offset < total:
        page = await node.page(TaskFilter(type_prefix=PREFIX, offset=offset, limit=FLUSH_PAGE))
        for task in page.tasks:
            state = task.state
            ended = state.last_ended_at
            if task.open or ended is None or state.last_state is State.CRASHED:
                continue
            is_over = state.phase in (Phase.FINISHED, Phase.CANCELLED)
            if is_over and ended <= before:
                over.append(task.id)
            elif not is_over:
                others.append(task.id)
        offset, total = offset + FLUSH_PAGE, page.total
    return over, others


async def _delete_all(node: Node, ids: list[str], actor: str, until: float) -> int:
    removed = 0

    async def delete(task_id: str) -> None:
        nonlocal removed
        try:
            await node.command(task_id, lambda reply: DeleteTask(task_id, actor, reply))
            removed += 1
        except NotFound:
            # Somebody else has removed it meanwhile.
            return

    for first in range(0, len(ids), FLUSH_AT_ONCE):
        if trio.current_time() >= until:
            break
        try:
            async with trio.open_nursery() as nursery:
                for task_id in ids[first : first + FLUSH_AT_ONCE]:
                    nursery.start_soon(partial(delete, task_id))
        except* TocsinError as group:
            raise group.exceptions[0] from None
    return removed
