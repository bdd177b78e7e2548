"""Several nodes on one store against a dumb model: leases, epochs, fences, limits of keys and the graph, in any order."""

from __future__ import annotations

from itertools import count
from typing import Any, Final

import attrs
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from actors.model.execution import Execution, WaitsFor
from actors.model.lifecycle import State
from actors.model.task import Dependencies, Task
from actors.store.port import Commit, Create, ExecutionWrite, Update
from actors.store.shared import SharedStore
from runtime.clock import Instant
from runtime.errors import Conflict, LeaseLost, LimitReached, StaleEpoch, StaleFence, StaleVersion, TocsinError
from tests.actors.records import running, task, update
from tests.conformance.conftest import Passing

BOOTS: Final = ("one", "two", "three")
NODES: Final = {"one": "a", "two": "a", "three": "b"}
KEYS: Final = (None, "k", "k", "k", "j")
LONG: Final = 1000.0
SHORT: Final = 0.01
PARTITIONS: Final = (0, 1)

examples = count()
"""One store serves all examples of a run; each has names of its own."""

boots = st.sampled_from(BOOTS)


@attrs.define
class Lease:
    lapsed: bool = False
    buried: bool = False


@attrs.define
class Known:
    """A task as the model knows it, with its newest execution."""

    task: Task
    partition: int
    execution: Execution

    def holds(self, tenant: str, key: str) -> bool:
        held = self.execution.state is State.RUNNING or self.execution.lingers
        return held and self.execution.key == key and self.task.definition.tenant == tenant


@attrs.define
class Planned:
    """What one task's update is to do. `wrong`: the guard that is given a wrong value."""

    task_id: str
    act: str
    limit: int | None
    wrong: str | None

    @property
    def is_claim(self) -> bool:
        return self.act == "claim"


class Nodes(RuleBasedStateMachine):
    """Random work of three boots; after each step the store is what the model says."""

    def __init__(self, store: SharedStore, passing: Passing) -> None:
        super().__init__()
        self.store, self.passing = store, passing
        self.prefix = f"x{next(examples)}-"
        self.leases: dict[str, Lease] = {}
        self.tasks: dict[str, Known] = {}
        store.raise_epochs({number: 1 for number in PARTITIONS if number not in store.last_grants()}, "boot")
        self.epochs = {number: store.epochs().get(number, 0) for number in PARTITIONS}
        self.grants = {number: store.last_grants().get(number, 0) for number in PARTITIONS}
        self.graph = store.shared().graph
        self.numbers = count()

    def own(self, names: Any) -> list[str]:
        """Names of this example, without its prefix."""
        return sorted(name.removeprefix(self.prefix) for name in names if name.startswith(self.prefix))

    # -- leases

    @rule(boot=boots)
    def enrol(self, boot: str) -> None:
        lease = self.leases.get(boot, Lease())
        taken = any(
            other != boot and NODES[other] == NODES[boot] and not held.lapsed and not held.buried
            for other, held in self.leases.items()
        )
        error: type[TocsinError] | None = None
        try:
            self.store.enrol(self.prefix + boot, self.prefix + NODES[boot], LONG)
        except (Conflict, LeaseLost) as refusal:
            error = type(refusal)
        assert error is (Conflict if taken else LeaseLost if lease.buried else None)
        if error is None:
            self.leases[boot] = Lease()

    @rule(boot=boots)
    def renew(self, boot: str) -> None:
        lives = boot in self.leases and not self.leases[boot].buried
        assert self.store.renew(self.prefix + boot, LONG) == lives
        if lives:
            self.leases[boot].lapsed = False

    @rule(boot=boots)
    def lapse(self, boot: str) -> None:
        if self.store.renew(self.prefix + boot, SHORT):
            self.passing(2 * SHORT)
            self.leases[boot].lapsed = True

    @rule(boot=boots)
    def leave(self, boot: str) -> None:
        self.store.leave(self.prefix + boot)
        if boot in self.leases:
            self.leases[boot].buried = True

    @rule(members=st.sets(boots))
    def bury(self, members: set[str]) -> None:
        alive = self.store.bury([self.prefix + boot for boot in members])
        for boot, lease in self.leases.items():
            lease.buried |= lease.lapsed and boot not in members
        expected = members | self.leases.keys()
        assert self.own(alive) == sorted(boot for boot in expected if not self.leases.get(boot, Lease()).buried)
        lost = [
            known.task.id
            for known in self.tasks.values()
            if (known.execution.state is State.RUNNING or known.execution.lingers)
            and str(known.execution.boot).removeprefix(self.prefix) not in self.own(alive)
        ]
        assert self.own(self.store.orphans(alive, 10_000)) == self.own(lost)

    # -- epochs

    @rule(number=st.sampled_from(PARTITIONS), by=st.integers(0, 2))
    def take(self, number: int, by: int) -> None:
        grant = self.grants[number] + by
        if by:
            self.grants[number] = grant
            self.epochs[number] += 1
        assert self.store.raise_epochs({number: grant}, "boot") == ({number: self.epochs[number]} if by else {})

    @rule(number=st.sampled_from(PARTITIONS), by=st.integers(-2, 3))
    def raise_floor(self, number: int, by: int) -> None:
        above = max(0, self.epochs[number] + by)
        self.store.raise_floor({number: above})
        self.epochs[number] = max(self.epochs[number], above + 1)

    # -- tasks

    @rule(key=st.sampled_from(KEYS), tenant=st.sampled_from(["", "", "t"]), partition=st.sampled_from(PARTITIONS))
    def create(self, key: str | None, tenant: str, partition: int) -> None:
        task_id = f"{self.prefix}{next(self.numbers)}"
        first = self.waiting(task_id, key)
        made = attrs.evolve(task(task_id, tenant=self.prefix + tenant), open=(first,))
        assert self.store.commit(Commit({}, (Create(made, partition),))).refused == {}
        self.tasks[task_id] = Known(made, partition, first)

    def waiting(self, task_id: str, key: str | None) -> Execution:
        plain = running(f"e{next(self.numbers)} of {task_id}", task_id, state=State.WAITING, key=key)
        return attrs.evolve(plain, waits_for=WaitsFor.SLOT, fence=0, attempt=0, boot=None, node=None, started_at=None)

    @precondition(lambda self: self.tasks)
    @rule(data=st.data())
    def commit(self, data: st.DataObject) -> None:
        ids = data.draw(st.lists(st.sampled_from(sorted(self.tasks)), unique=True, max_size=6), "tasks")
        boot = data.draw(st.none() | boots, "boot")
        graph = data.draw(st.sampled_from([None, 0, 0, -1]), "graph")
        plans = [self.plan(data, self.tasks[task_id]) for task_id in ids]
        wrong_epochs = data.draw(st.sets(st.sampled_from(PARTITIONS), max_size=1), "stale partitions")
        updates = {plan.task_id: self.update(plan, boot) for plan in plans}
        commit = Commit(
            epochs={number: epoch - (number in wrong_epochs) for number, epoch in self.epochs.items()},
            updates=tuple(updates.values()),
            boot=None if boot is None else self.prefix + boot,
            graph=None if graph is None else self.graph + graph,
        )
        told = {task_id: type(error) for task_id, error in self.store.commit(commit).refused.items()}
        dead = boot is not None and (boot not in self.leases or self.leases[boot].buried)
        expected: dict[str, type[TocsinError]] = {}
        grown = False
        for plan in sorted(plans, key=lambda plan: self.is_limited(plan)):
            known = self.tasks[plan.task_id]
            error = self.judged(plan, known, known.partition in wrong_epochs, dead, graph == -1)
            if error is not None:
                expected[plan.task_id] = error
            else:
                grown |= plan.act == "depend"
                self.accept(known, updates[plan.task_id])
        assert told == expected
        after = self.store.shared().graph
        assert (after > self.graph) == grown
        self.graph = after

    def plan(self, data: st.DataObject, known: Known) -> Planned:
        execution = known.execution
        acts = ["touch", "depend"]
        if execution.state is State.WAITING:
            acts += ["claim"] * 4
        elif execution.state is State.RUNNING:
            acts += ["end", "end", "abandon", "stop", "claim"]
        else:
            acts += ["release"] if execution.lingers else ["again", "again"]
        act = data.draw(st.sampled_from(acts), "act")
        limit = data.draw(st.sampled_from([None, 1, 1, 2]), "limit")
        wrong = data.draw(st.sampled_from([None] * 6 + ["version", "fence"]), "wrong")
        return Planned(known.task.id, act, limit, wrong)

    def is_limited(self, plan: Planned) -> bool:
        return plan.is_claim and plan.limit is not None and self.tasks[plan.task_id].execution.key is not None

    def update(self, plan: Planned, boot: str | None) -> Update:
        known = self.tasks[plan.task_id]
        former: Execution | None = known.execution
        fence = known.task.state.fence + plan.is_claim
        changes: dict[str, dict[str, Any]] = {
            "claim": {
                "state": State.RUNNING,
                "waits_for": None,
                "fence": fence,
                "boot": self.prefix + (boot or "nobody"),
            },
            "end": {"state": State.COMPLETED, "ended_at": Instant(200)},
            "abandon": {"state": State.TIMED_OUT, "ended_at": Instant(200), "lingers": True},
            "stop": {"cancel_reason": "enough"},
            "release": {"lingers": False},
        }
        if plan.act == "again":
            now, former = self.waiting(plan.task_id, known.execution.key), None
        else:
            now = attrs.evolve(known.execution, **changes.get(plan.act, {}))
        if plan.wrong == "fence" and former is not None:
            former = attrs.evolve(former, fence=former.fence + 7)
        writes = () if plan.act in ("touch", "depend") else (ExecutionWrite(now, former, key_limit=plan.limit),)
        made = update(known.task, *writes, partition=known.partition, state={"fence": fence})
        if plan.act == "depend":
            parents = Dependencies((f"{self.prefix}parent {next(self.numbers)}",))
            made = attrs.evolve(made, definition=attrs.evolve(known.task.definition, dependencies=parents))
        return attrs.evolve(made, expected=made.expected + 7) if plan.wrong == "version" else made

    def judged(self, plan: Planned, known: Known, stale: bool, dead: bool, outdated: bool) -> type[TocsinError] | None:
        """The guards in their order."""
        if stale:
            return StaleEpoch
        if dead and plan.is_claim:
            return LeaseLost
        if plan.wrong == "version" or (outdated and plan.act == "depend"):
            return StaleVersion
        if plan.wrong == "fence" and plan.act not in ("touch", "depend", "again"):
            return StaleFence
        key, tenant = known.execution.key, known.task.definition.tenant
        if self.is_limited(plan) and key is not None and plan.limit is not None:
            others = sum(other.holds(tenant, key) for other in self.tasks.values() if other is not known)
            return LimitReached if others >= plan.limit else None
        return None

    def accept(self, known: Known, made: Update) -> None:
        if made.executions:
            known.execution = made.executions[0].execution
        opened = (known.execution,) if known.execution.is_open else ()
        known.task = Task(made.definition or known.task.definition, made.state, opened)

    # -- what holds after every step

    @invariant()
    def the_store_is_what_the_model_says(self) -> None:
        found = {entry.id: entry for entry in self.store.tasks(sorted(self.tasks))}
        assert found == {task_id: known.task for task_id, known in self.tasks.items()}
        assert {number: self.store.epochs().get(number, 0) for number in PARTITIONS} == self.epochs
        live = [boot for boot, lease in self.leases.items() if not lease.lapsed and not lease.buried]
        assert self.own(self.store.shared().live) == sorted(live)

    @invariant()
    def who_is_told_to_stop_is_known(self) -> None:
        for boot in BOOTS:
            told = [
                known.task.id
                for known in self.tasks.values()
                if (known.execution.state, known.execution.boot) == (State.RUNNING, self.prefix + boot)
                and known.execution.cancel_reason
            ]
            assert sorted(self.store.told_to_stop(self.prefix + boot, 10_000)) == sorted(told)

    @invariant()
    def each_partition_is_told_its_own_work(self) -> None:
        for number in PARTITIONS:
            waits = [
                known.task.id
                for known in self.tasks.values()
                if known.partition == number and known.execution.state is State.WAITING
            ]
            assert self.own(self.store.waiting(10_000, None, [number])) == self.own(waits)


def test_several_nodes_agree_with_the_model(store: SharedStore, passing: Passing) -> None:
    # A failure is not made smaller: every try leaves its rows in the one store, and soon takes seconds.
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        lambda: Nodes(store, passing),
        settings=settings(
            max_examples=25,
            stateful_step_count=20,
            deadline=None,
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert store.counts().tasks > 0
