"""What a node believes of its session with the registry, and how it bears connections that come to nothing."""

from __future__ import annotations

from typing import Final

import attrs

PROMPT: Final = 3
"""So many connections in a row may break over a write without any pause: servers end, are elected, and lose a reply or two."""

MOST_POLLS: Final = 8
"""The longest pause before anything is asked for over another connection, in polls: two seconds, as long as an election."""


@attrs.define
class Connections:
    """How many connections in a row came to nothing: no write was answered over them."""

    fruitless: int = 0

    def pause(self) -> int:
        """There is a new connection: how many polls to wait before anything is asked for over it."""
        self.fruitless += 1
        return 0 if self.fruitless <= PROMPT else min(1 << (self.fruitless - PROMPT - 1), MOST_POLLS)

    def answered(self) -> None:
        """A write was."""
        self.fruitless = 0


@attrs.frozen
class Rival:
    """Who has the own name: looked at since then, with which version; given up waiting for at `until`."""

    session: str
    version: int
    until: float


@attrs.define
class Session:
    """What is believed of one session of this node. A new session begins with a new one."""

    id: str
    timeout: float
    founded: bool = False
    candidacy: str | None = None
    stood: bool = False
    predecessor: str | None = None
    entered: bool = False
    plan_known: bool = False
    owners_known: bool = False
    members_known: bool = False
    considered: bool = False
    data: bytes = b""
    told_data: bool = False
    held: set[int] = attrs.field(factory=set)
    look: set[int] = attrs.field(factory=set)
    blocked: set[int] = attrs.field(factory=set)
    next_probe: float = 0.0
    probing: bool = False
    trusted_until: float = 0.0

    def doubt(self) -> None:
        """Watches are lost: everything is to be read anew. What is held stays believed until then."""
        self.founded = self.stood = self.entered = False
        self.plan_known = self.owners_known = self.members_known = False
        self.blocked.clear()
        self.probing = False
        self.next_probe = 0.0
