"""What workers outside of the nodes ask for, and what can be asked about their jobs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .asking_core import Ask
from .giving import Json, body_of, named, nothing, whole
from .records import ExecutionRef, JobInfo, JobState, TaskRef, reader

STATE = reader(JobState)
JOB = reader(JobInfo)


def queue_start(worker: str) -> Ask[tuple[str, ...]]:
    """A worker has started: what its name held before is given to others, at once. Answers those jobs."""
    return Ask("queue_start", {"worker": worker}, lambda value: tuple(value["givenBack"]), repeatable=True)


def queue_next(
    worker: str, types: Sequence[str], *, wait: str | None = None, lease: str | None = None
) -> Ask[JobInfo | None]:
    """Wait for a job and take it under a lease; None if there was none in time. wait, lease: durations such as `20s`.

    If its answer is lost, the job that it held comes to another worker when its lease has run out.
    """
    body = body_of(types=list(types), wait=wait, lease=lease)
    return Ask("queue_next", {"worker": worker, "body": body}, lambda value: value["job"] and JOB(value["job"]))


def queue_save(
    job: str,
    lease: str,
    *,
    status: str | None = None,
    result: Any = None,
    error: Json | None = None,
    progress: Json | None = None,
    checkpoint: Any = None,
    log: Sequence[Json] | None = None,
) -> Ask[JobState]:
    """Say how a job is, or with a status how it ended: completed, failed or released. Raises StaleFence if another has it."""
    body = body_of(
        lease=lease, status=status, result=result, error=error, progress=progress, checkpoint=checkpoint,
        log=None if log is None else list(log),
    )  # fmt: skip
    # Lines of a log would stand there twice.
    return Ask("queue_save", {"job": job, "body": body}, STATE, repeatable=log is None)


def queue_heartbeat(job: str, lease: str) -> Ask[JobState]:
    """Renew the lease of a job, and hear whether it shall end."""
    return Ask("queue_heartbeat", {"job": job, "body": {"lease": lease}}, STATE, repeatable=True)


def queue_list(
    *,
    level: str | None = None,
    type: str | None = None,  # noqa: A002
    offset: int = 0,
    limit: int = 50,
) -> Ask[dict[str, Any]]:
    """A page of the tasks that workers do, each with its open jobs and who has them. level: user, company or all."""
    return Ask("queue_list", {"level": level, "type": type, "offset": offset, "limit": limit}, whole)


def queue_data(execution: ExecutionRef) -> Ask[dict[str, Any]]:
    """One job in full."""
    return Ask("queue_data", {"execution": execution}, whole)


def queue_delete(task: TaskRef) -> Ask[None]:
    """Remove a task that workers do, with its jobs; who has one is told to stop."""
    return Ask("queue_delete", {"task": task}, nothing)


def queue_rename(task: TaskRef, name: str) -> Ask[dict[str, Any]]:
    """Give a task that workers do another name; its jobs are shown under it."""
    return Ask("queue_rename", {"task": task, "body": {"name": name}}, whole)


def queue_update(task: TaskRef, changes: Json) -> Ask[dict[str, Any]]:
    """Change the definition, and with it all jobs that no worker has yet."""
    kept = {key: value for key, value in changes.items() if key in ("parameters", "labels")}
    body = named({key: value for key, value in changes.items() if key not in kept}) | kept
    return Ask("queue_update", {"task": task, "body": body}, whole)


def queue_flush(
    *, level: str | None = None, older_than: str | None = None, dry_run: bool | None = None
) -> Ask[dict[str, Any]]:
    """Remove jobs that have ended. level: user, company or all; older_than: a duration; dry_run: only count them."""
    body = body_of(level=level, older_than=older_than, dry_run=dry_run)
    return Ask("queue_flush", {"body": body}, whole, repeatable=True)
