"""`tocsin top`: the cluster as it is now, drawn anew every second."""

from __future__ import annotations

import os
import select
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from runtime.errors import InvalidRequest, NotFound, TocsinError

from .connection import connect
from .output import has_colours, print_json
from .top_picture import Line, Look, picture, seconds_since

if TYPE_CHECKING:
    from rich.text import Text

    from ..client import Client

REFRESH_SECONDS: Final = 1.0
"""How often it is drawn anew: a glance, and a dozen requests to the node."""

MOST_RUNNING: Final = 20
"""Running tasks whose execution is asked for one by one."""

LATE_SECONDS: Final = 2.0
"""So long after its time a task that has not started is late: it takes a second to claim and show it on a loaded machine."""

_MOST_LATE: Final = 50

_STYLES: Final = {"head": "bold", "bad": "red", "good": "green", "": ""}

_KEYS: Final = {"\x1b[A": "up", "\x1b[B": "down", "\x1b[C": "right", "\x1b[D": "left"} | {
    f"\x1bO{letter}": name for letter, name in zip("ABCD", ("up", "down", "right", "left"), strict=True)
}


def show_top(once: bool, as_json: bool, every: float) -> None:
    """Draw until q, or once. every: seconds between two looks."""
    client = connect()
    if as_json:
        print_json(look_around(client))
    elif once or not (sys.stdin.isatty() and sys.stdout.isatty()):
        columns = shutil.get_terminal_size((80, 24)).columns
        _print(picture(look_around(client), Look(width=columns, height=None)))
    else:
        if not every > 0:
            raise InvalidRequest("--every: a number of seconds above 0")
        _watch(client, every)


def look_around(client: Client) -> dict[str, Any]:
    """Everything that is shown, as JSON."""
    now = datetime.now(UTC)
    node, nodes = client.call("show_node"), client.call("list_nodes")
    running = client.call("list_tasks", status="RUNNING", limit=MOST_RUNNING)
    due = client.call("list_tasks", status="SCHEDULED", sortBy="nextScheduledExecution:asc", limit=_MOST_LATE)
    problems = [nodes["coordination"][what] for what in ("gate", "problem") if nodes["coordination"][what]]
    paused = node["scheduler"]["paused"]
    return {
        "at": now.strftime("%H:%M:%S UTC"),
        "node": node["name"],
        "health": [*node["health"], *problems],
        "paused": paused,
        "counts": client.call("counts"),
        "nodes": nodes["list"],
        "running": [one for task in running["list"] for one in _executions(client, task, now)],
        "late": [] if paused else [one for task in due["list"] if (one := _lateness(task, now))],
        "queues": client.call("list_queues")["list"],
        "tree": node["tree"],
    }


def _executions(client: Client, task: dict[str, Any], now: datetime) -> Iterator[dict[str, Any]]:
    for execution_id in task["open"]:
        try:
            found = client.call("show_execution", execution=execution_id)
        except NotFound:
            continue
        yield {
            "task": task["name"],
            "execution": found["id"],
            "state": found["state"],
            "node": found["node"],
            "attempt": found["attempt"],
            "seconds": seconds_since(found["startedAt"], now),
            "progress": found["progress"],
        }


def _lateness(task: dict[str, Any], now: datetime) -> dict[str, Any] | None:
    seconds = seconds_since(task["nextScheduledExecution"], now)
    if seconds is None or seconds < LATE_SECONDS:
        return None
    return {"task": task["name"], "due": task["nextScheduledExecution"], "seconds": seconds}


def _print(lines: list[Line]) -> None:
    if not has_colours():
        print("\n".join(line.text for line in lines).rstrip())
        return
    from rich.console import Console

    Console().print(_drawn(lines), end="", no_wrap=True)


def _drawn(lines: list[Line]) -> Text:
    from rich.text import Text

    return Text("\n").join(Text(line.text, _STYLES[line.style]) for line in lines)


def _watch(client: Client, every: float) -> None:
    from rich.console import Console
    from rich.live import Live

    console, look, found = Console(), Look(), look_around(client)
    with _keys(), Live(console=console, screen=True, auto_refresh=False) as live:
        due = time.monotonic() + every
        while True:
            if not look.paused and time.monotonic() >= due:
                found = _again(client, found)
                due = time.monotonic() + every
            width, height = console.size
            live.update(_drawn(picture(found, _sized(look, width, height))), refresh=True)
            key = _key(max(due - time.monotonic(), 0.05) if not look.paused else every)
            if key == "q":
                return
            look = look.moved(key)


def _sized(look: Look, width: int, height: int) -> Look:
    return Look(look.view, look.scroll, width, height, look.paused)


def _again(client: Client, former: dict[str, Any]) -> dict[str, Any]:
    """Another look; if it fails, the former one and why, since an outage is when one looks."""
    try:
        return look_around(client)
    except TocsinError as error:
        return former | {"error": str(error)}


@contextmanager
def _keys() -> Iterator[None]:
    """A terminal that gives each key at once and does not show it."""
    import termios
    import tty

    terminal = sys.stdin.fileno()
    kept = termios.tcgetattr(terminal)
    tty.setcbreak(terminal)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, kept)


def _key(seconds: float) -> str:
    """The next key within so many seconds, by name if it is an arrow; empty for none."""
    terminal = sys.stdin.fileno()
    if not select.select([terminal], [], [], seconds)[0]:
        return ""
    typed = os.read(terminal, 16).decode("ascii", "replace")
    return _KEYS.get(typed[:3], typed[:1].lower() if typed else "q")
