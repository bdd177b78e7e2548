"""The executor: runs the handlers of claimed attempts as tasks, threads or processes, and tells the keeper how they ended.

Its loop never waits for the keeper, which may be waiting for room in this mailbox: what is to be told goes through a list and a
task of its own. The list is bounded by what can end and be logged between two of the keeper's batches: slots, and the log
limits of each attempt.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final, assert_never

import attrs
import trio

from runtime.actor import Actor
from runtime.clock import Instant
from runtime.errors import ActorCrashed, ActorStopped, InvalidRequest, MailboxFull, StoreUnavailable
from runtime.log_context import log_from_here_with
from runtime.mailbox import DEFAULT_CAPACITY, Mailbox, Reply, ask
from runtime.world import World

from .executor_core import ExecutorCore
from .executor_messages import (
    AlarmRang,
    Beat,
    Begun,
    Cancel,
    Directive,
    Drained,
    Event,
    HandlerEnded,
    InterruptAll,
    Message,
    Notify,
    Replace,
    Report,
    ReportEnd,
    Resync,
    SetAlarm,
    Spawn,
    Trust,
)
from .handling.catalogue import Catalogue, TaskType
from .handling.context import Context
from .handling.failures import failure_of, names_of
from .handling.logbook import LINES_AT_ONCE
from .handling.payload import MAX_RESULT, encode_json
from .handling.runners.async_ import How, TaskPool
from .handling.runners.hooks import run_hooked
from .handling.runners.process import run_in_process
from .handling.runners.thread import lane_of, run_in_thread
from .handling.tools import Tools
from .keeper_messages import AttemptEnd, AttemptsEnded, Checkpoint, Logged, Progress, Recorded, Start
from .keeper_messages import Event as KeeperEvent
from .model.execution import Execution, Failure
from .model.outside import is_outside
from .model.task import Definition
from .outside import GivenBack, Outside, WorkerLost
from .tracing import Tracer

DEFAULT_SLOTS: Final = 100
"""Attempts at the same time: handlers mostly wait for something; work that does not belongs in processes or on more nodes."""

FLUSH_SECONDS: Final = 0.25
"""How long lines and progress are gathered before they are sent on: four times a second is what a person can follow."""

CHECKPOINT_SECONDS: Final = 30.0
"""How long a checkpoint may take: a store that needs longer is not working."""

CHECKPOINT_RETRY_SECONDS: Final = 0.1
"""Pause before a checkpoint is told again to a keeper that was restarted."""


@attrs.define(eq=False)
class Job:
    """An attempt whose handler runs, as the shell holds it. `replaced_in`: the thread lane that was widened in its place."""

    context: Context
    type: TaskType
    key: tuple[str, int]
    worker: object = None
    replaced_in: str | None = None


class Executor(Actor[Message]):
    """Runs what it is told to start, at once; it never queues.

    keeper: the mailbox of the only keeper it knows. node: its node's name, shown to handlers. slots: attempts at the same
    time. load_checkpoint: reads the last checkpoint of an execution, JSON text. `tools`, which may be set until the first
    handler asks for something, carries out what handlers ask for; so may `tracer`. outside: what workers outside of the node
    do. `hook_errors`: hooks that raised or took too long.
    """

    def __init__(
        self,
        world: World,
        catalogue: Catalogue,
        keeper: Mailbox[KeeperEvent],
        load_checkpoint: Callable[[str], Awaitable[str | None]],
        *,
        name: str = "executor",
        node: str = "",
        slots: int = DEFAULT_SLOTS,
        outside: Outside | None = None,
    ) -> None:
        # Starts for all slots and the records of as many ends fit, so that the keeper never finds it full.
        super().__init__(name, capacity=DEFAULT_CAPACITY + 2 * slots)
        self.core: Final = ExecutorCore(slots)
        self._world = world
        self._catalogue = catalogue
        self._keeper = keeper
        self._load_checkpoint = load_checkpoint
        self._node = node
        self._outside = outside or Outside()
        self.tools: Tools | None = None
        self.tracer: Tracer | None = None
        self.hook_errors = 0
        self._jobs: dict[tuple[str, int], Job] = {}
        self._pool: TaskPool[Job] | None = None
        self._outbox: deque[KeeperEvent | list[AttemptEnd]] = deque()
        self._posting = trio.Event()
        self._unsent: dict[Context, None] = {}
        self._flushing = trio.Event()
        self._at = 0.0
        self._passed_over = 0.0
        self._alarm_at = math.inf
        self._alarm_scope: trio.CancelScope | None = None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """See `Actor.run`. However it ends, the attempts it was running have ended, and the keeper is told if it can be."""
        try:
            async with trio.open_nursery() as nursery:
                self._pool = TaskPool(nursery, self._attempt, self._attempt_ended)
                nursery.start_soon(self._post)
                nursery.start_soon(self._flush)
                nursery.start_soon(self._watch_deadlines)
                await super().run(task_status=task_status)
                nursery.cancel_scope.cancel()
        finally:
            self._pool = None
            self._jobs.clear()
            self._post_last()

    def interrupt_all(self, reason: str) -> None:
        """End everything that runs, at no cost, and what is still to be started, until `trust`.

        For who must not wait: what runs may be run again elsewhere at any moment.
        """
        self._apply(InterruptAll(reason))

    def trust(self, boot: str) -> None:
        """What was claimed under this boot id may run, and nothing that was claimed under another one."""
        self._apply(Trust(boot))

    def load(self) -> tuple[int, int, int]:
        """Its slots, those that are free, and the attempts that run."""
        return self.core.load

    @property
    def busy(self) -> int:
        """Handlers that have not come back, the abandoned ones among them."""
        return len(self._jobs)

    @property
    def deadline(self) -> float:
        """When the next attempt may time out, by trio's clock; infinite if none may."""
        return self._alarm_at - self._passed_over

    def pass_over(self, seconds: float) -> None:
        """Time that is left out counts for what runs here, though the monotonic clock stands still in it."""
        self._passed_over += seconds
        self._set_alarm(self._alarm_at)

    async def started(self) -> None:
        self._apply(Resync())

    async def receive_batch(self, messages: list[Message]) -> None:
        """See `Actor.receive_batch`. What comes together starts together: the clocks are read once for all of it."""
        now, self._at = self._world.now(), self.monotonic()
        for number, message in enumerate(messages):
            self._in_batch = number
            if not (isinstance(message, Start) and self._start_plain(message, now)):
                await self.receive(message)

    async def receive(self, message: Message) -> None:
        self._apply(message)
        if isinstance(message, Recorded):
            self._outside.recorded(message.ended)

    # -- directives

    def _apply(self, event: Event) -> None:
        self._at = self.monotonic()
        for directive in self.core.handle(event, self._world.now(), self._at):
            self._perform(directive)

    def _start_plain(self, start: Start, now: Instant) -> bool:
        """The common case in one step; False leaves it to the general way."""
        definition, execution = start.definition, start.execution
        entry = self._catalogue.get(definition.type)
        if entry is None or (alarms := self.core.start_plain(definition, execution, now, self._at)) is None:
            return False
        self._run_job(definition, execution, now, entry)
        for alarm in alarms:
            self._perform(alarm)
        return True

    def _perform(self, directive: Directive) -> None:
        match directive:
            case Spawn():
                self._spawn(directive)
            case ReportEnd(end=end):
                self._report_end(end)
            case Report(message=message):
                self._tell_later(message)
            case SetAlarm(at=at):
                self._set_alarm(at)
            case Cancel(execution_id=execution_id, fence=fence, reason=reason):
                self._cancel((execution_id, fence), reason)
            case Notify(execution_id=execution_id, fence=fence, reason=reason):
                if (job := self._jobs.get((execution_id, fence))) is not None:
                    job.context.notify(reason)
                    self._outside.ask_to_end(job.key, reason, at_once=False)
            case Replace(execution_id=execution_id, fence=fence):
                self._replace((execution_id, fence))
            case Drained(reply=reply):
                reply.answer(None)
            case _:
                assert_never(directive)

    def _spawn(self, directive: Spawn) -> None:
        definition, execution = directive.definition, directive.execution
        entry = self._catalogue.get(definition.type)
        if entry is None:
            text = (
                f"this node has no task type {definition.type!r}; it has {', '.join(self._catalogue.names()) or 'none'}"
            )
            failure = Failure("UnknownTaskType", text)
            self._apply(HandlerEnded(execution.id, execution.fence, "failed", None, failure, ("UnknownTaskType",)))
            return
        self._run_job(definition, execution, directive.started_at, entry)
        if entry.isolation != "outside" and is_outside(definition.type):
            # A handler of the node itself stands in for the workers.
            self._apply(Begun(execution.id, execution.fence))

    def _run_job(self, definition: Definition, execution: Execution, at: Instant, entry: TaskType) -> None:
        assert self._pool is not None
        key = (execution.id, execution.fence)
        job = Job(Context(definition, execution, at, self._node, self, None, self._at), entry, key)
        self._jobs[key] = job
        self._pool.start(job)

    def _cancel(self, key: tuple[str, int], reason: str) -> None:
        job = self._jobs.get(key)
        if job is not None:
            job.context.notify(reason)
            if job.type.isolation == "outside":
                self._outside.ask_to_end(key, reason, at_once=True)
                return
            # A thread that has begun cannot be interrupted: it sees the reason, and is abandoned by and by.
            if not job.context.in_thread and self._pool is not None:
                self._pool.cancel(job)

    def _replace(self, key: tuple[str, int]) -> None:
        job = self._jobs.get(key)
        if job is not None and job.type.isolation == "thread":
            job.replaced_in = lane_of(job.type.pool)
            self._world.widen(job.replaced_in, 1)

    # -- attempts

    async def _attempt(self, job: Job) -> str | None:
        """One attempt: the result as JSON text."""
        context, entry = job.context, job.type
        if (
            entry.isolation == "async"
            and self.tracer is None
            and not context.has_checkpoint
            and not self._catalogue.hooks.surround
        ):
            # Nothing but the handler, as in `_run_handler`: each frame in between is passed by whatever the handler awaits.
            log_from_here_with(context.log_facts)
            value = await entry.function(context, **entry.arguments(context.parameters))
            return _encoded(value)
        if context.has_checkpoint:
            context.resume_from(await self._checkpoint_of(context.execution_id))
        if self.tracer is None:
            return await self._hooked(job)
        with self.tracer.running(context._execution):
            return await self._hooked(job)

    async def _hooked(self, job: Job) -> str | None:
        context, entry, hooks = job.context, job.type, self._catalogue.hooks
        # The pool gives every attempt a context of its own.
        log_from_here_with(context.log_facts)
        around = hooks.around(entry.name, context.task) if hooks.surround else None
        if around is None:
            return await self._run_handler(job)
        run = partial(self._run_handler, job)
        return await run_hooked(self._world, around, context, run, partial(self._hook_failed, context))

    def _hook_failed(self, context: Context, complaint: str) -> None:
        self.hook_errors += 1
        context.log.error("%s", complaint)

    async def _run_handler(self, job: Job) -> str | None:
        context, entry = job.context, job.type
        match entry.isolation:
            case "async":
                value = await entry.function(context, **entry.arguments(context.parameters))
            case "thread":
                value = await run_in_thread(self._world, entry, context)
            case "process":
                value = await run_in_process(self._world, entry, context)
            case "outside":
                value = await self._outside.run(context, partial(self._apply, Begun(*job.key)))
            case _:
                assert_never(entry.isolation)
        return _encoded(value)

    async def _checkpoint_of(self, execution_id: str) -> str | None:
        """The last checkpoint. A store that does not answer for a while costs no attempt."""
        deadline = self._world.monotonic() + CHECKPOINT_SECONDS
        while True:
            try:
                return await self._load_checkpoint(execution_id)
            except StoreUnavailable:
                if self._world.monotonic() >= deadline:
                    raise
                await trio.sleep(CHECKPOINT_RETRY_SECONDS)

    def _attempt_ended(self, job: Job, how: How, result: str | None, error: BaseException | None) -> None:
        context = job.context
        key = job.key
        del self._jobs[key]
        if job.replaced_in is not None:
            self._world.widen(job.replaced_in, -1)
        if context in self._unsent:
            self._send_on(context)
        if error is None:
            if how == "completed":
                end = self.core.completed_plain(key, result, self._world.now(), self.monotonic)
                if end is not None:
                    self._report_end(end)
                    return
            self._apply(HandlerEnded(*key, how, result))
        elif isinstance(error, GivenBack):
            self._apply(HandlerEnded(*key, "interrupted"))
        elif isinstance(error, WorkerLost):
            self._apply(HandlerEnded(*key, "crashed", None, Failure("WorkerLost", str(error))))
        else:
            self._apply(HandlerEnded(*key, how, None, failure_of(error), names_of(error)))

    # -- what contexts ask for

    def now(self) -> Instant:
        """See `Host`."""
        return self._world.now()

    def monotonic(self) -> float:
        """See `Host`."""
        return self._world.monotonic() + self._passed_over

    async def call(self, context: Context, operation: str, arguments: dict[str, Any]) -> Any:
        """See `Host`."""
        if self.tools is None:
            raise InvalidRequest(f"{operation}: this node does not carry out what handlers ask for")
        return await self.tools.call(context.asker, operation, arguments)

    def beat(self, context: Context) -> None:
        """See `Host`."""
        if context._definition.policies.heartbeat_timeout is not None:
            self._apply(Beat(context.execution_id, context.fence))

    def changed(self, context: Context) -> None:
        """See `Host`."""
        if context.book is not None and len(context.book.waiting) >= LINES_AT_ONCE:
            self._send_on(context)
        elif context not in self._unsent:
            self._unsent[context] = None
            self._flushing.set()

    async def checkpoint(self, context: Context, data: str, sequence: int) -> None:
        """See `Host`. Told again to a keeper that crashed on it: the same sequence twice is accepted once."""
        deadline = self._world.monotonic() + CHECKPOINT_SECONDS

        def make(reply: Reply[None]) -> Checkpoint:
            return Checkpoint(context.task_id, context.execution_id, context.fence, data, reply, sequence)

        while True:
            try:
                await ask(self._keeper, make, deadline - self._world.monotonic())
                return
            except ActorCrashed:
                if self._world.monotonic() + CHECKPOINT_RETRY_SECONDS >= deadline:
                    raise
                await trio.sleep(CHECKPOINT_RETRY_SECONDS)

    def _send_on(self, context: Context) -> None:
        self._unsent.pop(context, None)
        if lines := context.take_lines():
            self._tell_later(Logged(context.execution_id, context.attempt, lines))
        if (progress := context.take_progress()) is not None:
            self._tell_later(Progress(context.execution_id, context.fence, progress))

    async def _flush(self) -> None:
        while True:
            await self._flushing.wait()
            await trio.sleep(FLUSH_SECONDS)
            self._flushing = trio.Event()
            for context in list(self._unsent):
                self._send_on(context)

    # -- what the keeper is told

    def _report_end(self, end: AttemptEnd) -> None:
        last = self._outbox[-1] if self._outbox else None
        if isinstance(last, list):
            last.append(end)
        else:
            self._outbox.append([end])
            self._posting.set()

    def _tell_later(self, message: KeeperEvent) -> None:
        self._outbox.append(message)
        self._posting.set()

    async def _post(self) -> None:
        while True:
            await self._posting.wait()
            self._posting = trio.Event()
            while self._outbox:
                entry = self._outbox.popleft()
                try:
                    await self._keeper.tell(_message(entry))
                except trio.Cancelled:
                    self._outbox.appendleft(entry)
                    raise

    def _post_last(self) -> None:
        """On the way out: what has room is told; the ends that have none are told again after a restart."""
        with suppress(MailboxFull, ActorStopped):
            for entry in self._outbox:
                self._keeper.tell_nowait(_message(entry))
        self._outbox.clear()
        self._unsent.clear()

    # -- deadlines

    def _set_alarm(self, at: float) -> None:
        self._alarm_at = at
        if self._alarm_scope is not None:
            self._alarm_scope.deadline = self.deadline

    async def _watch_deadlines(self) -> None:
        while True:
            with trio.CancelScope(deadline=self.deadline) as self._alarm_scope:
                await trio.sleep_forever()
            self._alarm_at = math.inf
            self._apply(AlarmRang())


def _encoded(value: Any) -> str | None:
    return None if value is None else encode_json(value, MAX_RESULT, "the result")


def _message(entry: KeeperEvent | list[AttemptEnd]) -> KeeperEvent:
    return AttemptsEnded(tuple(entry)) if isinstance(entry, list) else entry
