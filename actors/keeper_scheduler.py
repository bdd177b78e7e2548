"""What concerns the lane as a whole: the scheduler's pause, and locks that an operator takes from those who hold them.

While the scheduler is paused nothing is settled and nothing is claimed; what runs goes on, and its ends are recorded. What came
due meanwhile is settled when the scheduler is resumed, under each task's catch-up policy, like after a downtime, and says
`paused` where the pause was the cause. The pause is a record of the store: it outlasts every restart. Of tasks that are edited,
paused or activated meanwhile, what they owed is settled as always; what that admits waits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal, assert_never

from runtime.clock import Instant
from runtime.errors import NotFound, TocsinError
from runtime.records import evolve

from .keeper_claims import Claims
from .keeper_lane import LaneChange, Pauses
from .keeper_messages import PauseScheduler, ReleaseLock, ResumeScheduler
from .keeper_queues import Holder
from .keeper_staging import Staged
from .model.system import origin_of
from .store.port import Audit, Commit, SchedulerPause

if TYPE_CHECKING:
    from runtime.mailbox import Reply


class LaneCommands:
    """What one batch gathers about the lane as a whole. See the module's docstring."""

    def __init__(self, claims: Claims) -> None:
        self._claims = claims
        self._answers: list[tuple[Reply[Any], object | TocsinError]] = []
        self._audits: list[Audit] = []
        self._former: Pauses | None = None

    def task_ids(self, message: ReleaseLock) -> Iterable[str]:
        """The tasks that the release of a lock is about."""
        return [holder.task_id for holder in self._holders(message)]

    def carry_out(
        self,
        message: PauseScheduler | ResumeScheduler | ReleaseLock,
        stage: Callable[[str], Staged | None],
        now: Instant,
    ) -> None:
        """Do what is asked for."""
        match message:
            case PauseScheduler():
                self._pause(message, now)
            case ResumeScheduler():
                self._resume(message, now)
            case ReleaseLock():
                self._release(message, stage, now)
            case _:
                assert_never(message)

    def _pause(self, message: PauseScheduler, now: Instant) -> None:
        """One that is paused stays paused as it is."""
        if self._claims.paused is None:
            self._change(SchedulerPause(now, message.actor, message.note), self._claims.pause_span)
            self._note(message, message.note or "", now)
        self._answers.append((message.reply, self._claims.paused))

    def _resume(self, message: ResumeScheduler, now: Instant) -> None:
        """One that is not paused goes on."""
        paused = self._claims.paused
        if paused is not None:
            self._change(None, (paused.since, max(now, paused.since)))
            self._note(message, f"paused since {paused.since}", now)
        self._answers.append((message.reply, None))

    def _change(self, paused: SchedulerPause | None, span: tuple[Instant, Instant] | None) -> None:
        if self._former is None:
            self._former = Pauses(self._claims.paused, self._claims.pause_span)
            # Odd while it is being committed, so that no look at the store is taken for newer.
            self._claims.pauses += 1
        self._claims.paused, self._claims.pause_span = paused, span

    def _release(self, message: ReleaseLock, stage: Callable[[str], Staged | None], now: Instant) -> None:
        """What the holders do goes on; it does not count against the key any more."""
        holders = self._holders(message)
        if not holders:
            whom = "anybody" if message.execution_id is None else f"execution {message.execution_id}"
            self._answers.append((message.reply, NotFound(f"lock {message.key!r} is not held by {whom}")))
        for holder in holders:
            staged = stage(holder.task_id)
            self._claims.unlock(holder.execution_id, (message.tenant, message.key))
            if staged is None:
                continue
            staged.unlocked += (holder,)
            if (execution := staged.executions.get(holder.execution_id)) is not None:
                staged.put(evolve(execution, key=None))
            audit = Audit(now, str(message.actor), "ReleaseLock", staged.id, message.key, message.tenant)
            staged.audits += (evolve(audit, origin=origin_of(message.actor)),)
        if holders:
            self._answers.append((message.reply, tuple(holder.execution_id for holder in holders)))

    def _holders(self, message: ReleaseLock) -> list[Holder]:
        lock = self._claims.queues.lock((message.tenant, message.key))
        found = () if lock is None else lock.holders
        return [one for one in found if message.execution_id in (None, one.execution_id)]

    def _note(self, message: PauseScheduler | ResumeScheduler, detail: str, now: Instant) -> None:
        audit = Audit(now, str(message.actor), type(message).__name__, "", detail, origin=origin_of(message.actor))
        self._audits.append(audit)

    def write(self, commit: Commit) -> tuple[Commit, LaneChange]:
        """The commit with what was gathered, and what follows it. Begins anew."""
        change = LaneChange(tuple(self._answers), self._former)
        if self._audits:
            commit = evolve(commit, audits=(*commit.audits, *self._audits))
        if self._former is not None and self._former.paused != self._claims.paused:
            pause: SchedulerPause | Literal["resume"] = self._claims.paused or "resume"
            commit = evolve(commit, pause=pause)
        self._answers, self._audits, self._former = [], [], None
        return commit, change
