"""Whether a request means this node: by the name that it calls it, and by headers that say one thing only.

A page of another site can have its own name lead to 127.0.0.1 (DNS rebinding): the browser takes what answers there for that
site, and lets the page read it. The name stands in the request all the same. An address cannot be rebound, so any is good; a name
must be one of ours. Beyond loopback TLS does this, for no such site has our certificate; without TLS it takes `api.hosts`.
"""

from __future__ import annotations

import re
from collections import Counter
from ipaddress import ip_address
from typing import Final

from runtime.errors import Forbidden, InvalidRequest, TocsinError

from ..settings.setting_readers import Address
from .answering import answer, error_response
from .guard import Application, Receive, Scope, Send
from .websocket import refuse

_HOST: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]:@/\s]*)(?::\d{1,5})?")

_ONCE: Final = frozenset(
    {"host", "authorization", "origin", "tocsin-tenant", "tocsin-csrf", "content-length", "content-type"}
)
"""Headers that decide something: what is there twice means one thing to a proxy and another one to us."""

_SHOWN: Final = 100


class HostCheck:
    """Stands before the routes and the WebSocket. `listen`: where the node listens; `hosts`: names that lead to it beside."""

    def __init__(self, application: Application, listen: Address, hosts: tuple[str, ...]) -> None:
        self._application = application
        self._listen = listen
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        if scope["type"] in ("http", "websocket") and (problem := self._problem(scope)) is not None:
            await _refuse(problem, scope, receive, send)
        else:
            await self._application(scope, receive, send)

    def _problem(self, scope: Scope) -> TocsinError | None:
        names = Counter(name.decode("latin-1").lower() for name, _ in scope["headers"])
        if twice := sorted(name for name in _ONCE if names[name] > 1):
            return InvalidRequest(f"the header {twice[0]} is there {names[twice[0]]} times")
        if names["transfer-encoding"] and names["content-length"]:
            return InvalidRequest("two lengths of one body: by content-length and by transfer-encoding")
        given = [value.decode("latin-1") for name, value in scope["headers"] if name.lower() == b"host"]
        if not given or is_meant(given[0], self._listen, self._hosts):
            return None
        return Forbidden(
            f"this node is not known as {given[0][:_SHOWN]!r}; api.hosts lists the names by which it is reached"
        )


def is_meant(host: str, listen: Address, hosts: tuple[str, ...]) -> bool:
    """Whether the value of a Host header names a node that listens there and is reached by these names too."""
    found = _HOST.fullmatch(host.strip())
    if found is None:
        return False
    name = found["host"].strip("[]").rstrip(".").lower()
    if _is_address(name) or name == "localhost" or name.endswith(".localhost"):
        return True
    if name in hosts or name == listen.host.lower():
        return True
    return not listen.is_loopback and not hosts


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


async def _refuse(problem: TocsinError, scope: Scope, receive: Receive, send: Send) -> None:
    response = error_response(problem, str(scope["path"])[:_SHOWN])
    if scope["type"] == "websocket":
        await receive()
        await refuse(send, response)
        return
    await answer(send, response)
