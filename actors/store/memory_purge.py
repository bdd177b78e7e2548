"""What a slice of a purge removes from the memory adapter: the same as in `sqlite_purge.py`.

It works in the loop of the process, so a slice looks at a bounded number of rows, and each row once in a walk.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Final, assert_never

import attrs

from runtime.clock import Instant, Micros
from runtime.records import evolve, record

from ..model.execution import Execution
from ..model.lifecycle import Phase
from ..model.occurrence import Outcome, Reason, Settled
from ..model.retention import FAR, FINAL_STATES, SYSTEM, Cursor, Purged, Slice, Stage, before, hour_of
from .memory_rows import Parts, Record
from .port import Audit

_INACTIVE: Final = (Phase.FINISHED, Phase.CANCELLED)


TASKS_AT_ONCE: Final = 100
"""Tasks that one slice looks at."""

LOOKED_AT: Final = 2_000
"""Rows that one slice looks at: some milliseconds, in which nothing else in the process goes on."""

Ranks = tuple[tuple[str, int], ...]
"""How many executions of each state are still to come in a history."""


@record
class _Step:
    """What was done about one task: rows that went and were looked at; `next`: the place where to go on, None: it is done."""

    removed: int = 0
    looked: int = 0
    next: int | None = None
    ranks: Ranks = ()
    deleted: bool = False


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
        if wanted.stage is Stage.AUDITS:
            gone = min(wanted.limit, max(0, len(self.audits) - wanted.retention.audits))
            del self.audits[:gone]
            return Purged(gone, Cursor() if gone == wanted.limit else None)
        return self._walk(wanted)

    def _walk(self, wanted: Slice) -> Purged:
        """Task after task, and through a task's history from its oldest row, as far as one slice may go.

        The cursor holds the places of the task and of the row, and the ranks of those that come. Who goes leaves its place.
        """
        at = wanted.after
        task_place, place, ranks = max(at.at, 0), max(at.first, 0), at.seen
        removed = looked = 0
        for key in self._next_tasks(wanted, task_place):
            step = self._of_task(self.tasks[key], wanted, place, ranks, wanted.limit - removed)
            removed += step.removed
            looked += step.looked
            if step.next is not None:
                return Purged(removed, Cursor(task_place, first=step.next, seen=step.ranks))
            task_place += not step.deleted
            place, ranks = 0, ()
            if removed >= wanted.limit or looked >= LOOKED_AT:
                break
        more = wanted.task_id is None and task_place < len(self.tasks)
        return Purged(removed, Cursor(task_place) if more else None)

    def _next_tasks(self, wanted: Slice, place: int) -> list[str]:
        if wanted.task_id is not None:
            return [wanted.task_id] if wanted.task_id in self.tasks else []
        return list(islice(self.tasks, place, place + TASKS_AT_ONCE))

    def _of_task(self, record: Record, wanted: Slice, place: int, ranks: Ranks, room: int) -> _Step:
        match wanted.stage:
            case Stage.EXECUTIONS:
                return self._age(record, wanted, place, room)
            case Stage.TASKS:
                if place == 0 and is_inactive(record, wanted) and not self.is_needed(record.definition.id):
                    return self._remove_task(record, wanted)
                return self._shorten(record, wanted, place, ranks, room)
            case Stage.ROWS:
                return self._fold_rows(record, list(islice(old_rows(record, wanted), room)), room)
            case Stage.LEDGER:
                drop_folded(record, before(wanted.retention.folded, wanted.now))
                return self._fold_rows(record, list(islice(surplus_rows(record, wanted), room)), room)
            case Stage.AUDITS:
                raise AssertionError(wanted.stage)
            case _:
                assert_never(wanted.stage)

    def _remove_task(self, record: Record, wanted: Slice) -> _Step:
        definition, rows = record.definition, len(record.history)
        self.delete(definition.id)
        self.audits.append(Audit(wanted.now, SYSTEM, "purge", definition.id, definition.name, definition.tenant))
        return _Step(rows + 1, rows, deleted=True)

    def _age(self, record: Record, wanted: Slice, place: int, room: int) -> _Step:
        """Executions that have been kept for their time; what a task keeps shorter than others is looked at with the task."""
        horizon = _horizon([keep.ttl for keep in wanted.retention.states.values()], wanted)
        limits = {state: _limit(record, keep.ttl, wanted) for state, keep in wanted.retention.states.items()}

        def goes(execution: Execution) -> bool:
            limit, ended_at = limits.get(execution.state), execution.ended_at
            return limit is not None and ended_at is not None and ended_at <= min(limit, horizon)

        return self._pass(record, wanted, place, room, goes)

    def _shorten(self, record: Record, wanted: Slice, place: int, ranks: Ranks, room: int) -> _Step:
        """Executions beyond the number that is kept of their state, or beyond their task's own time."""
        own = _limit(record, None, wanted)
        caps = {state: keep.last for state, keep in wanted.retention.states.items()}
        least = min((cap for cap in caps.values() if cap is not None), default=None)
        if own is None and (least is None or len(record.history) <= least):
            return _Step(looked=1)
        left = Counter(dict(ranks)) if ranks else Counter(entry.state.value for entry in record.history.values())

        def goes(execution: Execution) -> bool:
            state = execution.state
            rank, cap = left[state.value], caps.get(state)
            left[state.value] -= 1
            aged = own is not None and execution.ended_at is not None and execution.ended_at <= own
            return aged or (cap is not None and rank > cap)

        step = self._pass(record, wanted, place, room, goes)
        return evolve(step, ranks=tuple(left.items()))

    def _pass(self, record: Record, wanted: Slice, place: int, room: int, goes: Callable[[Execution], bool]) -> _Step:
        """Look at the next rows of a history; those for which `goes` holds go if they may: none that is not over, beyond the
        watermark, or among the newest.
        """
        through, rows = record.state.settled_through, len(record.history)
        last = rows - wanted.retention.newest
        gone: list[Execution] = []
        looked = 0
        for execution in islice(record.history.values(), place, place + LOOKED_AT):
            looked += 1
            if goes(execution) and place + looked <= last and _may_go(execution, through):
                gone.append(execution)
                if len(gone) == room:
                    break
        for execution in gone:
            self._remove(execution)
        return _Step(len(gone), looked, None if place + looked >= rows else place + looked - len(gone))

    def _remove(self, execution: Execution) -> None:
        record = self.tasks[execution.task_id]
        if execution.nominal is not None and execution.outcome is not None:
            fold(record, execution.nominal, execution.nominal, 1, execution.outcome, execution.reason)
        del record.history[execution.id]
        del self.executions[execution.id]
        self.parts.pop(execution.id, None)

    def _fold_rows(self, record: Record, rows: Sequence[Settled], room: int) -> _Step:
        looked = len(record.settled)
        for row in rows:
            del record.settled[row.first]
            fold(record, row.first, row.last, row.count or 0, row.outcome, row.reason)
        return _Step(len(rows), looked, 0 if len(rows) == room else None)


def _may_go(execution: Execution, through: Instant) -> bool:
    covered = execution.nominal is None or execution.nominal <= through
    return covered and execution.state in FINAL_STATES and not execution.lingers


def _horizon(ttls: Sequence[Micros | None], wanted: Slice) -> int:
    """The newest instant at which something may have been kept long enough."""
    return wanted.now - min((ttl for ttl in ttls if ttl is not None), default=Micros(FAR))


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
    if limit is not None and any(row[1] <= limit for row in record.folded.values()):
        record.folded = {key: row for key, row in record.folded.items() if row[1] > limit}
