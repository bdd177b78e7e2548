"""Tocsin's actors: typed messages, statistics on; the receiver takes them one by one, or batch by batch."""

import time
from statistics import median

import harness
import trio

from benchmarks.bench_mailbox import Add, BatchSumming, Increment, Summing
from runtime.mailbox import ask

TELLS = harness.OPTIONS["count"]
ASKS = TELLS // 20
TIMEOUT_SECONDS = 10.0


def made():
    return (BatchSumming if harness.OPTIONS["batches"] else Summing)("sum")


async def tell(messages):
    actor = made()
    async with trio.open_nursery() as nursery:
        await nursery.start(lambda task_status: actor.run(task_status=task_status))
        for message in messages:
            await actor.mailbox.tell(message)
        actor.stop()
    return actor.total


async def ask_all():
    actor, took, total = made(), [], 0
    async with trio.open_nursery() as nursery:
        await nursery.start(lambda task_status: actor.run(task_status=task_status))
        for number in range(ASKS):
            began = time.perf_counter()
            total += await ask(actor.mailbox, lambda reply: Increment(number, reply), TIMEOUT_SECONDS)  # noqa: B023
            took.append(time.perf_counter() - began)
        actor.stop()
    return took, total


def measure():
    messages = [Add(number) for number in range(TELLS)]
    began, used = time.perf_counter(), time.process_time()
    told = trio.run(tell, messages)
    seconds, cpu = time.perf_counter() - began, time.process_time() - used
    took, asked = trio.run(ask_all)
    return harness.messages(seconds, median(took), told, asked, cpu)


if __name__ == "__main__":
    harness.main(measure)
