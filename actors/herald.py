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


class Herald(Actor[Event]):
    """See the module's docstring."""

    def __init__(self, name: str = "herald") -> None:
        super().__init__(name, capacity=MAILBOX)
        self._watchers: dict[trio.MemorySendChannel[Happened], int] = {}

    async def receive_batch(self, messages: list[Event]) -> None:
        """Log what failed, and pass everything on to the watchers."""
        for message in messages:
            for execution in message.executions:
                _log(execution)
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


def _log(execution: Execution) -> None:
    if execution.state in FAILED_STATES or execution.state is State.CRASHED:
        failure = execution.failure
        why = f"{failure.type}: {failure.message}" if failure else execution.state
        logger.warning("execution %s of task %s is %s: %s", execution.id, execution.task_id, execution.state, why)
