"""Tasks that wait for other tasks: the graph of who waits for whom, and whether an occurrence may go on.

Theory of operation. An occurrence of a task with parents carries `since`: the former admitted slot of its task, or for the first
one its creation. A parent is *done* for it once it has COMPLETED an execution that started after that instant, *hopeless* while
it cannot complete one (failed, cancelled, deleted, finished, paused), else *pending*. With mode `all` every parent must be done,
with `any` one. What is hopeless may be mended, so the wait goes on until its end; with `fail_fast` it ends at once.

Of two edits that would close a cycle together one is refused, also when both are on their way to the store: an edge is promised
before it is written, and promised edges count like the others until the store has answered. That may refuse an edge whose
opposite is just being taken away; asked again it is accepted.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Final

from runtime.clock import Instant, isoformat
from runtime.errors import Conflict, InvalidRequest
from runtime.records import record

from ..model.execution import Execution
from ..model.lifecycle import OPEN_STATES, Phase, State
from ..model.occurrence import Outcome
from ..model.task import Definition, Dependencies, Task

MAX_PARENTS: Final = 100
"""Parents of one task: each is read for every decision about it. Who waits for more has a task that gathers them."""

SHOWN: Final = 3
"""Parents that a reason names; the task itself lists them all."""

SHOWN_PATH: Final = 10
"""Tasks of a cycle that an error names: enough to find it."""

_ENDED_BADLY: Final = frozenset({State.FAILED, State.TIMED_OUT, State.CANCELLED, State.CRASHED})

Look = Callable[[str], Task | None]
"""A task as the store has it, None if it is gone."""


class Graph:
    """Who waits for whom. Edges that the store has, and edges that are promised until it has answered."""

    def __init__(self, edges: Iterable[tuple[str, str]] = ()) -> None:
        self._parents: dict[str, tuple[str, ...]] = {}
        self._children: dict[str, dict[str, None]] = {}
        self._promised: dict[str, tuple[str, ...]] = {}
        found: dict[str, list[str]] = {}
        for child, parent in edges:
            found.setdefault(child, []).append(parent)
        for child, parents in found.items():
            self.set(child, tuple(parents))

    def __bool__(self) -> bool:
        """Whether any task waits for another."""
        return bool(self._parents)

    def __iter__(self) -> Iterator[str]:
        """Every task that waits for another."""
        return iter(self._parents)

    def parents(self, child: str) -> tuple[str, ...]:
        """The tasks that a task waits for."""
        return self._parents.get(child, ())

    def children(self, parent: str) -> Iterable[str]:
        """The tasks that wait for a task."""
        return self._children.get(parent, ())

    def refuse_cycle(self, child: str, parents: tuple[str, ...], name: Callable[[str], str] = str) -> None:
        """Raise Conflict, naming the path, if these edges would close a cycle with those that are there or promised.

        name: what the error calls the task of an id.
        """
        path = self._path(parents, child)
        if path is not None:
            shown = " -> ".join([*map(name, path[:SHOWN_PATH]), *(["..."] if len(path) > SHOWN_PATH else [])])
            raise Conflict(f"dependencies: task {name(child)} would wait for itself: {name(child)} -> {shown}")

    def promise(self, child: str, parents: tuple[str, ...]) -> None:
        """These edges, which close no cycle, are on their way to the store."""
        self._promised[child] = (*self._promised.get(child, ()), *parents)

    def withdraw(self, child: str) -> None:
        """What was promised for this task was not written."""
        self._promised.pop(child, None)

    def set(self, child: str, parents: tuple[str, ...]) -> None:
        """The store has these edges of a task, and no others."""
        self._promised.pop(child, None)
        for parent in self._parents.pop(child, ()):
            siblings = self._children[parent]
            siblings.pop(child, None)
            if not siblings:
                self._children.pop(parent)
        if parents:
            self._parents[child] = parents
            for parent in parents:
                self._children.setdefault(parent, {})[child] = None

    def _path(self, starts: Iterable[str], goal: str) -> list[str] | None:
        """A way from one of the starts to the goal, along the parents, both ends included."""
        came_from: dict[str, str | None] = dict.fromkeys(starts)
        ahead = list(came_from)
        while ahead:
            task_id = ahead.pop()
            if task_id == goal:
                return _way(came_from, goal)
            for parent in (*self._parents.get(task_id, ()), *self._promised.get(task_id, ())):
                if parent not in came_from:
                    came_from[parent] = task_id
                    ahead.append(parent)
        return None

    def check_invariants(self) -> None:
        """Raise AssertionError if the two directions disagree or a task waits for itself."""
        forward = {(child, parent) for child, parents in self._parents.items() for parent in parents}
        backward = {(child, parent) for parent, children in self._children.items() for child in children}
        assert forward == backward, f"edges of one direction only: {forward ^ backward}"
        for child, parents in self._parents.items():
            assert self._path(parents, child) is None, f"{child} waits for itself"


def _way(came_from: Mapping[str, str | None], goal: str) -> list[str]:
    way = [goal]
    while (before := came_from[way[-1]]) is not None:
        way.append(before)
    return way[::-1]


def check(definition: Definition, look: Look, kept: Collection[str] = ()) -> None:
    """Raise InvalidRequest, naming field and task, if the parents are none, too many, twice, unknown or the task itself.

    `kept`: parents that the task has already; one of them may be gone without hindering a change of the others.
    """
    dependencies = definition.dependencies
    if dependencies is None:
        return
    parents = dependencies.parents
    if not 1 <= len(parents) <= MAX_PARENTS:
        raise InvalidRequest(f"dependencies: from 1 to {MAX_PARENTS} parents, not {len(parents)}")
    seen: set[str] = set()
    for parent in parents:
        if parent == definition.id:
            raise InvalidRequest(f"dependencies: task {parent} cannot wait for itself")
        if parent in seen:
            raise InvalidRequest(f"dependencies: task {parent} is named twice")
        seen.add(parent)
        if parent in kept:
            continue
        found = look(parent)
        if found is None or found.definition.tenant != definition.tenant:
            raise InvalidRequest(f"dependencies: no task {parent}{_of_which_kind(definition)}")


def _of_which_kind(child: Definition) -> str:
    if child.persistent:
        return " is in the store (a task in the store cannot wait for one in memory)"
    return " is in the memory of this node (a task in memory waits only for others there)"


class Standing(StrEnum):
    """What one parent is for one occurrence."""

    DONE = "done"
    PENDING = "pending"
    HOPELESS = "hopeless"


@record
class Verdict:
    """Whether an occurrence may go on (DONE), waits (PENDING) or is to be given up (HOPELESS). `text` names who holds it."""

    standing: Standing
    text: str = ""


DONE: Final = Verdict(Standing.DONE)


def judge(dependencies: Dependencies, since: Instant, look: Look) -> Verdict:
    """Whether an occurrence that counts what started after `since` may go on, and if not, who holds it."""
    verdicts = [standing(parent, look(parent), since) for parent in dependencies.parents]
    done = [verdict.standing is Standing.DONE for verdict in verdicts]
    if any(done) if dependencies.mode == "any" else all(done):
        return DONE
    hopeless = [verdict for verdict in verdicts if verdict.standing is Standing.HOPELESS]
    ended = len(hopeless) == len(verdicts) if dependencies.mode == "any" else bool(hopeless)
    if dependencies.fail_fast and ended:
        return Verdict(Standing.HOPELESS, _named(hopeless))
    # Those that cannot complete come first: about them somebody can do something.
    waiting = [verdict for verdict in verdicts if verdict.standing is Standing.PENDING]
    return Verdict(Standing.PENDING, _named([*hopeless, *waiting]))


def _named(verdicts: list[Verdict]) -> str:
    more = [] if len(verdicts) <= SHOWN else [f"and {len(verdicts) - SHOWN} more"]
    return "; ".join([*(verdict.text for verdict in verdicts[:SHOWN]), *more])


def standing(parent_id: str, parent: Task | None, since: Instant) -> Verdict:
    """What one parent is for an occurrence that counts what started after `since`."""
    if parent is None:
        return Verdict(Standing.HOPELESS, f"parent {parent_id} is gone")
    state = parent.state
    if state.completed_start is not None and state.completed_start > since:
        return DONE
    name = f"parent {parent.definition.name!r}"
    if state.phase is Phase.CANCELLED:
        return Verdict(Standing.HOPELESS, f"{name} is cancelled")
    if any(execution.state in OPEN_STATES for execution in parent.open):
        return Verdict(Standing.PENDING, f"{name} has not completed yet")
    ended_at = state.last_ended_at
    if state.last_state in _ENDED_BADLY and ended_at is not None and ended_at > since:
        return Verdict(Standing.HOPELESS, f"{name} {state.last_state} at {isoformat(ended_at)}")
    if state.phase is not Phase.ACTIVE:
        return Verdict(Standing.HOPELESS, f"{name} is {state.phase}")
    return Verdict(Standing.PENDING, f"{name} has not run since {isoformat(since)}")


def counted_start(execution: Execution) -> Instant | None:
    """When an execution started, for those who wait for its task. On time is at its very slot.

    Where parent and child have the same times, the parent's start lies microseconds after the child's former slot, or not: that
    must not decide whether the child waits for the parent's next execution.
    """
    if execution.outcome is Outcome.FIRED:
        return execution.nominal if execution.assigned is None else execution.assigned
    return execution.first_started_at


def may_change_a_verdict(former: Task, present: Task) -> bool:
    """Whether what became of a parent can matter to a task that waits for it."""
    before, after = former.state, present.state
    return (
        before.completed_start != after.completed_start
        or before.phase is not after.phase
        or before.last_ended_at != after.last_ended_at
        or before.last_state is not after.last_state
    )
