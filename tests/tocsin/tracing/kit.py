"""A node with its interface whose spans are taken up in memory, and a collector that is nothing but a server of HTTP."""

from __future__ import annotations

import gzip
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from actors.handling.catalogue import Catalogue
from tocsin.client import Client
from tocsin.node import open_configured, single_error
from tocsin.serving import Serving, open_serving
from tocsin.settings.config import load_config
from tocsin.tracing import otel

HANG_SECONDS = 60.0

ABOVE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
"""The example of the specification."""

TRACE = "0af7651916cd43dd8448eb211c80319c"


async def until(look: Callable[[], Any]) -> Any:
    """What it answers, once that is something."""
    with trio.fail_after(HANG_SECONDS):
        while True:
            if answer := look():
                return answer
            await trio.sleep(0.02)


@attrs.define
class Spans:
    """What was sent."""

    exporter: InMemorySpanExporter = attrs.field(factory=InMemorySpanExporter)

    def all(self) -> tuple[ReadableSpan, ...]:
        return self.exporter.get_finished_spans()

    def of(self, trace_id: str) -> list[ReadableSpan]:
        return [one for one in self.all() if f"{one.context.trace_id:032x}" == trace_id]

    async def until(self, found: Callable[[tuple[ReadableSpan, ...]], Any]) -> Any:
        """What it answers about the spans that there are, once that is something."""
        return await until(lambda: found(self.all()))

    async def named(self, name: str, count: int = 1) -> list[ReadableSpan]:
        """So many spans of this name, in order of their starts."""

        def look(spans: tuple[ReadableSpan, ...]) -> list[ReadableSpan]:
            found = [one for one in spans if one.name == name]
            return found if len(found) >= count else []

        found = await self.until(look)
        assert len(found) == count, [one.name for one in self.all()]
        return sorted(found, key=lambda one: one.start_time)


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Spans:
    """Where spans go instead of to a collector."""
    found = Spans()
    monkeypatch.setattr(otel, "otlp_sender", lambda *_, **__: found.exporter)
    return found


def settings(data: Path, **more: Any) -> dict[str, Any]:
    given = {"data": data, "listen": "127.0.0.1:0", "tracing.enabled": True, "tracing.interval": "100ms"}
    return {**given, "store.synchronous": "NORMAL", "drain.timeout": "0s", **more}


@asynccontextmanager
async def serving(data: Path, catalogue: Catalogue, **more: Any) -> AsyncIterator[Serving]:
    """A node with its interface."""
    config = load_config({}, None, settings(data, **more)).config
    with single_error():
        async with open_serving(config, catalogue) as found:
            yield found


@asynccontextmanager
async def node(data: Path, catalogue: Catalogue, **more: Any) -> AsyncIterator[Any]:
    """A node without one."""
    config = load_config({}, None, settings(data, **more)).config
    with single_error():
        async with open_configured(config, catalogue) as found:
            yield found


async def ask(serving: Serving, operation: str, **arguments: Any) -> Any:
    """What the client of Python answers, in a thread as a user's program has it."""

    def call() -> Any:
        with Client(data=serving.data) as client:
            return client.call(operation, **arguments)

    return await trio.to_thread.run_sync(call)


def span_id(span: ReadableSpan) -> str:
    return f"{span.context.span_id:016x}"


def parent_id(span: ReadableSpan) -> str | None:
    return None if span.parent is None else f"{span.parent.span_id:016x}"


def trace_id(span: ReadableSpan) -> str:
    return f"{span.context.trace_id:032x}"


@attrs.define
class Collector:
    """`status` is what it answers; `requests` the paths and headers that came, with the bytes as they were meant."""

    url: str
    status: int = 200
    requests: list[tuple[str, dict[str, str], bytes]] = attrs.field(factory=list)

    def spans(self) -> list[Any]:
        """The spans that it was sent."""
        found = []
        for _, _, body in self.requests:
            request = ExportTraceServiceRequest.FromString(body)
            found += [span for one in request.resource_spans for scope in one.scope_spans for span in scope.spans]
        return found


@contextmanager
def collector() -> Iterator[Collector]:
    """Takes OTLP over HTTP, on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            found.requests.append((self.path, {key.lower(): value for key, value in self.headers.items()}, body))
            self.send_response(found.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Collector(f"http://127.0.0.1:{server.server_address[1]}/v1/traces")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
