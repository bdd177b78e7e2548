"""Runs the benchmarks: `python -m benchmarks [NAME ...] [--full] [--json]`, or the table of targets with `--targets [ROW ...]`.

A benchmark is a module `bench_NAME.py`. Its docstring's first line is its title, its `run(full)` does the workload at the
small or the full size and returns

    {"name": "mailbox",
     "figures": {"messages per second": 812_000.0, "p99 in ms": 0.4},
     "ratios": {"to a raw trio channel": 0.71},            optional
     "series": {"resident MB": [[0.0, 81.2], [0.5, 81.3]]}, optional: pairs of x and y, for plots
     "check": {"expected": 100_000, "actual": 100_000}}

Figures say what this machine did just now. Ratios are against something measured in the same run, and mean something on
other machines as well. The check is what the workload must have done for its figures to count.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import pkgutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import benchmarks
from benchmarks.progress import told
from benchmarks.results import holds

PREFIX = "bench_"


def names() -> list[str]:
    """The benchmarks there are, sorted."""
    found = [module.name for module in pkgutil.iter_modules(benchmarks.__path__)]
    return sorted(name.removeprefix(PREFIX) for name in found if name.startswith(PREFIX))


def load(name: str) -> tuple[str, Callable[[bool], dict[str, Any]]]:
    """Title and run function of a benchmark."""
    module = importlib.import_module(f"benchmarks.{PREFIX}{name}")
    title = (module.__doc__ or name).strip().splitlines()[0]
    return title, module.run


def report(title: str, result: Mapping[str, Any]) -> str:
    """A result for reading."""
    figures = [f"  {label:<48} {_number(value):>16}" for label, value in result["figures"].items()]
    ratios = [f"  {label:<48} {value:>15.2f}x" for label, value in result.get("ratios", {}).items()]
    check = result["check"]
    verdict = "ok" if holds(result) else f"WRONG: expected {check['expected']!r}"
    return "\n".join([f"{result['name']}: {title}", *figures, *ratios, f"  check: {check['actual']!r} {verdict}"])


def _number(value: float) -> str:
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def main(arguments: list[str]) -> int:
    """Run the benchmarks asked for; 1 if a check fails, 2 for a name that is none."""
    parser = argparse.ArgumentParser(prog="./dev bench", description="Runs the benchmarks, each in turn.")
    parser.add_argument(
        "name", nargs="*", metavar="NAME", help=f"{', '.join(names())}; with --targets rows: P1, P2, ..."
    )
    parser.add_argument("--full", action="store_true", help="the full size instead of the small one")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--targets", action="store_true", help="the table of targets, each benchmark at its full size")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="with --targets: how often each is run (3)")
    parser.add_argument("--results", type=Path, metavar="FILE", help="with --targets: what each run said, a line each")
    options = parser.parse_args(arguments)
    if options.targets:
        from benchmarks.table import show

        return show(parser, options.name, options.rounds, options.results)
    if unknown := [name for name in options.name if name not in names()]:
        parser.error(f"no benchmark: {', '.join(unknown)} (there are {', '.join(names())})")
    good = True
    for name in options.name or names():
        title, run = load(name)
        with told(f"{name}, {'full' if options.full else 'small'}"):
            result = run(options.full)
        good = good and holds(result)
        print(json.dumps(result) if options.json else report(title, result), flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    # /tmp may be memory, where a sync to disk costs nothing.
    tempfile.tempdir = os.environ.get("TMPDIR", "/var/tmp")
    sys.exit(main(sys.argv[1:]))
