"""Loading the user's modules, so that the handlers they decorate are registered."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_network
from pathlib import Path

from actors.handling.catalogue import DECLARED, Catalogue
from actors.handling.sources import load_source
from runtime.errors import InvalidRequest
from runtime.world import World

from .allowed import COMMAND, restricted
from .handlers import register_builtins
from .placing.loading import load_strategies


def load(target: str) -> None:
    """Load a Python file by its path or a module by its dotted name; once, however often it is asked for.

    Raises InvalidRequest naming the target and what went wrong in it.
    """
    load_source(source_of_target(target))


def load_catalogue(
    targets: Iterable[str],
    world: World | None = None,
    *,
    commands: tuple[str, ...] | None = None,
    placements: Iterable[str] = (),
    reachable: Iterable[str] = (),
) -> Catalogue:
    """Load these files and modules; a catalogue of the built-in task types and everything that was declared.

    A declared type that has the name of a built-in one replaces it, with a warning. world: where commands are started, the
    real one unless given. commands: the programs that the built-in `command` may run, None for all. placements: classes of users'
    placement strategies. reachable: networks that the built-in `http` may reach although they are not public. Raises
    InvalidRequest.
    """
    for target in targets:
        load(target)
    builtins = Catalogue()
    register_builtins(builtins, world, reachable=[ip_network(network) for network in reachable])
    catalogue = Catalogue()
    for entry in builtins:
        gated = commands is not None and entry.name == COMMAND
        catalogue.register(restricted(entry, commands or ()) if gated else entry)
    for entry in DECLARED:
        catalogue.register(entry)
    catalogue.hooks.extend(DECLARED.hooks)
    catalogue.placements.update(load_strategies(placements))
    return catalogue


def source_of_target(target: str) -> str:
    """The source text of what a person wrote: anything with a slash or `.py` is a file, all else a module."""
    if not target.strip():
        raise InvalidRequest(f"a module or a Python file is needed, not {target!r}")
    if "/" in target or target.endswith(".py"):
        path = Path(target).absolute()
        if not path.is_file():
            raise InvalidRequest(f"there is no file {target!r}")
        return f"file:{path}"
    if not all(part.isidentifier() for part in target.split(".")):
        raise InvalidRequest(f"{target!r} is neither a Python file nor the dotted name of a module")
    return f"module:{target}"
