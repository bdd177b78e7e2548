"""What blocking clients have in common: questions are carried out step by step, over whatever wire they send with."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

import attrs

from .asking_core import Ask, Asked, Heard, Send, Session, Step, plain
from .following_core import Event, Following
from .waiting import session_of, tell

if TYPE_CHECKING:
    from .giving import Time
    from .records import Page
    from .requests_core import Request

T = TypeVar("T")


class Wire(Protocol):
    """Sends requests to one node, and hears what comes of them."""

    def send(self, request: Request) -> Heard:
        """Send a request. Answers the reply, or why there is none."""
        ...

    def follow(self, following: Following) -> Generator[Event, None, float]:
        """The events of one stream. Returns the seconds until the next one is to be asked for, when it has ended."""
        ...

    def close(self) -> None:
        """Release the connections."""
        ...


class Blocking:
    """The way to a node over a wire, without the operations, for code without a loop.

    retry_for: how long what may safely be repeated is repeated, in seconds, 0 for not at all; None: 30 s, but 5 s while no node
    has ever answered.
    """

    def __init__(self, wire: Wire, retry_for: float | None = None) -> None:
        self._wire = wire
        self._session = session_of(retry_for, time.monotonic)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the connections."""
        self._wire.close()

    def call(self, operation: str, /, **arguments: Any) -> Any:
        """Carry out an operation of the table by its name, once; arguments that are None are left out. Answers its JSON.

        Raises the error class that the node answered with, NodeUnreachable if there was no answer, InvalidRequest for arguments
        that no request can hold.
        """
        once = attrs.evolve(self._session, retry_for=-1.0, first_for=None)
        return self._carry_out(plain(operation, arguments), once)

    def ask(self, asked: Asked[T]) -> T:
        """Carry out what a function of `asks` made. The methods do this."""
        return self._carry_out(asked, self._session)

    def iterate(self, pages: Callable[[int], Ask[Page[T]]]) -> Iterator[T]:
        """Everything on pages, each asked for when it is needed."""
        offset = 0
        while True:
            page = self.ask(pages(offset))
            yield from page.items
            offset += len(page.items)
            if not page.items or offset >= page.total:
                return

    def events(
        self,
        *,
        kinds: Sequence[str] = (),
        task: str | None = None,
        task_type: str | None = None,
        tag: str | None = None,
        after: Time | None = None,
    ) -> Generator[Event, None, None]:
        """What happens from now on, or after an event that was seen, for ever; a stream that breaks is taken up where it was.

        kinds: `task`, `execution`, `progress`, `slots`, `node`; none: all. task: an id, prefix or name. after: an event's id,
        or a time. Raises what the node refuses it with, and NodeUnreachable when no node has answered for `retry_for` seconds.
        """
        following = Following(self._session, kinds=kinds, task=task, type_=task_type, tag=tag, after=after)
        while True:
            seconds = yield from self._wire.follow(following)
            time.sleep(seconds)

    def _carry_out(self, asked: Asked[T], session: Session) -> T:
        steps = asked.steps(session)
        told: Heard = None
        while True:
            try:
                step = steps.send(told)
            except StopIteration as end:
                answer: T = end.value
                return answer
            told = self._do(step)

    def _do(self, step: Step) -> Heard:
        if isinstance(step, Send):
            return self._wire.send(step.request)
        tell(step)
        time.sleep(step.seconds)
        return None
