"""`tocsin task list`: the tasks that are people's own, or all; a narrow table in a terminal, the full one for programs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, Final

from cyclopts import Parameter

from .connection import connect
from .options import Flag
from .output import AS_JSON, LOCAL, SCHEDULER_PAUSED, print_json, print_table, printable, show_time, shown_status
from .terminal import brief_time, has_terminal, short_ids

if TYPE_CHECKING:
    from ..client import Client

COLUMNS: Final = ("ID", "Type", "Status", "Next Run", "Last Run", "Failures", "Persistent", "Name")
"""Those of Unomi's list in its order, then the name: what programs have read since."""

NARROW: Final = ("Name", "Type", "Status", "Next Run", "Last Run", "ID")
"""In a terminal, so that a row is a line."""

USUAL_LIMIT: Final = 50
"""Tasks of a list that is searched here and not by the node: as many as the node gives."""

FAILED: Final = ("FAILED", "CRASHED", "TIMED_OUT")
"""How an execution ended that has failed."""

PAUSED: Final = "PAUSED"
"""What is asked for as a status, and shown as one: the node says SCHEDULED and, beside it, that it is paused."""


def list_(
    *,
    status: str | None = None,
    type_: Annotated[str | None, Parameter(name="--type", help="Only tasks of this type.")] = None,
    text: str | None = None,
    failed: Annotated[bool, Flag] = False,
    all_: Annotated[bool, Parameter(name="--all", negative=())] = False,
    sort: str | None = None,
    offset: int | None = None,
    limit: int | None = None,
    as_json: Annotated[bool, AS_JSON] = False,
    utc: Annotated[bool, LOCAL] = False,
) -> None:
    """List tasks.

    Parameters
    ----------
    status
        Only tasks with this status, for example RUNNING or PAUSED.
    text
        Only tasks with this in their name.
    failed
        Only tasks whose last execution failed.
    all_
        Also the tasks of the node itself, and those through which task types are invoked; --type shows them too.
    sort
        A field and a direction: lastExecutionDate:desc.
    offset
        Tasks to pass over.
    limit
        Tasks at most; 50 if not said.
    """
    client = connect()
    filters: dict[str, Any] = {"type": type_, "text": text, "sortBy": sort, "system": True if all_ else None}
    paused = status is not None and status.upper() == PAUSED
    if failed or paused:
        filters["status"] = None if paused else status
        page = _searched(client, filters, _wanted(failed, paused), offset or 0, USUAL_LIMIT if limit is None else limit)
    else:
        page = client.call("list_tasks", status=status, offset=offset, limit=limit, **filters)
    if as_json:
        print_json(page)
        return
    hidden = 0
    if not all_ and type_ is None:
        kept = [task for task in page["list"] if not _is_made_by_the_node(task)]
        hidden, page["list"] = len(page["list"]) - len(kept), kept
    _print(page, utc, _words(status, type_, failed), hidden)
    if client.call("show_scheduler")["paused"]:
        print(SCHEDULER_PAUSED)


def _wanted(failed: bool, paused: bool) -> Callable[[dict[str, Any]], bool]:
    return lambda task: (task["paused"] or not paused) and (task["lastState"] in FAILED or not failed)


def _searched(
    client: Client, filters: dict[str, Any], wanted: Callable[[dict[str, Any]], bool], offset: int, limit: int
) -> dict[str, Any]:
    """A page of what the node's own filters cannot say."""
    found = [task for task in client.tasks(**filters) if wanted(task)]
    shown = list(islice(found, offset, offset + limit)) if offset >= 0 and limit >= 0 else []
    return {"list": shown, "totalSize": len(found), "offset": offset}


def _is_made_by_the_node(task: dict[str, Any]) -> bool:
    """Whether nobody added it: it is there for invocations. The node's own tasks the node leaves out itself."""
    from actors.model.invocation import invoked_task_id

    return bool(task["itemId"] == invoked_task_id(task["tenant"], task["owner"], task["taskType"]))


def _words(status: str | None, type_name: str | None, failed: bool) -> str:
    """What the list was asked for."""
    words = f" with status {status.upper()}" if status else ""
    words += f" of type {type_name}" if type_name else ""
    return words + (" whose last execution failed" if failed else "")


def _print(page: dict[str, Any], utc: bool, asked: str, hidden: int) -> None:
    """The list of tasks and its footer."""
    tasks, unreachable = page["list"], page.get("unreachable", [])
    left = f"{hidden} that the node made for itself left out: --all shows them" if hidden else ""
    if not tasks and page["totalSize"] <= hidden:
        print(f"No tasks found{f'; {left}' if left else '.'}")
    else:
        if tasks:
            _print_rows(tasks, utc, len(page.get("covers", [])) + len(unreachable) > 1)
        stored = sum(task["persistent"] for task in tasks)
        footer = f"Showing {len(tasks)} task(s) ({stored} in storage, {len(tasks) - stored} in memory){asked}"
        if len(tasks) + hidden < page["totalSize"]:
            footer += f"; {page['totalSize']} in all, from {page['offset']}"
        print(footer + (f"; {left}" if left else ""))
    if unreachable:
        print(printable(f"Not answering, so without the memory tasks there: {', '.join(unreachable)}"))


def _print_rows(tasks: Sequence[dict[str, Any]], utc: bool, clustered: bool) -> None:
    more = ("Node",) if clustered else ()
    if has_terminal():
        rows = [
            (*row, *((where(task),) if clustered else ())) for row, task in zip(_narrow(tasks, utc), tasks, strict=True)
        ]
        print_table((*NARROW, *more), rows, cut=(0, 1))
    else:
        print_table((*COLUMNS, *more), [(*_row(task, utc), *((where(task),) if clustered else ())) for task in tasks])


def where(task: dict[str, Any]) -> str | None:
    """The node that has a memory task, or those on which a stored one runs now."""
    return task["node"] or ", ".join(task["runsOn"]) or None


def _row(task: dict[str, Any], utc: bool) -> tuple[object, ...]:
    return (
        task["itemId"],
        task["taskType"],
        shown_status(task),
        show_time(task["nextScheduledExecution"], utc),
        show_time(task["lastExecutionDate"], utc),
        task["failureCount"],
        "Storage" if task["persistent"] else "Memory",
        task["name"],
    )


def _narrow(tasks: Sequence[dict[str, Any]], utc: bool) -> Iterator[tuple[object, ...]]:
    for task, short in zip(tasks, short_ids([task["itemId"] for task in tasks]), strict=True):
        yield (
            task["name"],
            task["taskType"],
            shown_status(task),
            brief_time(task["nextScheduledExecution"], utc),
            brief_time(task["lastExecutionDate"], utc),
            short,
        )
