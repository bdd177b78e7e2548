"""Pictures of what benchmarks said: `python -m benchmarks.plots RESULTS.jsonl DIRECTORY`.

The file has the JSON lines of `./dev bench --json`, of `--targets --results FILE` or of `--peers --json`, in any order and of any
number of runs; medians are drawn. Each picture is an SVG file that is drawn if the file has its results.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks.svg import Bar, Curve, Kind, bars, curves
from benchmarks.targets import TARGETS

Lines = Sequence[Mapping[str, Any]]

FACTOR_STORED: Final = {
    "us per fire": "a fire",
    "us per add, one by one": "an add",
    "page p50 ms": "a page",
    "lateness p50 ms": "lateness, p50",
}
"""Series of the growth, and what they are called."""

GROWTH_BOUND: Final = next(target.bound for target in TARGETS if target.row == "P12")

WORKLOADS: Final = {
    "fires-sqlite": "10,000 tasks due at once, every outcome stored",
    "fires-postgres": "10,000 tasks due at once, all in PostgreSQL",
    "adds": "tasks added, each in the store before its caller goes on",
    "lateness-spread": "lateness of 1,000 one-second intervals, spread",
    "lateness-instant": "lateness of 1,000 one-second intervals at one instant",
    "messages": "messages to one actor",
    "cron": "the next fire of a cron expression in a zone",
}
"""Titles of the peers' workloads; another one is called by its name."""


def read(text: str) -> list[dict[str, Any]]:
    """JSON lines; whatever else stands between them is passed over."""
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def pictures(lines: Lines) -> dict[str, str]:
    """File name -> SVG, of all that can be drawn from these lines."""
    found = dict(_peers([line for line in lines if "workload" in line]))
    ours: dict[str, list[Mapping[str, Any]]] = {}
    for line in lines:
        if "name" in line:
            ours.setdefault(line["name"], []).append(line)
    for name, draw in DRAWN.items():
        if name in ours:
            found |= dict(draw(ours[name]))
    return found


def slug(text: str) -> str:
    """As a part of a file name."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _peers(lines: Lines) -> Iterable[tuple[str, str]]:
    groups: dict[tuple[str, str], list[Bar]] = {}
    better: dict[tuple[str, str], str] = {}
    for line in lines:
        if values := line["values"]:
            key = line["workload"], line["figure"]
            better[key] = line["better"]
            bar = Bar(line["contender"], median(values), line["kind"], min(values), max(values))
            groups.setdefault(key, []).append(bar)
    for (workload, figure), rows in groups.items():
        rows.sort(key=lambda row: row.value, reverse=better[workload, figure] == "higher")
        title = f"{WORKLOADS.get(workload, workload)}: {figure}"
        yield (
            f"{slug(f'{workload} {figure}')}.svg",
            bars(title, f"{figure}, {better[workload, figure]} is better", rows),
        )


def _figures(lines: Lines, rows: Mapping[str, tuple[str, Kind]]) -> list[Bar]:
    """Bars of these figures: label in the results -> how it is called, and whose it is."""
    found = []
    for label, (name, kind) in rows.items():
        values = [line["figures"][label] for line in lines if label in line["figures"]]
        if values and min(values) > 0:
            found.append(Bar(name, median(values), kind, min(values), max(values)))
    return found


def _mailbox(lines: Lines) -> Iterable[tuple[str, str]]:
    rows: dict[str, tuple[str, Kind]] = {
        "tells per second, batches": ("an actor that takes batches", "ours"),
        "tells per second, one by one": ("an actor that takes one by one", "ours"),
        "tells per second, bare drained": ("the least a mailbox can be", "limit"),
        "tells per second, raw channel": ("a raw trio channel", "limit"),
    }
    if found := _figures(lines, rows):
        yield "tells.svg", bars("messages to one actor, in a second", "messages per second, higher is better", found)


def _lateness(lines: Lines) -> Iterable[tuple[str, str]]:
    rows: dict[str, tuple[str, Kind]] = {
        "memory, spread: p50 ms": ("memory tasks, spread: p50", "ours"),
        "memory, spread: p99 ms": ("memory tasks, spread: p99", "ours"),
        "durable, spread: p50 ms": ("stored tasks, spread: p50", "ours"),
        "durable, spread: p99 ms": ("stored tasks, spread: p99", "ours"),
        "memory, at one instant: worst ms": ("memory tasks at one instant: the last", "ours"),
        "durable, at one instant: worst ms": ("stored tasks at one instant: the last", "ours"),
        "bare loop: p50 ms": ("a bare loop that sleeps: p50", "limit"),
        "bare loop: p99 ms": ("a bare loop that sleeps: p99", "limit"),
    }
    if found := _figures(lines, rows):
        yield "lateness.svg", bars("lateness of 1,000 one-second intervals", "milliseconds, lower is better", found)


def _growth(lines: Lines) -> Iterable[tuple[str, str]]:
    found = []
    for label, name in FACTOR_STORED.items():
        columns = [line["series"][label] for line in lines if label in line.get("series", {})]
        if columns:
            first = median(column[0][1] for column in columns)
            points = [(row[0][0], median(pair[1] for pair in row) / first) for row in zip(*columns, strict=True)]
            found.append(Curve(name, tuple(points)))
    if found:
        title = "what things cost beside so many stored tasks"
        up = "times as much as with a thousand; dashed: the target"
        yield "growth.svg", curves(title, "stored tasks", up, found, decades=True, bound=GROWTH_BOUND)


def _soak(lines: Lines) -> Iterable[tuple[str, str]]:
    titles = {"simulated": "10 fires a second, in virtual time", "real": "100 fires a second, in real time"}
    for part, title in titles.items():
        label = f"{part}: resident MB"
        series = [line["series"][label] for line in lines if label in line.get("series", {})]
        if series:
            points = tuple((float(x), float(y)) for x, y in series[-1])
            yield f"soak-{part}.svg", curves(title, "hours", "resident memory, MB", [Curve("resident memory", points)])


DRAWN: Final = {"mailbox": _mailbox, "lateness": _lateness, "growth": _growth, "soak": _soak}


def _main(file: str, directory: str) -> None:
    Path(directory).mkdir(parents=True, exist_ok=True)
    for name, picture in pictures(read(Path(file).read_text(encoding="utf-8"))).items():
        (Path(directory) / name).write_text(picture, encoding="utf-8")
        print(name)


if __name__ == "__main__":
    _main(*sys.argv[1:])
