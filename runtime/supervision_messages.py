"""The vocabulary of supervision: how children are to be kept, what the core hears, what it wants done.

The words and their meanings are OTP's (`supervisor`, "Supervision Principles"), durations in seconds of the monotonic
clock.
"""

from __future__ import annotations

import enum
from typing import Final

import attrs

from .errors import InternalError

DEFAULT_SHUTDOWN_SECONDS: Final = 5.0
"""How long a child may take to stop before it is killed: OTP's default."""


class Restart(enum.Enum):
    """When a child that has ended by itself is started again."""

    PERMANENT = "permanent"
    """Always."""
    TRANSIENT = "transient"
    """After a crash only."""
    TEMPORARY = "temporary"
    """Never, not even when it was stopped because of a sibling."""


class Strategy(enum.Enum):
    """Who is restarted with a child that crashed."""

    ONE_FOR_ONE = "one_for_one"
    """Nobody else."""
    REST_FOR_ONE = "rest_for_one"
    """Those listed after it: they were built on it."""
    ONE_FOR_ALL = "one_for_all"
    """All of them."""


class ChildState(enum.Enum):
    """Where a child is in its life; see `supervision_core`."""

    PENDING = "pending"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    ENDED = "ended"


@attrs.frozen
class Intensity:
    """More than `restarts` restarts within `period_seconds` and the supervisor gives up.

    Three in five seconds: OTP's default is one, which a single flapping dependency exceeds.
    """

    restarts: int = 3
    period_seconds: float = 5.0


@attrs.frozen
class Backoff:
    """The pause before a restart: it grows by `factor` with each crash in a row, from `initial_seconds` to at most
    `cap_seconds`.

    jitter: the share of the pause that is left to chance, so that many children do not come back at one instant.
    healthy_seconds: a child that ran so long begins anew with the first pause.
    """

    initial_seconds: float = 0.1
    factor: float = 2.0
    cap_seconds: float = 30.0
    jitter: float = 0.2
    healthy_seconds: float = 30.0

    def __attrs_post_init__(self) -> None:
        """Refuse what would restart without end or wait for ever."""
        if not (0 <= self.initial_seconds <= self.cap_seconds and self.factor >= 1 and 0 <= self.jitter <= 1):
            raise InternalError(f"not a backoff: {self!r}")


@attrs.frozen
class ChildRule:
    """How one child is kept. shutdown_seconds: for an orderly stop, before it is killed; 0 kills at once."""

    name: str
    restart: Restart = Restart.PERMANENT
    shutdown_seconds: float = DEFAULT_SHUTDOWN_SECONDS


@attrs.frozen
class ChildStatus:
    """One child as its supervisor sees it. restarts: since the supervisor started; last_error: None if it never
    failed."""

    name: str
    state: ChildState
    restarts: int
    last_error: BaseException | None


# What the core hears.


@attrs.frozen
class StartRequested:
    """Start all children, in order."""


@attrs.frozen
class ChildStarted:
    """A child told to start has said that it is ready."""

    name: str


@attrs.frozen
class ChildExited:
    """A child is gone, for whatever reason. error: None for a normal end."""

    name: str
    error: BaseException | None


@attrs.frozen
class BackoffElapsed:
    """The instant of the last `WaitUntil` has come. May be early or late, and may come for nothing."""


@attrs.frozen
class StopRequested:
    """Stop all children, in reverse order. final: they will not be started again, so let them drain and refuse what
    remains."""

    final: bool


Event = StartRequested | ChildStarted | ChildExited | BackoffElapsed | StopRequested


# What the core wants done.


@attrs.frozen
class StartChild:
    """Start the child; answer with `ChildStarted` and, once, with `ChildExited`."""

    name: str


@attrs.frozen
class StopChild:
    """Ask the child to stop, kill it at `deadline`; answer with `ChildExited`. final: it drains; else its messages
    wait."""

    name: str
    deadline: float
    final: bool


@attrs.frozen
class RetireChild:
    """The child has ended and will not be started again: refuse those who wait for it."""

    name: str


@attrs.frozen
class WaitUntil:
    """Say `BackoffElapsed` at this instant, unless another event comes first: each event replaces the wait."""

    at: float


@attrs.frozen
class Ready:
    """All children are ready, or over, for the first time: say so to the parent. Said once."""


@attrs.frozen
class Escalate:
    """All children have stopped; fail with this error, so that the parent decides."""

    error: BaseException


@attrs.frozen
class Finished:
    """All children have stopped as requested."""


Directive = StartChild | StopChild | RetireChild | WaitUntil | Ready | Escalate | Finished
