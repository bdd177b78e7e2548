"""Makes a plan that fails as short as it can be and still fail. Pure: whether a plan fails is asked of whoever knows.

Faults, calls and jobs are left out, first halves of them and then ever smaller parts (delta debugging); nodes and partitions are
taken away, knobs are put to their defaults, times are rounded and the end comes earlier. That is repeated until nothing helps
any more, or the budget of questions is used up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

import attrs

from .plan import Call, Fault, Job, Knobs, Plan

BUDGET: Final = 200
"""Questions: at some seconds each, minutes of a core for a failure that people look at for hours."""

FEWEST_NODES: Final = 1
PARTITIONS: Final = (1, 2, 4, 8)
SETTLE: Final = 20.0
"""Seconds that a shortened plan goes on after its last fault or call, times the rhythm."""

Fails = Callable[[Plan], bool]

T = TypeVar("T", Plan, Knobs)


class Shrinking:
    """One search. `asked`: how many questions it took so far. `said`: hears of each shorter plan that still fails."""

    def __init__(self, fails: Fails, budget: int = BUDGET, said: Callable[[Plan], None] = lambda plan: None) -> None:
        self._fails = fails
        self._said = said
        self._known: set[str] = set()
        self.budget = budget
        self.asked = 0

    def run(self, plan: Plan) -> Plan:
        """The shortest plan that was found to fail; the plan itself if none is."""
        while True:
            former = plan
            for step in (self._faults, self._jobs, self._calls, self._smaller, self._knobs, self._rounder):
                plan = step(plan)
            if plan == former or self.asked >= self.budget:
                return plan

    def _try(self, plan: Plan, shorter: Plan) -> Plan:
        """The shorter one if it fails as well."""
        key = repr(shorter)
        if shorter == plan or key in self._known or self.asked >= self.budget:
            return plan
        self._known.add(key)
        self.asked += 1
        if not self._fails(shorter):
            return plan
        self._said(shorter)
        return shorter

    # -- steps

    def _faults(self, plan: Plan) -> Plan:
        return self._fewer(plan, "faults")

    def _jobs(self, plan: Plan) -> Plan:
        return self._fewer(plan, "jobs")

    def _calls(self, plan: Plan) -> Plan:
        return self._fewer(plan, "calls")

    def _fewer(self, plan: Plan, field: str) -> Plan:
        """Leave out what is not needed: as large parts as can be, down to single ones."""
        size = len(getattr(plan, field))
        while size:
            at = 0
            while at < len(parts := getattr(plan, field)):
                shorter = self._try(plan, _without(plan, field, parts[:at] + parts[at + size :]))
                at = at if shorter is not plan else at + size
                plan = shorter
            size //= 2
        return plan

    def _smaller(self, plan: Plan) -> Plan:
        for nodes in range(FEWEST_NODES, plan.nodes):
            smaller = _with_nodes(plan, nodes)
            if smaller is not None and (found := self._try(plan, smaller)) is not plan:
                plan = found
                break
        for partitions in PARTITIONS:
            if partitions < plan.partitions:
                found = self._try(plan, attrs.evolve(plan, partitions=partitions))
                if found is not plan:
                    plan = found
                    break
        for seconds in _ends(plan):
            plan = self._try(plan, attrs.evolve(plan, seconds=seconds))
        return plan

    def _knobs(self, plan: Plan) -> Plan:
        usual = attrs.evolve(Knobs(), rhythm=plan.knobs.rhythm)
        plan = self._try(plan, attrs.evolve(plan, knobs=usual))
        for field in attrs.fields(Knobs):
            if field.name != "rhythm":
                plan = self._try(plan, attrs.evolve(plan, knobs=_change(plan.knobs, field.name, field.default)))
        for number in range(len(plan.jobs)):
            for change in _plainer(plan.jobs[number]):
                jobs = (*plan.jobs[:number], change(plan.jobs[number]), *plan.jobs[number + 1 :])
                plan = self._try(plan, attrs.evolve(plan, jobs=jobs))
        return plan

    def _rounder(self, plan: Plan) -> Plan:
        for field in ("faults", "calls", "jobs"):
            for digits in (0, 1):
                rounded = tuple(_rounded(one, digits) for one in getattr(plan, field))
                found = self._try(plan, _change(plan, field, rounded))
                if found is not plan:
                    plan = found
                    break
        return plan


def shrink(plan: Plan, fails: Fails, budget: int = BUDGET) -> Plan:
    """The shortest plan that is found to fail within so many questions, as `plan` does."""
    return Shrinking(fails, budget).run(plan)


def _change(record: T, field: str, value: object) -> T:
    changed: dict[str, Any] = {field: value}
    return attrs.evolve(record, **changed)


def _without(plan: Plan, field: str, kept: tuple[Any, ...]) -> Plan:
    """With these only. Calls go with the jobs that they are about."""
    shorter = _change(plan, field, kept)
    if field == "jobs":
        names = {"", *(job.name for job in kept)}
        shorter = attrs.evolve(shorter, calls=tuple(call for call in plan.calls if call.job in names))
    return shorter


def _with_nodes(plan: Plan, nodes: int) -> Plan | None:
    """With fewer nodes, if faults are about no more than those; they may get other names by that."""
    smaller = attrs.evolve(plan, nodes=nodes)
    hit = list(dict.fromkeys(name for fault in plan.faults for name in fault.target))
    if len(hit) > nodes or plan.knobs.min_nodes > nodes:
        return None
    if set(hit) <= set(smaller.names):
        return smaller
    names = dict(zip(hit, smaller.names, strict=False))
    faults = (attrs.evolve(fault, target=tuple(names[name] for name in fault.target)) for fault in plan.faults)
    return attrs.evolve(smaller, faults=tuple(faults))


def _ends(plan: Plan) -> Iterator[float]:
    """Earlier ends, the earliest first."""
    last = max((*(one.at + one.seconds for one in plan.faults), *(one.at for one in plan.calls)), default=0.0)
    for settle in (SETTLE, 2 * SETTLE):
        earlier = round(last + settle * plan.knobs.rhythm)
        if earlier < plan.seconds:
            yield float(earlier)


def _plainer(job: Job) -> Iterator[Callable[[Job], Job]]:
    """Ways to have less of its policies, and to be more as jobs are by default."""
    yield lambda one: attrs.evolve(one, policies={})
    yield from (_less(name) for name in job.policies)
    yield lambda one: attrs.evolve(one, placement="any")
    yield lambda one: attrs.evolve(one, max_runs=None)
    yield lambda one: attrs.evolve(one, type="brief", parameters={})


def _less(policy: str) -> Callable[[Job], Job]:
    return lambda one: attrs.evolve(one, policies={key: value for key, value in one.policies.items() if key != policy})


def _rounded(one: Fault | Call | Job, digits: int) -> Fault | Call | Job:
    match one:
        case Fault():
            return attrs.evolve(one, at=round(one.at, digits), seconds=round(one.seconds, digits))
        case Call():
            return attrs.evolve(one, at=round(one.at, digits))
        case Job():
            every = one.every and (round(one.every, digits) or one.every)
            return attrs.evolve(one, every=every, after=one.after and round(one.after, digits))
