"""An operator drains a node of a cluster: it leaves the messages of a real broker to others, until it takes part again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

import tocsin
import tocsin.testing
from actors.node import Node
from runtime.errors import Conflict
from tests.servers import server_directory
from tests.tocsin.channels.test_amqp import TYPES, Queues, queues, until
from tests.tocsin.channels.test_amqp_cluster import TYPES as SLOW
from tests.tocsin.channels.test_amqp_cluster import Spoken, channel_of
from tocsin.access.caller import FIRST_ADMINISTRATOR
from tocsin.operations.calls import Call
from tocsin.operations.dispatch import Dispatcher
from tocsin.testing import VirtualCluster

__all__ = ["queues"]


@pytest.fixture
def folder() -> Iterator[Path]:
    with server_directory("drained") as directory:
        yield directory


async def drain(node: Node, *, undo: bool = False) -> None:
    """What `tocsin node drain` asks for."""
    call = Call({"node": node.config.name, "undo": undo}, "ops", "cli", FIRST_ADMINISTRATOR)
    await Dispatcher(node)("drain_node", call)


def consumers(queues: Queues) -> int:
    with queues.broker.channel() as channel:
        return int(channel.queue_declare(queues.asked, passive=True).method.consumer_count)


async def test_a_drained_node_consumes_nothing_until_it_takes_part_again(queues: Queues, folder: Path) -> None:
    async with tocsin.open_node(
        data=folder / "data",
        catalogue=TYPES,
        coordination_embedded=True,
        cluster_listen="127.0.0.1:0",
        amqp_url=queues.broker.url,
        amqp_queue=queues.asked,
        amqp_types="told",
        drain_timeout="0s",
    ) as node:
        queues.send("told", message_id="m-1")
        assert (await queues.reply())[0].correlation_id == "m-1"
        await drain(node.inner)
        await until(lambda: consumers(queues) == 0)
        queues.send("told", message_id="m-2")
        assert queues.count(queues.asked) == 1
        # Once more changes nothing, and a connection that is lost meanwhile comes back without a consumer.
        await drain(node.inner)
        assert consumers(queues) == 0
        await drain(node.inner, undo=True)
        assert (await queues.reply())[0].correlation_id == "m-2"
        assert consumers(queues) == 1


async def test_a_connection_made_during_a_drain_takes_no_messages(queues: Queues, tmp_path: Path) -> None:
    from tocsin.channels import amqp
    from tocsin.channels.amqp_settings import AmqpSettings, BrokerUrl, broker_address

    settings = AmqpSettings(amqp_url=BrokerUrl(queues.broker.url), amqp_queue=queues.asked, amqp_types=("told",))
    address = broker_address(settings)
    assert address is not None
    queues.send("told", message_id="m-1")
    async with tocsin.open_node(data=tmp_path, catalogue=TYPES) as node, trio.open_nursery() as nursery:
        channel = amqp.AmqpChannel(node.inner, settings, amqp._connect_to(node.inner, settings, address), "it")
        channel.hold(True)
        nursery.start_soon(channel.run)
        await until(lambda: channel.figures.connections)
        assert (consumers(queues), channel.figures.received) == (0, 0)
        channel.hold(False)
        assert (await queues.reply())[0].correlation_id == "m-1"
        nursery.cancel_scope.cancel()
        channel.abandon()


@tocsin.testing.simulated(nodes=2, start="2026-03-01T00:00:00Z", catalogue=SLOW)
async def test_the_word_of_the_operator_reaches_the_connection_once(cluster: VirtualCluster) -> None:
    channel, spoken = channel_of(cluster, "n1"), Spoken()
    node = cluster.node("n1").inner
    assert node.cluster is not None
    node.cluster.on_drain(channel.hold)
    channel._connection = spoken
    for undo in (False, False, True, True):
        await drain(node, undo=undo)
    assert spoken.said == [("consume", False), ("consume", True)]
    # A node that ends takes no more messages, whatever an operator says.
    await drain(node)
    node.draining.set()
    await drain(node, undo=True)
    assert spoken.said == [("consume", False), ("consume", True), ("consume", False)]


async def test_a_node_that_is_alone_cannot_be_drained(tmp_path: Path) -> None:
    async with tocsin.open_node(data=tmp_path, catalogue=TYPES) as node:
        with pytest.raises(Conflict, match="stop it, which drains it"):
            await drain(node.inner)
