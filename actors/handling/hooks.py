"""Hooks: functions that are called around handlers and after outcomes, and change neither.

`before` and `after` run in the node around every attempt that they match, wherever its handler runs; `after` also when it failed
or was interrupted. `on_outcome` runs once for what became of an occurrence or a run, those included that were never started.
A hook matches by task, by task type, or everything. It may be async or a plain function, which runs in a thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any, Final, Literal

import attrs

from runtime.clock import to_datetime
from runtime.errors import InvalidRequest

from ..model.execution import Execution, Failure
from ..model.lifecycle import State
from ..model.system import OWN_TYPES
from ..model.task import Task

HOOK_SECONDS: Final = 5.0
"""How long the hooks of one moment may take together: less than an interrupted handler is given before it is abandoned."""

HOOKS_LANE: Final = "hooks"
"""The thread lane of hooks that are plain functions: handlers that fill theirs do not hold hooks up."""

HOOK_THREADS: Final = 4
"""Threads for hooks: they are short, and one that hangs shall not stop all others."""

When = Literal["before", "after", "on_outcome"]


@attrs.frozen(eq=False)
class Ended:
    """What an `after` hook hears of the attempt. `result`: the handler's JSON value; `reason`: why it was asked to end."""

    state: State
    result: Any = None
    error: BaseException | None = None
    reason: str | None = None


@attrs.frozen
class Settled:
    """What an `on_outcome` hook hears.

    `state`: of the execution at its end; None for an occurrence that was never run. `outcome`: fired, late, skipped, ...; None
    for a manual run. `reason`: why it was late or not run.
    """

    task_id: str
    task: str
    type: str
    execution_id: str | None = None
    nominal: datetime | None = None
    outcome: str | None = None
    reason: str | None = None
    state: State | None = None
    attempts: int = 0
    failure: Failure | None = None


def settled_of(task: Task, execution: Execution) -> Settled:
    """What hooks hear of an execution that has come to its end."""
    return Settled(
        task.id,
        task.definition.name,
        task.definition.type,
        execution.id,
        None if execution.nominal is None else to_datetime(execution.nominal),
        None if execution.outcome is None else execution.outcome.value,
        None if execution.reason is None else execution.reason.value,
        execution.state,
        execution.attempt,
        execution.failure,
    )


@attrs.frozen
class Hook:
    """A function with what it is for: the tasks of a type, the task of a name, or all (both None)."""

    when: When
    function: Callable[..., Any]
    type: str | None = None
    task: str | None = None

    def __attrs_post_init__(self) -> None:
        if not callable(self.function):
            raise InvalidRequest(f"a hook must be a function, not {self.function!r}")

    @property
    def name(self) -> str:
        """What people call it."""
        return str(getattr(self.function, "__qualname__", self.function))

    def matches(self, type_name: str, task: str) -> bool:
        """Whether it is for this task. What is for all tasks is for all tasks of people."""
        if type_name in OWN_TYPES:
            return self.type == type_name and self.task in (None, task)
        return self.type in (None, type_name) and self.task in (None, task)


@attrs.frozen
class Around:
    """The hooks of one attempt."""

    before: tuple[Hook, ...]
    after: tuple[Hook, ...]


class Hooks:
    """The hooks of a catalogue, in the order in which they were added.

    `surround`: whether any may be called around an attempt, which is rare; `follow`: whether any wants to hear of outcomes.
    """

    def __init__(self) -> None:
        self._hooks: dict[When, list[Hook]] = {"before": [], "after": [], "on_outcome": []}
        self.surround = self.follow = False

    def add(self, hook: Hook) -> None:
        """Add one; a hook that is there already stays where it is."""
        if hook not in self._hooks[hook.when]:
            self._hooks[hook.when].append(hook)
            self._see()

    def extend(self, hooks: Iterable[Hook]) -> None:
        """Add several."""
        for hook in hooks:
            self.add(hook)

    def remove(self, function: Callable[..., Any]) -> None:
        """Call a function no more."""
        for when, hooks in self._hooks.items():
            self._hooks[when] = [hook for hook in hooks if hook.function is not function]
        self._see()

    def _see(self) -> None:
        self.surround = bool(self._hooks["before"] or self._hooks["after"])
        self.follow = bool(self._hooks["on_outcome"])

    def __iter__(self) -> Iterator[Hook]:
        return iter([hook for hooks in self._hooks.values() for hook in hooks])

    def matching(self, when: When, type_name: str, task: str) -> tuple[Hook, ...]:
        """Those for a task."""
        hooks = self._hooks[when]
        return tuple([hook for hook in hooks if hook.matches(type_name, task)]) if hooks else ()

    def around(self, type_name: str, task: str) -> Around | None:
        """Those for an attempt; None when there are none."""
        found = Around(self.matching("before", type_name, task), self.matching("after", type_name, task))
        return found if found.before or found.after else None
