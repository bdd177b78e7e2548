"""Actors: state with a mailbox and one loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, TypeVar

import attrs
import trio

from .errors import ActorCrashed, ActorStopped, InternalError
from .mailbox import DEFAULT_CAPACITY, Mailbox, MailboxStatistics, refuse_all

M = TypeVar("M")

DEFAULT_BUDGET: Final = 256
"""Messages an actor takes before other tasks get their turn: at a few microseconds a message, about a millisecond; a
larger one gains nothing, because the checkpoint is already under two hundredths of a microsecond per message."""

DEFAULT_DEADLINE_SECONDS: Final = 10.0
"""How long one batch may take before the watchdog complains: no actor does anything that lasts seconds inside a
batch."""


@attrs.frozen
class ActorStatistics:
    """What an actor has done since it was made.

    handled: messages handled to the end; batches: turns of its loop; busy_since: monotonic seconds when it took the
    batch it is on, None while it waits at its mailbox; deadline_seconds: how long a batch may take.
    """

    name: str
    mailbox: MailboxStatistics
    handled: int
    batches: int
    busy_since: float | None
    deadline_seconds: float


class Actor(Generic[M]):
    """The base of every actor: override `receive`, or `receive_batch` where throughput matters.

    A crash in `receive` loses the message it was handling, whose question is refused with ActorCrashed; the messages
    behind it are put back and a restarted `run` has them first, in order. A crash in a `receive_batch` of one's own does
    the same with the whole batch, unless that notes in `_in_batch` how many of it are handled. Nothing that was told
    before a crash and not handled is lost while the actor is restarted.

    What an actor owns while it runs (a nursery, a connection) is best held by a `run` of its own around this one:
    `async with trio.open_nursery() as self._nursery: await super().run(task_status=task_status)`; it is then released
    on every way out, a crash and a kill included.

    name: unique in the node. capacity: of its mailbox, messages. budget: messages per batch. deadline_seconds: what the
    watchdog allows one batch. monotonic: the clock of `busy_since`, trio's own unless given.
    """

    def __init__(
        self,
        name: str,
        *,
        capacity: int = DEFAULT_CAPACITY,
        budget: int = DEFAULT_BUDGET,
        deadline_seconds: float = DEFAULT_DEADLINE_SECONDS,
        monotonic: Callable[[], float] | None = None,
    ) -> None:
        self.name: Final = name
        self.mailbox: Final[Mailbox[M]] = Mailbox(name, capacity)
        self._budget = budget
        self._deadline_seconds = deadline_seconds
        self._monotonic = monotonic
        self._running = False
        self._suspended = False
        self._handled = 0
        self._batches = 0
        self._in_batch: int | None = None
        self._busy_since: float | None = None

    async def started(self) -> None:
        """Hook: initialise the state. Called by every `run` before it reports that the actor has started."""

    async def stopping(self) -> None:
        """Hook: called on an orderly way out, after the last message; others may still be asked. Not on a crash or a
        kill."""

    async def receive(self, message: M) -> None:
        """Handle one message."""
        raise NotImplementedError(f"{type(self).__name__} handles no messages")

    async def receive_batch(self, messages: list[M]) -> None:
        """Handle a batch, oldest first. This one calls `receive` for each."""
        self._in_batch = 0
        for message in messages:
            await self.receive(message)
            self._in_batch += 1

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Work until stopped. May be called again after it has ended in whatever way; two at once raise
        InternalError."""
        if self._running:
            raise InternalError(f"{self.name!r} is already running")
        self._running = True
        self._suspended = False
        self.mailbox.reopen()
        try:
            await self.started()
            task_status.started()
            await self._work()
            await self.stopping()
        finally:
            self._running = False
            self._busy_since = None

    async def _work(self) -> None:
        receive, budget = self.mailbox.receive, self._budget
        monotonic = self._monotonic or trio.lowlevel.current_clock().current_time
        while batch := await receive(budget):
            self._busy_since = monotonic()
            try:
                await self.receive_batch(batch)
            except BaseException as error:
                self._clear_up(batch, error)
                raise
            self._busy_since = None
            self._batches += 1
            self._handled += len(batch)
            if self._suspended:
                return

    def _clear_up(self, batch: list[M], error: BaseException) -> None:
        handled = self._in_batch or 0
        lost = batch if self._in_batch is None else batch[handled : handled + 1]
        self._handled += handled
        self.mailbox.put_back(batch[handled + len(lost) :])
        refuse_all(lost, lambda: self._refusal(error))

    def _refusal(self, error: BaseException) -> ActorCrashed | ActorStopped:
        if isinstance(error, trio.Cancelled):
            return ActorStopped(f"{self.name!r} was stopped before it answered")
        crashed = ActorCrashed(f"{self.name!r} crashed on this question or on one of its batch: {error!r}")
        crashed.__cause__ = error
        return crashed

    def stop(self) -> None:
        """Ask for an orderly end: new messages are refused, what is queued is handled, then `run` returns.

        Any number of times. Before `run` has begun, what is queued is refused and a later `run` begins anew.
        """
        if self._running:
            self.mailbox.close()
        else:
            self.abandon()

    def suspend(self) -> None:
        """Ask `run` to return after the batch under way; messages, those inside and new ones, wait for the next
        `run`."""
        if self._running:
            self._suspended = True
            self.mailbox.wake()

    def abandon(self) -> None:
        """Nobody will run this actor again: refuse new messages and every question that waits."""
        self.mailbox.abandon()

    def statistics(self) -> ActorStatistics:
        """The figures of this moment."""
        return ActorStatistics(
            name=self.name,
            mailbox=self.mailbox.statistics(),
            handled=self._handled,
            batches=self._batches,
            busy_since=self._busy_since,
            deadline_seconds=self._deadline_seconds,
        )
