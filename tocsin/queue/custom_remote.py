"""A queue of the user's own behind an address: the nine verbs as requests.

`POST ADDRESS/VERB` with the arguments as a JSON object and the token as a bearer; the answer to `next` and `list` is
`{"jobs": [ids]}`, to `data` `{"job": {...}}`, to all others any JSON or none. Anything but a status of success is a failure.

The address is the administrator's and stands in the configuration, so private networks are not refused; redirects are not
followed and proxies of the environment not used. A request that did not come through is sent once more, over a new connection:
every verb may be carried out twice (of `next` what was lost is told again, since it still waits).
"""

from __future__ import annotations

import json
import ssl
from typing import Any, Final

import httpx

from actors.job_queue import JobQueueFailed

from .custom_link import MAX_PROBLEM, Link

MAX_ANSWER: Final = 64 * 1024 * 1024
"""Bytes of an answer: the ids of a million jobs."""

TRIES: Final = 2
"""A connection that was kept open may be gone by now: that costs one."""


class Remote(Link):
    """See the module's docstring. `token`: a bearer, None for none; `deadline`: seconds for one try."""

    def __init__(self, address: str, token: str | None, deadline: float) -> None:
        self.name = httpx.URL(address).copy_with(userinfo=b"", query=None).__str__()
        self._address = address.rstrip("/")
        self._headers = {"Content-Type": "application/json", "User-Agent": "tocsin"}
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token}"
        self._deadline = deadline
        self._client: httpx.AsyncClient | None = None

    def _open(self) -> httpx.AsyncClient:
        if self._client is None:
            verify: ssl.SSLContext | bool = self._address.startswith("https")
            if verify:
                verify = httpx.create_ssl_context(trust_env=False)
            self._client = httpx.AsyncClient(verify=verify, trust_env=False, timeout=self._deadline)
        return self._client

    async def close(self) -> None:
        """Leave no connection open."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _ask(self, verb: str, **said: Any) -> Any:
        body = json.dumps(said).encode()
        for attempt in range(1, TRIES + 1):
            try:
                return _meant(verb, await self._send(verb, body))
            except httpx.TransportError as error:
                if attempt == TRIES or isinstance(error, httpx.TimeoutException):
                    raise JobQueueFailed(f"{type(error).__name__}: {error}"[:MAX_PROBLEM]) from error
            except httpx.HTTPError as error:
                raise JobQueueFailed(f"{type(error).__name__}: {error}"[:MAX_PROBLEM]) from error
        raise AssertionError("the last try answers or raises")

    async def _send(self, verb: str, body: bytes) -> bytes:
        kept = bytearray()
        async with self._open().stream(
            "POST", f"{self._address}/{verb}", content=body, headers=self._headers
        ) as response:
            async for data in response.aiter_bytes():
                kept += data
                if len(kept) > MAX_ANSWER:
                    raise JobQueueFailed(f"answered more than {MAX_ANSWER} bytes to {verb}")
            if not 200 <= response.status_code < 300:
                raise JobQueueFailed(f"answered HTTP {response.status_code} to {verb}")
        return bytes(kept)


def _meant(verb: str, answer: bytes) -> Any:
    if verb not in ("next", "list", "data"):
        return None
    try:
        found = json.loads(answer)
    except (ValueError, RecursionError):
        raise JobQueueFailed(f"answered no JSON to {verb}") from None
    wanted = "job" if verb == "data" else "jobs"
    if not isinstance(found, dict) or wanted not in found:
        raise JobQueueFailed(f"answered to {verb} without {wanted!r}")
    return found[wanted]
