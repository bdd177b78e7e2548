"""What a service is given, and what a service is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from actors.node import Node


@attrs.frozen
class Call:
    """One request: its arguments by name (checked, defaults filled in), who asks, and through which channel."""

    arguments: Mapping[str, Any]
    actor: str
    channel: str

    def __getitem__(self, name: str) -> Any:
        return self.arguments[name]


Service = Callable[["Node", Call], Awaitable[Any]]
