"""A node whose timer does not keep time is not well, whatever holds it up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from actors.composition import open_node
from actors.lanes import NodeConfig
from actors.node import Node
from runtime.errors import StoreUnavailable
from runtime.simulation import SimulatedWorld
from tests.rehearsal.kit import Diary, add, interval

LATE = 3.0


def hindrances(node: Node) -> str:
    return "; ".join(node.hindrances())


def config(tmp_path: Path) -> NodeConfig:
    return NodeConfig(data=tmp_path, late_seconds=LATE, watch_seconds=3600.0)


@pytest.mark.parametrize("persistent", [True, False])
async def test_a_timer_that_is_held_up(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch, persistent: bool
) -> None:
    async with open_node(config(tmp_path), Diary().catalogue(), SimulatedWorld()) as node:
        await add(node, "every two", interval(node, 2), persistent=persistent)
        await trio.sleep(10)
        assert node.hindrances() == []
        lane = node._durable if persistent else node._memory
        receive, held = lane.timer.receive_batch, trio.Event()

        async def slow(messages: list[Any]) -> None:
            await held.wait()
            await receive(messages)

        monkeypatch.setattr(lane.timer, "receive_batch", slow)
        await trio.sleep(10)
        assert f"the {lane.name} timer is late: what is due has been waiting for" in hindrances(node)
        held.set()
        await trio.sleep(1)
        assert node.hindrances() == []


async def test_a_store_that_does_not_say_what_is_due(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_node(config(tmp_path), Diary().catalogue(), SimulatedWorld()) as node:
        await trio.sleep(10)
        store = node._durable.store

        def unavailable(*_: Any) -> Any:
            raise StoreUnavailable("gone")

        with monkeypatch.context() as broken:
            broken.setattr(store, "due", unavailable)
            await trio.sleep(120)
            assert "the durable timer is late" in hindrances(node)
        await trio.sleep(3)
        assert node.hindrances() == []


async def test_a_pause_is_no_lateness(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    async with open_node(config(tmp_path), Diary().catalogue(), SimulatedWorld()) as node:
        await add(node, "every two", interval(node, 2))
        await node.control.pause(None, "me")
        await trio.sleep(600)
        assert node.hindrances() == []
        await node.control.resume("me")
        await trio.sleep(5)
        assert node.hindrances() == []
