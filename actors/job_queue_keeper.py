"""Asks a queue of the user's own who is given next, and tells it what there is to choose among.

Theory of operation. The keeper decides without waiting for anybody, so the user's queue is asked beside it, ahead of time: as
many as there are free slots are named in advance. This task reads what the keeper has noted (`keeper_chosen`), tells the queue,
asks it, and tells the keeper who was named. What the queue is told of an execution comes from the store, so it is told of no
execution whose commit is still under way.

    forgets     every `check` seconds the queue lists what it has; what waits here and is not listed is told again
    holds back  that is its right, for `hold` seconds; then the execution is named here
    doubles, invents
                an id that does not wait here, or was named before, changes nothing
    raises, hangs, answers nonsense
                after `deadline` seconds at the latest it is not in charge any more, and the node's own order is; it is tried
                again after a second, then after longer, up to half a minute, and begins with all that waits by then

Guaranteed: every execution that waits is named by the queue, or after `hold` here, or the own order is in charge: none is lost.
Claims, fences and the ledger are the keeper's, so none runs twice or without being there. Where the node has no queue of the
user's own, none of this exists.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Final, TypeVar, assert_never

import attrs
import trio

from runtime.clock import Instant
from runtime.errors import ActorStopped, StoreUnavailable
from runtime.world import World

from .job_queue import Job, JobQueueConfig, JobQueueFailed, JobState
from .job_queue_core import Delete, Rename, Told, Update, ids_of
from .keeper import Keeper
from .keeper_chosen import Changes, ChosenQueues
from .keeper_messages import Happened, Proceed
from .keeper_queues import Chosen, Entry
from .model.task import Task
from .store.port import Store

logger = logging.getLogger(__name__)

T = TypeVar("T")

AT_ONCE: Final = 256
"""Executions that are asked for, or told, in one call."""

LOOK_SECONDS: Final = 1.0
"""Between two questions to a queue that holds everything back: it may do so by the clock."""

GATHER_SECONDS: Final = 0.005
"""What changes within this time is told together."""

UNREAD_SECONDS: Final = 5.0
"""After this an execution that the store still does not have is named unseen: the keeper finds out whether it is gone."""

FIRST_REST: Final = 1.0
LONGEST_REST: Final = 30.0
"""Seconds before a queue that failed is tried again: at first and at the longest."""

CLOSE_SECONDS: Final = 1.0
"""For closing connections to a remote queue."""

ELSEWHERE_AT_ONCE: Final = 32
"""Executions that are asked for beyond the own free slots, while other nodes have some."""


@attrs.define
class Figures:
    """What was counted since the start: names that the queue gave and that could be used, and those that could not; jobs that it
    had forgotten; jobs that it held back for too long; calls that failed."""

    given: int = 0
    strange: int = 0
    forgotten: int = 0
    overruled: int = 0
    failures: int = 0


class JobQueueKeeper:
    """See the module's docstring."""

    name: Final = "job queue"

    def __init__(self, config: JobQueueConfig, world: World, node: str) -> None:
        self._config = config
        self._queue = config.open(world)
        self._world = world
        self._node = node
        self._keeper: Keeper
        self._store: Store
        self._reader = ""
        self._queues = ChosenQueues({})
        self._woken = trio.Event()
        self._told = Told()
        self._unread: dict[str, tuple[Entry, float]] = {}
        self._changed: dict[str, None] = {}
        self._next_check = 0.0
        self._rest = FIRST_REST
        self.problem: str | None = None
        self.figures = Figures()

    @property
    def title(self) -> str:
        """How people know the queue."""
        return self._queue.name

    @property
    def in_charge(self) -> bool:
        """Whether the queue says who is next."""
        return self.problem is None

    def complaints(self) -> list[str]:
        """What is not well with the queue; empty when all is."""
        if self.problem is None:
            return []
        return [f"the job queue {self.title!r} {self.problem}: work is given in the node's own order until it answers"]

    # -- what it is part of

    def new_queues(self, limits: Mapping[str, int]) -> ChosenQueues:
        """The order of waiting for a new life of the keeper."""
        self._queues = ChosenQueues(limits, self._config.names, self._wake)
        self._queues.in_charge = self.in_charge
        self._wake()
        return self._queues

    def connect(self, keeper: Keeper, store: Store, reader: str) -> None:
        """Say whose executions wait, and where they are read. Called once, before the actors start."""
        self._keeper, self._store, self._reader = keeper, store, reader

    def hear(self, happened: Happened) -> None:
        """What happened to tasks: some of it the queue has to hear."""
        for task in happened.tasks:
            if self._told.concerns(task):
                self._changed[task.id] = None
                self._wake()

    def _wake(self) -> None:
        self._woken.set()

    # -- the loop

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            await self._work()
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + CLOSE_SECONDS):
                await self._queue.close()

    async def _work(self) -> None:
        while True:
            queues = self._queues
            try:
                await self._serve(queues)
            except JobQueueFailed as error:
                await self._failed(queues, str(error))
            except StoreUnavailable as error:
                # Nobody is claimed without the store either.
                logger.debug("the job queue is not told for now: %s", error)
                await trio.sleep(FIRST_REST)
            except ActorStopped:
                await trio.sleep(FIRST_REST)

    async def _serve(self, queues: ChosenQueues) -> None:
        """From the first word to the queue until it fails or the keeper begins anew."""
        await self._call(partial(self._queue.start, self._node))
        self._told, self._unread = Told(), {}
        await self._tell(queues, queues.listen())
        await self._answers(queues)
        while self._queues is queues:
            self._woken = trio.Event()
            await self._tell(queues, queues.changes())
            await self._tell_tasks()
            named_all = await self._ask(queues)
            await self._check(queues)
            if not named_all:
                with trio.move_on_after(GATHER_SECONDS if self._unread else LOOK_SECONDS):
                    await self._woken.wait()
            await trio.sleep(GATHER_SECONDS)

    async def _call(self, ask: Callable[[], Awaitable[T]]) -> T:
        with trio.move_on_after(self._config.deadline):
            return await ask()
        raise JobQueueFailed(f"did not answer within {self._config.deadline:g} s")

    async def _answers(self, queues: ChosenQueues) -> None:
        """The queue is in charge, again or for the first time."""
        if self.problem is not None:
            logger.info("the job queue %r answers again and says who is next", self.title)
        self.problem = None
        self._next_check = trio.current_time() + self._config.check
        await self._say(queues, Chosen())

    async def _failed(self, queues: ChosenQueues, problem: str) -> None:
        if self.problem is None:
            logger.warning(
                "the job queue %r %s: work is given in the node's own order until it answers", self.title, problem
            )
        self.problem = problem
        self.figures.failures += 1
        queues.ignore()
        with trio.move_on_after(self._rest):
            await self._say(queues, Chosen(in_charge=False))
        await trio.sleep(self._rest)
        self._rest = min(2 * self._rest, LONGEST_REST)

    async def _say(self, queues: ChosenQueues, chosen: Chosen) -> None:
        if queues is self._queues:
            await self._keeper.mailbox.tell(Proceed(chosen))

    # -- what it is told

    async def _tell(self, queues: ChosenQueues, changes: Changes) -> None:
        now = trio.current_time()
        for entry in changes.waiting.values():
            self._unread.setdefault(entry.execution_id, (entry, now))
        gone = [Job(one, task_id, JobState.RUNNING) for one, task_id in changes.running.items()]
        gone += [Job(one, task_id, JobState.REMOVED) for one, task_id in changes.removed.items()]
        for job in gone:
            self._unread.pop(job.id, None)
        await self._save([*await self._read_unread(queues, now), *gone])

    async def _read_unread(self, queues: ChosenQueues, now: float) -> list[Job]:
        """Those of the newcomers that the store has by now."""
        wanted = sorted({entry.task_id for entry, _ in self._unread.values()})
        tasks = {task.id: task for task in await self._tasks(wanted)}
        jobs = [job for entry, _ in self._unread.values() if (job := _job_of(entry, tasks)) is not None]
        for job in jobs:
            del self._unread[job.id]
        late = [key for key, (_, since) in self._unread.items() if now - since > UNREAD_SECONDS]
        for key in late:
            del self._unread[key]
        await self._name(queues, late)
        return jobs

    async def _tasks(self, ids: Sequence[str]) -> list[Task]:
        found: list[Task] = []
        for start in range(0, len(ids), AT_ONCE):
            some = ids[start : start + AT_ONCE]
            found += await self._world.blocking(self._store.tasks, some, lane=self._reader)
        return found

    async def _save(self, jobs: Sequence[Job]) -> None:
        for start in range(0, len(jobs), AT_ONCE):
            some = jobs[start : start + AT_ONCE]
            await self._call(partial(self._queue.save, self._node, some))
            self._told.saved(some, trio.current_time())

    async def _tell_tasks(self) -> None:
        changed, self._changed = list(self._changed), {}
        if not changed:
            return
        for news in self._told.changed(changed, await self._tasks(changed)):
            match news:
                case Delete(task_id=task_id):
                    await self._call(partial(self._queue.delete, self._node, task_id))
                case Rename(definition=definition):
                    await self._call(partial(self._queue.rename, self._node, definition.id, definition.name))
                case Update(definition=definition):
                    await self._call(partial(self._queue.update, self._node, definition))
                case _:
                    assert_never(news)

    async def flush(self, before: Instant) -> None:
        """Somebody has removed what had ended: the queue may forget it too."""
        try:
            await self._call(partial(self._queue.flush, self._node, before))
        except JobQueueFailed as error:
            logger.warning("the job queue %r was not flushed: it %s", self.title, error)

    # -- what it is asked

    async def _ask(self, queues: ChosenQueues) -> bool:
        """Whether all that was asked for was named."""
        wanted = min(self._room() - queues.named, queues.unnamed, AT_ONCE)
        if wanted <= 0:
            return False
        ids = ids_of(await self._call(partial(self._queue.next, self._node, wanted)))
        # One that can be told and never asked is tried ever more seldom.
        self._rest = FIRST_REST
        known = queues.still_waiting(ids)
        self.figures.strange += len(ids) - len(known)
        good = known[:wanted]
        self.figures.given += len(good)
        await self._name(queues, good)
        return len(good) == wanted

    def _room(self) -> int:
        claims = self._keeper.claims
        here = claims.slots if claims.may_claim else 0
        return here + (ELSEWHERE_AT_ONCE if claims.places.has_room_elsewhere and claims.paused is None else 0)

    async def _name(self, queues: ChosenQueues, ids: Sequence[str]) -> None:
        if ids:
            await self._say(queues, Chosen(tuple(ids)))

    async def _check(self, queues: ChosenQueues) -> None:
        """Find what the queue has forgotten, and what it holds back for too long."""
        now = trio.current_time()
        if now < self._next_check:
            return
        self._next_check = now + self._config.check
        overdue = queues.still_waiting(self._told.overdue(now, self._config.hold))
        if overdue:
            self.figures.overruled += len(overdue)
            logger.warning("%d jobs that the job queue %r has not named in time are named", len(overdue), self.title)
            await self._name(queues, overdue)
        answer = await self._call(partial(self._queue.list, self._node))
        if answer is None:
            return
        await self._remind(queues, set(ids_of(answer)))

    async def _remind(self, queues: ChosenQueues, listed: Collection[str]) -> None:
        forgotten = queues.still_waiting(self._told.forgotten(listed))
        entries = [entry for one in forgotten if (entry := queues.entry(one)) is not None]
        self.figures.forgotten += len(entries)
        now = trio.current_time()
        self._unread.update({entry.execution_id: (entry, now) for entry in entries})
        self._told.trim(queues.task_ids())
        self._wake()


def _job_of(entry: Entry, tasks: Mapping[str, Task]) -> Job | None:
    task = tasks.get(entry.task_id)
    if task is None:
        return None
    found = next((one for one in task.open if one.id == entry.execution_id), None)
    return None if found is None else Job(found.id, task.id, JobState.WAITING, task.definition, found)
