"""After a downtime: how fast the starts that it delayed are made up for.

Theory of operation. Everything that came due while nobody could fire it comes at once when somebody can again. An execution
that is admitted more than `RECOVERY_AFTER` after its time is *recovered*, and the governor of the lane gives it an instant: the
first `burst` at once, so that a short downtime is made up for at once, the others at `rate` a second. Until then it waits
with that instant stored as its `due`, like a retry, so a restart changes nothing about it. What is on time never asks.
"""

from __future__ import annotations

from typing import Final

import attrs

from runtime.clock import SECOND, Instant, Micros

from ..model.execution import Execution, Kind

RECOVERY_AFTER: Final = Micros(5 * SECOND)
"""Lateness up to here is the unevenness of a busy node, not a downtime; it passes the governor by."""

CATCH_UP_RATE: Final = 100.0
"""Recovered executions that start per second: a small part of what a node can start, so that live tasks stay on time."""

CATCH_UP_BURST: Final = 100
"""Recovered executions that start at once when none has for a while: a small node is not slowed at all."""

CATCH_UP_RUNNING: Final = 50
"""Recovered executions that run at once: half of the slots of a usual node are left to live tasks."""


def is_recovered(execution: Execution) -> bool:
    """Whether the execution was admitted late because of a downtime and has not started yet."""
    nominal = execution.assigned or execution.nominal
    return (
        nominal is not None
        and execution.kind is Kind.OCCURRENCE
        and execution.first_started_at is None
        and execution.created_at - nominal > RECOVERY_AFTER
    )


@attrs.define
class Governor:
    """Instants for recovered starts: `burst` at once, then `rate` per second.

    By the generic cell rate algorithm: `_ahead` is when the budget will be full again. What was granted and then not
    committed is lost, which slows recovery by one interval. A clock that goes back takes the budget's instant with it.
    """

    rate: float = CATCH_UP_RATE
    burst: int = CATCH_UP_BURST
    _ahead: Instant = Instant(0)
    _seen: Instant = Instant(0)

    @property
    def interval(self) -> Micros:
        """Microseconds between two grants of a used-up budget."""
        return Micros(round(SECOND / self.rate))

    def grant(self, now: Instant) -> Instant:
        """The instant of the next recovered start, `now` or later."""
        if now < self._seen:
            self._ahead = Instant(self._ahead - (self._seen - now))
        self._seen = now
        free = max(now, Instant(self._ahead - (self.burst - 1) * self.interval))
        self._ahead = Instant(max(self._ahead, now) + self.interval)
        return free

    def behind(self, granted: Instant) -> None:
        """This instant was granted in a former life: what is granted from now on comes behind it."""
        self._ahead = max(self._ahead, Instant(granted + self.burst * self.interval))
