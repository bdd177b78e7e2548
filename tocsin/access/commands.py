"""Who may say what a `command` task runs: the administrators of all tenants.

A command does whatever the node's user can: read the data directory, and with it the first token. So whoever writes one is above
every role and tenant. To have a command run that is there, paused or cancelled, is an operator's matter like that of any task.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from actors.model.event import RunTask
from actors.model.task import Definition
from runtime.errors import Forbidden, NotFound

from ..allowed import COMMAND
from ..vocabulary.fields import show
from .caller import Caller

if TYPE_CHECKING:
    from actors.node import Node


async def check_commands(
    node: Node, caller: Caller, made: Iterable[Definition], former: Iterable[Definition] = ()
) -> None:
    """Raise Forbidden if what is made or changed says what a command runs, and the caller may not.

    made: definitions as they shall be; former: what they were. An event trigger that runs another task with parameters of its own
    says what that one runs; it has to be there, so that it is known what it is.
    """
    if caller.is_root:
        return
    made = list(made)
    for definition in (*made, *former):
        _refuse(definition.type, show(definition.name))
    own = {key: definition for definition in made for key in (definition.id, definition.name)}
    for definition in made:
        for trigger in definition.events:
            for action in trigger.actions:
                if isinstance(action, RunTask) and action.parameters is not None and action.task not in own:
                    await _check_target(node, action.task)


async def _check_target(node: Node, reference: str) -> None:
    try:
        task = await node.task(reference)
    except NotFound:
        raise Forbidden(
            f"events: only an administrator of all tenants may run {show(reference)} with parameters of their own: it is not "
            "there, and might be a command"
        ) from None
    _refuse(task.definition.type, show(reference))


def check_parameters(caller: Caller, definition: Definition) -> None:
    """Raise Forbidden if a run of this task gets parameters of its own, it is a command, and the caller may not say what runs."""
    if not caller.is_root:
        _refuse(definition.type, show(definition.name))


def _refuse(type_name: str, what: str) -> None:
    if type_name == COMMAND:
        raise Forbidden(f"{what}: only an administrator of all tenants may say what a task of type {COMMAND!r} runs")
