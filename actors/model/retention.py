"""How long what has ended is kept, and what one slice of a purge is asked for and answers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Final

import attrs

from runtime.clock import DAY, HOUR, Instant, Micros
from runtime.records import evolve, record

from .lifecycle import State
from .occurrence import Outcome

KEEP_FOR: Final = Micros(30 * DAY)
"""A month's review still finds it."""

KEEP_LAST: Final = 1_000
"""Of each task: what a person scrolls through, and what a task that runs every second must not exceed by much."""

KEEP_FOLDED: Final = Micros(366 * DAY)
"""Counts by the hour for a year's comparison: some thousand narrow rows for a task that runs all the time."""

AUDITS_KEPT: Final = 100_000
"""Audit records of the whole store, the newest: some tens of megabytes."""

REVISIONS_KEPT: Final = 1_000
"""Former definitions of each task, the newest: more edits than people make."""

SYSTEM: Final = "system"
"""Who changes what nobody asked for: the actor of audit records, the tenant and owner of system tasks."""

SLICE: Final = 100
"""Rows that one slice looks at or removes: some ten milliseconds of the writer's time where all of them go."""

FAR: Final = 2**62
"""Microseconds beyond every instant."""

FINAL_STATES: Final = (State.COMPLETED, State.FAILED, State.TIMED_OUT, State.CANCELLED)
"""States in which an execution ends for good; one that is CRASHED waits for a decision."""


@record
class Keep:
    """For how long (None: for ever, 0: until the next purge), and of each task at most the newest `last` (None: all)."""

    ttl: Micros | None = KEEP_FOR
    last: int | None = None


_USUAL: Final = Keep(last=KEEP_LAST)


def _states() -> dict[State, Keep]:
    return {state: _USUAL if state is State.COMPLETED else Keep() for state in FINAL_STATES}


@record
class Retention:
    """What is kept of everything that has ended. A task's own `Policies.ttl` takes the place of the times for it.

    `states`: executions by final state, each with its row of the ledger. `rows`: ledger rows about slots that were not run, but
    `skipped` those that were seen and not run. `folded`: counts by the hour, what is left of ledger rows. `tasks`: finished
    and cancelled tasks. `newest`: executions and ledger rows of each task that stay in any case.
    """

    states: Mapping[State, Keep] = attrs.field(factory=_states)
    rows: Keep = _USUAL
    skipped: Keep = Keep()
    folded: Micros | None = KEEP_FOLDED
    tasks: Micros | None = KEEP_FOR
    newest: int = 0
    audits: int = AUDITS_KEPT

    def of_row(self, outcome: Outcome) -> Keep:
        """What holds for a ledger row about slots that were not run."""
        return self.skipped if outcome is Outcome.SKIPPED else self.rows


def by_hand(usual: Retention, age: Micros | None, states: Collection[State]) -> Retention:
    """What a purge that somebody asks for keeps: what the configuration keeps, or only what is younger than `age`.

    `states`: of executions only those that ended in one of these go, and nothing else. What the configuration keeps in any case
    stays, and a task's own time holds.
    """
    if age is None and not states:
        return usual
    kept = {
        state: (keep if age is None else Keep(age)) if not states or state in states else Keep(None)
        for state, keep in usual.states.items()
    }
    if states:
        return evolve(usual, states=kept, rows=Keep(None), skipped=Keep(None), tasks=None)
    return evolve(usual, states=kept, rows=Keep(age), skipped=Keep(age), tasks=age)


class Stage(StrEnum):
    """The parts of a purge, each a walk of its own.

    `executions` and `rows`: by age. `tasks`: task by task, executions beyond their number or their task's own time, then the
    inactive task itself. `ledger`: task by task, ledger rows likewise, and folded counts that are too old. `audits`: the oldest.
    """

    EXECUTIONS = "executions"
    ROWS = "rows"
    TASKS = "tasks"
    LEDGER = "ledger"
    AUDITS = "audits"


PURGES: Final = (Stage.EXECUTIONS, Stage.TASKS, Stage.AUDITS)
"""What a purge walks through."""

FOLDS: Final = (Stage.ROWS, Stage.LEDGER)
"""What folding walks through."""


@record
class Cursor:
    """How far a walk has come: everything up to here has been looked at. What the parts mean is each stage's own matter.

    `seen`: how many rows of each kind the walk through a task's history has passed.
    """

    at: int = -FAR
    id: str = ""
    first: int = -FAR
    seen: tuple[tuple[str, int], ...] = ()


@record
class Slice:
    """One bounded step: `limit` rows are looked at, or removed, at the most. `task_id`: of this task only."""

    stage: Stage
    retention: Retention
    now: Instant
    task_id: str | None = None
    after: Cursor = Cursor()
    limit: int = SLICE


@record
class Purged:
    """What a slice removed, and where the next one goes on; None at the end of the walk."""

    removed: int = 0
    next: Cursor | None = None


def before(ttl: Micros | None, now: Instant) -> Instant | None:
    """What ended at this instant or earlier has been kept long enough; None: nothing has."""
    return None if ttl is None else Instant(now - ttl)


def hour_of(instant: Instant) -> Instant:
    """The beginning of the hour, UTC, into which a ledger row folds."""
    return Instant(instant - instant % HOUR)
