"""Much time of a whole node: intervals, cron, steps of the wall clock."""

from __future__ import annotations

import functools
import itertools
import operator
from collections import Counter
from pathlib import Path

import trio

from actors.model.lifecycle import Phase, State
from actors.model.occurrence import Outcome
from actors.model.policy import CatchUp, Overlap, Policies, Retry
from actors.model.trigger import Bounds, Cron, Interval, Once
from runtime.clock import HOUR, MINUTE, SECOND, Instant, Micros

from .kit import Diary, add, check_exactly_once, history, interval, ledger, node_at, world_of


async def test_twenty_minutes_of_intervals_have_exact_outcomes(tmp_path: Path, autojump_clock):
    diary = Diary()
    async with node_at(tmp_path, diary) as node:
        stored = await add(node, "stored", interval(node, 10))
        memory = await add(node, "memory", interval(node, 30), persistent=False)
        cron = await add(node, "cron", Cron("*/5 * * * *"))
        await trio.sleep(1200.5)
        for task, count in ((stored, 120), (memory, 40)):
            rows = await check_exactly_once(node, task)
            assert [row.outcome for row in rows] == [Outcome.FIRED] * count
            assert (await node.task(task.id)).state.completed == count
        assert [row.outcome for row in await ledger(node, cron)] == [Outcome.FIRED] * 4
        assert node.health() == []
        assert node.completed() == 120 + 40 + 4
    assert Counter(name for name, _ in diary.completed) == {"stored": 120, "memory": 40, "cron": 4}
    assert diary.fences["stored"] == list(range(1, 121))


async def test_two_weeks_from_now_twice_an_hour_twelve_times(tmp_path: Path, autojump_clock):
    """The golden example, with minutes for weeks."""
    diary = Diary()
    async with node_at(tmp_path, diary) as node:
        start = Instant(node.world.now() + 3 * MINUTE)
        task = await add(node, "golden", Interval(Micros(MINUTE // 2), start), bounds=Bounds(start, None, 12))
        await trio.sleep(10 * 60)
        assert [row.first for row in await ledger(node, task)] == [start + n * MINUTE // 2 for n in range(12)]
        assert (await node.task("golden")).state.phase is Phase.FINISHED
    assert len(diary.completed) == 12


async def test_a_step_forward_goes_through_catch_up_once(tmp_path: Path, autojump_clock):
    diary = Diary()
    async with node_at(tmp_path, diary) as node:
        tasks = [
            await add(node, str(catch_up), interval(node, 10), policies=Policies(catch_up=catch_up, catch_up_limit=5))
            for catch_up in CatchUp
        ]
        await trio.sleep(24)
        world_of(node).step(HOUR)
        await trio.sleep(24)
        counts = {}
        for task in tasks:
            rows = await check_exactly_once(node, task, node.world.now())
            counts[task.definition.name] = Counter(str(row.outcome) for row in rows)
    assert counts["latest"]["coalesced"] == counts["earliest"]["coalesced"] == 1
    assert counts["skip"]["missed"] == counts["all"]["missed"] == 1
    assert Counter(name for name, _ in diary.completed) == {"latest": 5, "earliest": 5, "skip": 4, "all": 9}


async def test_a_step_back_fires_nothing_twice_and_goes_on(tmp_path: Path, autojump_clock):
    diary = Diary()
    async with node_at(tmp_path, diary) as node:
        task = await add(node, "tick", interval(node, 10))
        await trio.sleep(100.5)
        world_of(node).step(Micros(-5 * MINUTE))
        fresh = await add(node, "fresh", interval(node, 10))
        await trio.sleep(150)
        assert len(await check_exactly_once(node, task)) == 10
        assert len(await check_exactly_once(node, fresh)) == 15
        await trio.sleep(160)
        assert len(await check_exactly_once(node, task, node.world.now())) == 11
    nominal = [at for name, at in diary.completed if name == "tick"]
    assert len(set(nominal)) == len(nominal)


async def test_a_step_back_while_a_fixed_delay_runs(tmp_path: Path, autojump_clock):
    diary = Diary()
    async with node_at(tmp_path, diary) as node:
        delayed = Interval(Micros(10 * SECOND), node.world.now(), fixed_delay=True)
        task = await add(node, "delay", delayed, parameters='{"seconds": 5}')
        await trio.sleep(12)
        world_of(node).step(Micros(-MINUTE))
        await trio.sleep(200)
        rows = await ledger(node, task)
    assert len(rows) > 5
    assert all(former.first < later.first for former, later in itertools.pairwise(rows))


async def test_long_work_overlaps_as_its_policy_says(tmp_path: Path, autojump_clock):
    diary = Diary()
    async with node_at(tmp_path, diary) as node:
        tasks = [
            await add(
                node, str(overlap), interval(node, 10), policies=Policies(overlap=overlap), parameters='{"seconds": 25}'
            )
            for overlap in Overlap
        ]
        await trio.sleep(301)
        for task in tasks:
            await check_exactly_once(node, task, node.world.now())
    assert diary.most == {"skip": 1, "allow": 3, "queue": 1, "queue_all": 1, "replace": 1}


async def test_failures_are_retried_and_do_not_move_the_series(tmp_path: Path, autojump_clock):
    diary = Diary()
    async with node_at(tmp_path, diary) as node:
        retry = Retry(max_retries=3, delay=Micros(7 * SECOND))
        task = await add(node, "t", interval(node, 60), policies=Policies(retry), parameters='{"fail": 2}')
        once = await add(node, "o", Once(node.world.now()), policies=Policies(Retry(0)), parameters='{"fail": 1}')
        await trio.sleep(300.5 + 20)
        rows = await check_exactly_once(node, task, node.world.now())
        assert [row.outcome for row in rows] == [Outcome.FIRED] * 5
        assert [(entry.state, entry.attempt) for entry in await history(node, task)] == [(State.COMPLETED, 3)] * 5
        assert [entry.state for entry in await history(node, once)] == [State.FAILED]


async def test_few_slots_are_given_by_priority_and_none_is_lost(tmp_path: Path, autojump_clock):
    diary = Diary()
    async with node_at(tmp_path, diary, slots=2) as node:
        tasks = [
            await add(node, f"t{n}", interval(node, 60), policies=Policies(priority=n % 3), parameters='{"seconds": 3}')
            for n in range(12)
        ]
        await trio.sleep(599)
        for task in tasks:
            rows = await check_exactly_once(node, task, node.world.now())
            assert len(rows) == 9
    assert set(diary.most.values()) == {1}
    assert len(diary.completed) == 12 * 9
    # Two slots become free at once; which of the two handlers begins first is the scheduler's choice.
    ranks = [int(name[1:]) % 3 for name, *_ in diary.began[2:12]]
    pairs = [sorted(ranks[place : place + 2]) for place in range(0, 10, 2)]
    assert functools.reduce(operator.iadd, pairs, []) == sorted(ranks)
