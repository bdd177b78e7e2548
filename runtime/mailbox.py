"""Mailboxes: a bounded queue with one reader; and the one-shot replies that make a question out of a message.

Built on a deque and trio's `reschedule` rather than on a memory channel: a mailbox takes messages back after a crash,
in front of the others, hands out what has piled up as one list, and keeps its statistics without touching a counter per
message. A channel can do none of the three, and is slower.

Nothing here may be used from another thread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final, Generic, TypeVar

import attrs
import outcome
import trio
from trio.lowlevel import Abort, Task, current_task, reschedule, wait_task_rescheduled

from .deadlines import deadlines
from .errors import ActorStopped, InternalError, MailboxFull, ReplyTimeout

M = TypeVar("M")
R = TypeVar("R")

DEFAULT_CAPACITY: Final = 10_000
"""Messages a mailbox holds before its senders wait: a tenth of a second of a busy actor's work, a few megabytes."""


@attrs.frozen
class MailboxStatistics:
    """Figures of one mailbox since it was made.

    depth: messages waiting now; peak: the largest depth seen; told: messages accepted; received: messages handed to the
    reader and not put back; redelivered: messages put back after a crash; refused: `tell_nowait` calls that found it
    full; waiting: senders that wait for room; late: answers that came after their deadline.
    """

    name: str
    depth: int
    capacity: int
    peak: int
    told: int
    received: int
    redelivered: int
    refused: int
    waiting: int
    late: int


class Mailbox(Generic[M]):
    """A bounded queue of messages with many senders and one reader; it outlives a crash of its reader.

    name: whose it is, for errors and statistics. capacity: messages it holds before `tell` waits and `tell_nowait`
    refuses; messages put back after a crash may exceed it by one batch.
    """

    __slots__ = (
        "_capacity",
        "_closed",
        "_late",
        "_name",
        "_peak",
        "_queue",
        "_reader",
        "_received",
        "_redelivered",
        "_refused",
        "_senders",
        "_woken",
    )

    def __init__(self, name: str, capacity: int = DEFAULT_CAPACITY) -> None:
        if capacity < 1:
            raise InternalError(f"mailbox {name!r}: capacity must be at least 1, not {capacity}")
        self._name = name
        self._capacity = capacity
        self._queue: deque[M] = deque()
        self._reader: Task | None = None
        self._senders: dict[Task, M] = {}
        self._closed = False
        self._woken = False
        self._peak = 0
        self._received = 0
        self._redelivered = 0
        self._refused = 0
        self._late = 0

    @property
    def name(self) -> str:
        """Whose mailbox it is."""
        return self._name

    @property
    def closed(self) -> bool:
        """Whether new messages are refused."""
        return self._closed

    def __len__(self) -> int:
        """The messages that wait."""
        return len(self._queue)

    def __bool__(self) -> bool:
        """True: an empty mailbox is still a mailbox."""
        return True

    def tell_nowait(self, message: M) -> None:
        """Put a message in, or raise MailboxFull or ActorStopped at once."""
        if self._closed:
            raise ActorStopped(f"{self._name!r} takes no more messages")
        queue = self._queue
        if len(queue) >= self._capacity:
            self._refused += 1
            raise MailboxFull(f"{self._name!r} holds {len(queue)} messages, its capacity is {self._capacity}")
        queue.append(message)
        reader = self._reader
        if reader is not None:
            self._reader = None
            reschedule(reader)

    async def tell(self, message: M) -> None:
        """Put a message in, waiting for room while the mailbox is full. Raises ActorStopped once it is closed.

        With room there is no checkpoint: a sender that tells in a loop gives way only when the mailbox is full. The
        wait for room has no deadline of its own; the caller's cancel scope bounds it, and a cancelled message was not
        sent.
        """
        if len(self._queue) < self._capacity or self._closed:
            self.tell_nowait(message)
            return
        task = current_task()
        self._senders[task] = message

        def give_up(_: object) -> Abort:
            del self._senders[task]
            return Abort.SUCCEEDED

        await wait_task_rescheduled(give_up)

    async def receive(self, budget: int) -> list[M]:
        """Wait for a message, then take what is there, oldest first, at most `budget` of them.

        An empty list means: woken by `wake`, or closed and drained. Always a checkpoint; cancelled, it has taken
        nothing.
        """
        if self._queue or self._closed or self._woken:
            await trio.lowlevel.checkpoint()
        elif self._reader is not None:
            raise InternalError(f"{self._name!r} has two readers")
        else:
            self._reader = current_task()
            await wait_task_rescheduled(self._reader_cancelled)
        if self._woken:
            self._woken = False
            return []
        return self.more(budget)

    def _reader_cancelled(self, _: object) -> Abort:
        self._reader = None
        return Abort.SUCCEEDED

    def more(self, budget: int) -> list[M]:
        """What has come since `receive`, oldest first, at most `budget` messages; empty if nothing has. No checkpoint."""
        queue = self._queue
        # Between two takes the queue only grows, so looking here alone sees every peak.
        depth = len(queue)
        if depth > self._peak:
            self._peak = depth
        if depth <= budget:
            batch = list(queue)
            queue.clear()
            self._received += depth
        else:
            batch = [queue.popleft() for _ in range(budget)]
            self._received += budget
        if self._senders:
            self._admit()
        return batch

    def _admit(self) -> None:
        while self._senders and len(self._queue) < self._capacity:
            task = next(iter(self._senders))
            self._queue.append(self._senders.pop(task))
            reschedule(task)

    def put_back(self, messages: Iterable[M]) -> None:
        """Give messages back that were received and not handled: the next `receive` has them first, in their order."""
        returned = list(messages)
        self._queue.extendleft(reversed(returned))
        self._received -= len(returned)
        self._redelivered += len(returned)

    def wake(self) -> None:
        """Make the reader's current `receive`, else its next one, return an empty list; the messages stay."""
        self._woken = True
        self._wake_reader()

    def close(self) -> None:
        """Refuse new messages and the senders that wait for room. What is inside can still be received."""
        self._closed = True
        for task in self._senders:
            reschedule(task, outcome.Error(ActorStopped(f"{self._name!r} takes no more messages")))
        self._senders.clear()
        self._wake_reader()

    def reopen(self) -> None:
        """Take messages again, and forget a `wake` that nobody has seen: a new reader begins."""
        self._closed = False
        self._woken = False

    def abandon(self) -> None:
        """Close, and refuse every question inside with ActorStopped: nobody will read this mailbox again."""
        self.close()
        refuse_all(self._queue, lambda: ActorStopped(f"{self._name!r} has stopped"))
        self._queue.clear()

    def _wake_reader(self) -> None:
        if self._reader is not None:
            reader, self._reader = self._reader, None
            reschedule(reader)

    def note_late_answer(self) -> None:
        """Count an answer that came after its deadline."""
        self._late += 1

    def statistics(self) -> MailboxStatistics:
        """The figures of this moment."""
        depth = len(self._queue)
        return MailboxStatistics(
            name=self._name,
            depth=depth,
            capacity=self._capacity,
            peak=max(self._peak, depth),
            told=self._received + depth,
            received=self._received,
            redelivered=self._redelivered,
            refused=self._refused,
            waiting=len(self._senders),
            late=self._late,
        )


_OPEN: Final = 0
_GIVEN_UP: Final = 1
_ANSWERED: Final = 2
_REFUSED: Final = 3
_LATE: Final = 4


class Reply(Generic[R]):
    """The slot for one answer; a message that expects one carries it in a field named `reply`.

    The first of `answer`, `refuse` and the end of the wait decides. An answer after the wait has ended is dropped and
    counted on the mailbox; a second answer is a bug and raises InternalError. Each reply needs an error object of its
    own.
    """

    __slots__ = ("_mailbox", "_state", "_task", "_value")

    def __init__(self, mailbox: Mailbox[Any] | None = None) -> None:
        self._mailbox = mailbox
        self._state = _OPEN
        self._task: Task | None = None
        self._value: Any = None

    @property
    def answered(self) -> bool:
        """Whether an answer or a refusal was given, in time or late."""
        return self._state >= _ANSWERED

    @property
    def waiting(self) -> bool:
        """Whether somebody waits for the answer now."""
        return self._task is not None

    def answer(self, value: R) -> None:
        """Give the answer. Never waits."""
        self._settle(_ANSWERED, value)

    def refuse(self, error: BaseException) -> None:
        """Make the asker raise `error`. Never waits."""
        self._settle(_REFUSED, error)

    def _settle(self, state: int, value: object) -> None:
        if self._state == _OPEN:
            self._state = state
            self._value = value
            task = self._task
            if task is not None:
                self._task = None
                reschedule(task)
        elif self._state == _GIVEN_UP:
            self._state = _LATE
            if self._mailbox is not None:
                self._mailbox.note_late_answer()
        else:
            raise InternalError(f"a question was answered twice, then with {value!r}")

    async def wait(self, timeout_seconds: float, asked: str = "a question") -> R:
        """The answer, or the error it was refused with.

        timeout_seconds: raises ReplyTimeout, naming `asked`, when no answer came by then. One task may wait, once.
        """
        if not await self.settled(timeout_seconds):
            raise ReplyTimeout(f"no answer to {asked} within {timeout_seconds:g} s")
        return self.result()

    async def settled(self, timeout_seconds: float) -> bool:
        """Wait until there is an answer, at most so long; False when there is none, and a later one will be dropped.

        An answer that is already there is not a checkpoint.
        """
        if self._state == _OPEN:
            self._task = current_task()
            deadlines().add(timeout_seconds, self)
            await wait_task_rescheduled(self._cancelled)
        return self._state == _ANSWERED or self._state == _REFUSED

    def result(self) -> R:
        """The answer that was given, or raise the error that refused it."""
        if self._state == _REFUSED:
            raise self._value
        answer: R = self._value
        return answer

    def expire(self) -> None:
        """End the wait without an answer."""
        task, self._task = self._task, None
        self._state = _GIVEN_UP
        if task is not None:
            reschedule(task)

    def _cancelled(self, _: object) -> Abort:
        self._task = None
        self._state = _GIVEN_UP
        return Abort.SUCCEEDED


async def ask(mailbox: Mailbox[M], make: Callable[[Reply[R]], M], timeout_seconds: float) -> R:
    """Send the message that `make` builds around a reply and wait for the answer.

    timeout_seconds: for room in the mailbox and the answer together. Raises MailboxFull when there was no room by then
    (nothing was sent), ReplyTimeout when there was no answer (the outcome is unknown), ActorStopped or ActorCrashed
    when the receiver went away, and whatever error it refuses with.
    """
    reply: Reply[R] = Reply(mailbox)
    message = make(reply)
    remaining = timeout_seconds
    try:
        mailbox.tell_nowait(message)
    except MailboxFull:
        remaining = await _tell_within(mailbox, message, timeout_seconds)
    if not await reply.settled(remaining):
        what = f"{type(message).__name__} to {mailbox.name!r}"
        raise ReplyTimeout(f"no answer to {what} within {timeout_seconds:g} s")
    return reply.result()


async def _tell_within(mailbox: Mailbox[M], message: M, timeout_seconds: float) -> float:
    """Wait for room; the seconds that are left of the timeout."""
    deadline = trio.current_time() + timeout_seconds
    with trio.move_on_at(deadline) as scope:
        await mailbox.tell(message)
    if scope.cancelled_caught:
        raise MailboxFull(f"{mailbox.name!r} had no room for {type(message).__name__} within {timeout_seconds:g} s")
    return deadline - trio.current_time()


def refuse_all(messages: Iterable[object], error: Callable[[], Exception]) -> None:
    """Refuse every unanswered question among `messages`, each with an error of its own."""
    for message in messages:
        reply = getattr(message, "reply", None)
        if isinstance(reply, Reply) and not reply.answered:
            reply.refuse(error())
