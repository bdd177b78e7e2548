"""The door to OpenTelemetry. Loaded only where traces are switched on, and then as soon as the node starts."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace.status import Status, StatusCode

from runtime.traceparent import TraceContext

from .spans_core import Noted, Span

_KINDS: Final = {
    "internal": trace.SpanKind.INTERNAL,
    "server": trace.SpanKind.SERVER,
    "client": trace.SpanKind.CLIENT,
    "producer": trace.SpanKind.PRODUCER,
    "consumer": trace.SpanKind.CONSUMER,
}

_NANOSECONDS: Final = 1_000
"""In a microsecond."""

# A collector that is away is told by a figure and the health, once; the library would tell it with every request.
logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)


class Exporter:
    """Sends spans to a collector. `said`: what the resource says of the node, by OpenTelemetry's names."""

    def __init__(self, sender: SpanExporter, said: Mapping[str, str], version: str) -> None:
        self._sender = sender
        self._resource = Resource(dict(said))
        self._scope = InstrumentationScope("tocsin", version)

    def export(self, spans: Sequence[Span]) -> bool:
        """Whether the collector has taken them. Blocks, up to the timeout of the sender."""
        readable = [self._readable(span) for span in spans]
        return self._sender.export(readable) is SpanExportResult.SUCCESS

    def close(self) -> None:
        """Interrupts an export that waits to try again."""
        self._sender.shutdown()

    @staticmethod
    @contextmanager
    def attached(context: TraceContext) -> Iterator[None]:
        """Inside, spans that the user's code makes stand below this one."""
        above = trace.NonRecordingSpan(_context(context.trace_id, context.span_id, context.sampled))
        token = otel_context.attach(trace.set_span_in_context(above))
        try:
            yield
        finally:
            otel_context.detach(token)

    def _readable(self, span: Span) -> ReadableSpan:
        place = span.context
        return ReadableSpan(
            span.name,
            _context(place.trace_id, place.span_id, place.sampled),
            None if span.parent is None else _context(place.trace_id, span.parent, place.sampled),
            self._resource,
            dict(span.attributes),
            [_event(one) for one in span.events],
            kind=_KINDS[span.kind],
            status=Status(StatusCode.UNSET) if span.error is None else Status(StatusCode.ERROR, span.error),
            start_time=span.start * _NANOSECONDS,
            end_time=max(span.start, span.end) * _NANOSECONDS,
            instrumentation_scope=self._scope,
        )


def otlp_sender(endpoint: str, *, headers: Mapping[str, str], ca: str, timeout: float) -> SpanExporter:
    """Sends to a collector that takes OTLP over HTTP. timeout: seconds for a request with its repetitions."""
    return OTLPSpanExporter(endpoint, ca or None, headers=dict(headers), timeout=timeout, compression=Compression.Gzip)


def _context(trace_id: str, span_id: str, sampled: bool) -> trace.SpanContext:
    flags = trace.TraceFlags(trace.TraceFlags.SAMPLED if sampled else trace.TraceFlags.DEFAULT)
    return trace.SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=flags)


def _event(noted: Noted) -> Event:
    return Event(noted.name, dict(noted.attributes), noted.at * _NANOSECONDS)
