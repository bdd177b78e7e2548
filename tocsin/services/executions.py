"""What the operations about executions do, and those about what is kept of a task: its ledger, its deliveries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.command_messages import CancelExecution, ReleaseExecution
from actors.model.execution import Execution
from actors.model.lifecycle import State
from actors.model.task import Task
from actors.store.answers import ExecutionDetail
from runtime.clock import DAY, Instant
from runtime.errors import InvalidRequest, NotFound

from ..operations.calls import Call
from ..vocabulary.checks import check_note
from ..vocabulary.fields import Fields, show_instant
from ..vocabulary.views import Json, delivery_view, detail_view, execution_view, log_view, outcome_view, page_view

if TYPE_CHECKING:
    from actors.node import Node


async def list_executions(node: Node, call: Call) -> Json:
    """A page of executions."""
    task = await node.task(call["task"])
    rows, total = await node.executions(task.id, offset=call["offset"], limit=call["limit"])
    return page_view([execution_view(row) for row in rows], call["offset"], call["limit"], total)


async def list_deliveries(node: Node, call: Call) -> Json:
    """What became of what event triggers wanted done."""
    task = await node.task(call["task"])
    rows, total = await node.deliveries(task.id, offset=call["offset"], limit=call["limit"])
    return page_view([delivery_view(row) for row in rows], call["offset"], call["limit"], total)


async def list_outcomes(node: Node, call: Call) -> Json:
    """Rows of the ledger."""
    task = await node.task(call["task"])
    now = node.world.now()
    until = now if call["until"] is None else call["until"]
    since = Instant(until - DAY) if call["since"] is None else call["since"]
    if since > until:
        raise InvalidRequest(f"since: {show_instant(since)} is after until, {show_instant(until)}")
    limit: int = call["limit"]
    rows = await node.outcomes(task.id, since=since, until=until, limit=limit + 1, newest=call["newest"])
    rows.sort(key=lambda row: (row.first, row.last, row.target or ""), reverse=call["newest"])
    return {
        "list": [outcome_view(row) for row in rows[:limit]],
        "more": len(rows) > limit,
        "since": show_instant(since),
        "until": show_instant(until),
    }


async def show_execution(node: Node, call: Call) -> Json:
    """One execution in full."""
    return detail_view(await node.execution(call["execution"]))


async def cancel_execution(node: Node, call: Call) -> Json:
    """End one execution."""
    fields = Fields(call["body"] or {})
    note = check_note(fields.take("note"))
    fields.finish()
    execution = (await node.execution(call["execution"])).execution
    cancelled: Execution = await node.command(
        execution.task_id, lambda reply: CancelExecution(execution.task_id, execution.id, call.actor, reply, note)
    )
    return execution_view(cancelled)


async def release_execution(node: Node, call: Call) -> Json:
    """Give up waiting for an abandoned handler."""
    execution = (await node.execution(call["execution"])).execution
    released: Execution = await node.command(
        execution.task_id, lambda reply: ReleaseExecution(execution.task_id, execution.id, call.actor, reply)
    )
    return execution_view(released)


async def list_logs(node: Node, call: Call) -> Json:
    """Logged lines after a sequence number, with the execution's state so that a follower knows when to stop."""
    state = (await node.execution(call["execution"])).execution.state
    lines = await node.logs(call["execution"], after=call["after"], limit=call["limit"])
    return {"list": [log_view(line) for line in lines], "state": state.value}


async def telling(node: Node, task: Task) -> ExecutionDetail | None:
    """The execution whose progress and checkpoint tell about the task: the open one, else the last one that did not complete."""
    execution_id = task.open[-1].id if task.open else task.state.last_execution
    if execution_id is None or (not task.open and task.state.last_state is State.COMPLETED):
        return None
    try:
        return await node.execution(execution_id)
    except NotFound:
        return None
