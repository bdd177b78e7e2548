"""Tickets: who has a token hands a browser something that opens one session, once, within a minute, and is no token. Pure."""

from __future__ import annotations

from typing import Final

import attrs

from .caller import Caller
from .secrets_core import hashed

TICKET_SECONDS: Final = 60.0
"""From a command to the page that a browser opens for it; what stands in its history later is worth nothing."""

MOST: Final = 100
"""Tickets that are open at once; of more the oldest is forgotten."""


@attrs.define
class Tickets:
    """The open tickets of one node, kept as hashes. Times are monotonic seconds."""

    _open: dict[str, tuple[Caller, float]] = attrs.field(factory=dict, init=False)

    def give(self, secret: str, caller: Caller, now: float) -> None:
        """Let whoever shows this secret be this caller, once."""
        self._open = {kept: entry for kept, entry in self._open.items() if entry[1] > now}
        while len(self._open) >= MOST:
            del self._open[next(iter(self._open))]
        self._open[hashed(secret)] = (caller, now + TICKET_SECONDS)

    def take(self, secret: str, now: float) -> Caller | None:
        """Whose ticket this is, which is used up by that; None if it is none, or not any more."""
        caller, until = self._open.pop(hashed(secret), (None, 0.0))
        return caller if until > now else None
