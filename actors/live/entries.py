"""What the journal of a node holds: batches of changes as they were told, and an entry for each change that somebody reads."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from runtime.clock import Instant
from runtime.records import record

from ..model.execution import Execution
from ..model.occurrence import Settled
from ..model.peer import Peer
from ..model.task import Definition, Task
from ..store.port import Audit


class Kind(StrEnum):
    """What an entry is about."""

    TASK = "task"
    EXECUTION = "execution"
    PROGRESS = "progress"
    SLOTS = "slots"
    NODE = "node"


@record
class TaskChange:
    """Somebody changed a task: who and how, and the task as it is now, or was before it was deleted."""

    audit: Audit
    task: Task


@record
class Step:
    """How far an attempt has come: JSON text."""

    execution_id: str
    progress: str


@record
class NodeChange:
    """A node is seen, stands differently in the eyes of this one, or is not seen any more."""

    change: str
    peer: Peer


What = TaskChange | Execution | Step | Settled | NodeChange


@record
class Entry:
    """One change. `definition`: of the task that it is about, None for those about nodes."""

    number: int
    at: Instant
    kind: Kind
    what: What
    definition: Definition | None


@record
class Batch:
    """Changes of one kind that were told together, as entries from number `first` to number `last` show them."""

    first: int
    last: int
    at: Instant
    kind: Kind
    whats: Sequence[What]
    definitions: Sequence[Definition | None]

    def entries(self, first: int, last: int) -> list[Entry]:
        """The entries with numbers from `first` to `last`, as far as they are here."""
        numbers = range(max(first, self.first), min(last, self.last) + 1)
        at, kind, whats, definitions, before = self.at, self.kind, self.whats, self.definitions, self.first
        return [Entry(one, at, kind, whats[one - before], definitions[one - before]) for one in numbers]
