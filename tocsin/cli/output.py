"""What the command line prints: tables, times, errors, JSON."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from cyclopts import Parameter

from ..telling.frames import place_of
from .terminal import fitting

LOCAL: Final = Parameter(name="--utc", negative=(), help="Show times in UTC instead of the local zone.")
AS_JSON: Final = Parameter(name="--json", negative=(), help="Print JSON for programs.")

_UNBEARABLE: Final = re.compile("[\x7f-\x9f\ud800-\udfff]")

_WIDEST: Final = 60
"""Characters of a table's cell; longer texts are cut, `--json` has them whole."""


def print_json(value: object) -> None:
    """A value as JSON, readable and stable."""
    print(_json(value, indent=2))


def print_json_line(value: object) -> None:
    """A value as JSON on one line, for streams of them."""
    print(_json(value), flush=True)


def _json(value: object, indent: int | None = None) -> str:
    """JSON that a terminal can bear: what JSON itself lets pass of control characters, and halves of surrogates, as escapes."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return (
        text
        if text.isascii() and "\x7f" not in text
        else _UNBEARABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
    )


def show_time(text: str | None, utc: bool, *, exact: bool = False, zone: bool = False) -> str:
    """A time of the API for people: `2025-02-12 08:31:25`, local unless `utc`; `-` for none. exact: with milliseconds and the
    zone; zone: with the zone only, as outside of a table."""
    if text is None:
        return "-"
    moment = datetime.fromisoformat(text)
    shown = moment.astimezone(UTC) if utc else moment.astimezone()
    tail = f".{shown.microsecond // 1000:03}" if exact and shown.microsecond else ""
    name = f" {shown.strftime('%Z')}" if exact or zone else ""
    return f"{shown:%Y-%m-%d %H:%M:%S}{tail}{name}"


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, cut: Collection[int] = ()) -> None:
    """A table with ruled columns, as wide as what is in it. cut: the columns whose cells are cut to fit into the terminal."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(len(column), *(len(row[index]) for row in cells), 0) for index, column in enumerate(columns)]
    if cut:
        widths = fitting(widths, cut)
        cells = [[_cut(cell, width) for cell, width in zip(row, widths, strict=True)] for row in cells]
    print(_line(columns, widths))
    print("─┼─".join("─" * width for width in widths))
    coloured = has_colours()
    for row in cells:
        print(_line(row, widths, _COLOURS if coloured else {}))


def has_colours() -> bool:
    """Whether what is printed goes to a terminal whose user does not mind colours (see no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


_COLOURS: Final = dict.fromkeys(("FAILED", "CRASHED", "TIMED_OUT", "dead"), "31") | dict.fromkeys(
    ("RUNNING", "alive"), "32"
) | dict.fromkeys(("CANCELLED", "PAUSED", "WAITING", "draining", "suspect"), "33")  # fmt: skip
"""Words of states -> what a terminal colours them with. What went well has no colour, so that the rest is seen."""


def show_failure(failure: Mapping[str, str]) -> str:
    """What went wrong: the error's name, and its text if it has one."""
    return ": ".join(text for text in (failure["type"], failure["message"]) if text)


def show_error_lines(failure: Mapping[str, str] | None) -> tuple[str, list[str]]:
    """What went wrong in one line, `: ValueError: boom`, and below it, indented, what else its text says and where it was."""
    if failure is None:
        return "", []
    first, *rest = show_failure(failure).splitlines()
    place = show_place(failure)
    return f": {first}", [*(f"    {line}" for line in rest), *([] if place is None else [f"  {place}"])]


def show_place(failure: Mapping[str, str]) -> str | None:
    """Where in the user's own code it went wrong, `at mytasks.py:9, in report`; None if it was not there."""
    place = place_of(failure["traceback"], failure["message"])
    return None if place is None else f"at {place}"


def _cell(value: object) -> str:
    text = "-" if value is None else printable(str(value).replace("\n", " "))
    return _cut(text, _WIDEST)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def printable(text: str) -> str:
    """A text whose control characters, which could take over a terminal, are question marks; lines and tabs stay."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() or character in "\n\t" else "?" for character in text)


def _line(cells: Sequence[str], widths: Sequence[int], colours: Mapping[str, str] = {}) -> str:
    padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
    padded[-1] = padded[-1].rstrip()
    shown = [
        f"\x1b[{colours[cell]}m{text}\x1b[0m" if cell in colours else text
        for cell, text in zip(cells, padded, strict=True)
    ]
    return " │ ".join(shown).rstrip()


def print_facts(facts: Sequence[tuple[str, object]]) -> None:
    """Names and values, one a line; lines without a value are left out."""
    shown = [(name, value) for name, value in facts if value is not None]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        print(f"{name.ljust(width)}  {printable(value if isinstance(value, str) else _json(value))}")


def print_error(title: str, code: str, message: str, as_json: bool) -> None:
    """An error on the error stream, in the shape of the API's error body with `--json`."""
    if as_json:
        text = _json({"error": title, "code": code, "message": message})
    else:
        text = printable(f"tocsin: {title.lower()}: {message}")
    print(text, file=sys.stderr)


def took(started: str | None, ended: str | None) -> str:
    """How long something took, for people."""
    if started is None or ended is None:
        return "-"
    seconds = (datetime.fromisoformat(ended) - datetime.fromisoformat(started)).total_seconds()
    return f"{seconds:.3f} s" if seconds < 60 else f"{int(seconds // 60)} min {int(seconds % 60)} s"


SCHEDULER_PAUSED: Final = "The whole scheduler is paused: nothing starts until 'tocsin scheduler resume'."


def shown_status(task: Mapping[str, Any]) -> str:
    """A task's status for people: `PAUSED` where nothing of it runs and the node, which keeps to the statuses of Unomi, says
    SCHEDULED.
    """
    return "PAUSED" if task["paused"] and task["status"] == "SCHEDULED" else str(task["status"])
