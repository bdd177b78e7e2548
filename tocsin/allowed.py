"""Which programs the task type `command` may run on this node.

Whoever has the token of a node that listens beyond its machine could run anything there as the node's user. On such a node only
the programs of `commands.allowed` run, named as they are listed there, without a shell and without variables of the task's own:
PATH, LD_PRELOAD and their like turn a listed program into another one. Their arguments are theirs to judge.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import attrs

from actors.handling.catalogue import TaskType
from actors.handling.context import Context
from runtime.errors import InvalidRequest

from .settings.config import Config
from .vocabulary.fields import show

COMMAND = "command"
"""The task type that is restricted."""


def allowed_commands(config: Config) -> tuple[str, ...] | None:
    """The programs that commands may run, None for all."""
    return None if config.listen.is_loopback else config.commands_allowed


def restricted(command: TaskType, allowed: tuple[str, ...]) -> TaskType:
    """The task type, refusing what is not allowed when a task is saved, and again when it runs: the list may have changed."""
    check = functools.partial(_check, command.check, allowed)
    run = command.function

    @functools.wraps(run)
    async def function(ctx: Context, **parameters: Any) -> Any:
        check(parameters)
        return await run(ctx, **parameters)

    return attrs.evolve(command, function=function, check=check)


def _check(
    former: Callable[[dict[str, Any]], None] | None, allowed: tuple[str, ...], parameters: dict[str, Any]
) -> None:
    if former is not None:
        former(parameters)
    where = "this node listens beyond its machine, so commands.allowed of its configuration decides"
    if parameters.get("env"):
        raise InvalidRequest(f"env: not taken, {where}: {show(parameters['env'])}")
    program = "/bin/sh" if parameters.get("shell") else parameters["argv"][0]
    if program not in allowed:
        raise InvalidRequest(f"argv: {program!r} is not allowed, {where}: {', '.join(allowed) or 'nothing is'}")
