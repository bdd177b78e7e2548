"""How tasks that crowd into one minute can be moved apart: pure.

The nominal times stay as they are: each task gets a spread window, in which it has a stable place of its own. What a
task means stays the same that way, whatever its trigger is, and the ledger goes on counting the same times.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs

from actors.model.task import Task, spread_offset
from actors.model.trigger import Bounds, Interval
from actors.when.triggers import upcoming
from runtime.clock import MINUTE, Instant, Micros
from runtime.records import evolve

SHORTEST_WINDOW: Final = Micros(2 * MINUTE)
"""Within less than two minutes nothing leaves its minute."""


@attrs.frozen
class Move:
    """A task and the bounds that it would get."""

    task: Task
    bounds: Bounds

    @property
    def later(self) -> Micros:
        """How much later than its nominal time the task would start."""
        return spread_offset(self.bounds, self.task.id)


@attrs.frozen
class Left:
    """A task that stays, and why."""

    task: Task
    why: str


def propose(tasks: Sequence[Task], at: Instant, within: Micros) -> tuple[list[Move], list[Left]]:
    """How each of these tasks that fire at an instant can be moved later by at most `within`, or why it cannot."""
    moves: list[Move] = []
    left: list[Left] = []
    for task in tasks:
        reason = _hindrance(task)
        width = within if reason else min(within, _gap(task, at) or within)
        if reason is None and width < SHORTEST_WINDOW:
            reason = "it fires so often that it is in every minute anyhow"
        if reason is None:
            moves.append(Move(task, evolve(task.definition.bounds, spread=width)))
        else:
            left.append(Left(task, reason))
    return moves, left


def _hindrance(task: Task) -> str | None:
    definition = task.definition
    if not definition.persistent:
        return "it is a memory task, which no file can change"
    if definition.bounds.spread:
        return "it has a spread window already"
    if isinstance(definition.trigger, Interval) and definition.trigger.fixed_delay:
        return "its times depend on when its runs end"
    return None


def _gap(task: Task, at: Instant) -> Micros | None:
    """How long it is from a nominal time to the next one; None if there is none."""
    times = upcoming(task.definition.trigger, task.definition.bounds, Instant(at - 1), 2)
    return Micros(times[1] - times[0]) if len(times) == 2 else None
