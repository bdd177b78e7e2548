"""Supervision: who is started, stopped and restarted, when, and when to give up.

Theory of operation
-------------------
A supervisor keeps an ordered list of children. Each is in one state:

    PENDING   to be started: at first, after a crash (not before its backoff is over), after a stop for a sibling's sake
    STARTING  told to start; has not said that it is ready
    RUNNING   ready
    STOPPING  told to stop; killed by the shell at its deadline
    ENDED     over for good; whoever waits for it has been refused

Only an event moves a child from one state to another, and every event ends in the same step, `_advance`, which looks at
the states alone. It first stops whom it must stop, one at a time, last listed first; when nobody is left to stop it
either says that the supervisor is through or starts whom it may start. So a crash during a restart, or a stop during a
start, needs no case of its own.

Order. Children start in the order listed, each after all before it are running or ended, and stop in reverse. A child
that restarts alone (one_for_one) waits for nobody.

Crashes. A child that ends by itself is restarted as its rule says. Each such restart counts against the intensity; one
too many and all children are stopped and the supervisor fails with RestartIntensityExceeded. Those to be restarted with
it under the strategy are stopped first. What a child does while it is being stopped, or is about to be, is a
consequence and counts for nothing. A transient child that ended normally stays ended when a sibling crashes: it has
done its work.

First start. A child that fails before it was ready for the first time fails the supervisor with its own error, as in
OTP: a store that cannot be opened is the operator's business and not cured by trying thrice.

Backoff. The n-th crash in a row waits initial * factor ** (n - 1), capped, less a random part. OTP restarts at once and
has no such pause; here the usual cause is a store or a network that is away for seconds.

Stopping for good or for a restart. When a sibling or the supervisor is to be started again, children leave after
the batch under way and their messages wait for them; draining instead could make them ask the very sibling that is
gone. When the stop is final they drain. A supervisor that gives up suspends its children: its parent knows whether they
come back.

Not guaranteed: that a child really ends by its deadline (a handler may shield itself from cancellation; the
watchdog reports it), nor that a child stopped for a sibling's sake has not crashed in between.

Rejected: a restart of several children side by side (their order is the only statement of who needs whom); counting
restarts per child (a tree that flaps by turns would never give up).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, assert_never

import attrs

from .errors import InternalError, RestartIntensityExceeded
from .supervision_messages import (
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

_ALIVE: Final = frozenset({ChildState.STARTING, ChildState.RUNNING, ChildState.STOPPING})


@attrs.define
class _Child:
    """What the core knows of one child."""

    rule: ChildRule
    state: ChildState = ChildState.PENDING
    doomed: bool = False  # to be stopped for a sibling's sake
    alone: bool = False  # starts without regard to the order
    was_ready: bool = False
    ready_since: float | None = None
    not_before: float = 0.0
    pause_seconds: float = 0.0  # the last one, before jitter
    restarts: int = 0
    last_error: BaseException | None = None


class SupervisionCore:
    """The decisions of one supervisor, from its start to its end."""

    def __init__(
        self,
        name: str,
        rules: Sequence[ChildRule],
        strategy: Strategy,
        intensity: Intensity,
        backoff: Backoff,
        rng: Random,
    ) -> None:
        self._name = name
        self._children = {rule.name: _Child(rule) for rule in rules}
        if len(self._children) != len(rules):
            raise InternalError(f"supervisor {name!r}: two children share a name in {[rule.name for rule in rules]}")
        self._strategy = strategy
        self._intensity = intensity
        self._backoff = backoff
        self._rng = rng
        self._restarts: deque[float] = deque()
        self._begun = False
        self._ready_said = False
        self._leaving: Finished | Escalate | None = None
        self._final = False
        self._over = False

    def handle(self, event: Event, now: float) -> list[Directive]:
        """What to do about an event. now: monotonic seconds. Once it has said Finished or Escalate it wants nothing
        more."""
        directives: list[Directive] = []
        match event:
            case StartRequested():
                self._begun = True
            case ChildStarted(name):
                self._became_ready(self._children[name], now)
            case ChildExited(name, error):
                directives.extend(self._exited(self._children[name], error, now))
            case StopRequested(final):
                directives.extend(self._stop_requested(final))
            case BackoffElapsed():
                pass
            case _:
                assert_never(event)
        directives.extend(self._advance(now))
        return directives

    def _became_ready(self, child: _Child, now: float) -> None:
        # A child that was told to stop meanwhile is on its way out and stays so.
        if child.state is ChildState.STARTING:
            child.state = ChildState.RUNNING
            child.was_ready = True
            child.ready_since = now

    def _exited(self, child: _Child, error: BaseException | None, now: float) -> Iterable[Directive]:
        told_to_go = child.state is ChildState.STOPPING or child.doomed or self._leaving is not None
        child.state = ChildState.PENDING
        child.doomed = False
        child.last_error = error or child.last_error
        if told_to_go:
            gone = self._final or (self._leaving is None and child.rule.restart is Restart.TEMPORARY)
            return self._retire(child) if gone else ()
        if error is not None and not child.was_ready:
            self._leaving = Escalate(error)
            return ()
        if child.rule.restart is Restart.PERMANENT or (child.rule.restart is Restart.TRANSIENT and error is not None):
            self._crashed(child, error, now)
            return ()
        return self._retire(child)

    def _retire(self, child: _Child) -> Iterable[Directive]:
        child.state = ChildState.ENDED
        return (RetireChild(child.rule.name),)

    def _crashed(self, child: _Child, error: BaseException | None, now: float) -> None:
        window = self._restarts
        window.append(now)
        while window[0] < now - self._intensity.period_seconds:
            window.popleft()
        if len(window) > self._intensity.restarts:
            self._leaving = Escalate(self._gave_up(child, error))
            return
        child.restarts += 1
        child.alone = self._strategy is Strategy.ONE_FOR_ONE
        child.not_before = now + self._pause(child, now)
        for other in self._restarted_with(child):
            other.doomed = other.state in _ALIVE
            other.not_before = max(other.not_before, child.not_before)

    def _gave_up(self, child: _Child, error: BaseException | None) -> RestartIntensityExceeded:
        reason = "ended, and should not" if error is None else repr(error)
        exceeded = RestartIntensityExceeded(
            f"supervisor {self._name!r}: over {self._intensity.restarts} restarts within "
            f"{self._intensity.period_seconds:g} s, the last of {child.rule.name!r}: {reason}"
        )
        exceeded.__cause__ = error
        return exceeded

    def _pause(self, child: _Child, now: float) -> float:
        backoff = self._backoff
        if child.ready_since is not None and now - child.ready_since >= backoff.healthy_seconds:
            child.pause_seconds = 0.0
        pause = min(backoff.cap_seconds, max(backoff.initial_seconds, child.pause_seconds * backoff.factor))
        child.pause_seconds = pause
        return pause * (1 - backoff.jitter * self._rng.random())

    def _restarted_with(self, child: _Child) -> list[_Child]:
        children = list(self._children.values())
        match self._strategy:
            case Strategy.ONE_FOR_ONE:
                return []
            case Strategy.REST_FOR_ONE:
                return children[children.index(child) + 1 :]
            case Strategy.ONE_FOR_ALL:
                return [other for other in children if other is not child]
            case _:
                assert_never(self._strategy)

    def _stop_requested(self, final: bool) -> list[Directive]:
        self._leaving = self._leaving or Finished()
        self._final = self._final or final
        idle = [child for child in self._children.values() if self._final and child.state is ChildState.PENDING]
        return [directive for child in idle for directive in self._retire(child)]

    def _advance(self, now: float) -> list[Directive]:
        if self._over or not (self._begun or self._leaving):
            return []
        must_stop = [c for c in self._children.values() if c.state in _ALIVE and (c.doomed or self._leaving)]
        if must_stop:
            return self._stop_last(must_stop, now)
        if self._leaving is not None:
            self._over = True
            return [self._leaving]
        return self._start_next(now)

    def _stop_last(self, must_stop: list[_Child], now: float) -> list[Directive]:
        if any(child.state is ChildState.STOPPING for child in must_stop):
            return []
        child = must_stop[-1]
        child.state = ChildState.STOPPING
        return [StopChild(child.rule.name, now + child.rule.shutdown_seconds, self._final)]

    def _start_next(self, now: float) -> list[Directive]:
        directives: list[Directive] = []
        wait_until: list[float] = []
        earlier_ready = True
        for child in self._children.values():
            if child.state is ChildState.PENDING and (child.alone or earlier_ready):
                if child.not_before <= now:
                    child.state = ChildState.STARTING
                    child.ready_since = None
                    directives.append(StartChild(child.rule.name))
                else:
                    wait_until.append(child.not_before)
            earlier_ready = earlier_ready and child.state in (ChildState.RUNNING, ChildState.ENDED)
        if earlier_ready and not self._ready_said:
            self._ready_said = True
            directives.append(Ready())
        if wait_until:
            directives.append(WaitUntil(min(wait_until)))
        return directives

    def check_invariants(self) -> None:
        """Raise InternalError, showing the whole state, when something that always holds does not."""
        children = list(self._children.values())
        stopping = [child for child in children if child.state is ChildState.STOPPING]
        in_order = [child for child in children if child.state is ChildState.STARTING and not child.alone]
        holds = {
            "one child stops at a time": len(stopping) <= 1,
            "one child starts in order at a time": len(in_order) <= 1,
            "only a living child is doomed": all(child.state in _ALIVE for child in children if child.doomed),
            "nobody outlives the end": not (self._over and any(child.state in _ALIVE for child in children)),
            "only one_for_one starts a child alone": self._strategy is Strategy.ONE_FOR_ONE
            or not any(child.alone for child in children),
            "too many restarts end it": len(self._restarts) <= self._intensity.restarts or self._leaving is not None,
        }
        broken = [rule for rule, held in holds.items() if not held]
        if broken:
            raise InternalError(f"supervisor {self._name!r}: not so: {broken}; {children}")

    def statuses(self) -> list[ChildStatus]:
        """The children, in order."""
        return [
            ChildStatus(child.rule.name, child.state, child.restarts, child.last_error)
            for child in self._children.values()
        ]
