"""The task type `http`: ask a web server for something and look at how it answers.

Redirects are not followed, and proxies that the environment names are not used: what is written is what is asked.
"""

from __future__ import annotations

import functools
import re
import ssl
from typing import Any, Final

import httpx
import trio

from actors.handling.context import Context
from runtime.errors import InvalidRequest

MAX_BODY: Final = 16 * 1024
"""Bytes kept of the answer's body: enough to see what it says. The rest is read and dropped, within the same timeout."""

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

Expected = list[int] | str
"""Statuses, or a pattern like `2xx`."""


class HttpFailed(Exception):
    """No answer, or one with a status that was not expected."""


def check_http(parameters: dict[str, Any]) -> None:
    """Raise InvalidRequest for parameters that no request can be made of."""
    url = parameters["url"]
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise InvalidRequest(f"url: {url!r} is no URL: {error}") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise InvalidRequest(f"url must begin with http:// or https:// and name a host, not {url!r}")
    method = parameters.get("method", "GET")
    if method not in METHODS:
        raise InvalidRequest(f"method must be one of {', '.join(METHODS)}, not {method!r}")
    if (timeout := parameters.get("timeout_seconds", 10)) <= 0:
        raise InvalidRequest(f"timeout_seconds must be above 0, not {timeout!r}")
    _check_expected(parameters.get("expect", "2xx"))
    try:
        httpx.Headers(parameters.get("headers") or {}).raw  # noqa: B018
    except UnicodeEncodeError as error:
        raise InvalidRequest(f"headers: {error.object!r} is not ASCII") from None


def _check_expected(expected: Expected) -> None:
    if isinstance(expected, str):
        if not re.fullmatch("[1-5](xx|[0-9]{2})", expected):
            raise InvalidRequest(f"expect must be statuses or a pattern like '2xx', not {expected!r}")
    elif not expected or not all(100 <= status <= 599 for status in expected):
        raise InvalidRequest(f"expect must hold statuses from 100 to 599, not {expected!r}")


async def http(
    ctx: Context,
    *,
    url: str,
    method: str = "GET",
    headers: dict[str, str] | None = None,
    body: str | None = None,
    expect: Expected = "2xx",
    timeout_seconds: float = 10,
) -> dict[str, Any]:
    """Make a request. The result has its status, how long it took, and the beginning of the body.

    `expect`: the statuses that count as success, or a pattern like `2xx`. `timeout_seconds` is for the whole of it.
    """
    verify = _trusted() if url.startswith("https") else False
    began = trio.current_time()
    try:
        with trio.fail_after(timeout_seconds):
            async with (
                httpx.AsyncClient(verify=verify, trust_env=False, timeout=timeout_seconds) as client,
                client.stream(method, url, headers=headers, content=body) as response,
            ):
                beginning = await _beginning(response)
    except trio.TooSlowError:
        raise HttpFailed(f"{method} {url}: no answer within {timeout_seconds:g} s") from None
    except httpx.HTTPError as error:
        raise HttpFailed(f"{method} {url}: {type(error).__name__}: {error}") from error
    elapsed = round((trio.current_time() - began) * 1000, 1)
    ctx.log.info("%s %s: %d in %g ms", method, url, response.status_code, elapsed)
    if not matches(response.status_code, expect):
        raise HttpFailed(f"{method} {url} answered {response.status_code}, expected {expect}: {beginning[:500]}")
    return {"status": response.status_code, "elapsed_ms": elapsed, "body": beginning}


def matches(status: int, expected: Expected) -> bool:
    """Whether a status is one of those expected."""
    if isinstance(expected, str):
        return str(status).startswith(expected.rstrip("x"))
    return status in expected


async def _beginning(response: httpx.Response) -> str:
    kept = bytearray()
    async for data in response.aiter_bytes():
        kept += data[: MAX_BODY - len(kept)]
    return kept.decode(errors="replace")


@functools.cache
def _trusted() -> ssl.SSLContext:
    """Loading the certificates takes some ten milliseconds; one context serves all requests."""
    return httpx.create_ssl_context(trust_env=False)
