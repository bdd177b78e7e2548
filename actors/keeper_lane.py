"""What one batch changes for the lane as a whole, and what follows when it is committed or not."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

from runtime.clock import Instant
from runtime.errors import TocsinError
from runtime.records import record

from .calendar_messages import Recalculate
from .keeper_messages import Answer, Directive, Refuse, SchedulerPaused
from .model.calendar import Calendar
from .store.port import SchedulerPause

if TYPE_CHECKING:
    from runtime.mailbox import Reply


@record
class Pauses:
    """Whether the scheduler is paused, and when it was the last time in this life: (since, until)."""

    paused: SchedulerPause | None = None
    span: tuple[Instant, Instant] | None = None


class Pausable(Protocol):
    """Who claims nothing while the scheduler is paused."""

    paused: SchedulerPause | None
    pause_span: tuple[Instant, Instant] | None
    pauses: int


@record
class LaneChange:
    """See the module's docstring. `answers`: who is told what; `former`: what was before, if the pause changes."""

    answers: tuple[tuple[Reply[Any], object], ...] = ()
    former: Pauses | None = None

    def committed(self, claims: Pausable) -> list[Directive]:
        """What follows when it is durable."""
        told: list[Directive] = [
            Refuse(reply, value) if isinstance(value, TocsinError) else Answer(reply, value)
            for reply, value in self.answers
        ]
        if self.former is not None:
            claims.pauses += 1
            told.append(SchedulerPaused(claims.paused is not None))
        return told

    def failed(self, claims: Pausable, make: Callable[[], TocsinError]) -> list[Directive]:
        """It was not committed: all is as before."""
        if self.former is not None:
            claims.paused, claims.pause_span = self.former.paused, self.former.span
            claims.pauses += 1
        return [Refuse(reply, make()) for reply, _ in self.answers]


UNCHANGED: Final = LaneChange()


@record
class CalendarChange:
    """What a batch changes of calendars, and what follows. `walked`: the slices that it has looked at."""

    answers: tuple[tuple[Reply[Any], Calendar | TocsinError], ...] = ()
    written: tuple[Calendar, ...] = ()
    walked: tuple[Recalculate, ...] = ()

    def replies(self) -> list[Reply[Any]]:
        """Who waits for it."""
        return [reply for reply, _ in self.answers]

    def directives(self) -> list[Directive]:
        """Who is told what when it is durable."""
        return [
            Refuse(reply, value) if isinstance(value, TocsinError) else Answer(reply, value)
            for reply, value in self.answers
        ]
