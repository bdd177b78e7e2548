"""A seed decides the order in which trio runs what is ready, and nothing else does."""

from __future__ import annotations

import pytest
import trio
from hypothesis import given

from tests.seeds import scheduler_seeds, seed_scheduler


def interleaving(seed: int) -> list[int]:
    """The order in which eight equal tasks passed four checkpoints each."""
    order: list[int] = []

    async def walk(number: int) -> None:
        for _ in range(4):
            order.append(number)
            await trio.lowlevel.checkpoint()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for number in range(8):
                nursery.start_soon(walk, number)

    seed_scheduler(seed)
    trio.run(main)
    return order


def test_one_seed_gives_one_order() -> None:
    assert interleaving(7) == interleaving(7)


def test_seeds_give_many_orders() -> None:
    assert len({tuple(interleaving(seed)) for seed in range(20)}) == 20


def test_drawn_seeds_give_many_orders() -> None:
    seen = set()

    @given(scheduler_seeds)
    def each(seed: int) -> None:
        seen.add(tuple(interleaving(seed)))

    each()
    assert len(seen) > 10


def test_a_run_shows_its_seed(pytestconfig: pytest.Config, run_seed: int) -> None:
    header = pytestconfig.hook.pytest_report_header(config=pytestconfig, start_path=pytestconfig.rootpath)
    assert f"scheduler seed: {run_seed} (repeat with --seed {run_seed})" in header
