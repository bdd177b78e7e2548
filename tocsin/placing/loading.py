"""Where the strategies that users write come from."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Final

from actors.model.placement import STRATEGIES
from actors.rules.placing import Strategy
from runtime.errors import InvalidRequest

from ..shown import show
from .bounded import Bounded

GROUP: Final = "tocsin.placements"
"""The entry point group in which packages offer strategies."""


def load_strategies(names: Iterable[str]) -> dict[str, Strategy]:
    """The strategies of the entry point group, by their names there, and those of these class paths, "package.module:Class".

    Each class is made without arguments, and called with a deadline. Raises InvalidRequest with the name and what went wrong.
    """
    found = {one.name: _made(one.name, one.value) for one in entry_points(group=GROUP)}
    return found | {name: _made(name, name) for name in names if name not in found}


def _made(name: str, path: str) -> Strategy:
    field = "placement.plugins"
    module, colon, attribute = path.partition(":")
    if not colon or not all(part.isidentifier() for part in (*module.split("."), *attribute.split("."))):
        raise InvalidRequest(f"{field}: a class such as 'package.module:Class' or a name in {GROUP}, not {show(path)}")
    if name in STRATEGIES:
        raise InvalidRequest(f"{field}: {show(name)} is the name of a built-in strategy")
    try:
        made: Any = import_module(module)
        for part in attribute.split("."):
            made = getattr(made, part)
        strategy = made()
    except (Exception, SystemExit) as error:
        raise InvalidRequest(f"{field}: cannot load {show(name)}: {type(error).__name__}: {error}") from error
    if not callable(getattr(strategy, "choose", None)):
        raise InvalidRequest(f"{field}: {show(name)} has no method choose(candidates, facts)")
    return Bounded(strategy)
