"""Who follows an outcome: the outbox's entries for what has become of an execution or of slots that did not run.

One entry for each event trigger that looks at such an outcome. Its payload holds everything that the condition and the actions
see, as it was in the commit of the outcome: an execution may be retried, and a task edited, before the herald comes to it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, Final

from runtime.clock import SECOND, Instant, timestamp

from ..model.event import EventTrigger, On, event_document
from ..model.execution import Execution, Kind
from ..model.invocation import unwrapped
from ..model.lifecycle import OPEN_STATES, State
from ..model.occurrence import Outcome, Settled
from ..model.task import Definition, TaskState
from ..store.port import OutboxEntry

MAX_INLINE: Final = 64 * 1024
"""Characters of a result or of parameters that an entry carries; what is larger is read from the store when it is needed."""

_NOT_RUN: Final = frozenset({Outcome.COALESCED, Outcome.MISSED, Outcome.SKIPPED})

NO_FAILURE: Final = {"type": "", "message": ""}
"""What conditions see where nothing failed, so that they need not ask whether something did."""


def ended_with(execution: Execution) -> frozenset[On]:
    """What event triggers may look for in an execution; empty while it is open."""
    if execution.state in OPEN_STATES:
        return frozenset()
    if execution.outcome in _NOT_RUN:
        return frozenset({On(execution.state.value), On(execution.outcome.value)})
    return frozenset({On(execution.state.value)})


def of_execution(
    definition: Definition,
    state: TaskState,
    execution: Execution,
    former: Execution | None,
    result: str | None,
    new_id: Callable[[], str],
    now: Instant,
) -> list[OutboxEntry]:
    """The entries for an execution as it was committed. `former`: as the store had it, None for a new one.

    Empty if it has not ended, or had ended in the same attempt before.
    """
    ends = ended_with(execution)
    if not ends or (former is not None and _same_end(former, execution)):
        return []
    facts = _execution_facts(execution)
    given = unwrapped(execution.parameters).parameters
    texts = {"result": result, "input": definition.parameters if given is None else given}
    return _entries(definition, state, ends, facts, texts, execution.id, execution.fence, new_id, now)


def of_settled(
    definition: Definition, state: TaskState, row: Settled, new_id: Callable[[], str], now: Instant
) -> list[OutboxEntry]:
    """The entries for slots that did not run."""
    if row.outcome not in _NOT_RUN:
        return []
    facts = _settled_facts(row)
    texts = {"result": None, "input": definition.parameters}
    return _entries(definition, state, frozenset({On(row.outcome.value)}), facts, texts, None, 0, new_id, now)


def _same_end(former: Execution, execution: Execution) -> bool:
    return former.state is execution.state and former.fence == execution.fence


def _entries(
    definition: Definition,
    state: TaskState,
    ends: frozenset[On],
    execution: dict[str, Any],
    texts: dict[str, str | None],
    execution_id: str | None,
    fence: int,
    new_id: Callable[[], str],
    now: Instant,
) -> list[OutboxEntry]:
    followed = [event for event in definition.events if not ends.isdisjoint(event.on)]
    if not followed:
        return []
    body = {
        "execution": execution,
        "task": task_facts(definition),
        "counts": {"completed": state.completed, "failed": state.failed},
        "fence": fence,
    }
    tail = _tail(json.dumps(body), texts)
    return [
        OutboxEntry(new_id(), definition.id, execution_id, event.name, now, now, f'{{"event":{_document(event)},{tail}')
        for event in followed
    ]


def _document(event: EventTrigger) -> str:
    return json.dumps(event_document(event))


def _tail(body: str, texts: dict[str, str | None]) -> str:
    """The rest of a payload. Texts are JSON already and are put in as they are."""
    parts = [body[1:-1]]
    for name, text in texts.items():
        if text is None:
            parts.append(f'"{name}":null')
        elif len(text) <= MAX_INLINE:
            parts.append(f'"{name}":{text}')
    return ",".join(parts) + "}"


def task_facts(definition: Definition) -> dict[str, Any]:
    """What conditions and messages see of a task."""
    return {
        "id": definition.id,
        "name": definition.name,
        "type": definition.type,
        "tags": list(definition.tags),
        "labels": dict(definition.labels),
        "owner": definition.owner,
        "tenant": definition.tenant,
    }


def _execution_facts(execution: Execution) -> dict[str, Any]:
    failure = execution.failure
    return {
        "id": execution.id,
        "kind": execution.kind.value,
        "state": execution.state.value,
        "outcome": execution.outcome and execution.outcome.value,
        "reason": execution.reason and execution.reason.value,
        "attempt": execution.attempt,
        "failures": execution.failures,
        "duration": _seconds(execution.started_at, execution.ended_at),
        "lateness": _seconds(execution.nominal, execution.first_started_at),
        "failure": {"type": failure.type, "message": failure.message} if failure else NO_FAILURE,
        "nominal": _time(execution.nominal),
        "last_nominal": _time(execution.nominal),
        "started_at": _time(execution.started_at),
        "ended_at": _time(execution.ended_at),
        "channel": execution.channel,
        "correlation": execution.correlation,
        "node": execution.node,
        "count": 1 if execution.nominal is not None else 0,
        "cancel_reason": execution.cancel_reason,
    }


def _settled_facts(row: Settled) -> dict[str, Any]:
    return {
        "id": None,
        "kind": Kind.OCCURRENCE.value,
        "state": None,
        "outcome": row.outcome.value,
        "reason": row.reason.value,
        "attempt": 0,
        "failures": 0,
        "duration": None,
        "lateness": None,
        "failure": NO_FAILURE,
        "nominal": _time(row.first),
        "last_nominal": _time(row.last),
        "started_at": None,
        "ended_at": _time(row.settled_at),
        "channel": "scheduler",
        "correlation": None,
        "node": None,
        "count": row.count,
        "cancel_reason": None,
    }


def _seconds(begin: Instant | None, end: Instant | None) -> float | None:
    return None if begin is None or end is None else (end - begin) / SECOND


def _time(instant: Instant | None) -> str | None:
    return None if instant is None else timestamp(instant)


def history_facts(former: Iterable[Execution], state: str | None, counts: dict[str, int]) -> dict[str, Any]:
    """What conditions see of the executions before (newest first). `state`: how this one ended, None if it did not run."""
    states = [execution.state.value for execution in former]
    run = [*([] if state is None else [state]), *states]
    failed = {State.FAILED.value, State.TIMED_OUT.value, State.CRASHED.value}
    in_a_row = next((index for index, one in enumerate(run) if one not in failed), len(run))
    return {"last": states, "previous": states[0] if states else None, "failures_in_a_row": in_a_row, **counts}
