"""The table of targets: each benchmark's full size, run some times, beside what must be reached (`targets`).

A target is met if it was met in every round. Each run is a process of its own, as memory is measured by the process; workloads of
the peers make their rounds themselves. What each run said can be kept in a file of JSON lines, of which
`python -m benchmarks.table FILE` makes the table again.
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

from benchmarks.progress import told
from benchmarks.results import holds
from benchmarks.targets import ONCE, PEERS, ROWS, TARGETS, Target, times_as_good
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


def of_peers(said: Iterable[Result]) -> list[Result]:
    """Results like those of benchmarks, one for each workload and round, from the lines of the peers."""
    ratios: dict[str, list[dict[str, float]]] = {}
    errors: dict[str, int] = {}
    for line in said:
        name = f"{PEERS}{line['workload']}"
        errors[name] = errors.get(name, 0) + (line["kind"] == "ours") * len(line["errors"])
        rounds = ratios.setdefault(name, [])
        for ours, values in line["times_as_good"].items():
            rounds.extend({} for _ in range(len(values) - len(rounds)))
            for found, value in zip(rounds, values, strict=False):
                found[times_as_good(ours, line["contender"], line["figure"])] = value
    return [
        {"name": name, "figures": {}, "ratios": found, "check": {"expected": 0, "actual": errors[name]}}
        for name, rounds in ratios.items()
        for found in rounds
    ]


def results_of(said: Sequence[Result]) -> list[Result]:
    """The results that these lines are, or stand for."""
    return [line for line in said if "name" in line] + of_peers(line for line in said if "workload" in line)


def measure(benchmark: str, rounds: int = 1) -> list[Result]:
    """Run one benchmark at its full size once, or a workload of the peers so many times. Its lines, none if it broke; it has
    said why."""
    if benchmark.startswith(PEERS):
        workload = benchmark.removeprefix(PEERS)
        command = [sys.executable, "-m", "benchmarks.peers", workload, "--rounds", str(rounds), "--json"]
    else:
        command = [sys.executable, "-m", "benchmarks", benchmark, "--full", "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, check=False)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def show(parser: argparse.ArgumentParser, rows: Sequence[str], rounds: int, kept: Path | None) -> int:
    """Measure the rows that are asked for (all without any) and print the table; 1 if a target is missed."""
    if unknown := [row for row in rows if row not in ROWS]:
        parser.error(f"no row: {', '.join(unknown)} (there are {', '.join(ROWS)})")
    wanted = [target for target in TARGETS if not rows or target.row in rows]
    said: list[Result] = []
    broken = False
    for round_ in range(rounds):
        for benchmark in dict.fromkeys(target.benchmark for target in wanted):
            if round_ and (benchmark in ONCE or benchmark.startswith(PEERS)):
                continue
            with told(f"round {round_ + 1} of {rounds}: {benchmark}"):
                more = measure(benchmark, rounds)
            broken = broken or not more
            said += more
            if kept is not None:
                with kept.open("a", encoding="utf-8") as file:
                    file.writelines(f"{json.dumps(line)}\n" for line in more)
    found = lines(wanted, results_of(said))
    print(f"{table(found)}\n\n{machine()}")
    return 0 if not broken and all(line.is_met for line in found) else 1


def _main(file: str) -> None:
    said = [json.loads(line) for line in Path(file).read_text(encoding="utf-8").splitlines() if line.startswith("{")]
    results = results_of(said)
    names = {result["name"] for result in results}
    print(table(lines([target for target in TARGETS if target.benchmark in names], results)))


if __name__ == "__main__":
    _main(*sys.argv[1:])
