"""The OpenAPI document: complete, well formed, and as the node answers."""

from __future__ import annotations

from typing import Any, Literal

import jsonschema_rs
import pytest

from actors.handling.parameter_schema import annotation_schema, parameters_schema
from tests.answers import complaints, validator
from tests.tocsin.conftest import greet
from tocsin.api.openapi import document, error_statuses, matching_path, parameter_schema
from tocsin.api.schemas.tables import ANSWERS, BODIES
from tocsin.operations.table import OPERATIONS, Operation

NAMES = [operation.name for operation in OPERATIONS]
OPERATION = pytest.mark.parametrize("operation", OPERATIONS, ids=NAMES)


@OPERATION
def test_every_operation_says_what_it_takes_and_answers(operation: Operation) -> None:
    assert operation.name in ANSWERS, "its answer belongs into a table of tocsin/api/schemas"
    assert (ANSWERS[operation.name] is None) is (operation.status == 204)
    assert (operation.name in BODIES) is operation.takes_body, "its body belongs into a table of tocsin/api/schemas"


def test_nothing_is_described_that_is_no_operation() -> None:
    assert ANSWERS.keys() | BODIES.keys() <= set(NAMES)


@OPERATION
def test_every_operation_is_in_the_document(operation: Operation) -> None:
    prefixes = {"/api": "", "/cxs": "cxs_"} if operation.seed else {"/api": ""}
    for prefix, mark in prefixes.items():
        shown = document()["paths"][f"{prefix}{operation.path}"][operation.method.lower()]
        assert shown["operationId"] == f"{mark}{operation.name}"
        assert shown["x-permission"] == operation.permission
        assert str(operation.status) in shown["responses"]
        assert {str(status) for status in error_statuses(operation)} <= shown["responses"].keys()
        assert ("requestBody" in shown) is operation.takes_body
        named = {one["name"]: one for one in shown["parameters"]}
        assert named.keys() == {one.name for one in operation.arguments if one.where != "body"}
        for argument in operation.arguments:
            if argument.where != "body":
                assert named[argument.name]["schema"] == parameter_schema(argument)
                assert named[argument.name]["required"] is (argument.required or argument.where == "path")
    assert operation.seed or f"/cxs{operation.path}" not in document()["paths"]


def schemas_in(value: Any) -> list[dict[str, Any]]:
    """Every schema of the document that stands by itself."""
    found: list[dict[str, Any]] = [*document()["components"]["schemas"].values()]

    def walk(part: Any) -> None:
        if isinstance(part, dict):
            if isinstance(part.get("schema"), dict):
                found.append(part["schema"])
            else:
                for inner in part.values():
                    walk(inner)
        elif isinstance(part, list):
            for inner in part:
                walk(inner)

    walk(document()["paths"])
    return found


def test_every_schema_is_one() -> None:
    schemas = schemas_in(document())
    assert len(schemas) > len(OPERATIONS)
    for schema in schemas:
        jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})
        validator(schema)


def test_objects_are_closed_or_say_what_they_hold() -> None:
    """An object with known fields takes no other ones, so that a new field is told to the document."""

    def check(part: Any, path: str) -> None:
        if isinstance(part, dict):
            if isinstance(part.get("properties"), dict):
                assert part.get("additionalProperties") is False, path
            for key, inner in part.items():
                check(inner, f"{path}/{key}")
        elif isinstance(part, list):
            for index, inner in enumerate(part):
                check(inner, f"{path}/{index}")

    check(document()["components"]["schemas"], "")
    check(document()["paths"], "")


def test_every_reference_leads_somewhere() -> None:
    components = document()["components"]
    seen = set()

    def check(part: Any) -> None:
        if isinstance(part, dict):
            target = part.get("$ref")
            if isinstance(target, str):
                _, where, kind, name = target.split("/")
                assert where == "components"
                assert name in components[kind], target
                seen.add(name)
            for inner in part.values():
                check(inner)
        elif isinstance(part, list):
            for inner in part:
                check(inner)

    check(document())
    assert seen == components["schemas"].keys() | components["responses"].keys()


def test_paths_of_requests_are_found() -> None:
    assert matching_path("/api/tasks/a%20b/config") == "/api/tasks/{task}/config"
    assert matching_path("/cxs/tasks") == "/cxs/tasks"
    assert matching_path("/cxs/nodes") is None
    assert matching_path("/api/tasks/a/b") is None


def test_a_wrong_answer_is_noticed() -> None:
    good = {"paused": True, "since": "2026-03-01T12:00:00Z", "by": "me", "note": None}
    assert complaints("GET", "/api/scheduler", 200, "application/json", good) == []
    for wrong in ({"paused": 1}, {"since": "yesterday"}, {"note": 5}, {"more": None}):
        assert complaints("GET", "/api/scheduler", 200, "application/json", good | wrong), wrong
    assert complaints("GET", "/api/scheduler", 200, "text/plain", good)
    assert complaints("GET", "/api/scheduler", 200, "application/json", {"paused": True})
    error = {"error": "Not authenticated", "code": "401", "message": "a bearer token is needed"}
    assert complaints("GET", "/api/scheduler", 401, "application/json", error) == []
    for wrong in ({"code": 401}, {"code": "400"}, {"error": "Nope"}, {"more": None}):
        assert complaints("GET", "/api/scheduler", 401, "application/json", error | wrong), wrong
    with pytest.raises(AssertionError, match="answers 418"):
        complaints("GET", "/api/scheduler", 418, "application/json", error)


def test_parameters_of_a_handler_are_a_schema() -> None:
    assert parameters_schema(greet) == {
        "type": "object",
        "properties": {
            "region": {"type": "string", "default": "eu"},
            "count": {"type": "integer", "default": 1},
        },
        "required": [],
        "additionalProperties": False,
    }


@pytest.mark.parametrize(
    ("annotation", "schema"),
    [
        (list[int], {"type": "array", "items": {"type": "integer"}}),
        (dict[str, float], {"type": "object", "additionalProperties": {"type": "number"}}),
        (str | None, {"anyOf": [{"type": "string"}, {"type": "null"}]}),
        (Literal["a", 1], {"enum": ["a", 1]}),
        (bytes, {}),
        (Any, {}),
    ],
)
def test_annotations_are_schemas(annotation: Any, schema: dict[str, Any]) -> None:
    assert annotation_schema(annotation) == schema
