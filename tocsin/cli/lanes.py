"""`tocsin scheduler`, `lock`, `queue`, `execution`, `status`: what concerns the node as a whole."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import App

from .connection import connect
from .executions import print_execution
from .history import history, logs
from .jobs import JOBS
from .options import Flag
from .output import AS_JSON, LOCAL, print_facts, print_json, print_table, printable, show_time

Json = Annotated[bool, AS_JSON]
Utc = Annotated[bool, LOCAL]

scheduler = App(name="scheduler", help="The whole scheduler: pause it, resume it.")
locks = App(name="lock", help="Concurrency keys: who holds them, who waits.")
queues = App(name="queue", help="Queues: limits, what runs, what waits, and what workers outside of the nodes do.")
for command in JOBS:
    queues.command(command)
executions = App(name="execution", help="Single executions, by id.")
types = App(name="type", help="Task types: what there is to run.")


def pause_words(pause: dict[str, Any], utc: bool) -> str:
    """That the scheduler is paused, or not."""
    if not pause["paused"]:
        return "The scheduler is not paused."
    note = f" ({pause['note']})" if pause["note"] else ""
    since = f"since {show_time(pause['since'], utc)} by {pause['by'] or 'nobody known'}"
    return printable(f"The scheduler is paused {since}{note}: nothing starts until 'tocsin scheduler resume'.")


def _say_pause(pause: dict[str, Any], as_json: bool, utc: bool) -> None:
    print_json(pause) if as_json else print(pause_words(pause, utc))


@scheduler.command(name="show")
def show_scheduler(*, as_json: Json = False, utc: Utc = False) -> None:
    """Show whether the scheduler is paused, since when, by whom and why."""
    _say_pause(connect().call("show_scheduler"), as_json, utc)


@scheduler.command(name="pause")
def pause_scheduler(*, note: str | None = None, as_json: Json = False, utc: Utc = False) -> None:
    """Start nothing until resumed; what runs goes on. Holds over restarts.

    Parameters
    ----------
    note
        Why, for the others.
    """
    body = None if note is None else {"note": note}
    _say_pause(connect().call("pause_scheduler", body=body), as_json, utc)


@scheduler.command(name="resume")
def resume_scheduler(*, as_json: Json = False, utc: Utc = False) -> None:
    """Go on; what came due meanwhile is made up for under each task's catch-up policy."""
    _say_pause(connect().call("resume_scheduler"), as_json, utc)


@locks.command(name="list")
def list_locks(*, as_json: Json = False, utc: Utc = False) -> None:
    """List the concurrency keys that somebody holds or waits for."""
    found = connect().call("list_locks")
    if as_json:
        print_json(found)
    elif not found["list"]:
        print("No key is held.")
    else:
        rows = [row for lock in found["list"] for row in _lock_rows(lock, utc)]
        print_table(("Key", "Limit", "Waiting", "Task", "Execution", "Since", "Lingers"), rows)


def _lock_rows(lock: dict[str, Any], utc: bool) -> list[tuple[object, ...]]:
    """One row for each holder; one without any if there is none."""
    head = (lock["key"], lock["limit"], lock["waiting"])
    rows: list[tuple[object, ...]] = [
        (
            *head,
            holder["task"] or holder["taskId"],
            holder["executionId"],
            show_time(holder["since"], utc),
            "yes" if holder["lingers"] else "-",
        )
        for holder in lock["holders"]
    ]
    return rows or [(*head, "-", "-", "-", "-")]


@locks.command(name="release")
def release_lock(key: str, /, *, execution: str | None = None, as_json: Json = False) -> None:
    """Take a key from those who hold it: they go on, and count against it no more.

    Parameters
    ----------
    execution
        Take it from this execution only.
    """
    body = {"key": key} | ({} if execution is None else {"execution": execution})
    found = connect().call("release_lock", body=body)
    print_json(found) if as_json else print(printable(f"{key} released from {', '.join(found['released'])}"))


@queues.command(name="list")
def list_queues(*, as_json: Json = False) -> None:
    """List the queues that have a limit or in which somebody waits."""
    found = connect().call("list_queues")
    if as_json:
        print_json(found)
    elif not found["list"]:
        print("No queue has a limit, and nobody waits.")
    else:
        rows = [(one["name"], one["limit"], one["running"], one["waiting"]) for one in found["list"]]
        print_table(("Queue", "Limit", "Running", "Waiting"), rows)


@executions.command(name="show")
def show_execution(
    execution: str, /, *, traceback: Annotated[bool, Flag] = False, as_json: Json = False, utc: Utc = False
) -> None:
    """Show one execution in full: attempts, result, progress, and where in your own code the newest failure came from.

    Parameters
    ----------
    traceback
        Show the whole traceback, with the lines of Tocsin and of libraries.
    """
    found = connect().call("show_execution", execution=execution)
    print_json(found) if as_json else print_execution(found, utc, all_frames=traceback)


@executions.command(name="list")
def list_executions(
    task: str, /, *, offset: int | None = None, limit: int | None = None, as_json: Json = False, utc: Utc = False
) -> None:
    """List a task's executions, newest first.

    Parameters
    ----------
    offset
        Executions to pass over.
    limit
        Rows at most; 50 if not said.
    """
    history(task, offset=offset, limit=limit, as_json=as_json, utc=utc)


@executions.command(name="logs")
def show_logs(
    execution: str, /, *, follow: Annotated[bool, Flag] = False, as_json: Json = False, utc: Utc = False
) -> int:
    """Show what an execution logged.

    Parameters
    ----------
    follow
        Go on until it ends; the exit code tells how.
    """
    return logs(execution, follow=follow, as_json=as_json, utc=utc)


@types.command(name="list")
def list_types(*, as_json: Json = False) -> None:
    """List the task types of the node that answers, with their parameters."""
    found = connect().call("list_types")
    if as_json:
        print_json(found)
        return
    rows = [(one["name"], _parameter_words(one), one["isolation"], one["description"] or None) for one in found["list"]]
    print_table(("Type", "Parameters", "Isolation", "What it does"), rows)


def _parameter_words(one: dict[str, Any]) -> str | None:
    words = [f"{each['name']}{'' if each['required'] else '?'}" for each in one["parameters"]]
    return ", ".join([*words, *(["..."] if one["open"] else [])]) or None


@executions.command(name="release")
def release_execution(execution: str, /, *, as_json: Json = False) -> None:
    """Give up waiting for an abandoned handler: it occupies neither its task nor a slot any more."""
    found = connect().call("release_execution", execution=execution)
    print_json(found) if as_json else print(f"execution {found['id']} is {found['state']} and released")


@executions.command(name="cancel")
def cancel_execution(execution: str, /, *, note: str | None = None, as_json: Json = False) -> None:
    """End one execution; its task stays.

    Parameters
    ----------
    note
        Why; its handler is told, and it is shown with the execution.
    """
    found = connect().call("cancel_execution", execution=execution, body=None if note is None else {"note": note})
    print_json(found) if as_json else print(f"execution {found['id']} is {found['state']}")


def status(*, as_json: Json = False, utc: Utc = False) -> None:
    """Show how the node is: health, pause, tasks by status, outcomes by reason, queues."""
    client = connect()
    node, pause, counts = client.call("show_node"), client.call("show_scheduler"), client.call("counts")
    canaries = client.call("show_canaries")
    if as_json:
        shown = {"name": node["name"], "health": node["health"], "scheduler": pause, "counts": counts}
        print_json(shown | {"queues": client.call("list_queues")["list"], "canaries": canaries})
        return
    by_status, by_reason = counts["byStatus"], counts["byReason"]
    print_facts(
        [
            ("Node", node["name"]),
            ("Health", "; ".join(node["health"]) or "ok"),
            ("Scheduler", pause_words(pause, utc)),
            *((("Canaries", _canary_words(canaries)),) if canaries["enabled"] else ()),
            ("Tasks", counts["tasks"]),
            *((f"  {name}", count) for name, count in sorted(by_status.items())),
            ("Outcomes", sum(counts["byOutcome"].values())),
            *((f"  {name}", count) for name, count in sorted(by_reason.items())),
        ]
    )


def _canary_words(canaries: dict[str, Any]) -> str:
    """How the canaries are."""
    late = canaries["lateness"]
    found = [
        f"{canaries['well']} of {canaries['canaries']} on time",
        f"{canaries['missed']} of {canaries['due']} runs missed",
    ]
    if late["worstMs"] is not None:
        found.append(f"the newest {late['p50Ms']:.0f} ms late in the middle, {late['worstMs']:.0f} ms at the most")
    return "; ".join([", ".join(found), *canaries["troubles"]])
