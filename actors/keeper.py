"""The keeper: the node's only writer to its store. What has piled up in its mailbox is one transaction (group commit)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Final, TypeVar, assert_never

import trio

from runtime.actor import Actor
from runtime.errors import ActorStopped, StoreUnavailable, TocsinError
from runtime.world import World

from .addresses import Address, hint
from .executor_messages import Message as ExecutorMessage
from .executor_messages import Resync
from .herald_messages import Event as HeraldEvent
from .keeper_core import MAX_REDECISIONS, KeeperCore
from .keeper_messages import (
    Answer,
    Backlog,
    Directive,
    Event,
    Happened,
    Interrupt,
    Own,
    Purge,
    Recorded,
    Refuse,
    Reschedule,
    Start,
)
from .model.lifecycle import State
from .store.port import Commit, CommitResult, Store
from .timer_messages import Event as TimerEvent

logger = logging.getLogger(__name__)

T = TypeVar("T")

BATCH: Final = 512
"""Messages in one transaction at the most. More gains little on the commit and makes those who ask wait longer."""

MAILBOX: Final = 20_000
"""Messages that may wait: the ends of all slots' attempts and as many askers, a few megabytes."""

RETRY_SECONDS: Final = 0.5
"""Between two tries at a store that cannot commit: soon enough for a passing fault, no burden for a full disk."""

RUNNING_LIMIT: Final = 1_000_000
"""Tasks with running executions looked up when the executor starts: all of them; there are at most as many as slots."""


class Keeper(Actor[Event]):
    """See the module's docstring.

    `writer` and `reader`: the lanes of the world in which the store's calls run. `new_core` makes a fresh core for every
    life of the actor; what it needs to know it reads again.
    """

    def __init__(
        self,
        name: str,
        *,
        store: Store,
        world: World,
        new_core: Callable[[], KeeperCore],
        writer: str,
        reader: str,
    ) -> None:
        super().__init__(name, capacity=MAILBOX, budget=BATCH, deadline_seconds=30.0)
        self._store = store
        self._world = world
        self._new_core = new_core
        self._core = new_core()
        self._writer = writer
        self._reader = reader
        self._own: Own | None = None
        self._trouble: str | None = None
        self._completed = 0

    def connect(
        self, *, executor: Address[ExecutorMessage], timer: Address[TimerEvent], herald: Address[HeraldEvent]
    ) -> None:
        """Say who is told what follows the commits. Called once, before the actors start."""
        self._executor = executor
        self._timer = timer
        self._herald = herald

    @property
    def completed(self) -> int:
        """Executions that this keeper has recorded as COMPLETED, in this life and the former ones."""
        return self._completed

    @property
    def trouble(self) -> str | None:
        """Why the store could not commit the last time, None if it could."""
        return self._trouble

    async def started(self) -> None:
        """A new life: fresh core, the partitions as last told, and the executor is asked what it has."""
        self._core = self._new_core()
        if self._own is not None:
            self.mailbox.put_back([self._own])
            hint(self._executor, Resync())

    async def receive_batch(self, messages: list[Event]) -> None:
        """Decide, commit, tell. Rows that changed meanwhile are read and decided again."""
        batch: Sequence[Event] = messages
        for message in messages:
            if isinstance(message, Own):
                self._own = message
        for _ in range(MAX_REDECISIONS):
            batch = await self._commit(batch)
            if not batch:
                break
        if limit := self._core.backlog_wanted:
            await self._read_backlog(limit)

    async def _commit(self, batch: Sequence[Event]) -> list[Event]:
        running = await self._prepare(batch)
        plan, commit = self._core.decide(batch, running, self._world.now())
        try:
            result = await self._write(commit)
        except TocsinError as error:
            await self._store_failed(self._core.failed(plan, error), error)
            return []
        self._trouble = None
        self._world.failpoint("keeper.committed")
        directives, again = self._core.committed(plan, result)
        for directive in directives:
            self._perform(directive)
        for directive in directives:
            if isinstance(directive, Purge):
                await self._purge(directive)
        return again

    async def _prepare(self, batch: Sequence[Event]) -> list[str]:
        needs = self._core.needs(batch)
        wanted = set(needs.task_ids)
        running: list[str] = []
        if needs.running:
            running = await self._read(self._store.orphans, (), RUNNING_LIMIT)
            wanted.update(running)
        if wanted:
            self._core.learn(await self._read(self._store.tasks, sorted(wanted)))
        return running

    async def _write(self, commit: Commit) -> CommitResult:
        if not (commit.creates or commit.updates or commit.progress or commit.logs or commit.audits):
            return CommitResult()
        self._world.failpoint("keeper.committing")
        return await self._world.blocking(self._store.commit, commit, lane=self._writer)

    async def _read(self, function: Callable[..., T], *arguments: object) -> T:
        return await self._world.blocking(function, *arguments, lane=self._reader)

    async def _store_failed(self, directives: list[Directive], error: TocsinError) -> None:
        logger.error("the store cannot commit: %s", error)
        self._trouble = str(error)
        for directive in directives:
            self._perform(directive)
        if not isinstance(error, StoreUnavailable):
            raise error
        await trio.sleep(RETRY_SECONDS)
        if self._core.has_carried and not len(self.mailbox):
            # Ends of attempts wait to be written and nobody else may come to start a batch.
            self.mailbox.put_back([Own(self._own.epochs if self._own else {})])

    async def _read_backlog(self, limit: int) -> None:
        ids = await self._read(self._store.waiting, limit)
        self.mailbox.put_back([Backlog(tuple(ids), complete=len(ids) < limit)])

    async def _purge(self, purge: Purge) -> None:
        try:
            gone = await self._world.blocking(
                lambda: self._store.purge(task_id=None, before=purge.before, keep=purge.keep, limit=purge.limit),
                lane=self._writer,
            )
        except TocsinError as error:
            purge.reply.refuse(error)
        else:
            purge.reply.answer(gone)

    def _perform(self, directive: Directive) -> None:
        match directive:
            case Start() | Interrupt() | Recorded():
                self._tell_executor(directive)
            case Reschedule():
                hint(self._timer, directive)
            case Happened(executions=executions):
                self._completed += sum(execution.state is State.COMPLETED for execution in executions)
                hint(self._herald, directive)
            case Answer(reply=reply, value=value):
                reply.answer(value)
            case Refuse(reply=reply, error=error):
                reply.refuse(error)
            case Purge():
                pass
            case _:
                assert_never(directive)

    def _tell_executor(self, directive: Start | Interrupt | Recorded) -> None:
        try:
            self._executor.tell_nowait(directive)
        except ActorStopped:
            # The node is stopping: what was claimed runs again under the next boot, at no cost.
            logger.info("the executor has stopped before %s", type(directive).__name__)
