"""Turns: work that must not hold up the loop is cut into pieces, of which one is done in each round of the loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio

REST_SECONDS: Final = 0.003
"""Between two pieces while there is urgent work: what is urgent passes through several rounds of the loop, and most of them are
to be without a piece. With a millisecond for a piece, the others still get a quarter of the loop."""


def _never() -> bool:
    return False


class Turns:
    """A queue of those who have a piece of work to do that is not urgent, first come, first served.

    A round of trio's loop runs everything that is ready, and what is urgent passes through several rounds before it is done.
    So however many wait here, a round is longer by one piece only, and what is urgent by a few of them; while `urgent` says that
    there is some, pieces rest between each other.
    """

    def __init__(self, urgent: Callable[[], bool] = _never) -> None:
        self._queue = trio.Lock()
        self._urgent = urgent

    async def take(self) -> None:
        """Wait for the turn. Its piece is what the task does next without waiting: a millisecond of it at the most."""
        async with self._queue:
            # Whoever is next becomes ready now, and so runs in the next round.
            if self._urgent():
                await trio.sleep(REST_SECONDS)

    @property
    def waiting(self) -> int:
        """How many wait."""
        return self._queue.statistics().tasks_waiting
