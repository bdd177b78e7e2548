"""What must hold at every moment of several keepers over one store: the invariants of their machine."""

from __future__ import annotations

from hypothesis.stateful import RuleBasedStateMachine, invariant

from actors.model.execution import Execution, WaitsFor
from actors.model.lifecycle import Phase, State
from actors.model.policy import CatchUp, Overlap
from actors.model.task import Task, partition_of, status_of
from runtime.clock import SECOND

from .keeper_kit import START
from .sharing_kit import PARTITIONS, Nodes
from .test_keeper_machine import KEYS

IDS = tuple(next(f"t{n}" for n in range(99) if partition_of(f"t{n}", PARTITIONS) == slot) for slot in range(3))


class SharingChecks(RuleBasedStateMachine):
    """The machine's base: it looks at `nodes` after every step."""

    nodes: Nodes

    # -- what always holds

    @invariant()
    def everybody_is_answered(self) -> None:
        for rig in self.nodes.rigs if hasattr(self, "nodes") else ():
            assert all(reply.answered for reply in rig.replies)
            rig.replies.clear()

    @invariant()
    def each_attempt_starts_once(self) -> None:
        for which, rig in enumerate(self.nodes.rigs if hasattr(self, "nodes") else ()):
            for execution in rig.started[self.seen[which] :]:
                key = (execution.id, execution.fence)
                assert key not in self.started, f"{key} was started by {self.started[key]} and by {rig.name}"
                self.started[key] = rig.name
                assert execution.boot is not None
            self.seen[which] = len(rig.started)

    @invariant()
    def executors_have_what_the_store_says(self) -> None:
        if not hasattr(self, "nodes"):
            return
        rows = {
            (entry.id, entry.fence): entry
            for task in self.store.tasks(IDS)
            for entry in task.open
            if entry.state is State.RUNNING
        }
        for rig in self.nodes.rigs:
            if not rig.alive or rig.broken:
                continue
            assert not rig.unrecorded, "an end is lost"
            rig.check_slots()
            if rig.boot in self.buried:
                continue
            mine = {key for key, entry in rows.items() if entry.boot == rig.boot}
            assert mine <= rig.running.keys(), f"{rig.name} does not run {mine - rig.running.keys()}"
            for key, execution in rig.running.items():
                assert key in mine or not self.is_there(execution), f"{rig.name} runs {key}, which it has not claimed"

    def is_there(self, execution: Execution) -> bool:
        return self.store.execution(execution.id) is not None

    @invariant()
    def rows_are_sound(self) -> None:
        if not hasattr(self, "nodes"):
            return
        for task in self.store.tasks(IDS):
            self.check_task(task)
        at_work = [entry for task in self.store.tasks(IDS) for entry in task.open if is_at_work(entry)]
        for name, limit in KEYS.items():
            assert sum(entry.key == name for entry in at_work) <= limit, f"key {name}"
        for entry in at_work:
            assert entry.boot in self.boots, "an attempt of nobody"
            if entry.state is State.RUNNING and entry.boot in self.buried:
                assert (entry.id, entry.fence) in self.buried[entry.boot], "a buried boot has claimed"

    def check_task(self, task: Task) -> None:
        state, policies = task.state, task.definition.policies
        assert state.fence >= self.fences.get(task.id, 0), "a fence went back"
        self.fences[task.id] = state.fence
        assert all(entry.fence <= state.fence for entry in task.open)
        fences = [entry.fence for entry in task.open if entry.fence]
        assert len(set(fences)) == len(fences), "a fence was given twice"
        assert state.settled_through >= self.through.get(task.id, 0), "settled_through went back"
        self.through[task.id] = state.settled_through
        assert state.status is status_of(state, task.open)
        if state.phase is Phase.CANCELLED:
            assert all(entry.state is not State.WAITING for entry in task.open)
        if policies.overlap is not Overlap.ALLOW:
            targets = [entry.target for entry in task.open if is_at_work(entry)]
            assert len(set(targets)) == len(targets), f"overlap {policies.overlap} ran two"
            assert None not in targets or len(targets) == 1, f"overlap {policies.overlap} ran two"
        if policies.overlap is Overlap.SKIP and policies.catch_up is not CatchUp.ALL:
            targets = [entry.target for entry in task.open if entry.is_open]
            assert len(set(targets)) == len(targets), "overlap skip let two be open"
        for entry in task.open:
            if entry.waits_for is WaitsFor.OVERLAP:
                assert len(task.open) > 1 or entry.lingers, f"{entry.id} waits for nobody"
        self.check_ledger(task)

    def check_ledger(self, task: Task) -> None:
        segments = self.segments.get(task.id, [])
        rows = self.nodes[0].outcomes(task.id)
        targets = {entry.id: entry.target for entry in self.store.executions(task.id, offset=0, limit=10_000)[0]}
        named = [(row.first, targets.get(row.execution_id or "")) for row in rows]
        assert len(set(named)) == len(named), "a nominal time has two outcomes"
        if any(segment.trigger.fixed_delay for segment in segments):
            return
        assert all(row.last <= task.state.settled_through for row in rows), "an outcome of what is not settled"
        expected = {at for segment in segments for at in segment.nominal()}
        ranges = [(row.first, row.last) for row in rows if row.first < row.last]
        found = {row.first for row in rows} | {at for at in expected for first, last in ranges if first <= at <= last}
        assert found <= expected, "an outcome without a nominal time"
        # An edit may have changed the end: what lies within every bound that there ever was must be there.
        assert {at for at in expected if at <= START + 30 * SECOND} <= found, "a nominal time without an outcome"
        assert all(row.outcome is not None or row.state is State.WAITING for row in rows)


def is_at_work(entry: Execution) -> bool:
    return entry.state is State.RUNNING or entry.lingers
