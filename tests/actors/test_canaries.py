"""Canaries stand for partitions: ids are made until they do, and their times share the period. Those that run all the time tell
somebody outside, only as long as they do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from actors.canaries import Canaries
from actors.canaries_core import CanaryConfig, figures, trouble
from actors.command_messages import ActivateTask, PauseTask
from actors.composition import open_node
from actors.handling.catalogue import Catalogue
from actors.lanes import NodeConfig
from actors.model.canary import first_of, ids_in, spread_over
from actors.model.lifecycle import Phase
from actors.model.retention import SYSTEM
from actors.model.system import CANARY_TYPE, WATCH_TYPE
from actors.model.task import Definition, Task, TaskState, partition_of
from actors.model.trigger import Interval
from actors.node import Node
from actors.store.answers import TaskFilter
from runtime.clock import DAY, MILLISECOND, MINUTE, SECOND, Instant, Micros
from runtime.errors import NotFound
from runtime.ids import IdSource
from runtime.simulation import SimulatedWorld


def test_every_partition_gets_one() -> None:
    source = IdSource(Random(1))
    ids = ids_in(spread_over(256, None), 256, lambda: source.next(1_000))
    assert [partition_of(one, 256) for one in ids] == list(range(256))
    assert len(set(ids)) == 256


@pytest.mark.parametrize(
    ("partitions", "number", "wanted"),
    [(8, 2, [0, 4]), (8, 3, [0, 2, 5]), (2, 4, [0, 0, 1, 1]), (3, None, [0, 1, 2])],
)
def test_a_few_are_spread_evenly(partitions: int, number: int | None, wanted: list[int]) -> None:
    assert spread_over(partitions, number) == wanted
    source = IdSource(Random(2))
    ids = ids_in(wanted, partitions, lambda: source.next(1_000))
    assert [partition_of(one, partitions) for one in ids] == wanted


def test_they_share_the_period_and_keep_to_milliseconds() -> None:
    firsts = [first_of(index, 3, SECOND, Instant(1_234)) for index in range(3)]
    assert firsts == sorted(set(firsts))
    assert all(first % MILLISECOND == 0 for first in firsts)
    assert firsts[0] >= 1_234 + SECOND
    assert firsts[-1] < 1_234 + 2 * SECOND + Micros(MILLISECOND)


# -- canaries that run all the time

QUIET: dict[str, Any] = {"sweep_every": Micros(MINUTE), "watch_seconds": DAY / SECOND, "purge_every_seconds": 3600.0}

RATE = CanaryConfig(every=Micros(10 * SECOND), ping_every=MINUTE)


@attrs.define
class Outside:
    """Somebody who is told that all is well."""

    heard: list[float] = attrs.field(factory=list)
    is_broken: bool = False

    async def ping(self) -> None:
        if self.is_broken:
            raise OSError("nobody there")
        self.heard.append(trio.current_time())


@asynccontextmanager
async def watched(
    path: Path, outside: Outside | None = None, config: CanaryConfig | None = RATE
) -> AsyncIterator[Node]:
    settings = NodeConfig(data=path, synchronous="OFF", canaries=config, **QUIET)
    # What is made again is not made with the ids of its former life.
    begun = round(trio.current_time())
    world = SimulatedWorld(begun, Instant((1_700_000_000 + begun) * SECOND))
    async with open_node(settings, Catalogue(), world, ping=None if outside is None else outside.ping) as node:
        # Their records are written in threads, in real time.
        with trio.fail_after(60):
            while config is not None and not (await own(node).figures()).canaries:  # noqa: ASYNC110
                await trio.sleep(0.1)
        yield node


async def canaries_of(node: Node) -> dict[str, Task]:
    page = await node.page(TaskFilter(type=CANARY_TYPE, limit=1_000))
    return {task.definition.name: task for task in page.tasks}


def own(node: Node) -> Canaries:
    assert node.canaries is not None
    return node.canaries


async def test_they_run_and_what_they_tell_is_passed_on(tmp_path: Path, autojump_clock: MockClock) -> None:
    outside = Outside()
    async with watched(tmp_path, outside) as node:
        await trio.sleep(600)
        found = await own(node).figures()
        assert (found.canaries, found.well, found.missed, found.troubles) == (8, 8, 0, ())
        assert found.due >= 8 * 55
        assert own(node).runs >= 8 * 55 and sum(own(node).buckets) == own(node).runs
        assert found.percentile(0.99) is not None
        partitions = [partition_of(task.id, 256) for task in (await canaries_of(node)).values()]
        assert sorted(partitions) == spread_over(256, 8)
    assert 9 <= len(outside.heard) <= 10


async def test_silence_tells_that_they_do_not_run(tmp_path: Path, autojump_clock: MockClock) -> None:
    outside = Outside()
    async with watched(tmp_path, outside) as node:
        await trio.sleep(200)
        heard = len(outside.heard)
        assert heard >= 2
        [victim] = [task for task in (await canaries_of(node)).values() if task.definition.name.endswith(" 3")]
        await node.command(victim.id, lambda reply: PauseTask(victim.id, None, "me", reply))
        await trio.sleep(300)
        assert len(outside.heard) == heard
        assert (await own(node).figures()).troubles == ("system.canary 3: is paused",)
        await node.command(victim.id, lambda reply: ActivateTask(victim.id, None, None, "me", reply))
        await trio.sleep(200)
        assert len(outside.heard) > heard


async def test_who_cannot_be_told_makes_the_watch_fail(tmp_path: Path, autojump_clock: MockClock) -> None:
    outside = Outside(is_broken=True)
    async with watched(tmp_path, outside) as node:
        await trio.sleep(200)
        watch = await node.task(WATCH_TYPE)
        assert watch.state.failed >= 1
        outside.is_broken = False
        await trio.sleep(100)
        assert outside.heard


async def test_the_records_follow_the_configuration(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with watched(tmp_path, Outside()) as node:
        first = await canaries_of(node)
        await trio.sleep(5)
        assert (await node.task(WATCH_TYPE)).definition.trigger.every == MINUTE  # type: ignore[union-attr]
    async with watched(tmp_path, Outside()) as node:
        await trio.sleep(5)
        assert {name: task.id for name, task in (await canaries_of(node)).items()} == {
            name: task.id for name, task in first.items()
        }
    async with watched(tmp_path, None, CanaryConfig(every=MINUTE, per_partition=True)) as node:
        await trio.sleep(30)
        found = await canaries_of(node)
        assert len(found) == 256
        assert {task.definition.trigger.every for task in found.values()} == {MINUTE}  # type: ignore[union-attr]
        with pytest.raises(NotFound):
            await node.task(WATCH_TYPE)
    async with watched(tmp_path, None, None) as node:
        await trio.sleep(60)
        assert await canaries_of(node) == {}


def canary(**state: Any) -> Task:
    trigger = Interval(SECOND, Instant(10 * SECOND))
    definition = Definition("id", "one", CANARY_TYPE, trigger, owner=SYSTEM)
    usual = {"next_fire": Instant(20 * SECOND), "settled_through": Instant(19 * SECOND), "completed": 10}
    return Task(definition, TaskState(**{**usual, **state}))


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"last_admitted": Instant(19 * SECOND), "last_started_at": Instant(19 * SECOND + 7)}, None),
        ({}, None),
        ({"phase": Phase.PAUSED}, "is paused"),
        ({"next_fire": Instant(14 * SECOND)}, "nobody keeps its time"),
        ({"next_fire": None}, "nobody keeps its time"),
        ({"last_admitted": Instant(14 * SECOND), "last_started_at": Instant(13 * SECOND)}, "has not started"),
        ({"last_admitted": Instant(16 * SECOND), "last_started_at": Instant(15 * SECOND)}, None),
        ({"last_admitted": Instant(10 * SECOND), "last_started_at": Instant(16 * SECOND)}, "started 6.0 s late"),
    ],
)
def test_what_is_wrong_with_a_canary(state: dict[str, Any], words: str | None) -> None:
    assert trouble(canary(**state), Instant(20 * SECOND), Micros(5 * SECOND)) == words


def test_what_was_missed_is_counted_from_the_definition() -> None:
    good, lazy = canary(), canary(completed=6, failed=1)
    found = figures([good, lazy, canary(settled_through=Instant(0), completed=0)], Instant(20 * SECOND), SECOND)
    assert (found.canaries, found.due, found.missed) == (3, 20, 3)
    assert found.percentile(0.5) is None
