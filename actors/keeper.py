"""The keeper: the node's only writer to its store. What has piled up in its mailbox is one transaction (group commit)."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final, TypeVar, assert_never

import trio

from runtime.actor import Actor
from runtime.errors import ActorCrashed, ActorStopped, StoreUnavailable, TocsinError
from runtime.mailbox import refuse_all
from runtime.world import World

from .addresses import Address, hint
from .calendar_messages import Recalculate
from .executor_messages import Message as ExecutorMessage
from .executor_messages import Resync
from .herald_messages import Event as HeraldEvent
from .keeper_calendars import SLICE as WALKED
from .keeper_calendars import ZONES
from .keeper_claims import Claims
from .keeper_core import KeeperCore
from .keeper_messages import (
    Answer,
    Backlog,
    Directive,
    Event,
    Happened,
    Interrupt,
    Own,
    Proceed,
    Purge,
    Reconsider,
    Recorded,
    Recover,
    Refuse,
    Release,
    RequestSync,
    Reschedule,
    SchedulerPaused,
    Start,
    StopClaiming,
)
from .keeper_needs import Needs
from .keeper_notes import noted
from .keeper_slices import slices, weight
from .keeper_staging import Plan
from .live.figures import CommitFigures
from .model.lifecycle import State
from .sharing_messages import Changed, EndTasks, PeersChanged, SendDeclined, SendOffer, SharingDirective
from .store.port import Commit, CommitResult, Store
from .store.shared import SharedStore
from .timer_messages import Event as TimerEvent
from .tracing import Tracer
from .when.zones import database_version

logger = logging.getLogger(__name__)

T = TypeVar("T")

BATCH: Final = 1_024
"""Messages taken from the mailbox at once."""

SLICE: Final = 512
"""Tasks in one transaction at the most. More gains little on the commit and makes those who ask wait longer."""

GATHERED: Final = 64
"""Tasks from which a batch is decided while a commit is under way. Fewer wait for it, and for what else comes meanwhile: a
transaction of a few tasks takes as long as one of a hundred, and what comes next would have to wait for both."""

TURNS: Final = 3
"""Turns of the loop between what a commit lets begin and the next decision: through executor and pool to the handlers, which
start that much earlier, and whose ends may come with the next transaction."""

MAILBOX: Final = 20_000
"""Messages that may wait: the ends of all slots' attempts and as many askers, a few megabytes."""

RETRY_SECONDS: Final = 0.5
"""Between two tries at a store that cannot commit: soon enough for a passing fault, no burden for a full disk."""

SOME: Final = 10
"""Users of a calendar that are read when it is to be deleted: enough to name some of them."""

MAX_REDECISIONS: Final = 5
"""How often one batch is decided again because rows changed under it, before others have their turn; on one node it never is."""

SWEEP_SECONDS: Final = 5.0
"""Between two looks at executions that wait for others, while there are any: nothing is known to be lost between them."""


class Flight:
    """A plan whose commit is under way, or waits for the one before it."""

    def __init__(self, plan: Plan, commit: Commit) -> None:
        self.plan = plan
        self.commit = commit
        self.began = trio.current_time()
        self.landed_at = self.began
        self._answer: CommitResult | BaseException | None = None
        self._done = trio.Event()

    def landed(self, result: CommitResult | None, error: BaseException | None = None) -> None:
        """The store has answered."""
        self.landed_at = trio.current_time()
        self._answer = result if error is None else error
        self._done.set()

    async def wait(self) -> CommitResult | BaseException:
        """What the store answered."""
        if self._answer is None:
            await self._done.wait()
        assert self._answer is not None
        return self._answer


class Keeper(Actor[Event]):
    """See the module's docstring.

    `writer` and `reader`: the lanes of the world in which the store's calls run. `types`: the task types that this node
    has, None for all there are. `shared`: the store, where other nodes write to it too. `new_core` makes a fresh core for every
    life of the actor; what it needs to know it reads again. `tracer` hears what the herald does and the ends of attempts.
    """

    def __init__(
        self,
        name: str,
        *,
        store: Store,
        world: World,
        types: Callable[[], Sequence[str] | None],
        new_core: Callable[[], KeeperCore],
        writer: str,
        reader: str,
        shared: SharedStore | None = None,
    ) -> None:
        super().__init__(name, capacity=MAILBOX, budget=BATCH, deadline_seconds=30.0)
        self._store = store
        self._shared = shared
        self._world = world
        self._types = types
        self._new_core = new_core
        self._core = new_core()
        self._writer = writer
        self._reader = reader
        self._own: Own | None = None
        self._trouble: str | None = None
        self._completed = 0
        self.figures = CommitFigures()
        self._flights: deque[Flight] = deque()
        self._refused: list[Event] = []
        self._landed_at = 0.0
        self._recoveries: list[Recover] = []
        self._draining = False
        self.tracer: Tracer | None = None
        self._neighbours: PeersChanged | None = None
        self._sweeping: trio.CancelScope | None = None
        self._nursery: trio.Nursery

    def connect(
        self,
        *,
        executor: Address[ExecutorMessage],
        timer: Address[TimerEvent],
        herald: Address[HeraldEvent],
        peers: Callable[[SharingDirective], None] | None = None,
    ) -> None:
        """Say who is told what follows the commits; `peers` sends to other nodes. Called once, before the actors start."""
        self._executor = executor
        self._timer = timer
        self._herald = herald
        self._peers = peers

    @property
    def claims(self) -> Claims:
        """Who waits and who holds what, as the present life of the keeper knows it."""
        return self._core.claims

    def children(self, task_id: str) -> tuple[str, ...]:
        """The tasks that wait for a task, as the present life of the keeper knows them."""
        return self._core.waits.children(task_id)

    @property
    def owned(self) -> tuple[int, ...]:
        """The partitions that this node acts for, as last told."""
        return () if self._own is None else tuple(sorted(self._own.epochs))

    @property
    def boot(self) -> str:
        """The boot id under which attempts are claimed."""
        return self._core.claims.boot

    @property
    def is_busy(self) -> bool:
        """Whether something waits to be decided, or is being committed."""
        return bool(self._flights) or len(self.mailbox) > 0

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
        self.mailbox.put_back(self._remembered())
        hint(self._executor, Resync(self._core.sync_request.token))

    def _remembered(self) -> list[Event]:
        """What was told once and holds for every life: nobody would tell it again."""
        own: list[Event] = [] if self._own is None else [self._own]
        recoveries, self._recoveries = self._recoveries, []
        return [
            *own,
            *(told for told in (self._neighbours,) if told),
            *([StopClaiming()] if self._draining else []),
            *recoveries,
        ]

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Work until stopped. Whoever waits for a commit that a crash has cut off is told."""
        try:
            async with trio.open_nursery() as self._nursery:
                await super().run(task_status=task_status)
                if self._sweeping is not None:
                    self._sweeping.cancel()
        finally:
            self._sweeping = None
            for flight in self._flights:
                for reply in flight.plan.replies():
                    if not reply.answered:
                        reply.refuse(ActorCrashed(f"{self.name!r} stopped before it knew whether this was committed"))
            self._flights.clear()
            # They came with an earlier batch, so nobody else would tell those who asked.
            refuse_all(self._refused, lambda: ActorCrashed(f"{self.name!r} stopped before it decided this again"))
            self._refused = []

    async def receive_batch(self, messages: list[Event]) -> None:
        """Decide, commit, tell. The next slice is decided while the one before it is being committed."""
        self._remember(messages)
        if self._flights and sum(map(weight, messages)) < GATHERED:
            await self._gather(messages)
        for piece in slices(messages, SLICE):
            await self._take(piece)
            await self._land(but=1)
        if not len(self.mailbox):
            await self._land()
        if not self._flights:
            self._recoveries.clear()
        if self._core.wants_turn:
            self.mailbox.put_back([Proceed()])
        elif limit := self._core.backlog_wanted:
            await self._read_backlog(limit)
        await self._walk()
        if self._sweeping is None and self._core.waits.anybody:
            self._sweeping = trio.CancelScope()
            self._nursery.start_soon(self._sweep, self._sweeping)

    async def _gather(self, messages: list[Event]) -> None:
        """Wait for what is being committed, let begin what follows from it, and add what has come meanwhile."""
        await self._land()
        for _ in range(TURNS):
            await trio.lowlevel.checkpoint()
        more = self.mailbox.more(BATCH - len(messages))
        self._remember(more)
        messages += more

    async def _walk(self) -> None:
        """Have the next of the tasks looked at whose times may have changed."""
        calendars = self._core.calendars
        if calendars.zones_walked:
            await self._record_zones()
        if (step := calendars.next_step()) is None:
            return
        (tenant, name), after = step
        question = (
            self._store.task_ids if (tenant, name) == ZONES else partial(self._store.calendar_users, tenant, name)
        )
        try:
            found = await self._read(partial(question, after=after, limit=WALKED))
        except StoreUnavailable as error:
            await self._cannot_read([Recalculate(())], error)
        else:
            self.mailbox.put_back([calendars.step((tenant, name), found)])

    async def _record_zones(self) -> None:
        self._core.calendars.zones_walked = False
        try:
            await self._world.blocking(self._store.record_timezone_database, database_version(), lane=self._writer)
        except StoreUnavailable as error:
            logger.warning("the time zone database is not recorded, the next start computes anew: %s", error)
        else:
            logger.info("next fires are by the time zone database %s now", database_version())

    async def _sweep(self, scope: trio.CancelScope) -> None:
        with scope:
            while (chosen := self._core.waits.sweep()) is not None:
                await trio.sleep(SWEEP_SECONDS)
                hint(self.mailbox, chosen)
        self._sweeping = None

    def _remember(self, messages: Iterable[Event]) -> None:
        for message in messages:
            match message:
                case Own():
                    self._own = message
                case Recover() if message not in self._recoveries:
                    self._recoveries.append(message)
                case PeersChanged():
                    self._neighbours = message
                case StopClaiming():
                    self._draining = True
                case _:
                    pass

    async def _take(self, batch: Sequence[Event]) -> None:
        needs = self._core.needs(batch)
        if needs.conflicts:
            await self._land()
            needs = self._core.needs(batch)
        try:
            running = await self._prepare(needs)
        except StoreUnavailable as error:
            await self._cannot_read(batch, error)
            return
        plan, commit = self._core.decide(batch, running, self._world.now())
        self._flights.append(flight := Flight(plan, commit))
        if commit.is_empty:
            flight.landed(CommitResult())
        else:
            self._world.failpoint("keeper.committing")
            self._world.begin(self._nursery, self._store.prepared(commit), lane=self._writer, landed=flight.landed)
            await trio.lowlevel.checkpoint()

    async def _land(self, but: int = 0) -> None:
        """Wait until at most so many commits are under way, and tell what follows from the others.

        What was refused because a row had changed is decided again when none is under way.
        """
        redecided = 0
        while len(self._flights) > but or self._refused:
            if self._flights:
                await self._land_first()
            elif redecided >= MAX_REDECISIONS:
                self.mailbox.put_back(self._refused)
                self._refused = []
            else:
                redecided += 1
                batch, self._refused = self._refused, []
                await self._redecide(batch)

    async def _land_first(self) -> None:
        flight = self._flights[0]
        answer = await flight.wait()
        self._note(flight, answer)
        if not isinstance(answer, CommitResult | TocsinError):
            raise answer
        if isinstance(answer, TocsinError):
            self._flights.popleft()
            await self._store_failed(self._core.failed(flight.plan, answer), answer)
            return
        self._world.failpoint("keeper.committed")
        directives, again = self._core.committed(flight.plan, answer, ends=self.tracer is not None)
        if (told := noted(flight.plan, flight.commit, answer)) is not None:
            hint(self._herald, told)
        for directive in directives:
            self._perform(directive)
        self._flights.popleft()
        self._refused += again
        for directive in directives:
            if isinstance(directive, Purge):
                await self._purge(directive)

    def _note(self, flight: Flight, answer: CommitResult | BaseException) -> None:
        if flight.commit.is_empty:
            return
        if not isinstance(answer, CommitResult):
            self.figures.failed += 1
            return
        self._trouble = None
        # It may have waited for the one before it.
        self.figures.done(flight.landed_at - max(flight.began, self._landed_at), flight.plan.size)
        self._landed_at = flight.landed_at

    async def _redecide(self, batch: Sequence[Event]) -> None:
        try:
            await self._take(batch)
        except BaseException as error:
            refuse_all(batch, partial(ActorCrashed, f"{self.name!r} crashed on this question: {error!r}"))
            raise

    async def _prepare(self, needs: Needs) -> list[str]:
        if needs.pause:
            pause = await self._read(self._store.scheduler_pause)
            self._core.learn_lane(pause, await self._read(self._store.granted_until))
            hint(self._timer, SchedulerPaused(self._core.claims.paused is not None))
        if needs.graph:
            shared = None if self._shared is None else await self._read(self._shared.shared)
            edges = await self._read(self._store.edges)
            self._core.learn_graph(await self._read(self._store.calendars, None), edges, shared)
        wanted = set(needs.task_ids)
        for tenant, name in needs.calendars:
            users = await self._read(partial(self._store.calendar_users, tenant, name, after="", limit=SOME))
            self._core.calendars.learn_users((tenant, name), users)
            wanted.update(users)
        running: list[str] = []
        if needs.running:
            running = await self._world.blocking(self._store.occupied, lane=self._writer)
            wanted.update(running)
        if wanted:
            self._core.learn(await self._read(self._store.tasks, sorted(wanted)), wanted)
        if needs.executions:
            # After the tasks: what has changed between the two is newer than its task, whose version tells when it is written.
            details = [await self._read(self._store.execution, one) for one in sorted(needs.executions)]
            self._core.commands.learn([detail.execution for detail in details if detail is not None])
        return running

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
        if self._core.has_carried or self._recoveries:
            # Ends of attempts and the work of dead nodes wait to be written, and nobody else may come to start a batch.
            self.mailbox.put_back(self._remembered() or [Own({})])

    async def _cannot_read(self, batch: Sequence[Event], error: StoreUnavailable) -> None:
        """Nothing was decided: those who asked are told, everything else is taken again."""
        logger.error("the store cannot be read: %s", error)
        self._trouble = str(error)
        refuse_all(batch, lambda: StoreUnavailable(*error.args))
        await trio.sleep(RETRY_SECONDS)
        self.mailbox.put_back([message for message in batch if not hasattr(message, "reply")])

    async def _read_backlog(self, limit: int) -> None:
        try:
            ids = await self._read(self._store.waiting, limit, self._types())
        except StoreUnavailable as error:
            await self._cannot_read([Own(self._own.epochs if self._own else {})], error)
            return
        first = [Backlog(tuple(ids[start : start + SLICE]), False, more=True) for start in range(0, len(ids), SLICE)]
        self.mailbox.put_back([*first, Backlog((), complete=len(ids) < limit)])

    async def _purge(self, purge: Purge) -> None:
        try:
            gone = await self._world.blocking(self._store.purge, purge.wanted, lane=self._writer)
        except TocsinError as error:
            purge.reply.refuse(error)
        else:
            purge.reply.answer(gone)

    def _perform(self, directive: Directive) -> None:
        match directive:
            case Start() | Interrupt() | Release() | Recorded() | EndTasks():
                self._tell_executor(directive)
            case RequestSync(token=token):
                self._tell_executor(Resync(token))
            case Reschedule() | SchedulerPaused():
                hint(self._timer, directive)
            case Reconsider() | Recalculate() | Changed():
                self.mailbox.put_back([directive])
            case SendOffer() | SendDeclined():
                if self._peers is not None:
                    self._peers(directive)
            case Happened(executions=executions):
                self._completed += sum(execution.state is State.COMPLETED for execution in executions)
                hint(self._herald, directive)
                if self.tracer is not None:
                    self.tracer.hear(directive)
            case Answer(reply=reply, value=value):
                reply.answer(value)
            case Refuse(reply=reply, error=error):
                reply.refuse(error)
            case Purge():
                pass
            case _:
                assert_never(directive)

    def _tell_executor(self, directive: Start | Interrupt | Release | Recorded | EndTasks | Resync) -> None:
        try:
            self._executor.tell_nowait(directive)
        except ActorStopped:
            # The node is stopping: what was claimed runs again under the next boot, at no cost.
            logger.debug("the executor has stopped before %s", type(directive).__name__)
