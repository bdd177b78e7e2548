"""The way from a node to a queue of the user's own: what is said of a job, the class that is called, and where it comes from."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import import_module
from importlib.metadata import entry_points
from itertools import islice
from typing import Any, Final

from actors.job_queue import JOB_QUEUE_LANE, Job, JobQueueFailed
from actors.job_queue_core import LISTED_MOST
from actors.model.invocation import unwrapped
from actors.model.task import Definition
from runtime.clock import Instant
from runtime.errors import InvalidRequest
from runtime.world import World

from ..shown import show
from ..vocabulary.fields import show_instant
from .custom import NEEDED

GROUP: Final = "tocsin.queues"
"""The entry point group in which packages offer queues."""

MAX_PARAMETERS: Final = 4 * 1024
"""Characters of a job's parameters that a queue is told: to choose by, not to work with."""

MAX_PROBLEM: Final = 300
"""Characters of what a user's queue raised that are shown."""


def task_facts(definition: Definition) -> dict[str, Any]:
    """What a queue may know of a task."""
    small = len(definition.parameters) <= MAX_PARAMETERS
    return {
        "task": definition.name,
        "type": definition.type,
        "tenant": definition.tenant,
        "owner": definition.owner,
        "queue": definition.policies.queue,
        "priority": definition.policies.priority,
        "tags": list(definition.tags),
        "labels": dict(definition.labels),
        "parameters": json.loads(definition.parameters) if small else None,
    }


def job_facts(job: Job) -> dict[str, Any]:
    """What a queue is told of a job."""
    told: dict[str, Any] = {"job": job.id, "taskId": job.task_id, "state": job.state.value}
    execution = job.execution
    if job.definition is None or execution is None:
        return told
    told |= task_facts(job.definition)
    given = unwrapped(execution.parameters).parameters
    if given is not None:
        told["parameters"] = json.loads(given) if len(given) <= MAX_PARAMETERS else None
    return told | {
        "kind": execution.kind.value,
        "attempt": execution.attempt + 1,
        "nominal": show_instant(execution.nominal),
        "createdAt": show_instant(execution.created_at),
    }


class Link:
    """The verbs as calls with JSON values. `_ask` is what differs between a class and a remote queue."""

    name: str

    async def _ask(self, verb: str, **said: Any) -> Any:
        raise NotImplementedError

    def has(self, verb: str) -> bool:
        """Whether it can be asked this."""
        return True

    async def start(self, node: str) -> None:
        """See `actors.job_queue.JobQueue`, as for all that follow."""
        await self._ask("start", node=node)

    async def save(self, node: str, jobs: Sequence[Job]) -> None:
        await self._ask("save", node=node, jobs=[job_facts(job) for job in jobs])

    async def next(self, node: str, count: int) -> object:
        return await self._ask("next", node=node, count=count)

    async def list(self, node: str) -> object:
        return await self._ask("list", node=node)

    async def data(self, node: str, job: str) -> object:
        """One job as the queue has it."""
        return await self._ask("data", node=node, job=job)

    async def delete(self, node: str, task_id: str) -> None:
        await self._ask("delete", node=node, task=task_id)

    async def rename(self, node: str, task_id: str, name: str) -> None:
        await self._ask("rename", node=node, task=task_id, name=name)

    async def update(self, node: str, definition: Definition) -> None:
        await self._ask("update", node=node, task=definition.id, facts=task_facts(definition))

    async def close(self) -> None:
        """It is not asked any more."""

    async def flush(self, node: str, before: Instant) -> None:
        await self._ask("flush", node=node, before=show_instant(before))


class InThread(Link):
    """A queue that is a class of the user's, called in a thread: one that hangs keeps its thread and nothing else."""

    def __init__(self, name: str, queue: object, world: World) -> None:
        self.name = name
        self._queue = queue
        self._world = world

    def has(self, verb: str) -> bool:
        """Whether the class has such a method."""
        return callable(getattr(self._queue, verb, None))

    async def _ask(self, verb: str, **said: Any) -> Any:
        method = getattr(self._queue, verb, None)
        if method is None:
            return None
        return await self._world.blocking(partial(_called, method, said), lane=JOB_QUEUE_LANE, abandon=True)


def _called(method: Callable[..., Any], said: Mapping[str, Any]) -> Any:
    try:
        answer = method(**said)
        # A generator runs where it was made, and its errors are the queue's.
        return answer if answer is None or isinstance(answer, str | Mapping) else list(islice(answer, LISTED_MOST + 1))
    except Exception as error:
        raise JobQueueFailed(f"raised {type(error).__name__}: {error}"[:MAX_PROBLEM]) from error


def load_queue(path: str, field: str = "queue.use") -> Callable[[], object]:
    """The class of a class path or of an entry point; calling it makes the queue.

    Both raise InvalidRequest that says what is wrong.
    """
    name = path
    path = next((one.value for one in entry_points(group=GROUP) if one.name == name), path)
    module, colon, attribute = path.partition(":")
    if not colon or not all(part.isidentifier() for part in (*module.split("."), *attribute.split("."))):
        raise InvalidRequest(
            f"{field}: a class such as 'package.module:Class', a name in {GROUP}, or an address, not {show(path)}"
        )
    try:
        made: Any = import_module(module)
        for part in attribute.split("."):
            made = getattr(made, part)
    except (Exception, SystemExit) as error:
        raise InvalidRequest(f"{field}: cannot load {show(name)}: {type(error).__name__}: {error}") from error
    if isinstance(made, type):
        _check_verbs(made, name, field)
    return partial(_made, made, name, field)


def _made(factory: Callable[[], object], name: str, field: str) -> object:
    try:
        queue = factory()
    except Exception as error:
        raise InvalidRequest(f"{field}: cannot make {show(name)}: {type(error).__name__}: {error}") from error
    _check_verbs(queue, name, field)
    return queue


def _check_verbs(queue: object, name: str, field: str) -> None:
    missing = [verb for verb in NEEDED if not callable(getattr(queue, verb, None))]
    if missing:
        raise InvalidRequest(f"{field}: {show(name)} has no method {', '.join(missing)}; see tocsin.queue.custom.Verbs")
