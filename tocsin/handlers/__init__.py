"""The task types that every node has and that need no code: `command`, `http` and `canary`."""

from __future__ import annotations

from collections.abc import Sequence

from actors.handling.catalogue import Catalogue, task_type
from actors.model.canary import CANARY
from runtime.world import RealWorld, World

from .canary import make_canary
from .command import check_command, make_command
from .http import check_http, make_http
from .reachable import Network


def register_builtins(catalogue: Catalogue, world: World | None = None, *, reachable: Sequence[Network] = ()) -> None:
    """Add the built-in task types.

    world: where commands are started and whose clock canaries read, the real one unless given. reachable: networks that tasks of
    type `http` may reach although they are not public.
    """
    world = RealWorld() if world is None else world
    command = make_command(world)
    catalogue.register(task_type("command", command, check=check_command))
    catalogue.register(task_type("http", make_http(reachable), check=check_http))
    catalogue.register(task_type(CANARY, make_canary(world)))
