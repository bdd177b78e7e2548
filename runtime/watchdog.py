"""The watchdog: notices an actor that does not come back to its mailbox, and a loop that comes late.

It runs in the loop it watches, so a handler that never gives way is noticed only when it has; `last_tick` is there for
a thread outside the loop that wants to notice while it lasts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import attrs
import trio

from .actor import ActorStatistics

DEFAULT_INTERVAL_SECONDS: Final = 1.0
"""Between two looks: a tenth of the default deadline of a batch."""

DEFAULT_STALL_SECONDS: Final = 0.010
"""Lateness of the loop that is reported: any step over 10 ms delays every timer of the node."""

COMPLAIN_ABOUT_STALL_SECONDS: Final = 1.0
"""A stall so long makes health bad, until `STALL_MEMORY_SECONDS` have passed without another."""

STALL_MEMORY_SECONDS: Final = 60.0
"""How long a long stall is remembered by health: longer than the interval at which anybody asks for it."""


@attrs.frozen
class Complaint:
    """One thing that is not well. subject: an actor's name, or `loop`; seconds: how long; allowed_seconds: how long it
    may."""

    subject: str
    seconds: float
    allowed_seconds: float

    def __str__(self) -> str:
        """In words, for health and logs."""
        what = "late" if self.subject == LOOP else "not back at its mailbox"
        return f"{self.subject} {what} for {self.seconds:.3f} s (allowed {self.allowed_seconds:g} s)"


LOOP: Final = "loop"
"""The subject of complaints about the event loop itself."""


def overdue(statuses: Iterable[ActorStatistics], now: float) -> list[Complaint]:
    """The actors that are on one batch for longer than their deadline. now: monotonic seconds, the clock of
    `busy_since`."""
    return [
        Complaint(status.name, now - status.busy_since, status.deadline_seconds)
        for status in statuses
        if status.busy_since is not None and now - status.busy_since > status.deadline_seconds
    ]


@attrs.frozen
class WatchdogStatistics:
    """Figures since the watchdog was made. longest_stall_seconds: the latest the loop ever came; stalls: how often it
    was too late."""

    ticks: int
    stalls: int
    longest_stall_seconds: float
    last_stall_seconds: float


class Watchdog:
    """A child of a supervisor that looks at the actors every interval.

    name: as a child. statuses: the actors' figures, as `Supervisor.actor_statistics`. interval_seconds: between looks.
    stall_seconds: lateness of the loop to be reported. monotonic: the clock of the actors' `busy_since`, trio's unless
    given. on_complaint: told of each actor once when it becomes overdue. on_stall: told the seconds of each stall,
    afterwards. Neither may raise.
    """

    def __init__(
        self,
        statuses: Callable[[], Iterable[ActorStatistics]],
        *,
        name: str = "watchdog",
        interval_seconds: float = DEFAULT_INTERVAL_SECONDS,
        stall_seconds: float = DEFAULT_STALL_SECONDS,
        monotonic: Callable[[], float] | None = None,
        on_complaint: Callable[[Complaint], None] = lambda complaint: None,
        on_stall: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        self._name = name
        self._statuses = statuses
        self._interval = interval_seconds
        self._stall_seconds = stall_seconds
        self._monotonic = monotonic
        self._on_complaint = on_complaint
        self._on_stall = on_stall
        self._scope: trio.CancelScope | None = None
        self._complained_of: set[str] = set()
        self._complaints: list[Complaint] = []
        self._long_stall: tuple[float, float] | None = None
        self._statistics = WatchdogStatistics(0, 0, 0.0, 0.0)
        self.last_tick: float | None = None

    @property
    def name(self) -> str:
        return self._name

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Look every interval until stopped."""
        monotonic = self._monotonic or trio.lowlevel.current_clock().current_time
        self._complained_of.clear()
        with trio.CancelScope() as self._scope:
            task_status.started()
            while True:
                planned = monotonic() + self._interval
                await trio.sleep(self._interval)
                self._look(planned, monotonic())

    def stop(self) -> None:
        """End the looks; there is nothing to finish."""
        if self._scope is not None:
            self._scope.cancel()

    def suspend(self) -> None:
        self.stop()

    def abandon(self) -> None:
        """Nobody waits for a watchdog."""

    def _look(self, planned: float, now: float) -> None:
        self.last_tick = now
        self._note_lateness(now - planned, now)
        complaints = overdue(self._statuses(), now)
        for complaint in complaints:
            if complaint.subject not in self._complained_of:
                self._on_complaint(complaint)
        self._complained_of = {complaint.subject for complaint in complaints}
        self._complaints = complaints

    def _note_lateness(self, late: float, now: float) -> None:
        before = self._statistics
        self._statistics = attrs.evolve(before, ticks=before.ticks + 1)
        if self._long_stall is not None and now - self._long_stall[0] > STALL_MEMORY_SECONDS:
            self._long_stall = None
        if late <= self._stall_seconds:
            return
        self._statistics = attrs.evolve(
            self._statistics,
            stalls=before.stalls + 1,
            longest_stall_seconds=max(before.longest_stall_seconds, late),
            last_stall_seconds=late,
        )
        if late > COMPLAIN_ABOUT_STALL_SECONDS:
            self._long_stall = (now, late)
        self._on_stall(late)

    def health(self) -> list[Complaint]:
        """What was not well at the last look: overdue actors, and a recent long stall of the loop. Empty is good."""
        if self._long_stall is None:
            return list(self._complaints)
        return [*self._complaints, Complaint(LOOP, self._long_stall[1], COMPLAIN_ABOUT_STALL_SECONDS)]

    def statistics(self) -> WatchdogStatistics:
        """The figures of this moment."""
        return self._statistics
