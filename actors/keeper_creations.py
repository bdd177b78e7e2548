"""Making tasks: which of those asked for can be made, and what is answered when the store has them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from zlib import crc32

from runtime.clock import Instant
from runtime.errors import Conflict, StaleEpoch, StaleVersion, TocsinError
from runtime.records import evolve

from .keeper_messages import Answer, CreateTasks
from .keeper_staging import Plan, Staged
from .model.retention import SYSTEM
from .model.system import refuse_type
from .model.task import Definition, Task, partition_of
from .rules.auditing import created
from .rules.definition_changes import first_state
from .store.port import CommitResult

if TYPE_CHECKING:
    from .keeper_calendars import Calendars
    from .keeper_dependencies import Waits

Made = Task | Exception | str
"""A task that was made, the error that refused it, or the id of one that is being committed."""


class Creations:
    """What one batch makes. `partitions`: how many there are. `new_id` makes ids that nobody else gets.

    The versions of a task begin anywhere: one that is deleted and made again under its id would otherwise have the version that
    a node knows of the former one, whose definition that node would go on by until it hears of the change.
    """

    def __init__(self, partitions: int, waits: Waits, calendars: Calendars, new_id: Callable[[], str]) -> None:
        self._partitions = partitions
        self._new_id = new_id
        self._waits = waits
        self._calendars = calendars
        self._asked: list[tuple[CreateTasks, tuple[Made, ...]]] = []

    def create(self, message: CreateTasks, staged: dict[str, Staged], now: Instant) -> None:
        """Stage what can be made of what is asked for."""
        known = message.made or (None,) * len(message.definitions)
        pairs = zip(message.definitions, known, strict=True)
        made = [self._make(one, message.actor, staged, now) if done is None else done for one, done in pairs]
        self._asked.append((message, tuple(made)))

    def _make(self, definition: Definition, actor: str, staged: dict[str, Staged], now: Instant) -> str | Exception:
        try:
            if actor != SYSTEM:
                refuse_type(definition.type)
            if definition.id in staged:
                raise Conflict(f"there is a task with the id {definition.id} already")
            definition = self._calendars.refreshed(definition)
            self._waits.check(definition, None, staged)
            state = evolve(first_state(definition, now), version=1 + crc32(self._new_id().encode()))
            if definition.created_at < now:
                # It may have waited for its turn: what became of slots in that time nobody is promised.
                definition = evolve(definition, created_at=now)
        except TocsinError as error:
            return error
        one = staged[definition.id] = Staged.new(definition, state, partition_of(definition.id, self._partitions))
        self._waits.promise(definition)
        one.audits += (created(actor, definition, now),)
        return definition.id

    def planned(self) -> tuple[tuple[CreateTasks, tuple[Made, ...]], ...]:
        """Who asked for what. Begins anew."""
        asked, self._asked = tuple(self._asked), []
        return asked


def answers(plan: Plan, result: CommitResult) -> tuple[list[Answer], list[CreateTasks]]:
    """What follows the commit for those who asked for tasks: answers, and what has to be decided once more.

    A stale epoch does not concern the creation of a task: it only says that the partition's epoch was raised just now. A stale
    version says that another node has changed the graph of dependencies, which has to be read first.
    """
    told: list[Answer] = []
    again: list[CreateTasks] = []
    for message, made in plan.creations:
        now = tuple(_made(entry, plan, result) for entry in made)
        if any(isinstance(entry, StaleEpoch | StaleVersion) for entry in now):
            rest = tuple(None if isinstance(entry, StaleEpoch | StaleVersion) else entry for entry in now)
            again.append(evolve(message, made=rest))
        else:
            told.append(Answer(message.reply, now))
    return told, again


def _made(entry: Made, plan: Plan, result: CommitResult) -> Task | Exception:
    if not isinstance(entry, str):
        return entry
    return result.refused.get(entry) or plan.staged[entry][1]
