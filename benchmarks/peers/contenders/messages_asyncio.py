"""A queue of asyncio and nothing else, without a bound; questions bring a future for their answer."""

import asyncio
import time
from statistics import median

import harness

TELLS = harness.OPTIONS["count"]
ASKS = TELLS // 20
TURN = 64
"""Messages put before the reader has its turn."""


async def tell():
    queue, total = asyncio.Queue(), 0

    async def reader():
        nonlocal total
        for _ in range(TELLS):
            total += await queue.get()

    reading = asyncio.create_task(reader())
    for number in range(TELLS):
        queue.put_nowait(number)
        if number % TURN == 0:
            await asyncio.sleep(0)
    await reading
    return total


async def ask():
    queue, took, total = asyncio.Queue(), [], 0

    async def reader():
        while True:
            number, future = await queue.get()
            future.set_result(number + 1)

    reading, loop = asyncio.create_task(reader()), asyncio.get_running_loop()
    for number in range(ASKS):
        began = time.perf_counter()
        future = loop.create_future()
        queue.put_nowait((number, future))
        total += await future
        took.append(time.perf_counter() - began)
    reading.cancel()
    return took, total


def measure():
    began, used = time.perf_counter(), time.process_time()
    told = asyncio.run(tell())
    seconds, cpu = time.perf_counter() - began, time.process_time() - used
    took, asked = asyncio.run(ask())
    return harness.messages(seconds, median(took), told, asked, cpu)


if __name__ == "__main__":
    harness.main(measure)
