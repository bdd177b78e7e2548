"""What goes in and out of the queue for workers."""

from __future__ import annotations

from typing import Any, Final

from actors.handling.payload import MAX_PROGRESS
from actors.model.execution import Kind, WaitsFor
from actors.model.lifecycle import State, Status

from ...queue.reading import LEVELS, MAX_LINES, MAX_TYPES, Saying
from .parts import (
    ANY,
    ID,
    INSTANT,
    NUMBER,
    OBJECT,
    TEXT,
    Schema,
    about,
    choice,
    closed,
    listed,
    nullable,
    page,
    ref,
    whole,
)

_LEASE: Final = about(TEXT, "what gives a worker the right to the job; it is sent back with each save and heartbeat")

_JOB: Final = closed(
    {
        "job": ID,
        "lease": _LEASE,
        "leaseSeconds": about(NUMBER, "how long the worker may be silent"),
        "fence": about(whole(), "grows with every attempt of the task, for whatever the worker writes to"),
        "attempt": whole(1),
        "taskId": ID,
        "task": TEXT,
        "type": TEXT,
        "tenant": TEXT,
        "parameters": OBJECT,
        "extra": nullable(closed({"contentType": TEXT, "data": about(TEXT, "base64")})),
        "checkpoint": about(ANY, "what was saved last by a former attempt"),
        "nominal": nullable(INSTANT),
        "assigned": nullable(INSTANT),
        "kind": choice(Kind),
        "channel": TEXT,
        "correlation": nullable(TEXT),
        "idempotencyKey": about(TEXT, "the same for all attempts at one occurrence"),
        "timeoutSeconds": nullable(NUMBER),
    }
)

_SAID: Final = closed(
    {
        "job": ID,
        "state": about(choice(State), "of the execution"),
        "cancel": about(nullable(TEXT), "why the worker shall stop; null: go on"),
        "leaseSeconds": about(nullable(NUMBER), "how long the worker may be silent; null: the job has ended"),
    }
)

_OPEN: Final = closed(
    {
        "job": ID,
        "state": choice(State),
        "waitsFor": nullable(choice([*WaitsFor, "worker"])),
        "worker": about(nullable(TEXT), "who has it"),
        "leaseSeconds": about(nullable(NUMBER), "what is left of his lease"),
        "attempt": whole(),
        "node": nullable(TEXT),
        "createdAt": nullable(INSTANT),
    }
)

_ROW: Final = closed(
    {
        "taskId": ID,
        "task": TEXT,
        "type": TEXT,
        "tenant": TEXT,
        "owner": TEXT,
        "status": choice(Status),
        "nextScheduledExecution": nullable(INSTANT),
        "lastState": nullable(choice(State)),
        "lastEnd": nullable(INSTANT),
        "jobs": listed(_OPEN),
    }
)

_CHANGED: Final = closed(
    {"taskId": ID, "task": TEXT, "version": whole(), "jobs": about(listed(ID), "those that are open")}
)

_SILENT: Final = about(listed(TEXT), "nodes of the cluster that did not answer")

QUEUE_ANSWERS: Final[dict[str, Schema | None]] = {
    "queue_start": closed(
        {"worker": TEXT, "givenBack": about(listed(ID), "jobs that its name held"), "unreachable": _SILENT}
    ),
    "queue_next": closed({"job": about(nullable(_JOB), "null: there was none in time")}),
    "queue_save": _SAID,
    "queue_heartbeat": _SAID,
    "queue_list": page(_ROW, {"unreachable": _SILENT}),
    "queue_data": closed(
        {"job": _OPEN, "execution": ref("ExecutionDetail"), "definition": ref("Definition"), "taskId": ID}
    ),
    "queue_delete": None,
    "queue_rename": _CHANGED,
    "queue_update": _CHANGED,
    "queue_flush": closed(
        {
            "tasks": about(whole(), "tasks that were removed with all they had"),
            "jobs": about(whole(), "ended jobs and rows that were removed from tasks which go on"),
            "complete": about({"type": "boolean"}, "false: ask again for the rest"),
        }
    ),
}
"""Name of an operation -> what it answers; None: nothing."""


def queue_bodies(edit: Schema, span: Schema) -> dict[str, Schema]:
    """Name of an operation -> its body. edit: the body that edits a task; span: a duration."""
    number: dict[str, Any] = {"type": "number"}
    line = closed({}, {"level": nullable(choice(LEVELS)), "text": nullable(TEXT)})
    progress = closed(
        {},
        {
            "done": nullable(number),
            "total": nullable(number),
            "step": nullable(TEXT),
            "details": about(nullable(OBJECT), "anything else"),
        },
    )
    error = closed({}, {name: nullable(TEXT) for name in ("type", "message", "traceback")})
    return {
        "queue_next": closed(
            {"types": about(listed(TEXT, minItems=1, maxItems=MAX_TYPES), "with or without worker:")},
            {
                "wait": about(nullable(span), "how long to wait for a job; 20s if not said, which is the most"),
                "lease": about(nullable(span), "how long the worker may be silent; 30s if not said"),
            },
        ),
        "queue_save": closed(
            {"lease": _LEASE},
            {
                "status": about(nullable(choice(Saying)), "running if not said; released: somebody else shall do it"),
                "progress": about(nullable(progress), f"at most {MAX_PROGRESS} bytes"),
                "checkpoint": about(ANY, "kept for the next attempt"),
                "result": about(ANY, "goes with completed"),
                "error": about(nullable(error), "goes with failed"),
                "log": nullable(listed({"anyOf": [TEXT, line]}, maxItems=MAX_LINES)),
            },
        ),
        "queue_heartbeat": closed({"lease": _LEASE}),
        "queue_rename": closed({"name": {"type": "string", "minLength": 1, "maxLength": 128}}),
        "queue_update": edit,
        "queue_flush": closed(
            {},
            {
                "level": about(nullable(choice(["user", "company", "all"])), "all that the caller sees if not said"),
                "olderThan": about(nullable(span), "what ended so long ago; everything that has ended if not said"),
                "dryRun": about(nullable({"type": "boolean"}), "only count what would be removed"),
            },
        ),
    }
