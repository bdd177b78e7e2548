"""Trace Context as the W3C has it."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.log_context import log_facts
from runtime.trace_context import current_trace, outgoing, within
from runtime.traceparent import TraceContext, chosen, derived_span, derived_trace, read_traceparent

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"00-{TRACE}-{SPAN}-01", TraceContext(TRACE, SPAN, True)),
        (f" 00-{TRACE}-{SPAN}-00 ", TraceContext(TRACE, SPAN, False)),
        (f"00-{TRACE}-{SPAN}-03", TraceContext(TRACE, SPAN, True)),
        (f"cc-{TRACE}-{SPAN}-01-what-comes-later", TraceContext(TRACE, SPAN, True)),
        (f"cc-{TRACE}-{SPAN}-01", TraceContext(TRACE, SPAN, True)),
        (None, None),
        ("", None),
        (f"ff-{TRACE}-{SPAN}-01", None),
        (f"00-{TRACE}-{SPAN}-01-more", None),
        (f"00-{TRACE.upper()}-{SPAN}-01", None),
        (f"00-{'0' * 32}-{SPAN}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE}-{SPAN}-0", None),
        (f"00-{TRACE}-{SPAN}", None),
        (f"cc-{TRACE}-{SPAN}-01-" + "x" * 1000, None),
    ],
)
def test_a_header_is_read_as_the_specification_has_it(text: str | None, found: TraceContext | None) -> None:
    assert read_traceparent(text) == found


@given(st.text(max_size=80))
def test_no_text_is_an_error(text: str) -> None:
    found = read_traceparent(text)
    assert found is None or read_traceparent(found.header) == found


def test_what_is_derived_is_the_same_everywhere_and_has_the_form() -> None:
    assert derived_trace("e1") == derived_trace("e1") != derived_trace("e2")
    assert derived_span("a", "b") != derived_span("ab") != derived_span("a", "b", "")
    assert read_traceparent(TraceContext(derived_trace("e1"), derived_span("e1")).header) is not None


def test_so_many_of_all_traces_are_chosen() -> None:
    ids = [derived_trace(str(number)) for number in range(4_000)]
    assert not any(chosen(one, 0.0) for one in ids) and all(chosen(one, 1.0) for one in ids)
    some = {one for one in ids if chosen(one, 0.1)}
    assert 300 < len(some) < 500
    assert some <= {one for one in ids if chosen(one, 0.2)}


def test_a_place_holds_inside_of_its_block_and_stands_in_the_log() -> None:
    assert current_trace() is None and outgoing() == {}
    outer, inner = TraceContext(TRACE, SPAN), TraceContext(TRACE, "a" * 16, False)
    with within(outer):
        with within(inner):
            assert outgoing() == {"traceparent": f"00-{TRACE}-{'a' * 16}-00"}
            assert log_facts() == {"trace_id": TRACE, "span_id": "a" * 16}
        assert current_trace() == outer
        assert log_facts()["span_id"] == SPAN
    assert current_trace() is None and log_facts() == {}


def test_the_span_of_the_users_program_goes_before(monkeypatch: pytest.MonkeyPatch) -> None:
    from opentelemetry import trace

    own = trace.NonRecordingSpan(trace.SpanContext(int(TRACE, 16), int(SPAN, 16), False, trace.TraceFlags(1)))
    with within(TraceContext("f" * 32, "e" * 16)):
        with trace.use_span(own):
            assert outgoing() == {"traceparent": f"00-{TRACE}-{SPAN}-01"}
        assert outgoing() == {"traceparent": f"00-{'f' * 32}-{'e' * 16}-01"}
        monkeypatch.delitem(sys.modules, "opentelemetry.trace")
        assert outgoing() == {"traceparent": f"00-{'f' * 32}-{'e' * 16}-01"}
