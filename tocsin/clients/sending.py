"""What both clients have in common with httpx: its options, and what it says as what the core hears."""

from __future__ import annotations

from typing import Any, Final

import httpx

from .address import Address
from .asking_core import Heard
from .requests_core import Reply, Request
from .waiting import TIMEOUT_SECONDS, base_of, headers_of, place_in_trace, seconds_of, too_slow, unanswered

_UNSENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
"""After these nothing was sent."""


def options(address: Address, channel: str, transport: Any) -> dict[str, Any]:
    """What an httpx client is made with. transport: another one than the network, None for that."""
    trust: dict[str, Any] = {}
    if address.trusted is not None:
        from runtime.tls import trusting

        trust = {"verify": trusting(address.trusted, names=address.names)}
    return trust | {
        "base_url": base_of(address),
        "headers": headers_of(address, channel),
        "timeout": TIMEOUT_SECONDS,
        "transport": transport,
        "trust_env": False,
    }


WRONG_URL: Final = (httpx.InvalidURL, httpx.UnsupportedProtocol)
FAILED: Final = (httpx.TransportError, httpx.InvalidURL)


def sent(request: Request) -> dict[str, Any]:
    """A request as httpx takes it."""
    headers = {} if request.body is None else {"Content-Type": "application/json"}
    told = {"method": request.method, "url": request.path, "content": request.body}
    return told | {"params": dict(request.query), "headers": headers | place_in_trace() | dict(request.headers)}


def heard(response: httpx.Response) -> Reply:
    """An answer."""
    seconds = seconds_of(response.headers.get("retry-after", ""))
    return Reply(response.status_code, response.reason_phrase, response.content, seconds)


def silence(error: Exception, url: str) -> Heard:
    """No answer, and why."""
    if isinstance(error, httpx.TimeoutException) and not isinstance(error, _UNSENT):
        return too_slow(url)
    return unanswered(url, error, sent=not isinstance(error, (*_UNSENT, httpx.InvalidURL)))
