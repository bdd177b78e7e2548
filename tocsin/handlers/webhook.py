"""The action `webhook`: a request to somebody else's server, which must not become one to a server of ours (`reachable`).

Redirects are not followed and proxies of the environment not used.
"""

from __future__ import annotations

import functools
import json
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import httpx
import trio

from actors.herald_messages import Delivery, DeliveryFailed
from actors.herald_text import filled, message
from actors.model.event import Webhook
from runtime.trace_context import outgoing

from .reachable import Address, Network, Unreachable, checked_addresses, unlogged
from .webhook_signing import Sign, unsigned

REQUEST_SECONDS: Final = 10.0
"""For the whole of a request: a receiver that works longer answers first and works then."""

MAX_ANSWER: Final = 64 * 1024
"""Bytes read of an answer's body; whoever sends more is cut off."""

_SHOWN: Final = 200
"""Characters of an answer that are kept with a delivery."""

GONE: Final = 410
"""The status of a receiver that wants no more."""

ALLOWED: Final = "webhooks.allowed"
"""The setting of the networks that may be reached although they are not public."""


def webhook_sender(allowed: Sequence[Network] = (), sign: Sign = unsigned) -> Callable[[Delivery], Awaitable[str]]:
    """The action. `allowed`: networks that webhooks may reach although they are not public. `sign`: those that want it."""

    async def send(delivery: Delivery) -> str:
        action = delivery.action
        assert isinstance(action, Webhook)
        try:
            with trio.fail_after(REQUEST_SECONDS), unlogged():
                return await _send(action, delivery, allowed, sign)
        except trio.TooSlowError:
            raise DeliveryFailed(f"no answer within {REQUEST_SECONDS:g} s") from None
        except Unreachable as error:
            raise DeliveryFailed(str(error), permanent=error.permanent) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise DeliveryFailed(f"{type(error).__name__}: {error}") from error

    return send


async def _send(action: Webhook, delivery: Delivery, allowed: Sequence[Network], sign: Sign) -> str:
    url = httpx.URL(action.url)
    port = url.port or (443 if url.scheme == "https" else 80)
    addresses = await checked_addresses(url.raw_host.decode("ascii"), port, allowed, ALLOWED)
    headers, body = _message(action, delivery)
    headers.update(await sign(delivery, body))
    verify = _trusted() if url.scheme == "https" else False
    async with httpx.AsyncClient(verify=verify, trust_env=False, timeout=REQUEST_SECONDS) as client:
        for index, address in enumerate(addresses, 1):
            request = _request(client, url, address, action.method, headers, body)
            try:
                response = await client.send(request, stream=True)
            except httpx.ConnectError:
                if index == len(addresses):
                    raise
                continue
            try:
                return judged(response.status_code, await _beginning(response))
            finally:
                await response.aclose()
    raise AssertionError("a name without addresses is refused before")


def _message(action: Webhook, delivery: Delivery) -> tuple[httpx.Headers, bytes]:
    """Headers and body, but for what says where they go."""
    headers = httpx.Headers({"Content-Type": "application/json", "User-Agent": "tocsin"})
    headers.update(dict(action.headers))
    body = json.dumps(message(delivery))
    if action.body is not None:
        body = filled(action.body, delivery, in_json="json" in headers["Content-Type"])
    headers.update({"Accept-Encoding": "identity", "Tocsin-Delivery": delivery.id} | outgoing())
    return headers, body.encode(errors="replace")


def _request(
    client: httpx.AsyncClient, url: httpx.URL, address: Address, method: str, headers: httpx.Headers, body: bytes
) -> httpx.Request:
    """The request as if to the name, on its way to the address: the certificate must be the name's."""
    addressed = headers.copy()
    addressed["Host"] = url.netloc.decode("ascii")
    return client.build_request(
        method,
        url.copy_with(host=str(address)),
        headers=addressed,
        content=body,
        extensions={"sni_hostname": url.raw_host.decode("ascii")},
    )


async def _beginning(response: httpx.Response) -> str:
    kept = bytearray()
    try:
        async for data in response.aiter_raw():
            kept += data
            if len(kept) >= MAX_ANSWER:
                # Leaving the loop would leave the generators under it to the garbage collector; they end with the connection.
                await response.aclose()
    except httpx.HTTPError:
        if len(kept) < MAX_ANSWER:
            raise
    return kept[:MAX_ANSWER].decode(errors="replace")


def judged(status: int, answer: str) -> str:
    """What an answer means. Raises DeliveryFailed for anything but a status of success."""
    if 200 <= status < 300:
        return f"HTTP {status}"
    raise DeliveryFailed(f"HTTP {status}: {answer[:_SHOWN]}", permanent=status == GONE)


@functools.cache
def _trusted() -> ssl.SSLContext:
    """Loading the certificates takes some ten milliseconds; one context serves all requests."""
    return httpx.create_ssl_context(trust_env=False)
