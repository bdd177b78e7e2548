"""What handlers ask of their node: `ctx.tasks` and `ctx.invoke`, carried out by the functions that serve every other channel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from actors.handling.tools import INVOKE, Asker
from actors.node import Node
from runtime.errors import InvalidRequest

from ..access.origin import acting
from ..channels.invoking import MAX_CORRELATION
from ..channels.tasks import CHANNEL, handlers_caller, invoke_for
from ..settings.config import suggestion
from ..vocabulary.fields import parse_instant, show, whole_number
from .calls import Call
from .dispatch import Dispatcher
from .table import BY_NAME, Argument

ALLOWED: Final = frozenset(
    "add_task find_task list_tasks edit_task pause_task activate_task cancel_task run_task".split()
)
"""What handlers may ask for, of the table of operations."""


class ContextTools:
    """See `Tools`."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._dispatch = Dispatcher(node)

    async def call(self, asker: Asker, operation: str, arguments: dict[str, Any]) -> Any:
        if operation == INVOKE:
            return await invoke_for(self._node, asker, **arguments)
        if operation not in ALLOWED:
            raise InvalidRequest(f"a handler cannot ask for {operation!r}")
        found = read_arguments(BY_NAME[operation].arguments, arguments)
        if operation == "run_task":
            found["body"] = {"correlation": asker.correlation[:MAX_CORRELATION], **(found["body"] or {})}
        return await self._dispatch(
            operation, Call(found, acting(asker.name, CHANNEL), CHANNEL, handlers_caller(asker))
        )


def read_arguments(wanted: tuple[Argument, ...], given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of an operation by name, defaults filled in. Raises InvalidRequest naming argument and value."""
    names = [argument.name for argument in wanted]
    for name in given:
        if name not in names:
            raise InvalidRequest(f"unknown argument {show(name)}{suggestion(str(name), names)}")
    return {argument.name: _checked(argument, given.get(argument.name)) for argument in wanted}


def _checked(argument: Argument, value: Any) -> Any:
    if value is None:
        if argument.required:
            raise InvalidRequest(f"{argument.name}: required")
        return argument.default
    match argument.kind:
        case "whole":
            return whole_number(value, argument.name, argument.low, argument.high)
        case "flag" if not isinstance(value, bool):
            raise InvalidRequest(f"{argument.name}: true or false, not {show(value)}")
        case "instant":
            return parse_instant(value, argument.name)
        case "text" if not isinstance(value, str):
            raise InvalidRequest(f"{argument.name}: a text, not {show(value)}")
    return value
