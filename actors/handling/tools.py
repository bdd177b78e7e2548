"""What a handler can ask of its node: to run other tasks, and to make and change tasks.

Who provides this stands a floor above: it carries the requests out with the service functions of the other channels, for the
task's tenant, and the audit log names the task. Requests and answers are JSON, so that they are the same from the loop, from a
thread and from a process; tasks and executions are shown as REST shows them.

A handler that waits for another task holds its slot meanwhile. A chain of tasks that wait for one another needs as many slots as
it is long, so a wait always has a deadline, and waiting for oneself is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Generic, Protocol, TypeVar

import attrs

from runtime.errors import InvalidRequest

R = TypeVar("R", covariant=True)

WAIT_SECONDS: Final = 300.0
"""How long `invoke` waits unless told otherwise: a handler that holds its slot longer should be told when it is over instead."""

LONGEST_WAIT_SECONDS: Final = 24 * 3600.0
"""A day; what takes longer outlives the node that waits for it."""

INVOKE: Final = "invoke"
"""The one operation that is not in the table of the other channels."""


@attrs.frozen
class Asker:
    """The attempt that asks. `correlation`: handed on to what it runs."""

    task_id: str
    task: str
    tenant: str
    execution_id: str
    correlation: str

    @property
    def name(self) -> str:
        """Who it is in the audit log."""
        return f"task:{self.task}"


class Tools(Protocol):
    """Carries out what handlers ask for."""

    async def call(self, asker: Asker, operation: str, arguments: dict[str, Any]) -> Any:
        """The JSON answer of an operation. Raises the errors that any channel would be answered with."""
        ...


class Call(Protocol[R]):
    """The way to the tools: answers at once, or with something to await."""

    def __call__(self, operation: str, arguments: dict[str, Any]) -> R:
        """Ask for an operation."""
        ...


class TaskTools(Generic[R]):
    """Tasks from within a handler. In an async handler every call is awaited; in a thread or process it blocks.

    A task is named by its id or name. Raises NotFound, Conflict and InvalidRequest as for every other channel.
    """

    __slots__ = ("_call",)

    def __init__(self, call: Call[R]) -> None:
        self._call = call

    def create(self, what: str | Mapping[str, Any], /, **fields: Any) -> R:
        """Make a task: of a type, with fields as in `POST /api/tasks`, or from all of them as one mapping. Answers the task.

        For example create("mail", name="digest", trigger={"every": "1d"}, parameters={"to": "all"}).
        """
        body = {"taskType": what} if isinstance(what, str) else dict(what)
        return self._call("add_task", {"body": {**body, **fields}})

    def get(self, reference: str) -> R:
        """One task in full."""
        return self._call("find_task", {"reference": reference})

    def list(self, **filters: Any) -> R:
        """A page of tasks: status, type, text, offset, limit, sortBy as in `GET /api/tasks`. Answers list and totalSize."""
        return self._call("list_tasks", filters)

    def edit(self, reference: str, body: Mapping[str, Any] | None = None, /, **fields: Any) -> R:
        """Change fields of a task's definition. Answers the task."""
        return self._call("edit_task", {"task": reference, "body": {**(body or {}), **fields}})

    def pause(self, reference: str, note: str | None = None) -> R:
        """Fire no more until activated. Answers the task."""
        return self._call("pause_task", {"task": reference, "body": {} if note is None else {"note": note}})

    def activate(self, reference: str, trigger: Mapping[str, Any] | None = None) -> R:
        """Go on after a pause, or begin anew, with another trigger if one is given. Answers the task."""
        return self._call("activate_task", {"task": reference, "body": {} if trigger is None else {"trigger": trigger}})

    def cancel(self, reference: str) -> R:
        """End a task and what it runs; its record stays."""
        return self._call("cancel_task", {"task": reference})

    def delete(self, reference: str) -> R:
        """Remove a task with its history."""
        return self._call("cancel_task", {"task": reference, "permanent": True})

    def run(self, reference: str, parameters: Mapping[str, Any] | None = None) -> R:
        """Run a task now, whatever its trigger says. Answers the execution, which has only begun."""
        return self._call(
            "run_task", {"task": reference, "body": {} if parameters is None else {"parameters": parameters}}
        )


def invocation(task: Any, parameters: Any, wait: Any, timeout: Any) -> dict[str, Any]:
    """The arguments of an invocation. Raises InvalidRequest."""
    if not isinstance(task, str) or not task:
        raise InvalidRequest(f"invoke: the id or name of a task, or the name of a task type, not {task!r}")
    if not isinstance(timeout, int | float) or isinstance(timeout, bool) or not 0 < timeout <= LONGEST_WAIT_SECONDS:
        raise InvalidRequest(f"invoke: timeout: seconds, up to {LONGEST_WAIT_SECONDS:g}, not {timeout!r}")
    if parameters is not None and not isinstance(parameters, Mapping):
        raise InvalidRequest(f"invoke: parameters: values by name, not {parameters!r}")
    given = None if parameters is None else dict(parameters)
    return {"task": task, "parameters": given, "wait": bool(wait), "timeout": float(timeout)}
