"""What a fire, an add and a page cost beside a thousand stored tasks, and beside up to a million (row P12).

Each size in a process of its own, over a store that was filled beforehand with tasks of which none is due. In this order: pages
of 50 over REST, one-second intervals whose lateness is noted, adds one by one and with one call, and tasks that are all due at
one instant. The ratios are those of the largest size to the smallest.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from actors.handling.catalogue import Catalogue, task_type
from actors.model.task import Definition
from actors.model.trigger import Once
from actors.node import Node
from benchmarks.bench_adds import ADDED, add_calls, one_by_one
from benchmarks.bench_fires import LEAD, MAKING
from benchmarks.bench_lateness import TICK, ticks
from benchmarks.bench_pages import PAGES, ask, fill, serving_config
from benchmarks.process import measured, percentile, resident_megabytes
from runtime.clock import SECOND, Instant
from tests.source import ROOT
from tocsin.serving import Serving, open_serving

FIRED_TYPE: Final = "bench.nothing"
POLL_SECONDS: Final = 0.002
PATIENCE_SECONDS: Final = 60.0

ASKED: Final[Mapping[str, str]] = {label: query for label, query in PAGES.items() if "offset" not in query}
"""Pages that every size has."""


@attrs.frozen
class Size:
    """Stored tasks of each size; how often each page is asked for, tasks that are added each way, tasks that fire at once and in
    how many rounds, and intervals with the seconds that they run."""

    stored: tuple[int, ...]
    asked: int
    added: int
    fired: int
    rounds: int
    ticking: tuple[int, int]


SMALL: Final = Size((1_000, 4_000), asked=5, added=200, fired=200, rounds=1, ticking=(20, 1))
FULL: Final = Size(
    (1_000, 10_000, 100_000, 1_000_000), asked=100, added=5_000, fired=5_000, rounds=3, ticking=(200, 10)
)


@attrs.define
class _Handlers:
    late: list[float] = attrs.field(factory=list)

    async def tick(self, context: Any) -> None:
        self.late.append(time.time() - context.nominal.timestamp())

    async def nothing(self, _context: object) -> None:
        """Fires and ends."""

    def catalogue(self) -> Catalogue:
        return Catalogue([task_type(TICK, self.tick), task_type(FIRED_TYPE, self.nothing), ADDED])


async def _fire(node: Node, count: int) -> tuple[float, float]:
    """Seconds by the clock and of processor time for so many tasks that are due at one instant."""
    now = node.world.now()
    at = Instant(now + LEAD + count * MAKING)
    for start in range(0, count, 1_000):
        names = [f"fire {now} {number}" for number in range(start, min(start + 1_000, count))]
        definitions = [Definition(node.world.new_id(), one, FIRED_TYPE, Once(at), created_at=now) for one in names]
        await node.create(definitions, "benchmark")
    wanted = node.completed() + count
    if node.world.now() > at:
        raise RuntimeError("the tasks were not there in time")
    await trio.sleep((at - node.world.now()) / SECOND)
    with measured() as used, trio.fail_after(PATIENCE_SECONDS):
        while node.completed() < wanted:  # noqa: ASYNC110 - whoever asks a node waits like this
            await trio.sleep(POLL_SECONDS)
    return used.seconds, used.cpu


async def _late(node: Node, late: list[float], tasks: int, seconds: int) -> None:
    await node.create(ticks(node.world, tasks, seconds, spread=True), "benchmark")
    with trio.move_on_after(seconds + PATIENCE_SECONDS):
        while len(late) < tasks * seconds:  # noqa: ASYNC110
            await trio.sleep(0.05)


async def _measure(serving: Serving, handlers: _Handlers, size: Size) -> dict[str, float]:
    node = serving.node.inner
    with measured() as used:
        pages = await ask(serving, ASKED, size.asked)
    asked = [second for one in pages.values() for second in one.seconds]
    found = {
        "page p50 ms": statistics.median(asked) * 1000,
        "page p99 ms, the slowest": max(percentile(one.seconds, 0.99) for one in pages.values()),
        "CPU us per page": used.cpu / len(pages) / (size.asked + 1) * 1e6,
    }
    await _late(node, handlers.late, *size.ticking)
    found |= {
        "lateness p50 ms": percentile(handlers.late, 0.5),
        "lateness p99 ms": percentile(handlers.late, 0.99),
    }
    with measured() as used:
        singly = await one_by_one(serving.node, size.added)
    found |= {"us per add, one by one": 1e6 / singly, "CPU us per add, one by one": used.cpu / size.added * 1e6}
    with measured() as used:
        together = await add_calls(serving.node, size.added)
    found |= {"us per add, in one call": 1e6 / together, "CPU us per add, in one call": used.cpu / size.added * 1e6}
    rounds = [await _fire(node, size.fired) for _ in range(size.rounds)]
    found |= {
        "us per fire": statistics.median(seconds for seconds, _ in rounds) / size.fired * 1e6,
        "CPU us per fire": statistics.median(cpu for _, cpu in rounds) / size.fired * 1e6,
        "resident MB": resident_megabytes(),
    }
    counts = await node.counts()
    done = counts.by_outcome.get("fired", 0) + counts.by_outcome.get("late", 0)
    return found | {
        "stored": pages["unfiltered"].total,
        "fired": min(done, _expected(size)),
        "late": len(handlers.late),
    }


def _expected(size: Size) -> int:
    tasks, seconds = size.ticking
    return size.fired * size.rounds + tasks * seconds


async def _one_size(directory: Path, size: Size) -> dict[str, float]:
    handlers = _Handlers()
    config = serving_config(directory, slots=10_000)
    async with open_serving(config, handlers.catalogue()) as serving:
        return await _measure(serving, handlers, size)


def _in_process(count: int, full: bool) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as name:
        fill(Path(name), count)
        command = [sys.executable, "-m", "benchmarks.bench_growth", name, "full" if full else "small"]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    result: dict[str, float] = json.loads(done.stdout)
    return result


def run(full: bool) -> dict[str, Any]:
    """Every figure at every size, and the ratios of the largest to the smallest."""
    size = FULL if full else SMALL
    told = {count: _in_process(count, full) for count in size.stored}
    labels = [label for label in told[size.stored[0]] if label not in ("stored", "fired", "late")]
    least, most = told[size.stored[0]], told[size.stored[-1]]
    return {
        "name": "growth",
        "figures": {f"{label}, {count:,} stored": told[count][label] for label in labels for count in size.stored},
        "ratios": {label: most[label] / least[label] for label in labels},
        "series": {label: [[count, told[count][label]] for count in size.stored] for label in labels},
        "check": {
            "expected": [[count, _expected(size)] for count in size.stored],
            "actual": [[told[count]["stored"], told[count]["fired"]] for count in size.stored],
        },
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(trio.run(_one_size, Path(sys.argv[1]), FULL if sys.argv[2] == "full" else SMALL)))
