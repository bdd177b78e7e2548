"""Work on thousands of definitions, piece by piece: each piece has its turn, so that nobody waits for the whole."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Final, TypeVar, cast

from actors.lanes import COMPUTED
from runtime.turns import CHANGES

if TYPE_CHECKING:
    from actors.node import Node

T = TypeVar("T")
R = TypeVar("R")

READ_AT_ONCE: Final = 20
"""Definitions that are read in one turn of the loop: a millisecond."""

LOOKED_THROUGH_AT_ONCE: Final = 50
"""Definitions of which only what they name is wanted, in one turn of the loop: a millisecond."""

STEPS_AT_ONCE: Final = 150
"""Lists and objects of a file that a thread reads in one turn: three milliseconds."""

COMPARED_AT_ONCE: Final = 100
"""Definitions that a thread compares or shows in one turn: some milliseconds, in which the loop has every other one."""


async def worked(node: Node, work: Generator[None, None, R]) -> R:
    """What comes out of work that pauses often, in a thread."""
    while True:
        await node.turns.take(CHANGES)
        ended: tuple[R] | None = await node.world.blocking(_some_of, work, lane=COMPUTED)
        if ended is not None:
            return ended[0]


def _some_of(work: Generator[None, None, R]) -> tuple[R] | None:
    """Go on with work for a while: what comes out of it, None if it is not done yet."""
    try:
        for _ in range(STEPS_AT_ONCE):
            next(work)
    except StopIteration as end:
        return (cast("R", end.value),)
    return None


async def in_turns(node: Node, function: Callable[[T], R], items: Sequence[T], at_once: int = READ_AT_ONCE) -> list[R]:
    """What the function makes of each, in the loop: for what needs it or is short."""
    found: list[R] = []
    for start in range(0, len(items), at_once):
        await node.turns.take(CHANGES)
        found += map(function, items[start : start + at_once])
    return found


async def computed(node: Node, function: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """What the function makes of each, in a thread: for what may take long."""
    found: list[R] = []
    for start in range(0, len(items), COMPARED_AT_ONCE):
        await node.turns.take(CHANGES)
        some = items[start : start + COMPARED_AT_ONCE]
        found += await node.world.blocking(lambda some=some: list(map(function, some)), lane=COMPUTED)
    return found
