"""Options that stand together: when a task runs, and how."""

from __future__ import annotations

from typing import Annotated

import attrs
from cyclopts import Parameter

Flag = Parameter(negative=())


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class When:
    """When a task runs.

    Parameters
    ----------
    every
        Run at a fixed rate: 30s, 5m, 1h30m.
    cron
        Run by a cron expression: "30 2 * * mon-fri".
    at
        Run once, at a time: "2026-03-01 12:00".
    timezone
        The zone of --cron, --at, --start and --end; UTC for --cron, the local one for times.
    start
        No run before this time.
    end
        No run after this time.
    times
        At most so many runs.
    fixed_delay
        Count --every from the end of the run before.
    """

    every: str | None = None
    cron: str | None = None
    at: str | None = None
    in_: Annotated[str | None, Parameter(name="--in", help="Run once, so long from now: 2h.")] = None
    timezone: str | None = None
    start: str | None = None
    end: str | None = None
    times: int | None = None
    fixed_delay: Annotated[bool, Flag] = False


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class How:
    """How a task runs.

    Parameters
    ----------
    retries
        Retries after the first attempt.
    retry_delay
        Time between attempts.
    backoff
        fixed or exponential.
    timeout
        How long an attempt may take.
    overlap
        skip, allow or queue: what to do when the former run has not ended.
    catch_up
        latest, skip, earliest or all: what to do about runs missed while the node was down.
    lateness_limit
        How late a run may still start.
    on_crash
        resume, rerun or hold: what to do about a run whose process died.
    priority
        0 (first) to 9 (last).
    """

    retries: int | None = None
    retry_delay: str | None = None
    backoff: str | None = None
    timeout: str | None = None
    overlap: str | None = None
    catch_up: str | None = None
    lateness_limit: str | None = None
    on_crash: str | None = None
    priority: int | None = None


ANY_TIME = When()
AS_USUAL = How()
