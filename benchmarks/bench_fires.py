"""Tasks all due at once: fires per second with every outcome durable, against raw SQLite commits.

One trio task per fire, an async handler that does nothing, the ledger complete at the end. The limits in the same run: a commit
per row, and one commit per thousand rows, of a row as wide as an execution's, both with synchronous=FULL.
"""

from __future__ import annotations

import sqlite3
import tempfile
import time
from pathlib import Path
from typing import Any

import trio

from actors.composition import open_node
from actors.handling.catalogue import Catalogue, task_type
from actors.lanes import NodeConfig
from actors.model.task import Definition
from actors.model.trigger import Once
from actors.node import Node
from actors.store.answers import TaskFilter
from runtime.clock import SECOND, Instant, Micros

SMALL, FULL = 500, 10_000
LEAD = Micros(SECOND)
"""Between the last task's creation and the common nominal time."""

ROW = ("x" * 36, "y" * 36, "COMPLETED", 1_795_000_000_000_000, 1_795_000_000_000_000, "z" * 60)


async def _nothing(_context: object) -> None:
    """The handler under test."""


async def _fire(count: int, directory: Path, *, persistent: bool) -> dict[str, float]:
    catalogue = Catalogue([task_type("bench.nothing", _nothing)])
    config = NodeConfig(data=directory, slots=10_000, memory_slots=10_000)
    async with open_node(config, catalogue) as node:
        at = await _create(node, count, persistent=persistent)
        await trio.sleep((at - node.world.now()) / SECOND)
        began, used = time.perf_counter(), time.process_time()
        done = 0
        while done < count and time.perf_counter() - began < 120:
            await trio.sleep(0.02)
            done = node.completed()
        seconds = time.perf_counter() - began
        cpu = time.process_time() - used
        page = await node.page(TaskFilter(limit=1))
        counts = await node.counts()
        outcomes = counts.by_outcome
        recorded = sum(outcomes.get(name, 0) for name in ("fired", "late")) if persistent else done
    return {"rate": done / seconds, "cpu_us": cpu / count * 1e6, "recorded": recorded, "tasks": page.total}


async def _create(node: Node, count: int, *, persistent: bool) -> Instant:
    now = node.world.now()
    at = Instant(now + LEAD + count * 60)
    definitions = [
        Definition(node.world.new_id(), f"fire {n}", "bench.nothing", Once(at), persistent=persistent, created_at=now)
        for n in range(count)
    ]
    for start in range(0, count, 1_000):
        await node.create(definitions[start : start + 1_000], "benchmark")
    return at


def raw_rows(count: int, directory: Path, rows_per_commit: int) -> float:
    """Rows per second of plain SQLite, durable, with so many rows in a commit."""
    connection = sqlite3.connect(directory / f"raw{rows_per_commit}.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE t (a TEXT, b TEXT, c TEXT, d INTEGER, e INTEGER, f TEXT)")
    began = time.perf_counter()
    for _ in range(count // rows_per_commit):
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO t VALUES (?,?,?,?,?,?)", [ROW] * rows_per_commit)
        connection.execute("COMMIT")
    seconds = time.perf_counter() - began
    connection.close()
    return count / seconds


def run(full: bool) -> dict[str, Any]:
    """Fires per second of durable and of memory tasks, and the raw limits of this machine in the same run."""
    count = FULL if full else SMALL
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        durable = trio.run(lambda: _fire(count, directory / "durable", persistent=True))
        memory = trio.run(lambda: _fire(count, directory / "memory", persistent=False))
        single = raw_rows(min(count, 2_000), directory, 1)
        batched = raw_rows(count, directory, min(1_000, count))
    return {
        "name": "fires",
        "figures": {
            "fires/s, durable": durable["rate"],
            "CPU us per durable fire": durable["cpu_us"],
            "fires/s, memory": memory["rate"],
            "raw SQLite, commit per row (rows/s)": single,
            "raw SQLite, commit per 1000 rows (rows/s)": batched,
        },
        "ratios": {
            "durable fires / raw commit per row": durable["rate"] / single,
            "durable fires / raw batched rows": durable["rate"] / batched,
        },
        "check": {"expected": count, "actual": int(durable["recorded"])},
    }
