"""The synchronous client by names and JSON, as the command line uses it; programs have `tocsin.SyncClient`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .clients.address import NODE_FILE as NODE_FILE
from .clients.address import TOKEN_FILE as TOKEN_FILE
from .clients.address import NodeUnreachable as NodeUnreachable
from .clients.asks import PAGE
from .clients.sync_client import SyncConnection


class Client(SyncConnection):
    """Calls the operations of one node by name, once each, and shows their JSON as it is."""

    def tasks(self, **filters: Any) -> Iterator[dict[str, Any]]:
        """Every task that fits the filters of `list_tasks`, page by page."""
        offset = 0
        while True:
            page = self.call("list_tasks", offset=offset, limit=PAGE, **filters)
            yield from page["list"]
            offset += len(page["list"])
            if not page["list"] or offset >= page["totalSize"]:
                return
