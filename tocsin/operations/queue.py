"""The rows of the table of operations that are the queue for workers outside of the nodes."""

from __future__ import annotations

from typing import Final

from runtime import errors

from .operation import (
    BODY,
    CHANGE,
    EXECUTION,
    FIND,
    INPUT,
    OFFSET,
    OPTIONAL_BODY,
    TASK,
    WRITE,
    Argument,
    Operation,
    limit_of,
)

_WORKER: Final = Argument("worker", "path", "text", "the worker's name", required=True)
_JOB: Final = Argument("job", "path", "text", "id of a job, as `next` gave it", required=True)
_LEVEL: Final = Argument("level", "query", "text", "user, company or all; all that the caller sees if absent")
_LEASED: Final = (*INPUT, errors.NotFound, errors.StaleFence, errors.PeerUnreachable, *CHANGE)

QUEUE: Final = (
    Operation(
        "queue_start",
        "POST",
        "/queue/workers/{worker}/start",
        "A worker has started: what its name held before is given to others, at once",
        "worker",
        (_WORKER,),
        errors=INPUT,
    ),
    Operation(
        "queue_next",
        "POST",
        "/queue/workers/{worker}/next",
        "Wait for a job and take it under a lease; body: types, wait, lease",
        "worker",
        (_WORKER, BODY),
        errors=INPUT,
    ),
    Operation(
        "queue_save",
        "PUT",
        "/queue/jobs/{job}",
        "Say how a job is or how it ended, under its lease; refused when it was taken over",
        "worker",
        (_JOB, BODY),
        errors=_LEASED,
    ),
    Operation(
        "queue_heartbeat",
        "POST",
        "/queue/jobs/{job}/heartbeat",
        "Renew the lease of a job, and hear whether it shall end",
        "worker",
        (_JOB, BODY),
        errors=_LEASED,
    ),
    Operation(
        "queue_list",
        "GET",
        "/queue/jobs",
        "A page of the tasks that workers do, each with its open jobs and who has them",
        "viewer",
        (_LEVEL, Argument("type", "query", "text", "a task type, with or without worker:"), OFFSET, limit_of(50)),
        errors=(*INPUT, errors.Forbidden),
    ),
    Operation(
        "queue_data", "GET", "/queue/jobs/{execution}/data", "One job in full", "viewer", (EXECUTION,), errors=FIND
    ),
    Operation(
        "queue_delete",
        "DELETE",
        "/queue/tasks/{task}",
        "Remove a task that workers do, with its jobs; who has one is told to stop",
        "operator",
        (TASK,),
        204,
        WRITE,
    ),
    Operation(
        "queue_rename",
        "POST",
        "/queue/tasks/{task}/rename",
        "Give a task that workers do another name; its jobs are shown under it",
        "operator",
        (TASK, BODY),
        errors=(*INPUT, *WRITE),
    ),
    Operation(
        "queue_update",
        "PUT",
        "/queue/tasks/{task}",
        "Change the definition, and with it all jobs that no worker has yet; body as for editing a task",
        "operator",
        (TASK, BODY),
        errors=(*INPUT, *WRITE),
    ),
    Operation(
        "queue_flush",
        "POST",
        "/queue/flush",
        "Remove jobs that have ended, at the caller's level; body: level, olderThan, dryRun, all of them optional",
        "operator",
        (OPTIONAL_BODY,),
        errors=(*INPUT, errors.Forbidden, *CHANGE),
    ),
)
