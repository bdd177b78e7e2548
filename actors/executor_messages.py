"""The executor's vocabulary. `Start`, `Interrupt`, `Recorded` and `Release`, which it hears too, are the keeper's words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from runtime.clock import Instant
from runtime.records import record

from .keeper_messages import AttemptEnd, AttemptsEnded, InSync, Interrupt, Recorded, Release, SlotsFreed, Start
from .model.execution import Execution, Failure
from .model.task import Definition
from .sharing_messages import EndTasks

if TYPE_CHECKING:
    from runtime.mailbox import Reply

# What the executor hears.


@record
class Resync:
    """The keeper asks what there is; `token` comes back in the `InSync`."""

    token: str = ""


@record
class InterruptAll:
    """The node: end everything that runs, and what is still to be started, at no cost, for this reason, until `Trust`."""

    reason: str


@record
class Trust:
    """The node: attempts may run that were claimed under this boot id, and from now on no others."""

    boot: str


@record
class Drain:
    """Start nothing more; ask handlers to checkpoint, wait `grace_seconds`, then interrupt what still runs.

    Answered when nothing runs; handlers that ignore even the interruption are abandoned first.
    """

    grace_seconds: float
    reply: Reply[None]


Message = Start | Interrupt | InterruptAll | Trust | EndTasks | Recorded | Release | Resync | Drain
"""What comes through its mailbox."""


@record
class HandlerEnded:
    """The handler has returned, raised, or given way to its interruption; `crashed`: a worker outside is gone that had it.

    `names`: the class names of the exception and its bases, for the retry policy.
    """

    execution_id: str
    fence: int
    how: Literal["completed", "failed", "interrupted", "crashed"]
    result: str | None = None
    failure: Failure | None = None
    names: tuple[str, ...] = ()


@record
class Beat:
    """A sign of life of the handler."""

    execution_id: str
    fence: int


@record
class Begun:
    """A worker outside has begun an attempt that was held for one: its timeouts run from now."""

    execution_id: str
    fence: int


@record
class AlarmRang:
    """The deadline last set with `SetAlarm` has come."""


Event = Message | HandlerEnded | Beat | Begun | AlarmRang
"""What the core decides about."""

# What the executor wants done.


@record
class Spawn:
    """Run the handler of this attempt."""

    definition: Definition
    execution: Execution
    started_at: Instant


@record
class Notify:
    """Let the handler see that it shall come to an end; do not interrupt it yet."""

    execution_id: str
    fence: int
    reason: str


@record
class Cancel:
    """Interrupt the handler; it sees the reason."""

    execution_id: str
    fence: int
    reason: str


@record
class ReportEnd:
    """Tell the keeper that an attempt has ended; ends in a row go in one message."""

    end: AttemptEnd


@record
class Report:
    """Tell the keeper."""

    message: InSync | AttemptsEnded | SlotsFreed


@record
class SetAlarm:
    """Ring at this monotonic deadline (seconds) instead of the one set before."""

    at: float


@record
class Replace:
    """The slot of this handler is given to others while it goes on: so that its thread is not missed, let there be one more."""

    execution_id: str
    fence: int


@record
class Drained:
    """Answer a `Drain`."""

    reply: Reply[None]


Directive = Spawn | Notify | Cancel | ReportEnd | Report | SetAlarm | Replace | Drained
