"""Records as the JSON of the REST contract."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from actors.model.execution import Attempt, Execution, Failure
from actors.model.invocation import unwrapped
from actors.model.lifecycle import Phase, State
from actors.model.task import Task
from actors.store.answers import ExecutionDetail, LogLine, OutcomeRow
from actors.store.port import DeliveryWrite
from runtime.clock import MILLISECOND

from ..telling.why import trigger_words
from .definitions import dependencies_json
from .event_triggers import event_json
from .fields import show_instant
from .placements import placement_json
from .policies import policies_json
from .triggers import trigger_json

Json = dict[str, Any]


def task_view(task: Task, node: str) -> Json:
    """A task as a list shows it. node: the one that has it, if it is a memory task."""
    definition, state = task.definition, task.state
    extra = definition.extra
    return {
        "itemId": definition.id,
        "name": definition.name,
        "taskType": definition.type,
        "status": state.status.value,
        "nextScheduledExecution": show_instant(task.coming),
        "lastExecutionDate": show_instant(state.last_started_at),
        "failureCount": state.failure_count,
        "persistent": definition.persistent,
        "node": None if definition.persistent else node,
        "runsOn": sorted({one.node for one in task.open if one.state is State.RUNNING and one.node}),
        "parameters": json.loads(definition.parameters),
        "maxRetries": definition.policies.retry.max_retries,
        "retryDelay": definition.policies.retry.delay // MILLISECOND,
        "phase": state.phase.value,
        "paused": state.phase is Phase.PAUSED,
        "note": state.note,
        "changedBy": state.changed_by,
        "trigger": trigger_json(definition.trigger, definition.bounds),
        "policies": policies_json(definition.policies),
        "tags": list(definition.tags),
        "labels": dict(definition.labels),
        "dependencies": dependencies_json(definition.dependencies),
        "events": [event_json(event) for event in definition.events],
        "placement": placement_json(definition.placement),
        "extra": extra and {"contentType": extra.content_type, "size": len(extra.data)},
        "runs": state.runs,
        "completed": state.completed,
        "failed": state.failed,
        "lastState": state.last_state and state.last_state.value,
        "lastEnd": show_instant(state.last_ended_at),
        "lastExecution": state.last_execution,
        "open": [execution.id for execution in task.open],
        "createdAt": show_instant(definition.created_at),
        "owner": definition.owner,
        "tenant": definition.tenant,
        "version": state.version,
        "revision": state.revision,
    }


def task_detail_view(task: Task, detail: ExecutionDetail | None, node: str) -> Json:
    """A task in full: with step, details and checkpoint of the execution that is open, held or failed."""
    shown = task_view(task, node)
    progress = _loads(detail.progress) if detail is not None else None
    if isinstance(progress, dict):
        counts = {
            name: progress[key]
            for key, name in (("done", "processedCount"), ("total", "totalCount"))
            if progress.get(key) is not None
        }
        shown["currentStep"] = progress.get("step")
        forecast = {"eta": progress["eta"]} if detail is not None and _runs(detail) and progress.get("eta") else {}
        shown["statusDetails"] = counts | forecast | (progress.get("details") or {})
    else:
        shown |= {"currentStep": None, "statusDetails": {}}
    newest = None if detail is None else detail.execution
    shown["triggerWords"] = trigger_words(task.definition.trigger, task.definition.bounds)
    shown["lastFailure"] = failure_view(newest.failure) if newest is not None else None
    shown["waitsFor"] = newest and newest.waits_for and newest.waits_for.value
    shown["retryAt"] = show_instant(newest.due) if newest is not None else None
    shown["checkpointData"] = _loads(detail.checkpoint) if detail is not None else None
    return shown


def _runs(detail: ExecutionDetail) -> bool:
    """Whether it goes on, so that a forecast of its end is not one of the past."""
    return detail.execution.state is State.RUNNING


def _loads(text: str | None) -> Any:
    return None if text is None else json.loads(text)


def named_view(task: Task) -> Json:
    """Which task a row of an overview is about."""
    return {"taskId": task.id, "task": task.definition.name, "taskType": task.definition.type}


def failure_view(failure: Failure | None) -> Json | None:
    """Why an attempt did not complete."""
    if failure is None:
        return None
    return {"type": failure.type, "message": failure.message, "traceback": failure.traceback}


def execution_view(execution: Execution) -> Json:
    """An execution as a list shows it."""
    return {
        "id": execution.id,
        "taskId": execution.task_id,
        "kind": execution.kind.value,
        "state": execution.state.value,
        "nominal": show_instant(execution.nominal),
        "assigned": show_instant(execution.assigned),
        "outcome": execution.outcome and execution.outcome.value,
        "reason": execution.reason and execution.reason.value,
        "waitsFor": execution.waits_for and execution.waits_for.value,
        "retryAt": show_instant(execution.due),
        "expiresAt": show_instant(execution.expires),
        "concurrencyKey": execution.key,
        "lingers": execution.lingers,
        "attempt": execution.attempt,
        "failures": execution.failures,
        "crashes": execution.crashes,
        "checkpoints": execution.checkpoints,
        "fence": execution.fence,
        "node": execution.node,
        "target": execution.target,
        "channel": execution.channel,
        "correlation": execution.correlation,
        "createdAt": show_instant(execution.created_at),
        "firstStartedAt": show_instant(execution.first_started_at),
        "startedAt": show_instant(execution.started_at),
        "endedAt": show_instant(execution.ended_at),
        "failure": failure_view(execution.failure),
        "parameters": _loads(unwrapped(execution.parameters).parameters),
        "cancelReason": execution.cancel_reason,
        "revision": execution.revision,
    }


def attempt_view(attempt: Attempt) -> Json:
    """A former attempt."""
    return {
        "number": attempt.number,
        "fence": attempt.fence,
        "node": attempt.node,
        "state": attempt.state.value,
        "startedAt": show_instant(attempt.started_at),
        "endedAt": show_instant(attempt.ended_at),
        "failure": failure_view(attempt.failure),
    }


_ATTEMPT: Final = ("fence", "node", "state", "startedAt", "endedAt", "failure")
"""What an attempt and an execution have in common."""


def _newest_attempt(detail: ExecutionDetail) -> list[Json]:
    """The attempt whose data stand in the execution's own row; none if none was made, or all are archived."""
    execution = detail.execution
    if not execution.attempt or any(attempt.number == execution.attempt for attempt in detail.attempts):
        return []
    shown = execution_view(execution)
    return [{"number": execution.attempt} | {key: shown[key] for key in _ATTEMPT}]


def detail_view(detail: ExecutionDetail) -> Json:
    """An execution with everything that belongs to it. Its attempts end with the newest, which may still run."""
    return execution_view(detail.execution) | {
        "attempts": [attempt_view(attempt) for attempt in detail.attempts] + _newest_attempt(detail),
        "result": _loads(detail.result),
        "checkpoint": _loads(detail.checkpoint),
        "progress": _loads(detail.progress),
    }


def outcome_view(row: OutcomeRow) -> Json:
    """One row of the ledger. `outcome` null: still open."""
    return {
        "first": show_instant(row.first),
        "last": show_instant(row.last),
        "count": row.count,
        "outcome": row.outcome and row.outcome.value,
        "reason": row.reason,
        "executionId": row.execution_id,
        "state": row.state and row.state.value,
        "startedAt": show_instant(row.started_at),
        "revision": row.revision,
        "folded": row.folded,
        "target": row.target,
    }


def log_view(line: LogLine) -> Json:
    """One logged line."""
    return {
        "sequence": line.sequence,
        "attempt": line.attempt,
        "at": show_instant(line.at),
        "level": line.level,
        "text": line.text,
    }


def delivery_view(delivery: DeliveryWrite) -> Json:
    """What became of an outcome that an event trigger looked at, or of a try of one of its actions."""
    return {
        "id": delivery.entry_id,
        "taskId": delivery.task_id,
        "executionId": delivery.execution_id,
        "event": delivery.event,
        "state": delivery.state,
        "detail": delivery.detail,
        "at": show_instant(delivery.at),
        "retryAt": show_instant(delivery.due),
    }


def page_view(rows: Sequence[Json], offset: int, limit: int, total: int) -> Json:
    """A page with the contract's envelope: `totalSize` is the true total, also beyond the end."""
    return {"list": list(rows), "offset": offset, "pageSize": limit, "totalSize": total}
