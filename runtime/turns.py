"""Turns: work that must not hold up the loop is cut into pieces, of which one is done in each round of the loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

import trio

Kind = Literal["asks", "changes", "tells"]
ASKS: Final = "asks"
CHANGES: Final = "changes"
TELLS: Final = "tells"
"""Kinds of work: answering who wants to know something, carrying out what somebody wants changed, telling those who follow."""

REST_SECONDS: Final = 0.003
"""Between two pieces while there is urgent work: what is urgent passes through several rounds of the loop, and most of them are
to be without a piece. With a millisecond for a piece, the others still get a quarter of the loop."""

SHORT_REST_SECONDS: Final = 0.001
"""The same before somebody who follows is told what was made for all of them: that takes a fifth of a piece of other kinds."""


def _never() -> bool:
    return False


class Turns:
    """A queue of those who have a piece of work to do that is not urgent, first come, first served within a kind of work.

    A round of trio's loop runs everything that is ready, and what is urgent passes through several rounds before it is done.
    So however many wait here, a round is longer by one piece only, and what is urgent by a few of them; while `urgent` says that
    there is some, pieces rest between each other. Kinds take turns: one that comes with a hundred pieces leaves the others their
    share.
    """

    def __init__(self, urgent: Callable[[], bool] = _never) -> None:
        self._turn = trio.Lock()
        self._kinds: dict[Kind, trio.Lock] = {}
        self._urgent = urgent

    async def take(self, kind: Kind = ASKS) -> None:
        """Wait for the turn. Its piece is what the task does next without waiting: a millisecond of it at the most."""
        queue = self._kinds.setdefault(kind, trio.Lock())
        # Of each kind one waits for the turn at a time, so that who comes next there is one of each.
        async with queue, self._turn:
            # Whoever is next becomes ready now, and so runs in the next round.
            if self._urgent():
                await trio.sleep(SHORT_REST_SECONDS if kind == TELLS else REST_SECONDS)

    @property
    def waiting(self) -> int:
        """How many wait."""
        return sum(queue.statistics().tasks_waiting for queue in (self._turn, *self._kinds.values()))
