"""Whether the canaries of the whole cluster run on time: judged from their rows in the store, which every node can read.

A canary is well if its owner settles its times, if the newest one that got an execution was started, if that was soon after its
time, and if it is not paused. So what is judged is the way from a time to a start, over owner, store and executor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Final

import attrs

from runtime.clock import SECOND, Instant, Micros

from .model.canary import spread_over
from .model.lifecycle import Phase
from .model.task import Task, partition_of
from .model.trigger import Interval

FEW: Final = 8
"""Canaries where there is not one for each partition: enough that each node of a small cluster owns some."""

TROUBLES_SHOWN: Final = 10
"""Canaries that are named when they are not well: the first ones tell what is wrong."""

BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of lateness in seconds by which starts are counted: from a quiet node to a takeover and beyond."""


@attrs.frozen
class CanaryConfig:
    """The canaries of a cluster. late_after: how late one may start. ping_every: how often somebody outside hears of them."""

    every: Micros = Micros(10 * SECOND)
    per_partition: bool = False
    late_after: Micros = Micros(15 * SECOND)
    ping_every: Micros = Micros(60 * SECOND)


@attrs.frozen
class CanaryFigures:
    """How the canaries are. due: nominal times so far; missed: of these, for which nothing ran.

    late: of the newest start of each, in order. troubles: what is wrong with the first of those that are not well.
    """

    canaries: int
    well: int
    due: int = 0
    missed: int = 0
    late: tuple[Micros, ...] = ()
    troubles: tuple[str, ...] = ()

    def percentile(self, share: float) -> Micros | None:
        """The lateness that this share of the newest starts stays within; None without any."""
        return self.late[max(ceil(share * len(self.late)), 1) - 1] if self.late else None


def figures(tasks: Sequence[Task], now: Instant, late_after: Micros) -> CanaryFigures:
    """How these canaries are."""
    troubles = [(task.definition.name, trouble(task, now, late_after)) for task in tasks]
    wrong = [f"{name}: {text}" for name, text in troubles if text is not None]
    counts = [_counts(task) for task in tasks]
    late = [found for task in tasks if (found := lateness(task)) is not None]
    return CanaryFigures(
        canaries=len(tasks),
        well=len(tasks) - len(wrong),
        due=sum(due for due, _ in counts),
        missed=sum(missed for _, missed in counts),
        late=tuple(sorted(late)),
        troubles=tuple(wrong[:TROUBLES_SHOWN]),
    )


def trouble(task: Task, now: Instant, late_after: Micros) -> str | None:
    """What is wrong with a canary; None if nothing is."""
    state = task.state
    if state.phase is not Phase.ACTIVE:
        return f"is {state.phase.value}"
    if state.next_fire is None or state.next_fire + late_after < now:
        return "nobody keeps its time"
    admitted, started = state.last_admitted, state.last_started_at
    if admitted is None:
        return None
    if started is None or started < admitted:
        return "has not started" if admitted + late_after < now else None
    return None if started - admitted <= late_after else f"started {(started - admitted) / SECOND:.1f} s late"


def lateness(task: Task) -> Micros | None:
    """From the newest nominal time to its start; None while it has none."""
    admitted, started = task.state.last_admitted, task.state.last_started_at
    return None if admitted is None or started is None or started < admitted else Micros(started - admitted)


def _counts(task: Task) -> tuple[int, int]:
    """Nominal times that were settled, and those of them for which nothing ran."""
    trigger, state = task.definition.trigger, task.state
    assert isinstance(trigger, Interval), "canaries have a fixed rate"
    if state.settled_through < trigger.anchor:
        return 0, 0
    due = (state.settled_through - trigger.anchor) // trigger.every + 1
    return due, max(due - state.completed - state.failed - len(task.open), 0)


# -- which there are


@attrs.frozen
class Changes:
    """What makes the canaries that there are those that are configured. missing: names with the partitions they stand for."""

    surplus: tuple[str, ...]
    missing: Mapping[str, int]


def wanted(config: CanaryConfig, partitions: int) -> dict[str, int]:
    """Names of canaries -> the partitions that they stand for."""
    chosen = spread_over(partitions, None if config.per_partition else min(FEW, partitions))
    return {f"system.canary {index}": partition for index, partition in enumerate(chosen)}


def changes(found: Sequence[Task], config: CanaryConfig | None, partitions: int) -> Changes:
    """What is to be done about the canaries that there are. config: None if there shall be none."""
    names = {} if config is None else wanted(config, partitions)
    good = {
        task.definition.name
        for task in found
        if config is not None
        and names.get(task.definition.name) == partition_of(task.id, partitions)
        and isinstance(task.definition.trigger, Interval)
        and task.definition.trigger.every == config.every
        and task.state.phase in (Phase.ACTIVE, Phase.PAUSED)
    }
    return Changes(
        tuple(task.id for task in found if task.definition.name not in good),
        {name: partition for name, partition in names.items() if name not in good},
    )
