"""Time that jumps: the order in which tasks wake is that of trio's own virtual clock."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
import trio
import trio.testing

from runtime.simulated_clock import SimulatedClock, sleep_until
from runtime.simulation import seed_scheduler

CLOCKS: list[Callable[[], trio.abc.Clock]] = [
    SimulatedClock,
    lambda: trio.testing.MockClock(autojump_threshold=0),
]


def woken(clock: trio.abc.Clock, seed: int) -> list[tuple[float, int]]:
    """Who wakes when, of some that sleep in both ways, wait for each other, and are cancelled."""
    seed_scheduler(seed)
    rng = random.Random(seed)
    plans = [(rng.choice((True, False)), [rng.randrange(1, 50) / 10 for _ in range(8)]) for _ in range(20)]
    seen: list[tuple[float, int]] = []

    async def sleeper(number: int, ours: bool, naps: list[float]) -> None:
        for nap in naps:
            with trio.move_on_after(2.5):
                if ours:
                    await sleep_until(trio.current_time() + nap)
                else:
                    await trio.sleep(nap)
            seen.append((round(trio.current_time(), 6), number))

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for number, (ours, naps) in enumerate(plans):
                nursery.start_soon(sleeper, number, ours, naps)

    trio.run(main, clock=clock)
    return seen


@pytest.mark.parametrize("seed", range(5))
def test_everybody_wakes_when_they_would_under_the_clock_of_trio(seed: int) -> None:
    ours, theirs = (woken(clock(), seed) for clock in CLOCKS)
    assert sorted(ours) == sorted(theirs)
    assert [at for at, _ in ours] == sorted(at for at, _ in ours)
    assert ours == woken(SimulatedClock(), seed), "one seed, one order"


@pytest.mark.parametrize("clock", CLOCKS)
def test_a_sleep_is_cancelled_and_what_is_past_only_gives_way(clock: Callable[[], trio.abc.Clock]) -> None:
    async def main() -> list[float]:
        began = trio.current_time()
        with trio.move_on_after(3) as scope:
            await sleep_until(began + 10)
        assert scope.cancelled_caught
        times = [trio.current_time() - began]
        await sleep_until(began)
        times.append(trio.current_time() - began)
        await sleep_until(began + 12)
        times.append(trio.current_time() - began)
        with trio.CancelScope() as cancelled:
            cancelled.cancel()
            await sleep_until(began)
        assert cancelled.cancelled_caught
        return times

    assert trio.run(main, clock=clock()) == [3, 3, 12]
