"""The node on virtual time that users get for tests of their own tasks."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
import trio

import tocsin
from actors.handling.catalogue import Catalogue, task_type
from actors.model.task import Task
from runtime.errors import InvalidRequest, NotFound
from tocsin import testing
from tocsin.testing import VirtualNode


async def greet(ctx: tocsin.Context, *, whom: str = "you") -> str:
    return f"hello {whom}"


async def count(ctx: tocsin.Context, *, to: int) -> int:
    done = ctx.resumed_from or 0
    while done < to:
        await trio.sleep(60)
        done += 1
        await ctx.checkpoint(done)
    return done - (ctx.resumed_from or 0)


def in_a_thread(ctx: tocsin.SyncContext) -> str:
    ctx.checkpoint({"step": 1})
    ctx.log.info("half way")
    return f"fence {ctx.fence}"


def types() -> Catalogue:
    return Catalogue([task_type("greet", greet), task_type("count", count), task_type("thread", in_a_thread)])


@testing.simulated(start="2026-03-28T12:00:00Z", catalogue=types())
async def test_a_change_of_the_clocks_is_seen_day_by_day(node: VirtualNode):
    task = await node.cron("30 2 * * *", "greet", timezone="Europe/Berlin", whom="eu")
    assert await node.advance("3d") == datetime(2026, 3, 31, 12, tzinfo=UTC) == node.now
    runs = await node.runs(task.id)
    assert [run.nominal.strftime("%dT%H:%M") for run in runs if run.nominal] == ["29T01:00", "30T00:30", "31T00:30"]
    assert {run.state for run in runs} == {"COMPLETED"}
    assert [run.started for run in runs] == [run.nominal for run in runs]
    assert await node.result(runs[0]) == "hello eu"
    with pytest.raises(InvalidRequest, match="run: a Run, which `runs` gives, not 'x'"):
        await node.result("x")  # type: ignore[arg-type]
    assert [slot.outcome for slot in await node.slots(task.id)] == ["fired"] * 3


@testing.simulated(catalogue=types())
async def test_under_a_pause_of_the_scheduler_only_times_to_come_are_next(node: VirtualNode):
    grid = await node.every("1h", "greet")
    delayed = await node.when({"every": "1h", "fixedDelay": True}, "greet")
    await node.pause_scheduler("moving")
    await node.advance("150m")
    assert [at > node.now for at in await node.next(grid.id, 3)] == [True] * 3
    assert await node.next(delayed.id) == []
    for told in (await node.why(grid.id), await node.why(grid.id, node.now + timedelta(minutes=30))):
        text = "\n".join(told.lines)
        assert "The next fire is at" not in text
        assert "(moving)" in text
    await node.resume_scheduler()
    await node.advance("1m")
    assert len(await node.next(delayed.id)) == 1


@testing.simulated(catalogue=types())
async def test_what_a_pause_cost_is_told_with_who_paused(node: VirtualNode):
    task = await node.every("1h", "greet")
    await node.advance("30m")
    since, lost = node.now, node.now + timedelta(minutes=30)
    await node.pause(task.id)
    await node.advance("1h")
    await node.activate(task.id)
    await node.pause_scheduler()
    held_up = node.now + timedelta(hours=11, minutes=30)
    await node.advance("12h")
    await node.resume_scheduler()
    await node.advance("1m")
    told = "\n".join((await node.why(task.id, lost)).lines)
    assert "the task was paused" in told
    assert f"The pause was from {since:%Y-%m-%dT%H:%M:%S}" in told
    assert f" until {since + timedelta(hours=1):%Y-%m-%dT%H:%M:%S}" in told
    told = "\n".join((await node.why(task.id, held_up)).lines)
    assert "the whole scheduler was paused" in told
    assert f"The pause was from {since + timedelta(hours=1):%Y-%m-%dT%H:%M:%S}" in told
    assert f" until {since + timedelta(hours=13):%Y-%m-%dT%H:%M:%S}" in told


@testing.simulated(catalogue=types())
async def test_a_crash_resumes_from_the_checkpoint_and_downtime_is_caught_up(node: VirtualNode):
    work = await node.once("1m", "count", to=60)
    tick = await node.every("1h", "greet")
    await node.advance("31m")
    await node.crash(down="3h")
    await node.advance("3h")
    (run,) = await node.runs(work.id)
    assert (run.state, run.attempts, await node.result(run)) == ("COMPLETED", 2, 30)
    outcomes = [slot.outcome for slot in await node.slots(tick.id)]
    assert outcomes == ["coalesced", "coalesced", "late", "fired", "fired", "fired"]


@testing.simulated(catalogue=types())
async def test_memory_tasks_do_not_survive_a_crash(node: VirtualNode):
    await node.every("1h", "greet", name="gone", persistent=False)
    await node.crash()
    with pytest.raises(NotFound):
        await node.task("gone")


@testing.simulated(catalogue=types())
async def test_a_handler_in_a_thread_works_while_time_stands_still(node: VirtualNode):
    task = await node.every("1h", "thread")
    await node.advance("5h")
    runs = await node.runs(task.id)
    assert [await node.result(run) for run in runs] == [f"fence {n}" for n in range(1, 6)]
    assert [run.started for run in runs] == [run.ended for run in runs]


@testing.simulated(catalogue=types())
async def test_setting_the_clock_forward_skips_and_back_fires_nothing_twice(node: VirtualNode):
    task = await node.every("1h", "greet")
    await node.advance("2h")
    node.step_clock("5h")
    await node.advance("1m")
    assert len(await node.slots(task.id)) == 7
    node.step_clock("3h", back=True)
    await node.advance("2h")
    assert len(await node.slots(task.id, until=node.now + timedelta(days=1))) == 7


@testing.simulated(catalogue=types())
async def test_time_goes_forward_only_and_in_one_way(node: VirtualNode):
    for by, to in (
        (None, None),
        ("1h", node.now),
        (None, node.now - timedelta(seconds=1)),
        (None, datetime(2030, 1, 1, tzinfo=UTC).replace(tzinfo=None)),
    ):
        with pytest.raises(InvalidRequest):
            await node.advance(by, to=to)
    assert await node.advance(to=node.now + timedelta(hours=1)) == testing.DEFAULT_START + timedelta(hours=1)


def test_nothing_leaves_the_process():
    async def check(node: VirtualNode) -> None:
        await node.every("1h", "command", argv=["rm", "-rf", "everything"])
        await node.every("1h", "http", url="http://example.org/")
        await node.advance("1h")
        assert [(call.type, call.at) for call in sorted(node.calls, key=lambda call: call.type)] == [
            ("command", node.now),
            ("http", node.now),
        ]

    testing.run(check)


def test_a_stand_in_takes_the_place_of_a_handler():
    async def other(ctx: tocsin.Context, *, whom: str = "you") -> str:
        return f"bye {whom}"

    async def check(node: VirtualNode) -> str:
        task = await node.once("1s", "greet")
        await node.advance("1s")
        return await node.result((await node.runs(task.id))[0])

    assert testing.run(check, catalogue=types(), stand_ins={"greet": other}) == "bye you"
    with pytest.raises(InvalidRequest, match="'gret'"):
        testing.run(check, catalogue=types(), stand_ins={"gret": other})


def test_one_seed_gives_one_history():
    async def history(node: VirtualNode) -> list[str]:
        tasks = [await node.every("10m", "greet", name=f"t{n}") for n in range(5)]
        await node.advance("2h")
        return [run.id for task in tasks for run in await node.runs(task.id)]

    one, again, other = (testing.run(history, seed=seed, catalogue=types()) for seed in (1, 1, 2))
    assert one == again != other


def test_a_failure_names_its_seed_and_fixtures_are_passed_on(tmp_path):
    seen: list[object] = []

    @testing.simulated(seeds=[3, 4], catalogue=types())
    async def check(node: VirtualNode, tmp_path: object) -> None:
        seen.append(tmp_path)
        assert len(seen) < 2, "the second one fails"

    with pytest.raises(AssertionError) as caught:
        check(tmp_path=tmp_path)
    assert seen == [tmp_path, tmp_path]
    assert caught.value.__notes__ == ["in the history of seed 4: repeat it with seeds=[4]"]


def test_a_month_passes_in_far_less_than_a_month():
    async def check(node: VirtualNode) -> Task:
        task = await node.cron("0 3 * * *", "greet")
        await node.advance("30d")
        return await node.task(task.id)

    began = time.monotonic()
    assert testing.run(check, catalogue=types()).state.completed == 30
    assert time.monotonic() - began < 60, "a hang"


async def test_a_clock_that_takes_its_time_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="autojumping"):
        async with tocsin.testing.node():
            pass
    with pytest.raises(InvalidRequest, match="SystemClock"):
        async with tocsin.testing.cluster(3):
            pass
