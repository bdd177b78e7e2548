"""Tasks added through the Python API, each durable before the caller goes on, against raw SQLite commits.

Two ways: 100 callers that add one by one, and one caller that adds many with one call. The limits in the same run: one commit per
row, and one commit per thousand rows, with synchronous=FULL.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import trio

import tocsin
from actors.handling.catalogue import Catalogue, task_type
from actors.store.answers import TaskFilter
from benchmarks.bench_fires import raw_rows
from tocsin.node import LocalNode

from .process import Used, measured

SMALL, FULL = 1_000, 20_000
CALLERS = 100
MANY = 1_000
"""Tasks in one call."""


async def _nothing(_context: object, *, number: int) -> None:
    """The handler of the tasks; none of them fires here."""


ADDED = task_type("bench.add", _nothing)


async def one_by_one(node: LocalNode, count: int) -> float:
    """Adds per second of so many callers, each of which waits for its own."""
    left = iter(range(count))

    async def caller() -> None:
        for number in left:
            await node.every("1h", "bench.add", name=f"single {number}", number=number)

    began = time.perf_counter()
    async with trio.open_nursery() as nursery:
        for _ in range(CALLERS):
            nursery.start_soon(caller)
    return count / (time.perf_counter() - began)


async def add_calls(node: LocalNode, count: int) -> float:
    """Adds per second with many tasks in one call."""
    began = time.perf_counter()
    for start in range(0, count, MANY):
        numbers = range(start, min(start + MANY, count))
        await node.add_many(
            node.new_task("bench.add").named(f"many {number}").with_parameters(number=number).with_period("1h")
            for number in numbers
        )
    return count / (time.perf_counter() - began)


async def _add(count: int, directory: Path) -> tuple[float, float, Used, int]:
    catalogue = Catalogue([ADDED])
    async with tocsin.open_node(data=directory, catalogue=catalogue) as node:
        with measured() as used:
            single = await one_by_one(node, count)
        many = await add_calls(node, count)
        total = (await node.inner.page(TaskFilter(limit=1, text="single"))).total
        total += (await node.inner.page(TaskFilter(limit=1, text="many"))).total
    return single, many, used, total


def run(full: bool) -> dict[str, Any]:
    """Adds per second both ways, and the raw limits of this machine in the same run."""
    count = FULL if full else SMALL
    with tempfile.TemporaryDirectory() as name:
        single, many, used, total = trio.run(_add, count, Path(name) / "node")
        row = raw_rows(min(count, 2_000), Path(name), 1)
        batch = raw_rows(count, Path(name), 1_000)
    return {
        "name": "adds",
        "figures": {
            f"adds/s, {CALLERS} callers one by one": single,
            f"adds/s, {MANY} with one call": many,
            **used.figures(count, "add, one by one"),
            "raw SQLite, commit per row (rows/s)": row,
            "raw SQLite, commit per 1000 rows (rows/s)": batch,
        },
        "ratios": {"one by one / raw commit per row": single / row, "with one call / raw commit per row": many / row},
        "check": {"expected": 2 * count, "actual": total},
    }
