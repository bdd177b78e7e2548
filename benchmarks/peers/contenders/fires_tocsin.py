"""Tocsin: one trio task for each fire, on SQLite, or on PostgreSQL as a cluster of one node."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import harness
import psycopg
import trio

import tocsin
from actors.handling.catalogue import Catalogue, task_type

COUNT = harness.OPTIONS["count"]

LEAD_SECONDS = 2.0
SECONDS_TO_ADD = 0.0004
"""For one task, at the most."""

CALL = 1_000
"""Tasks added with one call."""


def settings():
    usual = {"data": Path(harness.OPTIONS["directory"]) / "node", "slots": 10_000}
    if harness.OPTIONS["store"] == "postgres":
        return usual | {"coordination_embedded": True, "store_url": harness.OPTIONS["dsn"]}
    return usual


async def add(node, due):
    for first in range(0, COUNT, CALL):
        added = await node.add_many(
            node.new_task("peers.nothing").named(f"fire {number}").with_parameters(number=number).at(due)
            for number in range(first, min(first + CALL, COUNT))
        )
        assert not any(isinstance(one, Exception) for one in added), added
    if harness.OPTIONS["store"] == "postgres":
        with psycopg.connect(harness.OPTIONS["dsn"], autocommit=True) as connection:
            connection.execute("ANALYZE")


async def fire():
    numbers = []

    async def nothing(_context, *, number):
        numbers.append(number)

    catalogue = Catalogue([task_type("peers.nothing", nothing)])
    async with tocsin.open_node(catalogue=catalogue, **settings()) as node:
        due = datetime.now(UTC) + timedelta(seconds=LEAD_SECONDS + COUNT * SECONDS_TO_ADD)
        await add(node, due)
        left = (due - datetime.now(UTC)).total_seconds()
        assert left > 0, "the tasks are due before all are there"
        await trio.sleep(left)
        began, used = time.monotonic(), time.process_time()
        with trio.fail_after(harness.WORK_SECONDS):
            while node.inner.completed() < COUNT:  # noqa: ASYNC110 - nothing tells when
                await trio.sleep(0.01)
        ended, cpu = time.monotonic(), time.process_time() - used
        outcomes = (await node.inner.counts()).by_outcome
    result = harness.fired([(began, number) for number in numbers], ended, cpu)
    stored = sum(outcomes.get(name, 0) for name in ("fired", "late"))
    return result | {"done": min(result["done"], stored)}


if __name__ == "__main__":
    harness.main(lambda: trio.run(fire))
