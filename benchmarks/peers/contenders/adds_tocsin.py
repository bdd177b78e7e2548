"""Tocsin: a hundred callers that add one task after another, or one that adds a thousand with one call; SQLite."""

import time
from pathlib import Path

import harness
import trio

import tocsin
from actors.handling.catalogue import Catalogue, task_type
from actors.store.answers import TaskFilter

COUNT = harness.OPTIONS["count"]
CALLERS = harness.OPTIONS["callers"]
CALL = 1_000


async def nothing(_context, *, number):
    """Never due here."""


async def one_by_one(node):
    left = iter(range(COUNT))

    async def caller():
        for number in left:
            await node.every("1h", "peers.add", name=f"task {number}", number=number)

    async with trio.open_nursery() as nursery:
        for _ in range(CALLERS):
            nursery.start_soon(caller)


async def many(node):
    for first in range(0, COUNT, CALL):
        await node.add_many(
            node.new_task("peers.add").named(f"task {number}").with_parameters(number=number).with_period("1h")
            for number in range(first, min(first + CALL, COUNT))
        )


async def add():
    catalogue = Catalogue([task_type("peers.add", nothing)])
    async with tocsin.open_node(data=Path(harness.OPTIONS["directory"]) / "node", catalogue=catalogue) as node:
        began, used = time.monotonic(), time.process_time()
        await (one_by_one(node) if CALLERS else many(node))
        seconds, cpu = time.monotonic() - began, time.process_time() - used
        done = (await node.inner.page(TaskFilter(limit=1, text="task"))).total
    return harness.outcome(harness.rate(COUNT, seconds), COUNT, done, cpu)


if __name__ == "__main__":
    harness.main(lambda: trio.run(add))
