"""Where a task runs: on any executor, on all, on named nodes, or on nodes with certain labels."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from runtime.records import record


class Where(StrEnum):
    """Which nodes may run a task; with `all` each of them does."""

    ANY = "any"
    ALL = "all"
    NAMED = "nodes"
    SELECTOR = "selector"


LEAST_LOADED: Final = "least_loaded"
ROUND_ROBIN: Final = "round_robin"
RANDOM: Final = "random"
PINNED: Final = "pinned"
RULES: Final = "rules"

STRATEGIES: Final = (LEAST_LOADED, ROUND_ROBIN, RANDOM, PINNED, RULES)
"""The built-in ways to choose among the nodes that may; any other name is a plug-in's class path or entry point."""


@record
class Placement:
    """Where and how. `nodes`: for `nodes`, their names. `labels`: pairs that a node must have, for `selector`.

    `strategy`: one of `STRATEGIES` or a plug-in; empty: as the node that decides is configured. `pinned` stays on the node of
    the last execution while that takes work.
    """

    where: Where = Where.ANY
    nodes: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    strategy: str = ""


ANYWHERE: Final = Placement()
