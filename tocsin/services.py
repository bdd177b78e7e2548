"""What each operation of the table does: one function per name, on a node.

Every function takes a `Call`, whose arguments were read and checked by the table, and answers JSON (or None). It decides nothing
about tasks: it reads the request into records, asks the node, and shows what it answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import attrs

from actors.cron import parse
from actors.cron_words import explain
from actors.keeper_messages import (
    ActivateTask,
    CancelExecution,
    CancelTask,
    ConfigureTask,
    DeleteTask,
    EditTask,
    PauseTask,
    ResumeTask,
    RetryTask,
    RunTask,
)
from actors.model.execution import Execution
from actors.model.lifecycle import State
from actors.model.task import Task
from actors.model.trigger import UNBOUNDED, Cron
from actors.store.port import ExecutionDetail, OutcomeRow, TaskFilter
from actors.triggers import check_trigger, upcoming
from actors.zones import zone
from runtime.clock import DAY, MILLISECOND, SECOND, Instant, to_datetime
from runtime.errors import InvalidRequest, NotFound

from .calls import Call, Service
from .checks import check_note, check_when, known_type, parameters_text, parse_status
from .definitions import definition_from_json, definition_json
from .fields import Fields, parse_instant, show, show_instant
from .node_services import counts, list_types, live, ready, show_node, version
from .operations import MAX_PREVIEW
from .policies import policy_sources
from .references import references_in, resolve
from .triggers import seeded, trigger_from_json
from .views import (
    Json,
    delivery_view,
    detail_view,
    execution_view,
    log_view,
    outcome_view,
    page_view,
    task_detail_view,
    task_view,
)
from .why import WAITS_FOR_PARENTS, Answer, Case, answer, meant, newest_lines, of_execution, trigger_words

if TYPE_CHECKING:
    from actors.node import Node

SORTS: Final = {
    "itemId": "id",
    "name": "name",
    "taskType": "type",
    "status": "status",
    "nextScheduledExecution": "next_fire",
    "lastExecutionDate": "last_started_at",
    "failureCount": "failure_count",
    "createdAt": "created_at",
}
"""What `sortBy` may name -> the store's column."""

_MAX_WORD: Final = 128
"""Characters of a correlation id or a filter's text."""


async def list_tasks(node: Node, call: Call) -> Json:
    """One page of tasks."""
    sort, _, direction = (call["sortBy"] or "itemId").partition(":")
    if sort not in SORTS or direction.lower() not in ("", "asc", "desc"):
        raise InvalidRequest(f"sortBy: one of {', '.join(SORTS)}, with :asc or :desc, not {show(call['sortBy'])}")
    wanted = TaskFilter(
        status=None if call["status"] is None else parse_status(call["status"]),
        type=call["type"],
        text=call["text"],
        sort=SORTS[sort],
        descending=direction.lower() == "desc",
        offset=call["offset"],
        limit=call["limit"],
    )
    page = await node.page(wanted)
    return page_view([task_view(task) for task in page.tasks], wanted.offset, wanted.limit, page.total)


async def add_task(node: Node, call: Call) -> Json:
    """Make a task."""
    known = await resolve(node, references_in(call["body"]))
    definition = definition_from_json(
        call["body"],
        node.catalogue,
        node.world.now(),
        task_id=node.world.new_id(),
        owner=call.actor,
        known=known,
    )
    [made] = await node.create([definition], call.actor)
    if isinstance(made, Exception):
        raise made
    return await _full(node, made)


async def show_task(node: Node, call: Call) -> Json:
    """One task in full."""
    return await _full(node, await node.task(call["task"]))


async def find_task(node: Node, call: Call) -> Json:
    """One task in full, by a reference that is no part of the path."""
    return await _full(node, await node.task(call["reference"]))


async def _full(node: Node, task: Task) -> Json:
    found = node.catalogue.get(task.definition.type)
    sources = policy_sources(task.definition.policies, found.policies if found is not None else None)
    return task_detail_view(task, await _telling(node, task)) | {"policySources": sources}


async def _telling(node: Node, task: Task) -> ExecutionDetail | None:
    """The execution whose progress and checkpoint tell about the task: the open one, else the last one that did not complete."""
    execution_id = task.open[-1].id if task.open else task.state.last_execution
    if execution_id is None or (not task.open and task.state.last_state is State.COMPLETED):
        return None
    try:
        return await node.execution(execution_id)
    except NotFound:
        return None


async def show_definition(node: Node, call: Call) -> Json:
    """What a person wrote, in the form in which it can be sent back."""
    return definition_json((await node.task(call["task"])).definition)


async def edit_task(node: Node, call: Call) -> Json:
    """Change a definition."""
    task = await node.task(call["task"])
    body = dict(call["body"]) if isinstance(call["body"], dict) else call["body"]
    version = body.pop("version", None) if isinstance(body, dict) else None
    if version is not None and (not isinstance(version, int) or isinstance(version, bool)):
        raise InvalidRequest(f"version: a whole number, not {show(version)}")
    known = await resolve(node, references_in(body), task.definition.tenant)
    definition = definition_from_json(
        body, node.catalogue, node.world.now(), task_id=task.id, owner=call.actor, base=task.definition, known=known
    )
    # Without a version the edit still builds on what was read here, not on what came after.
    expected = task.state.version if version is None else version
    edited: Task = await node.command(task.id, lambda reply: EditTask(definition, expected, call.actor, reply))
    return await _full(node, edited)


async def cancel_task(node: Node, call: Call) -> None:
    """Cancel a task, or remove it for good."""
    task = await node.task(call["task"])
    if call["permanent"]:
        await node.command(task.id, lambda reply: DeleteTask(task.id, call.actor, reply))
    else:
        await node.command(task.id, lambda reply: CancelTask(task.id, call.actor, reply))


async def retry_task(node: Node, call: Call) -> Json:
    """Run the last execution again."""
    task = await node.task(call["task"])
    reset: bool = call["resetFailureCount"]
    last = await node.execution(task.state.last_execution) if task.state.last_execution else None
    execution = None if last is None else last.execution
    retried: Task = await node.command(task.id, lambda reply: RetryTask(task.id, execution, reset, call.actor, reply))
    return await _full(node, retried)


async def configure_task(node: Node, call: Call) -> Json:
    """Change retry numbers."""
    task = await node.task(call["task"])
    retries: int | None = call["maxRetries"]
    delay = None if call["retryDelay"] is None else call["retryDelay"] * MILLISECOND
    if retries is None and delay is None:
        raise InvalidRequest("maxRetries, retryDelay: at least one of them")
    configured: Task = await node.command(
        task.id, lambda reply: ConfigureTask(task.id, retries, delay, call.actor, reply)
    )
    return await _full(node, configured)


async def resume_task(node: Node, call: Call) -> Json:
    """Go on with an execution that is held."""
    task = await node.task(call["task"])
    return await _full(node, await node.command(task.id, lambda reply: ResumeTask(task.id, call.actor, reply)))


async def run_task(node: Node, call: Call) -> Json:
    """Run now."""
    task = await node.task(call["task"])
    fields = Fields(call["body"] or {})
    parameters, correlation = fields.take("parameters"), fields.text("correlation")
    fields.finish()
    if correlation is not None and not 1 <= len(correlation) <= _MAX_WORD:
        raise InvalidRequest(f"correlation: 1 to {_MAX_WORD} characters, not {len(correlation)}")
    text = None
    if parameters is not None:
        text = parameters_text(parameters)
        known_type(node.catalogue, task.definition.type).check_parameters(parameters)
    execution: Execution = await node.command(
        task.id, lambda reply: RunTask(task.id, text, call.channel, correlation, call.actor, reply)
    )
    return execution_view(execution)


async def pause_task(node: Node, call: Call) -> Json:
    """Fire no more."""
    fields = Fields(call["body"] or {})
    note = check_note(fields.take("note"))
    fields.finish()
    task = await node.task(call["task"])
    return await _full(node, await node.command(task.id, lambda reply: PauseTask(task.id, note, call.actor, reply)))


async def activate_task(node: Node, call: Call) -> Json:
    """Go on, or begin anew."""
    task = await node.task(call["task"])
    fields = Fields(call["body"] or {})
    value = fields.take("trigger")
    fields.finish()
    trigger, bounds = None, None
    if value is not None:
        known = await resolve(node, references_in({"trigger": value}), task.definition.tenant)
        trigger, bounds = trigger_from_json(value, node.world.now(), known=known)
        trigger = seeded(trigger, task.id)
        check_when(trigger, bounds, node.world.now())
    activated: Task = await node.command(
        task.id, lambda reply: ActivateTask(task.id, trigger, bounds, call.actor, reply)
    )
    return await _full(node, activated)


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
    return {
        "list": [outcome_view(row) for row in rows[:limit]],
        "more": len(rows) > limit,
        "since": show_instant(since),
        "until": show_instant(until),
    }


async def why(node: Node, call: Call) -> Json:
    """What became of one nominal time, or of one execution."""
    try:
        task = await node.task(call["task"])
    except NotFound as error:
        return await _why_execution(node, call, error)
    now = node.world.now()
    at, row = await _asked(node, task, call["at"], now)
    detail = None
    if row is not None and row.execution_id is not None and row.state is not None:
        detail = await node.execution(row.execution_id)
    revisions = await node.revisions(task.id)
    told = answer(Case(task, at, now, row, detail, revisions))
    newest = await _telling(node, task) if call["at"] is None else None
    return (await _with_parents(node, task, _with_newest(told, task, newest))).view()


async def _why_execution(node: Node, call: Call, no_task: NotFound) -> Json:
    try:
        detail = await node.execution(call["task"])
    except NotFound:
        raise no_task from None
    if call["at"] is not None:
        raise InvalidRequest(f"at: goes with a task, and {show(call['task'])} is an execution")
    task = await node.task(detail.execution.task_id)
    newest = detail if task.state.last_execution == detail.execution.id or detail.execution.is_open else None
    return (await _with_parents(node, task, _with_newest(of_execution(task, detail), task, newest))).view()


async def _with_parents(node: Node, task: Task, told: Answer) -> Answer:
    """An answer about what waits for parents also says which of them hold it."""
    if WAITS_FOR_PARENTS not in told.lines or (held_by := await node.held_by(task)) is None:
        return told
    return attrs.evolve(told, lines=(*told.lines, f"What holds it: {held_by}."))


def _with_newest(told: Answer, task: Task, newest: ExecutionDetail | None) -> Answer:
    more = () if newest is None else newest_lines(task, newest.execution)
    return attrs.evolve(told, lines=(*told.lines, *(line for line in more if line not in told.lines)))


async def _asked(node: Node, task: Task, at: Instant | None, now: Instant) -> tuple[Instant, OutcomeRow | None]:
    """The instant meant, and the ledger's row about it. Without a time: the last settled one, else the next."""
    if at is None:
        at = task.state.settled_through
        rows = await node.outcomes(task.id, since=at, until=at, limit=1)
        if rows:
            return at, rows[0]
        return (task.state.next_fire or now), None
    exact = meant(task.definition.trigger, task.definition.bounds, at)
    rows = await node.outcomes(task.id, since=exact, until=exact, limit=1)
    if not rows and at % SECOND == 0:
        # Under a former definition the slot may lie anywhere in the second that was asked about.
        rows = await node.outcomes(task.id, since=at, until=Instant(at + SECOND - 1), limit=1)
        return (rows[0].first if rows else exact), (rows[0] if rows else None)
    return exact, (rows[0] if rows else None)


async def show_execution(node: Node, call: Call) -> Json:
    """One execution in full."""
    return detail_view(await node.execution(call["execution"]))


async def cancel_execution(node: Node, call: Call) -> Json:
    """End one execution."""
    execution = (await node.execution(call["execution"])).execution
    cancelled: Execution = await node.command(
        execution.task_id, lambda reply: CancelExecution(execution.task_id, execution.id, call.actor, reply)
    )
    return execution_view(cancelled)


async def list_logs(node: Node, call: Call) -> Json:
    """Logged lines after a sequence number, with the execution's state so that a follower knows when to stop."""
    state = (await node.execution(call["execution"])).execution.state
    lines = await node.logs(call["execution"], after=call["after"], limit=call["limit"])
    return {"list": [log_view(line) for line in lines], "state": state.value}


SERVICES: Final[Mapping[str, Service]] = {
    function.__name__: function
    for function in (
        list_tasks,
        add_task,
        find_task,
        show_task,
        show_definition,
        edit_task,
        cancel_task,
        retry_task,
        configure_task,
        resume_task,
        run_task,
        pause_task,
        activate_task,
        list_executions,
        list_deliveries,
        list_outcomes,
        next_fires,
        why,
        show_execution,
        cancel_execution,
        list_logs,
        preview_cron,
        list_types,
        counts,
        show_node,
        version,
        live,
        ready,
    )
}
"""Name of an operation -> what it does."""
