"""A node that dies and comes back on what the power cut left of its data directory, the wall clock going on."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import trio

from actors.command_messages import CancelTask, ResumeTask, RetryTask
from actors.model.lifecycle import Phase, State, Status
from actors.model.policy import OnCrash, Policies, Retry
from actors.model.trigger import Once
from runtime.clock import SECOND, Instant, Micros

from .kit import Diary, add, check_exactly_once, crash_copy, history, interval, node_at


def existing(path: Path) -> Path:
    path.mkdir(exist_ok=True)
    return path


async def die_after(
    path: Path, seconds: float, prepare, diary: Diary, *, target: str, seed: int = 0, start=None, **config
):
    """Run a node so long; answers its data as a crash would leave them, and the instant of the crash."""
    began = {} if start is None else {"start": start}
    async with node_at(existing(path), diary, seed=seed, **began, **config) as node:
        made = await prepare(node)
        await trio.sleep(seconds)
        return crash_copy(path, path.parent / target), node.world.now(), made


@pytest.mark.parametrize(("policy", "resumed"), [(OnCrash.RESUME, 4), (OnCrash.RERUN, None), (OnCrash.HOLD, "held")])
async def test_recovery_by_policy(policy: OnCrash, resumed: object, tmp_path: Path, autojump_clock):
    diary = Diary()

    async def prepare(node):
        steps = '{"seconds": 1, "steps": 8}'
        return await add(node, "long", Once(node.world.now()), policies=Policies(on_crash=policy), parameters=steps)

    data, now, task = await die_after(tmp_path / "a", 4.9, prepare, diary, target="b")
    diary.began.clear()
    diary.completed.clear()
    async with node_at(data, diary, seed=1, start=now) as node:
        await trio.sleep(20)
        if resumed == "held":
            assert diary.began == []
            assert (await node.task("long")).state.status is Status.CRASHED
            await node.command(task.id, lambda reply: ResumeTask(task.id, "me", reply))
            await trio.sleep(20)
            resumed = 4
        (execution,) = await history(node, task)
        assert execution.state is State.COMPLETED
        assert [entry[3] for entry in diary.began] == [resumed]
        detail = await node.execution(execution.id)
        assert [attempt.state for attempt in detail.attempts] == [State.CRASHED]


async def test_what_kills_the_node_three_times_is_poison(tmp_path: Path, autojump_clock):
    diary = Diary()

    async def prepare(node):
        return await add(node, "killer", Once(node.world.now()), parameters='{"seconds": 100}')

    async def nothing(node):
        return None

    data, now, task = await die_after(tmp_path / "a", 1, prepare, diary, target="b1")
    for life in (1, 2):
        data, now, _ = await die_after(data, 1, nothing, diary, target=f"b{life + 1}", seed=life, start=now)
    async with node_at(data, diary, seed=9, start=now) as node:
        await trio.sleep(5)
        (execution,) = await history(node, task)
        assert (execution.state, execution.crashes, execution.failure.type) == (State.CRASHED, 3, "Poison")
        await node.command(task.id, lambda reply: RetryTask(task.id, execution, True, "me", reply))
        await trio.sleep(150)
        assert (await history(node, task))[0].state is State.COMPLETED


async def test_retry_instants_survive(tmp_path: Path, autojump_clock):
    diary = Diary()

    async def prepare(node):
        retry = Policies(Retry(max_retries=2, delay=Micros(30 * SECOND)))
        return await add(node, "t", Once(node.world.now()), policies=retry, parameters='{"fail": 1}')

    data, now, task = await die_after(tmp_path / "a", 10, prepare, diary, target="b")
    async with node_at(data, diary, seed=1, start=now) as node:
        due = (await node.task("t")).due
        assert due is not None
        await trio.sleep((due - now) / SECOND + 0.5)
        (execution,) = await history(node, task)
        assert (execution.state, execution.attempt, execution.failures) == (State.COMPLETED, 2, 1)
        assert execution.started_at is not None
        assert due <= execution.started_at <= due + SECOND


async def test_what_waited_for_a_slot_goes_on(tmp_path: Path, autojump_clock):
    diary = Diary()

    async def prepare(node):
        return [await add(node, f"t{n}", Once(node.world.now()), parameters='{"seconds": 2}') for n in range(20)]

    data, now, tasks = await die_after(tmp_path / "a", 1, prepare, diary, target="b", slots=3)
    diary.completed.clear()
    async with node_at(data, diary, seed=1, start=now, slots=3) as node:
        await trio.sleep(30)
        for task in tasks:
            assert [entry.state for entry in await history(node, task)] == [State.COMPLETED]
            assert (await node.task(task.id)).state.phase is Phase.FINISHED
        assert node._durable.keeper._core._claims.slots == 3
    assert len(diary.completed) == 20


async def test_a_downtime_goes_through_catch_up_and_every_slot_has_one_outcome(tmp_path: Path, autojump_clock):
    diary = Diary()

    async def prepare(node):
        return [await add(node, f"t{n}", interval(node, 5), parameters='{"seconds": 1}') for n in range(3)]

    data, now, tasks = await die_after(tmp_path / "a", 33.2, prepare, diary, target="b0")
    for life in range(3):
        now = Instant(now + 100 * SECOND)

        async def nothing(node):
            return None

        data, now, _ = await die_after(data, 12.7, nothing, diary, target=f"b{life + 1}", seed=life + 1, start=now)
    async with node_at(data, diary, seed=9, start=now) as node:
        await trio.sleep(12)
        for task in tasks:
            rows = await check_exactly_once(node, task, node.world.now())
            counts = Counter(str(row.outcome) for row in rows)
            assert counts["coalesced"] == 3
            assert (await node.task(task.id)).state.fence == max(diary.fences[task.definition.name])


async def test_a_cancelled_task_does_not_come_back_to_life(tmp_path: Path, autojump_clock):
    diary = Diary()
    path = existing(tmp_path / "a")
    async with node_at(path, diary) as node:
        task = await add(node, "t", interval(node, 5), parameters='{"seconds": 100}')
        await trio.sleep(7)
        await node.command(task.id, lambda reply: CancelTask(task.id, "me", reply))
        data, now = crash_copy(path, tmp_path / "b"), node.world.now()
    diary.began.clear()
    async with node_at(data, diary, seed=1, start=now) as node:
        await trio.sleep(50)
        (execution,) = await history(node, task)
        assert (execution.state, execution.cancel_reason) == (State.CANCELLED, "cancelled by me")
        assert diary.began == []
