"""A memory channel of trio and nothing else; questions bring a channel for their answer."""

import time
from statistics import median

import harness
import trio

TELLS = harness.OPTIONS["count"]
ASKS = TELLS // 20
CHANNEL_SIZE = 1_024


async def tell():
    send, receive = trio.open_memory_channel(CHANNEL_SIZE)
    total = 0

    async def reader():
        nonlocal total
        async for number in receive:
            total += number

    async with trio.open_nursery() as nursery:
        nursery.start_soon(reader)
        async with send:
            for number in range(TELLS):
                await send.send(number)
    return total


async def ask():
    send, receive = trio.open_memory_channel(CHANNEL_SIZE)
    took, total = [], 0

    async def reader():
        async for number, answers in receive:
            answers.send_nowait(number + 1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(reader)
        async with send:
            for number in range(ASKS):
                began = time.perf_counter()
                answers, answer = trio.open_memory_channel(1)
                await send.send((number, answers))
                total += await answer.receive()
                took.append(time.perf_counter() - began)
    return took, total


def measure():
    began, used = time.perf_counter(), time.process_time()
    told = trio.run(tell)
    seconds, cpu = time.perf_counter() - began, time.process_time() - used
    took, asked = trio.run(ask)
    return harness.messages(seconds, median(took), told, asked, cpu)


if __name__ == "__main__":
    harness.main(measure)
