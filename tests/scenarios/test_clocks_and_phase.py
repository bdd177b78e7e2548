"""Where a series begins, whether it keeps its phase, and what happens when the wall clock does not go as it should."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

import tocsin
from actors.handling.catalogue import Catalogue, task_type
from actors.timer_core import SWEEP_EVERY, WINDOW, TimerCore
from actors.timer_messages import Load, Loaded, Owned, SetAlarm, Tick
from runtime.clock import DAY, HOUR, Instant
from tests.actors.test_timer_core import START, told
from tocsin import testing
from tocsin.testing import Slot, VirtualNode


async def nothing(ctx: tocsin.Context) -> None:
    pass


async def long_work(ctx: tocsin.Context, *, hours: int) -> None:
    await trio.sleep(hours * 3600)


TYPES = Catalogue([task_type("nothing", nothing), task_type("long", long_work)])
MICROSECOND = timedelta(microseconds=1)


def seen(slots: list[Slot]) -> list[tuple[str, str | None]]:
    return [(f"{slot.nominal:%d %H:%M:%S}", slot.outcome) for slot in slots]


@testing.simulated(catalogue=TYPES)
async def test_a11_a_series_that_starts_now_or_later_begins_there(node: VirtualNode):
    """A first slot that is now belongs to the time before the task was made; one a microsecond later is its first."""
    now = node.now
    starts = {"past": now - timedelta(minutes=90), "now": now, "later": now + MICROSECOND}
    tasks = {
        name: await node.new_task("nothing").named(name).with_period("1h").starting(start).schedule()
        for name, start in starts.items()
    }
    await node.advance("2h 1s")
    slots = {name: [slot.nominal for slot in await node.slots(task.id)] for name, task in tasks.items()}
    assert slots == {
        "past": [now + timedelta(minutes=30), now + timedelta(minutes=90)],
        "now": [now + timedelta(hours=1), now + timedelta(hours=2)],
        "later": [now + timedelta(hours=n) + MICROSECOND for n in range(3)],
    }


@testing.simulated(catalogue=TYPES)
async def test_a11_a_one_time_task_in_the_past_or_now_is_due_at_once(node: VirtualNode):
    now = node.now
    tasks = [await node.once(at, "nothing") for at in (now - timedelta(days=400), now, now + MICROSECOND)]
    await node.advance("1s")
    runs = [run for task in tasks for run in await node.runs(task.id)]
    assert [run.state for run in runs] == ["COMPLETED"] * 3
    assert [run.started for run in runs] == [now, now, now + MICROSECOND]


@given(st.lists(st.sampled_from(["crash", "edit", "pause", "wait"]), max_size=6), st.integers(0, 9))
@settings(max_examples=12, deadline=None)
def test_a12_an_interval_keeps_its_phase_over_restarts_pauses_and_other_edits(events: list[str], seed: int):
    async def check(node: VirtualNode) -> None:
        task = await node.every("7m", "nothing", name="phase")
        anchor = node.now
        for number, event in enumerate(events):
            await node.advance("11m 13s")
            if event == "crash":
                await node.crash(down="3m 1s")
            elif event == "edit":
                await node.edit(task.id, {"tags": [f"edit-{number}"]})
            elif event == "pause":
                await node.pause(task.id)
                await node.advance("5m 5s")
                await node.activate(task.id)
        await node.advance("1h")
        nominal = [slot.nominal for slot in await node.slots(task.id)]
        assert nominal == [anchor + timedelta(minutes=7) * n for n in range(1, len(nominal) + 1)]
        assert node.now - nominal[-1] < timedelta(minutes=7)

    testing.run(check, seed=seed, catalogue=TYPES)


EDGES = [0, 1, SWEEP_EVERY, WINDOW // 2, WINDOW, 2 * WINDOW, HOUR, 2**32, DAY]


@given(st.lists(st.builds(lambda edge, beside: max(edge + beside, 0), st.sampled_from(EDGES), st.integers(-1, 1))))
def test_b14_at_every_edge_of_the_window_the_timer_tells_to_the_microsecond(delays: list[int]):
    """The timer is woken by its own alarm only; a dictionary is its store."""
    due = {f"t{number}": Instant(START + delay) for number, delay in enumerate(delays)}
    core, now, left = TimerCore(), START, dict(due)
    directives = core.handle(Owned((0,), everything=True), now)
    while True:
        for load in [one for one in directives if isinstance(one, Load)]:
            found = sorted((at, name) for name, at in left.items() if at <= load.until)
            directives = [*directives[:-1], *core.handle(Loaded(tuple(found), load.until), now)]
        for name in told(directives):
            assert now == due[name], "told too early or too late"
            del left[name]
        if not left:
            return
        assert isinstance(directives[-1], SetAlarm)
        assert directives[-1].at is not None
        assert directives[-1].at > now
        # A day is not walked through second by second: what lies in between changes nothing.
        now = max(directives[-1].at, Instant(min(left.values()) - 3 * WINDOW))
        directives = core.handle(Tick(), now)


@testing.simulated(start="2026-01-01T12:00:30Z", catalogue=TYPES)
async def test_b15_an_hour_back_fires_no_minute_twice(node: VirtualNode):
    task = await node.cron("* * * * *", "nothing")
    await node.advance("10m")
    node.step_clock("1h", back=True)
    await node.advance("1h 5m")
    minutes = [slot.nominal for slot in await node.slots(task.id)]
    assert minutes == [datetime(2026, 1, 1, 12, 1, tzinfo=UTC) + timedelta(minutes=n) for n in range(15)]
    assert len(await node.runs(task.id)) == 15


@pytest.mark.parametrize(
    ("policy", "limit", "runs"), [("skip", None, 2), ("latest", None, 3), ("earliest", None, 3), ("all", 1_000, 122)]
)
def test_b16_two_hours_forward_go_through_the_policy_once(policy: Any, limit: int | None, runs: int):
    async def check(node: VirtualNode) -> None:
        task = await node.new_task("nothing").with_period("1m").catch_up(policy, limit=limit).schedule()
        await node.advance("1m 30s")
        node.step_clock("2h")
        await node.advance("1m")
        found = await node.slots(task.id)
        assert [slot.nominal for slot in found] == [testing.DEFAULT_START + timedelta(minutes=n) for n in range(1, 123)]
        ran = await node.runs(task.id)
        assert len(ran) == runs
        assert {run.state for run in ran} == {"COMPLETED"}

    testing.run(check, catalogue=TYPES)


@testing.simulated(catalogue=TYPES, seeds=2)
async def test_b17_a_node_that_was_suspended_for_eight_hours_notices_at_its_next_look(node: VirtualNode):
    """The wall clock jumps while everything else stood still: what ran goes on, what was missed is caught up once."""
    hourly = await node.every("1h", "nothing", name="hourly")
    running = await node.once("1m", "long", hours=1)
    await node.advance("30m")
    node.step_clock("8h")
    await node.advance("2m")
    assert [slot.outcome for slot in await node.slots(hourly.id)] == ["coalesced"] * 7 + ["late"]
    assert len(await node.runs(hourly.id)) == 1
    await node.advance("1h")
    (run,) = await node.runs(running.id)
    assert (run.state, run.attempts) == ("COMPLETED", 1)


@testing.simulated(start="2026-06-30T23:59:00Z", catalogue=TYPES)
async def test_b19_midnight_after_a_leap_second_comes_once(node: VirtualNode):
    """The kernel repeats the last second of the day: 23:59:59 is seen twice, and so is the beginning of the next day."""
    daily = await node.cron("0 0 * * *", "nothing")
    seconds = await node.cron("*/1 * * * * *", "nothing")
    await node.advance("1m 0.5s")
    node.step_clock("1s", back=True)
    await node.advance("2s")
    assert seen(await node.slots(daily.id)) == [("01 00:00:00", "fired")]
    assert len(await node.runs(daily.id)) == 1
    nominal = [slot.nominal for slot in await node.slots(seconds.id)]
    assert nominal == [datetime(2026, 6, 30, 23, 59, 1, tzinfo=UTC) + timedelta(seconds=n) for n in range(61)]
