"""Following an execution: its log as it is written, its progress, its end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from runtime.errors import ReplyTimeout, TocsinError

from ..operations.error_table import OUTCOME_EXITS
from .output import print_json, print_json_line, printable, show_error_lines, show_time

if TYPE_CHECKING:
    from ..client import Client

POLL_SECONDS: Final = 0.25
"""How often a follower asks: progress is written at most four times a second."""

_LINES: Final = 1_000

Show = Callable[[dict[str, Any]], None]


def follow(client: Client, execution_id: str, utc: bool, as_json: bool, seconds: float | None = None) -> int:
    """Show log and progress until the execution ends, for so many seconds at the most. Answers the exit code of its state.

    Raises ReplyTimeout when it still goes on then.
    """
    until = None if seconds is None else time.monotonic() + seconds
    try:
        if sys.stderr.isatty() and not as_json:
            execution = _with_bar(client, execution_id, utc, until)
        else:
            execution = _until_end(client, execution_id, utc, as_json, lambda execution: None, until)
    except TocsinError as error:
        if type(error).__name__ != "NodeUnreachable":
            raise
        raise type(error)(f"{error}; to go on when it answers: tocsin task logs {execution_id} --follow") from None
    _print_end(execution, as_json)
    return OUTCOME_EXITS[execution["state"]]


def _with_bar(client: Client, execution_id: str, utc: bool, until: float | None) -> dict[str, Any]:
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    forecast = TextColumn("{task.fields[done_by]}")
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), forecast)
    # Output that goes to a file or a pipe must not be drawn on the terminal with the bar.
    drawn = sys.stdout.isatty()
    with Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=drawn) as progress:
        bar = progress.add_task("waiting", total=None, done_by="")

        def show(execution: dict[str, Any]) -> None:
            figures = execution["progress"] or {}
            waits = f"tried again at {show_time(execution['retryAt'], utc)}" if _is_retried(execution) else None
            step = escape(str(waits or figures.get("step") or execution["state"].lower()))
            eta = figures.get("eta")
            # The node's forecast knows the pace of the attempt, the bar's only that of the looks at it.
            done_by = f"done by {show_time(eta, utc)}" if eta and execution["state"] == "RUNNING" else ""
            done, total = figures.get("done") or 0, figures.get("total")
            progress.update(bar, description=step, completed=done, total=total, done_by=done_by)

        return _until_end(client, execution_id, utc, False, show, until)


def _until_end(
    client: Client, execution_id: str, utc: bool, as_json: bool, show: Show, until: float | None
) -> dict[str, Any]:
    """The execution as it is at its end; its log is printed on the way."""
    seen, told = 0, 0
    while True:
        execution: dict[str, Any] = client.call("show_execution", execution=execution_id)
        show(execution)
        seen = print_new_lines(client, execution_id, seen, utc, as_json)
        if _is_retried(execution) and execution["attempt"] > told and not as_json:
            told = execution["attempt"]
            _print_retry(execution, utc)
        if execution["state"] in OUTCOME_EXITS:
            return execution
        if until is not None and time.monotonic() >= until:
            raise ReplyTimeout(
                f"execution {execution_id} is {execution['state']}; to follow it: tocsin task logs {execution_id} --follow"
            )
        time.sleep(POLL_SECONDS)


def _is_retried(execution: dict[str, Any]) -> bool:
    """Whether it waits for another attempt after one that went wrong."""
    return execution["state"] == "WAITING" and execution["attempt"] > 0 and execution["retryAt"] is not None


def _print_retry(execution: dict[str, Any], utc: bool) -> None:
    because, below = show_error_lines(execution["failure"])
    when = show_time(execution["retryAt"], utc)
    first = f"attempt {execution['attempt']} failed{because}; tried again at {when}"
    print(printable("\n".join([first, *below])), file=sys.stderr)


def print_new_lines(client: Client, execution_id: str, after: int, utc: bool, as_json: bool) -> int:
    """Print the lines above a sequence number. Answers the last sequence number there is."""
    while True:
        lines = client.call("list_logs", execution=execution_id, after=after, limit=_LINES)["list"]
        for line in lines:
            if as_json:
                print_json_line(line)
            else:
                text = printable(line["text"])
                print(f"{show_time(line['at'], utc, exact=True)} {line['level']:<7} {text}", flush=True)
        after = lines[-1]["sequence"] if lines else after
        if len(lines) < _LINES:
            return after


def _print_end(execution: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json_line(execution)
        return
    because, below = show_error_lines(execution["failure"])
    many = "1 attempt" if execution["attempt"] == 1 else f"{execution['attempt']} attempts"
    print(printable("\n".join([f"{execution['state']} after {many}{because}", *below])), file=sys.stderr)
    if execution["result"] is not None:
        print_json(execution["result"])
