"""What the memory adapter keeps of a task, and how it looks to those who ask."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Final

import attrs

from runtime.clock import Instant
from runtime.errors import InternalError, StaleEpoch, StaleFence

from ..model.execution import Attempt, Execution
from ..model.lifecycle import State
from ..model.occurrence import Outcome, Reason, Settled
from ..model.system import OWN_TYPES
from ..model.task import Definition, Task, TaskState
from .answers import Counts, LogLine, OutcomeRow, Revision, TaskFilter, TaskPage, sort_key
from .port import Commit


def is_held(execution: Execution) -> bool:
    """Whether an execution belongs to its task's open ones: open, held after a crash, or lingering."""
    return execution.is_held


_LOWER: Final = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}
"""Lower case for ASCII only, as SQLite's."""


FoldKey = tuple[Instant, Outcome, Reason | None]
"""Hour, outcome and reason."""

Folded = tuple[Instant, Instant, int]
"""The first and the last of the slots, and their number."""


@attrs.define
class Record:
    """A task with what belongs to it. `open` and `history` are in order of creation."""

    definition: Definition
    state: TaskState
    partition: int
    due: Instant | None
    began_at: Instant
    open: dict[str, Execution] = attrs.field(factory=dict)
    history: dict[str, Execution] = attrs.field(factory=dict)
    settled: dict[Instant, Settled] = attrs.field(factory=dict)
    folded: dict[FoldKey, Folded] = attrs.field(factory=dict)
    revisions: list[Revision] = attrs.field(factory=list)

    @property
    def task(self) -> Task:
        return Task(self.definition, self.state, tuple(self.open.values()))


@attrs.define
class Parts:
    """What an execution has besides its row."""

    attempts: dict[int, Attempt] = attrs.field(factory=dict)
    logs: list[LogLine] = attrs.field(factory=list)
    result: str | None = None
    checkpoint: str | None = None
    progress: str | None = None


def is_running(execution: Execution) -> bool:
    """Whether it counts against queues and keys: running, or abandoned and not returned."""
    return execution.state is State.RUNNING or execution.lingers


def matches(record: Record, wanted: TaskFilter) -> bool:
    """Whether a list with this filter holds the task."""
    definition = record.definition
    return (
        (wanted.status is None or record.state.status is wanted.status)
        and (wanted.type is None or definition.type == wanted.type)
        and (wanted.type_prefix is None or definition.type.startswith(wanted.type_prefix))
        and (wanted.tenant is None or definition.tenant == wanted.tenant)
        and (wanted.owner is None or definition.owner == wanted.owner)
        and (wanted.text is None or wanted.text.translate(_LOWER) in definition.name.translate(_LOWER))
        and (wanted.id_prefix is None or definition.id.startswith(wanted.id_prefix))
        and (wanted.system or definition.type not in OWN_TYPES)
    )


def page_of(records: Iterable[Record], wanted: TaskFilter) -> TaskPage:
    """One page of those that fit the filter, and how many do."""
    found = [record for record in records if matches(record, wanted)]
    found.sort(key=lambda record: sort_key(record.task, wanted.sort), reverse=wanted.descending)
    some = found[wanted.offset : wanted.offset + wanted.limit]
    return TaskPage(tuple(record.task for record in some), len(found))


def outcome_of(execution: Execution, nominal: Instant) -> OutcomeRow:
    """An execution's row of the ledger as people read it."""
    return OutcomeRow(
        first=nominal,
        last=nominal,
        count=1,
        outcome=execution.outcome,
        reason=None if execution.reason is None else execution.reason.value,
        execution_id=execution.id,
        state=execution.state,
        started_at=execution.first_started_at,
        revision=execution.revision,
        target=execution.target,
    )


def outcome_of_range(row: Settled) -> OutcomeRow:
    """A range's row of the ledger as people read it."""
    return OutcomeRow(
        first=row.first,
        last=row.last,
        count=row.count,
        outcome=row.outcome,
        reason=row.reason.value,
        execution_id=row.execution,
        state=None,
        started_at=None,
        revision=row.revision,
    )


def outcome_of_fold(key: FoldKey, folded: Folded) -> OutcomeRow:
    """A folded row of the ledger as people read it."""
    (_, outcome, reason), (first, last, count) = key, folded
    return OutcomeRow(
        first=first,
        last=last,
        count=count,
        outcome=outcome,
        reason=None if reason is None else reason.value,
        execution_id=None,
        state=None,
        started_at=None,
        revision=0,
        folded=True,
    )


def counts_of(records: Collection[Record], outcomes: Mapping[tuple[Outcome, Reason | None], int]) -> Counts:
    """The totals over these tasks and over the outcomes that were ever recorded."""
    by_status = Counter(record.state.status.value for record in records)
    by_outcome: Counter[str] = Counter()
    by_reason: Counter[str] = Counter()
    for (outcome, reason), number in outcomes.items():
        by_outcome[outcome.value] += number
        by_reason[outcome.value if reason is None else f"{outcome.value}: {reason.value}"] += number
    system = Counter(record.state.status.value for record in records if record.definition.type in OWN_TYPES)
    return Counts(len(records), dict(by_status), dict(+by_outcome), dict(+by_reason), dict(system))


def refuse_twice(commit: Commit) -> None:
    """InternalError if a commit changes a task twice."""
    ids = {create.task.definition.id for create in commit.creates}
    ids.update(update.task_id for update in commit.updates)
    if len(ids) != len(commit.creates) + len(commit.updates):
        raise InternalError("a commit changes the same task twice")


def stale_epoch(partition: int) -> StaleEpoch:
    """The refusal of a change in a partition whose epoch does not hold."""
    return StaleEpoch(f"partition {partition} has been taken under another epoch")


def stale_fence(execution_id: str, fence: int) -> StaleFence:
    """The refusal of a write about an attempt that is not the newest, or not in that state."""
    return StaleFence(f"execution {execution_id} has ended or has a newer attempt than fence {fence}")


def newest_of(history: dict[str, Execution]) -> Execution:
    """The execution that was made last."""
    return next(reversed(history.values()))
