"""The tasks that nobody can run because no node has their type."""

from __future__ import annotations

from typing import Final

from actors.model.lifecycle import Status
from actors.model.system import OWN_TYPES
from actors.node import Node
from actors.store.answers import TaskFilter

MOST_LOOKED_AT: Final = 1_000
"""Tasks looked at when a node starts: some milliseconds."""

_OVER: Final = frozenset({Status.COMPLETED, Status.CANCELLED})


async def orphaned_tasks(node: Node) -> list[str]:
    """Names of tasks, with their types, that a node alone cannot run. In a cluster, whose others may have them, none."""
    if node.cluster is not None:
        return []
    page = await node.page(TaskFilter(limit=MOST_LOOKED_AT))
    return [
        f"{task.definition.name} (type {task.definition.type})"
        for task in page.tasks
        if task.definition.type not in node.catalogue
        and task.definition.type not in OWN_TYPES
        and task.state.status not in _OVER
    ]
