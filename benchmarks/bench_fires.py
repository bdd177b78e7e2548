"""Tasks all due at once: fires per second with every outcome durable, against raw commits of the same stores.

One trio task per fire, an async handler that does nothing, the ledger complete at the end; on SQLite, on PostgreSQL and in
memory. The limits in the same run: a commit per row, and one commit per thousand rows, of a row as wide as an execution's, both
with synchronous=FULL.
"""

from __future__ import annotations

import sqlite3
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg
import trio

from actors.composition import open_node
from actors.handling.catalogue import Catalogue, task_type
from actors.lanes import NodeConfig
from actors.model.task import Definition
from actors.model.trigger import Once
from actors.node import Node
from actors.store.answers import TaskFilter
from actors.store.port import Store
from actors.store.postgres import PostgresStore
from benchmarks.process import cpu_seconds
from runtime.clock import SECOND, Instant, Micros
from tests.servers import server_directory
from tocsin.embedded.postgres import EmbeddedPostgres

SMALL, FULL = 500, 10_000
LEAD = Micros(SECOND)
"""Between the last task's creation and the common nominal time, at the least."""

MAKING = Micros(200)
"""To make a task, on a slow machine in a slow moment: all must be there before they are due."""

ROW = ("x" * 36, "y" * 36, "COMPLETED", 1_795_000_000_000_000, 1_795_000_000_000_000, "z" * 60)


RAW_POSTGRES = (
    "INSERT INTO raw SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::text[])"
)


async def _nothing(_context: object) -> None:
    """The handler under test."""


async def fire(count: int, directory: Path, *, persistent: bool = True, store: Store | None = None) -> dict[str, float]:
    """Make so many tasks, let all be due at once, and wait until the last outcome is stored. store: None for SQLite."""
    catalogue = Catalogue([task_type("bench.nothing", _nothing)])
    config = NodeConfig(data=directory, slots=10_000, memory_slots=10_000)
    async with open_node(config, catalogue, store=store) as node:
        at = await _create(node, count, persistent=persistent)
        await trio.sleep((at - node.world.now()) / SECOND)
        used, began = cpu_seconds(), time.perf_counter()
        done = 0
        while done < count and time.perf_counter() - began < 120:
            await trio.sleep(0.02)
            done = node.completed()
        seconds = time.perf_counter() - began
        cpu = cpu_seconds() - used
        page = await node.page(TaskFilter(limit=1))
        counts = await node.counts()
        outcomes = counts.by_outcome
        recorded = sum(outcomes.get(name, 0) for name in ("fired", "late")) if persistent else done
    return {"rate": done / seconds, "cpu_us": cpu / count * 1e6, "recorded": recorded, "tasks": page.total}


async def _create(node: Node, count: int, *, persistent: bool) -> Instant:
    now = node.world.now()
    at = Instant(now + LEAD + count * MAKING)
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


def raw_postgres_rows(count: int, dsn: str, rows_per_commit: int) -> float:
    """Rows per second of plain PostgreSQL, durable, with so many rows in a commit."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS raw")
        connection.execute("CREATE TABLE raw (a TEXT, b TEXT, c TEXT, d BIGINT, e BIGINT, f TEXT)")
        columns = [list(column) for column in zip(*[ROW] * rows_per_commit, strict=True)]
        began = time.perf_counter()
        for _ in range(count // rows_per_commit):
            connection.execute(RAW_POSTGRES, columns)
        return count / (time.perf_counter() - began)


def run(full: bool) -> dict[str, Any]:
    """Fires per second of durable tasks on both stores and of memory tasks, and the raw limits in the same run."""
    count = FULL if full else SMALL
    with (
        tempfile.TemporaryDirectory() as name,
        server_directory("postgres") as place,
        EmbeddedPostgres(place / "server") as server,
    ):
        directory = Path(name)
        sqlite = trio.run(lambda: fire(count, directory / "sqlite"))
        postgres = trio.run(lambda: fire(count, directory / "postgres", store=PostgresStore(server.dsn)))
        memory = trio.run(lambda: fire(count, directory / "memory", persistent=False))
        limits = {
            "SQLite, commit per row": raw_rows(min(count, 2_000), directory, 1),
            "SQLite, commit per 1000 rows": raw_rows(count, directory, min(1_000, count)),
            "PostgreSQL, commit per row": raw_postgres_rows(min(count, 2_000), server.dsn, 1),
            "PostgreSQL, commit per 1000 rows": raw_postgres_rows(count, server.dsn, min(1_000, count)),
        }
    return {
        "name": "fires",
        "figures": {
            "fires/s, SQLite": sqlite["rate"],
            "CPU us per fire, SQLite": sqlite["cpu_us"],
            "fires/s, PostgreSQL": postgres["rate"],
            "CPU us per fire, PostgreSQL": postgres["cpu_us"],
            "fires/s, memory": memory["rate"],
            "CPU us per fire, memory": memory["cpu_us"],
            **{f"raw {what} (rows/s)": rate for what, rate in limits.items()},
        },
        "ratios": {
            "SQLite / raw commit per row": sqlite["rate"] / limits["SQLite, commit per row"],
            "SQLite / raw batched rows": sqlite["rate"] / limits["SQLite, commit per 1000 rows"],
            "PostgreSQL / raw commit per row": postgres["rate"] / limits["PostgreSQL, commit per row"],
            "PostgreSQL / raw batched rows": postgres["rate"] / limits["PostgreSQL, commit per 1000 rows"],
        },
        "check": {"expected": [count, count], "actual": [int(sqlite["recorded"]), int(postgres["recorded"])]},
    }
