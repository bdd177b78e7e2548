"""The command: `python -m benchmarks.peers`; see the package's docstring."""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import subprocess
import sys
from functools import partial

from .environments import ensure
from .report import json_lines, text
from .rounds import SizeName, play, run_contender, tell
from .servers import Servers
from .workloads import WORKLOADS, Workload


def install(workload: Workload) -> None:
    """Make the environments of all contenders; those whose peer cannot be had fail when they run."""
    for name in dict.fromkeys(contender.environment for contender in workload.contenders):
        try:
            ensure(name)
        except subprocess.CalledProcessError as error:
            tell(f"{name}: pip ended with {error.returncode}")


def main(arguments: list[str]) -> int:
    """Run the workloads asked for; 1 if a contender failed."""
    parser = argparse.ArgumentParser(prog="./dev bench --peers", description="Tocsin beside other schedulers.")
    parser.add_argument("workload", nargs="*", metavar="WORKLOAD", help=f"{', '.join(WORKLOADS)}; all without one")
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument("--small", action="store_true", help="tiny sizes, to see that everything works")
    sizes.add_argument("--full", action="store_true", help="more of everything")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="how often each contender runs; 3")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument(
        "--under", default="", metavar="COMMAND", help="put before each contender's command, such as a lock"
    )
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.workload if name not in WORKLOADS]:
        parser.error(f"no such workload: {', '.join(unknown)} (choose from {', '.join(WORKLOADS)})")
    if options.rounds < 1:
        parser.error("--rounds: at least 1")
    size: SizeName = "small" if options.small else "full" if options.full else "usual"
    good = True
    tell(f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}, size {size}")
    with Servers() as servers:
        run = partial(run_contender, size=size, servers=servers, under=shlex.split(options.under))
        for name in options.workload or WORKLOADS:
            workload = WORKLOADS[name]
            install(workload)
            outcome = play(workload, options.rounds, run, tell)
            good = good and outcome.good
            lines = json_lines(name, outcome) if options.json else [text(name, outcome), ""]
            print("\n".join(lines), flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
