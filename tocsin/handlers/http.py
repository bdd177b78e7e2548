"""The task type `http`: ask a web server for something and look at how it answers.

Redirects are not followed, and proxies that the environment names are not used: what is written is what is asked, if it is public
or allowed (`reachable`).
"""

from __future__ import annotations

import functools
import re
import ssl
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

import httpx
import trio

from actors.handling.context import Context
from runtime.errors import InvalidRequest
from runtime.trace_context import outgoing

from .reachable import Address, Network, Unreachable, checked_addresses, unlogged

ALLOWED: Final = "http.allowed"
"""The setting of the networks that may be reached although they are not public."""

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


def make_http(allowed: Sequence[Network] = ()) -> Callable[..., Coroutine[Any, Any, dict[str, Any]]]:
    """The handler. `allowed`: networks that it may reach although they are not public."""

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
        parsed = _parsed(url)
        shown, began = f"{method} {_without_secrets(parsed)}", trio.current_time()
        try:
            with trio.fail_after(timeout_seconds), unlogged():
                status, beginning = await _ask(parsed, method, headers or {}, body, timeout_seconds, allowed)
        except trio.TooSlowError:
            raise HttpFailed(f"{shown}: no answer within {timeout_seconds:g} s") from None
        except Unreachable as error:
            raise HttpFailed(f"{shown}: {error}") from None
        except httpx.HTTPError as error:
            raise HttpFailed(f"{shown}: {type(error).__name__}: {error}") from error
        elapsed = round((trio.current_time() - began) * 1000, 1)
        ctx.log.info("%s: %d in %g ms", shown, status, elapsed)
        if not matches(status, expect):
            raise HttpFailed(f"{shown} answered {status}, expected {expect}: {beginning[:500]}")
        return {"status": status, "elapsed_ms": elapsed, "body": beginning}

    return http


async def _ask(
    url: httpx.URL, method: str, headers: dict[str, str], body: str | None, seconds: float, allowed: Sequence[Network]
) -> tuple[int, str]:
    """The status of the answer and the beginning of its body."""
    port = url.port or (443 if url.scheme == "https" else 80)
    addresses = await checked_addresses(url.raw_host.decode("ascii"), port, allowed, ALLOWED)
    verify = _trusted() if url.scheme == "https" else False
    async with httpx.AsyncClient(verify=verify, trust_env=False, timeout=seconds) as client:
        for index, address in enumerate(addresses, 1):
            request = _request(client, url, address, method, headers, body)
            try:
                response = await client.send(request, stream=True)
            except httpx.ConnectError:
                if index == len(addresses):
                    raise
                continue
            try:
                return response.status_code, await _beginning(response)
            finally:
                await response.aclose()
    raise AssertionError("a name without addresses is refused before")


def _request(
    client: httpx.AsyncClient, url: httpx.URL, address: Address, method: str, headers: dict[str, str], body: str | None
) -> httpx.Request:
    """The request as if to the name, on its way to the address: the certificate must be the name's.

    What is compressed is not asked for: a small answer must not become a large one in memory.
    """
    own = httpx.Headers({"Host": url.netloc.decode("ascii"), "Accept-Encoding": "identity"} | outgoing())
    own.update(headers)
    return client.build_request(
        method,
        url.copy_with(host=str(address)),
        headers=own,
        content=body,
        extensions={"sni_hostname": url.raw_host.decode("ascii")},
    )


def _parsed(url: str) -> httpx.URL:
    try:
        return httpx.URL(url)
    except httpx.InvalidURL as error:
        raise HttpFailed(f"url: {error}") from None


def _without_secrets(url: httpx.URL) -> str:
    """An address for messages and logs: without user, password and what was asked, where people put keys."""
    shown = str(url.copy_with(userinfo=b"", query=None, fragment=None))
    return f"{shown}?..." if url.query else shown


def matches(status: int, expected: Expected) -> bool:
    """Whether a status is one of those expected."""
    if isinstance(expected, str):
        return str(status).startswith(expected.rstrip("x"))
    return status in expected


async def _beginning(response: httpx.Response) -> str:
    kept = bytearray()
    # Whoever compresses although it was not asked for is shown as he answers: nothing is unpacked.
    packed = "content-encoding" in response.headers
    async for data in response.aiter_raw() if packed else response.aiter_bytes():
        kept += data[: MAX_BODY - len(kept)]
    return kept.decode(errors="replace")


@functools.cache
def _trusted() -> ssl.SSLContext:
    """Loading the certificates takes some ten milliseconds; one context serves all requests."""
    return httpx.create_ssl_context(trust_env=False)
