"""The store in this process's memory, for tasks that are not persistent. Its promises hold for the process's life.

A commit works on dictionaries and is called in the loop itself. Each task's guards are checked before anything of it is
written, so nothing needs to be undone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import heapify, heappop, heappush
from itertools import islice
from typing import Final

from runtime.clock import Instant
from runtime.errors import Conflict, InvalidRequest, StaleVersion, TocsinError
from runtime.records import evolve

from ..model.calendar import Calendar
from ..model.execution import CLAIMABLE, Execution, WaitsFor
from ..model.lifecycle import State
from ..model.occurrence import Outcome, Reason, Settled
from ..model.retention import REVISIONS_KEPT, Purged, Slice
from ..model.task import Definition, Task, TaskState
from .answers import TASK_SORTS, Counts, ExecutionDetail, Identity, LogLine, OutcomeRow, Revision, TaskFilter, TaskPage
from .memory_activity import MemoryActivity
from .memory_purge import Purger
from .memory_rows import (
    Parts,
    Record,
    counts_of,
    is_held,
    is_running,
    newest_of,
    outcome_of,
    outcome_of_fold,
    outcome_of_range,
    page_of,
    refuse_twice,
    stale_fence,
)
from .memory_shared import Guards, Leases, in_turn, parents_of, reached, told_to_stop
from .memory_side import Side
from .port import (
    DELIVERIES_KEPT,
    Audit,
    CheckpointWrite,
    Commit,
    CommitResult,
    CountWrite,
    Create,
    DeliveryWrite,
    EventState,
    ExecutionWrite,
    OutboxEntry,
    SchedulerPause,
    Unprepared,
    Update,
    writes_task,
)
from .shared import Shared

_SLACK: Final = 64
"""Outdated entries of the due heap that are always allowed; beyond, half of it may be outdated before it is built anew."""


class MemoryStore(MemoryActivity, Unprepared):
    """The port's adapter over dictionaries. For one thread. `deliveries_kept`: see `DELIVERIES_KEPT`.

    `clock`: what leases are measured by; None: they do not lapse.
    """

    def __init__(self, *, deliveries_kept: int = DELIVERIES_KEPT, clock: Callable[[], Instant] | None = None) -> None:
        self._identity: Identity | None = None
        self._epochs: dict[int, int] = {}
        self._grants: dict[int, int] = {}
        self._tasks: dict[str, Record] = {}
        self._names: dict[tuple[str, str], str] = {}
        self._executions: dict[str, Execution] = {}
        self._parts: dict[str, Parts] = {}
        self._due: list[tuple[Instant, str]] = []
        self._audits: list[Audit] = []
        self._outcomes: Counter[tuple[Outcome, Reason | None]] = Counter()
        MemoryActivity.__init__(self)
        self._side = Side(deliveries_kept=deliveries_kept)
        self._purger = Purger(self._tasks, self._executions, self._parts, self._audits, self._delete, self._is_needed)
        self._leases = Leases(clock)
        self._graph = 0
        self._lines = 0

    def open(self, *, new_cluster_id: str, partitions: int, timezone_database: str) -> Identity:
        if self._identity is None:
            self._identity = Identity(new_cluster_id, partitions, 1, timezone_database)
        return self._identity

    def close(self) -> None:
        """Nothing is held that could be released; what is stored stays until the process ends."""

    # -- the writer's lane

    def raise_epochs(self, grants: Mapping[int, int], boot: str) -> Mapping[int, int]:
        raised: dict[int, int] = {}
        for partition, grant in grants.items():
            if partition not in self._grants or grant > self._grants[partition]:
                self._grants[partition] = grant
                raised[partition] = self._epochs[partition] = self._epochs.get(partition, 0) + 1
        self._note_handovers(raised, boot)
        return raised

    def raise_floor(self, above: Mapping[int, int]) -> None:
        for partition, epoch in above.items():
            self._epochs[partition] = max(self._epochs.get(partition, 0), epoch + 1)
            self._grants.setdefault(partition, 0)

    def enrol(self, boot: str, node: str, seconds: float) -> None:
        self._leases.enrol(boot, node, seconds)

    def renew(self, boot: str, seconds: float) -> bool:
        return self._leases.renew(boot, seconds)

    def leave(self, boot: str) -> None:
        self._leases.leave(boot)

    def bury(self, members: Sequence[str]) -> tuple[str, ...]:
        return self._leases.bury(members)

    def dead_boots(self) -> list[str]:
        return self._leases.dead_boots(self._tasks.values())

    def last_grants(self) -> Mapping[int, int]:
        return dict(self._grants)

    def commit(self, commit: Commit) -> CommitResult:
        refused: dict[str, TocsinError] = {}
        stale = {number for number, epoch in commit.epochs.items() if self._epochs.get(number, 0) != epoch}
        refuse_twice(commit)
        refused |= self._side.put_calendars(commit.calendars)
        # First, because the attempt that made it may end in the same commit.
        for progress in commit.progress:
            if self._runs(progress.execution_id, progress.fence):
                self._parts_of(progress.execution_id).progress = progress.progress
        dead = commit.boot is not None and not self._leases.lives(commit.boot)
        guards = Guards(stale, dead, commit.graph is not None and commit.graph != self._graph)
        for create in commit.creates:
            error = guards.refusal(create) or self._check_create(create)
            if error is None:
                self._create(create)
            else:
                refused[create.task.id] = error
        for update in in_turn(commit.updates):
            error = guards.refusal(update) or self._check_update(update) or reached(self._tasks, update)
            if error is None:
                self._update(update)
            else:
                refused[update.task_id] = error
        self._write_notes(commit, refused)
        return CommitResult(refused)

    def _check_create(self, create: Create) -> TocsinError | None:
        definition = create.task.definition
        if definition.id in self._tasks:
            return Conflict(f"there is a task with the id {definition.id} already")
        if (definition.tenant, definition.name) in self._names:
            return Conflict(f"there is another task with the name {definition.name!r}")
        return self._check_executions([*map(ExecutionWrite, create.task.open)])

    def _create(self, create: Create) -> None:
        task, definition = create.task, create.task.definition
        record = Record(definition, task.state, create.partition, None, definition.created_at)
        self._tasks[definition.id] = record
        self._names[definition.tenant, definition.name] = definition.id
        self._set_due(record, task.due)
        for execution in task.open:
            self._write_execution(record, ExecutionWrite(execution))
        self._graph += bool(parents_of(definition))
        self._settle(record, create.settled)

    def _check_update(self, update: Update) -> TocsinError | None:
        for checkpoint in update.checkpoints:
            if not self._runs(checkpoint.execution_id, checkpoint.fence):
                return stale_fence(checkpoint.execution_id, checkpoint.fence)
        if not writes_task(update):
            return None
        record = self._tasks.get(update.task_id)
        if record is None:
            return StaleVersion(f"task {update.task_id} is gone; version {update.expected} was expected")
        if record.state.version != update.expected:
            return StaleVersion(
                f"task {update.task_id} has version {record.state.version}; version {update.expected} was expected"
            )
        if update.delete:
            return None
        if update.definition is not None:
            name = (update.definition.tenant, update.definition.name)
            if self._names.get(name, update.task_id) != update.task_id:
                return Conflict(f"there is another task with the name {update.definition.name!r}")
        return self._check_executions(update.executions)

    def _check_executions(self, writes: Sequence[ExecutionWrite]) -> TocsinError | None:
        for write in writes:
            held, former = self._executions.get(write.execution.id), write.former
            if former is not None and (held is None or held.fence != former.fence or held.state is not former.state):
                return stale_fence(former.id, former.fence)
        taken = (write.execution.id for write in writes if write.former is None)
        known = next((execution_id for execution_id in taken if execution_id in self._executions), None)
        return None if known is None else Conflict(f"there is an execution with the id {known} already")

    def _runs(self, execution_id: str, fence: int) -> bool:
        execution = self._executions.get(execution_id)
        return execution is not None and execution.fence == fence and execution.state is State.RUNNING

    def _update(self, update: Update) -> None:
        for checkpoint in update.checkpoints:
            self._checkpoint(checkpoint)
        if not writes_task(update):
            return
        if update.delete:
            self._delete(update.task_id)
            return
        record = self._tasks[update.task_id]
        if update.definition is not None:
            self._edit(record, update.definition, update.state)
        record.state = update.state
        self._set_due(record, update.due)
        for write in update.executions:
            self._write_execution(record, write)
        self._settle(record, update.settled)

    def _checkpoint(self, write: CheckpointWrite) -> None:
        execution = self._executions[write.execution_id]
        counted = evolve(execution, crashes=0, checkpoints=execution.checkpoints + 1)
        self._put(self._tasks[execution.task_id], counted)
        self._parts_of(write.execution_id).checkpoint = write.data

    def _edit(self, record: Record, definition: Definition, state: TaskState) -> None:
        former = record.definition
        record.revisions.append(Revision(record.state.revision, former, record.began_at))
        oldest = state.revision - REVISIONS_KEPT
        record.revisions = [revision for revision in record.revisions if revision.revision >= oldest]
        del self._names[former.tenant, former.name]
        self._names[definition.tenant, definition.name] = definition.id
        self._graph += bool(parents_of(former) or parents_of(definition))
        record.definition, record.began_at = definition, state.settled_through

    def _delete(self, task_id: str) -> None:
        record = self._tasks.pop(task_id)
        self._side.forget(task_id)
        self._graph += bool(parents_of(record.definition))
        del self._names[record.definition.tenant, record.definition.name]
        for execution_id in record.history:
            del self._executions[execution_id]
            self._parts.pop(execution_id, None)

    def _write_execution(self, record: Record, write: ExecutionWrite) -> None:
        execution = write.execution
        if execution.outcome is not None and (write.former is None or write.former.outcome is None):
            self._outcomes[execution.outcome, execution.reason] += 1
        self._put(record, execution)
        if write.archive is not None:
            self._parts_of(execution.id).attempts[write.archive.number] = write.archive
        if write.result is not None:
            self._parts_of(execution.id).result = write.result
        if write.drop_checkpoint and execution.id in self._parts:
            self._parts[execution.id].checkpoint = None

    def _put(self, record: Record, execution: Execution) -> None:
        key = execution.id
        self._executions[key] = record.history[key] = execution
        if not is_held(execution):
            record.open.pop(key, None)
        elif key in record.open or execution is newest_of(record.history):
            record.open[key] = execution
        else:
            # Reopened by a retry: back to its place in the order of creation.
            record.open = {name: entry for name, entry in record.history.items() if is_held(entry)}

    def _parts_of(self, execution_id: str) -> Parts:
        return self._parts.setdefault(execution_id, Parts())

    def _settle(self, record: Record, rows: Iterable[Settled]) -> None:
        for row in rows:
            record.settled[row.first] = row
            self._outcomes[row.outcome, row.reason] += row.count or 0

    def _set_due(self, record: Record, due: Instant | None) -> None:
        if due is not None and due != record.due:
            heappush(self._due, (due, record.definition.id))
            if len(self._due) > 2 * len(self._tasks) + _SLACK:
                self._rebuild_due()
        record.due = due

    def _rebuild_due(self) -> None:
        self._due = [(record.due, task_id) for task_id, record in self._tasks.items() if record.due is not None]
        heapify(self._due)

    def _write_notes(self, commit: Commit, refused: Mapping[str, TocsinError]) -> None:
        for log in commit.logs:
            if log.execution_id in self._executions:
                numbered = enumerate(log.lines, self._lines + 1)
                self._parts_of(log.execution_id).logs.extend(LogLine(n, log.attempt, *line) for n, line in numbered)
                self._lines += len(log.lines)
        self._audits.extend(audit for audit in commit.audits if audit.task_id not in refused)
        self._side.write(commit, self._tasks, refused)
        for write in commit.counts:
            self._fill_count(write)

    def _fill_count(self, write: CountWrite) -> None:
        record = self._tasks.get(write.task_id)
        row = None if record is None else record.settled.get(write.first)
        if record is not None and row is not None and row.count is None:
            self._settle(record, [evolve(row, count=write.count)])

    def purge(self, wanted: Slice) -> Purged:
        return self._purger.purge(wanted)

    def _is_needed(self, task_id: str) -> bool:
        return any(parent == task_id for _, parent in self.edges()) or self._side.has_outbox(task_id)

    # -- reads

    def record_timezone_database(self, version: str) -> None:
        assert self._identity is not None
        self._identity = evolve(self._identity, timezone_database=version)

    def task_ids(self, *, after: str, limit: int) -> list[str]:
        return sorted(task_id for task_id in self._tasks if task_id > after)[:limit]

    def tasks(self, ids: Sequence[str]) -> list[Task]:
        return [self._tasks[task_id].task for task_id in dict.fromkeys(ids) if task_id in self._tasks]

    def find(self, tenant: str, name: str) -> str | None:
        return self._names.get((tenant, name))

    def due(self, partitions: Sequence[int] | None, until: Instant, limit: int) -> list[tuple[Instant, str]]:
        among = None if partitions is None else frozenset(partitions)
        found: list[tuple[Instant, str]] = []
        kept: list[tuple[Instant, str]] = []
        while self._due and self._due[0][0] <= until and len(found) < limit:
            entry = heappop(self._due)
            record = self._tasks.get(entry[1])
            # An entry is outdated when the task is gone or due at another time; equal entries come one after the other.
            if record is None or record.due != entry[0] or (kept and kept[-1] == entry):
                continue
            kept.append(entry)
            if among is None or record.partition in among:
                found.append(entry)
        for entry in kept:
            heappush(self._due, entry)
        return found

    def orphans(self, live_boots: Sequence[str], limit: int, partitions: Sequence[int] | None = None) -> list[str]:
        lost = (
            task_id
            for task_id, record in self._tasks.items()
            if (partitions is None or record.partition in partitions)
            and any(is_running(entry) and entry.boot not in live_boots for entry in record.open.values())
        )
        return list(islice(lost, limit))

    def waiting(
        self, limit: int, types: Sequence[str] | None = None, partitions: Sequence[int] | None = None
    ) -> list[str]:
        ranks = [
            (record.definition.policies.priority, entry.id, task_id)
            for task_id, record in self._tasks.items()
            if (types is None or record.definition.type in types)
            and (partitions is None or record.partition in partitions)
            for entry in record.open.values()
            if entry.state is State.WAITING and entry.waits_for in CLAIMABLE and entry.due is None
        ]
        return list(dict.fromkeys(task_id for *_, task_id in sorted(ranks)))[:limit]

    def edges(self) -> list[tuple[str, str]]:
        return [
            (task_id, parent) for task_id, record in self._tasks.items() for parent in parents_of(record.definition)
        ]

    def shared(self) -> Shared:
        assert self._identity is not None
        database, calendars = self._identity.timezone_database, self._side.number_of_versions()
        return Shared(self._side.pause, self._graph, calendars, database, self._leases.live())

    def epochs(self) -> Mapping[int, int]:
        return dict(self._epochs)

    def told_to_stop(self, boot: str, limit: int) -> list[str]:
        return told_to_stop(self._tasks.values(), boot)[:limit]

    def wakes(self, seconds: float) -> list[str] | None:
        """None: who shares it is in this process."""
        return None

    def granted_until(self) -> Instant | None:
        turns = [
            entry.due
            for record in self._tasks.values()
            for entry in record.open.values()
            if entry.due is not None and entry.state is State.WAITING and entry.waits_for is WaitsFor.GOVERNOR
        ]
        return max(turns, default=None)

    def occupied(self) -> list[str]:
        return sorted(
            {entry.task_id for record in self._tasks.values() for entry in record.open.values() if is_running(entry)}
        )

    def locks(self, limit: int) -> list[Execution]:
        entries = (entry for record in self._tasks.values() for entry in record.open.values() if is_running(entry))
        held = sorted((entry.key, entry.id, entry) for entry in entries if entry.key is not None)
        return [entry for *_, entry in held[:limit]]

    def uncounted(self, limit: int) -> list[Settled]:
        rows = (row for record in self._tasks.values() for row in record.settled.values() if row.count is None)
        return sorted(rows, key=lambda row: (row.task_id, row.first))[:limit]

    def outbox_due(self, until: Instant, limit: int, partitions: Sequence[int] | None = None) -> list[OutboxEntry]:
        def wanted(task_id: str) -> bool:
            return partitions is None or self._tasks[task_id].partition in partitions

        return self._side.outbox_due(until, limit, wanted)

    def deliveries(self, task_id: str, *, offset: int, limit: int) -> tuple[list[DeliveryWrite], int]:
        return self._side.deliveries(task_id, offset=offset, limit=limit)

    def event_states(self, task_ids: Sequence[str]) -> list[EventState]:
        return self._side.event_states(task_ids)

    def calendars(self, tenant: str | None) -> list[Calendar]:
        return self._side.calendars(tenant)

    def calendar(self, tenant: str, name: str, version: int | None = None) -> Calendar | None:
        return self._side.calendar(tenant, name, version)

    def calendar_users(self, tenant: str, name: str, *, after: str, limit: int) -> list[str]:
        users = (
            task_id
            for task_id, record in self._tasks.items()
            if task_id > after
            and any(
                (rule.calendar.tenant, rule.calendar.name) == (tenant, name)
                for rule in record.definition.bounds.calendars
            )
        )
        return sorted(users)[:limit]

    def scheduler_pause(self) -> SchedulerPause | None:
        return self._side.pause

    def page(self, wanted: TaskFilter) -> TaskPage:
        if wanted.sort not in TASK_SORTS:
            raise InvalidRequest(f"tasks cannot be sorted by {wanted.sort!r}; possible: {', '.join(TASK_SORTS)}")
        return page_of(self._tasks.values(), wanted)

    def executions(self, task_id: str, *, offset: int, limit: int) -> tuple[list[Execution], int]:
        record = self._tasks.get(task_id)
        if record is None:
            return [], 0
        return list(islice(reversed(record.history.values()), offset, offset + limit)), len(record.history)

    def execution(self, execution_id: str) -> ExecutionDetail | None:
        execution = self._executions.get(execution_id)
        if execution is None:
            return None
        parts = self._parts.get(execution_id, Parts())
        attempts = tuple(parts.attempts[number] for number in sorted(parts.attempts))
        return ExecutionDetail(execution, attempts, parts.result, parts.checkpoint, parts.progress)

    def checkpoint(self, execution_id: str) -> str | None:
        parts = self._parts.get(execution_id)
        return None if parts is None else parts.checkpoint

    def logs(self, execution_id: str, *, after: int, limit: int) -> list[LogLine]:
        parts = self._parts.get(execution_id, Parts())
        return list(islice((line for line in parts.logs if line.sequence > after), limit))

    def outcomes(
        self, task_id: str, *, since: Instant, until: Instant, limit: int, newest: bool = False
    ) -> list[OutcomeRow]:
        record = self._tasks.get(task_id)
        if record is None:
            return []
        rows = [
            *(outcome_of(entry, entry.nominal) for entry in record.history.values() if entry.nominal is not None),
            *map(outcome_of_range, record.settled.values()),
            *(outcome_of_fold(key, folded) for key, folded in record.folded.items()),
        ]
        touching = (row for row in rows if row.last >= since and row.first <= until)
        return sorted(touching, key=lambda row: (row.first, row.last), reverse=newest)[:limit]

    def revisions(self, task_id: str) -> list[Revision]:
        record = self._tasks.get(task_id)
        if record is None:
            return []
        return [*record.revisions, Revision(record.state.revision, record.definition, record.began_at)]

    def audits(self, *, offset: int, limit: int) -> list[Audit]:
        return list(islice(reversed(self._audits), offset, offset + limit))

    def counts(self) -> Counts:
        return counts_of(self._tasks.values(), self._outcomes)
