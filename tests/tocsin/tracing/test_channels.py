"""Traces that come in over the other channels, and that go out with what a node sends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import trio
from trio_websocket import connect_websocket_url

from actors.handling.catalogue import Catalogue, task_type
from actors.handling.context import Context
from actors.model.policy import Policies, Retry
from runtime.trace_context import outgoing, within
from runtime.traceparent import read_traceparent
from tests.tocsin.channels.test_amqp import Queues, queues
from tests.tocsin.test_webhook import Receiver, receiver
from tests.tocsin.tracing.kit import ABOVE, TRACE, Spans, ask, node, parent_id, serving, span_id, spans, trace_id
from tocsin.clients.trio_client import Client as TrioClient
from tocsin.loading import load_catalogue

__all__ = ["queues", "receiver", "spans"]

OUTSIDE = {"webhooks.allowed": ["127.0.0.0/8"], "http.allowed": ["127.0.0.0/8"]}


async def told(ctx: Context) -> dict[str, str]:
    """What it would hand on."""
    return outgoing()


async def broken(ctx: Context) -> None:
    """Fails."""
    raise ValueError("boom")


TYPES = Catalogue([task_type("told", told), task_type("broken", broken, policies=Policies(retry=Retry(max_retries=0)))])


async def test_a_message_of_a_broker(queues: Queues, tmp_path: Path, spans: Spans) -> None:
    broker = {"amqp.url": queues.broker.url, "amqp.queue": queues.asked, "amqp.types": "told"}
    async with node(tmp_path, TYPES, **broker):
        queues.send("told", message_id="m-1", headers={"traceparent": ABOVE})
        queues.send("told", message_id="m-2", headers={"traceparent": 7})
        replies = [await queues.reply(), await queues.reply()]
        runs = await spans.named("run told", 2)
        processed = await spans.named(f"process {queues.asked}", 2)
    results = {properties.correlation_id: result for properties, result in replies}
    [run] = [one for one in runs if trace_id(one) == TRACE]
    [process] = [one for one in processed if trace_id(one) == TRACE]
    assert results["m-1"]["traceparent"] == f"00-{TRACE}-{span_id(run)}-01"
    assert parent_id(process) == "b7ad6b7169203331" and process.attributes is not None
    assert process.attributes["messaging.message.id"] == "m-1"
    [enqueued] = [one for one in spans.of(TRACE) if one.name == "enqueue told"]
    assert (parent_id(enqueued), parent_id(run)) == (span_id(process), span_id(enqueued))
    [other] = [one for one in processed if one is not process]
    assert other.parent is None, "a header that is none begins a trace"


async def test_a_websocket(tmp_path: Path, spans: Spans) -> None:
    async with serving(tmp_path, TYPES) as found, trio.open_nursery() as nursery:
        headers = [(b"authorization", b"Bearer " + (tmp_path / "token").read_text().strip().encode())]
        socket = await connect_websocket_url(
            nursery, found.url.replace("http", "ws") + "/api/ws", extra_headers=headers
        )
        await socket.send_message(json.dumps({"type": "invoke", "id": "1", "taskType": "told", "traceparent": ABOVE}))
        while (answer := json.loads(await socket.get_message()))["type"] != "result":
            continue
        await socket.aclose()
        [invoked] = await spans.named("invoke told")
        [run] = await spans.named("run told")
        nursery.cancel_scope.cancel()
    assert (trace_id(invoked), parent_id(invoked)) == (TRACE, "b7ad6b7169203331")
    assert answer["result"]["traceparent"] == f"00-{TRACE}-{span_id(run)}-01"


async def test_the_client_of_a_program_that_is_in_a_trace(tmp_path: Path, spans: Spans) -> None:
    above = read_traceparent(ABOVE)
    assert above is not None
    async with serving(tmp_path, TYPES) as found:
        with within(above):
            await ask(found, "invoke", taskType="told", wait="20s")
            async with TrioClient(data=found.data) as client:
                await client.call("invoke", taskType="told", wait="20s")
        requests = await spans.named("POST /api/services/{taskType}", 2)
    assert [(trace_id(one), parent_id(one)) for one in requests] == [(TRACE, "b7ad6b7169203331")] * 2


async def test_a_webhook_and_a_run_that_follow_an_outcome(tmp_path: Path, spans: Spans, receiver: Receiver) -> None:
    actions: list[dict[str, Any]] = [{"kind": "webhook", "url": receiver.url}, {"kind": "run_task", "task": "after"}]
    async with node(tmp_path, TYPES, **OUTSIDE) as found:
        await found.new_task("told").named("after").after("1d").schedule()
        await found.new_task("broken").named("b").after("1d").on_event("alarm", *actions).schedule()
        above = read_traceparent(ABOVE)
        assert above is not None
        with within(above):
            await found.run("b")
        [run] = await spans.named("run broken")
        [hook], [ran] = await spans.named("deliver webhook"), await spans.named("deliver runtask")
        [after] = await spans.named("enqueue told")
    assert {trace_id(one) for one in (run, hook, ran, after)} == {TRACE}
    assert parent_id(hook) == parent_id(ran) == span_id(run) and parent_id(after) == span_id(ran)
    [(_, headers, _)] = receiver.requests
    assert {name.lower(): value for name, value in headers.items()}["traceparent"] == f"00-{TRACE}-{span_id(hook)}-01"


@pytest.mark.parametrize("own", [{}, {"Traceparent": "mine"}])
async def test_a_request_of_the_built_in_type(
    tmp_path: Path, spans: Spans, receiver: Receiver, own: dict[str, str]
) -> None:
    catalogue = load_catalogue((), reachable=["127.0.0.0/8"])
    async with node(tmp_path, catalogue, **OUTSIDE) as found:
        await found.once("0s", "http", name="h", method="POST", url=receiver.url, headers=own)
        [run] = await spans.named("run http")
        assert run.status.description is None
    [(_, headers, _)] = receiver.requests
    sent = [value for name, value in headers.items() if name.lower() == "traceparent"]
    assert sent == ([own["Traceparent"]] if own else [f"00-{trace_id(run)}-{span_id(run)}-01"])
