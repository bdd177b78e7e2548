"""The table of targets: each benchmark's full size, run some times, beside what must be reached (`targets`).

A target is met if it was met in every round. Each run is a process of its own, as memory is measured by the process. What each of
them said can be kept in a file of JSON lines; `python -m benchmarks.table FILE` makes the table of such a file again.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sqlite3
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import attrs

from benchmarks.__main__ import holds
from benchmarks.progress import told
from benchmarks.targets import ONCE, ROWS, TARGETS, Target
from tests.source import ROOT

Result = Mapping[str, Any]


@attrs.frozen
class Line:
    """A target and what was measured, a value for each round; `wrong`: whether a round's check failed."""

    target: Target
    values: tuple[float, ...]
    wrong: bool

    @property
    def is_met(self) -> bool:
        """In every round, of at least one."""
        return bool(self.values) and not self.wrong and all(map(self.target.is_met, self.values))

    @property
    def verdict(self) -> str:
        """For reading."""
        if not self.values:
            return "not measured"
        if self.wrong:
            return "check failed"
        if self.is_met:
            return f"met, {_rounds(len(self.values))}"
        missed = [self.target.missed_by(value) for value in self.values if not self.target.is_met(value)]
        return f"missed by {max(missed):.0%}, {len(missed)} of {_rounds(len(self.values))}"


def lines(targets: Iterable[Target], results: Sequence[Result]) -> list[Line]:
    """What the results say of each target."""
    found = []
    for target in targets:
        of_it = [result for result in results if result["name"] == target.benchmark]
        measured = [target.value_in(result) for result in of_it]
        values = tuple(value for value in measured if value is not None)
        found.append(Line(target, values, not all(map(holds, of_it))))
    return found


def table(found: Sequence[Line]) -> str:
    """As Markdown."""
    head = ["| row | what | target | measured: median (lowest to highest) | |", "| --- | --- | --- | --- | --- |"]
    return "\n".join([*head, *map(_row, found)])


def _row(line: Line) -> str:
    target, values = line.target, line.values
    measured = "-" if not values else f"{number(median(values))} ({number(min(values))} to {number(max(values))})"
    return f"| {target.row} | {target.what} | {target.wanted} | {measured} | {line.verdict} |"


def number(value: float) -> str:
    """As it is read best: three digits that count, or all of a large one."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _rounds(count: int) -> str:
    return f"{count} round{'' if count == 1 else 's'}"


def machine() -> str:
    """What the figures were measured on."""
    return (
        f"{len(os.sched_getaffinity(0))} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}, "
        f"SQLite {sqlite3.sqlite_version}"
    )


def measure(benchmark: str) -> Result | None:
    """Run one benchmark at its full size, in a process of its own. None if it broke; it has said why."""
    command = [sys.executable, "-m", "benchmarks", benchmark, "--full", "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, check=False)
    if not done.stdout.strip():
        return None
    result: Result = json.loads(done.stdout.splitlines()[-1])
    return result


def show(parser: argparse.ArgumentParser, rows: Sequence[str], rounds: int, kept: Path | None) -> int:
    """Measure the rows that are asked for (all without any) and print the table; 1 if a target is missed."""
    if unknown := [row for row in rows if row not in ROWS]:
        parser.error(f"no row: {', '.join(unknown)} (there are {', '.join(ROWS)})")
    wanted = [target for target in TARGETS if not rows or target.row in rows]
    results: list[Result] = []
    broken = False
    for round_ in range(rounds):
        for benchmark in dict.fromkeys(target.benchmark for target in wanted):
            if round_ and benchmark in ONCE:
                continue
            with told(f"round {round_ + 1} of {rounds}: {benchmark}"):
                result = measure(benchmark)
            if result is None:
                broken = True
                continue
            results.append(result)
            if kept is not None:
                with kept.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(result) + "\n")
    found = lines(wanted, results)
    print(f"{table(found)}\n\n{machine()}")
    return 0 if not broken and all(line.is_met for line in found) else 1


def _main(file: str) -> None:
    results = [json.loads(line) for line in Path(file).read_text(encoding="utf-8").splitlines()]
    names = {result["name"] for result in results}
    print(table(lines([target for target in TARGETS if target.benchmark in names], results)))


if __name__ == "__main__":
    _main(*sys.argv[1:])
