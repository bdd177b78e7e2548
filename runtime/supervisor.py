"""Supervisors: keep an ordered list of children alive. The decisions are `supervision_core`'s; here they are carried
out."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol, assert_never

import attrs
import trio

from .actor import Actor, ActorStatistics
from .errors import InternalError
from .mailbox import Mailbox
from .supervision_core import SupervisionCore
from .supervision_messages import (
    DEFAULT_SHUTDOWN_SECONDS,
    Backoff,
    BackoffElapsed,
    ChildExited,
    ChildRule,
    ChildStarted,
    ChildState,
    ChildStatus,
    Directive,
    Escalate,
    Event,
    Finished,
    Intensity,
    Ready,
    Restart,
    RetireChild,
    StartChild,
    StartRequested,
    StopChild,
    StopRequested,
    Strategy,
    WaitUntil,
)

if TYPE_CHECKING:
    from random import Random

DEFAULT_START_SECONDS: Final = 60.0
"""How long a child may take to get ready: recovery of a large store takes seconds; a minute means it hangs."""

EVENTS_PER_CHILD: Final = 4
"""Room for what can be under way about one child at once: started, exited, and the two kinds of stop."""

_PASSING: Final = (trio.Cancelled, KeyboardInterrupt, SystemExit)
"""What is no crash of the child it goes through."""


class Child(Protocol):
    """What a supervisor can keep: an `Actor`, a `TaskChild`, another `Supervisor`. `run` may be called again after it
    ended."""

    @property
    def name(self) -> str:
        """Unique among its siblings."""

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Say `task_status.started()` when ready, then work until stopped; raise to crash."""

    def stop(self) -> None:
        """Ask for an orderly end for good: what has been accepted is done first."""

    def suspend(self) -> None:
        """Ask for an orderly end before another `run`: what has been accepted waits for it."""

    def abandon(self) -> None:
        """There will be no further `run`: refuse those who wait."""


class TaskChild:
    """A plain async function as a child; stopping it cancels it. It is ready when its first step begins."""

    def __init__(self, name: str, function: Callable[[], Awaitable[None]]) -> None:
        self._name = name
        self._function = function
        self._scope: trio.CancelScope | None = None

    @property
    def name(self) -> str:
        return self._name

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        with trio.CancelScope() as self._scope:
            task_status.started()
            await self._function()

    def stop(self) -> None:
        if self._scope is not None:
            self._scope.cancel()

    def suspend(self) -> None:
        self.stop()

    def abandon(self) -> None:
        """Nobody waits for a plain task."""


@attrs.frozen
class ChildSpec:
    """A child and how it is kept; a tuple of these is a supervision tree as data.

    shutdown_seconds: for an orderly stop before it is killed, 0 kills at once. start_seconds: for getting ready.
    """

    child: Child
    restart: Restart = Restart.PERMANENT
    shutdown_seconds: float = DEFAULT_SHUTDOWN_SECONDS
    start_seconds: float = DEFAULT_START_SECONDS


@attrs.frozen
class Snapshot:
    """One node of a supervision tree at one moment. statistics: of actors only; children: of supervisors only."""

    name: str
    kind: str
    state: str
    restarts: int
    last_error: str | None
    statistics: ActorStatistics | None
    children: tuple[Snapshot, ...]


@attrs.define
class _Run:
    """One life of a child, from its start to its exit."""

    scope: trio.CancelScope
    ready: bool = False
    told_to_stop: bool = False


class _ReadyReport(trio.TaskStatus[None]):
    """What a child calls when it is ready."""

    def __init__(self, report: Callable[[], None]) -> None:
        self._report = report

    def started(self, value: None = None) -> None:
        self._report()


class Supervisor:
    """Starts its children in order, restarts those that crash, stops them in reverse; is itself a child.

    A supervisor that gives up raises from `run` and leaves the messages of its children for another `run`. Who does not
    run it again calls `abandon`, so that nobody waits for an answer in vain.

    name: unique among its siblings. children: in the order of starting. rng: for the jitter of restarts. on_crash: told
    the name and the error of every child that failed, restarted or not; it must not raise.
    """

    def __init__(
        self,
        name: str,
        children: Sequence[ChildSpec],
        *,
        rng: Random,
        strategy: Strategy = Strategy.ONE_FOR_ONE,
        intensity: Intensity = Intensity(),
        backoff: Backoff = Backoff(),
        on_crash: Callable[[str, BaseException], None] = lambda name, error: None,
    ) -> None:
        self._name = name
        self._specs = {spec.child.name: spec for spec in children}
        rules = [ChildRule(spec.child.name, spec.restart, spec.shutdown_seconds) for spec in children]
        self._new_core = partial(SupervisionCore, name, rules, strategy, intensity, backoff, rng)
        self._core = self._new_core()
        self._on_crash = on_crash
        self._events: Mailbox[Event] = Mailbox(f"{name} (supervision)", EVENTS_PER_CHILD * (len(rules) + 1))
        self._runs: dict[str, _Run] = {}
        self._running = False
        self._over = False
        self._failure: BaseException | None = None
        self._wake_at = math.inf
        self._stops_requested: set[bool] = set()

    @property
    def name(self) -> str:
        return self._name

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep the children until stopped; raises the error that made it give up. Ready when all children are."""
        if self._running:
            raise InternalError(f"supervisor {self._name!r} is already running")
        self._running, self._over, self._failure = True, False, None
        self._core = self._new_core()
        self._stops_requested.clear()
        self._events = Mailbox(self._events.name, EVENTS_PER_CHILD * (len(self._specs) + 1))
        self._events.tell_nowait(StartRequested())
        try:
            async with trio.open_nursery() as nursery:
                while not self._over:
                    for event in await self._next_events():
                        self._handle(event, nursery, task_status)
        finally:
            self._running = False
            self._runs.clear()
        if self._failure is not None:
            raise self._failure

    async def _next_events(self) -> list[Event]:
        with trio.CancelScope(deadline=self._wake_at):
            return await self._events.receive(budget=1)
        return [BackoffElapsed()]

    def _handle(self, event: Event, nursery: trio.Nursery, task_status: trio.TaskStatus[None]) -> None:
        self._wake_at = math.inf
        for directive in self._core.handle(event, trio.current_time()):
            self._perform(directive, nursery, task_status)

    def _perform(self, directive: Directive, nursery: trio.Nursery, task_status: trio.TaskStatus[None]) -> None:
        match directive:
            case StartChild(name):
                spec = self._specs[name]
                run = _Run(trio.CancelScope(deadline=trio.current_time() + spec.start_seconds))
                self._runs[name] = run
                nursery.start_soon(self._keep, spec, run, name=name)
            case StopChild(name, deadline, final):
                self._stop_child(name, deadline, final)
            case RetireChild(name):
                self._specs[name].child.abandon()
            case WaitUntil(at):
                self._wake_at = at
            case Ready():
                task_status.started()
            case Escalate(error):
                self._failure = error
                self._over = True
            case Finished():
                self._over = True
            case _:
                assert_never(directive)

    def _stop_child(self, name: str, deadline: float, final: bool) -> None:
        run = self._runs.get(name)
        if run is None:
            # It has exited by itself and the event is on its way.
            return
        run.told_to_stop = True
        if not run.ready:
            run.scope.cancel()
            return
        run.scope.deadline = deadline
        child = self._specs[name].child
        if final:
            child.stop()
        else:
            child.suspend()

    async def _keep(self, spec: ChildSpec, run: _Run) -> None:
        """One life of a child; whatever it ends with becomes an event."""
        name = spec.child.name
        error: BaseException | None
        try:
            with run.scope:
                await spec.child.run(task_status=_ReadyReport(lambda: self._child_ready(name, run)))
            error = _why_ended(spec, run)
        except BaseException as raised:
            passing, error = _sort(raised)
            if error is not None:
                self._on_crash(name, error)
            if passing is not None:
                raise passing from None
        else:
            if error is not None:
                self._on_crash(name, error)
        del self._runs[name]
        self._events.tell_nowait(ChildExited(name, error))

    def _child_ready(self, name: str, run: _Run) -> None:
        if run.ready:
            raise InternalError(f"{name!r} has said twice that it is ready")
        run.ready = True
        if not run.told_to_stop:
            run.scope.deadline = math.inf
        self._events.tell_nowait(ChildStarted(name))

    def stop(self) -> None:
        """Ask for an orderly end for good: children stop in reverse order, each draining. Any number of times."""
        if self._running:
            self._request_stop(final=True)
        else:
            self.abandon()

    def suspend(self) -> None:
        """Ask for an orderly end before another `run`: children leave in reverse order, their messages wait."""
        if self._running:
            self._request_stop(final=False)

    def _request_stop(self, *, final: bool) -> None:
        # Saying it again would only fill the queue of events.
        if final not in self._stops_requested:
            self._stops_requested.add(final)
            self._events.tell_nowait(StopRequested(final))

    def abandon(self) -> None:
        """There will be no further `run`: refuse those who wait for a child."""
        for spec in self._specs.values():
            spec.child.abandon()

    def actor_statistics(self) -> Iterator[ActorStatistics]:
        """The figures of every actor in the tree, in the order of starting."""
        for spec in self._specs.values():
            match spec.child:
                case Actor():
                    yield spec.child.statistics()
                case Supervisor():
                    yield from spec.child.actor_statistics()
                case _:
                    pass

    def snapshot(self) -> Snapshot:
        """The tree from here down, as it is now. The restarts of a supervisor itself are its parent's knowledge: 0 at
        the root."""
        state = ChildState.RUNNING if self._running else ChildState.ENDED
        return self._snapshot_as(ChildStatus(self._name, state, 0, self._failure))

    def _snapshot_as(self, own: ChildStatus) -> Snapshot:
        children = tuple(_snapshot(self._specs[status.name].child, status) for status in self._core.statuses())
        return _node("supervisor", own, None, children)


def _snapshot(child: Child, status: ChildStatus) -> Snapshot:
    match child:
        case Supervisor():
            return child._snapshot_as(status)
        case Actor():
            return _node("actor", status, child.statistics(), ())
        case _:
            return _node("task", status, None, ())


def _node(
    kind: str, status: ChildStatus, statistics: ActorStatistics | None, children: tuple[Snapshot, ...]
) -> Snapshot:
    last_error = None if status.last_error is None else repr(status.last_error)
    return Snapshot(status.name, kind, status.state.value, status.restarts, last_error, statistics, children)


def _why_ended(spec: ChildSpec, run: _Run) -> BaseException | None:
    """The error of a life that ended without raising one, None for a proper end."""
    name = spec.child.name
    if not run.told_to_stop and not run.ready:
        if run.scope.cancelled_caught:
            return InternalError(f"{name!r} was not ready within {spec.start_seconds:g} s")
        return InternalError(f"{name!r} ended before it was ready")
    if run.scope.cancelled_caught and run.ready and spec.shutdown_seconds > 0:
        return InternalError(f"{name!r} did not stop within {spec.shutdown_seconds:g} s and was killed")
    return None


def _sort(raised: BaseException) -> tuple[BaseException | None, BaseException | None]:
    """What passes through the supervisor, and what is a crash of the child; a group of one is that one."""
    if isinstance(raised, BaseExceptionGroup):
        passing, crash = raised.split(_PASSING)
        return passing, None if crash is None else _unwrapped(crash)
    return (raised, None) if isinstance(raised, _PASSING) else (None, raised)


def _unwrapped(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
