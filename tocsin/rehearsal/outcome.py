"""What came of one seed, as plain values: small enough to pass between processes, and enough for a report on many."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from ..checker.checker import check
from ..checker.verdict import Verdict
from .marks import marks_of
from .plan import Plan
from .run import Rehearsed, rehearse

SHOWN: Final = 10
"""Violations of one seed that are kept as text: they mostly have one cause."""


@attrs.frozen
class Outcome:
    """See the module's docstring. simulated, cpu: seconds. tail: the last events before the end, of failed seeds only.

    error: why there is no history: the traceback of a crash, or that the deadline was over. traces: of each time that it was
    carried out.
    """

    seed: int
    traces: tuple[str, ...] = ()
    simulated: float = 0.0
    cpu: float = 0.0
    due: int = 0
    starts: int = 0
    takeovers: int = 0
    kinds: Mapping[str, int] = attrs.field(factory=dict)
    violations: tuple[str, ...] = ()
    excused: Mapping[str, int] = attrs.field(factory=dict)
    faults: Mapping[str, int] = attrs.field(factory=dict)
    marks: tuple[str, ...] = ()
    tail: tuple[str, ...] = ()
    error: str = ""

    @property
    def is_good(self) -> bool:
        """Everything was kept, and carried out again it was the same."""
        return not self.error and not self.violations and self.is_deterministic

    @property
    def is_deterministic(self) -> bool:
        """As far as it was tried."""
        return len(set(self.traces)) <= 1

    def as_json(self) -> dict[str, Any]:
        """For `read`."""
        return attrs.asdict(self)


def read(values: Mapping[str, Any]) -> Outcome:
    """What `as_json` answered, perhaps by way of JSON."""
    lists = ("traces", "violations", "marks", "tail")
    fields: dict[str, Any] = {key: tuple(value) if key in lists else value for key, value in values.items()}
    return Outcome(**fields)


def outcome_of(rehearsed: Rehearsed, verdict: Verdict) -> Outcome:
    """Of a history and what the checker found."""
    bad = bool(verdict.violations)
    return Outcome(
        rehearsed.plan.seed,
        traces=(rehearsed.trace,),
        simulated=rehearsed.simulated,
        cpu=rehearsed.real,
        due=verdict.statistics.due,
        starts=verdict.statistics.starts,
        takeovers=verdict.statistics.takeovers or 0,
        kinds={str(kind): number for kind, number in sorted(verdict.kinds.items())},
        violations=tuple(str(one) for one in verdict.violations[:SHOWN]),
        excused=_counted(str(one.kind) for one in verdict.excused),
        faults=rehearsed.faults,
        marks=marks_of(rehearsed),
        tail=rehearsed.tail if bad else (),
    )


def judge(plan: Plan) -> Outcome:
    """Carry a plan out in this process, and have the checker look at it."""
    rehearsed = rehearse(plan)
    return outcome_of(rehearsed, check(rehearsed.history))


def again(first: Outcome, second: Outcome) -> Outcome:
    """What came of a plan that was carried out twice: the time of both, the history of the first that failed."""
    shown = first if not first.is_good or second.is_good else second
    return attrs.evolve(shown, traces=first.traces + second.traces, cpu=first.cpu + second.cpu)


def _counted(kinds: Any) -> dict[str, int]:
    found: dict[str, int] = {}
    for kind in kinds:
        found[kind] = found.get(kind, 0) + 1
    return found
