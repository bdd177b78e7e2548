"""What must hold after a storm: the checker's word on the evidence, and two things that only these tests ask for."""

from __future__ import annotations

import json
from collections.abc import Iterable

import attrs

from tests.cluster.evidence import Evidence
from tests.cluster.harness import PARTITIONS
from tocsin.checker.checker import check
from tocsin.checker.history import History, Ownership
from tocsin.checker.trial import RAN
from tocsin.checker.verdict import Verdict


@attrs.frozen
class Judged:
    """The checker's verdict, and what it does not know of."""

    verdict: Verdict
    besides: tuple[str, ...] = ()

    @property
    def violations(self) -> list[str]:
        """All of it, for people."""
        return [*self.besides, *map(str, self.verdict.violations)]

    def report(self) -> str:
        """For people."""
        return "\n".join([self.verdict.report(), f"{len(self.besides)} besides", *(f"  {one}" for one in self.besides)])


def judge(evidence: Evidence) -> Judged:
    """All checks."""
    return Judged(check(evidence.history), (*evidence.late, *check_edits(evidence), *check_added(evidence)))


def check_edits(evidence: Evidence) -> Iterable[str]:
    """The newest answered edit is in the parameters, or one that was tried after it."""
    asked = evidence.asked
    for name, numbers in asked.edits.items():
        has = json.loads(evidence.parameters[name])["edit"]
        if has < max(numbers) or has not in asked.tried_edits[name]:
            yield f"{name}: has edit {has}, answered was {max(numbers)}"


def check_added(evidence: Evidence) -> Iterable[str]:
    """What was added to run once, and was answered, has run once and is complete."""
    tasks = {task.name: task for task in evidence.history.tasks}
    for name in evidence.asked.added:
        ran = tasks[name].executions if name in tasks else ()
        if [one.state for one in ran] != ["COMPLETED"] or ran[0].outcome not in RAN:
            yield f"{name}: was added, and has {[(one.state, one.outcome) for one in ran]}"


def check_owners(owners: Ownership) -> list[str]:
    """Every partition has one owner, all nodes agree, and the store has it under a boot of that node that lives."""
    found = check(History((), (), ended_at=0, healed_at=0, ownership=owners, partitions=PARTITIONS))
    return [str(one) for one in found.violations]
