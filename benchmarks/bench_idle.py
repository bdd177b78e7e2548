"""The cost of holding tasks of which none is due: memory, processor, time to be ready; an add, a page of the list, what is next.

The same figures for a store of few tasks, a thousand, and of many, a million at the full size; each in a process of its own. The
ratios say how cost grows with what is only stored.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import trio

from actors.composition import open_node
from actors.handling.catalogue import Catalogue
from actors.lanes import NodeConfig
from actors.model.task import Definition, Task, partition_of
from actors.model.trigger import Interval
from actors.node import Node
from actors.rules.definition_changes import first_state
from actors.store.answers import TaskFilter
from actors.store.port import DEFAULT_PARTITIONS, Commit, Create
from actors.store.sqlite import SqliteStore
from runtime.clock import DAY, Instant
from runtime.world import RealWorld

from .process import cpu_seconds, resident_megabytes

BASE = 1_000
SMALL, FULL = 5_000, 1_000_000
IDLE_SECONDS = {False: 2.0, True: 10.0}
BATCH = 5_000

ASKED = 50
"""How often a page, what is next and an add are timed."""

COMPARED = ("ready s", "resident MB", "page of 50 ms", "next ms", "add ms")


def fill(directory: Path, count: int) -> None:
    """Make a store with so many tasks, due between one and two days from now."""
    directory.mkdir(parents=True, exist_ok=True)
    world = RealWorld()
    now = world.now()
    store = SqliteStore(directory / "tocsin.db", synchronous="NORMAL")
    store.open(new_cluster_id="benchmark", partitions=DEFAULT_PARTITIONS, timezone_database="")
    epochs = store.raise_epochs(dict.fromkeys(range(DEFAULT_PARTITIONS), 1), "benchmark")
    for start in range(0, count, BATCH):
        creates = []
        for number in range(start, min(start + BATCH, count)):
            anchor = Instant(now + DAY + DAY * number // count)
            definition = Definition(
                world.new_id(), f"idle {number}", "bench.idle", Interval(DAY, anchor), created_at=now
            )
            task = Task(definition, first_state(definition, now))
            creates.append(Create(task, partition_of(definition.id, DEFAULT_PARTITIONS)))
        store.commit(Commit(epochs, tuple(creates)))
    store.close()


async def _timed(asked: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await asked()
    return time.perf_counter() - began


async def _add(node: Node, number: int) -> None:
    now = node.world.now()
    interval = Interval(DAY, Instant(now + DAY))
    made = await node.create(
        [Definition(node.world.new_id(), f"added {number}", "bench.idle", interval, created_at=now)], "benchmark"
    )
    if isinstance(made[0], Exception):
        raise made[0]


async def _hold(directory: Path, seconds: float) -> dict[str, float]:
    began = time.perf_counter()
    async with open_node(NodeConfig(data=directory), Catalogue()) as node:
        ready = time.perf_counter() - began
        total = (await node.page(TaskFilter(limit=50))).total
        await trio.sleep(1.0)
        used, wall = cpu_seconds(), time.perf_counter()
        await trio.sleep(seconds)
        share = (cpu_seconds() - used) / (time.perf_counter() - wall)
        resident = resident_megabytes()
        pages = [await _timed(partial(node.page, TaskFilter(limit=50))) for _ in range(ASKED)]
        coming = [await _timed(partial(node.page, TaskFilter(limit=50, sort="coming"))) for _ in range(ASKED)]
        adds = [await _timed(partial(_add, node, number)) for number in range(ASKED)]
    return {
        "ready s": ready,
        "core %": share * 100,
        "resident MB": resident,
        "page of 50 ms": median(pages) * 1000,
        "next ms": median(coming) * 1000,
        "add ms": median(adds) * 1000,
        "tasks": total,
    }


def _in_process(directory: Path, count: int, seconds: float) -> dict[str, float]:
    fill(directory, count)
    command = [sys.executable, "-m", "benchmarks.bench_idle", str(directory), str(seconds)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    result: dict[str, float] = json.loads(done.stdout)
    return result


def run(full: bool) -> dict[str, Any]:
    """Figures for a small and a large store, and their ratios."""
    count = FULL if full else SMALL
    with tempfile.TemporaryDirectory() as name:
        base = _in_process(Path(name) / "base", BASE, IDLE_SECONDS[full])
        large = _in_process(Path(name) / "large", count, IDLE_SECONDS[full])
    figures = {f"{label}, few tasks": value for label, value in base.items() if label != "tasks"}
    figures |= {f"{label}, many tasks": value for label, value in large.items() if label != "tasks"}
    return {
        "name": "idle",
        "figures": figures,
        "ratios": {label: large[label] / base[label] for label in COMPARED},
        "check": {"expected": count, "actual": int(large["tasks"])},
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(trio.run(_hold, Path(sys.argv[1]), float(sys.argv[2]))))
