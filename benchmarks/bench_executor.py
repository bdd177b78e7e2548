"""Executor: attempts of async handlers that do nothing, from Start to Recorded, against bare trio tasks in cancel scopes."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import trio

from actors.executor import Executor
from actors.handling.catalogue import Catalogue, task_type
from actors.handling.context import Context
from actors.keeper_messages import AttemptsEnded, Recorded, Start
from actors.keeper_messages import Event as KeeperEvent
from actors.model.execution import Execution, Kind
from actors.model.lifecycle import State
from actors.model.task import Definition
from actors.model.trigger import Once
from runtime.clock import Instant
from runtime.mailbox import Mailbox
from runtime.world import RealWorld

from .process import resident_megabytes

SMALL = 1_000
FULL = 10_000
ROUNDS = 5


async def nothing(ctx: Context) -> None:
    """A handler that does nothing."""


async def no_checkpoint(execution_id: str) -> str | None:
    return None


async def scoped() -> None:
    with trio.CancelScope():  # noqa: ASYNC100
        pass


async def bare(count: int) -> float:
    """Seconds for so many tasks in cancel scopes of their own, a batch of a mailbox at a time."""
    began = time.perf_counter()
    async with trio.open_nursery() as nursery:
        for number in range(count):
            nursery.start_soon(scoped)
            if number % 256 == 255:
                await trio.lowlevel.checkpoint()
    return time.perf_counter() - began


def starts(count: int) -> list[Start]:
    return [
        Start(
            Definition(f"t{n}", f"t{n}", "nothing", Once(Instant(0))),
            Execution(
                f"e{n}", f"t{n}", Kind.OCCURRENCE, State.RUNNING, Instant(0), nominal=Instant(0), attempt=1, fence=1
            ),
        )
        for n in range(count)
    ]


async def attempts(executor: Executor, keeper: Mailbox[KeeperEvent], messages: list[Start]) -> float:
    """Seconds from the first Start to the last end recorded."""
    began = time.perf_counter()
    for message in messages:
        executor.mailbox.tell_nowait(message)
    ended = 0
    while ended < len(messages):
        for heard in await keeper.receive(256):
            if isinstance(heard, AttemptsEnded):
                ended += len(heard.ends)
                executor.mailbox.tell_nowait(Recorded(tuple((end.execution_id, end.fence) for end in heard.ends)))
    while executor.core.unrecorded:
        await trio.lowlevel.checkpoint()
    return time.perf_counter() - began


async def measure(count: int, seconds: list[float], raw: list[float]) -> int:
    keeper: Mailbox[KeeperEvent] = Mailbox("keeper")
    catalogue = Catalogue([task_type("nothing", nothing)])
    executor = Executor(RealWorld(), catalogue, keeper, no_checkpoint, slots=count)
    messages = starts(count)
    async with trio.open_nursery() as nursery:
        await nursery.start(executor.run)
        for _ in range(ROUNDS):
            raw.append(await bare(count))
            seconds.append(await attempts(executor, keeper, messages))
        nursery.cancel_scope.cancel()
    return executor.statistics().handled


def run(full: bool) -> dict[str, Any]:
    """The workload at the small or the full size."""
    count = FULL if full else SMALL
    seconds: list[float] = []
    raw: list[float] = []
    handled = trio.run(partial(measure, count, seconds, raw))
    return {
        "name": "executor",
        "figures": {
            "attempts per second": count / min(seconds),
            "microseconds each": min(seconds) / count * 1e6,
            "resident MB": resident_megabytes(),
        },
        "ratios": {"to bare trio tasks in cancel scopes": min(raw) / min(seconds)},
        "check": {"expected": True, "actual": handled >= count * ROUNDS},
    }
