"""Messages to one actor and questions with answers, beside bare trio.

Rounds of all contenders alternate, and a ratio is the median over the rounds, so that a machine whose speed changes meanwhile
changes all of them. Messages are made beforehand: what is measured is telling them, typed dispatch and statistics
included. The asks include making the question and its reply, and carry a deadline, which the bare mailbox's do not.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Awaitable, Callable
from statistics import median
from typing import Any

import attrs
import outcome
import trio
from trio.lowlevel import Abort, Task, current_task, reschedule, wait_task_rescheduled

from runtime.actor import Actor
from runtime.mailbox import Reply, ask

from .process import measured, resident_megabytes

CHANNEL_SIZE = 1_024
BARE_BUDGET = 256
TIMEOUT_SECONDS = 10.0


@attrs.frozen
class Add:
    number: int


@attrs.frozen
class Increment:
    number: int
    reply: Reply[int]


class Summing(Actor[Add | Increment]):
    """One message at a time."""

    total = 0

    async def receive(self, message: Add | Increment) -> None:
        match message:
            case Add(number):
                self.total += number
            case Increment(number, reply):
                reply.answer(number + 1)


class BatchSumming(Summing):
    """A batch at a time, as the actors that carry the load."""

    async def receive_batch(self, messages: list[Add | Increment]) -> None:
        for message in messages:
            match message:
                case Add(number):
                    self.total += number
                case Increment(number, reply):
                    reply.answer(number + 1)


class Bare:
    """The least a mailbox on trio can be: a deque and a reschedule, nothing else."""

    def __init__(self) -> None:
        self.queue: deque[Any] = deque()
        self.task: Task | None = None

    def tell(self, message: Any) -> None:
        self.queue.append(message)
        task = self.task
        if task is not None:
            self.task = None
            reschedule(task)

    async def wait(self) -> None:
        self.task = current_task()
        await wait_task_rescheduled(self._cancelled)

    def _cancelled(self, _: object) -> Abort:
        self.task = None
        return Abort.SUCCEEDED


async def _tell_actor(actor: Summing, messages: list[Add]) -> int:
    async with trio.open_nursery() as nursery:
        await nursery.start(lambda task_status: actor.run(task_status=task_status))
        tell = actor.mailbox.tell
        for message in messages:
            await tell(message)
        actor.stop()
    return actor.total


async def _tell_channel(messages: list[Add]) -> int:
    send, receive = trio.open_memory_channel[Add](CHANNEL_SIZE)
    total = 0

    async def reader() -> None:
        nonlocal total
        async for message in receive:
            total += message.number

    async with trio.open_nursery() as nursery:
        nursery.start_soon(reader)
        async with send:
            for message in messages:
                await send.send(message)
    return total


async def _tell_bare(messages: list[Add]) -> int:
    bare = Bare()
    total = handled = 0

    async def reader() -> None:
        nonlocal total, handled
        queue = bare.queue
        while handled < len(messages):
            if not queue:
                await bare.wait()
            for _ in range(min(BARE_BUDGET, len(queue))):
                total += queue.popleft().number
                handled += 1
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(reader)
        for number, message in enumerate(messages):
            bare.tell(message)
            if number % BARE_BUDGET == 0:
                await trio.lowlevel.checkpoint()
    return total


async def _ask_actor(actor: Summing, count: int) -> list[float]:
    took: list[float] = []
    async with trio.open_nursery() as nursery:
        await nursery.start(lambda task_status: actor.run(task_status=task_status))
        for number in range(count):
            begun = time.perf_counter()
            answer = await ask(actor.mailbox, lambda reply: Increment(number, reply), TIMEOUT_SECONDS)  # noqa: B023
            took.append(time.perf_counter() - begun)
            actor.total += answer
        actor.stop()
    return took


def _never_cancelled(_: object) -> Abort:
    return Abort.SUCCEEDED


async def _ask_bare(count: int) -> list[float]:
    bare = Bare()
    took: list[float] = []

    async def reader() -> None:
        queue = bare.queue
        while True:
            if not queue:
                await bare.wait()
            while queue:
                number, task = queue.popleft()
                reschedule(task, outcome.Value(number + 1))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(reader)
        for number in range(count):
            begun = time.perf_counter()
            bare.tell((number, current_task()))
            await wait_task_rescheduled(_never_cancelled)
            took.append(time.perf_counter() - begun)
        nursery.cancel_scope.cancel()
    return took


def run(full: bool) -> dict[str, Any]:
    tells, asks, rounds = (50_000, 4_000, 15) if full else (2_000, 200, 3)
    messages = [Add(number) for number in range(tells)]
    expected = actual = 0
    rates: dict[str, list[float]] = {}
    used: dict[str, list[float]] = {}
    latencies: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, teller in _tellers():
            with measured() as one:
                actual += trio.run(teller, messages)
            rates.setdefault(name, []).append(tells / one.seconds)
            used.setdefault(name, []).append(one.cpu / tells * 1e6)
            expected += sum(message.number for message in messages)
        asked = Summing("asked")
        latencies.setdefault("ours", []).append(median(trio.run(_ask_actor, asked, asks)))
        latencies.setdefault("bare", []).append(median(trio.run(_ask_bare, asks)))
        actual += asked.total
        expected += asks * (asks + 1) // 2
    return {
        "name": "mailbox",
        "figures": {f"tells per second, {name}": median(values) for name, values in rates.items()}
        | {f"CPU us per tell, {name}": median(values) for name, values in used.items()}
        | {f"us for an ask, p50, {name}": median(values) * 1e6 for name, values in latencies.items()}
        | {"resident MB": resident_megabytes()},
        "ratios": {
            "tell, to a raw channel": _ratio(rates["one by one"], rates["raw channel"]),
            "tell in batches, to a raw channel": _ratio(rates["batches"], rates["raw channel"]),
            "tell in batches, to a bare drained mailbox": _ratio(rates["batches"], rates["bare drained"]),
            "ask p50, to a bare drained mailbox": _ratio(latencies["ours"], latencies["bare"]),
        },
        "check": {"expected": expected, "actual": actual},
    }


def _tellers() -> list[tuple[str, Callable[[list[Add]], Awaitable[int]]]]:
    return [
        ("one by one", lambda messages: _tell_actor(Summing("one by one"), messages)),
        ("batches", lambda messages: _tell_actor(BatchSumming("batches"), messages)),
        ("bare drained", _tell_bare),
        ("raw channel", _tell_channel),
    ]


def _ratio(ours: list[float], theirs: list[float]) -> float:
    return median(mine / other for mine, other in zip(ours, theirs, strict=True))
