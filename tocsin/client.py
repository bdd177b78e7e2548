"""The synchronous client by names and JSON, as the command line uses it; programs have `tocsin.SyncClient`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .clients.address import NODE_FILE as NODE_FILE
from .clients.address import TOKEN_FILE as TOKEN_FILE
from .clients.address import NodeUnreachable as NodeUnreachable
from .clients.address import find_address
from .clients.blocking import Blocking, Wire
from .clients.giving import PAGE
from .clients.plain_wire import PlainWire


class Client(Blocking):
    """Calls the operations of one node by name, once each, and shows their JSON as it is.

    url, token, data: as for `tocsin.SyncClient`. channel: what the node notes as the way that a run came by. wire: another one
    than the network. Raises NodeUnreachable or Unauthenticated if it cannot be known where the node is or what token it wants.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        data: str | Path | None = None,
        retry_for: float | None = None,
        channel: str = "rest",
        wire: Wire | None = None,
    ) -> None:
        address = find_address(url, token, data)
        self.url: str = address.url
        super().__init__(wire or PlainWire(address, channel), retry_for)

    def tasks(self, **filters: Any) -> Iterator[dict[str, Any]]:
        """Every task that fits the filters of `list_tasks`, page by page."""
        offset = 0
        while True:
            page = self.call("list_tasks", offset=offset, limit=PAGE, **filters)
            yield from page["list"]
            offset += len(page["list"])
            if not page["list"] or offset >= page["totalSize"]:
                return
