"""What the spans are: an execution's way from its nominal time to the end of each attempt, as facts of its row.

Theory of operation. The spans of an execution are made of what the ledger says, after the commit: of an attempt whose process
died too, by the node that found it. Their ids are derived from those of the execution, so they need not be kept: every node
computes the same. Where an execution was asked for within a trace, it keeps the place (`Invocation.trace`) and belongs to that
trace; else it begins one.

    place of the asker, or nothing
    └── fire or enqueue: from the planned instant to the first start
        ├── run, attempt 1
        └── run, attempt 2: a retry, on whatever node
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from actors.model.execution import Attempt, Execution, Kind, WaitsFor
from actors.model.invocation import trace_of
from actors.model.lifecycle import State
from actors.model.task import Definition
from runtime.clock import SECOND, Instant, timestamp
from runtime.records import record
from runtime.traceparent import TraceContext, chosen, derived_span, derived_trace, read_traceparent

Attributes = Mapping[str, str | int | float | bool]

LONGEST: Final = 4_096
"""Characters of a text in a span: of a traceback its end."""

_FAILED: Final = {State.FAILED, State.TIMED_OUT, State.CRASHED}


@record
class Noted:
    """Something that happened in the course of a span."""

    name: str
    at: Instant
    attributes: Attributes


@record
class Span:
    """One span that has ended. `parent`: the id of the span above it. `error`: what went wrong, None if nothing did."""

    name: str
    kind: str
    context: TraceContext
    parent: str | None
    start: Instant
    end: Instant
    attributes: Attributes
    events: tuple[Noted, ...] = ()
    error: str | None = None


def place_of(execution: Execution, ratio: float) -> TraceContext:
    """The span of an execution as a whole, below which its attempts stand."""
    asker = read_traceparent(trace_of(execution.parameters))
    own = derived_span("execution", execution.id)
    if asker is not None:
        return TraceContext(asker.trace_id, own, asker.sampled)
    trace_id = derived_trace(execution.id)
    return TraceContext(trace_id, own, chosen(trace_id, ratio))


def place_of_attempt(execution: Execution, fence: int, ratio: float) -> TraceContext:
    """The span of one attempt."""
    above = place_of(execution, ratio)
    return TraceContext(above.trace_id, derived_span("attempt", execution.id, str(fence)), above.sampled)


def attempt_spans(definition: Definition, execution: Execution, attempt: Attempt, ratio: float) -> tuple[Span, ...]:
    """What there is to tell of an attempt that has ended; of the first one with the execution as a whole.

    execution: as it is since. ratio: of the traces that begin here.
    """
    above = place_of(execution, ratio)
    if not above.sampled:
        return ()
    facts = _facts(definition, execution)
    run = Span(
        f"run {definition.type}",
        "consumer",
        place_of_attempt(execution, attempt.fence, ratio),
        above.span_id,
        attempt.started_at,
        attempt.ended_at or attempt.started_at,
        facts | _attempt_facts(attempt),
        tuple(_events(execution, attempt)),
        _error(attempt),
    )
    return (_whole(definition, execution, attempt, above, facts), run) if attempt.number == 1 else (run,)


def _whole(
    definition: Definition,
    execution: Execution,
    first: Attempt,
    place: TraceContext,
    facts: dict[str, str | int | float | bool],
) -> Span:
    asker = read_traceparent(trace_of(execution.parameters))
    verb = "fire" if execution.kind is Kind.OCCURRENCE else "enqueue"
    start = min(_planned(execution), first.started_at)
    above = None if asker is None else asker.span_id
    own = facts | {"messaging.operation.type": "send"}
    return Span(f"{verb} {definition.type}", "producer", place, above, start, first.started_at, own)


def _facts(definition: Definition, execution: Execution) -> dict[str, str | int | float | bool]:
    found: dict[str, str | int | float | bool | None] = {
        "messaging.system": "tocsin",
        "messaging.destination.name": definition.type,
        "messaging.message.id": execution.id,
        "tocsin.task.id": definition.id,
        "tocsin.task.name": definition.name,
        "tocsin.task.type": definition.type,
        "tocsin.tenant": definition.tenant or None,
        "tocsin.execution.id": execution.id,
        "tocsin.channel": execution.channel,
        "tocsin.correlation": execution.correlation,
        "tocsin.nominal": None if execution.nominal is None else timestamp(execution.nominal),
        "tocsin.outcome": None if execution.outcome is None else execution.outcome.value,
    }
    if execution.nominal is not None and execution.first_started_at is not None:
        found["tocsin.lateness"] = (execution.first_started_at - _planned(execution)) / SECOND
    return {name: value for name, value in found.items() if value is not None}


def _attempt_facts(attempt: Attempt) -> dict[str, str | int | float | bool]:
    return {
        "messaging.operation.type": "process",
        "tocsin.attempt": attempt.number,
        "tocsin.fence": attempt.fence,
        "tocsin.node": attempt.node or "",
        "tocsin.state": attempt.state.value,
    }


def _events(execution: Execution, attempt: Attempt) -> list[Noted]:
    at, found = attempt.ended_at or attempt.started_at, []
    failure = attempt.failure
    if failure is not None and attempt.state in _FAILED:
        said: dict[str, str] = {"exception.type": failure.type, "exception.message": failure.message[:LONGEST]}
        if failure.traceback:
            said["exception.stacktrace"] = failure.traceback[-LONGEST:]
        found.append(Noted("exception", at, said))
    elif failure is not None:
        found.append(Noted("interrupted", at, {"tocsin.reason": failure.message[:LONGEST]}))
    elif attempt.state is State.CANCELLED and execution.cancel_reason:
        found.append(Noted("cancelled", at, {"tocsin.reason": execution.cancel_reason[:LONGEST]}))
    if execution.attempt == attempt.number and execution.waits_for is WaitsFor.RETRY and execution.due is not None:
        found.append(Noted("retry", at, {"tocsin.retry.at": timestamp(execution.due)}))
    return found


def _error(attempt: Attempt) -> str | None:
    if attempt.state not in _FAILED:
        return None
    failure = attempt.failure
    return attempt.state.value if failure is None else f"{failure.type}: {failure.message}"[:LONGEST]


def _planned(execution: Execution) -> Instant:
    """When it was due: inside the spread window, else the nominal time; of a run by hand when it was asked for."""
    chosen_one = execution.nominal if execution.assigned is None else execution.assigned
    return execution.created_at if chosen_one is None else chosen_one
