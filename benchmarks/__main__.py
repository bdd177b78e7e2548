"""Runs the benchmarks: `python -m benchmarks [NAME] [--full] [--json]`.

A benchmark is a module `bench_NAME.py`. Its docstring's first line is its title, its `run(full)` does the workload at the
small or the full size and returns

    {"name": "mailbox",
     "figures": {"messages per second": 812_000.0, "p99 in ms": 0.4},
     "ratios": {"to a raw trio channel": 0.71},            optional
     "check": {"expected": 100_000, "actual": 100_000}}

Figures say what this machine did just now. Ratios are against something measured in the same run, and mean something on
other machines as well. The check is what the workload must have done for its figures to count.
"""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
import sys
from collections.abc import Callable, Mapping
from typing import Any

import benchmarks

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


def holds(result: Mapping[str, Any]) -> bool:
    """Whether the benchmark did what it should have."""
    return bool(result["check"]["expected"] == result["check"]["actual"])


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
    parser.add_argument("name", nargs="?", choices=names(), metavar="NAME", help=", ".join(names()))
    parser.add_argument("--full", action="store_true", help="the full size instead of the small one")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    options = parser.parse_args(arguments)
    good = True
    for name in [options.name] if options.name else names():
        title, run = load(name)
        result = run(options.full)
        good = good and holds(result)
        print(json.dumps(result) if options.json else report(title, result), flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
