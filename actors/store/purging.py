"""Removal of what has been kept long enough, slice by slice: the way, which is the same for all tables.

What a slice removes from the ledger it folds in the same transaction. Walks by age follow an index on the instant; walks task
by task follow the ids. Nothing is looked at twice in one walk.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal, Protocol, assert_never

import attrs

from runtime.clock import Instant

from ..model.lifecycle import Phase
from ..model.retention import FAR, SYSTEM, Cursor, Purged, Slice, Stage, before
from .port import Audit

TASKS_AT_ONCE: Final = 100
"""Tasks that one slice looks at: one index lookup each, where nothing is to be done."""

LOOKED_AT: Final = 1_000
"""Rows of tasks' histories that one slice looks at: some milliseconds."""

Table = Literal["executions", "settled"]
Limits = Mapping[str, Instant | None]
"""By state of an execution, or for `rows` and `skipped`: what ended at or before this instant goes. None: nothing does."""


class Tables(Protocol):
    """What the walks ask of the tables and do to them, inside the caller's transaction."""

    def old_executions(self, wanted: Slice, limits: Limits, horizon: Instant) -> Sequence[tuple[str, int, bool]]:
        """(id, end, whether it goes) of executions that ended up to the horizon, after the slice's cursor, in order."""
        ...

    def old_rows(self, wanted: Slice, limits: Limits, horizon: Instant) -> Sequence[tuple[str, int, int, bool]]:
        """(task, first, last, whether it goes) of ledger rows likewise."""
        ...

    def tasks(self, wanted: Slice, limit: int) -> Sequence[Any]:
        """The next tasks: id, name, phase, ttl, last change, settled through, whether nothing is to be caught up."""
        ...

    def newest(
        self, table: Table, task_id: str, place: int, through: int, limit: int | None, look: int
    ) -> Sequence[Any]:
        """Rows of a task below a place, from the newest to the oldest: place, kind, key (None: it must stay), whether its end
        is at or before the limit."""
        ...

    def number_up_to(self, table: Table, task_id: str, most: int) -> int:
        """How many rows a task has; not counted further than `most`."""
        ...

    def is_free(self, task_id: str, kept: Instant) -> bool:
        """Whether an inactive task may go: nothing of it is open or waits for delivery, no task depends on it."""
        ...

    def some_executions(self, task_id: str, limit: int) -> Sequence[str]:
        """Ids of a task's oldest executions."""
        ...

    def remove_executions(self, ids: Sequence[str]) -> None:
        """Executions with all that belongs to them; their ledger rows are folded."""
        ...

    def fold_rows(self, keys: Sequence[Sequence[Any]]) -> None:
        """Ledger rows by task and first instant: removed and folded."""
        ...

    def drop_folded(self, task_ids: Sequence[str], limit: Instant | None) -> None:
        """Counts by the hour that end at or before the limit."""
        ...

    def drop_ledger(self, task_id: str, limit: int) -> int:
        """Some ledger rows or counts by the hour of a task that goes; answers how many at least."""
        ...

    def drop_task(self, task_id: str, audit: Audit) -> None:
        """A task with what is left of it; the audit record says so."""
        ...

    def drop_audits(self, kept: int, limit: int) -> int:
        """The oldest audit records beyond a number; answers how many went."""
        ...


def purge(tables: Tables, wanted: Slice) -> Purged:
    """See the port. Runs inside the caller's transaction."""
    match wanted.stage:
        case Stage.EXECUTIONS:
            return _old_executions(tables, wanted)
        case Stage.ROWS:
            return _old_rows(tables, wanted)
        case Stage.TASKS | Stage.LEDGER:
            return _task_by_task(tables, wanted)
        case Stage.AUDITS:
            gone = tables.drop_audits(wanted.retention.audits, wanted.limit)
            return Purged(gone, wanted.after if gone == wanted.limit else None)
        case _:
            assert_never(wanted.stage)


# -- by age


def _old_executions(tables: Tables, wanted: Slice) -> Purged:
    limits = {state.value: before(keep.ttl, wanted.now) for state, keep in wanted.retention.states.items()}
    horizon = _horizon(limits.values())
    if horizon is None:
        return Purged()
    found = tables.old_executions(wanted, limits, horizon)
    tables.remove_executions([key for key, _, goes in found if goes])
    last = found[-1] if len(found) == wanted.limit else None
    return Purged(sum(goes for *_, goes in found), None if last is None else Cursor(last[1], last[0]))


def _old_rows(tables: Tables, wanted: Slice) -> Purged:
    retention = wanted.retention
    limits = {"rows": before(retention.rows.ttl, wanted.now), "skipped": before(retention.skipped.ttl, wanted.now)}
    horizon = _horizon(limits.values())
    if horizon is None:
        return Purged()
    found = tables.old_rows(wanted, limits, horizon)
    tables.fold_rows([(task_id, first) for task_id, first, _, goes in found if goes])
    last = found[-1] if len(found) == wanted.limit else None
    return Purged(sum(goes for *_, goes in found), None if last is None else Cursor(last[2], last[0], last[1]))


def _horizon(limits: Iterable[Instant | None]) -> Instant | None:
    """The newest instant at which something may have been kept long enough."""
    return max((limit for limit in limits if limit is not None), default=None)


# -- task by task


@attrs.define
class _Step:
    """What was done about one task: rows that went and that were looked at, and where to go on with it; None: it is done."""

    removed: int = 0
    looked: int = 0
    next: Cursor | None = None


def _task_by_task(tables: Tables, wanted: Slice) -> Purged:
    at_once = min(TASKS_AT_ONCE, wanted.limit)
    tasks = tables.tasks(wanted, at_once)
    if wanted.stage is Stage.LEDGER and wanted.retention.folded is not None:
        tables.drop_folded([task[0] for task in tasks], before(wanted.retention.folded, wanted.now))
    removed = looked = 0
    for task in tasks:
        begun = wanted.after if wanted.after.id == task[0] else Cursor(FAR, task[0])
        step = _of_task(tables, wanted, task, begun, wanted.limit - removed, LOOKED_AT - looked)
        removed += step.removed
        looked += step.looked
        if step.next is not None or removed >= wanted.limit or looked >= LOOKED_AT:
            return Purged(removed, step.next or Cursor(id=task[0]))
    return Purged(removed, Cursor(id=tasks[-1][0]) if len(tasks) == at_once else None)


def _of_task(tables: Tables, wanted: Slice, task: Sequence[Any], begun: Cursor, room: int, look: int) -> _Step:
    """Remove at most `room` rows of a task, or the task itself, after looking at no more than `look`."""
    task_id, name, phase, ttl, since, through, settled = task
    retention = wanted.retention
    walk = _Walk(task_id, through, None if ttl is None else Instant(wanted.now - ttl), begun, room, look)
    if wanted.stage is Stage.LEDGER:
        caps = {"rows": retention.rows.last, "skipped": retention.skipped.last}
        return _surplus(tables, wanted, "settled", walk, caps)
    kept = before(retention.tasks if ttl is None else ttl, wanted.now)
    inactive = phase in (Phase.FINISHED, Phase.CANCELLED) and settled
    if inactive and kept is not None and since <= kept and tables.is_free(task_id, kept):
        return _remove_task(tables, Audit(wanted.now, SYSTEM, "purge", task_id, name), room)
    caps = {state.value: keep.last for state, keep in retention.states.items()}
    return _surplus(tables, wanted, "executions", walk, caps)


@attrs.frozen
class _Walk:
    """Through one task's history: up to where it is settled, the limit of its own time, where to begin, how far to go."""

    task_id: str
    through: int
    limit: Instant | None
    begun: Cursor
    room: int
    look: int


def _surplus(tables: Tables, wanted: Slice, table: Table, walk: _Walk, caps: Mapping[str, int | None]) -> _Step:
    """Remove rows beyond the number of their kind or beyond their task's own time, from the newest to the oldest.

    The cursor holds how many of each kind are newer, so that every row is looked at once however long the walk is.
    """
    seen = Counter(dict(walk.begun.seen))
    if not seen and not _over(tables, table, walk, caps):
        return _Step(looked=1)
    found = tables.newest(table, walk.task_id, walk.begun.at, walk.through, walk.limit, walk.look)
    gone: list[Any] = []
    looked = 0
    for _, kind, key, aged in found:
        looked += 1
        seen[kind] += 1
        cap = caps.get(kind)
        if (
            key is not None
            and seen.total() > wanted.retention.newest
            and (aged or (cap is not None and seen[kind] > cap))
        ):
            gone.append(key)
            if len(gone) == walk.room:
                break
    if gone:
        (tables.remove_executions if table == "executions" else tables.fold_rows)(gone)
    more = looked < len(found) or looked == walk.look
    if not more:
        return _Step(len(gone), looked)
    place = found[looked - 1][0] if looked else walk.begun.at
    return _Step(len(gone), looked, Cursor(place, walk.task_id, seen=tuple(sorted(seen.items()))))


def _over(tables: Tables, table: Table, walk: _Walk, caps: Mapping[str, int | None]) -> bool:
    """Whether a closer look is worth it: there are more rows than allowed of one kind, or the task has a time of its own."""
    if walk.limit is not None:
        return True
    least = min((cap for cap in caps.values() if cap is not None), default=None)
    return least is not None and tables.number_up_to(table, walk.task_id, least + 1) > least


def _remove_task(tables: Tables, audit: Audit, room: int) -> _Step:
    """An inactive task with all that belongs to it; first its rows, where there are too many for one slice."""
    task_id = audit.task_id
    executions = tables.some_executions(task_id, room)
    tables.remove_executions(executions)
    if len(executions) == room:
        return _Step(room, next=Cursor(FAR, task_id))
    if tables.drop_ledger(task_id, LOOKED_AT) >= LOOKED_AT:
        return _Step(len(executions), next=Cursor(FAR, task_id))
    tables.drop_task(task_id, audit)
    return _Step(len(executions) + 1, looked=1)
