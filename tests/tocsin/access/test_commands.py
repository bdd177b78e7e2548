"""Who may say what a command runs. A command does what the node's user can, whatever tenant its task belongs to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from actors.handling.catalogue import Catalogue, task_type
from tests.tocsin.access.kit import Person
from tests.tocsin.conftest import Running, greet, settings
from tocsin.handlers import register_builtins

LATER = {"after": "1h"}
COMMAND = {"taskType": "command", "trigger": LATER, "parameters": {"argv": ["/bin/true"]}}
GREET = {"taskType": "greet", "trigger": LATER, "parameters": {"region": "eu"}}
OTHER = {"argv": ["/bin/sh", "-c", "cat token"]}


def running_another(task: str, parameters: Any) -> dict[str, Any]:
    return {
        "events": [
            {
                "name": "e",
                "on": ["COMPLETED"],
                "actions": [{"kind": "run_task", "task": task, "parameters": parameters}],
            }
        ]
    }


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    catalogue = Catalogue([task_type("greet", greet)])
    register_builtins(catalogue)
    node = Running(tmp_path_factory.mktemp("node"), catalogue=catalogue)
    node.start(settings(node.data))
    person = Person(node.url, node.token)
    for tenant in ("", "acme"):
        headers = {"Tocsin-Tenant": tenant} if tenant else {}
        for body in ({"name": "there", **COMMAND}, {"name": "harmless", **GREET}):
            assert person.send("POST", "/api/tasks", json=body, headers=headers).status_code == 201
    yield person
    node.stop()


@pytest.fixture(
    params=[{"role": "operator"}, {"role": "administrator", "tenant": "acme"}], ids=["operator", "of a tenant"]
)
def person(request: pytest.FixtureRequest, root: Person) -> Person:
    """Somebody who may make tasks."""
    return root.with_token(**request.param)


def status(person: Person, method: str, path: str, body: Any) -> int:
    return person.send(method, path, json=body).status_code


def file_of(*tasks: dict[str, Any]) -> dict[str, Any]:
    return {"files": [{"name": "a.json", "text": json.dumps({"tasks": list(tasks)})}]}


def lasting(task: dict[str, Any]) -> dict[str, Any]:
    return {**task, "trigger": {"cron": "0 4 * * *"}}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api/tasks", {"name": "mine", **COMMAND}),
        ("POST", "/cxs/tasks", {"name": "mine", **COMMAND}),
        ("PUT", "/api/tasks/harmless", {"taskType": "command", "parameters": OTHER}),
        ("PUT", "/api/tasks/there", {"parameters": OTHER}),
        ("PUT", "/api/tasks/there", {"taskType": "greet", "parameters": {"region": "eu"}}),
        ("PUT", "/api/tasks/harmless", running_another("there", OTHER)),
        ("PUT", "/api/tasks/harmless", running_another("not there yet", OTHER)),
        ("POST", "/api/tasks", {"name": "mine", **GREET, **running_another("there", OTHER)}),
        ("POST", "/api/tasks/there/run", {"parameters": OTHER}),
        ("POST", "/api/plan", file_of({"name": "mine", **lasting(COMMAND)})),
        ("POST", "/api/apply", file_of({"name": "mine", **lasting(COMMAND)})),
        ("POST", "/api/apply", file_of({"name": "there", **lasting(GREET)})),
        ("POST", "/api/apply", file_of({"name": "mine", **lasting(GREET), **running_another("there", OTHER)})),
    ],
)
def test_only_an_administrator_of_all_says_what_a_command_runs(
    person: Person, root: Person, method: str, path: str, body: Any
) -> None:
    answer = person.send(method, path, json=body)
    assert (answer.status_code, answer.json()["code"]) == (403, "403"), answer.text
    assert "administrator of all tenants" in answer.json()["message"]
    assert root.send("GET", "/api/tasks", params={"text": "mine"}).json()["totalSize"] == 0
    assert root.send("GET", "/api/tasks/there").json()["parameters"] == COMMAND["parameters"]


def test_what_is_there_may_be_run_and_paused_by_those_who_operate(person: Person) -> None:
    assert status(person, "POST", "/api/tasks/there/run", {}) == 202
    assert status(person, "POST", "/api/tasks/there/pause", {}) == 200
    assert status(person, "POST", "/api/tasks/there/activate", {}) == 200
    assert status(person, "PUT", "/api/tasks/harmless", running_another("there", None)) == 200
    assert status(person, "PUT", "/api/tasks/harmless", running_another("harmless", {"region": "us"})) == 200


def test_the_administrator_of_all_may(root: Person) -> None:
    assert status(root, "POST", "/api/tasks", {"name": "his", **COMMAND}) == 201
    assert status(root, "PUT", "/api/tasks/his", {"parameters": OTHER}) == 200
    assert status(root, "POST", "/api/tasks/his/run", {"parameters": COMMAND["parameters"]}) == 202
    assert status(root, "POST", "/api/apply", file_of({"name": "of a file", **lasting(COMMAND)})) == 200
