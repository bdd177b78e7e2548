"""What a coordination service tells a node."""

from __future__ import annotations

from collections.abc import Mapping

import attrs


@attrs.frozen
class Member:
    """A node with a live session. `weight`: its share of the slots compared with others'; 0: it takes none.

    `attributes` are for floor 2 to judge: address, versions, labels.
    """

    boot: str
    name: str
    weight: int = 1
    attributes: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen
class Granted:
    """These slots may be taken, each under its grant number."""

    grants: Mapping[int, int]


@attrs.frozen
class Revoked:
    """These slots must be given up now; `released` is to be called when nothing is decided for them any more."""

    slots: frozenset[int]


@attrs.frozen
class SessionLost:
    """Nothing is held any more: drop every slot at once. A new session begins by itself."""


@attrs.frozen
class MembersChanged:
    """All live members, by name."""

    members: tuple[Member, ...]


@attrs.frozen
class Barred:
    """This node may not take part, until something changes outside: another cluster's service, its name taken, lost authority."""

    reason: str


CoordinationEvent = Granted | Revoked | SessionLost | MembersChanged | Barred
