"""Traces of a node while it runs, if they are switched on. Off, neither what makes them nor the library is loaded."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final

import trio

from runtime.clock import SECOND
from runtime.errors import InvalidRequest
from runtime.world import World

if TYPE_CHECKING:
    from ..settings.config import Config
    from .otel import Exporter
    from .tracer import NodeTracer

_LONGEST_HEADERS: Final = 16_384
"""Bytes of the file of headers."""


@asynccontextmanager
async def open_tracing(config: Config, world: World) -> AsyncIterator[NodeTracer | None]:
    """What makes traces of a node while the block runs, None unless it is switched on. The last spans have `tracing.last`.

    Raises InvalidRequest if the library for it is not installed, and for a file that cannot be used.
    """
    if not config.tracing_enabled:
        yield None
        return
    exporter = _exporter(config)
    from .tracer import NodeTracer

    tracer = NodeTracer(config, exporter, world)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tracer.run)
        try:
            yield tracer
        finally:
            with trio.move_on_after(config.tracing_last / SECOND, shield=True):
                await tracer.send()
            tracer.close()
            nursery.cancel_scope.cancel()


def _exporter(config: Config) -> Exporter:
    headers = read_headers(config.tracing_headers_file)
    if config.tracing_ca and not Path(config.tracing_ca).is_file():
        raise InvalidRequest(f"tracing.ca: there is no file {config.tracing_ca!r}")
    try:
        from . import otel
    except ImportError:
        raise InvalidRequest("tracing.enabled: the library for it is missing: pip install 'tocsin[otel]'") from None
    sender = otel.otlp_sender(
        config.tracing_endpoint,
        headers=headers,
        ca=config.tracing_ca,
        timeout=config.tracing_export_timeout / SECOND,
    )
    version = metadata.version("tocsin")
    said = {"service.name": config.tracing_service_name, "service.version": version, "service.instance.id": config.name}
    return otel.Exporter(sender, said, version)


def read_headers(file: str) -> dict[str, str]:
    """The headers of a file, one in each line. Raises InvalidRequest, which shows none of them."""
    if not file:
        return {}
    try:
        text = Path(file).read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        raise InvalidRequest(f"tracing.headers_file: cannot read {file!r}: {error}") from None
    lines = [line for line in text[:_LONGEST_HEADERS].splitlines() if line.strip()]
    pairs = [line.partition(":") for line in lines]
    if wrong := next(
        (number for number, (name, colon, value) in enumerate(pairs, 1) if not (colon and value.strip())), 0
    ):
        raise InvalidRequest(f"tracing.headers_file: line {wrong} of {file!r} is not `Name: value`")
    return {name.strip(): value.strip() for name, _, value in pairs}
