"""What a service is given, and what a service is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from ..access.caller import NOBODY, Caller

if TYPE_CHECKING:
    from actors.node import Node


@attrs.frozen
class Call:
    """One request: its arguments by name (checked, defaults filled in), who asks, and through which channel.

    actor: the name for the audit log. caller: what he may do and see.
    """

    arguments: Mapping[str, Any]
    actor: str
    channel: str
    caller: Caller = NOBODY

    def __getitem__(self, name: str) -> Any:
        return self.arguments[name]

    @property
    def owner(self) -> str:
        """To whom belongs what this call makes: to the one user whose tasks the caller sees, else to whoever acts."""
        return self.caller.scope.owner or str(self.actor)


@attrs.frozen
class Answer:
    """An answer with a status and headers of its own; what a service answers otherwise has those of its operation."""

    value: Any
    status: int = 200
    headers: Mapping[str, str] = attrs.field(factory=dict)


Service = Callable[["Node", Call], Awaitable[Any]]
"""Carries out an operation. The node that it is given shows the caller's part of it, and nothing else."""
