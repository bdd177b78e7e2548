"""What a handler can ask of its node: to run other tasks, and to make and change tasks.

Who provides this stands a floor above: it carries the requests out with the service functions of the other channels, for the
task's tenant, and the audit log names the task. Requests and answers are JSON, so that they are the same from the loop, from a
thread and from a process; tasks and executions are shown as REST shows them.

A handler that waits for another task holds its slot meanwhile. A chain of tasks that wait for one another needs as many slots as
it is long, so a wait always has a deadline, and waiting for oneself is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final, Generic, Protocol, TypeVar

import attrs

from runtime.errors import InvalidRequest

R = TypeVar("R", covariant=True)

WAIT_SECONDS: Final = 300.0
"""How long `invoke` waits unless told otherwise: a handler that holds its slot longer should be told when it is over instead."""

LONGEST_WAIT_SECONDS: Final = 24 * 3600.0
"""A day; what takes longer outlives the node that waits for it."""

INVOKE: Final = "invoke"
"""What handlers ask for in another way than the other channels do: it goes by the attempt that asks."""

LONGEST_KEY: Final = 64
"""Characters of a key that a handler gives to an invocation."""


@attrs.frozen
class Asker:
    """The attempt that asks, its `attempt`-th. `correlation`: handed on to what it runs. `depth`: how many handlers wait for it.

    reason: tells why it shall end, None while it shall not.
    """

    task_id: str
    task: str
    tenant: str
    execution_id: str
    correlation: str
    attempt: int = 1
    depth: int = 0
    reason: Callable[[], str | None] = lambda: None

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


def invocation(task: Any, parameters: Any, wait: Any, timeout: Any, key: Any = None) -> dict[str, Any]:
    """The arguments of an invocation. Raises InvalidRequest."""
    if key is not None and (not isinstance(key, str) or not 1 <= len(key) <= LONGEST_KEY):
        raise InvalidRequest(f"invoke: key: a text of 1 to {LONGEST_KEY} characters, not {key!r}")
    if not isinstance(task, str) or not task:
        raise InvalidRequest(f"invoke: the id or name of a task, or the name of a task type, not {task!r}")
    if not isinstance(timeout, int | float) or isinstance(timeout, bool) or not 0 < timeout <= LONGEST_WAIT_SECONDS:
        raise InvalidRequest(f"invoke: timeout: seconds, up to {LONGEST_WAIT_SECONDS:g}, not {timeout!r}")
    if parameters is not None and not isinstance(parameters, Mapping):
        raise InvalidRequest(f"invoke: parameters: values by name, not {parameters!r}")
    given = None if parameters is None else dict(parameters)
    return {"task": task, "parameters": given, "wait": bool(wait), "timeout": float(timeout), "key": key}


class Invocations:
    """Keys for what an attempt invokes, which the next attempt makes up alike.

    It begins again at the last checkpoint, or from the start. So a key tells after which checkpoint something was invoked, what,
    and for the how manieth time since: whoever does the same again gets the same keys, in whatever order.
    """

    def __init__(self) -> None:
        self._asked: Counter[str] = Counter()

    def keyed(self, arguments: Mapping[str, Any], execution_id: str, checkpoints: int) -> dict[str, Any]:
        """The arguments of an invocation with their key."""
        own = arguments.get("key")
        if own is not None:
            return {**arguments, "key": f"{execution_id}:own:{own}"}
        try:
            what = json.dumps([arguments["task"], arguments["parameters"], arguments["wait"]], sort_keys=True)
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidRequest(f"invoke: parameters: not JSON: {str(error)[:200]}") from None
        digest = hashlib.blake2b(what.encode(errors="backslashreplace"), digest_size=12).hexdigest()
        place = f"{execution_id}:{checkpoints}:{digest}"
        self._asked[place] += 1
        return {**arguments, "key": f"{place}:{self._asked[place]}"}
