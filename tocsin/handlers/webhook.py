"""The action `webhook`: a request to somebody else's server, which must not become one to a server of ours.

The name is resolved once, its addresses are checked, and the connection is made to an address that was checked, so a name that
resolves to something else a moment later changes nothing. Private, loopback and link-local addresses (those of cloud metadata
among them), and IPv6 addresses that stand for such, are refused unless the configuration allows their network. Redirects are not
followed and proxies of the environment not used. (OWASP: Server Side Request Forgery Prevention.)
"""

from __future__ import annotations

import functools
import json
import ssl
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

import httpx
import trio

from actors.herald_messages import Delivery, DeliveryFailed
from actors.herald_text import filled, message
from actors.model.event import Webhook

REQUEST_SECONDS: Final = 10.0
"""For the whole of a request: a receiver that works longer answers first and works then."""

MAX_ANSWER: Final = 64 * 1024
"""Bytes read of an answer's body; whoever sends more is cut off."""

MAX_ADDRESSES: Final = 3
"""Addresses of a name that are tried one after the other while none can be connected to."""

_SHOWN: Final = 200
"""Characters of an answer that are kept with a delivery."""

GONE: Final = 410
"""The status of a receiver that wants no more."""

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_NAT64: Final = IPv6Network("64:ff9b::/96")


def webhook_sender(allowed: Sequence[Network] = ()) -> Callable[[Delivery], Awaitable[str]]:
    """The action. `allowed`: networks that webhooks may reach although they are not public."""

    async def send(delivery: Delivery) -> str:
        action = delivery.action
        assert isinstance(action, Webhook)
        try:
            with trio.fail_after(REQUEST_SECONDS):
                return await _send(action, delivery, allowed)
        except trio.TooSlowError:
            raise DeliveryFailed(f"no answer within {REQUEST_SECONDS:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise DeliveryFailed(f"{type(error).__name__}: {error}") from error

    return send


async def _send(action: Webhook, delivery: Delivery, allowed: Sequence[Network]) -> str:
    url = httpx.URL(action.url)
    addresses = await checked_addresses(url, allowed)
    verify = _trusted() if url.scheme == "https" else False
    async with httpx.AsyncClient(verify=verify, trust_env=False, timeout=REQUEST_SECONDS) as client:
        for index, address in enumerate(addresses, 1):
            request = _request(client, url, address, action, delivery)
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


def _request(
    client: httpx.AsyncClient, url: httpx.URL, address: Address, action: Webhook, delivery: Delivery
) -> httpx.Request:
    """The request as if to the name, on its way to the address: the certificate must be the name's."""
    headers = httpx.Headers({"Content-Type": "application/json", "User-Agent": "tocsin"})
    headers.update(dict(action.headers))
    body = json.dumps(message(delivery))
    if action.body is not None:
        body = filled(action.body, delivery, in_json="json" in headers["Content-Type"])
    own = {"Host": url.netloc.decode("ascii"), "Accept-Encoding": "identity", "Tocsin-Delivery": delivery.id}
    headers.update(own)
    return client.build_request(
        action.method,
        url.copy_with(host=str(address)),
        headers=headers,
        content=body.encode(errors="replace"),
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


# -- which addresses


async def checked_addresses(url: httpx.URL, allowed: Sequence[Network]) -> list[Address]:
    """The addresses of a URL's host that may be connected to. Raises DeliveryFailed if there are none."""
    host = url.raw_host.decode("ascii")
    port = url.port or (443 if url.scheme == "https" else 80)
    try:
        found = await trio.socket.getaddrinfo(host, port, type=trio.socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise DeliveryFailed(f"{host!r} cannot be resolved: {error}") from error
    addresses = list(dict.fromkeys(ip_address(entry[4][0]) for entry in found))
    good = [address for address in addresses if may_be_reached(address, allowed)]
    if not good:
        shown = ", ".join(map(str, addresses[:MAX_ADDRESSES]))
        raise DeliveryFailed(
            f"{host!r} is {shown}, which is not public and not in webhooks.allowed of the configuration", permanent=True
        )
    return good[:MAX_ADDRESSES]


def may_be_reached(address: Address, allowed: Sequence[Network]) -> bool:
    """Whether a webhook may connect to an address: it is allowed, or public with all that it stands for."""
    return all(_is_public(one) or _is_in(one, allowed) for one in meant_by(address))


def _is_in(address: Address, networks: Sequence[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)


def _is_public(address: Address) -> bool:
    site_local = isinstance(address, IPv6Address) and address.is_site_local
    return address.is_global and not (address.is_multicast or address.is_reserved or site_local)


def meant_by(address: Address) -> list[Address]:
    """The addresses that packets to an address may end at: IPv4 addresses are hidden in several kinds of IPv6 ones."""
    if isinstance(address, IPv4Address):
        return [address]
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    if address in _NAT64:
        return [IPv4Address(int(address) & 0xFFFF_FFFF)]
    if address.sixtofour is not None:
        return [address, address.sixtofour]
    if address.teredo is not None:
        return [address, *address.teredo]
    return [address]


@functools.cache
def _trusted() -> ssl.SSLContext:
    """Loading the certificates takes some ten milliseconds; one context serves all requests."""
    return httpx.create_ssl_context(trust_env=False)
