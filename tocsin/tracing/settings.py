"""The settings of traces. Unless they are switched on nothing of this room is loaded but these."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

import attrs

from runtime.clock import MILLISECOND, MINUTE, SECOND, Micros
from runtime.errors import InvalidRequest

from ..queue.settings import QueueSettings
from ..settings.setting_readers import about, optional, read_flag, read_text, span, whole

TRACES: Final = "tracing"
"""The tally of what became of spans, and the thread that sends them."""

ENDPOINT: Final = "http://127.0.0.1:4318/v1/traces"
"""Where a collector on this machine listens for OTLP over HTTP."""


def read_endpoint(value: object, field: str) -> str:
    """The whole URL to which spans are sent."""
    text = read_text(value, field)
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        good = False
    else:
        good = good and text.isascii() and not (parts.username or parts.password or parts.fragment)
    if not good:
        # A password in it would be shown: it belongs into the file of headers.
        raise InvalidRequest(
            f"{field}: a URL without user and password such as {ENDPOINT}, not {text.split('@')[-1]!r}"
        )
    return text


def read_ratio(value: object, field: str) -> float:
    """A number from 0 to 1."""
    try:
        found = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else -1.0
    except ValueError:
        found = -1.0
    if not 0 <= found <= 1:
        raise InvalidRequest(f"{field}: a number from 0 to 1, not {value!r}")
    return found


@attrs.frozen
class TracingSettings(QueueSettings):
    """See the module's docstring. `Config` adds those of any node."""

    tracing_enabled: bool = attrs.field(
        default=False,
        metadata=about(
            "tracing.enabled",
            read_flag,
            "true or false",
            "needs `pip install tocsin[otel]` and somebody who takes the spans",
        ),
    )
    tracing_endpoint: str = attrs.field(
        default=ENDPOINT,
        metadata=about(
            "tracing.endpoint",
            read_endpoint,
            "URL",
            "takes spans as OTLP over HTTP: a collector on this machine has them soonest",
        ),
    )
    tracing_headers_file: str = attrs.field(
        default="",
        metadata=about(
            "tracing.headers_file",
            optional(read_text),
            "file",
            "lines `Name: value`, sent with the spans: the key of a collector elsewhere, where nobody reads along",
        ),
    )
    tracing_ca: str = attrs.field(
        default="",
        metadata=about(
            "tracing.ca",
            optional(read_text),
            "file",
            "who signs the collector's certificate; empty: whom the system trusts",
        ),
    )
    tracing_service_name: str = attrs.field(
        default="tocsin",
        metadata=about(
            "tracing.service_name",
            read_text,
            "text",
            "under which the spans are found; the node's name stands beside it",
        ),
    )
    tracing_ratio: float = attrs.field(
        default=1.0,
        metadata=about(
            "tracing.ratio",
            read_ratio,
            "0 to 1",
            "so many of the traces that begin here are told of; where a request says whether its trace is, that holds",
        ),
    )
    tracing_queue: int = attrs.field(
        default=10_000,
        metadata=about(
            "tracing.queue",
            whole(100, 1_000_000),
            "spans",
            "that wait to be sent, some 10 MB; more are dropped and counted, and no run waits for a collector",
        ),
    )
    tracing_batch: int = attrs.field(
        default=500,
        metadata=about("tracing.batch", whole(1, 10_000), "spans", "sent in one request of some 300 kB"),
    )
    tracing_interval: Micros = attrs.field(
        default=Micros(2 * SECOND),
        metadata=about(
            "tracing.interval",
            span(Micros(100 * MILLISECOND), MINUTE),
            "duration",
            "spans are gathered for so long unless there are enough for a request: seen soon, and seldom sent one by one",
        ),
    )
    tracing_export_timeout: Micros = attrs.field(
        default=Micros(10 * SECOND),
        metadata=about(
            "tracing.export_timeout",
            span(Micros(100 * MILLISECOND), MINUTE),
            "duration",
            "for one request with its repetitions; what is not taken by then is dropped and counted",
        ),
    )
    tracing_last: Micros = attrs.field(
        default=Micros(3 * SECOND),
        metadata=about(
            "tracing.last",
            span(Micros(0), MINUTE),
            "duration",
            "for the last spans when the node stops: after drain.timeout, and well within what service managers wait",
        ),
    )
