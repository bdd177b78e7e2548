"""What a coordination service tells a node."""

from __future__ import annotations

from collections.abc import Mapping

import attrs


@attrs.frozen
class Granted:
    """These slots may be taken, each under its grant number."""

    grants: Mapping[int, int]


@attrs.frozen
class Revoked:
    """These slots must be given up now."""

    slots: frozenset[int]


@attrs.frozen
class SessionLost:
    """Nothing is held any more: drop every slot at once."""


CoordinationEvent = Granted | Revoked | SessionLost
