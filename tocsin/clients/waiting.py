"""What all clients share, whatever they send with: how long they wait, what goes with each request, how silence is told."""

from __future__ import annotations

import logging
import random
import re
import sys
from collections.abc import Callable
from typing import Final

from runtime.errors import InvalidRequest

from .address import Address, NodeUnreachable
from .asking_core import Session, Silence, Wait

TIMEOUT_SECONDS: Final = 40.0
"""How long an answer may take: longer than a node waits for its own commits, so that its error is the one that is seen."""

RETRY_SECONDS: Final = 30.0
"""How long a client repeats what may be repeated: a node that is started anew answers within it, a takeover is over."""

FIRST_SECONDS: Final = 5.0
"""How long, if nobody has ever been there: a wrong address answers at no time, and a node that just starts is up within it."""

_log = logging.getLogger("tocsin.clients")


def base_of(address: Address) -> str:
    """The URL that paths are below."""
    return f"{address.url.rstrip('/')}/api"


def headers_of(address: Address, channel: str) -> dict[str, str]:
    """What goes with every request. Raises InvalidRequest for a tenant that no header can hold."""
    return {"Authorization": f"Bearer {address.token}", "Tocsin-Channel": channel} | _about(address.tenant)


def place_in_trace() -> dict[str, str]:
    """The header that says to which trace a request belongs; nothing in a program that has none."""
    if "opentelemetry.trace" not in sys.modules and "runtime.trace_context" not in sys.modules:
        return {}
    from runtime.trace_context import outgoing

    return outgoing()


def _about(tenant: str | None) -> dict[str, str]:
    if tenant is None:
        return {}
    # Most programs are about their token's own tenant, and the vocabulary of tasks takes a while to load.
    from ..vocabulary.words import TENANT

    if not tenant.isascii():
        raise InvalidRequest("TOCSIN_TENANT: no header can hold other characters than those of ASCII")
    return {"Tocsin-Tenant": str(TENANT.read(tenant, "TOCSIN_TENANT"))}


def shown(url: str) -> str:
    """An address without the password that may stand in it, also one that is no URL."""
    return re.sub(r"//[^/]*@", "//***@", url)


def wrong_url(url: str, error: Exception) -> InvalidRequest:
    """The error for a text that is no URL."""
    return InvalidRequest(f"TOCSIN_URL: {shown(url)!r}: {shown(str(error))}")


def unanswered(url: str, error: Exception, *, sent: bool) -> Silence:
    """No answer came, or what came was none. sent: whether the node may have got the request."""
    return Silence(NodeUnreachable(f"no node answers at {shown(url)}: {str(error) or type(error).__name__}"), sent=sent)


def too_slow(url: str) -> Silence:
    """No answer came in time, to what was sent."""
    return Silence(NodeUnreachable(f"{shown(url)} did not answer within {TIMEOUT_SECONDS:g} s"), sent=True)


def seconds_of(retry_after: str) -> float | None:
    """What a `Retry-After` says, if it is a number of seconds."""
    return float(retry_after) if retry_after.isascii() and retry_after.isdigit() else None


def session_of(retry_for: float | None, clock: Callable[[], float]) -> Session:
    """What a client's steps go by. retry_for: as it was said; None if it was not."""
    if retry_for is None:
        return Session(RETRY_SECONDS, clock, random.Random(), FIRST_SECONDS)
    return Session(retry_for, clock, random.Random())


def tell(wait: Wait) -> None:
    """Tell the user why it takes longer, if there is something to tell."""
    if wait.tell:
        _log.warning("%s", wait.tell)
