"""The channel to a broker, with a real one: RabbitMQ from Debian's packages."""

from __future__ import annotations

import inspect
import json
import secrets
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import attrs
import pika
import pytest
import trio
from pika.adapters.blocking_connection import BlockingChannel

import tocsin
from actors.handling.catalogue import Catalogue, task_type
from actors.handling.context import Context
from actors.model.execution import Execution
from actors.store.answers import TaskFilter
from tests.rabbitmq import RabbitMQ
from tocsin.api.metrics import metrics_text
from tocsin.api.request_counts import RequestCounts
from tocsin.channels.amqp_core import EXECUTION, REFUSED, STATUS
from tocsin.doctor.broker import of_broker
from tocsin.embedded.ports import free_port
from tocsin.live.hub import Hub
from tocsin.live.settings import FollowerLimits
from tocsin.node import LocalNode
from tocsin.settings.config import load_config

HANG_SECONDS = 90

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "amqp_request.py"


async def told(ctx: Context, *, words: str = "") -> Any:
    """Says what it was given."""
    extra = None if ctx.extra is None else ctx.extra.decode()
    return {"words": words, "extra": extra, "type": ctx.extra_type, "channel": ctx.channel, "id": ctx.correlation_id}


async def broken(ctx: Context) -> None:
    """Fails."""
    raise ValueError("boom")


async def slow(ctx: Context) -> str:
    """Takes a while."""
    await trio.sleep(1)
    return "at last"


async def endless(ctx: Context) -> None:
    """Does not end."""
    await trio.sleep_forever()


TYPES = Catalogue([task_type(one.__name__, one) for one in (told, broken, slow, endless)])


@attrs.frozen
class Queues:
    """A queue to consume, where its dead letters go, and one for replies, each with a name of its own."""

    broker: RabbitMQ
    asked: str
    dead: str
    replies: str

    def send(self, type_name: str, body: bytes = b"{}", **properties: Any) -> None:
        given = {"type": type_name, "reply_to": self.replies, "delivery_mode": 2, **properties}
        with self.broker.channel() as channel:
            channel.basic_publish("", self.asked, body, pika.BasicProperties(**given), mandatory=True)

    def take(self, queue: str) -> tuple[Any, bytes] | None:
        with self.broker.channel() as channel:
            _, properties, body = channel.basic_get(queue, auto_ack=True)
            return None if properties is None else (properties, body)

    def count(self, queue: str) -> int:
        with self.broker.channel() as channel:
            return int(channel.queue_declare(queue, passive=True).method.message_count)

    async def next(self, queue: str) -> tuple[Any, bytes]:
        found: tuple[Any, bytes] = await until(lambda: trio.to_thread.run_sync(self.take, queue))
        return found

    async def reply(self) -> tuple[Any, Any]:
        properties, body = await self.next(self.replies)
        return properties, json.loads(body)


async def until(look: Callable[[], Any]) -> Any:
    """What it answers once that is something; it may be async. Fails when it takes too long."""
    with trio.fail_after(HANG_SECONDS):
        while True:
            found = look()
            if inspect.isawaitable(found):
                found = await found
            if found:
                return found
            await trio.sleep(0.05)


@contextmanager
def declared(channel: BlockingChannel, broker: RabbitMQ) -> Iterator[Queues]:
    name = secrets.token_hex(4)
    queues = Queues(broker, f"asked-{name}", f"dead-{name}", f"replies-{name}")
    channel.queue_declare(queues.dead, durable=True)
    channel.queue_declare(queues.replies, durable=True)
    dead = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": queues.dead}
    channel.queue_declare(queues.asked, durable=True, arguments=dead)
    yield queues


@pytest.fixture
def queues(rabbitmq_server: RabbitMQ) -> Iterator[Queues]:
    with rabbitmq_server.channel() as channel, declared(channel, rabbitmq_server) as found:
        yield found


@asynccontextmanager
async def opened(path: Path, queues: Queues, **settings: Any) -> AsyncIterator[LocalNode]:
    given = {"amqp_types": "told,broken,slow,endless,nowhere", "drain_timeout": "0s", "amqp_pause": "100ms", **settings}
    given = {"amqp_url": queues.broker.url, "amqp_queue": queues.asked, **given}
    async with tocsin.open_node(data=path, catalogue=TYPES, synchronous="NORMAL", **given) as node:
        yield node


async def executions(node: LocalNode, type_name: str) -> list[Execution]:
    return await node.executions(f"invoke {type_name}")


def complaints(node: LocalNode) -> list[str]:
    """What is not well about the channel. That a machine is slow is none of its business."""
    return [one for one in node.health() if "broker" in one]


async def begun(node: LocalNode, type_name: str) -> bool:
    """Whether an execution of this type is open."""
    found = await node.inner.page(TaskFilter(type=type_name))
    return any(task.open for task in found.tasks)


async def done(node: LocalNode, task_id: str) -> bool:
    """Whether the task has completed an execution."""
    return (await node.task(task_id)).state.completed > 0


async def test_a_request_is_run_and_answered(queues: Queues, tmp_path: Path) -> None:
    async with opened(tmp_path, queues) as node:
        queues.send("told", b'{"words": "hello"}', message_id="m-1", correlation_id="c-1")
        properties, body = await queues.reply()
        assert body == {"words": "hello", "extra": None, "type": None, "channel": "broker", "id": "c-1"}
        [execution] = await executions(node, "told")
        assert properties.correlation_id == "c-1"
        assert properties.headers == {STATUS: "COMPLETED", EXECUTION: execution.id}
        assert properties.content_type == "application/json"
        queues.send("told", b"\x01\x02", message_id="m-2", content_type="application/octet-stream")
        properties, body = await queues.reply()
        assert body == {
            "words": "", "extra": "\x01\x02", "type": "application/octet-stream", "channel": "broker", "id": "m-2",
        }  # fmt: skip
        queues.send("broken", message_id="m-3")
        properties, body = await queues.reply()
        assert properties.headers[STATUS] == "FAILED"
        assert body["error"] == "Invoked task did not complete"
        assert "ValueError: boom" in body["message"]
        assert complaints(node) == []
    assert queues.count(queues.asked) == 0


async def test_a_message_without_a_reply_is_run_and_acknowledged(queues: Queues, tmp_path: Path) -> None:
    async with opened(tmp_path, queues) as node:
        queues.send("endless", message_id="m-1", reply_to=None)
        await until(lambda: begun(node, "endless"))
    # It was recorded, so nothing comes back although it had not ended.
    assert queues.count(queues.asked) == 0


async def test_the_same_message_twice_is_one_execution_and_two_replies(queues: Queues, tmp_path: Path) -> None:
    async with opened(tmp_path, queues) as node:
        for _ in range(2):
            queues.send("told", b'{"words": "once"}', message_id="m-1")
        first, second = await queues.reply(), await queues.reply()
        assert first[1] == second[1]
        assert first[0].headers == second[0].headers
        assert first[0].message_id == second[0].message_id
        assert len(await executions(node, "told")) == 1
        # The same id with something else in it is a mistake, and no second execution.
        queues.send("told", b'{"words": "twice"}', message_id="m-1")
        properties, body = await queues.reply()
        assert (properties.headers, body["error"]) == ({STATUS: REFUSED}, "Conflict")
        assert (await queues.next(queues.dead))[0].message_id == "m-1"
        assert len(await executions(node, "told")) == 1


BAD: list[tuple[str, bytes, dict[str, Any], str, str]] = [
    ("told", b"{", {}, "Invalid request", "not JSON"),
    ("told", b'{"words": "\xff"}', {}, "Invalid request", "not UTF-8"),
    ("told", b"[1]", {}, "Invalid request", "an object, not [1]"),
    ("told", b"[" * 100_000, {}, "Invalid request", "nested too deeply"),
    ("told", b'{"word": 1}', {}, "Invalid request", "word"),
    ("told", b"x" * 300_000, {"content_type": "text/plain"}, "Too large", "at most 262144"),
    ("told", b"{}", {"content_encoding": "gzip"}, "Invalid request", "content_encoding"),
    ("told", b"{}", {"expiration": "1000", "timestamp": 1_000_000_000}, "Invalid request", "within 1000 ms"),
    ("nowhere", b"{}", {}, "Invalid request", "nowhere"),
    ("http", b'{"url": "https://example.org"}', {}, "Not allowed", "amqp.types"),
]


async def test_what_is_no_good_goes_to_the_dead_letters(
    queues: Queues, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(tmp_path, queues) as node:
        for number, (type_name, body, properties, title, what) in enumerate(BAD):
            caplog.clear()
            queues.send(type_name, body, message_id=f"bad-{number}", **properties)
            told_of, answer = await queues.reply()
            assert told_of.correlation_id == f"bad-{number}"
            assert (told_of.headers, answer["error"]) == ({STATUS: REFUSED}, title)
            assert what in answer["message"]
            dead, kept = await queues.next(queues.dead)
            assert (dead.message_id, kept) == (f"bad-{number}", body)
            assert dead.headers["x-death"][0]["reason"] == "rejected"
            [line] = [one.getMessage() for one in caplog.records if "refused" in one.getMessage()]
            assert f"message 'bad-{number}' was refused" in line
            assert what in line
        told_so = {why: number for why, number in node.inner.tallies["amqp"]().items() if number}
        assert told_so == {"refused_malformed": 7, "refused_expired": 1, "refused_unknown": 1, "refused_forbidden": 1}
        figures = await metrics_text(node.inner, RequestCounts(), Hub(node.inner, FollowerLimits()))
        assert 'tocsin_amqp_messages_total{result="refused_malformed"} 7\n' in figures
        # The others are not held up.
        queues.send("told", b'{"words": "good"}')
        assert (await queues.reply())[1]["words"] == "good"


async def test_a_reply_to_nowhere_is_told_of(queues: Queues, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with opened(tmp_path, queues):
        queues.send("told", message_id="m-1", reply_to="no-such-queue")
        queues.send("told", message_id="m-2")
        await queues.reply()
        await until(lambda: any("went nowhere: no queue 'no-such-queue'" in one.getMessage() for one in caplog.records))
    assert queues.count(queues.asked) == 0


async def test_who_waits_too_long_is_told_that_it_goes_on(queues: Queues, tmp_path: Path) -> None:
    async with opened(tmp_path, queues, amqp_reply_within="1s"):
        queues.send("endless", message_id="m-1")
        properties, body = await queues.reply()
        assert (properties.headers[STATUS], body) == ("RUNNING", None)
    assert queues.count(queues.asked) == 0


async def test_a_drain_sends_the_replies_that_there_are_and_gives_the_rest_back(queues: Queues, tmp_path: Path) -> None:
    async with opened(tmp_path, queues, drain_timeout="20s", amqp_prefetch=2) as node:
        queues.send("slow", message_id="m-1")
        await until(lambda: begun(node, "slow"))
        await node.drain()
        # It consumes no more: what comes now waits for another node.
        queues.send("told", message_id="m-2")
    assert (await queues.reply())[1] == "at last"
    assert queues.count(queues.asked) == 1
    async with opened(tmp_path, queues, amqp_prefetch=2) as node:
        assert (await queues.reply())[0].correlation_id == "m-2"
        queues.send("endless", message_id="m-3")
        await until(lambda: begun(node, "endless"))
    # It was not answered, so it comes again.
    assert queues.count(queues.asked) == 1


async def test_the_broker_restarts_while_requests_are_under_way(
    rabbitmq_server: RabbitMQ, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with rabbitmq_server.channel() as channel, declared(channel, rabbitmq_server) as queues:
        pass
    async with opened(tmp_path, queues, amqp_longest_pause="1s") as node:
        queues.send("slow", message_id="m-1")
        await until(lambda: begun(node, "slow"))
        try:
            await trio.to_thread.run_sync(rabbitmq_server.stop)
            await until(lambda: complaints(node))
            [complaint] = complaints(node)
            assert complaint.startswith(f"no connection to the broker 127.0.0.1:{rabbitmq_server.port}: ")
            # The node goes on without it.
            assert node.inner.hindrances() == []
            task = await node.once("0s", "told", name="meanwhile")
            await until(lambda: done(node, task.id))
        finally:
            await trio.to_thread.run_sync(rabbitmq_server.start)
        properties, body = await queues.reply()
        assert (properties.correlation_id, body) == ("m-1", "at last")
        assert complaints(node) == []
        assert len(await executions(node, "slow")) == 1
    assert [one for one in caplog.records if rabbitmq_server.password in one.getMessage()] == []
    assert len([one for one in caplog.records if "no connection" in one.getMessage()]) == 1


async def test_a_queue_that_is_not_there_is_complained_of_until_it_is(queues: Queues, tmp_path: Path) -> None:
    async with opened(tmp_path, attrs.evolve(queues, asked=f"{queues.asked}-later"), amqp_longest_pause="1s") as node:
        await until(lambda: complaints(node))
        assert f"no queue '{queues.asked}-later'" in complaints(node)[0]
        with queues.broker.channel() as channel:
            channel.queue_declare(f"{queues.asked}-later", durable=True)
        await until(lambda: not complaints(node))
        with queues.broker.channel() as channel:
            channel.queue_delete(f"{queues.asked}-later")
        await until(lambda: complaints(node))


async def test_the_example_asks_and_is_answered(queues: Queues, tmp_path: Path) -> None:
    argv = [sys.executable, str(EXAMPLE), queues.broker.url, queues.asked, "told", '{"words": "hello"}']
    async with opened(tmp_path, queues):
        with trio.fail_after(HANG_SECONDS):
            done = await trio.run_process(argv, capture_stdout=True)
    status, _, body = done.stdout.decode().partition(" ")
    assert (status, json.loads(body)["words"]) == ("COMPLETED", "hello")


def test_doctor_tells_how_the_broker_is(queues: Queues) -> None:
    def told(**settings: str) -> str:
        flags = {"amqp.url": queues.broker.url, "amqp.types": "told", "amqp.queue": queues.asked}
        given = {f"amqp.{name}": value for name, value in settings.items()}
        [finding] = of_broker(load_config({}, None, flags | given).config)
        assert queues.broker.password not in f"{finding}"
        return f"{finding.level} {finding.what}"

    where = f"127.0.0.1:{queues.broker.port}"
    assert told() == f"good {where} answers; the queue {queues.asked!r} has 0 messages and 0 consumers"
    queues.send("told")
    assert told() == f"warning {where} answers; the queue {queues.asked!r} has 1 messages and 0 consumers"
    assert "no queue 'elsewhere'" in told(queue="elsewhere")
    assert "ACCESS_REFUSED" in told(url=queues.broker.url.replace(queues.broker.password, "wrong"))
    assert "Connection refused" in told(url=f"amqp://127.0.0.1:{free_port()}")
    assert list(of_broker(load_config({}).config)) == []


async def test_tls_holds_the_broker_to_its_certificate(queues: Queues, tmp_path: Path) -> None:
    broker = queues.broker
    async with opened(tmp_path / "good", queues, amqp_url=broker.tls_url, amqp_ca=str(broker.authority)) as node:
        queues.send("told", b'{"words": "sealed"}')
        assert (await queues.reply())[1]["words"] == "sealed"
        assert complaints(node) == []
    strangers = {
        "unknown": {"amqp_url": broker.tls_url},
        "misnamed": {"amqp_url": broker.tls_url.replace("localhost", "127.0.0.1"), "amqp_ca": str(broker.authority)},
    }
    for name, settings in strangers.items():
        async with opened(tmp_path / name, queues, **settings) as node:
            [complaint] = await until(lambda: complaints(node))
            assert "CERTIFICATE_VERIFY_FAILED" in complaint
