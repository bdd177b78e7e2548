"""What operations about executions, calendars, nodes and the scheduler answer; those about tasks answer what `tasks` has."""

from __future__ import annotations

import types
import typing
from typing import Any, Final

import attrs

from actors.model.execution import Kind, WaitsFor
from actors.model.lifecycle import Phase, State, Status
from actors.model.occurrence import Outcome, Reason
from actors.model.peer import Standing
from actors.model.retention import Stage
from actors.when.dst import Effect
from runtime.supervisor import Snapshot

from ...services.own_process import OwnProcess
from ...vocabulary.words import WEEKDAYS
from .parts import (
    ANY,
    BOOLEAN,
    DURATION,
    ID,
    INSTANT,
    NUMBER,
    OBJECT,
    TEXT,
    Schema,
    about,
    by_name,
    choice,
    closed,
    listed,
    nullable,
    one_of,
    page,
    ref,
    whole,
    whole_list,
)

_PLAIN: Final[dict[Any, Schema]] = {str: TEXT, int: {"type": "integer"}, float: NUMBER, bool: BOOLEAN}


def record_fields(record: type) -> dict[str, Schema]:
    """The fields of a record that is answered as it is, from its annotations."""
    hints = typing.get_type_hints(record)
    return {field.name: _annotated(hints[field.name]) for field in attrs.fields(record)}


def _annotated(annotation: Any) -> Schema:
    if annotation in _PLAIN:
        return _PLAIN[annotation]
    if annotation is Snapshot:
        return ref("Actor")
    if attrs.has(annotation):
        return closed(record_fields(annotation))
    inner = [one for one in typing.get_args(annotation) if one is not Ellipsis]
    if typing.get_origin(annotation) is tuple:
        return listed(_annotated(inner[0]))
    assert typing.get_origin(annotation) in (typing.Union, types.UnionType), annotation
    [alternative] = [one for one in inner if one is not types.NoneType]
    return nullable(_annotated(alternative))


_ATTEMPT: Final[dict[str, Schema]] = {
    "fence": about(whole(), "grows with every attempt of the task"),
    "node": nullable(TEXT),
    "state": choice(State),
    "startedAt": nullable(INSTANT),
    "endedAt": nullable(INSTANT),
    "failure": nullable(ref("Failure")),
}

EXECUTION: Final[dict[str, Schema]] = {
    **_ATTEMPT,
    "id": ID,
    "taskId": ID,
    "kind": choice(Kind),
    "nominal": about(nullable(INSTANT), "the nominal time; null: run by hand"),
    "assigned": about(nullable(INSTANT), "its place in the spread window, where that is another time"),
    "outcome": nullable(choice(Outcome)),
    "reason": nullable(choice(Reason)),
    "waitsFor": ref("WaitsFor"),
    "retryAt": nullable(INSTANT),
    "expiresAt": about(nullable(INSTANT), "given up if it has not started by then"),
    "concurrencyKey": nullable(TEXT),
    "lingers": about(BOOLEAN, "it has ended, but its abandoned handler has not returned"),
    "attempt": about(whole(), "the number of the newest attempt; 0: none yet"),
    "failures": whole(),
    "crashes": whole(),
    "checkpoints": whole(),
    "target": about(nullable(TEXT), "the node that it is for, where each node has one"),
    "channel": about(TEXT, "the way by which it was asked for"),
    "correlation": nullable(TEXT),
    "createdAt": INSTANT,
    "firstStartedAt": nullable(INSTANT),
    "parameters": about(nullable(OBJECT), "of this run; null: the task's own"),
    "cancelReason": nullable(TEXT),
    "revision": whole(1),
}

_DETAIL: Final[dict[str, Schema]] = {
    "attempts": about(listed(ref("Attempt")), "the newest one last"),
    "result": about(ANY, "what the handler answered"),
    "checkpoint": ANY,
    "progress": about(nullable(OBJECT), "done, total, step, details, at, eta"),
}

_OUTCOME: Final = closed(
    {
        "first": INSTANT,
        "last": INSTANT,
        "count": about(nullable(whole()), "nominal times in the range; null: not counted yet"),
        "outcome": about(nullable(choice(Outcome)), "null: still open"),
        "reason": nullable(TEXT),
        "executionId": nullable(ID),
        "state": nullable(choice(State)),
        "startedAt": nullable(INSTANT),
        "revision": whole(),
        "folded": about(BOOLEAN, "what is left of rows that were purged: counts of an hour"),
        "target": nullable(TEXT),
    }
)

_DELIVERY: Final = closed(
    {
        "id": TEXT,
        "taskId": ID,
        "executionId": nullable(ID),
        "event": TEXT,
        "state": choice(("fired", "suppressed", "delivered", "retry", "given_up")),
        "detail": TEXT,
        "at": INSTANT,
        "retryAt": nullable(INSTANT),
    }
)

_LOG: Final = closed({"sequence": whole(), "attempt": whole(), "at": INSTANT, "level": TEXT, "text": TEXT})

_CLOCK_CHANGE: Final = closed(
    {
        "timezone": TEXT,
        "at": INSTANT,
        "before": about(TEXT, "the offset before, +02:00"),
        "after": TEXT,
        "kind": choice(("gap", "overlap")),
        "effect": choice(typing.get_args(Effect)),
        "around": listed(INSTANT),
    }
)

_PREVIEW: Final[dict[str, Schema]] = {
    "list": about(listed(INSTANT), "the times that run"),
    "fires": about(
        listed(closed({"nominal": INSTANT, "assigned": nullable(INSTANT), "excludedBy": nullable(TEXT)})),
        "nominal times, with those that a calendar excludes",
    ),
    "trigger": about(TEXT, "in words"),
    "clockChanges": listed(ref("ClockChange")),
}

_PAUSE: Final = closed({"paused": BOOLEAN, "since": nullable(INSTANT), "by": nullable(TEXT), "note": nullable(TEXT)})

_HOLDER: Final = closed(
    {
        "taskId": ID,
        "task": about(nullable(TEXT), "its name"),
        "executionId": ID,
        "since": nullable(INSTANT),
        "lingers": BOOLEAN,
    }
)

_OLDEST: Final = about(nullable(INSTANT), "since when the one waits that has waited longest")

_LOCK: Final = closed(
    {
        "key": TEXT,
        "tenant": TEXT,
        "limit": whole(),
        "holders": listed(_HOLDER),
        "waiting": whole(),
        "oldest": _OLDEST,
    }
)

_QUEUE: Final = closed(
    {
        "name": TEXT,
        "limit": nullable(whole()),
        "running": about(whole(), "without a limit: on the node that answers"),
        "waiting": whole(),
        "oldest": _OLDEST,
        "started5m": about(whole(), "in the last five minutes by the node that answers, as far as it remembers them"),
        "ended5m": whole(),
        "chosen": about(BOOLEAN, "a queue of the user's own says who is next"),
    }
)

_DAY: Final[Schema] = {"type": "string", "format": "date"}

_CALENDAR: Final = closed(
    {
        "name": TEXT,
        "version": whole(1),
        "timezone": TEXT,
        "days": listed({"anyOf": [_DAY, closed({"first": _DAY, "last": _DAY})]}),
        "windows": listed(closed({"begin": INSTANT, "end": INSTANT})),
        "weekdays": listed(choice(WEEKDAYS)),
    }
)

_NODE: Final[dict[str, Schema]] = {
    "name": TEXT,
    "boot": about(TEXT, "the id of this life of the process"),
    "address": TEXT,
    "state": choice(["draining", *Standing]),
    "here": about(BOOLEAN, "whether it is the node that answers"),
    "leader": BOOLEAN,
    "executor": about(BOOLEAN, "whether it takes executions"),
    "slots": whole(),
    "free": whole(),
    "running": whole(),
    "partitions": whole(),
    "offsetMs": about(nullable(NUMBER), "its clock minus that of the node that answers"),
    "version": TEXT,
    "timezoneDatabase": TEXT,
    "labels": by_name(TEXT),
}

_COORDINATION: Final = closed(
    {
        "session": nullable(TEXT),
        "connected": BOOLEAN,
        "trusted": BOOLEAN,
        "leader": nullable(TEXT),
        "partitions": whole(),
        "owned": whole(),
        "gate": about(nullable(TEXT), "what a cold start waits for"),
        "problem": nullable(TEXT),
    }
)

_LATENESS: Final = closed({name: nullable(NUMBER) for name in ("p50Ms", "p99Ms", "worstMs")})

_CANARIES: Final = one_of(
    [
        closed({"enabled": {"const": False}}),
        closed(
            {
                "enabled": {"const": True},
                "canaries": whole(),
                "well": whole(),
                "due": whole(),
                "missed": whole(),
                "lateness": _LATENESS,
                "troubles": listed(TEXT),
            }
        ),
    ]
)

_CANARY: Final = closed(
    {"id": ID, "name": TEXT, "partition": whole(), "every": DURATION, "anchor": INSTANT, "createdAt": INSTANT}
)

_TYPE: Final = closed(
    {
        "name": TEXT,
        "isolation": choice(("async", "thread", "process")),
        "description": TEXT,
        "parameters": listed(closed({"name": TEXT, "required": BOOLEAN, "annotation": TEXT})),
        "open": about(BOOLEAN, "it takes parameters of any name"),
        "schema": about(OBJECT, "of a task's parameters, as JSON Schema"),
    }
)

_COUNTS: Final = by_name(whole())
_STATUS: Final = {"status": {"const": "ok"}}

NODE_COMPONENTS: Final[dict[str, Schema]] = {
    "Failure": closed({"type": TEXT, "message": TEXT, "traceback": TEXT}),
    "WaitsFor": about(nullable(choice(WaitsFor)), "what a waiting execution waits for"),
    "Execution": closed(EXECUTION),
    "ExecutionDetail": closed({**EXECUTION, **_DETAIL}),
    "Attempt": closed({"number": whole(1), **_ATTEMPT}),
    "Outcome": _OUTCOME,
    "Delivery": _DELIVERY,
    "LogLine": _LOG,
    "ClockChange": _CLOCK_CHANGE,
    "Pause": _PAUSE,
    "Lock": _LOCK,
    "Queue": _QUEUE,
    "Calendar": _CALENDAR,
    "Node": closed(_NODE),
    "Member": closed({**_NODE, "owned": listed(whole()), "types": listed(TEXT)}),
    "Coordination": _COORDINATION,
    "Actor": closed(record_fields(Snapshot)),
    "TaskType": _TYPE,
}
"""Schemas by their names in the document."""

NODE_ANSWERS: Final[dict[str, Schema | None]] = {
    "list_tasks": page(
        ref("Task"),
        {
            "covers": about(listed(TEXT), "in a cluster: the nodes whose memory tasks are in it"),
            "unreachable": about(listed(TEXT), "in a cluster: those whose memory tasks are not"),
        },
    ),
    "add_task": ref("TaskDetail"),
    "find_task": ref("TaskDetail"),
    "show_task": ref("TaskDetail"),
    "show_definition": ref("Definition"),
    "edit_task": ref("TaskDetail"),
    "cancel_task": None,
    "retry_task": ref("TaskDetail"),
    "configure_task": ref("TaskDetail"),
    "resume_task": ref("TaskDetail"),
    "run_task": ref("Execution"),
    "pause_task": ref("TaskDetail"),
    "activate_task": ref("TaskDetail"),
    "list_executions": page(ref("Execution")),
    "list_deliveries": page(ref("Delivery")),
    "list_outcomes": whole_list(
        ref("Outcome"), more=about(BOOLEAN, "there are more rows than these"), since=INSTANT, until=INSTANT
    ),
    "next_fires": closed({**_PREVIEW, "phase": choice(Phase), "schedulerPaused": BOOLEAN}),
    "why": closed(
        {
            "verdict": about(TEXT, "an outcome, or a word such as open, future, paused, not_nominal"),
            "nominal": nullable(INSTANT),
            "lines": about(listed(TEXT), "the chain of causes, to read"),
        },
        {"nodes": about(by_name(TEXT), "the verdict of each node, where each has an execution")},
    ),
    "show_execution": ref("ExecutionDetail"),
    "cancel_execution": ref("Execution"),
    "release_execution": ref("Execution"),
    "list_logs": whole_list(ref("LogLine"), state=choice(State)),
    "preview_cron": whole_list(INSTANT, words=TEXT, clockChanges=listed(ref("ClockChange"))),
    "preview_trigger": closed({**_PREVIEW, "parsed": ref("ShownTrigger")}),
    "show_scheduler": ref("Pause"),
    "pause_scheduler": ref("Pause"),
    "resume_scheduler": ref("Pause"),
    "list_locks": whole_list(ref("Lock")),
    "release_lock": closed({"key": TEXT, "released": about(listed(ID), "the executions it was taken from")}),
    "list_queues": whole_list(ref("Queue")),
    "list_calendars": whole_list(ref("Calendar")),
    "show_calendar": ref("Calendar"),
    "put_calendar": ref("Calendar"),
    "delete_calendar": None,
    "purge": closed(
        {"removed": whole(), "byPart": closed({}, {stage.value: whole() for stage in Stage}), "complete": BOOLEAN}
    ),
    "list_nodes": whole_list(ref("Node"), coordination=ref("Coordination")),
    "show_member": ref("Member"),
    "drain_node": ref("Member"),
    "switch_executor": ref("Member"),
    "show_process": closed({"node": TEXT, "boot": TEXT, **record_fields(OwnProcess)}),
    "show_canaries": _CANARIES,
    "add_canaries": whole_list(_CANARY),
    "list_partitions": whole_list(closed({"number": whole(), "owner": nullable(TEXT), "epoch": nullable(whole())})),
    "raise_fence": closed({"raised": whole()}),
    "list_types": whole_list(ref("TaskType")),
    "counts": closed(
        {
            "tasks": whole(),
            "byStatus": closed({}, {status.value: whole() for status in Status}),
            "byOutcome": _COUNTS,
            "byReason": _COUNTS,
        }
    ),
    "show_node": closed({"name": TEXT, "health": listed(TEXT), "scheduler": ref("Pause"), "tree": ref("Actor")}),
    "version": closed({"tocsin": TEXT, "python": TEXT, "timezoneDatabase": TEXT}),
    "live": closed(_STATUS),
    "ready": closed(
        _STATUS,
        {
            "health": about(listed(TEXT), "to those with a token: what is not well, although it keeps time"),
            "scheduler": {"const": "paused"},
        },
    ),
}
"""Name of an operation -> what it answers; None: nothing (204)."""
