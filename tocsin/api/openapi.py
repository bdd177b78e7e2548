"""The OpenAPI document, made from the table of operations and the schemas.

Paths are whole (`/api/tasks`), so that the routes of the seed stand beside them under `/cxs`. `x-permission` says what a caller
needs, `x-operation` which operation of the table a route is.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import metadata
from typing import Any, Final

from runtime import errors

from ..live.operation import FOLLOW
from ..operations.error_table import ErrorRow, row_of, rows_of_status, title_of_status
from ..operations.table import OPERATIONS, Argument, Operation
from .schemas.access import SESSION_ANSWERS
from .schemas.given import PARAMETERS
from .schemas.parts import ANY, OBJECT, TEXT, Schema, about, choice, closed, ref, whole
from .schemas.tables import ANSWERS, BODIES, COMPONENTS

Json = dict[str, Any]

DOCUMENT_PATH: Final = "/api/openapi.json"
DOCS_PATH: Final = "/api/docs"
METRICS_PATH: Final = "/metrics"
SESSION_PATH: Final = "/api/session"
TICKET_PATH: Final = f"{SESSION_PATH}/ticket"
SOCKET_PATH: Final = "/api/ws"
PREFIXES: Final = {"/api": "", "/cxs": "cxs_"}
"""Where routes begin -> what the ids of their operations begin with."""

_ANY_CALL: Final = (
    errors.Forbidden,
    errors.InvalidRequest,
    errors.MailboxFull,
    errors.StoreUnavailable,
    errors.TocsinError,
)
"""What every operation may answer with: a name that is not the node's, an unknown query parameter, too many at once, a node that
stops, a bug."""

_WITH_TOKEN: Final = (errors.Unauthenticated,)

_MEDIA: Final = "application/json"
_TAG_OF_OTHERS: Final = "about"

_ABOUT: Final = (
    "Tasks, their executions and the nodes that run them. The routes under `/cxs` are those of Apache Unomi's task API. "
    "Times are RFC 3339 in UTC, durations texts such as `30s` or `1h30m`. Every error has the body `{error, code, message}`, "
    "`code` being the status as a text."
)


@cache
def document() -> Json:
    """The whole document. It is the same for every node of this version."""
    return {
        "openapi": "3.1.1",
        "info": {"title": "Tocsin", "version": metadata.version("tocsin"), "description": _ABOUT},
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}],
        "tags": [{"name": tag} for tag in dict.fromkeys([*map(tag_of, OPERATIONS), _TAG_OF_OTHERS])],
        "paths": _paths(),
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            "schemas": {**COMPONENTS, **_error_schemas()},
            "responses": {f"Error{status}": _error_response(status) for status in _statuses()},
        },
    }


def _paths() -> Json:
    found: Json = {}
    for prefix, mark in PREFIXES.items():
        for operation in OPERATIONS:
            if not mark or operation.seed:
                path = found.setdefault(f"{prefix}{operation.path}", {})
                path[operation.method.lower()] = _operation(operation, mark)
    return found | _others()


_EVERYWHERE: Final = Argument(
    "everywhere", "query", "flag", "end all sessions that were begun with the same token", default=False
)


def _others() -> Json:
    """The routes that are no operations of the table: what they answer is no JSON about tasks."""
    return {
        METRICS_PATH: _other("metrics", "Figures in the text format of Prometheus", "viewer", "text/plain"),
        DOCUMENT_PATH: _other("openapi", "This document", "none", _MEDIA, OBJECT),
        f"/api{FOLLOW.path}": {"get": _stream(FOLLOW)},
        SOCKET_PATH: _socket(),
        DOCS_PATH: _other("docs", "This document as a page", "none", "text/html"),
        SESSION_PATH: {
            "post": _about_session(
                "log_in",
                "Begin a session of the console with a token, or with a ticket: `Authorization: Ticket ...`",
                SESSION_ANSWERS["log_in"],
            ),
            "get": _about_session("show_session", "Who asks", SESSION_ANSWERS["show_session"]),
            "delete": _about_session("log_out", "End the session") | {"parameters": [_parameter(_EVERYWHERE)]},
        },
        TICKET_PATH: {
            "post": _about_session(
                "add_ticket",
                "A ticket for a browser: it begins one session, within a minute",
                SESSION_ANSWERS["add_ticket"],
            ),
        },
    }


def _other(name: str, words: str, permission: str, media: str, schema: Schema = TEXT) -> Json:
    shown: Json = {
        "operationId": name,
        "summary": words,
        "tags": [_TAG_OF_OTHERS],
        "x-operation": name,
        "x-permission": permission,
        "responses": {"200": {"description": words, "content": {media: {"schema": schema}}}},
    }
    shown["responses"] |= {"403": _error(403)}
    if permission == "none":
        return {"get": shown | {"security": []}}
    shown["responses"] |= {str(status): _error(status) for status in (401, 403, 429, 500, 503)}
    return {"get": shown}


_LAST_EVENT: Final = Argument("Last-Event-ID", "header", "text", "the id of the last event that was seen")


def _stream(operation: Operation) -> Json:
    """An operation whose answer is a stream of events."""
    shown = _operation(operation, "")
    shown["parameters"].append(_parameter(_LAST_EVENT))
    shown["responses"]["200"]["content"] = {"text/event-stream": {"schema": TEXT}}
    return shown


def _socket() -> Json:
    """The WebSocket channel: what is said over it is described in the guide about channels."""
    words = "Task types invoked over a WebSocket; its messages are JSON objects: invoke, cancel, ping"
    shown = _other("socket", words, "operator", _MEDIA)
    problem = {"error": TEXT, "code": {"const": "426", "type": "string"}, "message": TEXT}
    del shown["get"]["responses"]["200"]
    shown["get"]["responses"] |= {
        "101": {"description": "The connection is a WebSocket from here on"},
        "426": {"description": "The request asks for no WebSocket", "content": {_MEDIA: {"schema": closed(problem)}}},
    }
    return shown


def _about_session(name: str, words: str, answer: Schema | None = None) -> Json:
    """A route of the console's sessions, for whoever has any role."""
    success: Json = {"description": words}
    if answer is not None:
        success["content"] = {_MEDIA: {"schema": answer}}
    return {
        "operationId": name,
        "summary": words,
        "tags": [_TAG_OF_OTHERS],
        "x-operation": name,
        "x-permission": "none",
        "responses": {
            "204" if answer is None else "200": success,
            **{str(status): _error(status) for status in (400, 401, 403, 429, 500, 503)},
        },
    }


def _error(status: int) -> Json:
    return {"$ref": f"#/components/responses/Error{status}"}


def tag_of(operation: Operation) -> str:
    """What an operation is about: the first part of its path."""
    return operation.path.strip("/").split("/")[0]


def _operation(operation: Operation, mark: str) -> Json:
    shown: Json = {
        "operationId": f"{mark}{operation.name}",
        "summary": operation.about,
        "tags": [tag_of(operation)],
        "x-operation": operation.name,
        "x-permission": operation.permission,
        "parameters": [_parameter(argument) for argument in operation.arguments if argument.where != "body"],
        "responses": _responses(operation),
    }
    if operation.permission == "none":
        # The token is not needed, but who has one may be told more.
        shown["security"] = [{}, {"bearer": []}]
    for argument in operation.arguments:
        if argument.where == "body":
            content = {_MEDIA: {"schema": BODIES.get(operation.name, OBJECT)}}
            shown["requestBody"] = {"required": argument.required, "content": content}
    return shown


def _parameter(argument: Argument) -> Json:
    required = argument.required or argument.where == "path"
    return {
        "name": argument.name,
        "in": argument.where,
        "description": argument.about,
        "required": required,
        "schema": parameter_schema(argument),
    }


def parameter_schema(argument: Argument) -> Schema:
    """What a parameter of a path or a query may be."""
    default = {} if argument.default is None else {"default": argument.default}
    match argument.kind:
        case "whole":
            return whole(argument.low, argument.high) | default
        case "flag":
            return {"type": "boolean"} | default
        case "instant":
            return {"type": "string", "format": "date-time"}
        case _ if argument.name in PARAMETERS:
            return PARAMETERS[argument.name]
        case _:
            longest = {"maxLength": argument.longest} if argument.where != "path" else {}
            return {"type": "string", "minLength": 1} | longest if argument.where == "path" else {**TEXT, **longest}


_LATER: Final = "It goes on; its Location tells later how it ended"


def _responses(operation: Operation) -> Json:
    success: Json = {"description": operation.about}
    answer = ANSWERS.get(operation.name, ANY)
    if answer is not None:
        success["content"] = {_MEDIA: {"schema": answer}}
    found: Json = {str(operation.status): success}
    if operation.later:
        found["202"] = success | {"description": _LATER, "headers": {"Location": {"schema": TEXT}}}
    for status in error_statuses(operation):
        found[str(status)] = _error(status)
    return found


def error_statuses(operation: Operation) -> list[int]:
    """The statuses of the errors that an operation may answer with."""
    found = {*operation.errors, *_ANY_CALL}
    if operation.permission != "none":
        found.update(_WITH_TOKEN)
    if operation.takes_body:
        found.add(errors.TooLarge)
    if any(argument.where == "path" for argument in operation.arguments):
        found.add(errors.NotFound)
    return sorted({row_of(error()).status for error in found})


def _statuses() -> list[int]:
    return sorted({status for operation in OPERATIONS for status in error_statuses(operation)})


def _titles(rows: list[ErrorRow]) -> list[str]:
    return list(dict.fromkeys(row.title for row in rows))


def _error_schemas() -> dict[str, Schema]:
    return {
        f"Error{status}": closed(
            {
                "error": about(choice(_titles(rows_of_status(status))), "what kind of error it is"),
                "code": about({"const": str(status), "type": "string"}, "the status, as a text"),
                "message": about(TEXT, "for people"),
            }
        )
        for status in _statuses()
    }


def _error_response(status: int) -> Json:
    return {
        "description": title_of_status(status),
        "content": {_MEDIA: {"schema": ref(f"Error{status}")}},
    }


def matching_path(path: str) -> str | None:
    """The path of the document that a request's path is; None if it is none. One without parameters comes first."""
    fitting = [template for template, pattern in _patterns() if pattern.fullmatch(path)]
    return min(fitting, key=lambda template: template.count("{"), default=None)


@cache
def _patterns() -> list[tuple[str, re.Pattern[str]]]:
    return [
        (template, re.compile(re.sub(r"\\\{[a-zA-Z]+\\\}", "[^/]+", re.escape(template))))
        for template in document()["paths"]
    ]
