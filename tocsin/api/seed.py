"""The letter of the contract of Apache Unomi's task API (UNOMI-878): the routes under `/cxs` keep to it where `/api` is freer.

A task is meant by its whole id only, an unknown one is told in the contract's words, and a task that is tried again or resumed
is shown as it was ordered, scheduled for now, whatever has become of it since. No list holds tasks of the system itself, which
the contract does not have; by their ids they are there, as every task is.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any, Final

import attrs

from runtime.clock import Instant
from runtime.errors import NoSuchTask, NotFound

from ..operations.calls import Call
from ..vocabulary.fields import show_instant

PREFIX: Final = "/cxs"

_WHOLE_ID: Final = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
LIST: Final = "list_tasks"
_ORDERS: Final = frozenset({"retry_task", "resume_task"})


async def by_the_letter(
    dispatch: Callable[[str, Call], Awaitable[Any]], operation: str, call: Call, now: Instant
) -> Any:
    """Carry out an operation, asked for at this time, as the contract has it. Raises its errors, of NotFound only NoSuchTask."""
    task = call.arguments.get("task")
    if task is not None and not _WHOLE_ID.fullmatch(task):
        # A part of an id, or a name, may be that of another task tomorrow.
        raise _unknown(task)
    if operation == LIST:
        # The contract knows no tasks of the system: no list has them, whatever is asked for.
        call = attrs.evolve(call, arguments={**call.arguments, "system": False})
    try:
        answer = await dispatch(operation, call)
    except NotFound:
        raise _unknown(task) from None
    if operation in _ORDERS:
        return {**answer, "status": "SCHEDULED", "nextScheduledExecution": show_instant(now)}
    return answer


def _unknown(task: object) -> NoSuchTask:
    return NoSuchTask(f"No task exists with ID: {task}")
