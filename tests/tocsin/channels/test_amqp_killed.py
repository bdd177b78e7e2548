"""A node is killed between recording a message and acknowledging it: the message comes again, and nothing is run twice."""

from __future__ import annotations

import json
import time
from pathlib import Path

from tests.e2e.harness import NodeProcess
from tests.rabbitmq import RabbitMQ
from tests.tocsin.channels.test_amqp import HANG_SECONDS, Queues, queues
from tocsin.channels.amqp_core import EXECUTION, STATUS

__all__ = ["queues"]

TASKS = Path(__file__).with_name("amqp_tasks.py")


def test_a_message_outlives_the_node_that_took_it(queues: Queues, rabbitmq_server: RabbitMQ, tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    settings = {
        "TOCSIN_AMQP_URL": rabbitmq_server.url,
        "TOCSIN_AMQP_QUEUE": queues.asked,
        "TOCSIN_AMQP_TYPES": "counted",
        "STARTS": str(starts),
    }
    node = NodeProcess(tmp_path / "data", (str(TASKS),), settings)
    try:
        node.up(TOCSIN_FAILPOINTS="amqp:recorded").close()
        queues.send("counted", b'{"number": 7}', message_id="m-1", correlation_id="c-1")
        node.reap(HANG_SECONDS)
        assert node.exit_code == -9
        with node.up() as client:
            deadline = time.monotonic() + HANG_SECONDS
            while (found := queues.take(queues.replies)) is None:
                assert time.monotonic() < deadline, node.log()
                time.sleep(0.05)
            properties, body = found
            page = client.call("list_executions", task="invoke counted")
        assert (json.loads(body), properties.correlation_id) == (7, "c-1")
        [execution] = page["list"]
        assert properties.headers == {STATUS: "COMPLETED", EXECUTION: execution["id"]}
        assert node.terminate() == 0
    finally:
        if node.process is not None:
            node.kill()
    assert set(starts.read_text().split()) == {execution["id"]}
    assert queues.count(queues.asked) == 0
    assert rabbitmq_server.password not in node.log_path.read_text()
