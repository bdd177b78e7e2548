"""The place of something in a trace, as W3C Trace Context writes it: `00-TRACE_ID-SPAN_ID-FLAGS`.

Ids are texts of hexadecimal digits, 32 for a trace and 16 for a span. Those of things that have an id of their own are derived
from it (`derived_trace`, `derived_span`): every node computes the same ones, at any time, and nobody has to keep them.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

from .records import record

HEADER: Final = "traceparent"
"""Of requests and messages."""

_FORM: Final = re.compile("([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")

_SAMPLED: Final = 1

_LOW: Final = 1 << 64
"""What chance is taken from: by Trace Context the right half of a trace's id is random."""


@record
class TraceContext:
    """One span of one trace. `sampled`: whether it is told of; all spans of a trace go by the first one's."""

    trace_id: str
    span_id: str
    sampled: bool = True

    @property
    def header(self) -> str:
        """As requests carry it."""
        return f"00-{self.trace_id}-{self.span_id}-{int(self.sampled):02x}"


def read_traceparent(text: str | None) -> TraceContext | None:
    """What a header says. None for none, and for what is none: a new trace begins then, and nothing is refused."""
    found = None if text is None or len(text) > 512 else _FORM.fullmatch(text.strip())
    if found is None:
        return None
    version, trace_id, span_id, flags, rest = found.groups()
    nothing = not trace_id.strip("0") or not span_id.strip("0")
    if nothing or version == "ff" or (version == "00" and rest is not None):
        return None
    return TraceContext(trace_id, span_id, bool(int(flags, 16) & _SAMPLED))


def derived_trace(*names: str) -> str:
    """The id of the trace that begins with what has these names."""
    return _digest(names, 16)


def derived_span(*names: str) -> str:
    """The id of the span of what has these names."""
    return _digest(names, 8)


def chosen(trace_id: str, ratio: float) -> bool:
    """Whether a trace that begins here is told of: so many of all, the same ones on every node."""
    return int(trace_id[16:], 16) < ratio * _LOW


def _digest(names: tuple[str, ...], size: int) -> str:
    return hashlib.blake2b("\0".join(names).encode(errors="surrogatepass"), digest_size=size).hexdigest()
