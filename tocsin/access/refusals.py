"""Refused attempts in the audit log: who asked for what he may not have. A flood of them costs a bounded number of records."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import trio

from runtime.errors import Forbidden, TocsinError, Unauthenticated

from .limits_core import WINDOW_SECONDS, TooManyRequests, site_of
from .origin import acting

if TYPE_CHECKING:
    from actors.node import Node

RECORDED: Final = 60
"""Records of refusals that a node writes in a window: one a second on average, which no store notices."""

_ACTION: Final = "Refused"
NOBODY_KNOWN: Final = "nobody"
"""Who acted, where no token told."""

_DETAIL: Final = 300
"""Characters of the reason that are kept; what came from outside is in it."""


class Refusals:
    """Records refusals: of those alike (who, from where, what) one in a window, of all at most `RECORDED`.

    What was left out is counted, and told by the first record of the next window.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._begun = -math.inf
        self._seen: set[tuple[str, str, str]] = set()
        self._left_out = 0

    async def note(
        self, error: Exception, what: str, *, user: str, channel: str, address: str, token: str | None
    ) -> None:
        """Record a refusal if it is one. user: '' where nobody knows who it was. Raises nothing of ours."""
        if not isinstance(error, (Unauthenticated, Forbidden, TooManyRequests)):
            return
        if not self._is_wanted((token or site_of(address), user, what)):
            return
        left, self._left_out = self._left_out, 0
        missing = f" ({left} more were left out before)" if left else ""
        detail = f"{what}: {error}"[:_DETAIL] + missing
        try:
            await self._node.access.note(
                acting(user or NOBODY_KNOWN, channel, address=address, token=token), _ACTION, detail
            )
        except TocsinError:
            # It is refused all the same while the store takes nothing.
            self._left_out += left + 1

    def _is_wanted(self, alike: tuple[str, str, str]) -> bool:
        now = trio.current_time()
        if now >= self._begun + WINDOW_SECONDS:
            self._begun = now
            self._seen.clear()
        if alike in self._seen or len(self._seen) >= RECORDED:
            self._left_out += 1
            return False
        self._seen.add(alike)
        return True
