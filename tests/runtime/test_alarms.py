"""Alarms: in virtual time the one that polls, and the kernel's as far as it does not need a real clock to be set."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trio

from runtime.clock import HOUR, SECOND, Instant, Micros
from runtime.simulation import SimulatedWorld
from runtime.world import KernelAlarm, PollingAlarm, RealWorld


@asynccontextmanager
async def ringing(alarm: PollingAlarm | KernelAlarm, ring: Callable[[], None]) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(alarm.run, ring)
        await trio.testing.wait_all_tasks_blocked()
        yield
        nursery.cancel_scope.cancel()


async def test_it_rings_once_at_its_instant_and_can_be_set_again(autojump_clock: trio.testing.MockClock) -> None:
    world = SimulatedWorld()
    start = world.now()
    alarm = PollingAlarm(world)
    rung: list[float] = []
    async with ringing(alarm, lambda: rung.append((world.now() - start) / SECOND)):
        alarm.set(Instant(start + 7 * SECOND))
        await trio.sleep(20)
        assert rung == [7.0]
        alarm.set(Instant(start + 90 * SECOND))
        alarm.set(Instant(start + 25 * SECOND))
        await trio.sleep(20)
        assert rung == [7.0, 25.0]
        alarm.set(Instant(start + 45 * SECOND))
        alarm.set(None)
        await trio.sleep(20)
        alarm.set(start)
        await trio.sleep(1)
        assert rung == [7.0, 25.0, 60.0]


@pytest.mark.parametrize("step", [HOUR, -HOUR])
async def test_it_rings_when_the_clock_is_set(step: int, autojump_clock: trio.testing.MockClock) -> None:
    world = SimulatedWorld()
    alarm = PollingAlarm(world)
    rung: list[float] = []
    async with ringing(alarm, lambda: rung.append(trio.current_time())):
        await trio.sleep(10.25)
        assert rung == []
        world.step(Micros(step))
        await trio.sleep(10)
        assert len(rung) == 1


async def test_the_kernels_alarm_rings_for_each_instant_that_it_is_set_to() -> None:
    world = RealWorld()
    alarm = KernelAlarm()
    rung = trio.Event()

    def ring() -> None:
        rung.set()

    async with ringing(alarm, ring):
        for ahead in (0, 1_000, -SECOND):
            rung = trio.Event()
            alarm.set(Instant(world.now() + ahead))
            with trio.fail_after(20):
                await rung.wait()


async def test_the_kernels_alarm_rings_when_the_clock_was_set(monkeypatch: pytest.MonkeyPatch) -> None:
    alarm = KernelAlarm()
    world = RealWorld()
    rung = trio.Event()
    read = os.read

    def cancelled(descriptor: int, size: int) -> bytes:
        # What the kernel answers when the clock was set, which a test must not do.
        read(descriptor, size)
        raise OSError(errno.ECANCELED, os.strerror(errno.ECANCELED))

    async with ringing(alarm, lambda: rung.set()):
        monkeypatch.setattr(os, "read", cancelled)
        alarm.set(Instant(world.now()))
        with trio.fail_after(20):
            await rung.wait()
        monkeypatch.undo()
