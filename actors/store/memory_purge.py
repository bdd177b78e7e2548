"""What a slice of a purge removes from the memory adapter: the same as in `sqlite_purge.py`, row by row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Final, assert_never

import attrs

from runtime.clock import Instant, Micros

from ..model.execution import Execution
from ..model.lifecycle import Phase
from ..model.occurrence import Outcome, Reason, Settled
from ..model.retention import FAR, FINAL_STATES, SYSTEM, Cursor, Purged, Slice, Stage, before, hour_of
from .memory_rows import Parts, Record
from .port import Audit

_INACTIVE: Final = (Phase.FINISHED, Phase.CANCELLED)


@attrs.define
class Purger:
    """Works on the adapter's own dictionaries. `delete` forgets a task, `is_needed` tells whether others still need it."""

    tasks: dict[str, Record]
    executions: dict[str, Execution]
    parts: dict[str, Parts]
    audits: list[Audit]
    delete: Callable[[str], None]
    is_needed: Callable[[str], bool]

    def purge(self, wanted: Slice) -> Purged:
        """See the port."""
        records = [record for key, record in self.tasks.items() if wanted.task_id in (None, key)]
        match wanted.stage:
            case Stage.EXECUTIONS:
                ends = [
                    (one.ended_at or 0, one.id, one) for record in records for one in old_executions(record, wanted)
                ]
                return self._purge_executions([one for *_, one in sorted(ends)], wanted)
            case Stage.ROWS:
                rows = [(row.last, row.task_id, row) for record in records for row in old_rows(record, wanted)]
                return self._fold_rows([row for *_, row in sorted(rows, key=lambda entry: entry[:2])], wanted)
            case Stage.TASKS:
                return self._purge_tasks(records, wanted)
            case Stage.LEDGER:
                for record in records:
                    drop_folded(record, before(wanted.retention.folded, wanted.now))
                return self._fold_rows([row for record in records for row in surplus_rows(record, wanted)], wanted)
            case Stage.AUDITS:
                gone = min(wanted.limit, max(0, len(self.audits) - wanted.retention.audits))
                del self.audits[:gone]
                return Purged(gone, Cursor() if gone == wanted.limit else None)
            case _:
                assert_never(wanted.stage)

    def _purge_executions(self, executions: Sequence[Execution], wanted: Slice) -> Purged:
        some = executions[: wanted.limit]
        for execution in some:
            self._remove(execution)
        return Purged(len(some), Cursor() if len(executions) > len(some) else None)

    def _remove(self, execution: Execution) -> None:
        record = self.tasks[execution.task_id]
        if execution.nominal is not None and execution.outcome is not None:
            fold(record, execution.nominal, execution.nominal, 1, execution.outcome, execution.reason)
        del record.history[execution.id]
        del self.executions[execution.id]
        self.parts.pop(execution.id, None)

    def _fold_rows(self, rows: Sequence[Settled], wanted: Slice) -> Purged:
        some = rows[: wanted.limit]
        for row in some:
            record = self.tasks[row.task_id]
            del record.settled[row.first]
            fold(record, row.first, row.last, row.count or 0, row.outcome, row.reason)
        return Purged(len(some), Cursor() if len(rows) > len(some) else None)

    def _purge_tasks(self, records: Sequence[Record], wanted: Slice) -> Purged:
        surplus: list[Execution] = []
        removed = 0
        for record in sorted(records, key=lambda record: record.definition.id):
            definition = record.definition
            if not is_inactive(record, wanted) or self.is_needed(definition.id):
                surplus += surplus_executions(record, wanted)
                continue
            removed += len(record.history) + 1
            self.delete(definition.id)
            self.audits.append(Audit(wanted.now, SYSTEM, "purge", definition.id, definition.name))
        purged = self._purge_executions(surplus, wanted)
        return Purged(purged.removed + removed, purged.next)


def old_executions(record: Record, wanted: Slice) -> Iterator[Execution]:
    """Ended executions that have been kept for their time; what a task keeps shorter than others is looked at with the task."""
    horizon = _horizon([keep.ttl for keep in wanted.retention.states.values()], wanted)
    for execution in _executions(record, wanted):
        limit = _limit(record, wanted.retention.states[execution.state].ttl, wanted)
        if limit is not None and execution.ended_at is not None and execution.ended_at <= min(limit, horizon):
            yield execution


def _horizon(ttls: Sequence[Micros | None], wanted: Slice) -> int:
    """The newest instant at which something may have been kept long enough."""
    return wanted.now - min((ttl for ttl in ttls if ttl is not None), default=Micros(FAR))


def surplus_executions(record: Record, wanted: Slice) -> Iterator[Execution]:
    """Ended executions beyond the number that is kept of their state, or beyond their task's own time, oldest first."""
    ranks = Counter(execution.state for execution in record.history.values())
    own = _limit(record, None, wanted)
    removable = {execution.id for execution in _executions(record, wanted)}
    for execution in record.history.values():
        rank = ranks[execution.state]
        ranks[execution.state] -= 1
        if execution.id in removable:
            last = wanted.retention.states[execution.state].last
            aged = own is not None and execution.ended_at is not None and execution.ended_at <= own
            if aged or (last is not None and rank > last):
                yield execution


def _executions(record: Record, wanted: Slice) -> Iterator[Execution]:
    """Those that may go at all: ended for good, covered by the watermark, and not among the newest."""
    through, history = record.state.settled_through, list(record.history.values())
    for execution in history[: max(0, len(history) - wanted.retention.newest)]:
        covered = execution.nominal is None or execution.nominal <= through
        if execution.state in FINAL_STATES and not execution.lingers and covered:
            yield execution


def old_rows(record: Record, wanted: Slice) -> Iterator[Settled]:
    """Ledger rows that have been kept for their time; what a task keeps shorter than others is looked at with the task."""
    horizon = _horizon([wanted.retention.rows.ttl, wanted.retention.skipped.ttl], wanted)
    for row in _rows(record, wanted):
        limit = _limit(record, wanted.retention.of_row(row.outcome).ttl, wanted)
        if limit is not None and row.last <= min(limit, horizon):
            yield row


def surplus_rows(record: Record, wanted: Slice) -> Iterator[Settled]:
    """Ledger rows beyond the number that is kept of their kind, or beyond their task's own time."""
    own = _limit(record, None, wanted)
    ranks = Counter(row.outcome is Outcome.SKIPPED for row in record.settled.values())
    removable = {row.first for row in _rows(record, wanted)}
    for first in sorted(record.settled):
        row = record.settled[first]
        kind = row.outcome is Outcome.SKIPPED
        rank = ranks[kind]
        ranks[kind] -= 1
        last = wanted.retention.of_row(row.outcome).last
        if first in removable and ((own is not None and row.last <= own) or (last is not None and rank > last)):
            yield row


def _rows(record: Record, wanted: Slice) -> Iterator[Settled]:
    """Those that may go at all: counted, covered by the watermark, and not among the newest."""
    order = sorted(record.settled)
    for first in order[: max(0, len(order) - wanted.retention.newest)]:
        row = record.settled[first]
        if row.count is not None and row.last <= record.state.settled_through:
            yield row


def _limit(record: Record, ttl: Micros | None, wanted: Slice) -> Instant | None:
    own = record.definition.policies.ttl
    return before(ttl if own is None else own, wanted.now)


def is_inactive(record: Record, wanted: Slice) -> bool:
    """Whether the task itself has been kept for its time, with nothing of it still going on."""
    state = record.state
    limit = _limit(record, wanted.retention.tasks, wanted)
    if state.phase not in _INACTIVE or state.catching_up is not None or record.open or limit is None:
        return False
    ended = state.last_ended_at or Instant(0)
    return max(ended, state.settled_through, record.definition.created_at, record.began_at) <= limit


def fold(record: Record, first: Instant, last: Instant, count: int, outcome: Outcome, reason: Reason | None) -> None:
    """Count slots whose row goes in the row of their hour."""
    key = (hour_of(first), outcome, reason)
    former = record.folded.get(key, (first, last, 0))
    record.folded[key] = (min(first, former[0]), max(last, former[1]), former[2] + count)


def drop_folded(record: Record, limit: Instant | None) -> None:
    """Forget folded rows that end at this instant or earlier; None: none."""
    if limit is not None:
        record.folded = {key: row for key, row in record.folded.items() if row[1] > limit}
