"""The dead-man ping: tells a service outside that all is well. When it hears nothing for too long, it wakes somebody.

The address is the operator's and stands in the configuration, so private networks are not refused; redirects are not followed
and proxies of the environment not used.
"""

from __future__ import annotations

import functools
import ssl
from collections.abc import Awaitable, Callable
from typing import Final

import httpx
import trio

from .reachable import unlogged

PING_SECONDS: Final = 10.0
"""For the whole of a ping."""


class PingFailed(Exception):
    """Nobody was told."""


def dead_man(url: str) -> Callable[[], Awaitable[None]]:
    """The ping to an address. It raises PingFailed for anything but a status of success; its text does not show the address."""

    async def ping() -> None:
        verify = _trusted() if url.startswith("https") else False
        try:
            with trio.fail_after(PING_SECONDS), unlogged():
                async with (
                    httpx.AsyncClient(verify=verify, trust_env=False, timeout=PING_SECONDS) as client,
                    client.stream("GET", url, headers={"User-Agent": "tocsin"}) as response,
                ):
                    status = response.status_code
        except trio.TooSlowError:
            raise PingFailed(f"no answer within {PING_SECONDS:g} s") from None
        except httpx.HTTPError as error:
            raise PingFailed(f"{type(error).__name__}: {error}") from None
        if not 200 <= status < 300:
            raise PingFailed(f"HTTP {status}")

    return ping


@functools.cache
def _trusted() -> ssl.SSLContext:
    """Loading the certificates takes some ten milliseconds; one context serves all pings."""
    return httpx.create_ssl_context(trust_env=False)
