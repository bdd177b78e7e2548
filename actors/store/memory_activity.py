"""What is going on and what was lately, over all tasks in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from itertools import islice

from ..model.execution import Execution
from .answers import Active, Activity, ActivityFilter, Newest
from .handovers import HANDOVERS_KEPT, Handover, HandoverFilter, handovers_of
from .memory_rows import Record
from .memory_shared import Leases
from .reading import one_more


class MemoryActivity:
    """The part of the memory adapter that is told in the module's docstring."""

    _tasks: dict[str, Record]
    _leases: Leases

    def __init__(self) -> None:
        self._boots: dict[int, str] = {}
        self._handovers: deque[Handover] = deque(maxlen=HANDOVERS_KEPT)

    def _note_handovers(self, raised: Mapping[int, int], boot: str) -> None:
        leases, now = self._leases.rows()
        self._handovers.extend(handovers_of(raised, self._boots, leases, boot, now))
        self._boots.update(dict.fromkeys(raised, boot))

    def handovers(self, wanted: HandoverFilter) -> list[Handover]:
        """See the port."""
        fitting = (
            one
            for one in reversed(self._handovers)
            if wanted.since <= one.at <= wanted.until
            and wanted.partition in (None, one.partition)
            and wanted.node in (None, one.node, one.former_node)
        )
        return list(islice(fitting, wanted.limit))

    def activity(self, wanted: ActivityFilter) -> Activity:
        """See the port. All there is is in memory, so nothing bounds the look."""
        rows = [
            Active(execution, record.definition.name, record.definition.type)
            for record in self._tasks.values()
            if _is_of(record, wanted)
            for execution in record.history.values()
            if _fits(execution, wanted)
        ]
        present = [row for row in rows if row.execution.is_held]
        past = [row for row in rows if not row.execution.is_held]
        present.sort(key=lambda row: (row.execution.created_at, row.execution.id), reverse=True)
        past.sort(key=lambda row: (row.execution.ended_at or 0, row.execution.id), reverse=True)
        return one_more([*present, *past][wanted.offset : wanted.offset + wanted.limit + 1], wanted)

    def newest(self, ids: Sequence[str], count: int) -> Mapping[str, Newest]:
        """See the port."""
        return {task_id: _newest(self._tasks[task_id], count) for task_id in ids if task_id in self._tasks}


def _is_of(record: Record, wanted: ActivityFilter) -> bool:
    definition = record.definition
    return (
        wanted.task_id in (None, definition.id)
        and wanted.type in (None, definition.type)
        and wanted.tenant in (None, definition.tenant)
        and wanted.owner in (None, definition.owner)
    )


def _fits(execution: Execution, wanted: ActivityFilter) -> bool:
    if wanted.states is not None and execution.state not in wanted.states:
        return False
    if wanted.node not in (None, execution.node):
        return False
    ended = execution.ended_at
    return execution.is_held or (ended is not None and wanted.since <= ended <= wanted.until)


def _newest(record: Record, count: int) -> Newest:
    rows = sorted(record.settled.values(), key=lambda row: row.first, reverse=True)
    return Newest(tuple(islice(reversed(record.history.values()), count)), tuple(rows[:count]))
