"""Task types whose work is done by workers outside of the node: how they are named, and how many attempts a node holds."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

PREFIX: Final = "worker:"
"""What the name of every such type begins with: a definition says by itself who does the work, and no node must be told."""

_NAME: Final = re.compile(r"worker:[A-Za-z0-9][A-Za-z0-9._-]{0,55}")
"""At most 63 characters, because the type's queue has the same name."""

HELD: Final = 100
"""Attempts of one type that a node holds, for workers or with them: more than workers ask for at once, and a tenth of the slots,
so that a type without workers leaves room for others. A limit of the queue that has the type's name counts instead."""


def is_outside(type_name: str) -> bool:
    """Whether workers outside do the work of this task type."""
    return type_name.startswith(PREFIX) and _NAME.fullmatch(type_name) is not None


def whole_name(name: str) -> str:
    """A type's name with its prefix, which workers may leave out."""
    return name if name.startswith(PREFIX) else PREFIX + name


class HeldLimits(Mapping[str, int]):
    """The limits of queues, with one for the queue of every type that workers do."""

    def __init__(self, limits: Mapping[str, int]) -> None:
        self._limits = dict(limits)

    def __getitem__(self, queue: str) -> int:
        found = self._limits.get(queue)
        if found is None:
            if not queue.startswith(PREFIX):
                raise KeyError(queue)
            return HELD
        return found

    def __contains__(self, queue: object) -> bool:
        return queue in self._limits or (isinstance(queue, str) and queue.startswith(PREFIX))

    def __iter__(self) -> Iterator[str]:
        return iter(self._limits)

    def __len__(self) -> int:
        return len(self._limits)
