"""The herald: what follows an outcome. It tells those who watch, and never changes an outcome."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import trio

from runtime.actor import Actor

from .herald_messages import Event
from .keeper_messages import Happened
from .model.execution import Execution
from .model.lifecycle import FAILED_STATES, State

logger = logging.getLogger(__name__)

MAILBOX: Final = 50_000
"""Messages that may wait; the keeper drops what does not fit, watchers read the store for what is durable."""

WATCHER_BUFFER: Final = 1_000
"""Changes kept for one slow watcher; further ones are dropped for him alone, and counted."""

_LOGGED: Final = FAILED_STATES | {State.CRASHED}


class Herald(Actor[Event]):
    """See the module's docstring."""

    def __init__(self, name: str = "herald") -> None:
        super().__init__(name, capacity=MAILBOX)
        self._watchers: dict[trio.MemorySendChannel[Happened], int] = {}

    async def receive_batch(self, messages: list[Event]) -> None:
        """Log what failed, and pass everything on to the watchers."""
        for message in messages:
            if failed := [one for one in message.executions if one.state in _LOGGED]:
                names = {task.id: repr(task.definition.name) for task in message.tasks}
                for execution in failed:
                    _log(execution, names.get(execution.task_id, execution.task_id))
            for watcher in self._watchers:
                self._pass_on(watcher, message)

    def _pass_on(self, watcher: trio.MemorySendChannel[Happened], message: Happened) -> None:
        try:
            watcher.send_nowait(message)
        except (trio.WouldBlock, trio.BrokenResourceError):
            self._watchers[watcher] += 1

    @asynccontextmanager
    async def watch(self) -> AsyncIterator[trio.MemoryReceiveChannel[Happened]]:
        """What happens from now on, as it happens; a watcher who is too slow loses changes."""
        send, receive = trio.open_memory_channel[Happened](WATCHER_BUFFER)
        self._watchers[send] = 0
        try:
            with send, receive:
                yield receive
        finally:
            del self._watchers[send]


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
