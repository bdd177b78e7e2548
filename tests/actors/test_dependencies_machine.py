"""Parents complete, fail, are paused, cancelled and deleted in any order: each slot of the child has the outcome of the rules.

The model knows neither graph nor batches: it looks at all parents after every event, by the words of the rule.
"""

from __future__ import annotations

from typing import Any

import attrs
import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from actors.model.execution import WaitsFor
from actors.model.lifecycle import State
from runtime.clock import SECOND, Instant

from .dependency_kit import child, parent
from .keeper_kit import START, Rig

PARENTS = ("p", "q", "r")
EVERY = 10 * SECOND
BAD = {State.FAILED, State.TIMED_OUT, State.CANCELLED}

names = st.sampled_from(PARENTS)


@attrs.define
class ModelParent:
    """One parent: what a person would note down of it."""

    exists: bool = True
    phase: str = "active"
    running_since: int | None = None
    completed: list[int] = attrs.field(factory=list)
    last_end: tuple[State, int] | None = None

    def standing(self, since: int) -> str:
        if not self.exists:
            return "hopeless"
        if any(start > since for start in self.completed):
            return "done"
        if self.phase == "cancelled":
            return "hopeless"
        if self.running_since is not None:
            return "pending"
        if self.last_end is not None and self.last_end[0] in BAD and self.last_end[1] > since:
            return "hopeless"
        return "pending" if self.phase == "active" else "hopeless"


class DependencyMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.parents = {name: ModelParent() for name in PARENTS}
        self.now = int(START)
        self.waiting: int | None = None
        self.since = int(START)
        self.last_admitted: int | None = None
        self.ledger: dict[int, str] = {}

    @initialize(
        wanted=st.lists(names, min_size=1, max_size=3, unique=True),
        mode=st.sampled_from(["all", "any"]),
        fail_fast=st.booleans(),
    )
    def begin(self, wanted: list[str], mode: Any, fail_fast: bool) -> None:
        self.wanted, self.mode, self.fail_fast = wanted, mode, fail_fast
        self.rig = Rig(slots=20)
        answers = self.rig.create(*(parent(name) for name in PARENTS), child(*wanted, mode=mode, fail_fast=fail_fast))
        assert [task.id for task in answers] == [*PARENTS, "c"]

    # -- the model

    def verdict(self) -> str:
        found = [self.parents[name].standing(self.since) for name in self.wanted]
        if (any if self.mode == "any" else all)(one == "done" for one in found):
            return "run"
        hopeless = (all if self.mode == "any" else any)(one == "hopeless" for one in found)
        return "skip" if self.fail_fast and hopeless else "wait"

    def look(self) -> None:
        if self.waiting is None:
            return
        match self.verdict():
            case "run":
                self.ledger[self.waiting], self.waiting = "run", None
            case "skip":
                self.ledger[self.waiting], self.waiting = "skipped", None

    def after(self) -> None:
        self.look()
        for execution in list(self.rig.running.values()):
            if execution.task_id == "c":
                self.rig.end(execution=execution)

    # -- events

    @rule(seconds=st.sampled_from([1, 5, 10]))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds * SECOND
        self.rig.now = Instant(self.now)
        slot = START + (self.now - START) // EVERY * EVERY
        due = self.rig.task("c").due
        if due is not None and due <= self.now:
            self.rig.settle("c")
        if slot > (self.last_admitted or START):
            if self.waiting is not None:
                self.ledger[self.waiting] = "skipped"
            self.since = START if self.last_admitted is None else self.last_admitted
            self.waiting = self.last_admitted = slot
        self.after()

    def runnable(self, name: str) -> bool:
        one = self.parents[name]
        return one.exists and one.phase != "cancelled" and one.running_since is None

    @rule(name=names)
    def parent_starts(self, name: str) -> None:
        if self.runnable(name):
            self.rig.run(name)
            self.parents[name].running_since = self.now
            self.after()

    @rule(name=names, state=st.sampled_from([State.COMPLETED, State.FAILED, State.TIMED_OUT, State.CANCELLED]))
    def parent_ends(self, name: str, state: State) -> None:
        one = self.parents[name]
        if one.running_since is None:
            return
        execution = next(entry for entry in self.rig.running.values() if entry.task_id == name)
        self.rig.end(state, execution=execution)
        if state is State.COMPLETED:
            one.completed.append(one.running_since)
        one.running_since, one.last_end = None, (state, self.now)
        self.after()

    @rule(name=names)
    def parent_is_paused(self, name: str) -> None:
        one = self.parents[name]
        if one.exists and one.phase == "active":
            self.rig.pause(name)
            one.phase = "paused"
            self.after()

    @rule(name=names)
    def parent_is_activated(self, name: str) -> None:
        one = self.parents[name]
        if one.exists and one.phase == "paused":
            self.rig.activate(name)
            one.phase = "active"
            self.after()

    @rule(name=names)
    def parent_is_cancelled(self, name: str) -> None:
        one = self.parents[name]
        if one.exists and one.phase != "cancelled":
            self.rig.cancel(name)
            one.phase = "cancelled"
            self.after()

    @rule(name=names)
    def parent_is_deleted(self, name: str) -> None:
        one = self.parents[name]
        if one.exists and one.running_since is None:
            self.rig.delete(name)
            one.exists = False
            self.after()

    @rule()
    def keeper_restarts(self) -> None:
        self.rig.restart_keeper()
        self.after()

    @rule()
    def sweep(self) -> None:
        if (message := self.rig.core.waits.sweep()) is not None:
            self.rig.send(message)
        self.after()

    @precondition(lambda self: self.waiting is not None)
    @rule()
    def waiting_is_cancelled(self) -> None:
        (execution,) = self.rig.task("c").open
        self.rig.cancel_execution(execution.id, "c")
        assert self.waiting is not None
        self.ledger[self.waiting], self.waiting = "cancelled", None
        self.after()

    # -- what must hold

    @invariant()
    def the_child_is_as_the_model_says(self) -> None:
        if not hasattr(self, "rig"):
            return
        found = [(execution.nominal, execution.waits_for) for execution in self.rig.task("c").open]
        assert found == ([] if self.waiting is None else [(self.waiting, WaitsFor.DEPENDENCY)])
        assert self.rig.core.waits.anybody is (self.waiting is not None)

    @invariant()
    def every_slot_has_the_outcome_of_the_model(self) -> None:
        if not hasattr(self, "rig"):
            return
        words = {
            row.first: "run"
            if row.outcome in ("fired", "late")
            else "skipped"
            if row.reason == "dependency"
            else row.reason
            for row in self.rig.outcomes("c")
            if row.outcome is not None
        }
        assert words == self.ledger


DependencyMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestDependencies = DependencyMachine.TestCase
