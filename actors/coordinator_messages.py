"""The coordinator's vocabulary. What it hears from the coordination service are the words of `runtime/coordination.py`."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from runtime.coordination_messages import CoordinationEvent

# What the coordinator hears.


@attrs.frozen
class Raised:
    """The store has raised these epochs for this node; a slot that is not here was refused."""

    epochs: Mapping[int, int]
    asked: frozenset[int]


Event = CoordinationEvent | Raised

# What the coordinator wants done.


@attrs.frozen
class Raise:
    """Raise the epochs of these slots in the store, under these grants, before anything of them is read."""

    grants: Mapping[int, int]


@attrs.frozen
class Announce:
    """Tell keeper and timer for which partitions this node acts from now on, under which epochs."""

    epochs: Mapping[int, int]


@attrs.frozen
class Adopt:
    """Look for what the former owners left behind in these partitions: attempts of dead processes."""

    partitions: frozenset[int]


Directive = Raise | Announce | Adopt
