"""How something is asked for: requests, and what is done when no good answer comes.

It is a generator of steps that whoever sends carries out, with or without a loop, so both clients do the same. What may be
repeated: reads; changes that come to the same when they are made twice; and any change that certainly was not made, because
the node was not reached or said so.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import attrs

from runtime.errors import ActorCrashed, InternalError, MailboxFull, StoreUnavailable, TocsinError

from ..operations.error_table import row_of
from ..operations.table import BY_NAME
from .references_core import reference
from .requests_core import Reply, Request, answer_of, needs_id, request_of

if TYPE_CHECKING:
    import random

T = TypeVar("T")

FIRST_PAUSE_SECONDS: Final = 0.1
"""Before the first repetition: a node that restarts needs longer, one that lost a link does not."""

LONGEST_PAUSE_SECONDS: Final = 5.0
"""Between repetitions: a node that is back is found within it."""

JITTER: Final = 0.5
"""Up to this part of a pause more, so that many clients do not come back together."""

LOOK_SECONDS: Final = 0.25
"""How often an execution is looked at that is waited for: progress is written at most four times a second."""

TELL_SECONDS: Final = 1.0
"""Of silence after which it is told that it is still tried: a user waits as long without asking what is going on."""

UNCHANGED: Final = (MailboxFull, StoreUnavailable)
"""Errors by which a node says that nothing was changed."""


@attrs.frozen
class Send:
    """Send this."""

    request: Request


@attrs.frozen
class Wait:
    """Wait so many seconds. `tell`: what the user is told first, empty for nothing."""

    seconds: float
    tell: str = ""


@attrs.frozen
class Silence:
    """No answer came. `sent`: whether the node may have got the request."""

    error: TocsinError
    sent: bool


Step = Send | Wait
Heard = Reply | Silence | None
"""What a step came to; None after a wait."""

Steps = Generator[Step, Heard, T]


@attrs.define
class Contact:
    """Whether anybody has ever been there: an address that never answered is most likely a wrong one."""

    made: bool = False


@attrs.frozen
class Session:
    """What steps go by. retry_for: how long it is tried, in seconds, below 0: once; clock: seconds that only grow.

    first_for: how long as long as nobody has ever been there; None: as long as else.
    """

    retry_for: float
    clock: Callable[[], float]
    rng: random.Random
    first_for: float | None = None
    contact: Contact = attrs.field(factory=Contact)

    def heard(self, heard: Heard) -> float:
        """Take up what came of a request. Answers how long it is tried altogether, in seconds."""
        self.contact.made = self.contact.made or not isinstance(heard, Silence) or heard.sent
        return self.retry_for if self.contact.made or self.first_for is None else self.first_for


@attrs.frozen
class Ask(Generic[T]):
    """One thing to ask for: an operation, its arguments, and how its JSON is read.

    repeatable: whether it comes to the same when it is done twice; reads do. done: what it means if a repetition is refused
    because a former try, whose answer was lost, had been carried out: an answer for this error, or None if the error stands.
    """

    operation: str
    arguments: Mapping[str, Any]
    read: Callable[[Any], T]
    repeatable: bool = False
    done: Callable[[TocsinError], T | None] = lambda error: None

    def steps(self, session: Session) -> Steps[T]:
        """Ask until there is an answer, an error that stands, or no time left. Raises that error."""
        arguments = {name: reference(value, name) for name, value in self.arguments.items()}
        if (name := needs_id(self.operation, arguments)) is not None:
            found = yield from Ask("find_task", {"reference": name}, _as_it_is).steps(session)
            arguments["task"] = found["itemId"]
        return (yield from self._repeated(session, request_of(self.operation, arguments)))

    def _repeated(self, session: Session, request: Request) -> Steps[T]:
        started, tries, in_doubt, told = session.clock(), 0, False, False
        while True:
            heard = yield Send(request)
            until = started + session.heard(heard)
            try:
                return self.read(_told(heard))
            except TocsinError as error:
                if in_doubt and (meant := self.done(error)) is not None:
                    return meant
                seconds = pause(tries, heard, session.rng)
                if not self._may_repeat(error, heard) or session.clock() + seconds > until:
                    raise
                in_doubt = in_doubt or not _certainly_not_done(error, heard)
                tell = ""
                if not told and isinstance(heard, Silence) and session.clock() + seconds >= started + TELL_SECONDS:
                    told, tell = True, f"{error}; it is tried for {until - session.clock():.0f} s more"
            tries += 1
            yield Wait(seconds, tell)

    def _may_repeat(self, error: TocsinError, heard: Heard) -> bool:
        if not _passes(error, heard):
            return False
        return self.repeatable or BY_NAME[self.operation].method == "GET" or _certainly_not_done(error, heard)


@attrs.frozen
class Script(Generic[T]):
    """Several things asked for in turn; `play` says which."""

    play: Callable[[Session], Steps[T]]

    def steps(self, session: Session) -> Steps[T]:
        """The steps of all of them."""
        return self.play(session)


Asked = Ask[T] | Script[T]


def plain(operation: str, arguments: Mapping[str, Any]) -> Ask[Any]:
    """An operation by its name, answering its JSON."""
    return Ask(operation, arguments, _as_it_is)


def pause(tries: int, heard: Heard, rng: random.Random) -> float:
    """Seconds before the next try: twice as long each time, what the node asks for at least."""
    grown: float = min(FIRST_PAUSE_SECONDS * 2.0 ** min(tries, 30), LONGEST_PAUSE_SECONDS)
    wanted = heard.retry_after or 0.0 if isinstance(heard, Reply) else 0.0
    return max(grown, min(wanted, LONGEST_PAUSE_SECONDS)) * (1 + JITTER * rng.random())


def _told(heard: Heard) -> Any:
    match heard:
        case Reply():
            return _json_of(heard)
        case Silence():
            raise heard.error
        case None:
            raise InternalError("a request came to nothing")


def _json_of(reply: Reply) -> Any:
    try:
        return answer_of(reply)
    except ValueError as error:
        if isinstance(error, TocsinError):
            raise
        raise InternalError(f"{reply.status} {reply.reason}, and no JSON: is this a node's address?") from None


def _passes(error: TocsinError, heard: Heard) -> bool:
    """Whether it may be another time: nobody answered, or one who has no time or no store now."""
    return isinstance(heard, Silence) or row_of(error).status in (429, 503) or isinstance(error, ActorCrashed)


def _certainly_not_done(error: TocsinError, heard: Heard) -> bool:
    return not heard.sent if isinstance(heard, Silence) else isinstance(error, UNCHANGED)


def _as_it_is(value: Any) -> Any:
    return value
