"""Runs contenders in alternating order, each in a process of its own, and compares what they measured."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import Any, Final, Literal, TypeVar

import attrs

from runtime.errors import TocsinError

from .environments import python_of
from .servers import Servers, directory_on_disk
from .workloads import Contender, Figure, Workload

T = TypeVar("T")
SizeName = Literal["small", "usual", "full"]

CONTENDERS: Final = Path(__file__).parent / "contenders"

OPTIONS: Final = "CONTENDER_OPTIONS"
"""The variable in which a contender and its workers find their options as JSON."""

PATIENCE_SECONDS: Final = 900.0
"""For one contender; the slowest takes half a minute at the usual size."""

SHOWN: Final = 1_500
"""Characters of a failed contender's last words."""


@attrs.frozen
class Result:
    """What one process of a contender measured. `done`: how much it did; `error`: why it does not count; empty if it does."""

    figures: dict[str, float] = attrs.field(factory=dict)
    done: int = 0
    cpu_us: float = 0.0
    error: str = ""


@attrs.frozen
class Spread:
    """Of the values of some rounds."""

    median: float
    lowest: float
    highest: float


def spread(values: Sequence[float]) -> Spread:
    """Of at least one value."""
    return Spread(median(values), min(values), max(values))


def order(items: Sequence[T], turn: int) -> list[T]:
    """A B C in the first round (0), B C A in the next one, and so on."""
    first = turn % len(items)
    return [*items[first:], *items[:first]]


def times_as_good(ours: Sequence[float], others: Sequence[float], *, higher: bool) -> list[float]:
    """How many times as good ours was in each round; above 1 is better, whether more or less of the figure is."""
    pairs = zip(ours, others, strict=True)
    return [mine / other if higher else other / mine for mine, other in pairs]


@attrs.frozen
class Outcome:
    """The results of each contender of a workload by its name, round by round."""

    workload: Workload
    results: dict[str, list[Result]]

    @property
    def good(self) -> bool:
        """Whether every contender did its work in every round."""
        return not any(result.error for results in self.results.values() for result in results)

    def values(self, contender: Contender, figure: Figure) -> list[float]:
        """What it measured in each round; empty if it failed in one."""
        results = self.results[contender.name]
        return [] if any(result.error for result in results) else [result.figures[figure.name] for result in results]

    def ratios(self, ours: Contender, other: Contender, figure: Figure) -> list[float]:
        """See `times_as_good`; empty if one of them failed."""
        mine, others = self.values(ours, figure), self.values(other, figure)
        return times_as_good(mine, others, higher=figure.higher) if mine and others else []


def play(workload: Workload, rounds: int, run: Callable[[Contender], Result], say: Callable[[str], None]) -> Outcome:
    """All contenders in all rounds."""
    results: dict[str, list[Result]] = {contender.name: [] for contender in workload.contenders}
    for turn in range(rounds):
        for contender in order(workload.contenders, turn):
            result = run(contender)
            results[contender.name].append(result)
            told = result.error or ", ".join(f"{value:,.4g} {name}" for name, value in result.figures.items())
            say(f"round {turn + 1}: {contender.name}: {told}")
    return Outcome(workload, results)


def run_contender(contender: Contender, size: SizeName, servers: Servers, under: Sequence[str]) -> Result:
    """One process of a contender, with an empty directory and an empty database. under: a command put before its own."""
    try:
        return _run_contender(contender, size, servers, under)
    except TocsinError as error:  # a server that is not installed or does not start
        return Result(error=str(error))


def _run_contender(contender: Contender, size: SizeName, servers: Servers, under: Sequence[str]) -> Result:
    with directory_on_disk() as directory, servers.lend(contender.server) as lent:
        options = {
            "count": getattr(contender.size, size),
            "directory": str(directory),
            **lent,
            **contender.options,
        }
        script = CONTENDERS / f"{contender.script}.py"
        command = [*under, str(python_of(contender.environment)), str(script)]
        log = directory / "log"
        with log.open("wb") as said:
            code, output = _run(command, directory, said, json.dumps(options))
        return judged(code, output, log.read_text("utf-8", errors="replace"))


def _run(command: Sequence[str], directory: Path, said: Any, options: str) -> tuple[int, str]:
    """A session of its own, of which nothing is left in the end: workers of contenders belong to it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "TOCSIN_"))}
    environment |= {"PYTHONPATH": str(CONTENDERS), OPTIONS: options}
    process = subprocess.Popen(
        command, cwd=directory, env=environment, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said, text=True,
    )  # fmt: skip
    try:
        output, _ = process.communicate(timeout=PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        return -1, f"not finished after {PATIENCE_SECONDS:.0f} s"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return process.returncode, output


def judged(code: int, output: str, log: str) -> Result:
    """What a contender's output is worth: its last line, if it says that everything was done, and once."""
    if code:
        return Result(error=f"exit code {code}: {(output + log).strip()[-SHOWN:]}")
    said = json.loads(output.strip().splitlines()[-1])
    if said["done"] != said["expected"] or said["doubled"]:
        return Result(error=f"WRONG: {said['done']} of {said['expected']} done, {said['doubled']} of them twice")
    return Result(said["figures"], said["done"], said["cpu_us"])


def tell(line: str) -> None:
    """Progress, on the standard error."""
    print(f"peers: {line}", file=sys.stderr, flush=True)
