"""Attempts that workers outside of the node carry out, each under a lease.

Theory of operation. The node's executor runs such an attempt like any other, only that its handler is this module: it holds the
attempt until a worker takes it, and then waits for what the worker says. So claims, fences, retries, overlap, ledger and
checkpoints are those of every attempt, and nothing about workers is stored: an attempt that is with a worker is RUNNING on its
node.

    held       no worker has it; timeouts do not run yet
    taken      a worker has it until its lease runs out; each save and heartbeat is a renewal
    over       the first of these has happened:
               the worker said how it ended      COMPLETED or FAILED, as if a handler had returned or raised
               the worker gave it back           WAITING, at no cost
               the lease ran out, or the worker
               of that name has started anew     CRASHED: resumed from the checkpoint, run again or held, as for a dead node
               the node ends it                  as the executor decides

The executor asks an attempt to end as it asks a thread: the worker is told with the answer to its next heartbeat or save. After a
cancellation or a timeout the attempt goes on to occupy its task until the worker says that it has stopped, or its lease runs
out; the executor abandons it meanwhile like any handler that does not give way. Where the node itself has to let go (drain, lost
lease) the attempt ends at once, and whatever the worker says afterwards is refused.

Guaranteed:
- What a worker says is accepted only for an attempt that this process holds and that is not over; what is over never is again.
  The end is told to the keeper under the attempt's fence, and the worker is answered when it is recorded: so a result that was
  accepted is in the store, and one of an attempt that was taken over is never accepted.
- Every attempt that is taken ends, at the latest a lease after the last sign of its worker.
- Where the process dies, everything that it held is found by who takes over, as any other attempt.

Not guaranteed: that a worker whose lease ran out stops at once. The fence that it was given is there for whatever it writes to.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from typing import Any, Final

import attrs
import trio

from .handling.context import Context
from .handling.failures import RemoteFailure
from .model.execution import Failure
from .model.scope import Scope
from .model.task import Definition
from .outside_core import Key, Line, Waiting

PAUSE_SECONDS: Final = 0.2
"""How long a request for work waits at a node that is about to end: its worker must not ask a hundred times a second."""

_WORKERS_TO_STOP: Final = ("cancel", "timeout", "heartbeat_timeout")
"""What the reasons begin with for which an attempt occupies its task until its worker has stopped."""


class WorkerLost(Exception):
    """The worker that had an attempt is not heard of any more, or has started anew."""


class GivenBack(Exception):
    """The attempt ends without having been made: nobody had it, or the worker gave it back."""


@attrs.define(eq=False)
class OutsideJob:
    """An attempt that is held for a worker or with one. `begun`: tells the executor that a worker has it.

    `lease`: seconds; `until`: when it runs out, by trio's clock; `recorded`: set when its end is in the store.
    """

    context: Context
    begun: Callable[[], None]
    worker: str | None = None
    lease: float = 0.0
    until: float = math.inf
    is_over: bool = False
    result: Any = None
    error: Exception | None = None
    woken: trio.Event = attrs.field(factory=trio.Event)
    recorded: trio.Event = attrs.field(factory=trio.Event)

    @property
    def key(self) -> Key:
        """Its execution and fence."""
        return self.context.execution_id, self.context.fence

    @property
    def definition(self) -> Definition:
        """Its task as it was when the attempt was claimed."""
        return self.context._definition

    @property
    def boot(self) -> str:
        """The boot id under which it was claimed, which tells the process that holds it."""
        return self.context._execution.boot or ""

    def renew(self) -> None:
        """The worker gave a sign of life."""
        self.until = trio.current_time() + self.lease
        self.context.heartbeat()

    def complete(self, result: Any) -> None:
        """The worker has done the work; nothing happens if it is over."""
        self._end(result, None)

    def fail(self, failure: Failure, names: tuple[str, ...]) -> None:
        """The worker could not do the work. names: what the retry policy may ask for."""
        self._end(None, RemoteFailure(failure, names))

    def give_back(self, reason: str) -> None:
        """It ends as if it had not been tried."""
        self._end(None, GivenBack(reason))

    def lose(self, reason: str) -> None:
        """Its worker is gone."""
        self._end(None, WorkerLost(reason))

    def _end(self, result: Any, error: Exception | None) -> None:
        if not self.is_over:
            self.is_over, self.result, self.error = True, result, error
            self.woken.set()


class Outside:
    """See the module's docstring. One for both lanes of a node. `is_ending`: the node ends, and nobody waits here any more."""

    def __init__(self) -> None:
        self._line = Line()
        self._jobs: dict[Key, OutsideJob] = {}
        self._ending: dict[Key, OutsideJob] = {}
        self._arrived = trio.Event()
        self._polls: dict[tuple[Scope, str], list[trio.CancelScope]] = {}
        self.is_ending = False

    # -- the executor's side

    async def run(self, context: Context, begun: Callable[[], None]) -> Any:
        """One attempt, from its claim to its end: the worker's result. Raises RemoteFailure, WorkerLost, GivenBack."""
        job = OutsideJob(context, begun)
        definition = job.definition
        priority = definition.policies.priority
        self._jobs[job.key] = job
        self._line.enter(Waiting(job.key, definition.type, definition.tenant, definition.owner, priority))
        self._arrived.set()
        try:
            await self._until_over(job)
        finally:
            self._line.leave(job.key)
            del self._jobs[job.key]
            job.is_over = True
            if not job.recorded.is_set():
                self._ending[job.key] = job
        if job.error is not None:
            raise job.error
        return job.result

    async def _until_over(self, job: OutsideJob) -> None:
        while not job.is_over:
            job.woken = trio.Event()
            with trio.CancelScope(deadline=job.until):
                await job.woken.wait()
            if trio.current_time() >= job.until:
                job.lose(f"worker {job.worker!r} was not heard of for {job.lease:g} s")

    def ask_to_end(self, key: Key, reason: str, *, at_once: bool) -> None:
        """The node wants an attempt to end. The worker that has it is told; `at_once`: the attempt does not wait for him."""
        job = self._jobs.get(key)
        if job is not None and (job.worker is None or (at_once and not reason.startswith(_WORKERS_TO_STOP))):
            job.give_back(reason)

    def recorded(self, keys: Collection[Key]) -> None:
        """The ends of these attempts are in the store, or were superseded there."""
        if not self._ending and not self._jobs:
            return
        for key in keys:
            # One that was abandoned is recorded while its worker still has it.
            job = self._ending.pop(key, None) or self._jobs.get(key)
            if job is not None:
                job.recorded.set()

    # -- the workers' side

    async def take(
        self, worker: str, types: Collection[str], scope: Scope, *, lease: float, wait: float
    ) -> OutsideJob | None:
        """The attempt whose turn it is, now with this worker; None if there is none within `wait` seconds.

        lease: seconds that the worker has between two signs of life.
        """
        deadline = trio.current_time() + wait
        with trio.CancelScope(deadline=deadline) as poll:
            self._polls.setdefault((scope, worker), []).append(poll)
            try:
                while (job := self._take_now(worker, types, scope, lease)) is None:
                    if wait <= 0:
                        break
                    if self.is_ending:
                        # Whoever is sent away asks again at once.
                        await trio.sleep(PAUSE_SECONDS)
                        break
                    if self._arrived.is_set():
                        self._arrived = trio.Event()
                    await self._arrived.wait()
                return job
            finally:
                self._forget((scope, worker), poll)
        return None

    def _take_now(self, worker: str, types: Collection[str], scope: Scope, lease: float) -> OutsideJob | None:
        while (key := self._line.take(types, scope)) is not None:
            job = self._jobs[key]
            if not job.is_over:
                job.worker, job.lease = worker, lease
                job.renew()
                job.woken.set()
                job.begun()
                job.context.log.info("taken by worker %s", worker)
                return job
        return None

    def send_away(self) -> None:
        """The node is about to end: workers that wait for a job are answered, and nobody waits any more."""
        self.is_ending = True
        for poll in [poll for polls in self._polls.values() for poll in polls]:
            poll.cancel()

    def _forget(self, who: tuple[Scope, str], poll: trio.CancelScope) -> None:
        polls = self._polls[who]
        polls.remove(poll)
        if not polls:
            del self._polls[who]

    def find(self, key: Key) -> OutsideJob | None:
        """The attempt that this process holds, or whose end is not recorded yet."""
        return self._jobs.get(key) or self._ending.get(key)

    def held(self) -> list[OutsideJob]:
        """All attempts that are not over."""
        return [job for job in self._jobs.values() if not job.is_over]

    def start_anew(self, worker: str, scope: Scope) -> list[OutsideJob]:
        """A worker has started: what one of its name had is lost, and whatever asked for work in this name is answered."""
        for poll in self._polls.get((scope, worker), ()):
            poll.cancel()
        lost = [job for job in self.held() if job.worker == worker and scope.covers(job.definition)]
        for job in lost:
            job.lose(f"worker {worker!r} started anew")
        return lost
