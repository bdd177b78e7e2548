"""What a request says, checked against the table of operations."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from runtime.errors import InvalidRequest

from ..operations.table import Argument, Operation
from ..settings.config import suggestion
from ..vocabulary.fields import parse_instant, show, whole_number

_FLAGS: Final = {"true": True, "1": True, "false": False, "0": False}

NO_HEADERS: Final[Mapping[str, str]] = {}

EMPTY: Final = b"{}"
"""What some clients send wherever a body may be, and says nothing."""

MAX_DEPTH_HINT: Final = "nested too deeply"


def read_arguments(
    operation: Operation,
    path: Mapping[str, Any],
    query: Mapping[str, str],
    repeated: list[str],
    body: bytes,
    headers: Mapping[str, str] = NO_HEADERS,
) -> dict[str, Any]:
    """Every argument of the operation by name, defaults filled in.

    repeated: keys that the query has more than once. headers: by their names in any letter case. Raises InvalidRequest for
    unknown, repeated, missing and wrong ones.
    """
    wanted = {argument.name: argument for argument in operation.arguments if argument.where == "query"}
    for key in query:
        if key not in wanted:
            raise InvalidRequest(f"unknown query parameter {show(key)}{suggestion(key, list(wanted))}")
        if key in repeated:
            raise InvalidRequest(f"{key}: given more than once")
    found: dict[str, Any] = {}
    for argument in operation.arguments:
        match argument.where:
            case "path":
                found[argument.name] = str(path[argument.name])
            case "query":
                found[argument.name] = _read_query(argument, query.get(argument.name))
            case "header":
                found[argument.name] = _read_query(argument, headers.get(argument.name))
            case "body":
                found[argument.name] = read_body(body, argument.required)
    says_nothing = not body or (operation.method in ("POST", "PUT") and body.strip() == EMPTY)
    if not says_nothing and not operation.takes_body:
        raise InvalidRequest(f"{operation.name} takes no body, not {len(body)} bytes")
    return found


def _read_query(argument: Argument, text: str | None) -> Any:
    if text is None:
        if argument.required:
            raise InvalidRequest(f"{argument.name}: required")
        return argument.default
    if len(text) > argument.longest:
        raise InvalidRequest(f"{argument.name}: at most {argument.longest} characters, not {len(text)}")
    match argument.kind:
        case "whole":
            number: object = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else text
            return whole_number(number, argument.name, argument.low, argument.high)
        case "flag":
            if text.lower() not in _FLAGS:
                raise InvalidRequest(f"{argument.name}: true or false, not {show(text)}")
            return _FLAGS[text.lower()]
        case "instant":
            # A plus sign in a query means a space unless it was escaped; no time has one of its own there.
            return parse_instant(text.replace(" ", "+") if "T" in text else text, argument.name)
        case _:
            return text


def read_body(body: bytes, required: bool) -> Any:
    """The object that a body is; None for an empty one that is not required."""
    if not body.strip():
        if required:
            raise InvalidRequest("body: a JSON object, not nothing")
        return None
    found = _read_json(body)
    if not isinstance(found, dict):
        # What is false would otherwise be taken for a body that is not there.
        raise InvalidRequest(f"body: an object, not {show(found)}")
    return found


def _read_json(body: bytes) -> Any:
    try:
        return json.loads(body, parse_constant=_refuse_constant, object_pairs_hook=_object)
    except RecursionError:
        raise InvalidRequest(f"body: {MAX_DEPTH_HINT}") from None
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"body: not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise InvalidRequest(f"body: not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    except InvalidRequest:
        raise
    except ValueError as error:
        raise InvalidRequest(f"body: {error}") from None


def _refuse_constant(name: str) -> Any:
    raise InvalidRequest(f"body: {name} is not JSON")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        double = next(key for key in keys if keys.count(key) > 1)
        raise InvalidRequest(f"body: the key {show(double)} is there more than once")
    return found
