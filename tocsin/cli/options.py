"""Options that stand together: when a task runs, how, and what belongs to it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import attrs
from cyclopts import Parameter

Flag = Parameter(negative=())
Many = Parameter(negative=())
"""An option that may be given several times."""


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class When:
    """When a task runs.

    Parameters
    ----------
    every
        Run at a fixed rate: 30s, 5m, 1h30m. Given several times, or with --cron: whichever comes next.
    cron
        Run by a cron expression: "30 2 * * mon-fri". May be given several times.
    every_days
        Run every so many days by the calendar, with --at for the time of day.
    every_weeks
        Run every so many weeks, with --weekday and --at.
    every_months
        Run every so many months, with --day, --missing and --at.
    every_years
        Run every so many years, with --month, --day and --at.
    day
        Day of the month, 1 to 31, or last.
    weekday
        mon, tue, wed, thu, fri, sat or sun.
    month
        Month of the year, 1 to 12.
    missing
        skip or last_day: what to do in a month without the day.
    at
        Run once, at a time: "2026-03-01 12:00"; with --every-days and its kin the time of day: 09:30.
    anchor
        The point that --every counts from, or a first day for --every-days and its kin.
    timezone
        The zone of --cron, --every-days and all times; if not said, UTC for --cron and --every-days, and the local one for times.
    gap
        shift or skip: what becomes of a time that a change of the clock leaves out.
    fold
        first, last or both: which of two equal local times counts when the clock goes back.
    start
        No run before this time, or before so long from now: 2w.
    end
        No run after this time, or after so long from now.
    spread
        Give the task a place of its own, always the same, in so long a window after each time: 10m.
    exclude
        Not in this calendar, holidays-de; holidays-de:next or :previous runs on another day instead.
    include
        Only in this calendar, with :next or :previous as above.
    fixed_delay
        Count --every from the end of the run before.
    """

    every: Annotated[list[str] | None, Many] = None
    cron: Annotated[list[str] | None, Many] = None
    every_days: int | None = None
    every_weeks: int | None = None
    every_months: int | None = None
    every_years: int | None = None
    day: str | None = None
    weekday: str | None = None
    month: int | None = None
    missing: str | None = None
    at: Annotated[list[str] | None, Many] = None
    in_: Annotated[str | None, Parameter(name=("--in", "--after"), help="Run once, so long from now: 2h.")] = None
    anchor: str | None = None
    timezone: str | None = None
    gap: str | None = None
    fold: str | None = None
    start: str | None = None
    end: str | None = None
    max_runs: Annotated[
        int | None, Parameter(name=("--times", "--max-runs"), help="At most so many runs by the trigger.")
    ] = None
    spread: str | None = None
    exclude: Annotated[list[str] | None, Many] = None
    include: Annotated[list[str] | None, Many] = None
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
    backoff_factor
        By how much an exponential backoff grows each time.
    retry_cap
        The longest time between attempts.
    retry_jitter
        Up to this part of the delay more, 0 to 1.
    retry_on
        An exception type that is tried again; without it, every one. May be given several times.
    give_up_on
        An exception type that is final. May be given several times.
    on_exhausted
        wait or pause: what a recurring task does when its retries are used up.
    timeout
        How long an attempt may take.
    heartbeat_timeout
        How long an attempt may be without a sign of life.
    overlap
        skip, allow, queue, queue_all or replace: what to do when the former run has not ended.
    overlap_limit
        How many wait with --overlap queue_all.
    catch_up
        latest, skip, earliest or all: what to do about runs missed while the node was down.
    catch_up_limit
        How many --catch-up all runs at most.
    catch_up_rate
        How fast --catch-up all runs them: 10/m.
    lateness_limit
        How late a run may still start.
    max_wait
        How long a run may wait for its start.
    on_crash
        resume, rerun or hold: what to do about a run whose process died.
    priority
        0 (first) to 9 (last).
    queue
        The queue that runs wait in.
    concurrency_key
        Tasks with this key share --concurrency-limit.
    concurrency_limit
        How many runs with the key at once; 1, a lock, if not said.
    ttl
        How long ended runs, and the task once it has finished, are kept.
    """

    retries: int | None = None
    retry_delay: str | None = None
    backoff: str | None = None
    backoff_factor: float | None = None
    retry_cap: str | None = None
    retry_jitter: float | None = None
    retry_on: Annotated[list[str] | None, Many] = None
    give_up_on: Annotated[list[str] | None, Many] = None
    on_exhausted: str | None = None
    timeout: str | None = None
    heartbeat_timeout: str | None = None
    overlap: str | None = None
    overlap_limit: int | None = None
    catch_up: str | None = None
    catch_up_limit: int | None = None
    catch_up_rate: str | None = None
    lateness_limit: str | None = None
    max_wait: str | None = None
    on_crash: str | None = None
    priority: int | None = None
    queue: str | None = None
    concurrency_key: str | None = None
    concurrency_limit: int | None = None
    ttl: str | None = None


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class Beside:
    """What belongs to a task beside its schedule.

    Parameters
    ----------
    params
        Parameters as a JSON object, or @FILE.
    tag
        A word for people. May be given several times.
    label
        A value by name: team=billing. May be given several times.
    depends_on
        A task, by name or id, that must have completed first. May be given several times.
    depends_mode
        all or any of them.
    fail_fast
        Give up as soon as one of them cannot complete.
    on
        any, all, node=NAME,NAME or label=NAME:VALUE,NAME:VALUE: which nodes run it; with all each of them does.
    strategy
        least_loaded, round_robin, random, pinned, rules or a plug-in of the node: how one of them is chosen.
    events
        What follows its outcomes, as a JSON list, or @FILE.
    extra
        A file whose bytes the handler gets.
    extra_type
        The content type of --extra.
    """

    params: str | None = None
    tag: Annotated[list[str] | None, Many] = None
    label: Annotated[list[str] | None, Many] = None
    depends_on: Annotated[list[str] | None, Many] = None
    depends_mode: str | None = None
    fail_fast: Annotated[bool, Flag] = False
    on: str | None = None
    strategy: str | None = None
    events: str | None = None
    extra: Path | None = None
    extra_type: str | None = None


ANY_TIME = When()
AS_USUAL = How()
NOTHING_ELSE = Beside()
