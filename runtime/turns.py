"""Turns: work that must not hold up the loop is cut into pieces, of which one is done in each round of the loop."""

from __future__ import annotations

import trio


class Turns:
    """A queue of those who have a piece of work to do that is not urgent, first come, first served.

    A round of trio's loop runs everything that is ready, and what is urgent passes through several rounds before it is done.
    So however many wait here, a round is longer by one piece only, and what is urgent by a few of them.
    """

    def __init__(self) -> None:
        self._queue = trio.Lock()

    async def take(self) -> None:
        """Wait for the turn. Its piece is what the task does next without waiting: a millisecond of it at the most."""
        async with self._queue:
            # Whoever is next becomes ready now, and so runs in the next round.
            pass

    @property
    def waiting(self) -> int:
        """How many wait."""
        return self._queue.statistics().tasks_waiting
