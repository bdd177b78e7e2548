"""`tocsin cluster`: a development cluster in one terminal."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import trio

from runtime.world import RealWorld

from ..development import Plan, run_cluster
from ..node import single_error
from .output import printable

COLOURS = (36, 33, 35, 32, 34, 31)
"""Of the nodes' names on a terminal, in turn: cyan, yellow, magenta, green, blue, red."""


def run(plan: Plan) -> int:
    """Run the cluster until it is told to stop. Answers the exit code; errors of the table are raised as themselves."""
    with single_error():
        code = trio.run(run_cluster, plan, RealWorld(), _say)
    print("The cluster has stopped.", file=sys.stderr)
    return code


def arguments(modules: tuple[str, ...], config: Path | None, *, verbose: bool) -> tuple[str, ...]:
    """What every node is started with."""
    file = () if config is None else ("--config", str(config))
    return (*modules, *file, *(("--verbose",) if verbose else ()))


def _say(line: str) -> None:
    name, bar, text = line.partition(" | ")
    number = name.removeprefix("node-")
    if bar and number.isdigit() and sys.stdout.isatty() and "NO_COLOR" not in os.environ:
        print(f"\x1b[{COLOURS[int(number) % len(COLOURS)]}m{name}\x1b[0m | {printable(text)}", flush=True)
    else:
        print(printable(line), flush=True)
