"""Where a task runs, as JSON, Python and the command line give it and as it is shown.

`on` says where: `any` node, `all` of them, the `nodes` that are named, or those with the labels of a `selector`. Nodes and labels
say it by themselves. `strategy` says which of those nodes is asked; where every node runs the task there is nothing to choose.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from actors.handling.catalogue import Catalogue
from actors.model.placement import ANYWHERE, STRATEGIES, Placement, Where
from actors.model.task import Definition
from actors.rules.placing import check_goes_with
from runtime.errors import InvalidRequest
from runtime.records import evolve

from ..settings.config import suggestion
from .fields import show
from .kinds import read_object, show_object
from .words import PLACEMENT

_NEEDS: Final = {"nodes": Where.NAMED, "labels": Where.SELECTOR}
"""What says where by itself -> where that is, which is nowhere without it."""

_FIELDS: Final = {one.key: one for one in PLACEMENT}


def read_placement(value: object, base: Placement = ANYWHERE, path: str = "placement") -> Placement:
    """The placement that an object describes, a word such as `all`, or null for any node. Raises InvalidRequest.

    Where is given as a whole: nodes that the base names are gone when labels are given. A strategy alone leaves it as it is.
    """
    if value is None:
        return ANYWHERE
    given = read_object({"on": value} if isinstance(value, str) else value, PLACEMENT, path)
    values = {name: entry for name, entry in given.items() if entry is not None}
    found = base
    if values.keys() - {"strategy"}:
        found = Placement(*_where(values, path), strategy=base.strategy)
    if found.where is Where.ALL:
        if values.get("strategy"):
            wrong = show(values["strategy"])
            raise InvalidRequest(f"{path}.strategy: goes with {path}.on any, nodes and selector, not with all: {wrong}")
        found = evolve(found, strategy="")
    found = evolve(found, strategy=values.get("strategy", found.strategy))
    return ANYWHERE if found == ANYWHERE else found


def _where(values: Mapping[str, Any], path: str) -> tuple[Where, tuple[str, ...], tuple[tuple[str, str], ...]]:
    said = [_NEEDS[name] for name in _NEEDS if name in values]
    where: Where = values.get("where", said[0] if said else Where.ANY)
    for name, wanted in _NEEDS.items():
        if name in values and where is not wanted:
            wrong = show(_FIELDS[name].kind.show(values[name]))
            raise InvalidRequest(f"{path}.{name}: goes with {path}.on {wanted}, not with {where}: {wrong}")
        if where is wanted and not values.get(name):
            raise InvalidRequest(f"{path}.{name}: required with {path}.on {wanted}, at least one")
    return where, values.get("nodes", ()), values.get("labels", ())


def check_placement(definition: Definition, catalogue: Catalogue, *, chosen: bool = True) -> None:
    """Whether the task can run where it shall. `chosen`: its strategy was named just now, and has to be one of this node.

    Raises InvalidRequest.
    """
    placement = definition.placement
    if placement is ANYWHERE:
        return
    if not definition.persistent:
        raise InvalidRequest("placement: a task in memory runs on the node that holds it; leave it out")
    check_goes_with(placement, definition.trigger)
    known = [*STRATEGIES, *catalogue.placements]
    if chosen and placement.strategy and placement.strategy not in known:
        near = suggestion(placement.strategy, known)
        raise InvalidRequest(f"placement.strategy: one of {', '.join(known)}, not {show(placement.strategy)}{near}")


def placement_json(placement: Placement) -> dict[str, Any]:
    """A placement in full; nodes, labels and strategy null where nothing is said."""
    shown = show_object(placement, PLACEMENT)
    return {key: value or None for key, value in shown.items()}
