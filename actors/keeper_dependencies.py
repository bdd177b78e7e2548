"""The keeper's side of dependencies: who waits for parents, and when to look at them again.

Theory of operation. Everything is judged on what the store has: a parent's end counts when it is committed. When a commit has
landed, the children of each parent that it changed are told to the keeper again (`Reconsider`). A child whose wait was decided
before its parent's commit landed is judged once more when its own lands, so no end passes unseen between the two; and a
sweep looks at all who wait, a slice each second, against whatever else may be lost. All waits are looked at when the graph is
loaded, in the first batch of a life. A look that changes nothing writes nothing.

A parent that was not read for a batch is not known to be gone: who needs it waits and is reconsidered with it read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final, Protocol

from runtime.clock import Instant
from runtime.records import evolve

from .keeper_messages import Reconsider
from .keeper_staging import Staged
from .model.execution import Execution, Kind, WaitsFor
from .model.task import Definition, Task
from .rules.dependencies import DONE, Graph, Standing, Verdict, check, judge, may_change_a_verdict

SLICE: Final = 256
"""Tasks in one `Reconsider`: half of the keeper's slice, so that one transaction stays a few milliseconds."""


class Steps(Protocol):
    """What can be done with an execution that waits: the keeper's progression."""

    def go_on(self, staged: Staged, execution: Execution, now: Instant) -> None:
        """What it waited for has come."""
        ...

    def give_up(self, staged: Staged, execution: Execution, now: Instant) -> None:
        """It has waited long enough, or in vain."""
        ...


_UNKNOWN: Final = Verdict(Standing.PENDING, "not known yet")


class Waits:
    """See the module's docstring. `cache`: tasks as the store has them, those of the batch among them."""

    def __init__(self, cache: Mapping[str, Task]) -> None:
        self._cache = cache
        self._graph = Graph()
        self._asked: set[str] = set()
        self._waiting: dict[str, None] = {}
        self._again: dict[str, None] = {}
        self.loaded = False

    # -- before a batch

    def load(self, edges: Iterable[tuple[str, str]]) -> None:
        """The whole graph, as the store has it. Everybody in it is looked at next."""
        self._graph = Graph(edges)
        self._again.update(dict.fromkeys(self._graph))
        self.loaded = True

    def begin(self) -> None:
        """A new batch: nothing was asked for yet."""
        self._asked.clear()

    def relatives(self, task_ids: Iterable[str]) -> Iterable[str]:
        """The parents of these tasks: they have to be read to decide about them."""
        if not self._graph:
            return ()
        return self._ask(parent for task_id in task_ids for parent in self._graph.parents(task_id))

    def children(self, task_id: str) -> tuple[str, ...]:
        """The tasks that wait for a task."""
        return tuple(self._graph.children(task_id))

    def named_by(self, definitions: Iterable[Definition]) -> Iterable[str]:
        """The parents that these definitions name."""
        return self._ask(
            parent for one in definitions if one.dependencies is not None for parent in one.dependencies.parents
        )

    def _ask(self, wanted: Iterable[str]) -> set[str]:
        found = set(wanted)
        self._asked |= found
        return found

    # -- a batch

    def check(self, definition: Definition, former: Definition | None, staged: Mapping[str, Staged]) -> None:
        """Raise InvalidRequest or Conflict if a task cannot have these parents; those it has already may be gone."""
        dependencies = definition.dependencies
        if dependencies is None or (former is not None and former.dependencies == dependencies):
            return
        kept = () if former is None or former.dependencies is None else former.dependencies.parents

        def look(task_id: str) -> Task | None:
            if (entry := staged.get(task_id)) is not None:
                return None if entry.deleted else entry.task
            return self._cache.get(task_id)

        check(definition, look, kept)

        def name(task_id: str) -> str:
            known = definition if task_id == definition.id else (task := look(task_id)) and task.definition
            return repr(known.name) if known else task_id

        self._graph.refuse_cycle(definition.id, dependencies.parents, name)

    def promise(self, definition: Definition) -> None:
        """This definition, which was checked, is staged."""
        if definition.dependencies is not None:
            self._graph.promise(definition.id, definition.dependencies.parents)

    def since(self, staged: Staged) -> Instant | None:
        """What a new occurrence of this task counts from; None for a task without parents."""
        if staged.definition.dependencies is None:
            return None
        admitted = staged.state.last_admitted
        return staged.definition.created_at if admitted is None else admitted

    def gate(self, staged: Staged, execution: Execution) -> Execution:
        """An execution about to ask for a slot, as it was or waiting for its parents. Only occurrences wait, and once."""
        if (
            staged.definition.dependencies is None
            or execution.kind is not Kind.OCCURRENCE
            or execution.first_started_at is not None
        ):
            return execution
        verdict = self._verdict(staged.definition, execution)
        if verdict is DONE:
            return execution
        if verdict is _UNKNOWN or verdict.standing is Standing.HOPELESS:
            self._again[staged.id] = None
        return evolve(execution, waits_for=WaitsFor.DEPENDENCY)

    def _verdict(self, definition: Definition, execution: Execution) -> Verdict:
        dependencies = definition.dependencies
        if dependencies is None:
            return DONE
        if any(parent not in self._cache and parent not in self._asked for parent in dependencies.parents):
            return _UNKNOWN
        since = definition.created_at if execution.since is None else execution.since
        return judge(dependencies, since, self._cache.get)

    def restless(self, task_ids: Iterable[str], staged: Collection[str], now: Instant) -> Iterator[str]:
        """Those of these tasks that a look would change, or that the batch has changed already."""
        return (task_id for task_id in task_ids if task_id in staged or not self._rests(task_id, now))

    def _rests(self, task_id: str, now: Instant) -> bool:
        """Whether none of its executions can go on or has waited long enough."""
        task = self._cache.get(task_id)
        if task is None:
            return True
        self._note(task)
        return not any(
            _is_over(execution, now) or self._verdict(task.definition, execution).standing is not Standing.PENDING
            for execution in task.open
            if execution.waits_for is WaitsFor.DEPENDENCY
        )

    def reconsider(self, staged: Staged, steps: Steps, now: Instant) -> None:
        """Let go on what need not wait for parents any more, and give up what has waited long enough or in vain."""
        for execution in list(staged.executions.values()):
            if execution.waits_for is not WaitsFor.DEPENDENCY:
                continue
            verdict = self._verdict(staged.definition, execution)
            if _is_over(execution, now) or verdict.standing is Standing.HOPELESS:
                steps.give_up(staged, execution, now)
            elif verdict is DONE:
                steps.go_on(staged, execution, now)

    def held_by(self, definition: Definition, execution: Execution) -> str:
        """Which parents hold an execution, and how they stand."""
        return self._verdict(definition, execution).text or "its parents completed too late"

    # -- after a commit

    @property
    def is_idle(self) -> bool:
        """Whether no task waits for another one."""
        return not self._graph and not self._waiting

    def landed(self, staged: Staged, task: Task) -> None:
        """The store has taken this task's changes: keep the graph, and note whom to look at again."""
        former, definition = staged.original, task.definition
        if definition.dependencies is not None or task.id in self._waiting or self._graph.parents(task.id):
            if staged.deleted:
                self._graph.set(task.id, ())
                self._waiting.pop(task.id, None)
                self._again.pop(task.id, None)
            else:
                self._keep(former, task)
        if former is not None and self._graph and (staged.deleted or may_change_a_verdict(former, task)):
            self._again.update((child, None) for child in self._graph.children(task.id) if child in self._waiting)

    def _keep(self, former: Task | None, task: Task) -> None:
        definition = task.definition
        if former is None or former.definition is not definition:
            dependencies = definition.dependencies
            self._graph.set(task.id, () if dependencies is None else dependencies.parents)
        self._note(task)
        if task.id in self._waiting and any(
            self._verdict(definition, execution).standing is not Standing.PENDING
            for execution in task.open
            if execution.waits_for is WaitsFor.DEPENDENCY
        ):
            self._again[task.id] = None

    def _note(self, task: Task) -> None:
        if any(execution.waits_for is WaitsFor.DEPENDENCY for execution in task.open):
            self._waiting.setdefault(task.id, None)
        else:
            self._waiting.pop(task.id, None)

    def refused(self, task_id: str) -> None:
        """The store has not taken this task's changes."""
        self._graph.withdraw(task_id)

    def to_reconsider(self) -> list[Reconsider]:
        """What is to be looked at again, in slices."""
        if not self._again:
            return []
        task_ids, self._again = list(self._again), {}
        return [Reconsider(tuple(task_ids[start : start + SLICE])) for start in range(0, len(task_ids), SLICE)]

    # -- the sweep

    @property
    def anybody(self) -> bool:
        """Whether any execution waits for parents."""
        return bool(self._waiting)

    def sweep(self) -> Reconsider | None:
        """Those who wait and were not looked at for longest, a slice of them; None if nobody waits."""
        chosen = [task_id for task_id, _ in zip(self._waiting, range(SLICE), strict=False)]
        for task_id in chosen:
            self._waiting[task_id] = self._waiting.pop(task_id)
        return Reconsider(tuple(chosen)) if chosen else None


def _is_over(execution: Execution, now: Instant) -> bool:
    return execution.expires is not None and execution.expires <= now
