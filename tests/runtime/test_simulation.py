"""The simulated world, and its alarm."""

from __future__ import annotations

import pytest
import trio

from runtime.clock import HOUR, SECOND, Instant, Micros
from runtime.simulation import DEFAULT_START, SimulatedWorld
from runtime.world import STEP_CHECK_SECONDS


async def test_time_is_virtual_and_can_be_stepped(autojump_clock):
    world = SimulatedWorld()
    assert world.now() == DEFAULT_START
    before = world.monotonic()
    await trio.sleep(3600)
    assert world.now() == DEFAULT_START + HOUR
    world.step(Micros(-2 * HOUR))
    assert world.now() == DEFAULT_START - HOUR
    assert world.monotonic() - before == 3600


async def test_time_that_is_left_out_rings_what_became_due_in_it_and_nothing_else(autojump_clock):
    world, rung = SimulatedWorld(), []
    due, later = world.alarm(), world.alarm()
    due.set(Instant(DEFAULT_START + 2 * HOUR))
    later.set(Instant(DEFAULT_START + 4 * HOUR))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(due.run, lambda: rung.append(("due", world.now(), trio.current_time())))
        nursery.start_soon(later.run, lambda: rung.append(("later", world.now(), trio.current_time())))
        await trio.sleep(1)
        began = trio.current_time()
        world.move(Micros(3 * HOUR))
        assert world.now() == DEFAULT_START + 3 * HOUR + SECOND
        await trio.sleep(3600)
        assert rung == [
            ("due", DEFAULT_START + 3 * HOUR + SECOND, began),
            ("later", DEFAULT_START + 4 * HOUR, began + 3599),
        ]
        nursery.cancel_scope.cancel()


async def test_everything_comes_from_the_seed(autojump_clock):
    one, same, other = SimulatedWorld(1), SimulatedWorld(1), SimulatedWorld(2)
    assert one.new_id() == same.new_id() != other.new_id()
    assert one.secret(8) == same.secret(8) != other.secret(8)
    assert one.rng("a").random() == same.rng("a").random() != one.rng("b").random()
    assert one.environment() == {}


async def test_blocking_work_is_done_in_the_loop(autojump_clock):
    world = SimulatedWorld()
    assert await world.blocking(divmod, 7, 2, lane="any") == (3, 1)
    heard: list[int] = []
    world.from_thread_soon(heard.append, 1)
    assert heard == [1]
    with pytest.raises(NotImplementedError, match="no threads"):
        world.from_thread(trio.sleep, 0)
    with pytest.raises(NotImplementedError, match="no processes"):
        await world.open_process(["true"])


async def test_failpoints_call_what_is_set(autojump_clock, tmp_path):
    world = SimulatedWorld()
    heard: list[str] = []
    world.failures["here"] = lambda: heard.append("here")
    with world.lock_directory(tmp_path):
        world.failpoint("here")
        world.failpoint("there")
    assert heard == ["here"]


async def test_an_alarm_rings_at_its_instant_and_at_steps(autojump_clock, nursery):
    world = SimulatedWorld()
    alarm = world.alarm()
    rings: list[int] = []
    nursery.start_soon(alarm.run, lambda: rings.append(world.now() - DEFAULT_START))
    alarm.set(Instant(DEFAULT_START + 5 * SECOND))
    await trio.sleep(10)
    assert rings == [5 * SECOND]
    alarm.set(Instant(DEFAULT_START + 60 * SECOND))
    await trio.sleep(1)
    alarm.set(None)
    await trio.sleep(100)
    assert rings == [5 * SECOND]
    alarm.set(Instant(DEFAULT_START))
    await trio.sleep(1)
    assert len(rings) == 2
    world.step(Micros(HOUR))
    await trio.sleep(STEP_CHECK_SECONDS)
    assert len(rings) == 3
    nursery.cancel_scope.cancel()
