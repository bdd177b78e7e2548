"""What a real node tells of requests, runs and what follows them."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode

from actors.handling.catalogue import Catalogue, task_type
from actors.handling.context import Context, SyncContext
from actors.model.policy import Policies, Retry
from runtime.clock import SECOND, Micros
from runtime.trace_context import outgoing
from runtime.traceparent import derived_trace
from tests.tocsin.tracing.kit import (
    ABOVE,
    TRACE,
    Spans,
    ask,
    node,
    parent_id,
    serving,
    settings,
    span_id,
    spans,
    trace_id,
)
from tocsin.live.logs import JsonFormatter

__all__ = ["spans"]

logger = logging.getLogger("of.the.user")

BUSY = Policies(retry=Retry(max_retries=1, delay=Micros(SECOND // 10)))


async def seen(ctx: Context) -> dict[str, str]:
    """What a handler would hand on, and what its library sees."""
    logger.warning("from within")
    own = trace.get_current_span().get_span_context()
    return {**outgoing(), "library": f"{own.span_id:016x}"}


def threaded(ctx: SyncContext) -> dict[str, str]:
    """The same in a thread."""
    return outgoing()


async def twice(ctx: Context) -> int:
    """Fails the first time."""
    if ctx.attempt == 1:
        raise ValueError("not yet")
    return ctx.attempt


async def caller(ctx: Context) -> Any:
    """Runs another task."""
    return await ctx.invoke("seen")


TYPES = Catalogue(
    [task_type(one.__name__, one) for one in (seen, threaded, caller)] + [task_type("twice", twice, policies=BUSY)]
)


async def test_a_request_and_what_it_runs_are_one_trace(tmp_path: Path, spans: Spans) -> None:
    async with serving(tmp_path, TYPES) as found:
        token = (tmp_path / "token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}", "traceparent": ABOVE, "X-Request-Id": "r-1"}
        async with httpx.AsyncClient(base_url=found.url, headers=headers) as client:
            answer = await client.post("/api/services/seen?wait=20s", json={})
        [request] = await spans.named("POST /api/services/{taskType}")
        [enqueued], [run] = await spans.named("enqueue seen"), await spans.named("run seen")
    assert {trace_id(one) for one in (request, enqueued, run)} == {TRACE}
    assert [parent_id(one) for one in (request, enqueued, run)] == [
        "b7ad6b7169203331",
        span_id(request),
        span_id(enqueued),
    ]
    assert [one.kind for one in (request, enqueued, run)] == [SpanKind.SERVER, SpanKind.PRODUCER, SpanKind.CONSUMER]
    assert request.attributes == {
        "http.request.method": "POST",
        "http.route": "/api/services/{taskType}",
        "http.response.status_code": 200,
        "url.path": "/api/services/seen",
        "url.scheme": "http",
        "tocsin.request.id": "r-1",
    }
    execution = answer.json()
    # The handler stands below its attempt, for what it sends and for the spans of its own.
    assert execution["result"] == {"traceparent": f"00-{TRACE}-{span_id(run)}-01", "library": span_id(run)}
    assert execution["parameters"] == {}
    assert run.attributes is not None
    told = {name: run.attributes[name] for name in run.attributes if name.startswith("tocsin.")}
    assert told.pop("tocsin.task.id") and told.pop("tocsin.fence") == 1
    assert told == {
        "tocsin.task.name": "invoke seen",
        "tocsin.task.type": "seen",
        "tocsin.execution.id": execution["id"],
        "tocsin.attempt": 1,
        "tocsin.node": "node-1",
        "tocsin.state": "COMPLETED",
        "tocsin.channel": "rest",
    }
    assert run.start_time < run.end_time and request.start_time <= enqueued.start_time
    assert run.resource.attributes["service.name"] == "tocsin"
    assert run.resource.attributes["service.instance.id"] == "node-1"


async def test_without_a_trace_above_the_request_begins_one(tmp_path: Path, spans: Spans) -> None:
    async with serving(tmp_path, TYPES) as found:
        await ask(found, "invoke", taskType="threaded", wait="20s")
        execution = await ask(found, "run_task", task="invoke threaded", body={"executionId": None})
        [invoked] = await spans.named("POST /api/services/{taskType}")
        [ran] = await spans.named("POST /api/tasks/{task}/run")
        runs = await spans.named("run threaded", 2)
        assert await ask(found, "find_task", reference="invoke threaded")
    assert [trace_id(one) for one in runs] == [trace_id(invoked), trace_id(ran)]
    assert trace_id(invoked) != trace_id(ran) and invoked.parent is None
    assert execution["parameters"] is None, "the place in a trace is nobody's parameter"
    names = {one.name for one in spans.all()}
    assert "GET /api/health/live" not in names and "GET /api/task" in names, names


async def test_refused_requests_are_told_too(tmp_path: Path, spans: Spans) -> None:
    async with serving(tmp_path, TYPES) as found, httpx.AsyncClient(base_url=found.url) as client:
        await client.get("/api/tasks")
        await client.request("BREW", "/nowhere/at/all")
        [refused] = await spans.named("GET /api/tasks")
        strange = await spans.until(lambda found: [one for one in found if one.name == "HTTP"])
    assert refused.attributes is not None and refused.attributes["http.response.status_code"] == 401
    assert refused.status.status_code is StatusCode.UNSET, "who shows no token is at fault, not the node"
    assert strange[0].attributes["http.request.method"] == "HTTP"


async def test_a_retry_is_in_the_trace_of_the_request(tmp_path: Path, spans: Spans) -> None:
    async with node(tmp_path, TYPES) as found:
        await found.once("0s", "twice", name="nightly")
        first, second = await spans.named("run twice", 2)
        [fired] = await spans.named("fire twice")
    assert parent_id(first) == parent_id(second) == span_id(fired) and fired.parent is None
    assert span_id(first) != span_id(second) and trace_id(first) == trace_id(second) == trace_id(fired)
    facts = first.attributes
    assert facts is not None and trace_id(first) == derived_trace(str(facts["tocsin.execution.id"]))
    assert (facts["tocsin.attempt"], facts["tocsin.state"], facts["tocsin.outcome"]) == (1, "FAILED", "fired")
    assert isinstance(facts["tocsin.lateness"], float) and str(facts["tocsin.nominal"]).endswith("Z")
    assert first.status.status_code is StatusCode.ERROR and first.status.description == "ValueError: not yet"
    raised, retried = first.events
    assert (raised.name, retried.name) == ("exception", "retry")
    assert raised.attributes is not None and "raise ValueError" in str(raised.attributes["exception.stacktrace"])
    assert retried.attributes is not None and str(retried.attributes["tocsin.retry.at"]).endswith("Z")
    assert second.attributes is not None and second.attributes["tocsin.state"] == "COMPLETED"
    assert second.status.status_code is StatusCode.UNSET and not second.events


async def test_what_a_handler_invokes_stands_below_its_attempt(tmp_path: Path, spans: Spans) -> None:
    async with node(tmp_path, TYPES) as found:
        await found.once("0s", "caller", name="c")
        [run] = await spans.named("run caller")
        [enqueued] = await spans.named("enqueue seen")
        [inner] = await spans.named("run seen")
    assert parent_id(enqueued) == span_id(run) and parent_id(inner) == span_id(enqueued)
    assert trace_id(inner) == trace_id(run)


async def test_an_interrupted_attempt_is_no_error(tmp_path: Path, spans: Spans) -> None:
    begun = trio.Event()

    async def endless(ctx: Context) -> None:
        begun.set()
        await trio.sleep_forever()

    async with node(tmp_path, Catalogue([task_type("endless", endless, source="")])) as found:
        await found.once("0s", "endless", name="e")
        await begun.wait()
        assert not [one for one in spans.all() if one.name == "run endless"]
    # The node drained, and told of it with its last spans.
    [run] = await spans.named("run endless")
    assert run.status.status_code is StatusCode.UNSET
    assert [event.name for event in run.events] == ["interrupted"]


async def test_the_log_says_where_in_a_trace_it_was_written(
    tmp_path: Path, spans: Spans, caplog: pytest.LogCaptureFixture
) -> None:
    lines: list[str] = []

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(JsonFormatter().format(record))

    handler = Lines()
    logger.addHandler(handler)
    try:
        async with node(tmp_path, TYPES) as found:
            await found.once("0s", "seen", name="s")
            [run] = await spans.named("run seen")
    finally:
        logger.removeHandler(handler)
    [line] = [json.loads(line) for line in lines]
    assert (line["trace_id"], line["span_id"]) == (trace_id(run), span_id(run))
    assert line["execution"] == (run.attributes or {})["tocsin.execution.id"]


async def test_a_trace_that_is_not_chosen_is_handed_on_and_not_told(tmp_path: Path, spans: Spans) -> None:
    async with serving(tmp_path, TYPES, **{"tracing.ratio": 0}) as found:
        quiet = await ask(found, "invoke", taskType="seen", wait="20s")
        assert quiet["result"]["traceparent"].endswith("-00")
        token = (tmp_path / "token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}", "traceparent": ABOVE}
        async with httpx.AsyncClient(base_url=found.url, headers=headers) as client:
            await client.post("/api/services/seen?wait=20s", json={})
        await spans.named("run seen")
    assert {trace_id(one) for one in spans.all()} == {TRACE}, "who asks says whether his trace is told of"
    assert settings(tmp_path)["tracing.enabled"] is True


async def test_the_same_request_again_is_the_same_whatever_trace_it_comes_from(tmp_path: Path, spans: Spans) -> None:
    async with serving(tmp_path, TYPES) as found:
        token = (tmp_path / "token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "k-1"}
        async with httpx.AsyncClient(base_url=found.url, headers=headers) as client:
            answers = [
                await client.post("/api/services/seen?wait=20s", json={"timeout": "30s"}, headers=more)
                for more in ({"traceparent": ABOVE}, {"traceparent": ABOVE.replace("b7ad", "0000")}, {})
            ]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert len({answer.json()["id"] for answer in answers}) == 1
