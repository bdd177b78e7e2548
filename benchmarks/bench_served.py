"""Lateness while a node serves: clients that list without pause, consoles that follow, metrics, and an import (row P4b).

The same one-second intervals, durable and spread evenly, on a quiet node and then under load in one run. The load comes from a
process of its own (`console_load`), and the figures say which share of a core either takes: on a machine of two cores node and
clients have one each.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import trio

from actors.handling.catalogue import Catalogue, task_type
from benchmarks.process import cpu_seconds
from tocsin.serving import Serving, open_serving
from tocsin.settings.config import Config
from tocsin.settings.setting_readers import Address

from .bench_lateness import TICK, percentile, ticks
from .console_load import Load

SETTLE_SECONDS = 3
"""From the start of the load to the first nominal time that counts: everybody is connected by then."""

PATIENCE_SECONDS = 30.0
"""For what is late, and twice that for the rest of the import."""

UNLIMITED = 1_000_000
"""Requests per second of a token: the load is one program that asks for many."""


@attrs.frozen
class Size:
    """How large the workload is: ticking tasks and for how many seconds, and who asks for what meanwhile."""

    tasks: int
    seconds: int
    lists: int
    followers: int
    imported: int


SMALL = Size(tasks=50, seconds=2, lists=2, followers=3, imported=100)
FULL = Size(tasks=1_000, seconds=20, lists=32, followers=50, imported=50_000)
QUERY = ""
"""How the consoles follow: everything, as it happens."""


@attrs.define
class _Late:
    """How late each handler started, in seconds, and when all have."""

    expected: int
    values: list[float] = attrs.field(factory=list)
    complete: trio.Event = attrs.field(factory=trio.Event)

    async def tick(self, context: Any) -> None:
        self.values.append(time.time() - context.nominal.timestamp())
        if len(self.values) == self.expected:
            self.complete.set()


async def _idle(_context: object) -> None:
    """The handler of what is imported, which is never due."""


async def _measure(directory: Path, size: Size, *, loaded: bool) -> tuple[_Late, dict[str, Any], dict[str, float]]:
    """Lateness; what the load did; and of the node its share of a core and its stalls."""
    late = _Late(size.tasks * size.seconds)
    catalogue = Catalogue([task_type(TICK, late.tick), task_type("bench.idle", _idle)])
    config = Config(
        data=directory,
        listen=Address("127.0.0.1", 0),
        slots=4_000,
        rate=UNLIMITED,
        burst=UNLIMITED,
        tenant_rate=UNLIMITED,
        tenant_burst=UNLIMITED,
    )
    async with open_serving(config, catalogue) as serving:
        node = serving.node
        definitions = ticks(node.world, size.tasks, size.seconds, spread=True, settle=SETTLE_SECONDS)
        await node.create(definitions, "benchmark")
        used, began = cpu_seconds(), time.perf_counter()
        with trio.fail_after(SETTLE_SECONDS + size.seconds + 3 * PATIENCE_SECONDS):
            done = await (_load(serving, size, late) if loaded else _quiet(late))
        seconds = time.perf_counter() - began
        stalls = node.inner.stalls()
        figures = {
            "core of the node %": (cpu_seconds() - used) / seconds * 100,
            "longest stall ms": stalls.longest_stall_seconds * 1000,
        }
    return late, done, figures


async def _quiet(late: _Late) -> dict[str, Any]:
    await late.complete.wait()
    return {}


async def _load(serving: Serving, size: Size, late: _Late) -> dict[str, Any]:
    port = int(serving.url.rpartition(":")[2])
    token = (serving.data / "token").read_text(encoding="ascii").strip()
    load = Load(port, token, size.lists, size.followers, size.imported, QUERY)
    command = [sys.executable, "-m", "benchmarks.console_load", json.dumps(attrs.asdict(load))]
    told = b""
    async with trio.open_nursery() as nursery:
        process = await nursery.start(partial(trio.run_process, command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        with trio.move_on_after(SETTLE_SECONDS + size.seconds + PATIENCE_SECONDS):
            await late.complete.wait()
        await process.stdin.aclose()
        async for part in process.stdout:
            told += part
    done: dict[str, Any] = json.loads(told)
    return done


def run(full: bool) -> dict[str, Any]:
    """Percentiles of lateness on a quiet node and under load, and what the load did."""
    size = FULL if full else SMALL
    with tempfile.TemporaryDirectory() as name:
        quiet, _, _ = trio.run(lambda: _measure(Path(name) / "quiet", size, loaded=False))
        late, done, node = trio.run(lambda: _measure(Path(name) / "loaded", size, loaded=True))
    figures = {
        "quiet: p50 ms": statistics.median(quiet.values) * 1000,
        "quiet: p99 ms": percentile(quiet.values, 0.99),
        "loaded: p50 ms": statistics.median(late.values) * 1000,
        "loaded: p99 ms": percentile(late.values, 0.99),
        "loaded: worst ms": max(late.values) * 1000,
        **node,
        "core of the clients %": done["core"] * 100,
        "pages per second": done["pages"] / done["seconds"],
        "page p50 ms": done["page p50"] * 1000,
        "page p99 ms": done["page p99"] * 1000,
        "events told per second": done.get("events", 0) / done["seconds"],
    }
    return {
        "name": "served",
        "figures": figures,
        "ratios": {"p99 loaded / quiet": figures["loaded: p99 ms"] / figures["quiet: p99 ms"]},
        "check": {
            "expected": [2 * size.tasks * size.seconds, size.followers, size.imported, 0],
            "actual": [
                len(quiet.values) + len(late.values),
                done["followers"],
                done["imported"],
                done.get("refusals", 0),
            ],
        },
    }
