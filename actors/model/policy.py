"""How a task is run: its policies, each with a default that a person would choose."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Literal

from runtime.clock import HOUR, SECOND, Micros
from runtime.records import record

Backoff = Literal["fixed", "exponential"]


class CatchUp(StrEnum):
    """What is done about occurrences that came due while nobody could fire them."""

    LATEST = "latest"
    SKIP = "skip"
    EARLIEST = "earliest"
    ALL = "all"


class Overlap(StrEnum):
    """What is done when the former execution is still open: `queue` lets one wait, `queue_all` up to `overlap_limit`."""

    SKIP = "skip"
    ALLOW = "allow"
    QUEUE = "queue"
    QUEUE_ALL = "queue_all"
    REPLACE = "replace"


class OnCrash(StrEnum):
    """What is done about an execution whose process died."""

    RESUME = "resume"
    RERUN = "rerun"
    HOLD = "hold"


class OnExhausted(StrEnum):
    """What is done about a recurring task when an execution has used up its retries."""

    WAIT = "wait"
    PAUSE = "pause"


@record
class Retry:
    """How often and how soon a failed execution is tried again. The budget is per execution.

    `retry_on` and `give_up_on` hold exception type names; empty `retry_on` means every exception.
    """

    max_retries: int = 3
    delay: Micros = Micros(60 * SECOND)
    backoff: Backoff = "fixed"
    factor: float = 2.0
    cap: Micros = HOUR
    jitter: float = 0.0
    retry_on: tuple[str, ...] = ()
    give_up_on: tuple[str, ...] = ()


@record
class Concurrency:
    """At most `limit` executions of all tasks with this key (of one tenant) run at once. A task lock is a key with limit 1."""

    key: str
    limit: int = 1


@record
class Policies:
    """Every policy of a task; a field that was not set has the default shown here.

    `catch_up_limit`: occurrences that catch-up `all` runs at the most; `catch_up_spacing`: the least time between two of their
    starts. `lateness_limit`: None = until the next occurrence for `latest`, none otherwise. `max_wait`: how long an admitted
    execution may wait before its first start. `overlap_limit`: how many may wait with `queue_all`. `priority`: lower runs
    first. `ttl`: how long ended executions and a finished task are kept; None = as the node is configured.
    """

    retry: Retry = Retry()
    overlap: Overlap = Overlap.SKIP
    catch_up: CatchUp = CatchUp.LATEST
    catch_up_limit: int = 100
    lateness_limit: Micros | None = None
    timeout: Micros | None = None
    heartbeat_timeout: Micros | None = None
    on_crash: OnCrash = OnCrash.RESUME
    priority: int = 5
    queue: str = "default"
    concurrency: Concurrency | None = None
    overlap_limit: int = 100
    catch_up_spacing: Micros = Micros(0)
    max_wait: Micros | None = None
    on_exhausted: OnExhausted = OnExhausted.WAIT
    ttl: Micros | None = None


DEFAULT_POLICIES: Final = Policies()

MAX_CRASHES: Final = 3
"""After so many crashes in a row without a new checkpoint the execution is held: it is what kills the process."""

LATE_AFTER: Final = Micros(SECOND)
"""An attempt that starts later than this after its nominal time has the outcome `late`, with the reason."""
