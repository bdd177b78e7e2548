"""The ledger's words: what became of a nominal time, and why."""

from __future__ import annotations

from enum import StrEnum

from runtime.clock import Instant
from runtime.records import record


class Outcome(StrEnum):
    """What became of an occurrence. Exactly one for every nominal time."""

    FIRED = "fired"
    LATE = "late"
    COALESCED = "coalesced"
    MISSED = "missed"
    SKIPPED = "skipped"


class Reason(StrEnum):
    """Why the outcome is not simply `fired`."""

    DOWNTIME = "downtime"
    QUEUE = "queue"
    CATCH_UP = "catch_up"
    OVERLAP = "overlap"
    PAUSED = "paused"
    CALENDAR = "calendar"
    TOO_LATE = "too_late"
    LIMIT = "limit"
    NO_NODE = "no_node"
    NODE_LOST = "node_lost"
    DEPENDENCY = "dependency"
    CANCELLED = "cancelled"


@record
class Settled:
    """One row of the ledger about slots that were not run: a single one, or a range of a task's slots in a row.

    `count` None means that the slots of the range are not counted yet. `execution`: the one that blocked it or stands for it.
    """

    task_id: str
    first: Instant
    last: Instant
    count: int | None
    outcome: Outcome
    reason: Reason
    settled_at: Instant
    revision: int
    execution: str | None = None
