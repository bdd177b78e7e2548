"""The action that runs another task, once for each delivery however often it is tried."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol

from runtime.errors import Conflict, InvalidRequest, NotFound
from runtime.mailbox import Reply

from .command_messages import Command
from .command_messages import RunTask as Run
from .herald_messages import Delivery, DeliveryFailed
from .herald_text import filled
from .model.event import RunTask
from .model.execution import Execution
from .model.task import Task
from .store.answers import ExecutionDetail
from .tracing import asked_here

MAX_CHAIN: Final = 16
"""Tasks that set one another off in a row: two that do so in a circle come to an end."""

CHANNEL: Final = "task"
"""How executions that other tasks asked for are marked."""


class Tasks(Protocol):
    """What is asked of the node."""

    async def task(self, reference: str, tenant: str = "") -> Task:
        """A task by name or id. Raises NotFound."""
        ...

    async def execution(self, execution_id: str) -> ExecutionDetail:
        """An execution. Raises NotFound."""
        ...

    async def command(self, task_id: str, make: Callable[[Reply[Execution]], Command]) -> Execution:
        """Have a command carried out."""
        ...


def task_runner(tasks: Tasks) -> Callable[[Delivery], Awaitable[str]]:
    """The action over a node. The execution has the delivery's id, so a second one cannot come of the same delivery."""

    async def run(delivery: Delivery) -> str:
        action = delivery.action
        assert isinstance(action, RunTask)
        depth = _chain(delivery.facts["execution"]) + 1
        if depth > MAX_CHAIN:
            raise DeliveryFailed(f"{MAX_CHAIN} tasks have set one another off in a row", permanent=True)
        try:
            found = await tasks.execution(delivery.id)
            return f"execution {found.execution.id} was there"
        except NotFound:
            pass
        correlation = delivery.id if depth == 1 else f"{delivery.id}~{depth}"
        parameters = None if action.parameters is None else filled(action.parameters, delivery, in_json=True)
        try:
            target = await tasks.task(action.task, delivery.facts["task"]["tenant"])
            made = await tasks.command(
                target.id,
                lambda reply: Run(
                    target.id,
                    asked_here(parameters),
                    CHANNEL,
                    correlation,
                    f"event {delivery.event}",
                    reply,
                    delivery.id,
                ),
            )
        except (NotFound, InvalidRequest) as error:
            raise DeliveryFailed(str(error), permanent=True) from error
        except Conflict as error:
            raise DeliveryFailed(str(error)) from error
        return f"execution {made.id} of task {target.definition.name}"

    return run


def _chain(execution: Mapping[str, Any]) -> int:
    """How many tasks have set one another off up to this execution: the first adds nothing to the delivery's id."""
    if execution["channel"] != CHANNEL or not execution["correlation"]:
        return 0
    depth = execution["correlation"].rpartition("~")[2]
    return int(depth) if depth.isascii() and depth.isdecimal() and len(depth) < 4 else 1
