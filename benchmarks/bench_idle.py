"""The cost of holding tasks of which none is due: memory, processor, time to be ready, and one page of the list.

The same figures for a store of a thousand tasks and for a large one, a million at the full size; each in a process of its own.
The ratios say how cost grows with what is only stored.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import trio

from actors.composition import open_node
from actors.handling.catalogue import Catalogue
from actors.lanes import NodeConfig
from actors.model.task import Definition, Task, partition_of
from actors.model.trigger import Interval
from actors.rules.definition_changes import first_state
from actors.store.answers import TaskFilter
from actors.store.port import DEFAULT_PARTITIONS, Commit, Create
from actors.store.sqlite import SqliteStore
from runtime.clock import DAY, Instant
from runtime.world import RealWorld

BASE = 1_000
SMALL, FULL = 5_000, 1_000_000
IDLE_SECONDS = {False: 2.0, True: 10.0}
BATCH = 5_000


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


def _resident_megabytes() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 1e6


async def _hold(directory: Path, seconds: float) -> dict[str, float]:
    began = time.perf_counter()
    async with open_node(NodeConfig(data=directory), Catalogue()) as node:
        ready = time.perf_counter() - began
        total = (await node.page(TaskFilter(limit=50))).total
        await trio.sleep(1.0)
        used, wall = time.process_time(), time.perf_counter()
        await trio.sleep(seconds)
        share = (time.process_time() - used) / (time.perf_counter() - wall)
        resident = _resident_megabytes()
        pages = []
        for _ in range(20):
            asked = time.perf_counter()
            await node.page(TaskFilter(limit=50))
            pages.append(time.perf_counter() - asked)
    return {
        "ready s": ready,
        "core %": share * 100,
        "resident MB": resident,
        "page of 50 ms": sorted(pages)[len(pages) // 2] * 1000,
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
    figures = {f"{label}, {BASE:,} tasks": value for label, value in base.items() if label != "tasks"}
    figures |= {f"{label}, {count:,} tasks": value for label, value in large.items() if label != "tasks"}
    return {
        "name": "idle",
        "figures": figures,
        "ratios": {label: large[label] / base[label] for label in ("ready s", "resident MB", "page of 50 ms")},
        "check": {"expected": count, "actual": int(large["tasks"])},
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(trio.run(_hold, Path(sys.argv[1]), float(sys.argv[2]))))
