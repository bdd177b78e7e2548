"""Every operation of the table for every role, and for those of another tenant. A new operation is asked for as well."""

from __future__ import annotations

import itertools
from typing import Any

import attrs
import pytest

from tests.tocsin.access.kit import EXAMPLES, TASK, Person, filled
from tests.tocsin.conftest import Running
from tocsin.access.caller import Role
from tocsin.access.permissions import ALLOWED
from tocsin.operations.table import BY_NAME, OPERATIONS, Operation

NUMBERS = itertools.count()
REFUSALS = (401, 403)


@attrs.define
class House:
    """A node with people of two tenants, and things that belong to the one called acme."""

    root: Person
    people: dict[str, Person]
    made: dict[str, str]

    def example(self, operation: Operation) -> Any:
        return filled(EXAMPLES[operation.name], {**self.made, "number": str(next(NUMBERS))})


def things(acme: Person, name: str) -> dict[str, str]:
    """One of each kind, that belong to the tenant acme."""
    acme.make(f"/api/calendars/{name.replace(' ', '-')}", {"days": ["2026-12-25"]}, "PUT")
    task = acme.make(
        "/api/tasks", {**TASK, "name": f"nightly of acme, {name}", "policies": {"concurrency": {"key": "a key"}}}
    )
    execution = acme.make(f"/api/tasks/{task['itemId']}/run", {})
    token = acme.make("/api/tokens", {"name": "spare", "role": "viewer"})
    calendar = name.replace(" ", "-")
    return {"task": task["itemId"], "execution": execution["id"], "calendar": calendar, "token": token["id"]}


@pytest.fixture(scope="module")
def kept(house: House) -> House:
    """The same people with things that nobody removes who may."""
    return House(house.root, house.people, things(house.people["administrator"], "kept"))


@pytest.fixture(scope="module")
def house(running: Running) -> House:
    root = Person(running.url, running.token)
    people = {role.value: root.with_token(role=role, tenant="acme", user=role) for role in Role}
    people["whole"] = root.with_token(role="administrator", user="whole")
    people["stranger"] = root.with_token(role="administrator", tenant="globex", user="stranger")
    people["own"] = root.with_token(role="administrator", tenant="acme", user="own", own=True)
    people["nobody"] = Person(running.url, None)
    return House(root, people, things(people["administrator"], "used up"))


def test_every_operation_has_an_example() -> None:
    assert set(EXAMPLES) == set(BY_NAME)
    for operation in OPERATIONS:
        needed = {argument.name for argument in operation.arguments if argument.required}
        assert needed <= set(EXAMPLES[operation.name]), operation.name


@pytest.mark.parametrize("operation", [one for one in OPERATIONS if one.permission != "none"], ids=lambda one: one.name)
def test_a_role_gets_what_it_may_have_and_nothing_else(house: House, operation: Operation) -> None:
    assert house.people["nobody"].ask(operation, house.example(operation)).status_code == 401
    for role in Role:
        answer = house.people[role].ask(operation, house.example(operation))
        may = role in ALLOWED[operation.permission] and not operation.whole
        if may:
            assert answer.status_code not in (*REFUSALS, 500), f"{role}: {answer.text}"
        else:
            assert answer.status_code == 403, f"{role}: {answer.status_code} {answer.text}"
            assert operation.name in answer.json()["message"]
    if operation.whole:
        answer = house.people["whole"].ask(operation, house.example(operation))
        assert answer.status_code not in (*REFUSALS, 500), answer.text


NAMING = [
    operation
    for operation in OPERATIONS
    if any(mark in str(EXAMPLES.get(operation.name, "")) for mark in ("{task}", "{execution}", "{calendar}", "{token}"))
]


def belongs_to_the_tenant(operation: Operation) -> bool:
    """Calendars and tokens are a tenant's, not a user's."""
    return "calendar" in operation.name or operation.name == "revoke_token"


OTHERS = [
    pytest.param(who, operation, id=f"{who}-{operation.name}")
    for who in ("stranger", "own")
    for operation in NAMING
    if who == "stranger" or not belongs_to_the_tenant(operation)
]


@pytest.mark.parametrize(("who", "operation"), OTHERS)
def test_what_belongs_to_others_is_not_there(kept: House, operation: Operation, who: str) -> None:
    answer = kept.people[who].ask(operation, kept.example(operation))
    assert answer.status_code == 404, answer.text
    assert "nightly" not in answer.text and "eu" not in answer.text
    for path in ("tasks/{task}", "executions/{execution}", "calendars/{calendar}"):
        found = kept.people["administrator"].send("GET", f"/api/{filled(path, kept.made)}")
        assert found.status_code == 200, "it is there for those whose it is"


LISTS = [
    operation
    for operation in OPERATIONS
    if operation.method == "GET" and operation not in NAMING and operation.permission != "none" and not operation.whole
]


@pytest.mark.parametrize("operation", LISTS, ids=lambda one: one.name)
@pytest.mark.parametrize("who", ["stranger", "own"])
def test_lists_and_totals_hold_nothing_of_others(kept: House, operation: Operation, who: str) -> None:
    answer = kept.people[who].ask(operation, kept.example(operation))
    assert answer.status_code == 200, answer.text
    hidden = [kept.made["task"], kept.made["execution"], "nightly of acme, kept"]
    if who == "stranger":
        hidden += ["acme", kept.made["calendar"], "a key", kept.made["token"]]
    for word in hidden:
        assert word not in answer.text, answer.text


@pytest.mark.parametrize("who", ["stranger", "own"])
def test_no_way_of_naming_leads_to_what_belongs_to_others(kept: House, who: str) -> None:
    task, execution = kept.made["task"], kept.made["execution"]
    for reference in (task, task[:24], task.upper(), "nightly of acme, kept", execution):
        for operation in ("show_task", "why", "find_task", "list_executions"):
            name = "reference" if operation == "find_task" else "task"
            answer = kept.people[who].ask(BY_NAME[operation], {name: reference})
            assert answer.status_code == 404, (operation, reference, answer.text)


def test_a_task_waits_for_none_of_another_tenant(kept: House) -> None:
    body = {**TASK, "name": "waits", "dependencies": {"parents": [kept.made["task"]]}}
    answer = kept.people["stranger"].send("POST", "/api/tasks", json=body)
    assert answer.status_code == 400 and "no task" in answer.json()["message"]
    body = {**TASK, "name": "off", "trigger": {"every": "1h", "calendars": [kept.made["calendar"]]}}
    assert kept.people["stranger"].send("POST", "/api/tasks", json=body).status_code == 400
    assert kept.people["operator"].send("POST", "/api/tasks", json=body).status_code == 201


def test_totals_are_those_of_the_tenant(kept: House) -> None:
    counts = BY_NAME["counts"]
    assert kept.people["stranger"].ask(counts, {}).json()["tasks"] <= 1
    assert kept.people["administrator"].ask(counts, {}).json()["tasks"] >= 1
    listed = kept.people["stranger"].ask(BY_NAME["list_tasks"], {"text": "nightly"}).json()
    assert (listed["list"], listed["totalSize"]) == ([], 0)


def test_who_names_a_tenant_in_a_header_sees_that_one(kept: House) -> None:
    task = f"/api/tasks/{kept.made['task']}"
    assert kept.root.send("GET", task).status_code == 200
    assert kept.root.send("GET", task, headers={"Tocsin-Tenant": "acme"}).status_code == 200
    assert kept.root.send("GET", task, headers={"Tocsin-Tenant": "globex"}).status_code == 404
    assert kept.people["stranger"].send("GET", task, headers={"Tocsin-Tenant": "acme"}).status_code == 403
    assert kept.root.send("GET", task, headers={"Tocsin-Tenant": "x" * 600}).status_code == 400
    by_name = "/api/task?reference=nightly of acme, kept"
    assert kept.root.send("GET", by_name).status_code == 404
    assert kept.root.send("GET", by_name, headers={"Tocsin-Tenant": "acme"}).status_code == 200


def test_names_are_each_tenants_own(kept: House) -> None:
    for who in ("administrator", "stranger"):
        made = kept.people[who].make("/api/tasks", {**TASK, "name": "the same name"})
        found = kept.people[who].send("GET", "/api/task?reference=the same name").json()
        assert found["itemId"] == made["itemId"]
        assert found["tenant"] == {"administrator": "acme", "stranger": "globex"}[who]


@pytest.mark.parametrize(
    "field", ["tenant", "owner", "fence", "version", "status", "node", "itemId", "nextScheduledExecution", "createdAt"]
)
def test_what_the_node_sets_is_not_taken_from_a_body(kept: House, field: str) -> None:
    body = {**TASK, "name": f"sets {field}", field: "globex"}
    answer = kept.people["operator"].send("POST", "/api/tasks", json=body)
    assert answer.status_code == 400, answer.text
    assert field in answer.json()["message"]


def test_who_sees_his_own_tasks_works_with_these(kept: House) -> None:
    mine = kept.people["own"].make("/api/tasks", {**TASK, "name": "my own"})
    assert mine["owner"] == "own"
    listed = kept.people["own"].send("GET", "/api/tasks").json()
    assert (
        {row["owner"] for row in listed["list"]} == {"own"}
        if "owner" in listed["list"][0]
        else listed["totalSize"] >= 1
    )
    assert kept.people["administrator"].send("GET", f"/api/tasks/{mine['itemId']}").status_code == 200
    refused = kept.people["own"].send("POST", "/api/tokens", json={"name": "wider", "role": "viewer"})
    assert refused.status_code == 403
