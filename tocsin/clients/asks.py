"""Everything that can be asked of a node: one function for each operation, which says how it is asked and how its answer is read.

Both clients have these as methods. A change is repeated after a lost answer only where that comes to the same; a task that is
made and an execution that is run have ids chosen here for that, so that the node knows them again.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from runtime.errors import ReplyTimeout

from .asking_core import LOOK_SECONDS, Ask, Script, Session, Steps, Wait
from .giving import PAGE, Json, Time, body_of, gone, named, nothing, time_of, whole
from .records import (
    CalendarInfo,
    CalendarRef,
    CountsInfo,
    DeliveryInfo,
    ExecutionInfo,
    ExecutionRef,
    ForecastInfo,
    LockInfo,
    LogLine,
    NodeInfo,
    NodeRef,
    OutcomeInfo,
    Page,
    PartitionInfo,
    PauseInfo,
    PurgedInfo,
    QueueInfo,
    TaskInfo,
    TaskRef,
    TypeInfo,
    WhyInfo,
    list_reader,
    page_reader,
    reader,
)

TASK = reader(TaskInfo)
EXECUTION = reader(ExecutionInfo)
NODE = reader(NodeInfo)
PAUSE = reader(PauseInfo)
FORECAST = reader(ForecastInfo)


# -- tasks


def list_tasks(
    *,
    status: str | None = None,
    type: str | None = None,  # noqa: A002
    text: str | None = None,
    sort: str | None = None,
    level: str | None = None,
    system: bool | None = None,
    offset: int = 0,
    limit: int = 50,
) -> Ask[Page[TaskInfo]]:
    """One page of tasks; all filters combine. sort: a field with `:asc` or `:desc`, such as `lastExecutionDate:desc`.

    level: user, company or all; all that the caller sees if not said. system: whether the system's own tasks are there too.
    """
    filters = {"system": system, "status": status, "type": type, "text": text, "level": level, "sortBy": sort}
    return Ask("list_tasks", {**filters, "offset": offset, "limit": limit}, page_reader(TaskInfo))


def tasks(
    *,
    status: str | None = None,
    type: str | None = None,  # noqa: A002
    text: str | None = None,
    sort: str | None = None,
) -> Callable[[int], Ask[Page[TaskInfo]]]:
    """Every task that fits, page by page."""
    return lambda offset: list_tasks(status=status, type=type, text=text, sort=sort, offset=offset, limit=PAGE)


def show_task(task: TaskRef) -> Ask[TaskInfo]:
    """A task in full, by id, unique prefix of an id, or name. Raises NotFound."""
    return Ask("show_task", {"task": task}, TASK)


def show_definition(task: TaskRef) -> Ask[dict[str, Any]]:
    """What a person wrote, as a body that `add_definition` takes."""
    return Ask("show_definition", {"task": task}, whole)


def add_task(
    name: str,
    type: str,  # noqa: A002
    *,
    trigger: Json,
    parameters: Json | None = None,
    policies: Json | None = None,
    tags: Sequence[str] | None = None,
    labels: Mapping[str, str] | None = None,
    dependencies: Json | None = None,
    events: Sequence[Json] | None = None,
    placement: Json | str | None = None,
    extra: Json | None = None,
    persistent: bool | None = None,
    task_id: str | None = None,
) -> Ask[TaskInfo]:
    """Make a task: `add_task("eu", "reports.daily", trigger={"cron": "30 2 * * *", "timezone": "Europe/Berlin"})`.

    Fields are those of the reference; trigger, policies and dependencies may be in snake case. task_id: the id that it shall
    have, a UUID; who asks again with the same one, because an answer was lost, gets the same task.
    Raises InvalidRequest, Conflict.
    """
    body = body_of(
        name=name, task_type=type, trigger=named(trigger), parameters=parameters, policies=named(policies),
        tags=None if tags is None else list(tags), labels=labels, dependencies=named(dependencies),
        events=None if events is None else list(events), placement=placement, extra=extra, persistent=persistent,
    )  # fmt: skip
    return add_definition(body, task_id=task_id)


def add_definition(definition: Json, *, task_id: str | None = None) -> Ask[TaskInfo]:
    """Make a task of a whole definition, as JSON has it. task_id: as for `add_task`."""
    arguments = {"body": definition, "taskId": task_id or str(uuid.uuid4())}
    return Ask("add_task", arguments, TASK, repeatable=True)


def edit_task(task: TaskRef, changes: Json, *, version: int | None = None) -> Ask[TaskInfo]:
    """Change a definition; absent fields stay. version: refuse if the task has another one by now. Raises StaleVersion."""
    body = {**named({key: value for key, value in changes.items() if key not in _VERBATIM})}
    body |= {key: value for key, value in changes.items() if key in _VERBATIM} | body_of(version=version)
    return Ask("edit_task", {"task": task, "body": body}, TASK, repeatable=version is None)


_VERBATIM = ("parameters", "labels", "extra", "events", "placement")
"""Fields whose keys are the user's own, or are taken as they stand."""


def cancel_task(task: TaskRef) -> Ask[None]:
    """Cancel a task and what it runs; its record stays."""
    return Ask("cancel_task", {"task": task}, nothing, repeatable=True)


def delete_task(task: TaskRef) -> Ask[bool]:
    """Remove a task with its history, for good. Answers True."""
    arguments = {"task": task, "permanent": True}
    return Ask("cancel_task", arguments, lambda _: True, repeatable=True, done=gone)


def retry_task(task: TaskRef, *, reset_failure_count: bool = False) -> Ask[TaskInfo]:
    """Run the last execution again, which has failed. Raises Conflict if it has not."""
    return Ask("retry_task", {"task": task, "resetFailureCount": reset_failure_count}, TASK)


def configure_task(
    task: TaskRef, *, max_retries: int | None = None, retry_delay_ms: int | None = None
) -> Ask[TaskInfo]:
    """Change retry numbers; an absent one stays."""
    arguments = {"task": task, "maxRetries": max_retries, "retryDelay": retry_delay_ms}
    return Ask("configure_task", arguments, TASK, repeatable=True)


def resume_task(task: TaskRef) -> Ask[TaskInfo]:
    """Go on with an execution that is held after a crash. Raises Conflict if none is."""
    return Ask("resume_task", {"task": task}, TASK)


def pause_task(task: TaskRef, *, note: str | None = None) -> Ask[TaskInfo]:
    """Fire no more. note: why, for the others."""
    return Ask("pause_task", {"task": task, "body": body_of(note=note)}, TASK)


def activate_task(task: TaskRef, *, trigger: Json | None = None) -> Ask[TaskInfo]:
    """Go on after a pause, or begin anew, with another trigger if given."""
    return Ask("activate_task", {"task": task, "body": body_of(trigger=named(trigger))}, TASK)


def run_task(
    task: TaskRef, parameters: Json | None = None, *, correlation: str | None = None, execution_id: str | None = None
) -> Ask[ExecutionInfo]:
    """Run now, with parameters of its own if given; answers the execution, which `wait` waits for.

    execution_id: that it shall have, a UUID; who asks again with the same one, because an answer was lost, gets the same.
    """
    wanted = execution_id or str(uuid.uuid4())
    body = body_of(parameters=parameters, correlation=correlation, execution_id=wanted)
    return Ask("run_task", {"task": task, "body": body}, EXECUTION, repeatable=True)


def next_fires(task: TaskRef, *, count: int = 10) -> Ask[ForecastInfo]:
    """The next nominal times of a task."""
    return Ask("next_fires", {"task": task, "count": count}, FORECAST)


def why(task: TaskRef | ExecutionInfo, at: Time | None = None) -> Ask[WhyInfo]:
    """What became of a nominal time of a task, the last one if none is said, or of an execution, and why."""
    wanted = task.id if isinstance(task, ExecutionInfo) else task
    return Ask("why", {"task": wanted, "at": time_of(at, "at")}, reader(WhyInfo))


def list_outcomes(
    task: TaskRef, *, since: Time | None = None, until: Time | None = None, newest: bool = False, limit: int = 200
) -> Ask[tuple[OutcomeInfo, ...]]:
    """The ledger: what became of each nominal time; of the last day if not said otherwise."""
    span = {"since": time_of(since, "since"), "until": time_of(until, "until"), "newest": newest, "limit": limit}
    return Ask("list_outcomes", {"task": task, **span}, list_reader(OutcomeInfo))


def list_deliveries(task: TaskRef, *, offset: int = 0, limit: int = 50) -> Ask[Page[DeliveryInfo]]:
    """One page of what became of what the task's event triggers wanted done, newest first."""
    return Ask("list_deliveries", {"task": task, "offset": offset, "limit": limit}, page_reader(DeliveryInfo))


def deliveries(task: TaskRef) -> Callable[[int], Ask[Page[DeliveryInfo]]]:
    """Every delivery of a task, newest first."""
    return lambda offset: list_deliveries(task, offset=offset, limit=PAGE)


# -- executions


def list_executions(task: TaskRef, *, offset: int = 0, limit: int = 50) -> Ask[Page[ExecutionInfo]]:
    """One page of a task's executions, newest first."""
    return Ask("list_executions", {"task": task, "offset": offset, "limit": limit}, page_reader(ExecutionInfo))


def executions(task: TaskRef) -> Callable[[int], Ask[Page[ExecutionInfo]]]:
    """Every execution of a task, newest first."""
    return lambda offset: list_executions(task, offset=offset, limit=PAGE)


def show_execution(execution: ExecutionRef) -> Ask[ExecutionInfo]:
    """One execution with attempts, result and progress. Raises NotFound."""
    return Ask("show_execution", {"execution": execution}, EXECUTION)


def cancel_execution(execution: ExecutionRef, *, note: str | None = None) -> Ask[ExecutionInfo]:
    """End one execution; its task stays. note: why, for its handler and for others. Raises Conflict if it has ended."""
    return Ask("cancel_execution", {"execution": execution, "body": body_of(note=note)}, EXECUTION)


def release_execution(execution: ExecutionRef) -> Ask[ExecutionInfo]:
    """Give up waiting for an abandoned handler: it occupies neither its task nor a slot any more."""
    return Ask("release_execution", {"execution": execution}, EXECUTION)


def list_logs(execution: ExecutionRef, *, after: int = 0, limit: int = 1_000) -> Ask[tuple[LogLine, ...]]:
    """Lines that a handler logged, after a sequence number."""
    return Ask("list_logs", {"execution": execution, "after": after, "limit": limit}, list_reader(LogLine))


def wait(execution: ExecutionRef, *, timeout: float | None = None) -> Script[ExecutionInfo]:
    """Wait until an execution has ended, whatever its end; `state` and `result` tell.

    timeout: at most so many seconds. An execution that failed and will be tried again has not ended. Raises ReplyTimeout.
    """

    def play(session: Session) -> Steps[ExecutionInfo]:
        until = None if timeout is None else session.clock() + timeout
        while True:
            found = yield from show_execution(execution).steps(session)
            if found.ended:
                return found
            if until is not None and session.clock() + LOOK_SECONDS > until:
                raise ReplyTimeout(f"execution {found.id} is {found.state} after {timeout:g} s")
            yield Wait(LOOK_SECONDS)

    return Script(play)


# -- times


def preview_cron(expression: str, *, timezone: str | None = None, count: int | None = None) -> Ask[dict[str, Any]]:
    """The next times of a cron expression, in words too."""
    return Ask("preview_cron", {"body": body_of(expression=expression, timezone=timezone, count=count)}, whole)


def preview_trigger(trigger: Json, *, count: int = 10, task: TaskRef | None = None) -> Ask[ForecastInfo]:
    """The next times of a trigger that is not saved. task: as if it were the trigger of this one."""
    return Ask("preview_trigger", {"body": body_of(trigger=named(trigger), count=count, task=task)}, FORECAST)


# -- the scheduler, locks, queues, calendars


def show_scheduler() -> Ask[PauseInfo]:
    """Whether the whole scheduler is paused."""
    return Ask("show_scheduler", {}, PAUSE)


def pause_scheduler(*, note: str | None = None) -> Ask[PauseInfo]:
    """Settle and start nothing until resumed; what runs goes on."""
    return Ask("pause_scheduler", {"body": body_of(note=note)}, PAUSE, repeatable=True)


def resume_scheduler() -> Ask[PauseInfo]:
    """Go on; what came due meanwhile is made up for under each task's catch-up policy."""
    return Ask("resume_scheduler", {}, PAUSE, repeatable=True)


def list_locks() -> Ask[tuple[LockInfo, ...]]:
    """Concurrency keys, who holds them and how many wait."""
    return Ask("list_locks", {}, list_reader(LockInfo))


def release_lock(key: str, *, execution: ExecutionRef | None = None) -> Ask[tuple[str, ...]]:
    """Take a concurrency key from an execution, or from all that hold it; answers which."""
    return Ask("release_lock", {"body": body_of(key=key, execution=execution)}, lambda value: tuple(value["released"]))


def list_queues() -> Ask[tuple[QueueInfo, ...]]:
    """Queues with their limits, what runs and what waits."""
    return Ask("list_queues", {}, list_reader(QueueInfo))


def list_calendars() -> Ask[tuple[CalendarInfo, ...]]:
    """The newest version of every calendar."""
    return Ask("list_calendars", {}, list_reader(CalendarInfo))


def show_calendar(calendar: CalendarRef, *, version: int | None = None) -> Ask[CalendarInfo]:
    """A calendar, in this version or the newest one; `raw` has its days."""
    return Ask("show_calendar", {"calendar": calendar, "version": version}, reader(CalendarInfo))


def put_calendar(calendar: CalendarRef, content: Json) -> Ask[CalendarInfo]:
    """Keep a calendar as its next version; every task that uses it follows."""
    return Ask("put_calendar", {"calendar": calendar, "body": dict(content)}, reader(CalendarInfo))


def delete_calendar(calendar: CalendarRef) -> Ask[bool]:
    """Remove a calendar that no task uses. Answers True; raises Conflict if one does."""
    return Ask("delete_calendar", {"calendar": calendar}, lambda _: True, repeatable=True, done=gone)


def purge(
    *, task: TaskRef | None = None, older_than: str | None = None, states: Sequence[str] | None = None
) -> Ask[PurgedInfo]:
    """Remove history that is not to be kept. older_than: a duration such as `30d`."""
    body = body_of(task=task, older_than=older_than, states=None if states is None else list(states))
    return Ask("purge", {"body": body}, reader(PurgedInfo), repeatable=True)


# -- nodes


def list_nodes() -> Ask[tuple[NodeInfo, ...]]:
    """The nodes, what they carry, and who leads."""
    return Ask("list_nodes", {}, list_reader(NodeInfo))


def show_member(node: NodeRef) -> Ask[NodeInfo]:
    """One node in full. Raises NotFound."""
    return Ask("show_member", {"node": node}, NODE)


def drain_node(node: NodeRef, *, undo: bool = False) -> Ask[NodeInfo]:
    """Have a node take nothing new and give its partitions to others; what runs there goes on."""
    return Ask("drain_node", {"node": node, "undo": undo}, NODE, repeatable=True)


def switch_executor(node: NodeRef, *, on: bool) -> Ask[NodeInfo]:
    """Have a node take executions, or no new ones; what runs there goes on."""
    return Ask("switch_executor", {"node": node, "on": on}, NODE, repeatable=True)


def list_partitions() -> Ask[tuple[PartitionInfo, ...]]:
    """Every partition with owner and epoch."""
    return Ask("list_partitions", {}, list_reader(PartitionInfo))


def list_types() -> Ask[tuple[TypeInfo, ...]]:
    """The task types of the node that answers."""
    return Ask("list_types", {}, list_reader(TypeInfo))


def counts(*, system: bool = False) -> Ask[CountsInfo]:
    """Totals by status and outcome."""
    return Ask("counts", {"system": system or None}, reader(CountsInfo))


def show_node() -> Ask[dict[str, Any]]:
    """The node that answers: its health and its tree of actors."""
    return Ask("show_node", {}, whole)


def version() -> Ask[dict[str, str]]:
    """Versions of what decides how the node behaves."""
    return Ask("version", {}, whole)


def ready() -> Ask[Literal[True]]:
    """Whether the node keeps time: True, or StoreUnavailable is raised, which says why not."""
    return Ask("ready", {}, lambda _: True)
