"""A node with tokens of all kinds, and for every operation arguments that it knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import httpx

from tocsin.operations.table import Operation
from tocsin.vocabulary.words import MAX_NAME

TASK = {"name": "nightly", "taskType": "greet", "trigger": {"after": "1h"}, "parameters": {"region": "eu"}}
LATER = {"after": "1h"}

EXAMPLES: Mapping[str, Mapping[str, Any]] = {
    "list_tasks": {},
    "add_task": {"body": {**TASK, "name": "another of {number}"}},
    "find_task": {"reference": "{task}"},
    "show_task": {"task": "{task}"},
    "show_definition": {"task": "{task}"},
    "edit_task": {"task": "{task}", "body": {"tags": ["a"]}},
    "cancel_task": {"task": "{task}"},
    "retry_task": {"task": "{task}"},
    "configure_task": {"task": "{task}", "maxRetries": 3},
    "resume_task": {"task": "{task}"},
    "run_task": {"task": "{task}", "body": {}},
    "pause_task": {"task": "{task}", "body": {}},
    "activate_task": {"task": "{task}", "body": {"trigger": LATER}},
    "list_executions": {"task": "{task}"},
    "list_deliveries": {"task": "{task}"},
    "list_outcomes": {"task": "{task}"},
    "next_fires": {"task": "{task}"},
    "why": {"task": "{task}"},
    "show_execution": {"execution": "{execution}"},
    "cancel_execution": {"execution": "{execution}"},
    "release_execution": {"execution": "{execution}"},
    "list_logs": {"execution": "{execution}"},
    "preview_cron": {"body": {"expression": "* * * * *"}},
    "preview_trigger": {"body": {"trigger": LATER, "task": "{task}"}},
    "show_scheduler": {},
    "pause_scheduler": {"body": {}},
    "resume_scheduler": {},
    "list_locks": {},
    "release_lock": {"body": {"key": "a key"}},
    "list_queues": {},
    "list_calendars": {},
    "show_calendar": {"calendar": "{calendar}"},
    "put_calendar": {"calendar": "made-{number}", "body": {"days": ["2026-12-25"]}},
    "delete_calendar": {"calendar": "{calendar}"},
    "purge": {"body": {"task": "{task}"}},
    "list_nodes": {},
    "show_member": {"node": "node-1"},
    "drain_node": {"node": "nobody"},
    "switch_executor": {"node": "nobody"},
    "show_process": {"node": "nobody"},
    "show_canaries": {},
    "add_canaries": {"body": {"drill": "d{number}", "number": 1}},
    "list_partitions": {},
    "raise_fence": {},
    "plan": {"body": {"text": "tasks: []"}},
    "apply_plan": {"body": {"text": "tasks: []"}},
    "export": {},
    "find_executions": {},
    "recent": {"tasks": "01a203f0-2eb4-7000-9be5-def23158b878"},
    "upcoming": {},
    "show_load": {},
    "spread_load": {"body": {"minute": "2026-12-01T03:00:00Z"}},
    "list_handovers": {},
    "show_catch_up": {},
    "preview_catch_up": {"body": {"tasks": ["{task}"]}},
    "discard_catch_up": {"body": {"tasks": ["{task}"]}},
    "bulk": {"body": {"action": "pause", "tasks": ["nobody"]}},
    "show_tree": {"node": "node-1"},
    "queue_start": {"worker": "w{number}"},
    "queue_next": {"worker": "w{number}", "body": {"types": ["nothing"], "wait": "0s"}},
    "queue_save": {"job": "{execution}", "body": {"lease": "1.01a203f0-2eb4-7000-9be5-def23158b878"}},
    "queue_heartbeat": {"job": "{execution}", "body": {"lease": "1.01a203f0-2eb4-7000-9be5-def23158b878"}},
    "queue_list": {},
    "queue_data": {"execution": "{execution}"},
    "queue_delete": {"task": "{task}"},
    "queue_rename": {"task": "{task}", "body": {"name": "renamed {number}"}},
    "queue_update": {"task": "{task}", "body": {"tags": ["b"]}},
    "queue_flush": {"body": {}},
    "invoke": {"taskType": "greet", "wait": "0s", "body": {}},
    "list_tokens": {},
    "add_token": {"body": {"name": "made {number}", "role": "viewer"}},
    "revoke_token": {"token": "{token}"},
    "list_audits": {},
    "verify_audits": {},
    "list_types": {},
    "counts": {},
    "show_node": {},
    "version": {},
    "live": {},
    "ready": {},
}
"""Operation -> arguments; what stands in braces is what a test has made, `number` is another one each time."""


@attrs.define
class Person:
    """Somebody with a token."""

    url: str
    token: str | None

    def ask(self, operation: Operation, arguments: Mapping[str, Any]) -> httpx.Response:
        path, query, headers, body = operation.path, {}, {}, None
        for argument in operation.arguments:
            if argument.name not in arguments:
                continue
            match argument.where:
                case "path":
                    path = path.replace(f"{{{argument.name}}}", arguments[argument.name])
                case "query":
                    query[argument.name] = arguments[argument.name]
                case "header":
                    headers[argument.name] = arguments[argument.name]
                case "body":
                    body = arguments[argument.name]
        return self.send(operation.method, f"/api{path}", params=query, json=body, headers=headers)

    def send(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {**more.pop("headers", {})}
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        return httpx.request(method, f"{self.url}{path}", headers=headers, timeout=60.0, **more)

    def make(self, path: str, body: Any, method: str = "POST") -> Any:
        answer = self.send(method, path, json=body)
        assert answer.is_success, answer.text
        return answer.json()

    def with_token(self, **wanted: Any) -> Person:
        """Somebody to whom this one gives a token."""
        return Person(self.url, self.make("/api/tokens", {"name": "a token", **wanted})["token"])


def filled(value: Any, made: Mapping[str, str]) -> Any:
    """An example with what a test has made in its places."""
    match value:
        case str():
            text = value
            for name, found in made.items():
                text = text.replace(f"{{{name}}}", found)
            return text[:MAX_NAME]
        case dict():
            return {key: filled(entry, made) for key, entry in value.items()}
        case list():
            return [filled(entry, made) for entry in value]
    return value
