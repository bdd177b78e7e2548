"""The real world: clocks, threads, processes, locks, alarms."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest
import trio
import trio.testing

from runtime import world as world_module
from runtime.clock import SECOND, Instant
from runtime.errors import AlreadyRunning
from runtime.world import INLINE, PIPE, KernelAlarm, PollingAlarm, RealWorld, termination_signals


async def test_clocks_chance_and_identity():
    world = RealWorld()
    assert world.now() > 1_700_000_000 * SECOND
    assert world.monotonic() <= trio.current_time()
    assert world.rng("a").random() != world.rng("a").random()
    assert world.new_id() < world.new_id()
    assert world.secret(16) != world.secret(16)
    assert world.environment() is os.environ


async def test_blocking_work_goes_to_its_lane():
    world = RealWorld({"wide": 2})
    here = threading.get_ident()
    assert await world.blocking(threading.get_ident, lane=INLINE) == here
    assert await world.blocking(threading.get_ident, lane="wide") != here
    meeting = threading.Barrier(2)
    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(lambda: world.blocking(meeting.wait, 10, lane="wide"))
    assert meeting.n_waiting == 0


async def test_calls_of_a_narrow_lane_never_overlap():
    world = RealWorld()
    inside, most = 0, 0
    lock = threading.Lock()

    def work() -> None:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        with lock:
            inside -= 1

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(lambda: world.blocking(work, lane="one"))
    assert most == 1


async def test_threads_reach_back_into_the_loop():
    world = RealWorld()
    heard: list[str] = []
    done = trio.Event()

    async def answer(text: str) -> str:
        return text + "!"

    def work() -> str:
        world.from_thread_soon(heard.append, "soon")
        world.from_thread_soon(done.set)
        return world.from_thread(answer, "yes")

    assert await world.blocking(work, lane="any") == "yes!"
    with trio.fail_after(60):
        await done.wait()
    assert heard == ["soon"]


async def test_a_process_is_started():
    process = await RealWorld().open_process(["/bin/echo", "hi"], stdout=PIPE)
    assert process.stdout is not None
    with trio.fail_after(20):
        said = b"".join([chunk async for chunk in process.stdout])
        code = await process.wait()
    await process.stdout.aclose()
    assert (said, code) == (b"hi\n", 0)


def test_a_directory_has_one_holder(tmp_path: Path):
    place = tmp_path / "deep" / "data"
    world = RealWorld()
    with world.lock_directory(place):
        assert place.stat().st_mode & 0o777 == 0o700
        with pytest.raises(AlreadyRunning, match=f"process {os.getpid()}"), RealWorld().lock_directory(place):
            pass
    with world.lock_directory(place):
        assert (place / "lock").read_text() == f"{os.getpid()}\n"


def test_a_failpoint_kills_at_its_passage(monkeypatch: pytest.MonkeyPatch):
    killed: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda process, number: killed.append((process, number)))
    monkeypatch.setenv("TOCSIN_FAILPOINTS", "first,third=3")
    world = RealWorld()
    world.failpoint("other")
    world.failpoint("third")
    world.failpoint("third")
    assert killed == []
    world.failpoint("third")
    world.failpoint("first")
    assert killed == [(os.getpid(), signal.SIGKILL)] * 2


@pytest.mark.parametrize("kind", [KernelAlarm, lambda: PollingAlarm(RealWorld())])
async def test_an_alarm_rings(kind):
    alarm, world = kind(), RealWorld()
    rung = trio.Event()
    async with trio.open_nursery() as nursery:
        alarm.set(Instant(world.now() + 20_000))
        nursery.start_soon(alarm.run, rung.set)
        with trio.fail_after(60):
            await rung.wait()
        rung = trio.Event()
        nursery.cancel_scope.cancel()


async def test_a_kernel_alarm_is_set_anew_while_it_runs():
    alarm, world = KernelAlarm(), RealWorld()
    rings: list[Instant] = []
    enough = trio.Event()

    def ring() -> None:
        rings.append(world.now())
        if len(rings) == 2:
            enough.set()
        else:
            alarm.set(Instant(0))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(alarm.run, ring)
        await trio.testing.wait_all_tasks_blocked()
        alarm.set(None)
        alarm.set(Instant(world.now() + 1))
        with trio.fail_after(60):
            await enough.wait()
        nursery.cancel_scope.cancel()
    assert rings == sorted(rings)


def test_without_the_kernel_the_alarm_polls(monkeypatch: pytest.MonkeyPatch):
    assert isinstance(RealWorld().alarm(), KernelAlarm)
    monkeypatch.setattr(world_module, "_libc", None)
    assert isinstance(RealWorld().alarm(), PollingAlarm)


async def test_termination_signals_are_heard():
    async with trio.open_nursery() as nursery:
        heard: list[signal.Signals] = []

        async def listen() -> None:
            async for number in termination_signals():
                heard.append(number)
                nursery.cancel_scope.cancel()

        nursery.start_soon(listen)
        await trio.testing.wait_all_tasks_blocked()
        os.kill(os.getpid(), signal.SIGTERM)
        with trio.fail_after(60):
            await trio.sleep_forever()
    assert heard == [signal.SIGTERM]
