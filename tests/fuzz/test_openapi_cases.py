"""Requests that are made from the OpenAPI document, good and bad ones, against a real node over HTTP.

Whatever is sent, the node answers with what the document says, never with a server error, and refuses what the document does
not allow. `TOCSIN_FULL=1` sends 10,000 requests, otherwise it is 1,500.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
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

from tests.answers import validator
from tests.tocsin.conftest import Running
from tests.tocsin.conftest import settings as node_settings
from tocsin.api.openapi import document
from tocsin.client import Client

CASES = 10_000 if os.environ.get("TOCSIN_FULL") else 1_500

MODES = {"good": schemathesis.GenerationMode.POSITIVE, "bad": schemathesis.GenerationMode.NEGATIVE}

ALWAYS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]

RICH = 4
"""How many times as many cases an operation gets that takes a body."""

PLAIN = 3
"""Cases of an operation that takes nothing: what it answers may change with what was done before."""

SYSTEM = "system."
"""How the names of a node's own tasks begin."""


WORDS: dict[str, list[Any]] = {
    "taskType": ["greet", "fail", "wait"],
    "timezone": ["UTC", "Europe/Berlin", "America/New_York"],
    "calendar": ["days"],
    "parameters": [{}, {"region": "eu"}],
    "cron": ["0 0 * * *", "30 2 * * mon-fri", "H * * * *", "@daily"],
    "expression": ["0 0 * * *", "30 2 29 2 *", "*/5 * * * * *"],
    "every": ["1h", "PT30S", "10ms"],
    "start": ["2030-01-01T00:00:00Z", "2w"],
    "end": ["2040-01-01T00:00:00Z"],
    "at": ["2030-01-01T00:00:00+02:00", "09:30"],
    "anchor": ["2024-01-31", "2024-01-01T00:00:00Z"],
    "after": ["2026-03-01T12:00:00Z", "1h"],
    "condition": ["result != null", "history.failures > 2"],
    "url": ["http://127.0.0.1:9/hook"],
    "task": ["run"],
    "key": ["a key"],
    "execution": [None],
}
"""Values that mean something to the node, which chance would hardly find; each is tried beside what the document allows."""


def with_words(part: Any) -> Any:
    """The document, with these values named where it allows them. What fits it is the same."""
    if isinstance(part, list):
        return [with_words(inner) for inner in part]
    if not isinstance(part, dict):
        return part
    found = {key: with_words(inner) for key, inner in part.items()}
    properties = found.get("properties")
    if isinstance(properties, dict):
        found["properties"] = {name: with_word(name, schema) for name, schema in properties.items()}
    return found


def with_word(name: str, schema: Any) -> Any:
    fitting = [word for word in WORDS.get(name, ()) if validator(schema).is_valid(word)]
    return {"anyOf": [{"enum": fitting}, schema]} if fitting else schema


SCHEMA = schemathesis.openapi.from_dict(
    {
        **document(),
        "paths": with_words(document()["paths"]),
        "components": with_words(document()["components"]),
    }
)


def operation_of(label: str) -> Any:
    method, path = label.split(" ")
    return SCHEMA[path][method]


def shares() -> dict[tuple[str, str], int]:
    """How many cases each operation gets in each mode."""
    weights = {}
    for path, item in document()["paths"].items():
        for method, operation in item.items():
            label = f"{method.upper()} {path}"
            if "requestBody" in operation or operation.get("parameters"):
                for mode in MODES:
                    weights[label, mode] = RICH if "requestBody" in operation else 1
            else:
                weights[label, "good"] = 0
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
        for name in ("run", "failed"):
            self.client.call("run_task", task=name)
        executions = [
            one["id"] for name in TASKS for one in self.client.call("list_executions", task=name, limit=5)["list"]
        ]
        self.known = {"task": [*TASKS], "execution": executions, "calendar": ["days"], "node": [self.node]}

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
    operation = operation_of(label)
    named = [one.name for one in operation.path_parameters]
    strategies = [operation.as_strategy(MODES[mode])]
    if named and mode == "good":
        known = st.fixed_dictionaries({name: st.sampled_from(fuzzed.known[name]) for name in named})
        strategies = [
            known.flatmap(lambda path: operation.as_strategy(MODES[mode], path_parameters=path))
        ] * 3 + strategies
    extra = [checks.negative_data_rejection] if mode == "bad" else []

    @hypothesis.seed(run_seed)
    @settings(
        max_examples=SHARES[label, mode],
        phases=[Phase.generate, Phase.shrink],
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.one_of(strategies))
    def send(case: schemathesis.Case) -> None:
        headers = {"Authorization": f"Bearer {fuzzed.running.token}"}
        response = case.call(base_url=fuzzed.running.url, session=fuzzed.session, headers=headers, timeout=60)
        fuzzed.answers[label, mode, response.status_code] += 1
        case.validate_response(response, checks=[*ALWAYS, *extra])

    send()
    fuzzed.tidy()


def test_so_many_cases_were_sent(fuzzed: Fuzzed, request: pytest.FixtureRequest) -> None:
    ran = [item for item in request.session.items if item.path == request.path]
    if len(ran) <= len(SHARES):
        pytest.skip("only some of the cases were asked for")
    assert fuzzed.answers.total() >= CASES
