"""Where what an operation is about is: which argument names it, and in the memory of which node it was seen."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

import attrs

from actors.model.scope import Scope

from ..operations.table import OPERATIONS

_NAMING: Final = ("task", "execution", "reference")

REFERENCES: Final = {
    operation.name: argument.name
    for operation in OPERATIONS
    for argument in operation.arguments
    if argument.name in _NAMING and argument.where in ("path", "query")
}
"""Operations about one task or execution -> the argument that names it."""

REMEMBERED: Final = 20_000
"""References of which a node remembers where they were: some megabytes."""


@attrs.frozen
class Place:
    """The node that has a task in its memory, or an execution of one: its boot id and name. `id`: of the task or execution."""

    boot: str
    node: str
    id: str


class Places:
    """Where references led to, the newest ones. A hint: whoever uses it is told if it is wrong."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[Scope, str], Place] = OrderedDict()

    def learn(self, place: Place, scope: Scope, references: Iterable[str]) -> None:
        """Remember where these references lead those who see this much: names are each tenant's own."""
        for reference in references:
            self._known[scope, reference] = place
            self._known.move_to_end((scope, reference))
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    def known(self, scope: Scope, reference: str) -> Place | None:
        """Where a reference led to when it was last used."""
        return self._known.get((scope, reference))

    def forget(self, scope: Scope, reference: str) -> None:
        """It leads there no more."""
        self._known.pop((scope, reference), None)
