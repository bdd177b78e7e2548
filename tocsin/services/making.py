"""What becomes of a request to make a task that was sent before, because its answer was lost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from actors.model.task import Task
from runtime.errors import Conflict, NotFound

from ..operations.calls import Call

if TYPE_CHECKING:
    from actors.node import Node


async def made_before(node: Node, call: Call, task_id: str) -> Task | None:
    """The task that a former request with this id has made; None if there is none, or the request chose no id.

    Raises Conflict for a task that has the id and another name or type than is asked for.
    """
    if call.arguments.get("taskId") is None:
        return None
    try:
        task = await node.task(task_id)
    except NotFound:
        return None
    body, definition = call["body"], task.definition
    asked = body if isinstance(body, Mapping) else {}
    same = (asked.get("taskType"), asked.get("name", definition.name)) == (definition.type, definition.name)
    if definition.id != task_id or not same:
        raise Conflict(f"task {task_id} is there already, and was asked for in another way")
    return task
