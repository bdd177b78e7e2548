"""`tocsin task ...`, the part that looks back and ahead: history, logs, next, why."""

from __future__ import annotations

import re
import shlex
import sys
from typing import TYPE_CHECKING, Annotated, Any, Final

from runtime.errors import NotFound

from .bodies import local_time
from .connection import connect
from .execution_ids import SEVERAL
from .options import Flag
from .output import SCHEDULER_PAUSED, print_json, print_table, printable, show_failure, show_time, took
from .tasks import Json, Utc
from .terminal import brief_time, has_terminal, of_today, short_ids
from .times import print_changes, print_fires

if TYPE_CHECKING:
    from ..client import Client

HISTORY_COLUMNS: Final = ("Execution", "Nominal", "Outcome", "State", "Attempt", "Node", "Started", "Took", "Error")


def history(
    task: str,
    /,
    *,
    ledger: Annotated[bool, Flag] = False,
    since: str | None = None,
    offset: int | None = None,
    limit: int | None = None,
    as_json: Json = False,
    utc: Utc = False,
) -> None:
    """Show a task's executions, newest first.

    Parameters
    ----------
    ledger
        Show the outcome of every nominal time instead.
    since
        Where the ledger begins; a day ago if not said.
    offset
        Executions to pass over.
    limit
        Rows at most.
    """
    client = connect()
    if ledger:
        page = client.call(
            "list_outcomes", task=task, since=local_time(since, None, "--since"), limit=limit, newest=True
        )
    else:
        page = client.call("list_executions", task=task, offset=offset, limit=limit)
    if as_json:
        print_json(page)
    elif ledger:
        if page["list"]:
            _print_ledger(page["list"], utc)
        else:
            print(printable(f"No nominal time has come; what will: tocsin task next {shlex.quote(task)}"))
        if page["more"]:
            print(f"Showing the newest {len(page['list'])} rows; --limit shows more, --since begins elsewhere")
    else:
        if page["list"]:
            _print_history(page["list"], utc)
        print(f"Showing {len(page['list'])} of {page['totalSize']} executions")


def _print_history(rows: list[dict[str, Any]], utc: bool) -> None:
    if not has_terminal():
        print_table(HISTORY_COLUMNS, [_history_row(row, utc) for row in rows])
        return
    shown = [
        (short, brief_time(row["nominal"], utc), outcome, state, brief_time(row["startedAt"], utc), *rest)
        for short, row in zip(short_ids([row["id"] for row in rows]), rows, strict=True)
        for _, _, outcome, state, _, _, _, *rest in [_history_row(row, utc)]
    ]
    # What is left out is in the whole table, which a pipe gets, and told of each execution by itself.
    print_table([one for one in HISTORY_COLUMNS if one not in ("Attempt", "Node")], shown, cut=(2, 6))


def _history_row(row: dict[str, Any], utc: bool) -> tuple[object, ...]:
    failure = row["failure"]
    outcome = row["outcome"] or ("manual" if row["nominal"] is None else "open")
    return (
        row["id"],
        show_time(row["nominal"], utc),
        outcome + (f" ({row['reason']})" if row["reason"] else ""),
        row["state"],
        row["attempt"],
        row["target"] or row["node"],
        show_time(row["startedAt"], utc),
        took(row["startedAt"], row["endedAt"]),
        show_failure(failure) if failure else None,
    )


def _print_ledger(rows: list[dict[str, Any]], utc: bool) -> None:
    columns = ("Nominal", "Through", "Count", "Outcome", "Reason", "State", "Execution")
    shown = [
        (
            show_time(row["first"], utc),
            show_time(row["last"], utc) if row["last"] != row["first"] else "-",
            "?" if row["count"] is None else row["count"],
            row["outcome"] or "open",
            row["reason"],
            row["state"],
            row["executionId"],
        )
        for row in rows
    ]
    if any(row["target"] for row in rows):
        print_table((*columns, "Node"), [(*cells, row["target"]) for cells, row in zip(shown, rows, strict=True)])
    else:
        print_table(columns, shown)


_HOW_TO_LOG: Final = 'a handler writes them with ctx.log.info("..."), what it prints goes to the output of the node'


def logs(reference: str, /, *, follow: Annotated[bool, Flag] = False, as_json: Json = False, utc: Utc = False) -> int:
    """Show what an execution logged: of its id, or the newest of a task.

    Parameters
    ----------
    follow
        Go on until it ends; the exit code tells how.
    """
    from .follow import follow as follow_execution
    from .follow import print_new_lines

    client = connect()
    execution_id = _execution_of(client, reference)
    if follow:
        return follow_execution(client, execution_id, utc, as_json)
    if not print_new_lines(client, execution_id, 0, utc, as_json):
        # What is read by programs stays empty.
        print(f"no log lines of execution {execution_id}; {_HOW_TO_LOG}", file=sys.stderr)
    return 0


def _execution_of(client: Client, reference: str) -> str:
    try:
        found: str = client.call("show_execution", execution=reference)["id"]
        return found
    except NotFound:
        rows = _newest_of(client, reference)
    if not rows:
        raise NotFound(f"{reference!r} has no execution yet")
    newest: str = rows[0]["id"]
    return newest


def _execution_begun(client: Client, beginning: str, no_task: NotFound) -> str:
    """The whole id of an execution, if there is one that begins so. Raises what was raised of a task, if not."""
    try:
        found: str = client.call("show_execution", execution=beginning)["id"]
    except NotFound as error:
        raise (error if SEVERAL in str(error) else no_task) from None
    return found


def _newest_of(client: Client, task: str) -> list[dict[str, Any]]:
    try:
        rows: list[dict[str, Any]] = client.call("list_executions", task=task, limit=1)["list"]
        return rows
    except NotFound:
        raise NotFound(f"no task or execution {task!r}") from None


def next_(task: str, /, *, count: int = 10, as_json: Json = False, utc: Utc = False) -> None:
    """Show the next nominal times of a task.

    Parameters
    ----------
    count
        How many.
    """
    found = connect().call("next_fires", task=task, count=count)
    if as_json:
        print_json(found)
        return
    print(printable(f"Runs {found['trigger']}."))
    print_fires(found, utc)
    if not found["list"] and not (found["schedulerPaused"] and found["phase"] == "active"):
        print(f"No run is planned: the task is {found['phase']}.")
    if found["schedulerPaused"]:
        print(SCHEDULER_PAUSED)
    print_changes(found["clockChanges"], lambda at: show_time(at, utc, exact=True))


def deliveries(
    task: str, /, *, offset: int | None = None, limit: int | None = None, as_json: Json = False, utc: Utc = False
) -> None:
    """Show what became of what a task's event triggers wanted done, newest first.

    Parameters
    ----------
    offset
        Deliveries to pass over.
    limit
        Rows at most.
    """
    page = connect().call("list_deliveries", task=task, offset=offset, limit=limit)
    if as_json:
        print_json(page)
        return
    rows = [
        (show_time(one["at"], utc), one["event"], one["state"], one["executionId"], one["detail"] or None)
        for one in page["list"]
    ]
    print_table(("At", "Event", "State", "Execution", "Detail"), rows)
    print(f"Showing {len(rows)} of {page['totalSize']} deliveries")


def why(task: str, instant: str | None = None, /, *, as_json: Json = False, utc: Utc = False) -> None:
    """Explain what became of one nominal time of a task, or of an execution given by its id, and why.

    Parameters
    ----------
    instant
        The nominal time, for example "2026-03-01 12:00:05", or "12:00:05" of today; the last one if not said.
    """
    client, at = connect(), local_time(of_today(instant), None, "INSTANT")
    try:
        found = client.call("why", task=task, at=at)
    except NotFound as no_task:
        found = client.call("why", task=_execution_begun(client, task, no_task), at=at)
    if as_json:
        print_json(found)
        return
    for line in found["lines"]:
        print(printable(_TIMES.sub(lambda match: show_time(match[0], utc, exact=True), line)))


_TIMES = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")
