"""Lateness: how long after its nominal time the handler of a one-second interval starts, for a thousand of them.

Four workloads: phases spread evenly and all at one instant, durable and memory tasks. The limits in the same run: a bare loop
that sleeps until each nominal time, with no store, no ledger and no handler; and the same with a row in SQLite that each start
writes and each end changes, which a thread commits together with what else is there. The start counts when its row is durable.
"""

from __future__ import annotations

import sqlite3
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import trio

from actors.composition import open_node
from actors.handling.catalogue import Catalogue, task_type
from actors.lanes import NodeConfig
from actors.model.task import Definition
from actors.model.trigger import Bounds, Interval
from runtime.clock import SECOND, Instant
from runtime.world import World

from .process import Used, measured, percentile, resident_megabytes

SMALL, FULL = (100, 2), (1_000, 20)
"""(tasks, seconds)."""

TICK = "bench.tick"

SETTLE_SECONDS = 2
"""Between the creation of the tasks and the first nominal time that counts."""


def ticks(
    world: World, tasks: int, seconds: int, *, spread: bool, persistent: bool = True, settle: int = SETTLE_SECONDS
) -> list[Definition]:
    """One-second intervals that run so many times, the first one in the second after `settle`."""
    now = world.now()
    first = now - now % SECOND + (settle + 1) * SECOND
    definitions = []
    for number in range(tasks):
        anchor = Instant(first + (SECOND * number // tasks if spread else 0))
        bounds = Bounds(start=anchor, max_runs=seconds)
        interval = Interval(SECOND, anchor)
        definitions.append(
            Definition(world.new_id(), f"tick {number}", TICK, interval, bounds, persistent=persistent, created_at=now)
        )
    return definitions


async def _measure(
    directory: Path, tasks: int, seconds: int, *, spread: bool, persistent: bool
) -> tuple[list[float], Used]:
    late: list[float] = []
    complete = trio.Event()

    async def tick(context: Any) -> None:
        late.append(time.time() - context.nominal.timestamp())
        if len(late) == tasks * seconds:
            complete.set()

    catalogue = Catalogue([task_type(TICK, tick)])
    config = NodeConfig(data=directory, slots=4_000, memory_slots=4_000)
    async with open_node(config, catalogue) as node:
        definitions = ticks(node.world, tasks, seconds, spread=spread, persistent=persistent)
        await node.create(definitions, "benchmark")
        with measured() as used, trio.move_on_after(SETTLE_SECONDS + seconds + 10):
            await complete.wait()
    return late, used


async def _bare(tasks: int, seconds: int) -> list[float]:
    """The floor: one loop that waits for each instant in turn."""
    late = []
    begin = time.time() + 0.1
    for number in range(tasks * seconds):
        nominal = begin + number / tasks
        await trio.sleep(max(0.0, nominal - time.time()))
        late.append(time.time() - nominal)
    return late


def _open_rows(directory: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(directory / "bare.db", isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE starts (number INTEGER PRIMARY KEY, nominal REAL, ended INTEGER)")
    return connection


def _commit_rows(connection: sqlite3.Connection, starts: list[tuple[int, float]], ends: list[int]) -> None:
    connection.execute("BEGIN")
    connection.executemany("INSERT INTO starts VALUES (?, ?, 0)", starts)
    connection.executemany("UPDATE starts SET ended = 1 WHERE number = ?", [(number,) for number in ends])
    connection.execute("COMMIT")


async def _bare_durable(directory: Path, tasks: int, seconds: int) -> list[float]:
    """The floor of what is stored: a loop, a thread that commits, and nothing decided."""
    late: list[float] = []
    connection = _open_rows(directory)
    begin, number, total = time.time() + 0.1, 0, tasks * seconds
    ended: list[int] = []
    while number < total or ended:
        due = []
        while number < total and begin + number / tasks <= time.time():
            due.append((number, begin + number / tasks))
            number += 1
        if not due and not ended:
            await trio.sleep(max(0.0, begin + number / tasks - time.time()))
            continue
        await trio.to_thread.run_sync(_commit_rows, connection, due, ended)
        now = time.time()
        late += [now - nominal for _, nominal in due]
        ended = [key for key, _ in due]
    connection.close()
    return late


def run(full: bool) -> dict[str, Any]:
    """Percentiles of lateness in milliseconds for the four workloads."""
    tasks, seconds = FULL if full else SMALL
    figures: dict[str, float] = {}
    fired = 0
    with tempfile.TemporaryDirectory() as name:
        for persistent in (True, False):
            for spread in (True, False):
                kind = f"{'durable' if persistent else 'memory'}, {'spread' if spread else 'at one instant'}"
                directory = Path(name) / kind.replace(", ", "-").replace(" ", "-")
                late, used = trio.run(
                    lambda d=directory, s=spread, p=persistent: _measure(d, tasks, seconds, spread=s, persistent=p)
                )
                fired += len(late)
                figures[f"{kind}: p50 ms"] = statistics.median(late) * 1000
                figures[f"{kind}: p99 ms"] = percentile(late, 0.99)
                figures[f"{kind}: worst ms"] = max(late) * 1000
                figures[f"{kind}: CPU us per fire"] = used.cpu / len(late) * 1e6
        bare = trio.run(_bare, tasks, 1 if not full else 5)
        stored = trio.run(_bare_durable, Path(name), tasks, 1 if not full else 5)
    figures["resident MB"] = resident_megabytes()
    figures["bare loop: p50 ms"] = statistics.median(bare) * 1000
    figures["bare loop: p99 ms"] = percentile(bare, 0.99)
    figures["bare loop with commits: p50 ms"] = statistics.median(stored) * 1000
    figures["bare loop with commits: p99 ms"] = percentile(stored, 0.99)
    return {
        "name": "lateness",
        "figures": figures,
        "ratios": {
            f"{kind}, spread: {share} / {limit}": figures[f"{kind}, spread: {share} ms"]
            / figures[f"{limit}: {share} ms"]
            for kind, limit in (("durable", "bare loop with commits"), ("memory", "bare loop"))
            for share in ("p50", "p99")
        },
        "check": {
            "expected": [4 * tasks * seconds, tasks * (5 if full else 1)],
            "actual": [fired, len(stored)],
        },
    }
