"""`tocsin purge`, which is `tocsin task purge` too."""

from __future__ import annotations

import sys
from typing import Annotated, Any

from runtime.errors import Conflict

from .connection import connect
from .options import Flag, Many
from .output import AS_JSON, print_json, printable
from .progress import working


def purge(
    task: str | None = None,
    /,
    *,
    state: Annotated[list[str] | None, Many] = None,
    older_than: str | None = None,
    force: Annotated[bool, Flag] = False,
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Remove history: of one task or of all, what the configuration does not keep, or what is older than is said.

    Parameters
    ----------
    task
        Only the history of this task.
    state
        Only executions that ended so: completed, failed, timed_out, cancelled.
    older_than
        Only what ended longer ago: 7d, 12h.
    force
        Do not ask.
    """
    client = connect()
    what = "all tasks" if task is None else repr(client.call("show_task", task=task)["name"])
    if not force:
        _ask(f"the history of {what}" + ("" if older_than is None else f" that is older than {older_than}"))
    body = {"task": task, "states": state, "olderThan": older_than}
    found: dict[str, Any] = {"complete": False}
    removed = 0
    with working(as_json) as show:
        while not found["complete"]:
            show(f"{removed} row(s) of {what} removed", 0, None)
            found = client.call("purge", body={key: value for key, value in body.items() if value is not None})
            removed += found["removed"]
    print_json(found | {"removed": removed}) if as_json else print(printable(f"{removed} row(s) of {what} removed"))


def _ask(what: str) -> None:
    if not sys.stdin.isatty():
        raise Conflict(f"purging {what} removes it for good: say --force")
    if input(printable(f"Purge {what}? [y/N] ")).strip().lower() != "y":
        raise Conflict("nothing was purged")
