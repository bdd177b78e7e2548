"""A cancellation around a node's block, in virtual time: handlers are interrupted at no cost, and the node ends promptly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

from actors.composition import CANCELLED_SECONDS, open_node
from actors.executor_core import ABANDON_SECONDS
from actors.handling.catalogue import Catalogue, task_type
from actors.lanes import NodeConfig
from actors.model.lifecycle import State
from actors.model.trigger import Once
from runtime.errors import InternalError
from runtime.simulation import SimulatedWorld
from tests.rehearsal.kit import Diary, FlakyStore, add, flaky, history, interval, node_at

__all__ = ["flaky"]


async def test_a_cancelled_node_ends_at_once(tmp_path: Path, autojump_clock):
    with trio.move_on_after(10) as scope:
        async with node_at(tmp_path, Diary()):
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert trio.current_time() == pytest.approx(10, abs=0.1)


async def test_what_runs_is_interrupted_at_no_cost_and_recorded(tmp_path: Path, autojump_clock):
    diary = Diary()
    with trio.move_on_after(10):
        async with node_at(tmp_path, diary) as node:
            task = await add(node, "long", Once(node.world.now()), parameters='{"seconds": 100}')
            await trio.sleep_forever()
    assert trio.current_time() == pytest.approx(10, abs=0.1)
    assert diary.running == {"long": 0}
    async with node_at(tmp_path, diary, start=node.world.now()) as node:
        await trio.sleep(101)
        (execution,) = await history(node, task)
    assert (execution.state, execution.crashes, execution.failures) == (State.COMPLETED, 0, 0)


async def test_a_cancellation_cuts_a_drain_short(tmp_path: Path, autojump_clock):
    diary = Diary()
    with trio.move_on_after(10):
        async with node_at(tmp_path, diary, drain_seconds=60.0) as node:
            await add(node, "long", Once(node.world.now()), parameters='{"seconds": 100}')
            await trio.sleep(5)
    assert trio.current_time() == pytest.approx(10, abs=0.1)
    assert diary.running == {"long": 0}


async def test_a_node_that_is_left_in_peace_still_drains(tmp_path: Path, autojump_clock):
    diary = Diary()
    async with node_at(tmp_path, diary, drain_seconds=60.0) as node:
        await add(node, "long", Once(node.world.now()), parameters='{"seconds": 20}')
        await trio.sleep(5)
    assert [name for name, _ in diary.completed] == ["long"]


async def test_a_handler_that_does_not_give_way_holds_the_end_up_until_it_is_abandoned(tmp_path: Path, autojump_clock):
    async def stubborn(ctx: Any) -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(ABANDON_SECONDS + 7)

    types = Catalogue([task_type("work", stubborn)])
    config = NodeConfig(data=tmp_path, synchronous="OFF", system_tasks=False)
    with trio.move_on_after(5):
        async with open_node(config, types, SimulatedWorld(1)) as node:
            await add(node, "stubborn", Once(node.world.now()))
            await trio.sleep_forever()
    assert 5 + ABANDON_SECONDS <= trio.current_time() <= 5 + CANCELLED_SECONDS


@pytest.mark.usefixtures("flaky")
async def test_a_store_that_does_not_answer_holds_a_cancelled_node_up_for_a_bounded_time(
    tmp_path: Path, autojump_clock
):
    with trio.move_on_after(10):
        async with node_at(tmp_path, Diary()) as node:
            await add(node, "often", interval(node, 1))
            await trio.sleep(5)
            FlakyStore.writes_fail = True
            await trio.sleep_forever()
    assert trio.current_time() <= 10 + CANCELLED_SECONDS + 1


async def test_an_error_of_the_block_is_not_lost_in_a_cancellation(tmp_path: Path, autojump_clock):
    async def block() -> None:
        with trio.CancelScope() as scope:
            async with node_at(tmp_path, Diary()):
                scope.cancel()
                raise InternalError("in the block")

    with pytest.raises(ExceptionGroup) as raised:
        await block()
    assert raised.group_contains(InternalError, match="in the block")


async def test_a_node_whose_actors_gave_up_ends_at_once(tmp_path: Path, autojump_clock, monkeypatch):
    async def give_up() -> None:
        raise InternalError("given up")

    async def block() -> None:
        async with node_at(tmp_path, Diary()) as node:
            monkeypatch.setattr(node._root, "_next_events", give_up)
            node._root._events.wake()
            await trio.sleep_forever()

    with pytest.raises(BaseExceptionGroup) as raised:
        await block()
    assert raised.group_contains(InternalError, match="given up")
    assert trio.current_time() < 10
