"""What a run is found to be: every violation with its kind, what was excused by proof, and figures for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

import attrs

SHOWN: Final = 40
"""How many of each list are shown to people: the first ones tell what is wrong, thousands tell nothing."""

_SECOND: Final = 1_000_000


class Kind(StrEnum):
    """What can be wrong."""

    LOST = "lost"
    EARLY = "early"
    LATE = "late"
    DUPLICATE = "duplicate"
    OVERLAP = "overlap"
    PHANTOM = "phantom"
    ZOMBIE_EFFECT = "zombie_effect"
    CHECKPOINT_REGRESSION = "checkpoint_regression"
    DOUBLE_TERMINAL = "double_terminal"
    UNEXPLAINED_SKIP = "unexplained_skip"
    PURGE_ERROR = "purge_error"
    STALE_WRITE = "stale_write"
    OWNERSHIP = "ownership"
    UNFENCED = "unfenced"
    MAX_RUNS = "max_runs"
    HELD_AGAIN = "held_again"
    CANCELLED_RAN = "cancelled_ran"
    REQUEST_LOST = "request_lost"


@attrs.frozen
class Violation:
    """One thing that is wrong. task: its name, "" where it is about none. at: in microseconds, None where there is no instant."""

    kind: Kind
    task: str
    at: int | None
    text: str

    def __str__(self) -> str:
        where = f" {self.task}" if self.task else ""
        when = "" if self.at is None else f" at {self.at}"
        return f"{self.kind}:{where}{when}: {self.text}"


@attrs.frozen
class Statistics:
    """Figures of a run. lateness: from nominal time to first start, in microseconds, in order. outcomes: by outcome and reason.

    due: nominal times up to where the ledgers end. takeovers: how often a partition's epoch was seen to change, None where nobody
    watched the commits.
    """

    tasks: int = 0
    due: int = 0
    starts: int = 0
    attempts: int = 0
    crashed: int = 0
    resumed: int = 0
    retries: int = 0
    seconds: float = 0.0
    takeovers: int | None = None
    outcomes: Mapping[str, int] = attrs.field(factory=dict)
    requests: Mapping[str, int] = attrs.field(factory=dict)
    lateness: Sequence[int] = ()

    def late(self, share: float) -> int:
        """The lateness that this share of the starts stays within, in microseconds; 0 without starts."""
        return self.lateness[min(len(self.lateness) - 1, int(len(self.lateness) * share))] if self.lateness else 0


@attrs.frozen
class Verdict:
    """What a run is found to be. It is good if there are no violations. excused: what would be one without its proof."""

    violations: tuple[Violation, ...] = ()
    excused: tuple[Violation, ...] = ()
    statistics: Statistics = Statistics()

    @property
    def kinds(self) -> Counter[Kind]:
        """How many violations of each kind there are."""
        return Counter(one.kind for one in self.violations)

    def report(self) -> str:
        """For people."""
        figures = self.statistics
        lines = [
            f"{figures.tasks} tasks; {figures.due} nominal times were due in {figures.seconds:.0f} s; {figures.starts} starts, "
            f"{figures.attempts} attempts in the store, {figures.crashed} of them crashed; {figures.retries} retries, "
            f"{figures.resumed} starts went on from a checkpoint",
            "outcomes: " + _counts(figures.outcomes),
            "from nominal time to start: " + ", ".join(f"{name} {at / _SECOND:.3f} s" for name, at in self._lateness()),
            *([f"requests: {_counts(figures.requests)}"] if figures.requests else []),
            *([] if figures.takeovers is None else [f"{figures.takeovers} takeovers of a partition"]),
            f"{len(self.excused)} excused: {_counts(Counter(one.kind for one in self.excused))}",
            *(f"  {one}" for one in self.excused[:SHOWN]),
            f"{len(self.violations)} violations: {_counts(self.kinds)}",
            *(f"  {one}" for one in self.violations[:SHOWN]),
        ]
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """Everything, as plain values; of the lateness the percentiles."""
        figures = attrs.asdict(self.statistics)
        figures["outcomes"], figures["requests"] = dict(self.statistics.outcomes), dict(self.statistics.requests)
        figures["lateness"] = dict(self._lateness())
        return {
            "good": not self.violations,
            "kinds": {str(kind): number for kind, number in self.kinds.items()},
            "violations": [_plain(one) for one in self.violations],
            "excused": [_plain(one) for one in self.excused],
            "statistics": figures,
        }

    def _lateness(self) -> list[tuple[str, int]]:
        return [(name, self.statistics.late(share)) for name, share in (("p50", 0.5), ("p99", 0.99), ("worst", 1.0))]


def _counts(counts: Mapping[Any, int]) -> str:
    ordered = sorted(counts.items(), key=lambda one: (-one[1], str(one[0])))
    return ", ".join(f"{number} {name}" for name, number in ordered) or "none"


def _plain(one: Violation) -> dict[str, Any]:
    return {"kind": str(one.kind), "task": one.task, "at": one.at, "text": one.text}


class Findings:
    """A verdict in the making."""

    def __init__(self) -> None:
        self.violations: list[Violation] = []
        self.excused: list[Violation] = []

    def add(self, kind: Kind, task: str, at: int | None, text: str) -> None:
        """A violation."""
        self.violations.append(Violation(kind, task, at, text))

    def excuse(self, kind: Kind, task: str, at: int | None, text: str) -> None:
        """What would be one, with the proof in the text."""
        self.excused.append(Violation(kind, task, at, text))
