"""Catching up: a downtime's missed slots settled as ranges, and a hundred thousand runs made up for beside live tasks.

A node makes the tasks while its clock shows an earlier time; the one that is measured finds them overdue. The limit in the same
run: the lateness of the same live tasks on a node that has nothing to make up for.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from actors.composition import open_node, real_world
from actors.handling.catalogue import Catalogue, task_type
from actors.lanes import NodeConfig
from actors.model.policy import CatchUp, Overlap, Policies
from actors.model.task import Definition
from actors.model.trigger import Bounds, Cron, Interval, Trigger
from actors.node import Node
from runtime.clock import DAY, MINUTE, SECOND, Instant, Micros
from runtime.world import RealWorld

from .process import percentile, resident_megabytes

YEAR: Final = Micros(365 * DAY)
LIMIT: Final = 100
"""Slots that each task of the recovery makes up for."""

SMALL, FULL = (10, 2, 20), (1_000, 15, 100)
"""(tasks to recover, seconds of watching live ones, live tasks)."""


class Earlier(RealWorld):
    """A world whose clock shows an earlier time; its alarms are not used."""

    def __init__(self, by: Micros) -> None:
        super().__init__({"writer": 1, "reads": 4, "handlers": 4})
        self._by = by

    def now(self) -> Instant:
        return Instant(super().now() - self._by)


@attrs.define
class Watch:
    """How late the loop and the live tasks' handlers came, in seconds; how many runs were made up for."""

    loop: list[float] = attrs.field(factory=list)
    live: list[float] = attrs.field(factory=list)
    recovered: int = 0

    def catalogue(self) -> Catalogue:
        async def live(context: Any) -> None:
            self.live.append(time.time() - context.nominal.timestamp())

        async def recover(context: Any) -> None:
            self.recovered += 1

        return Catalogue([task_type("live", live), task_type("recover", recover)])

    async def beat(self) -> None:
        """Note how late a sleep of a millisecond returns."""
        while True:
            wanted = trio.current_time() + 0.001
            await trio.sleep_until(wanted)
            self.loop.append(trio.current_time() - wanted)


def _definition(node: Node, number: int, kind: str, trigger: Trigger, policies: Policies, bounds: Bounds) -> Definition:
    return Definition(
        node.world.new_id(), f"{kind} {number}", kind, trigger, bounds, policies=policies, created_at=node.world.now()
    )


async def _left_behind(directory: Path, by: Micros, trigger: Trigger, policies: Policies, count: int) -> None:
    """Make tasks on a node whose clock is behind, and stop it."""
    watch = Watch()
    async with open_node(NodeConfig(data=directory, system_tasks=False), watch.catalogue(), Earlier(by)) as node:
        definitions = [_definition(node, n, "recover", trigger, policies, Bounds()) for n in range(count)]
        for made in await node.create(definitions, "benchmark"):
            if isinstance(made, Exception):
                raise made


@asynccontextmanager
async def _watched(directory: Path, **config: Any) -> AsyncIterator[tuple[Node, Watch]]:
    watch = Watch()
    settings = NodeConfig(data=directory, system_tasks=False, **config)
    async with trio.open_nursery() as nursery:
        async with open_node(settings, watch.catalogue(), real_world(settings)) as node:
            nursery.start_soon(watch.beat)
            yield node, watch
        nursery.cancel_scope.cancel()


async def _settled(directory: Path, trigger: Trigger, by: Micros) -> tuple[float, float, int]:
    """(seconds from the start of the node until the missed slots are settled, the loop's worst lateness, slots settled)."""
    await _left_behind(directory, by, trigger, Policies(catch_up=CatchUp.LATEST), 1)
    began = time.monotonic()
    async with _watched(directory) as (node, watch):
        task = await node.task("recover 0")
        with trio.fail_after(60):
            # The node is asked as a person would ask it.
            while (task := await node.task(task.id)).state.settled_through < node.world.now() - 2 * MINUTE:  # noqa: ASYNC110
                await trio.sleep(0.002)
        seconds = time.monotonic() - began
        rows = await node.outcomes(task.id, since=Instant(0), until=node.world.now(), limit=100)
    return seconds, max(watch.loop), sum(row.count or 0 for row in rows)


async def _live(directory: Path, tasks: int, seconds: int, live: int, rate: float) -> tuple[Watch, int]:
    """Live tasks beside so many that have `LIMIT` slots each to make up for."""
    if tasks:
        minute = Interval(Micros(MINUTE), Instant(0))
        policies = Policies(catch_up=CatchUp.ALL, catch_up_limit=LIMIT, overlap=Overlap.ALLOW)
        await _left_behind(directory, Micros(LIMIT * MINUTE), minute, policies, tasks)
    async with _watched(directory, catch_up_rate=rate) as (node, watch):
        first = node.world.now() + SECOND
        await node.create(
            [
                _definition(node, n, "live", Interval(SECOND, anchor), Policies(), Bounds(anchor))
                for n, anchor in ((n, Instant(first + SECOND * n // live)) for n in range(live))
            ],
            "benchmark",
        )
        await trio.sleep(1 + seconds)
        late = (await node.counts()).by_reason
    return watch, sum(count for reason, count in late.items() if reason.startswith("late") and "downtime" not in reason)


def run(full: bool) -> dict[str, Any]:
    """Seconds to settle, the loop's worst lateness, and live lateness beside a recovery, in milliseconds."""
    tasks, seconds, live = FULL if full else SMALL
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        every_second = Interval(SECOND, Instant(0))
        took, stall, count = trio.run(_settled, home / "interval", every_second, Micros(100_000 * SECOND))
        figures |= {"100,000 missed: seconds from start": took, "100,000 missed: loop late ms": stall * 1000}
        took, stall, minutes = trio.run(_settled, home / "cron", Cron("* * * * *"), YEAR)
        figures |= {"a year of minutes: seconds from start": took, "a year of minutes: loop late ms": stall * 1000}
        calm, _ = trio.run(_live, home / "calm", 0, seconds, live, 100.0)
        for rate in (100.0, 1000.0):
            busy, late = trio.run(_live, home / f"busy{rate:g}", tasks, seconds, live, rate)
            figures[f"recovery at {rate:g}/s: live p50 ms"] = statistics.median(busy.live) * 1000
            figures[f"recovery at {rate:g}/s: live p99 ms"] = percentile(busy.live, 0.99)
            figures[f"recovery at {rate:g}/s: live worst ms"] = max(busy.live) * 1000
            figures[f"recovery at {rate:g}/s: loop worst ms"] = max(busy.loop) * 1000
            figures[f"recovery at {rate:g}/s: runs made up"] = busy.recovered
            figures[f"recovery at {rate:g}/s: live slots late"] = late
    figures["resident MB"] = resident_megabytes()
    figures["nothing to recover: live p50 ms"] = statistics.median(calm.live) * 1000
    figures["nothing to recover: live p99 ms"] = percentile(calm.live, 0.99)
    return {
        "name": "catch_up",
        "figures": figures,
        "ratios": {
            "live p99 beside a recovery at 100/s / without": figures["recovery at 100/s: live p99 ms"]
            / figures["nothing to recover: live p99 ms"]
        },
        "check": {
            "expected": [True, True, True],
            "actual": [count >= 99_999, minutes >= 525_599, busy.recovered > 0],
        },
    }
