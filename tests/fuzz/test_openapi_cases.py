"""Requests that are made from the OpenAPI document, good and bad ones, against a real node over HTTP.

Whatever is sent, the node answers with what the document says, never with a server error, and refuses what the document does
not allow. `TOCSIN_FULL=1` sends 10,000 requests, otherwise it is 1,500.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import attrs
import hypothesis
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from tests.tocsin.conftest import Running
from tests.tocsin.conftest import settings as node_settings
from tocsin.api.openapi import document
from tocsin.api.schemas.given import SHARED
from tocsin.client import Client

CASES = 10_000 if os.environ.get("TOCSIN_FULL") else 1_500

GOOD, BAD = schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE

MODES = {"meant": 4, "good": 1, "bad": 2}
"""What is sent, and its weight: what means something to the node, what the document allows, and what it does not."""

ALWAYS = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]

TOO_LARGE = 413

UNREADY = "GET /api/health/ready"
"""Says with 503 that the node is not well, as it may be for a moment on a machine with much to do; no other one answers so."""

STREAM = "text/event-stream"

RICH = 4
"""How many times as many cases an operation gets that takes a body."""

PLAIN = 3
"""Cases of an operation that takes nothing: what it answers may change with what was done before."""

FILE = "tocsin: 1\ntasks:\n- name: planned\n  taskType: greet\n  trigger: {every: 1h}\n"

ICS = "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nDTSTART;VALUE=DATE:20300101\r\nRRULE:FREQ=YEARLY\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"

SYSTEM = "system."
"""How the names of a node's own tasks begin."""


def among(*values: Any) -> dict[str, Any]:
    return {"enum": list(values)}


WORD = {"type": "string", "pattern": "^[a-z]{1,12}$"}
NULL = {"type": "null"}

WORDS: dict[str, dict[str, Any]] = {
    "taskType": among("greet", "fail", "wait"),
    "name": WORD,
    "timezone": among("UTC", "Europe/Berlin", "America/New_York"),
    "calendar": among("days"),
    "calendars": among([], ["days"], [{"calendar": "days", "mode": "include", "shift": "next", "version": 1}]),
    "ics": among(ICS),
    "parameters": among({}, {"region": "eu"}),
    "cron": among("0 0 * * *", "30 2 * * mon-fri", "H * * * *", "@daily"),
    "expression": among("0 0 * * *", "30 2 29 2 *", "*/5 * * * * *"),
    "every": among("1h", "PT30S", "2w"),
    "spread": among("5m"),
    "end": among("2040-01-01T00:00:00Z"),
    "extra": among(None, {"data": "AAEC", "contentType": "text/plain"}),
    "dependencies": among(None, ["run"], {"parents": ["failed"], "mode": "any", "failFast": True}),
    "placement": among(None, "any", "all", {"on": "nodes", "nodes": ["a"]}, {"strategy": "random"}),
    "condition": among("result != null", "history.failures_in_a_row > 2"),
    "url": among("http://127.0.0.1:9/hook"),
    "headers": among({}, {"x-a": "b"}),
    "to": among(["ops@example.com"]),
    "subject": among(None, "about {task.name}"),
    "body": among(None, "{result}"),
    "task": among("run"),
    "tags": among([], ["a"], ["a", "b"]),
    "labels": among({}, {"a": "b"}),
    "nodes": among(["a"]),
    "queue": WORD,
    "key": WORD,
    "overlapLimit": NULL,
    "catchUpLimit": NULL,
    "catchUpRate": NULL,
    "note": among(None, "why"),
    "correlation": WORD,
    "executionId": NULL,
    "taskId": NULL,
    "drill": WORD,
    "execution": NULL,
    "until": NULL,
    "states": among(["FAILED"], "completed", None),
    "text": WORD,
    "types": among(["render"]),
    "wait": among("0s", "50ms"),
    "type": among("greet", "worker:render"),
    "level": among("user", "all"),
    "format": among("yaml", "json"),
    "user": among(None, "somebody"),
    "tenant": NULL,
    "lease": among("1.0", "5s"),
    "files": among([{"name": "a.yaml", "text": FILE}]),
}
"""What fields and parameters of these names are, where they shall mean something to the node: chance would hardly find it."""


def with_words(part: Any) -> Any:
    """The document, with these words where it allows them, and with its own examples for what has a form."""
    if isinstance(part, list):
        return [with_words(inner) for inner in part]
    if not isinstance(part, dict):
        return part
    if "examples" in part:
        return {"enum": part["examples"]}
    found = {key: with_words(inner) for key, inner in part.items()}
    if isinstance(found.get("properties"), dict):
        found["properties"] = {name: WORDS.get(name, schema) for name, schema in found["properties"].items()}
    if found.get("in") == "query" and "schema" in found:
        found["schema"] = WORDS.get(found["name"], found["schema"])
    return found


def paths_with_ends() -> dict[str, Any]:
    """What can be asked for and has an answer that ends: a good request for a stream would be heard until the node stops."""
    return {path: item for path, item in document()["paths"].items() if STREAM not in str(item)}


def loaded(change: Callable[[Any], Any]) -> Any:
    """The document, with what is sent changed. Who asks is not varied here: every request has the token."""
    paths, components = deepcopy(paths_with_ends()), deepcopy(document()["components"])
    for item in paths.values():
        for operation in item.values():
            operation.pop("security", None)
            for part in ("parameters", "requestBody"):
                if part in operation:
                    operation[part] = change(operation[part])
    components["schemas"] |= {name: change(schema) for name, schema in SHARED.items()}
    components.pop("securitySchemes")
    return schemathesis.openapi.from_dict({**document(), "paths": paths, "components": components, "security": []})


PLAIN_SCHEMA, WORDED_SCHEMA = loaded(deepcopy), loaded(with_words)


def operation_of(schema: Any, label: str) -> Any:
    method, path = label.split(" ")
    return schema[path][method]


def shares() -> dict[tuple[str, str], int]:
    """How many cases each operation gets in each mode."""
    weights = {}
    for path, item in paths_with_ends().items():
        for method, operation in item.items():
            label, places = f"{method.upper()} {path}", {one["in"] for one in operation.get("parameters", ())}
            if "requestBody" not in operation and not places:
                weights[label, "meant"] = 0
                continue
            rich = RICH if "requestBody" in operation and path.startswith("/api") else 1
            # Any text in a path is allowed: where there is nothing else, nothing is not.
            modes = MODES if places - {"path"} or "requestBody" in operation else ("meant", "good")
            weights |= {(label, mode): MODES[mode] * rich for mode in modes}
    total = CASES - PLAIN * sum(not weight for weight in weights.values())
    whole = sum(weights.values())
    return {key: -(-total * weight // whole) if weight else PLAIN for key, weight in weights.items()}


SHARES = shares()


@attrs.define
class Fuzzed:
    """A node with something of everything, and what paths may name."""

    running: Running
    client: Client
    session: requests.Session
    answers: Counter[tuple[str, str, int]] = attrs.field(factory=Counter)
    known: dict[str, list[str]] = attrs.field(factory=dict)

    def prepare(self) -> None:
        """Begin anew with the same tasks, and go on if former cases have paused everything."""
        self.client.call("resume_scheduler")
        self.tidy()
        self.client.call("put_calendar", calendar="days", body={"days": ["2026-12-25"]})
        for name, more in TASKS.items():
            self.client.call("add_task", body={"name": name, "trigger": {"every": "1h"}, **more})
        for name in ("run", "failed", "outside"):
            self.client.call("run_task", task=name)
        executions = [
            one["id"] for name in TASKS for one in self.client.call("list_executions", task=name, limit=5)["list"]
        ]
        self.known = {"task": [*TASKS], "execution": executions, "calendar": ["days"], "node": [self.node]}
        self.known["taskType"] = ["greet"]

    @property
    def node(self) -> str:
        name: str = self.client.call("show_node")["name"]
        return name

    def tidy(self) -> None:
        """Remove all tasks but those of the node: what cases have made would go on firing."""
        for task in list(self.client.tasks()):
            if not task["name"].startswith(SYSTEM):
                self.client.call("cancel_task", task=task["itemId"], permanent=True)


TASKS: dict[str, dict[str, Any]] = {
    "run": {"taskType": "greet"},
    "failed": {"taskType": "fail", "policies": {"retry": {"maxRetries": 0}}},
    "memory": {"taskType": "greet", "persistent": False},
    "outside": {"taskType": "worker:render"},
    "paused": {"taskType": "wait", "tags": ["a"], "labels": {"a": "b"}, "extra": {"data": "AAEC"}},
    "waiting": {
        "taskType": "greet",
        "dependencies": ["failed"],
        "policies": {"concurrency": "a key", "queue": "q"},
        "events": [{"name": "e", "on": ["FAILED"], "actions": [{"kind": "topic", "name": "t"}]}],
        "placement": {"on": "any", "strategy": "random"},
        "trigger": {"any": [{"cron": "0 0 29 2 *"}, {"everyMonths": 1, "day": "last"}], "calendars": ["days"]},
    },
}


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzzed]:
    node = Running(tmp_path_factory.mktemp("fuzzed"))
    node.start(node_settings(node.data))
    with Client(node.url, node.token) as client, requests.Session() as session:
        session.trust_env = False
        yield Fuzzed(node, client, session)
    node.stop()
    assert node.error is None


@pytest.mark.parametrize(("label", "mode"), SHARES, ids=[f"{label} {mode}" for label, mode in SHARES])
def test_the_node_answers_as_the_document_says(label: str, mode: str, fuzzed: Fuzzed, run_seed: int) -> None:
    fuzzed.prepare()
    send_cases(fuzzed, label, mode, run_seed, SHARES[label, mode])
    fuzzed.tidy()


def is_refused(
    context: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case
) -> bool | None:
    """What is too large is refused as well, before anybody looks at what it says."""
    if response.status_code == TOO_LARGE:
        return None
    found: bool | None = checks.negative_data_rejection(context, response, case)
    return found


def send_cases(fuzzed: Fuzzed, label: str, mode: str, seed: int, number: int) -> None:
    operation = operation_of(WORDED_SCHEMA if mode == "meant" else PLAIN_SCHEMA, label)
    names = [one.name for one in operation.path_parameters] if mode == "meant" else []
    known = st.fixed_dictionaries({name: st.sampled_from(fuzzed.known.get(name, ["a"])) for name in names})
    extra = [] if label == UNREADY else [not_a_server_error]
    if mode == "bad":
        extra.append(is_refused)

    @hypothesis.seed(seed)
    @settings(
        max_examples=number,
        phases=[Phase.generate, Phase.shrink],
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(BAD if mode == "bad" else GOOD), known)
    def send(case: schemathesis.Case, path: dict[str, str]) -> None:
        case.path_parameters.update(path)
        if mode != "bad" and isinstance(case.body, dict) and "types" in case.body:
            # Who asks for work waits for it, 20 s unless he says otherwise.
            case.body = {**case.body, "wait": "0s"}
        headers = {"Authorization": f"Bearer {fuzzed.running.token}"}
        response = case.call(base_url=fuzzed.running.url, session=fuzzed.session, headers=headers, timeout=60)
        fuzzed.answers[label, mode, response.status_code] += 1
        case.validate_response(response, checks=[*ALWAYS, *extra])

    send()


def test_so_many_cases_were_sent(fuzzed: Fuzzed, request: pytest.FixtureRequest, run_seed: int) -> None:
    """Where there are not so many different requests as an operation's share, others make up for it."""
    ran = [item for item in request.session.items if item.path == request.path]
    if len(ran) <= len(SHARES):
        pytest.skip("only some of the cases were asked for")
    fuzzed.prepare()
    while (missing := CASES - fuzzed.answers.total()) > 0:
        run_seed += 1
        send_cases(fuzzed, "PUT /api/tasks/{task}", "meant", run_seed, missing)
    fuzzed.tidy()
    assert fuzzed.answers.total() >= CASES


def test_what_is_meant_is_done(fuzzed: Fuzzed, request: pytest.FixtureRequest) -> None:
    """Of the operations, two thirds have done something: what the others need is not there by chance, or on one node."""
    ran = [item for item in request.session.items if item.path == request.path]
    if len(ran) <= len(SHARES):
        pytest.skip("only some of the cases were asked for")
    labels = {label for label, _ in SHARES}
    done = {label for label, mode, status in fuzzed.answers if mode == "meant" and status < 300}
    assert 3 * len(done) >= 2 * len(labels), sorted(labels - done)
