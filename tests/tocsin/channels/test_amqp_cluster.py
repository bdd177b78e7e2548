"""A message that comes to one node after another, in virtual clusters: one execution, and a reply from whoever has it last."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest
import trio

import tocsin.testing
from actors.handling.catalogue import Catalogue, task_type
from actors.handling.context import Context
from runtime.clock import Micros
from tocsin.channels.amqp import AmqpChannel
from tocsin.channels.amqp_core import Message, Reply
from tocsin.channels.amqp_settings import AmqpSettings
from tocsin.testing import VirtualCluster


async def slow(ctx: Context) -> str:
    """Takes a while."""
    await trio.sleep(60)
    return "at last"


TYPES = Catalogue([task_type("slow", slow, source="")])
SETTINGS = AmqpSettings(amqp_types=("*",), amqp_pause=Micros(1_000_000), amqp_longest_pause=Micros(8_000_000))
MESSAGE = Message(7, type="slow", message_id="m-1", reply_to="replies")


@attrs.define
class Spoken:
    """A connection that only notes what is said to it."""

    said: list[tuple[object, ...]] = attrs.field(factory=list)

    def serve(self) -> str:
        raise AssertionError("nobody connects")

    def acknowledge(self, tag: int) -> None:
        self.said.append(("acknowledged", tag))

    def give_back(self, tag: int) -> None:
        self.said.append(("given back", tag, round(trio.current_time())))

    def refuse(self, tag: int, reply: Reply | None) -> None:
        self.said.append(("refused", tag, reply))

    def answer(self, tag: int, reply: Reply, told: Callable[[bool], None]) -> None:
        told(True)
        self.said.append(("answered", tag, reply.status, reply.body))

    def consume(self, on: bool) -> None:
        self.said.append(("consume", on))

    def close(self) -> None:
        raise AssertionError("nobody closes")

    def abandon(self) -> None:
        raise AssertionError("nobody closes")


def channel_of(cluster: VirtualCluster, name: str) -> AmqpChannel:
    return AmqpChannel(cluster.node(name).inner, SETTINGS, lambda tell: Spoken(), "broker:5672")


@tocsin.testing.simulated(nodes=3, start="2026-03-01T00:00:00Z", catalogue=TYPES)
async def test_a_message_that_comes_to_another_node_is_the_same_execution(cluster: VirtualCluster) -> None:
    first, second = Spoken(), Spoken()
    channel = channel_of(cluster, "n1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(channel.take, first, MESSAGE)
        await cluster.advance("20s")
        [running] = await cluster.runs("invoke slow")
        # Its connection is gone, and the message comes to another node while the execution goes on.
        nursery.cancel_scope.cancel()
    assert first.said == []
    runner = (await cluster.execution(running.id)).execution.node
    assert runner is not None
    cluster.kill(runner)
    taker = cluster.living[0]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(channel_of(cluster, taker).take, second, MESSAGE)
        await cluster.advance("3m")
    assert second.said == [("answered", 7, "COMPLETED", b'"at last"')]
    [run] = await cluster.runs("invoke slow")
    assert (run.id, run.state) == (running.id, "COMPLETED")
    # Once more, because that reply was lost too: it is told again, and nothing runs.
    third = Spoken()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(channel_of(cluster, cluster.living[-1]).take, third, MESSAGE)
        await cluster.advance("10s")
    assert third.said == second.said
    assert len(await cluster.runs("invoke slow")) == 1


@tocsin.testing.simulated(nodes=2, start="2026-03-01T00:00:00Z", catalogue=TYPES)
async def test_without_a_store_messages_go_back_after_pauses_that_grow(cluster: VirtualCluster) -> None:
    spoken, channel = Spoken(), channel_of(cluster, "n1")
    cluster.lose_store("n1")
    begin, backs = trio.current_time(), 0
    async with trio.open_nursery() as nursery:
        for tag in range(3):
            nursery.start_soon(channel.take, spoken, attrs.evolve(MESSAGE, tag=tag, message_id=f"m-{tag}"))
        while len(spoken.said) < 3:
            await cluster.advance("1s")
        [complaint] = channel.complaints()
        assert complaint.startswith("messages of the broker broker:5672 cannot be recorded: ")
        # Those that fail together share a pause, and it is never shorter than the first one's least.
        assert {said[0] for said in spoken.said} == {"given back"}
        assert min(int(str(said[2])) for said in spoken.said) >= begin
        for _ in range(3):
            backs = len(spoken.said)
            since = trio.current_time()
            nursery.start_soon(channel.take, spoken, MESSAGE)
            while len(spoken.said) == backs:
                await cluster.advance("1s")
            assert trio.current_time() - since >= 0.75
        cluster.heal()
        await cluster.advance("30s")
        nursery.start_soon(channel.take, spoken, MESSAGE)
        await cluster.advance("3m")
    assert spoken.said[-1] == ("answered", 7, "COMPLETED", b'"at last"')
    assert channel.complaints() == []
    assert (channel.figures.given_back, channel.figures.replied) == (6, 1)


@tocsin.testing.simulated(nodes=1, start="2026-03-01T00:00:00Z", catalogue=TYPES)
async def test_an_error_of_our_own_refuses_one_message(
    cluster: VirtualCluster, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    spoken, channel = Spoken(), channel_of(cluster, "n1")

    def explode(*_: object) -> None:
        raise RuntimeError("a bug")

    with monkeypatch.context() as patch:
        patch.setattr("tocsin.channels.amqp.begin", explode)
        await channel.take(spoken, MESSAGE)
    [(what, tag, reply)] = spoken.said
    assert (what, tag) == ("refused", 7)
    assert isinstance(reply, Reply)
    assert b"a bug" not in reply.body
    assert channel.figures.refused == {"failed": 1}
