"""What each operation of the table does: one function per name, on a node.

Every function takes a `Call`, whose arguments were read and checked by the table, and answers JSON (or None). It decides nothing
about tasks: it reads the request into records, asks the node, and shows what it answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from actors.command_messages import (
    ActivateTask,
    CancelTask,
    ConfigureTask,
    DeleteTask,
    EditTask,
    PauseTask,
    ResumeTask,
    RunTask,
)
from actors.model.execution import Execution
from actors.model.system import OWN_TYPES
from actors.model.task import Task
from actors.store.answers import TaskFilter
from actors.tracing import asked_here
from runtime.clock import MILLISECOND
from runtime.errors import InvalidRequest, NotFound

from ..access.commands import check_commands, check_parameters
from ..access.services import SERVICES as ACCESS_SERVICES
from ..channels.services import invoke
from ..operations.calls import Call, Service
from ..plans.services import apply_plan, export, plan
from ..queue.jobs import queue_data, queue_delete, queue_flush, queue_list, queue_rename, queue_update, scope_at
from ..queue.workers import queue_heartbeat, queue_next, queue_save, queue_start
from ..vocabulary.checks import (
    check_editable,
    check_note,
    check_run_id,
    check_when,
    known_type,
    parameters_text,
    parse_status,
)
from ..vocabulary.definitions import definition_from_json, definition_json
from ..vocabulary.fields import Fields, show
from ..vocabulary.policies import policy_sources
from ..vocabulary.references import references_in, resolve
from ..vocabulary.triggers import seeded, trigger_from_json
from ..vocabulary.views import Json, execution_view, page_view, task_detail_view
from .activity import find_executions, recent
from .bulk import bulk, retry
from .calendars import delete_calendar, list_calendars, put_calendar, show_calendar
from .canaries import add_canaries, show_canaries
from .catch_up import discard_catch_up, preview_catch_up, show_catch_up
from .cluster import (
    drain_node,
    list_handovers,
    list_nodes,
    list_partitions,
    raise_fence,
    show_member,
    show_process,
    show_tree,
    switch_executor,
)
from .coming import upcoming
from .executions import (
    cancel_execution,
    list_deliveries,
    list_executions,
    list_logs,
    list_outcomes,
    release_execution,
    show_execution,
    telling,
)
from .load import show_load, spread_load
from .making import made_before
from .node import counts, list_types, live, ready, show_node, version
from .purge import purge
from .scheduler import list_locks, list_queues, pause_scheduler, release_lock, resume_scheduler, show_scheduler
from .task_lists import views
from .triggers import next_fires, preview_cron, preview_trigger
from .why import why

if TYPE_CHECKING:
    from actors.node import Node

SORTS: Final = {
    "itemId": "id",
    "name": "name",
    "taskType": "type",
    "status": "status",
    "nextScheduledExecution": "coming",
    "lastExecutionDate": "last_started_at",
    "failureCount": "failure_count",
    "createdAt": "created_at",
}
"""What `sortBy` may name -> the store's column."""

CHILDREN_SHOWN: Final = 50
"""Tasks that wait for a task, of which its view names so many."""

_MAX_WORD: Final = 128
"""Characters of a correlation id or a filter's text."""


def task_filter(call: Call) -> TaskFilter:
    """Which tasks a list holds. Raises InvalidRequest."""
    sort, _, direction = (call["sortBy"] or "itemId").partition(":")
    if sort not in SORTS or direction.lower() not in ("", "asc", "desc"):
        raise InvalidRequest(f"sortBy: one of {', '.join(SORTS)}, with :asc or :desc, not {show(call['sortBy'])}")
    among = scope_at(call.caller, call.arguments.get("level"))
    return TaskFilter(
        tenant=among.tenant,
        owner=among.owner,
        status=None if call["status"] is None else parse_status(call["status"]),
        type=call["type"],
        text=call["text"],
        sort=SORTS[sort],
        descending=direction.lower() == "desc",
        offset=call["offset"],
        limit=call["limit"],
        system=_with_system(call.arguments.get("system"), call["type"]),
    )


def _with_system(said: bool | None, kind: str | None) -> bool:
    """Whether a list holds the system's own tasks: as is said, else if it is one of their types that is asked for."""
    return kind in OWN_TYPES if said is None else said


async def list_tasks(node: Node, call: Call) -> Json:
    """One page of the tasks in the store and on this node."""
    wanted = task_filter(call)
    page = await node.page(wanted)
    return page_view(await views(node, page.tasks), wanted.offset, wanted.limit, page.total)


async def add_task(node: Node, call: Call) -> Json:
    """Make a task. Asked again with the same `taskId` it answers the same task."""
    task_id = check_run_id(call.arguments.get("taskId"), "taskId") or node.world.new_id()
    if (before := await made_before(node, call, task_id)) is not None:
        return await _full(node, before)
    tenant = node.scope.home
    known = await resolve(node, references_in(call["body"]), tenant)
    definition = definition_from_json(
        call["body"],
        node.catalogue,
        node.world.now(),
        task_id=task_id,
        tenant=tenant,
        owner=call.owner,
        known=known,
    )
    await check_commands(node, call.caller, [definition])
    [made] = await node.create([definition], call.actor)
    if isinstance(made, Exception):
        # Who asks again while the first request is still being carried out is refused by what that one made.
        if (before := await made_before(node, call, task_id)) is None:
            raise made
        made = before
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
    relatives = {"parents": await _parents(node, task), "children": await _children(node, task)}
    return task_detail_view(task, await telling(node, task), node.config.name) | {"policySources": sources} | relatives


async def _parents(node: Node, task: Task) -> list[Json]:
    """The tasks that it waits for; those that are gone too."""
    dependencies = task.definition.dependencies
    return [] if dependencies is None else [await _relative(node, parent) for parent in dependencies.parents]


async def _children(node: Node, task: Task) -> list[Json]:
    """The tasks that wait for it, the first ones."""
    return [await _relative(node, child) for child in sorted(node.control.children(task.id))[:CHILDREN_SHOWN]]


async def _relative(node: Node, task_id: str) -> Json:
    try:
        task = await node.task(task_id)
    except NotFound:
        return {"id": task_id, "name": None, "status": None, "lastState": None}
    state = task.state
    return {
        "id": task_id,
        "name": task.definition.name,
        "status": state.status.value,
        "lastState": state.last_state and state.last_state.value,
    }


async def show_definition(node: Node, call: Call) -> Json:
    """What a person wrote, in the form in which it can be sent back."""
    return definition_json((await node.task(call["task"])).definition)


async def edit_task(node: Node, call: Call) -> Json:
    """Change a definition."""
    task = await node.task(call["task"])
    check_editable(task.definition)
    body = dict(call["body"]) if isinstance(call["body"], dict) else call["body"]
    version = body.pop("version", None) if isinstance(body, dict) else None
    if version is not None and (not isinstance(version, int) or isinstance(version, bool)):
        raise InvalidRequest(f"version: a whole number, not {show(version)}")
    known = await resolve(node, references_in(body), task.definition.tenant)
    definition = definition_from_json(
        body,
        node.catalogue,
        node.world.now(),
        task_id=task.id,
        owner=str(call.actor),
        base=task.definition,
        known=known,
    )
    # What is not named stays as it was read here, so that must not have been changed; that the task runs is no change.
    base = task.definition
    await check_commands(node, call.caller, [definition], [base])
    edited: Task = await node.command(task.id, lambda reply: EditTask(definition, version, call.actor, reply, base))
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
    return await _full(node, await retry(node, task, call.actor, reset=call["resetFailureCount"]))


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
    """Run now. Asked again with the same `executionId` it answers the same execution."""
    task = await node.task(call["task"])
    fields = Fields(call["body"] or {})
    parameters, correlation = fields.take("parameters"), fields.text("correlation")
    wanted = check_run_id(fields.text("executionId"))
    fields.finish()
    if correlation is not None and not 1 <= len(correlation) <= _MAX_WORD:
        raise InvalidRequest(f"correlation: 1 to {_MAX_WORD} characters, not {len(correlation)}")
    text = None
    if parameters is not None:
        text = parameters_text(parameters)
        check_parameters(call.caller, task.definition)
        known_type(node.catalogue, task.definition.type).check_parameters(parameters)
    execution: Execution = await node.command(
        task.id, lambda reply: RunTask(task.id, asked_here(text), call.channel, correlation, call.actor, reply, wanted)
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
        purge,
        list_executions,
        list_deliveries,
        list_outcomes,
        next_fires,
        why,
        show_execution,
        cancel_execution,
        release_execution,
        list_logs,
        preview_cron,
        preview_trigger,
        show_scheduler,
        pause_scheduler,
        resume_scheduler,
        list_locks,
        release_lock,
        list_queues,
        list_calendars,
        show_calendar,
        put_calendar,
        delete_calendar,
        list_nodes,
        show_member,
        drain_node,
        switch_executor,
        show_process,
        show_canaries,
        add_canaries,
        list_partitions,
        list_handovers,
        raise_fence,
        find_executions,
        recent,
        upcoming,
        show_catch_up,
        preview_catch_up,
        discard_catch_up,
        show_load,
        spread_load,
        bulk,
        show_tree,
        plan,
        apply_plan,
        export,
        queue_start,
        queue_next,
        queue_save,
        queue_heartbeat,
        queue_list,
        queue_data,
        queue_delete,
        queue_rename,
        queue_update,
        queue_flush,
        invoke,
        list_types,
        counts,
        show_node,
        version,
        live,
        ready,
        *ACCESS_SERVICES,
    )
}
"""Name of an operation -> what it does."""
