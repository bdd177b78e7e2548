"""The task types that every node has and that need no code: `command` and `http`."""

from __future__ import annotations

from actors.handling.catalogue import Catalogue, task_type
from runtime.world import RealWorld, World

from .command import check_command, make_command
from .http import check_http, http


def register_builtins(catalogue: Catalogue, world: World | None = None) -> None:
    """Add the built-in task types. world: where commands are started, the real one unless given."""
    command = make_command(RealWorld() if world is None else world)
    catalogue.register(task_type("command", command, check=check_command))
    catalogue.register(task_type("http", http, check=check_http))
