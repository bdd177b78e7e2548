"""The task types that every node has and that need no code: `command`, `http` and `canary`."""

from __future__ import annotations

from actors.handling.catalogue import Catalogue, task_type
from actors.model.canary import CANARY
from runtime.world import RealWorld, World

from .canary import make_canary
from .command import check_command, make_command
from .http import check_http, http


def register_builtins(catalogue: Catalogue, world: World | None = None) -> None:
    """Add the built-in task types. world: where commands are started and whose clock canaries read, the real one unless given."""
    world = RealWorld() if world is None else world
    command = make_command(world)
    catalogue.register(task_type("command", command, check=check_command))
    catalogue.register(task_type("http", http, check=check_http))
    catalogue.register(task_type(CANARY, make_canary(world)))
