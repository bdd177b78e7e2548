"""What both clients have in common with httpx: its options, and what it says as what the core hears."""

from __future__ import annotations

import logging
import random
import re
from collections.abc import Callable
from typing import Any, Final

import httpx

from runtime.errors import InvalidRequest

from ..vocabulary.words import TENANT
from .address import Address, NodeUnreachable
from .asking_core import Heard, Session, Silence, Wait
from .requests_core import Reply, Request

TIMEOUT_SECONDS: Final = 40.0
"""How long an answer may take: longer than a node waits for its own commits, so that its error is the one that is seen."""

RETRY_SECONDS: Final = 30.0
"""How long a client repeats what may be repeated: a node that is started anew answers within it, a takeover is over."""

FIRST_SECONDS: Final = 5.0
"""How long, if nobody has ever been there: a wrong address answers at no time, and a node that just starts is up within it."""

_log = logging.getLogger("tocsin.clients")

_UNSENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
"""After these nothing was sent."""


def options(address: Address, channel: str, transport: Any) -> dict[str, Any]:
    """What an httpx client is made with. transport: another one than the network, None for that."""
    trust: dict[str, Any] = {}
    if address.trusted is not None:
        from runtime.tls import trusting

        trust = {"verify": trusting(address.trusted, names=address.names)}
    return trust | {
        "base_url": f"{address.url.rstrip('/')}/api",
        "headers": {"Authorization": f"Bearer {address.token}", "Tocsin-Channel": channel} | _about(address.tenant),
        "timeout": TIMEOUT_SECONDS,
        "transport": transport,
        "trust_env": False,
    }


def _about(tenant: str | None) -> dict[str, str]:
    if tenant is None:
        return {}
    if not tenant.isascii():
        raise InvalidRequest("TOCSIN_TENANT: no header can hold other characters than those of ASCII")
    return {"Tocsin-Tenant": str(TENANT.read(tenant, "TOCSIN_TENANT"))}


def shown(url: str) -> str:
    """An address without the password that may stand in it, also one that is no URL."""
    return re.sub(r"//[^/]*@", "//***@", url)


def wrong_url(url: str, error: Exception) -> InvalidRequest:
    """The error for a text that is no URL."""
    return InvalidRequest(f"TOCSIN_URL: {shown(url)!r}: {shown(str(error))}")


WRONG_URL: Final = (httpx.InvalidURL, httpx.UnsupportedProtocol)
FAILED: Final = (httpx.TransportError, httpx.InvalidURL)


def sent(request: Request) -> dict[str, Any]:
    """A request as httpx takes it."""
    headers = {} if request.body is None else {"Content-Type": "application/json"}
    told = {"method": request.method, "url": request.path, "content": request.body}
    return told | {"params": dict(request.query), "headers": headers | dict(request.headers)}


def heard(response: httpx.Response) -> Reply:
    """An answer."""
    after = response.headers.get("retry-after", "")
    seconds = float(after) if after.isascii() and after.isdigit() else None
    return Reply(response.status_code, response.reason_phrase, response.content, seconds)


def silence(error: Exception, url: str) -> Heard:
    """No answer, and why."""
    if isinstance(error, httpx.TimeoutException) and not isinstance(error, _UNSENT):
        why = f"{shown(url)} did not answer within {TIMEOUT_SECONDS:g} s"
    else:
        why = f"no node answers at {shown(url)}: {str(error) or type(error).__name__}"
    return Silence(NodeUnreachable(why), sent=not isinstance(error, (*_UNSENT, httpx.InvalidURL)))


def session_of(retry_for: float | None, clock: Callable[[], float]) -> Session:
    """What a client's steps go by. retry_for: as it was said; None if it was not."""
    if retry_for is None:
        return Session(RETRY_SECONDS, clock, random.Random(), FIRST_SECONDS)
    return Session(retry_for, clock, random.Random())


def tell(wait: Wait) -> None:
    """Tell the user why it takes longer, if there is something to tell."""
    if wait.tell:
        _log.warning("%s", wait.tell)
