"""What a node believes of its session with the registry."""

from __future__ import annotations

import attrs


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
