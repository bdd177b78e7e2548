"""The work done for one occurrence or one manual run."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from runtime.clock import Instant
from runtime.records import record

from .lifecycle import OPEN_STATES, State
from .occurrence import Outcome, Reason


class WaitsFor(StrEnum):
    """What an open execution that does not run is waiting for."""

    SLOT = "slot"
    OVERLAP = "overlap"
    RETRY = "retry"
    NODE = "node"
    QUEUE = "queue"
    KEY = "key"
    DEPENDENCY = "dependency"
    GOVERNOR = "governor"


CLAIMABLE: Final = frozenset({WaitsFor.SLOT, WaitsFor.NODE, WaitsFor.QUEUE, WaitsFor.KEY, WaitsFor.GOVERNOR})
"""What an execution waits for that is claimed as soon as all it needs is free, if no instant is set before which it waits."""


class Kind(StrEnum):
    """Why the execution exists: the trigger, or a person or program that asked for it."""

    OCCURRENCE = "occurrence"
    MANUAL = "manual"


@record
class Failure:
    """Why an attempt did not complete: the exception's type name, its text, and the end of its traceback."""

    type: str
    message: str
    traceback: str = ""


@record
class Execution:
    """One execution with its newest attempt; former attempts are rows of their own.

    An execution with a nominal time is that occurrence's row of the ledger: `outcome` is None until attempt 1 starts.
    `fence` is the newest attempt's (0: none yet). `boot` is the boot id of the node that runs it. `due` is the instant before
    which it does not go on: of its retry, or the one the governor gave it. `crashes` counts crashes in a row without a new
    checkpoint, `checkpoints` the accepted ones. `revision` is the task's at creation. `assigned` is the instant inside the
    spread window, where that is not the nominal time itself. `expires`: it is given up if attempt 1 has not started by then.
    `key` is the concurrency key it counts against. `lingers`: it has ended, but its abandoned handler has not returned and
    still occupies the task. `since`: of the task's parents, what started after this instant counts for it. `target`: the name of
    the node that it is for, where the task runs on all.
    """

    id: str
    task_id: str
    kind: Kind
    state: State
    created_at: Instant
    nominal: Instant | None = None
    outcome: Outcome | None = None
    reason: Reason | None = None
    waits_for: WaitsFor | None = None
    due: Instant | None = None
    attempt: int = 0
    failures: int = 0
    crashes: int = 0
    fence: int = 0
    boot: str | None = None
    node: str | None = None
    channel: str = "scheduler"
    correlation: str | None = None
    first_started_at: Instant | None = None
    started_at: Instant | None = None
    ended_at: Instant | None = None
    failure: Failure | None = None
    parameters: str | None = None
    cancel_reason: str | None = None
    checkpoints: int = 0
    revision: int = 1
    assigned: Instant | None = None
    expires: Instant | None = None
    key: str | None = None
    lingers: bool = False
    since: Instant | None = None
    target: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether it still occupies its task: waiting, running, or abandoned and not returned."""
        return self.state in OPEN_STATES or self.lingers

    @property
    def is_held(self) -> bool:
        """Whether it belongs to the present of its task: open, or held after a crash."""
        return self.is_open or self.state is State.CRASHED


@record
class Attempt:
    """A former try of an execution, kept when the next one is made."""

    execution_id: str
    number: int
    fence: int
    node: str | None
    boot: str | None
    state: State
    started_at: Instant
    ended_at: Instant | None
    failure: Failure | None
