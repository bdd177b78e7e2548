"""`tocsin events`: what happens, as it happens."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter

from .connection import connect
from .output import AS_JSON, LOCAL, print_json_line, printable, show_failure, show_time


def events(
    *,
    kind: Annotated[tuple[str, ...], Parameter(consume_multiple=True)] = (),
    task: str | None = None,
    task_type: Annotated[str | None, Parameter(name="--type")] = None,
    tag: str | None = None,
    after: str | None = None,
    number: int | None = None,
    utc: Annotated[bool, LOCAL] = False,
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Follow what happens in the cluster, until Ctrl-C; after a break it goes on where it was.

    Parameters
    ----------
    kind
        Only these: task, execution, progress, slots, node.
    task
        Only of this task: its id, a prefix of it, or its name.
    task_type
        Only of tasks of this type.
    tag
        Only of tasks with this tag.
    after
        First what has happened since the event with this id, or since an instant: 2026-11-22T19:00:00Z.
    number
        End after so many events.
    """
    found = connect().events(kinds=kind, task=task, task_type=task_type, tag=tag, after=after)
    for told, event in enumerate(found, 1):
        if as_json:
            print_json_line({"id": event.id, **event.data})
        else:
            print(printable(line_of(event.data, utc)), flush=True)
        if told == number:
            return


def line_of(data: Any, utc: bool) -> str:
    """An event in one line, for people."""
    when = show_time(data["at"], utc, exact=True)
    name = data["task"]["name"] if "task" in data else data.get("node", "")
    return f"{when} {data['kind']:<9} {name}: {_what(data)}".replace("\n", " ")


def _what(data: Any) -> str:
    match data["kind"]:
        case "task":
            return f"{data['change']['action']} by {data['change']['actor']}, is {data['phase']}"
        case "execution":
            return _execution(data["execution"])
        case "progress":
            progress = data["progress"]
            done, total, step = progress.get("done"), progress.get("total"), progress.get("step")
            figures = "" if done is None else f" {done}" if total is None else f" {done} of {total}"
            return f"{data['execution']['id']}{figures}{f' {step}' if step else ''}"
        case "slots":
            slots = data["slots"]
            many = "some times" if slots["count"] is None else f"{slots['count']} time(s)"
            return f"{many} {slots['outcome']} ({slots['reason']})"
        case "node":
            return f"{data['member']['name']} {data['member']['change']}, is {data['member']['standing']}"
        case _:
            return f"something is missing here: {data['reason']}"


def _execution(execution: Any) -> str:
    parts = [execution["id"], execution["state"]]
    if execution["waitsFor"]:
        parts.append(f"for {execution['waitsFor']}")
    if execution["state"] == "RUNNING":
        parts.append(f"attempt {execution['attempt']} on {execution['node']}")
    if execution["failure"]:
        parts.append(show_failure(execution["failure"]))
    return " ".join(parts)
