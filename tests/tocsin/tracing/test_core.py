"""The spans of attempts as a function of what the ledger says, and how a place in a trace is kept."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.model.execution import Attempt, Execution, Failure, Kind, WaitsFor
from actors.model.invocation import Invocation, trace_of, traced, untraced, unwrapped, wrapped
from actors.model.lifecycle import State
from actors.model.occurrence import Outcome
from actors.model.task import Definition, Extra
from actors.model.trigger import Once
from runtime.clock import SECOND, Instant, Micros
from runtime.records import evolve
from runtime.traceparent import TraceContext
from tests.tocsin.tracing.kit import ABOVE, TRACE
from tocsin.tracing.spans_core import LONGEST, Span, attempt_spans, place_of, place_of_attempt
from tocsin.vocabulary.checks import parameters_text

T0 = Instant(1_767_225_600 * SECOND)
TASK = Definition(id="t1", name="nightly", type="work", trigger=Once(T0), tenant="sales", created_at=T0)

EXECUTION = Execution(
    "e1", "t1", Kind.OCCURRENCE, State.COMPLETED, Instant(T0 + 2), T0, Outcome.LATE,
    attempt=1, fence=7, first_started_at=Instant(T0 + 3 * SECOND), started_at=Instant(T0 + 3 * SECOND),
)  # fmt: skip


def ended(number: int = 1, state: State = State.COMPLETED, failure: Failure | None = None, fence: int = 7) -> Attempt:
    begin = Instant(T0 + 3 * number * SECOND)
    return Attempt("e1", number, fence, "n2", "b2", state, begin, Instant(begin + SECOND), failure)


def told(execution: Execution, attempt: Attempt, ratio: float = 1.0) -> list[Span]:
    return list(attempt_spans(TASK, execution, attempt, ratio))


def test_the_first_attempt_brings_the_execution_with_it() -> None:
    whole, run = told(EXECUTION, ended())
    assert (whole.name, whole.start, whole.end, whole.parent) == ("fire work", T0, T0 + 3 * SECOND, None)
    assert (run.name, run.parent, run.context.trace_id) == ("run work", whole.context.span_id, whole.context.trace_id)
    assert whole.attributes["tocsin.lateness"] == 3.0 and whole.attributes["tocsin.nominal"] == "2026-01-01T00:00:00Z"
    assert whole.attributes["tocsin.tenant"] == "sales" and "tocsin.correlation" not in whole.attributes
    assert run.attributes["tocsin.node"] == "n2" and run.attributes["tocsin.outcome"] == "late"
    assert (whole.context, run.context) == (place_of(EXECUTION, 1.0), place_of_attempt(EXECUTION, 7, 1.0))


def test_the_next_attempt_is_beside_the_first() -> None:
    [run] = told(evolve(EXECUTION, attempt=2, fence=9), ended(2, fence=9))
    [whole, first] = told(EXECUTION, ended())
    assert (run.parent, run.context.trace_id) == (first.parent, first.context.trace_id)
    assert run.context.span_id not in (whole.context.span_id, first.context.span_id)


def test_a_run_within_a_trace_belongs_to_it() -> None:
    asked = evolve(EXECUTION, kind=Kind.MANUAL, nominal=None, outcome=None, parameters=traced(None, ABOVE))
    whole, run = told(asked, ended(), ratio=0.0)
    assert (whole.name, whole.parent, whole.context.trace_id) == ("enqueue work", "b7ad6b7169203331", TRACE)
    assert whole.start == asked.created_at and "tocsin.lateness" not in whole.attributes
    assert run.context.trace_id == TRACE
    assert told(evolve(asked, parameters=traced(None, ABOVE[:-1] + "0")), ended(), ratio=1.0) == []


@pytest.mark.parametrize(
    ("state", "failure", "error", "events"),
    [
        (State.COMPLETED, None, None, []),
        (State.FAILED, Failure("ValueError", "x"), "ValueError: x", ["exception"]),
        (State.TIMED_OUT, Failure("TimedOut", "5 s"), "TimedOut: 5 s", ["exception"]),
        (State.CRASHED, Failure("NodeCrashed", "died"), "NodeCrashed: died", ["exception"]),
        (State.FAILED, None, "FAILED", []),
        (State.CANCELLED, Failure("Interrupted", "drain"), None, ["interrupted"]),
        (State.CANCELLED, None, None, ["cancelled"]),
    ],
)  # fmt: skip
def test_what_went_wrong_is_an_error_and_what_was_interrupted_is_none(
    state: State, failure: Failure | None, error: str | None, events: list[str]
) -> None:
    run = told(evolve(EXECUTION, state=state, cancel_reason="enough"), ended(state=state, failure=failure))[-1]
    assert run.error == error
    assert [event.name for event in run.events] == events


def test_a_retry_is_told_with_its_instant_while_it_waits() -> None:
    waiting = evolve(EXECUTION, state=State.WAITING, waits_for=WaitsFor.RETRY, due=Instant(T0 + 64 * SECOND + 500_000))
    run = told(waiting, ended(state=State.FAILED, failure=Failure("E", "m")))[-1]
    assert run.events[-1].attributes == {"tocsin.retry.at": "2026-01-01T00:01:04.500Z"}
    begun = evolve(waiting, attempt=2, fence=8, waits_for=None, due=None, state=State.RUNNING)
    assert [one.name for one in told(begun, ended(state=State.FAILED))[-1].events] == []


def test_texts_are_bounded() -> None:
    failure = Failure("E", "m" * 99_999, "t" * 99_999 + "the end")
    run = told(EXECUTION, ended(state=State.FAILED, failure=failure))[-1]
    assert run.error is not None and len(run.error) == LONGEST
    [event] = run.events
    assert len(str(event.attributes["exception.message"])) == LONGEST
    assert str(event.attributes["exception.stacktrace"]).endswith("the end")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(width=32, allow_nan=False, allow_infinity=False)
    | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(st.none() | st.dictionaries(st.text(max_size=5), VALUES, max_size=3), st.booleans(), st.integers(0, 3))
def test_a_place_is_kept_beside_what_was_asked_for(given: dict[str, Any] | None, extra: bool, depth: int) -> None:
    parameters = None if given is None else parameters_text(given)
    asked = Invocation(parameters, Extra(b"\x00x", "a/b") if extra else None, Micros(5) if depth else None, depth)
    text = wrapped(asked)
    kept = traced(text, ABOVE)
    assert (trace_of(text), trace_of(kept)) == (None, ABOVE)
    assert untraced(kept) == text == untraced(text), "asked for again, it is the same"
    assert unwrapped(kept) == attrs.evolve(unwrapped(text), trace=ABOVE)
    if parameters is not None:
        assert json.loads(unwrapped(kept).parameters or "") == json.loads(parameters)


def test_a_place_that_is_none_begins_a_trace() -> None:
    strange = evolve(EXECUTION, parameters=traced(None, "nonsense"))
    assert place_of(strange, 1.0) == place_of(EXECUTION, 1.0)
    assert isinstance(place_of(strange, 1.0), TraceContext)
