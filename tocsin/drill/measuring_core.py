"""How a round of a drill is measured: takeover, lateness before, during and after, what was missed and what was doubled.

Theory of operation. A round has a fault that begins, is taken back (or not: a killed node stays dead), and is over when the
canaries are well again. A canary is *hit* if the victim owned its partition when the fault began. The takeover of a hit canary
is the time from the fault to the first start, on any node, of a nominal time that came due after it, or, where the victim
goes on until it has given its partitions away (a drain), after its partition was seen with another owner. Every instant is in
microseconds, by the nodes' clocks, which show milliseconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import ceil
from typing import Final

import attrs

from ..checker.history import Task

MILLISECOND: Final = 1_000

RAN: Final = ("COMPLETED",)
"""States of an attempt that did all that a canary does."""


@attrs.frozen
class Fault:
    """What was done to whom. healed_at: from then on the cluster was whole again, as far as it was made so. owned: the victim's
    partitions at the beginning. handed: when a partition was first seen with another owner, of those that were."""

    kind: str
    node: str
    began_at: int
    healed_at: int
    owned: frozenset[int] = frozenset()
    handed: Mapping[int, int] = attrs.field(factory=dict)

    @property
    def is_gentle(self) -> bool:
        """The victim goes on with its work until others have it."""
        return self.kind == "drain"


@attrs.frozen
class Lateness:
    """Milliseconds between nominal times and starts. `count`: how many starts; the others are None without any."""

    count: int
    p50: float | None = None
    p99: float | None = None
    worst: float | None = None


@attrs.frozen
class Takeover:
    """Milliseconds from the fault to the first start: of the median canary and of the last one. `canaries`: how many were hit;
    `silent`: the names of those that did not start again. `handover`: to the moment when the last hit partition was seen with
    another owner; None if one was not."""

    canaries: int
    median: float | None
    worst: float | None
    handover: float | None
    silent: tuple[str, ...] = ()


@attrs.frozen
class Measured:
    """What came out of a round. slots: nominal times that came due; missed, doubled: of these, which never ran, and which ran as
    two executions or completed twice; as texts that name task and time."""

    slots: int
    takeover: Takeover
    before: Lateness
    during: Lateness
    after: Lateness
    missed: tuple[str, ...]
    doubled: tuple[str, ...]


@attrs.frozen
class _Start:
    nominal: int
    at: int


def percentile(ordered: Sequence[int], share: float) -> int:
    """The smallest value that so large a share of all is not above (nearest rank). ordered: rising, one at least."""
    return ordered[max(ceil(share * len(ordered)), 1) - 1]


def lateness(starts: Iterable[tuple[int, int]]) -> Lateness:
    """Of pairs of nominal time and start."""
    late = sorted(max(at - nominal, 0) for nominal, at in starts)
    if not late:
        return Lateness(0)
    p50, p99, worst = (value / MILLISECOND for value in (percentile(late, 0.5), percentile(late, 0.99), late[-1]))
    return Lateness(len(late), p50, p99, worst)


def measure(tasks: Mapping[int, Sequence[Task]], fault: Fault) -> Measured:
    """Measure a round. tasks: the canaries by their partitions."""
    missed: list[str] = []
    doubled: list[str] = []
    starts: list[_Start] = []
    slots = 0
    for task in (task for members in tasks.values() for task in members):
        due = nominal_times(task)
        slots += len(due)
        first = _first_starts(task)
        starts += [_Start(nominal, first[nominal]) for nominal in due if nominal in first]
        missed += [f"{task.name}: {nominal}" for nominal in due if nominal not in first]
        doubled += [f"{task.name}: {nominal}" for nominal in _doubled(task)]

    def phase(begin: int | None, end: int | None) -> Lateness:
        return lateness(
            (one.nominal, one.at)
            for one in starts
            if (begin is None or one.nominal >= begin) and (end is None or one.nominal < end)
        )

    return Measured(
        slots,
        takeover(tasks, fault),
        phase(None, fault.began_at),
        phase(fault.began_at, fault.healed_at),
        phase(fault.healed_at, None),
        tuple(missed),
        tuple(doubled),
    )


def nominal_times(task: Task) -> range:
    """What came due of a canary, by its definition alone."""
    trigger = task.revisions[0].trigger
    return range(trigger["anchor"], task.settled_through + 1, trigger["every"])


def _first_starts(task: Task) -> dict[int, int]:
    """Nominal time -> its first start."""
    found: dict[int, int] = {}
    for execution in task.executions:
        begun = [one.started_at for one in execution.attempts if one.started_at is not None]
        if execution.nominal is not None and begun:
            found[execution.nominal] = min(
                [*begun, *([found[execution.nominal]] if execution.nominal in found else [])]
            )
    return found


def _doubled(task: Task) -> list[int]:
    """Nominal times that ran as two executions, or completed twice."""
    ran: Counter[int] = Counter()
    twice = set()
    for execution in task.executions:
        if execution.nominal is None or not execution.attempts:
            continue
        ran[execution.nominal] += 1
        if sum(one.state in RAN for one in execution.attempts) > 1:
            twice.add(execution.nominal)
    return sorted(twice | {nominal for nominal, count in ran.items() if count > 1})


def takeover(tasks: Mapping[int, Sequence[Task]], fault: Fault) -> Takeover:
    """How long the canaries of the victim's partitions took to go on."""
    hit = {partition: tasks[partition] for partition in sorted(tasks) if partition in fault.owned}
    took: list[int] = []
    silent: list[str] = []
    for partition, members in hit.items():
        since = fault.handed.get(partition) if fault.is_gentle else fault.began_at
        for task in members:
            again = [at for nominal, at in _first_starts(task).items() if since is not None and nominal >= since]
            if again:
                took.append(min(again) - fault.began_at)
            else:
                silent.append(task.name)
    took.sort()
    handed = [fault.handed[partition] for partition in hit if partition in fault.handed]
    return Takeover(
        canaries=len(took) + len(silent),
        median=percentile(took, 0.5) / MILLISECOND if took else None,
        worst=took[-1] / MILLISECOND if took else None,
        handover=(max(handed) - fault.began_at) / MILLISECOND if handed and len(handed) == len(hit) else None,
        silent=tuple(silent),
    )
