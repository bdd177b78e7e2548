"""The table of operations: name, arguments, permission, result and errors. REST, client and command line stand on it.

It is data only, so that the command line can read it without loading a server. What an operation does is the function of
the same name in `tocsin/services/table.py`.
"""

from __future__ import annotations

from typing import Final

from runtime import errors

from .access import ACCESS
from .channels import CHANNELS
from .operation import BODY as _BODY
from .operation import CHANGE as _CHANGE
from .operation import EXECUTION as _EXECUTION
from .operation import FIND as _FIND
from .operation import INPUT as _INPUT
from .operation import OFFSET as _OFFSET
from .operation import OPTIONAL_BODY as _OPTIONAL_BODY
from .operation import TASK as _TASK
from .operation import WRITE as _WRITE
from .operation import Argument as Argument
from .operation import Operation as Operation
from .operation import Permission as Permission
from .operation import limit_of as _limit
from .overviews import OVERVIEWS
from .queue import QUEUE

MAX_PREVIEW: Final = 1_000
"""Instants of one preview: some milliseconds of arithmetic."""

MAX_LOG_LINES: Final = 5_000
"""Log lines of one answer."""

_CALENDAR: Final = Argument("calendar", "path", "text", "a calendar's name", required=True)
_NODE: Final = Argument("node", "path", "text", "a node's name", required=True)

_SYSTEM: Final = Argument("system", "query", "flag", "whether the system's own tasks are there too; false if absent")

OPERATIONS: Final = (
    Operation(
        "list_tasks",
        "GET",
        "/tasks",
        "One page of tasks; all filters combine",
        "viewer",
        (
            Argument("status", "query", "text", "a status in any letter case"),
            Argument("type", "query", "text", "a task type"),
            Argument("text", "query", "text", "a part of the name"),
            Argument("level", "query", "text", "user, company or all; all that the caller sees if absent"),
            _SYSTEM,
            Argument("sortBy", "query", "text", "a field name, with :asc or :desc"),
            _OFFSET,
            _limit(50),
        ),
        errors=(*_INPUT, errors.Forbidden),
        seed=True,
    ),
    Operation(
        "add_task",
        "POST",
        "/tasks",
        "Make a task; asked again with the same `taskId` it answers the same task",
        "operator",
        (Argument("taskId", "query", "text", "the id that it shall have, a UUID"), _BODY),
        201,
        (*_INPUT, *_WRITE),
        seed=True,
    ),
    Operation(
        "find_task",
        "GET",
        "/task",
        "One task in full, by a name that a path cannot hold",
        "viewer",
        (Argument("reference", "query", "text", "id, prefix or name", required=True),),
        errors=_FIND,
    ),
    Operation("show_task", "GET", "/tasks/{task}", "One task in full", "viewer", (_TASK,), errors=_FIND, seed=True),
    Operation(
        "show_definition",
        "GET",
        "/tasks/{task}/definition",
        "What a person wrote, as a body that adding and editing take",
        "viewer",
        (_TASK,),
        errors=_FIND,
    ),
    Operation(
        "edit_task",
        "PUT",
        "/tasks/{task}",
        "Change a definition; absent fields stay, `version` guards against a change meanwhile",
        "operator",
        (_TASK, _BODY),
        errors=(*_INPUT, *_WRITE),
        seed=True,
    ),
    Operation(
        "cancel_task",
        "DELETE",
        "/tasks/{task}",
        "Cancel a task and what it runs; its record stays, unless `permanent`",
        "operator",
        (_TASK, Argument("permanent", "query", "flag", "remove the task with its history", default=False)),
        204,
        _WRITE,
        seed=True,
    ),
    Operation(
        "retry_task",
        "POST",
        "/tasks/{task}/retry",
        "Run the last execution again, which has failed",
        "operator",
        (_TASK, Argument("resetFailureCount", "query", "flag", "count failures from 0 again", default=False)),
        errors=_WRITE,
        seed=True,
    ),
    Operation(
        "configure_task",
        "PUT",
        "/tasks/{task}/config",
        "Change retry numbers; an absent one stays",
        "operator",
        (
            _TASK,
            Argument("maxRetries", "query", "whole", "retries after the first attempt", high=1_000),
            Argument("retryDelay", "query", "whole", "milliseconds between attempts", high=3_155_760_000_000),
        ),
        errors=(*_INPUT, *_WRITE),
        seed=True,
    ),
    Operation(
        "resume_task",
        "POST",
        "/tasks/{task}/resume",
        "Go on with an execution that is held after a crash",
        "operator",
        (_TASK,),
        errors=_WRITE,
        seed=True,
    ),
    Operation(
        "run_task",
        "POST",
        "/tasks/{task}/run",
        "Run now, with parameters of its own if given; answers the execution",
        "operator",
        (_TASK, _OPTIONAL_BODY),
        202,
        (*_INPUT, *_WRITE),
    ),
    Operation(
        "pause_task", "POST", "/tasks/{task}/pause", "Fire no more", "operator", (_TASK, _OPTIONAL_BODY), errors=_WRITE
    ),
    Operation(
        "activate_task",
        "POST",
        "/tasks/{task}/activate",
        "Go on after a pause, or begin anew, with another trigger if given",
        "operator",
        (_TASK, _OPTIONAL_BODY),
        errors=(*_INPUT, *_WRITE),
    ),
    Operation(
        "list_executions",
        "GET",
        "/tasks/{task}/executions",
        "Executions, newest first",
        "viewer",
        (_TASK, _OFFSET, _limit(50)),
        errors=_FIND,
    ),
    Operation(
        "list_deliveries",
        "GET",
        "/tasks/{task}/deliveries",
        "What became of what its event triggers wanted done, newest first",
        "viewer",
        (_TASK, _OFFSET, _limit(50)),
        errors=_FIND,
    ),
    Operation(
        "list_outcomes",
        "GET",
        "/tasks/{task}/outcomes",
        "The ledger: what became of each nominal time",
        "viewer",
        (
            _TASK,
            Argument("since", "query", "instant", "from this time on; a day ago if absent"),
            Argument("until", "query", "instant", "up to this time; now if absent"),
            Argument("newest", "query", "flag", "the newest first, and of too many rows those", default=False),
            _limit(200),
        ),
        errors=_FIND,
    ),
    Operation(
        "next_fires",
        "GET",
        "/tasks/{task}/next",
        "The next nominal times",
        "viewer",
        (_TASK, Argument("count", "query", "whole", "how many", default=10, low=1, high=MAX_PREVIEW)),
        errors=_FIND,
    ),
    Operation(
        "why",
        "GET",
        "/tasks/{task}/why",
        "What became of one nominal time, or of an execution given by its id, and why",
        "viewer",
        (_TASK, Argument("at", "query", "instant", "the nominal time; the last one if absent")),
        errors=_FIND,
    ),
    Operation(
        "show_execution",
        "GET",
        "/executions/{execution}",
        "One execution with attempts, result and progress",
        "viewer",
        (_EXECUTION,),
        errors=_FIND,
    ),
    Operation(
        "cancel_execution",
        "POST",
        "/executions/{execution}/cancel",
        "End one execution, with a note that tells its handler and others why; its task stays",
        "operator",
        (_EXECUTION, _OPTIONAL_BODY),
        errors=(*_INPUT, *_WRITE),
    ),
    Operation(
        "release_execution",
        "POST",
        "/executions/{execution}/release",
        "Give up waiting for an abandoned handler: it occupies neither its task nor a slot any more",
        "operator",
        (_EXECUTION,),
        errors=_WRITE,
    ),
    Operation(
        "list_logs",
        "GET",
        "/executions/{execution}/logs",
        "Lines that a handler logged, after a sequence number",
        "viewer",
        (
            _EXECUTION,
            Argument("after", "query", "whole", "sequence number", default=0, high=2**53),
            _limit(1_000, MAX_LOG_LINES),
        ),
        errors=_FIND,
    ),
    Operation(
        "preview_cron", "POST", "/cron/next", "The next times of an expression", "viewer", (_BODY,), errors=_INPUT
    ),
    Operation(
        "preview_trigger",
        "POST",
        "/triggers/preview",
        "The next times of a trigger that is not saved, in words too, and what it does when clocks change",
        "viewer",
        (_BODY,),
        errors=(*_INPUT, *_FIND),
    ),
    Operation("show_scheduler", "GET", "/scheduler", "Whether the whole scheduler is paused", "viewer"),
    Operation(
        "pause_scheduler",
        "POST",
        "/scheduler/pause",
        "Settle and start nothing until resumed; what runs goes on",
        "operator",
        (_OPTIONAL_BODY,),
        errors=(*_INPUT, *_CHANGE),
        whole=True,
    ),
    Operation(
        "resume_scheduler",
        "POST",
        "/scheduler/resume",
        "Go on; what came due meanwhile is made up for under each task's catch-up policy",
        "operator",
        errors=_CHANGE,
        whole=True,
    ),
    Operation("list_locks", "GET", "/locks", "Concurrency keys, who holds them and how many wait", "viewer"),
    Operation(
        "release_lock",
        "POST",
        "/locks/release",
        "Take a concurrency key from an execution, or from all that hold it",
        "operator",
        (_BODY,),
        errors=(*_INPUT, *_WRITE),
    ),
    Operation(
        "list_queues", "GET", "/queues", "Queues with their limits, what runs and what waits", "viewer", whole=True
    ),
    Operation("list_calendars", "GET", "/calendars", "The newest version of every calendar", "viewer"),
    Operation(
        "show_calendar",
        "GET",
        "/calendars/{calendar}",
        "A calendar, in this version or the newest one",
        "viewer",
        (_CALENDAR, Argument("version", "query", "whole", "the newest if absent", low=1, high=2**31 - 1)),
        errors=_FIND,
    ),
    Operation(
        "put_calendar",
        "PUT",
        "/calendars/{calendar}",
        "Keep a calendar as its next version; every task that uses it follows",
        "operator",
        (_CALENDAR, _BODY),
        errors=(*_INPUT, *_CHANGE),
    ),
    Operation(
        "delete_calendar",
        "DELETE",
        "/calendars/{calendar}",
        "Remove a calendar that no task uses",
        "operator",
        (_CALENDAR,),
        204,
        _WRITE,
    ),
    Operation(
        "purge",
        "POST",
        "/purge",
        "Remove history that is not to be kept; body: task, states, olderThan, all of them optional",
        "administrator",
        (_OPTIONAL_BODY,),
        errors=(*_INPUT, *_FIND, *_CHANGE),
    ),
    Operation("list_nodes", "GET", "/nodes", "The nodes, what they carry, and who leads", "viewer"),
    Operation("show_member", "GET", "/nodes/{node}", "One node in full", "viewer", (_NODE,), errors=_FIND),
    Operation(
        "drain_node",
        "POST",
        "/nodes/{node}/drain",
        "Have a node take nothing new and give its partitions to others; what runs there goes on",
        "administrator",
        (_NODE, Argument("undo", "query", "flag", "take part again", default=False)),
        errors=(*_FIND, *_CHANGE),
        whole=True,
    ),
    Operation(
        "switch_executor",
        "POST",
        "/nodes/{node}/executor",
        "Have a node take executions, or no new ones; what runs there goes on",
        "administrator",
        (_NODE, Argument("on", "query", "flag", "whether it takes them", default=True)),
        errors=(*_FIND, *_CHANGE),
        whole=True,
    ),
    Operation(
        "show_process",
        "GET",
        "/nodes/{node}/process",
        "The operating system's process that a node is",
        "administrator",
        (_NODE,),
        errors=(*_FIND, errors.PeerUnreachable, errors.ReplyTimeout),
        whole=True,
    ),
    Operation(
        "show_canaries", "GET", "/canaries", "How the canaries of the cluster are that run all the time", "viewer"
    ),
    Operation(
        "add_canaries",
        "POST",
        "/canaries",
        "Make canaries for a drill; body: drill, every, number (one for each partition if absent), until",
        "operator",
        (_BODY,),
        201,
        (*_INPUT, *_WRITE),
        whole=True,
    ),
    Operation("list_partitions", "GET", "/partitions", "Every partition with owner and epoch", "viewer"),
    Operation(
        "raise_fence",
        "POST",
        "/fence/raise",
        "After a loss of authority: lift every epoch above all that were ever handed out",
        "administrator",
        errors=(errors.Conflict, *_CHANGE),
        whole=True,
    ),
    Operation(
        "plan",
        "POST",
        "/plan",
        "What applying files of definitions would change, with the diff of fire times; body: files, owner, prune, fires",
        "viewer",
        (_BODY,),
        errors=(*_INPUT, *_FIND),
    ),
    Operation(
        "apply_plan",
        "POST",
        "/apply",
        "Make tasks and calendars as files say; body as of a plan, with the digest of the plan if only that one is wanted",
        "operator",
        (_BODY,),
        errors=(*_INPUT, *_WRITE),
    ),
    Operation(
        "export",
        "GET",
        "/export",
        "All tasks that have not ended and all calendars, as the text of a file",
        "viewer",
        (Argument("format", "query", "text", "yaml or json", default="yaml"),),
        errors=_INPUT,
    ),
    *OVERVIEWS,
    *QUEUE,
    *CHANNELS,
    *ACCESS,
    Operation("list_types", "GET", "/types", "The task types of this node", "viewer"),
    Operation("counts", "GET", "/counts", "Totals by status and outcome", "viewer", (_SYSTEM,), errors=_INPUT),
    Operation("show_node", "GET", "/node", "The tree of actors", "viewer"),
    Operation("version", "GET", "/version", "Versions", "viewer"),
    Operation("live", "GET", "/health/live", "The process answers", "none"),
    Operation("ready", "GET", "/health/ready", "The node keeps time", "none", errors=(errors.StoreUnavailable,)),
)

BY_NAME: Final = {operation.name: operation for operation in OPERATIONS}
