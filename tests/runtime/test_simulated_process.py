"""Processes of one loop that stop, go on, and die."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio
import trio.testing

from runtime.simulated_process import SimulatedProcess, current_process


async def _begin(nursery: trio.Nursery, process: SimulatedProcess, work: Callable[[], Awaitable[object]]) -> None:
    with process.inside():
        nursery.start_soon(work)
    await trio.testing.wait_all_tasks_blocked()


async def test_whoever_is_started_inside_belongs_to_the_process_with_all_that_it_starts(
    autojump_clock: trio.testing.MockClock,
) -> None:
    process, found = SimulatedProcess("one"), []

    async def child() -> None:
        found.append(current_process())

    async def work() -> None:
        found.append(current_process())
        async with trio.open_nursery() as inner:
            inner.start_soon(child)

    async with trio.open_nursery() as nursery:
        await _begin(nursery, process, work)
    assert found == [process, process]
    assert current_process() is None


async def test_a_stopped_process_takes_no_step_and_finds_its_deadlines_run_out(
    autojump_clock: trio.testing.MockClock,
) -> None:
    process, ticks, late = SimulatedProcess("one"), [], []

    async def work() -> None:
        for _ in range(4):
            await trio.sleep(1.0)
            ticks.append(trio.current_time())

    async def wait() -> None:
        with trio.move_on_after(3.0) as scope:
            await trio.sleep_forever()
        late.append((scope.cancelled_caught, trio.current_time()))

    async with trio.open_nursery() as nursery:
        began = trio.current_time()
        await _begin(nursery, process, work)
        await _begin(nursery, process, wait)
        await trio.sleep(1.5)
        process.stop()
        await trio.sleep(8.5)
        assert [round(at - began, 3) for at in ticks] == [1.0]
        process.go_on()
    assert [round(at - began, 3) for at in ticks] == [1.0, 10.0, 11.0, 12.0]
    assert [(caught, round(at - began, 3)) for caught, at in late] == [(True, 10.0)]


async def test_what_became_ready_meanwhile_goes_on_in_its_order(autojump_clock: trio.testing.MockClock) -> None:
    process, order, heard = SimulatedProcess("one"), [], []
    send, receive = trio.open_memory_channel[int](10)

    async def after(seconds: float) -> None:
        await trio.sleep(seconds)
        order.append(seconds)

    async def hear() -> None:
        async for number in receive:
            heard.append(number)

    async with trio.open_nursery() as nursery:
        with process.inside():
            nursery.start_soon(after, 1.0)
            nursery.start_soon(after, 3.0)
            nursery.start_soon(after, 2.0)
            nursery.start_soon(hear)
        await trio.testing.wait_all_tasks_blocked()
        process.stop()
        for number in range(3):
            send.send_nowait(number)
        await trio.sleep(5.0)
        assert (order, heard) == ([], [])
        process.go_on()
        await trio.testing.wait_all_tasks_blocked()
        assert (sorted(order), heard) == ([1.0, 2.0, 3.0], [0, 1, 2])
        send.close()


async def test_others_are_not_touched_and_the_dead_never_move_again(autojump_clock: trio.testing.MockClock) -> None:
    dead, alive, steps = SimulatedProcess("dead"), SimulatedProcess("alive"), []
    scope = trio.CancelScope()

    async def work(name: str) -> None:
        try:
            for _ in range(3):
                await trio.sleep(1.0)
                steps.append(name)
        finally:
            steps.append(f"{name} unwound")

    async with trio.open_nursery() as nursery:
        with dead.inside():
            nursery.start_soon(_within, scope, work, "dead")
        with alive.inside():
            nursery.start_soon(work, "alive")
        await trio.sleep(1.5)
        dead.kill()
        scope.cancel()
        await trio.sleep(10.0)
        assert steps.count("alive") == 3
        assert steps.count("dead") == 1
        assert "dead unwound" not in steps
        dead.go_on()
    assert dead.dead
    assert steps.count("dead") == 1
    assert steps[-1] == "dead unwound"


async def _within(scope: trio.CancelScope, work: Callable[[str], Awaitable[object]], name: str) -> None:
    with scope:
        await work(name)
