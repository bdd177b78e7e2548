"""Answers made of what a database's tables hold, whichever database it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from runtime.clock import Instant
from runtime.records import evolve

from ..model.lifecycle import State, Status
from ..model.occurrence import Outcome
from ..model.system import OWN_TYPES
from ..model.task import Extra
from .answers import Active, Activity, ActivityFilter, Counts, OutcomeRow, TaskFilter
from .rows import last_instant

OWN: Final = "({})".format(", ".join(f"'{name}'" for name in OWN_TYPES))
"""The types of the system's own tasks, as SQL has them; they are plain words."""


def extra_of(content_type: str | None, data: bytes | None) -> Extra | None:
    """The bytes for the handler, from two columns that may be null."""
    return None if content_type is None or data is None else Extra(data, content_type)


def read_outcome(row: Sequence[Any]) -> OutcomeRow:
    """From first, last, count, outcome, reason, execution, state, start, revision, whether it is folded, target."""
    first, last, count, outcome, reason, execution_id, state, started_at, revision, folded, target = row
    return OutcomeRow(
        first=first,
        last=last,
        count=count,
        outcome=None if outcome is None else Outcome(outcome),
        reason=reason,
        execution_id=execution_id,
        state=None if state is None else State(state),
        started_at=last_instant(started_at),
        revision=revision,
        folded=folded == 1,
        target=target,
    )


def asks_for_scheduled(wanted: TaskFilter) -> bool:
    """Whether a list's one condition is the status of nearly all tasks, which are not counted but what is left."""
    return wanted.status is Status.SCHEDULED and asks_for_all(evolve(wanted, status=None))


def asks_for_all(wanted: TaskFilter) -> bool:
    """Whether a list has no condition, but that the system's own tasks may be left out."""
    return wanted == TaskFilter(
        sort=wanted.sort,
        descending=wanted.descending,
        offset=wanted.offset,
        limit=wanted.limit,
        system=wanted.system,
    )


def counts_of(
    tasks: int,
    others: Mapping[str, int],
    by_outcome: Mapping[str, int],
    reasons: Iterable[tuple[str, str, int]],
    system: Mapping[str, int],
) -> Counts:
    """`others`: tasks by status but SCHEDULED, which is what is left. `reasons`: outcome, reason, number. `system`: as there."""
    by_status, by_reason, plain = dict(others), {}, Counter(by_outcome)
    if scheduled := tasks - sum(by_status.values()):
        by_status[Status.SCHEDULED.value] = scheduled
    for outcome, reason, number in reasons:
        by_reason[f"{outcome}: {reason}"] = number
        plain[outcome] -= number
    return Counts(tasks, by_status, _given(by_outcome), _given({**plain, **by_reason}), system)


def _given(numbers: Mapping[str, int]) -> dict[str, int]:
    return {word: number for word, number in numbers.items() if number}


def one_more(rows: Sequence[Active], wanted: ActivityFilter, reached: Instant | None = None) -> Activity:
    """What is answered if one row more was looked for than is wanted. `reached`: where the look ended for its bound."""
    more = len(rows) > wanted.limit
    return Activity(tuple(rows[: wanted.limit]), more or reached is not None, None if more else reached)


def look(
    wanted: ActivityFilter,
    present: Callable[[int], list[Active]],
    past: Callable[[int, int], list[Active]],
    bound: Callable[[], Instant | None],
) -> Activity:
    """A page of activity of a database.

    `present`: the first so many open executions that fit; `past`: after so many of those that have ended, so many; `bound`:
    where the last of the rows that are gone through ended, None if these are all.
    """
    end = wanted.offset + wanted.limit + 1
    first = present(end)
    if len(first) == end:
        return one_more(first[wanted.offset :], wanted)
    before = max(0, wanted.offset - len(first))
    rows = first[wanted.offset :] + past(before, end - max(len(first), wanted.offset))
    return one_more(rows, wanted, bound() if len(rows) <= wanted.limit else None)
