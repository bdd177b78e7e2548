"""Tocsin: one-second intervals as durable or as memory tasks; the handler compares the clock with its nominal time."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import harness
import trio

import tocsin
from actors.handling.catalogue import Catalogue, task_type

TASKS, SECONDS = harness.OPTIONS["tasks"], harness.OPTIONS["count"]
PATIENCE_SECONDS = 10


async def measure():
    late, complete = [], trio.Event()

    async def tick(context):
        late.append(time.time() - context.nominal.timestamp())
        if len(late) == TASKS * SECONDS:
            complete.set()

    catalogue = Catalogue([task_type("peers.tick", tick)])
    settings = {"data": Path(harness.OPTIONS["directory"]) / "node", "slots": 4_000, "memory_slots": 4_000}
    async with tocsin.open_node(catalogue=catalogue, **settings) as node:
        first = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=harness.LEAD_SECONDS)
        await node.add_many(task(node, number, first) for number in range(TASKS))
        used = time.process_time()
        with trio.move_on_after(harness.LEAD_SECONDS + SECONDS + PATIENCE_SECONDS):
            await complete.wait()
        cpu = time.process_time() - used
    return harness.late(late, cpu)


def task(node, number, first):
    made = node.new_task("peers.tick").named(f"tick {number}").with_period("1s").max_runs(SECONDS)
    made.starting(first + timedelta(seconds=harness.phase(number)))
    return made if harness.OPTIONS["persistent"] else made.non_persistent()


if __name__ == "__main__":
    harness.main(lambda: trio.run(measure))
