"""Where in a trace what runs now stands: it follows trio's tasks and the threads that these start.

Nothing is ever there unless tracing is on. What goes out carries it (`outgoing`), and the lines of the log say it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from .log_context import logged_with
from .traceparent import HEADER, TraceContext

_CURRENT: Final[ContextVar[TraceContext | None]] = ContextVar("place in a trace", default=None)

_LIBRARY: Final = "opentelemetry.trace"


def current_trace() -> TraceContext | None:
    """Where what runs now stands; None where nothing is traced."""
    return _CURRENT.get()


@contextmanager
def within(context: TraceContext) -> Iterator[None]:
    """Inside, what is done stands below this span."""
    token = _CURRENT.set(context)
    try:
        with logged_with(lambda: {"trace_id": context.trace_id, "span_id": context.span_id}):
            yield
    finally:
        _CURRENT.reset(token)


def outgoing() -> dict[str, str]:
    """The header that a request carries from here: empty outside of any trace.

    Where the program itself makes spans with OpenTelemetry, its present one is what the request belongs to.
    """
    context = _of_the_library() or _CURRENT.get()
    return {} if context is None else {HEADER: context.header}


def _of_the_library() -> TraceContext | None:
    """The present span of a program that has loaded OpenTelemetry, which is never loaded for this."""
    library = sys.modules.get(_LIBRARY)
    if library is None:
        return None
    found = library.get_current_span().get_span_context()
    if not found.is_valid:
        return None
    return TraceContext(f"{found.trace_id:032x}", f"{found.span_id:016x}", bool(found.trace_flags.sampled))
