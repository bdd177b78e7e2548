"""`tocsin queue jobs`, `data`, `flush`, ...: what workers outside of the nodes do, and who of them has what."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter

from .connection import connect
from .output import AS_JSON, LOCAL, print_facts, print_json, print_table, printable, show_failure, show_time

Json = Annotated[bool, AS_JSON]
Utc = Annotated[bool, LOCAL]
Level = Annotated[str | None, Parameter(help="user, company or all; all that you may see if not said.")]


def jobs(
    *,
    level: Level = None,
    type_: Annotated[str | None, Parameter(name="--type")] = None,
    limit: int = 50,
    offset: int = 0,
    as_json: Json = False,
    utc: Utc = False,
) -> None:
    """List the tasks that workers do, with their open jobs and who has them.

    Parameters
    ----------
    type_
        Only this task type, with or without worker:.
    limit
        Rows at most.
    offset
        Rows to pass over.
    """
    found = connect().call("queue_list", level=level, type=type_, limit=limit, offset=offset)
    if as_json:
        print_json(found)
        return
    rows = [row for task in found["list"] for row in _rows(task, utc)]
    if rows:
        print_table(("Task", "Type", "Status", "Job", "Worker", "Lease", "Next Run"), rows)
    shown = len(found["list"])
    print(f"Showing {shown} of {found['totalSize']} task{'' if found['totalSize'] == 1 else 's'} that workers do")
    if found["unreachable"]:
        print(printable(f"Not known who has the jobs of {', '.join(found['unreachable'])}, which did not answer"))


def _rows(task: dict[str, Any], utc: bool) -> list[tuple[object, ...]]:
    """One row for each open job; one without any if there is none."""
    head = (task["task"], task["type"].partition(":")[2])
    due = show_time(task["nextScheduledExecution"], utc) if task["nextScheduledExecution"] else None
    rows: list[tuple[object, ...]] = [
        (*head, _words(job), job["job"], job["worker"], _left(job["leaseSeconds"]), due) for job in task["jobs"]
    ]
    return rows or [(*head, task["status"], None, None, None, due)]


def _words(job: dict[str, Any]) -> str:
    return job["state"] if job["waitsFor"] is None else f"waits: {job['waitsFor']}"


def _left(seconds: float | None) -> str | None:
    return None if seconds is None else f"{seconds:.0f}s"


def data(job: str, /, *, as_json: Json = False, utc: Utc = False) -> None:
    """Show one job in full, by its id."""
    found = connect().call("queue_data", execution=job)
    if as_json:
        print_json(found)
        return
    execution, held = found["execution"], found["job"]
    print_facts(
        [
            ("Job", execution["id"]),
            ("Task", f"{found['definition']['name']} ({found['taskId']})"),
            ("Type", found["definition"]["taskType"]),
            ("State", _words(held)),
            ("Worker", held["worker"]),
            ("Lease", _left(held["leaseSeconds"])),
            ("Attempt", execution["attempt"]),
            ("Created", show_time(execution["createdAt"], utc)),
            ("Parameters", execution["parameters"] or found["definition"].get("parameters")),
            ("Checkpoint", execution["checkpoint"]),
            ("Result", execution["result"]),
            ("Failure", show_failure(execution["failure"]) if execution["failure"] else None),
        ]
    )


def delete(task: str, /, *, as_json: Json = False) -> None:
    """Remove a task that workers do, with its jobs; the worker that has one is told to stop."""
    connect().call("queue_delete", task=task)
    print_json({"deleted": task}) if as_json else print(printable(f"{task} deleted"))


def rename(task: str, name: str, /, *, as_json: Json = False) -> None:
    """Give a task that workers do another name."""
    found = connect().call("queue_rename", task=task, body={"name": name})
    print_json(found) if as_json else print(printable(f"{task} is {found['task']} now"))


def flush(
    *,
    level: Level = None,
    older_than: Annotated[str | None, Parameter(help="Only what ended so long ago: 1h, 7d.")] = None,
    dry_run: Annotated[bool, Parameter(help="Only count what would be removed.", negative=())] = False,
    as_json: Json = False,
) -> None:
    """Remove the jobs of workers that have ended, and the tasks that will not run again."""
    given = (("level", level), ("olderThan", older_than), ("dryRun", dry_run or None))
    found = connect().call("queue_flush", body={key: value for key, value in given if value is not None})
    if as_json:
        print_json(found)
        return
    if dry_run:
        print(f"{found['tasks']} tasks would be removed, and {found['jobs']} ended jobs of others")
        return
    print(f"{found['tasks']} tasks removed, and {found['jobs']} ended jobs and rows of others")
    if not found["complete"]:
        print("There is more: run it again.")


JOBS = (jobs, data, delete, rename, flush)
"""The commands of `tocsin queue` that are about jobs."""
