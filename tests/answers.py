"""Every answer of a node over REST is checked against the OpenAPI document, whichever test has asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any
from unittest import mock

import httpx
import jsonschema_rs

from tocsin.api.openapi import document, matching_path

MEDIA = "application/json"


def validator(schema: dict[str, Any]) -> jsonschema_rs.Validator:
    """A validator for a schema of the document, which may refer to its components."""
    whole = {**schema, "components": document()["components"]}
    return jsonschema_rs.Draft202012Validator(whole, validate_formats=True)


@cache
def answer_validator(path: str, method: str, status: str) -> jsonschema_rs.Validator | None:
    """The validator of one answer; None for one without a body. Raises AssertionError for one that is not in the document."""
    operation = document()["paths"][path].get(method)
    assert operation is not None, f"{method} {path} is not in the document"
    assert status in operation["responses"], f"{method} {path} answers {status}, which is not in the document"
    response = operation["responses"][status]
    if "$ref" in response:
        response = document()["components"]["responses"][response["$ref"].rpartition("/")[2]]
    return validator(response["content"][MEDIA]["schema"]) if MEDIA in response.get("content", {}) else None


def complaints(method: str, path: str, status: int, media: str, body: Any) -> list[str]:
    """What is wrong with an answer. Paths and methods that are none of ours are no matter of the document."""
    template = matching_path(path)
    if template is None or status == 405 or method == "HEAD":
        return []
    found = answer_validator(template, method.lower(), str(status))
    if found is None:
        return []
    where = f"{method} {path}: {status}"
    if not media.startswith(MEDIA):
        return [f"{where}: {media or 'no content type'}, not {MEDIA}"]
    return [f"{where}: {'/'.join(map(str, error.instance_path))}: {error.message}" for error in found.iter_errors(body)]


def is_an_answer(request: httpx.Request, response: httpx.Response) -> bool:
    """Whether the document says something about it; what is streamed is not read here."""
    return request.url.path.startswith(("/api/", "/cxs/")) and response.headers.get("content-type", "").startswith(
        MEDIA
    )


def check(request: httpx.Request, response: httpx.Response) -> None:
    """Fail for an answer, which was read, that is not what the document says."""
    media = response.headers["content-type"]
    found = complaints(request.method, request.url.path, response.status_code, media, response.json())
    assert not found, found


@contextmanager
def all_answers_checked() -> Iterator[None]:
    """Inside, whoever asks a node with one of httpx's clients fails if the answer is not what the document says."""
    send, send_async = httpx.HTTPTransport.handle_request, httpx.AsyncHTTPTransport.handle_async_request

    def checked(transport: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
        response = send(transport, request)
        if is_an_answer(request, response):
            response.read()
            check(request, response)
        return response

    async def checked_async(transport: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        response = await send_async(transport, request)
        if is_an_answer(request, response):
            await response.aread()
            check(request, response)
        return response

    with (
        mock.patch.object(httpx.HTTPTransport, "handle_request", checked),
        mock.patch.object(httpx.AsyncHTTPTransport, "handle_async_request", checked_async),
    ):
        yield
