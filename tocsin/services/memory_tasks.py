"""What a node tells the others of the memory tasks that it alone has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from actors.node import MERGE_LIMIT, SHORTEST_PREFIX
from actors.store.answers import TaskFilter, sort_key
from runtime.errors import InvalidRequest

from ..vocabulary.checks import parse_status
from ..vocabulary.views import Json, task_view

if TYPE_CHECKING:
    from actors.node import Node

FIND: Final = "find_in_memory"
KEYS: Final = "memory_keys"
ROWS: Final = "memory_rows"
"""What nodes ask each other about memory tasks; no operation of the table, for nobody else asks for them."""

_FILTER: Final = ("status", "type", "tenant", "owner", "text", "sort", "descending", "system")
"""The fields of `TaskFilter` that say which tasks a list holds and in which order."""


def filter_json(wanted: TaskFilter) -> Json:
    """A filter as it travels, with how far the list may reach into each node's tasks."""
    reach = min(wanted.offset + wanted.limit, MERGE_LIMIT)
    return {name: getattr(wanted, name) for name in _FILTER} | {"limit": reach}


def _filter(arguments: Mapping[str, Any]) -> TaskFilter:
    unknown = arguments.keys() - {*_FILTER, "limit"}
    limit = arguments.get("limit")
    if unknown or type(limit) is not int or not 0 <= limit <= MERGE_LIMIT:
        raise InvalidRequest(f"filter: {', '.join(sorted(unknown)) or 'limit'} is not understood")
    status = arguments.get("status")
    return TaskFilter(**{**arguments, "status": None if status is None else parse_status(status)})


async def find(node: Node, arguments: Mapping[str, Any]) -> Json:
    """The memory tasks that a reference means, and whether it is the id of an execution of one."""
    reference = str(arguments.get("reference", ""))
    tasks = await node.control.in_memory([reference]) or await node.control.named_in_memory(reference)
    if not tasks and len(reference) >= SHORTEST_PREFIX:
        [page] = await node.control.pages(memory=TaskFilter(id_prefix=reference.lower(), limit=2))
        tasks = list(page.tasks)
    return {
        "tasks": [[task.id, task.definition.name] for task in tasks],
        "execution": await node.control.runs_in_memory(reference),
    }


async def keys(node: Node, arguments: Mapping[str, Any]) -> Json:
    """Where the first memory tasks that fit a filter stand in its list, and how many there are."""
    wanted = _filter(arguments)
    [page] = await node.control.pages(memory=wanted)
    return {"keys": [sort_key(task, wanted.sort) for task in page.tasks], "total": page.total}


async def rows(node: Node, arguments: Mapping[str, Any]) -> Json:
    """Memory tasks by their ids, as a list shows them; those that are gone are left out."""
    ids = arguments.get("ids")
    if not isinstance(ids, list):
        raise InvalidRequest("ids: a list of ids")
    return {"list": [task_view(task, node.config.name) for task in await node.control.in_memory(ids)]}


TOLD: Final[Mapping[str, Callable[..., Any]]] = {FIND: find, KEYS: keys, ROWS: rows}
"""Name -> what it does."""
