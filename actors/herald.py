"""The herald: what follows an outcome. It tells those who watch, and never changes an outcome."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, Generic, TypeVar

import trio

from runtime.actor import Actor

from .herald_messages import Delivery, Event, Noted, TopicMessage
from .herald_text import message
from .keeper_messages import Happened
from .model.event import Topic
from .model.execution import Execution
from .model.lifecycle import FAILED_STATES, State

logger = logging.getLogger(__name__)

M = TypeVar("M")

Listener = Callable[[Happened], None]

Observer = Callable[[Event], None]
"""Hears of everything, of what only those want to know who look on too."""

MAILBOX: Final = 50_000
"""Messages that may wait; the keeper drops what does not fit, watchers read the store for what is durable."""

WATCHER_BUFFER: Final = 1_000
"""Changes kept for one slow watcher; further ones are dropped for him alone, and counted."""

_LOGGED: Final = FAILED_STATES | {State.CRASHED}
_RUNNING: Final = State.RUNNING
_COMPLETED: Final = State.COMPLETED


class Watchers(Generic[M]):
    """Those who watch something. Who is too slow loses messages, and holds up nobody."""

    def __init__(self) -> None:
        self._dropped: dict[trio.MemorySendChannel[M], int] = {}

    def __len__(self) -> int:
        return len(self._dropped)

    def tell(self, message: M) -> None:
        """Pass a message on to everybody."""
        for watcher in self._dropped:
            try:
                watcher.send_nowait(message)
            except (trio.WouldBlock, trio.BrokenResourceError):
                self._dropped[watcher] += 1

    @asynccontextmanager
    async def watch(self) -> AsyncIterator[trio.MemoryReceiveChannel[M]]:
        """What is told from now on."""
        send, receive = trio.open_memory_channel[M](WATCHER_BUFFER)
        self._dropped[send] = 0
        try:
            with send, receive:
                yield receive
        finally:
            del self._dropped[send]


class Herald(Actor[Event]):
    """See the module's docstring."""

    def __init__(self, name: str = "herald") -> None:
        super().__init__(name, capacity=MAILBOX)
        self._listeners: tuple[Listener, ...] = ()
        self._observers: tuple[Observer, ...] = ()
        self._watchers: Watchers[Happened] = Watchers()
        self._topics: dict[str, Watchers[TopicMessage]] = {}

    def connect(self, *listeners: Listener) -> None:
        """Who hears everything, at once and in the loop. Called once, before the actors start."""
        self._listeners = listeners

    def observe(self, observer: Observer) -> None:
        """Who else hears everything, also what the listeners need not know."""
        self._observers = (*self._observers, observer)

    async def receive_batch(self, messages: list[Event]) -> None:
        """Log what failed, and pass everything on to the watchers."""
        for event in messages:
            for observer in self._observers:
                observer(event)
        for happened in messages:
            if isinstance(happened, Noted):
                continue
            # What runs or has completed is the most of it, and quicker to tell than whether a set holds it.
            if failed := [
                one
                for one in happened.executions
                if (state := one.state) is not _RUNNING and state is not _COMPLETED and state in _LOGGED
            ]:
                names = {task.id: repr(task.definition.name) for task in happened.tasks}
                for execution in failed:
                    _log(execution, names.get(execution.task_id, execution.task_id))
            self._watchers.tell(happened)
            for listener in self._listeners:
                listener(happened)

    @asynccontextmanager
    async def watch(self) -> AsyncIterator[trio.MemoryReceiveChannel[Happened]]:
        """What happens from now on, as it happens; a watcher who is too slow loses changes."""
        async with self._watchers.watch() as channel:
            yield channel

    @asynccontextmanager
    async def watch_topic(self, name: str) -> AsyncIterator[trio.MemoryReceiveChannel[TopicMessage]]:
        """What event triggers tell a topic from now on; a message may come twice, under the same delivery id."""
        watchers = self._topics.setdefault(name, Watchers())
        try:
            async with watchers.watch() as channel:
                yield channel
        finally:
            if not watchers and self._topics.get(name) is watchers:
                del self._topics[name]

    async def publish(self, delivery: Delivery) -> str:
        """Tell those who watch the topic of a delivery."""
        assert isinstance(delivery.action, Topic)
        topic = delivery.action.name
        watchers = self._topics.get(topic)
        if watchers is not None:
            watchers.tell(TopicMessage(topic, message(delivery)))
        return f"{len(watchers or ())} watching"


def _log(execution: Execution, task: str) -> None:
    failure = execution.failure
    why = [text for text in (failure.type, failure.message) if text] if failure else []
    line = ": ".join((f"execution {execution.id} of task {task} is {execution.state}", *why))
    logger.warning("%s", _in_one_line(line))


def _in_one_line(text: str) -> str:
    """The text with everything escaped that would end the line or steer a terminal: handlers wrote it, not the node."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
