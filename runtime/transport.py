"""The port to the network: streams of bytes from here to an address and back.

Adapters: TCP (`tcp.py`) and its simulated twin (`simulated_network.py`), which shows what the real one does: refusal, silence, a
connection that is dead without anybody saying so, bytes that come in pieces. Above either stand TLS, frames and links.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

import trio

from .errors import InvalidRequest

Handler = Callable[[trio.abc.Stream, str], Awaitable[None]]
"""What is done with an accepted connection: its stream, and the host that it comes from. Must not raise."""

Admit = Callable[[str], bool]
"""Whether a connection from this host may come in now; called for each one before anything is done for it."""


class Network(Protocol):
    """Connections by address. An address is HOST:PORT; a host with colons stands in brackets."""

    async def connect(self, address: str, deadline: float) -> trio.abc.Stream:
        """A stream to whoever serves the address. `deadline`: by trio's clock. Raises PeerUnreachable, which says why."""
        ...

    async def serve(
        self,
        address: str,
        handler: Handler,
        admit: Admit,
        *,
        task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Accept connections until cancelled; reports the address in use (port 0: any free one). Raises InvalidRequest if
        it cannot be used. Streams are closed when their handler returns."""
        ...

    def is_exposed(self, address: str) -> bool:
        """Whether anybody but processes of this machine can reach an address that is served."""
        ...


def split_address(address: str) -> tuple[str, int]:
    """Host and port of HOST:PORT. Raises InvalidRequest."""
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65_535:
        raise InvalidRequest(f"an address is HOST:PORT, not {address!r}")
    return host.removeprefix("[").removesuffix("]"), int(port)


def join_address(host: str, port: int) -> str:
    """The address of a host and a port."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
