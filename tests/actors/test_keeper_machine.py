"""The keeper's core under random commands, ends, crashes, failing stores and other writers, with a checker that is always on."""

from __future__ import annotations

from typing import Any

import attrs
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from actors.keeper_messages import AttemptsEnded, Checkpoint, Recover, Settle
from actors.model.execution import CLAIMABLE, Execution, Kind, WaitsFor
from actors.model.lifecycle import Phase, State
from actors.model.occurrence import Outcome
from actors.model.policy import CatchUp, Concurrency, OnCrash, Overlap, Policies, Retry
from actors.model.task import Definition, Task, status_of
from actors.model.trigger import Bounds, Interval
from actors.store.answers import OutcomeRow
from actors.store.port import Commit
from runtime.clock import SECOND, Instant, Micros
from runtime.errors import TocsinError

from .keeper_kit import START, Rig

IDS = ("a", "b", "c")
LIMITS = {"narrow": 1}
KEYS = {"one": 1, "two": 2}
ids = st.sampled_from(IDS)
intervals = st.builds(
    Interval,
    every=st.sampled_from([1, 2, 3, 5]).map(lambda seconds: Micros(seconds * SECOND)),
    anchor=st.integers(-3, 3).map(lambda seconds: Instant(START + seconds * SECOND)),
    fixed_delay=st.sampled_from([False, False, False, True]),
)
definitions = st.builds(
    Definition,
    id=ids,
    name=st.sampled_from(["x", "y", "z"]),
    type=st.just("work"),
    trigger=intervals,
    bounds=st.builds(
        Bounds,
        max_runs=st.sampled_from([None, None, 1, 2, 4]),
        end=st.sampled_from([None, None, Instant(START + 30 * SECOND)]),
    ),
    policies=st.builds(
        Policies,
        retry=st.builds(
            Retry, max_retries=st.integers(0, 2), delay=st.integers(0, 3).map(lambda seconds: Micros(seconds * SECOND))
        ),
        overlap=st.sampled_from(Overlap),
        catch_up=st.sampled_from(CatchUp),
        catch_up_limit=st.integers(1, 4),
        lateness_limit=st.sampled_from([None, None, Micros(2 * SECOND)]),
        on_crash=st.sampled_from(OnCrash),
        priority=st.integers(1, 3),
        queue=st.sampled_from(["default", "default", "narrow", "free"]),
        concurrency=st.sampled_from([None, None, Concurrency("one", 1), Concurrency("two", 2)]),
    ),
)
ends = st.sampled_from([State.COMPLETED, State.COMPLETED, State.FAILED, State.TIMED_OUT, State.WAITING])


@attrs.define
class Segment:
    """A time in which one trigger named the nominal times: (begin, through]."""

    trigger: Interval
    begin: int
    through: int
    closed: bool = False
    finished: bool = False

    def nominal(self) -> list[int]:
        """By counting up from the anchor, one by one."""
        found, at = [], self.trigger.anchor
        while at <= self.through:
            if at > self.begin:
                found.append(at)
            at = Instant(at + self.trigger.every)
        return found


def times_of(row: OutcomeRow, segments: list[Segment]) -> list[int]:
    if row.first == row.last:
        return [row.first]
    (segment,) = (s for s in segments if s.begin < row.first <= s.through)
    times = list(range(row.first, row.last + 1, segment.trigger.every))
    assert len(times) == row.count
    return times


class KeeperMachine(RuleBasedStateMachine):
    @initialize(slots=st.integers(1, 3), first=definitions, second=definitions)
    def begin(self, slots: int, first: Definition, second: Definition) -> None:
        self.rig = Rig(slots=slots, limits=LIMITS)
        self.segments: dict[str, list[Segment]] = {}
        self.through: dict[str, int] = {}
        self.activated: set[str] = set()
        self.fences: dict[str, int] = {}
        self.seen = 0
        self.boots = 1
        self.rig.create(attrs.evolve(first, id="a", name="x"), attrs.evolve(second, id="b", name="y"))

    # -- people

    def attempt(self, make: Any) -> bool:
        try:
            make()
        except TocsinError:
            return False
        return True

    def note(self, task_id: str) -> None:
        """Follow the segments of a task; called after everything that may have changed it."""
        tasks = self.rig.store.tasks([task_id])
        if not tasks:
            self.segments.pop(task_id, None)
            self.through.pop(task_id, None)
            self.fences.pop(task_id, None)
            return
        state, trigger = tasks[0].state, tasks[0].definition.trigger
        assert isinstance(trigger, Interval)
        segments = self.segments.setdefault(task_id, [])
        revived = segments and segments[-1].finished and task_id not in self.activated
        self.activated.discard(task_id)
        if segments and not segments[-1].closed:
            segments[-1].through = state.settled_through
            segments[-1].finished = state.phase is Phase.FINISHED
            segments[-1].closed = segments[-1].trigger != trigger or state.phase in (Phase.FINISHED, Phase.CANCELLED)
        if (not segments or segments[-1].closed) and state.phase in (Phase.ACTIVE, Phase.PAUSED):
            # Where a run that never started was given back, what came due since the task finished has its outcome too.
            begin = segments[-1].through if revived else state.settled_through
            segments.append(Segment(trigger, begin, state.settled_through))

    @rule(definition=definitions)
    def create(self, definition: Definition) -> None:
        known = bool(self.rig.store.tasks([definition.id]))
        if self.attempt(lambda: self.rig.create(definition)) and not known and self.rig.store.tasks([definition.id]):
            self.rig.started = [entry for entry in self.rig.started if entry.task_id != definition.id]
            self.seen = len(self.rig.started)

    @rule(definition=definitions, again=st.booleans())
    def edit(self, definition: Definition, again: bool) -> None:
        # Policies stay, so that "overlap skip" holds for the whole life of a task.
        for task in self.rig.store.tasks([definition.id]):
            changed = attrs.evolve(definition, policies=task.definition.policies, name=task.definition.name)
            self.attempt(lambda changed=changed: self.rig.edit(changed))
            if again:
                self.attempt(lambda changed=changed: self.rig.edit(changed))

    @rule(task_id=ids)
    def pause(self, task_id: str) -> None:
        self.attempt(lambda: self.rig.pause(task_id))

    @rule(task_id=ids, trigger=st.none() | intervals)
    def activate(self, task_id: str, trigger: Interval | None) -> None:
        if self.attempt(lambda: self.rig.activate(task_id, trigger)):
            self.activated.add(task_id)

    @rule(task_id=ids)
    def cancel(self, task_id: str) -> None:
        self.attempt(lambda: self.rig.cancel(task_id))

    @rule(task_id=ids)
    def delete(self, task_id: str) -> None:
        self.attempt(lambda: self.rig.delete(task_id))

    @rule(task_id=ids)
    def run_now(self, task_id: str) -> None:
        self.attempt(lambda: self.rig.run(task_id))

    @rule(task_id=ids, reset=st.booleans())
    def retry(self, task_id: str, reset: bool) -> None:
        if self.rig.store.tasks([task_id]):
            self.attempt(lambda: self.rig.retry(task_id, reset=reset))

    @rule(task_id=ids)
    def resume(self, task_id: str) -> None:
        self.attempt(lambda: self.rig.resume(task_id))

    @rule(task_id=ids, which=st.integers(0, 5))
    def cancel_execution(self, task_id: str, which: int) -> None:
        for task in self.rig.store.tasks([task_id]):
            if task.open:
                chosen = task.open[which % len(task.open)]
                self.attempt(lambda chosen=chosen: self.rig.cancel_execution(chosen.id, task_id))

    # -- time

    @rule(seconds=st.sampled_from([0, 1, 1, 2, 3, 5, 17]), told=st.sampled_from([True, True, True, False]))
    def time_passes(self, seconds: int, told: bool) -> None:
        self.rig.now = Instant(self.rig.now + seconds * SECOND)
        if told:
            self.fire()

    def fire(self) -> None:
        due = tuple(task_id for _, task_id in self.rig.store.due(None, self.rig.now, 1000))
        if due:
            self.rig.send(Settle(due))

    @rule(seconds=st.integers(1, 8))
    def clock_goes_back(self, seconds: int) -> None:
        self.rig.now = Instant(self.rig.now - seconds * SECOND)
        self.rig.send(Settle(IDS))

    # -- attempts

    @precondition(lambda self: self.rig.running)
    @rule(seconds=st.integers(0, 3), states=st.lists(ends, min_size=1, max_size=3))
    def attempts_end_while_the_store_is_broken(self, seconds: int, states: list[State]) -> None:
        self.rig.broken = True
        for state in states[: len(self.rig.running)]:
            self.rig.end(state)
        self.time_passes(seconds, told=True)
        self.store_heals()

    @precondition(lambda self: self.rig.running)
    @rule(which=st.integers(0, 5), state=ends, retryable=st.booleans(), twice=st.booleans())
    def attempt_ends(self, which: int, state: State, retryable: bool, twice: bool) -> None:
        running = list(self.rig.running.values())
        end = self.rig.end(state, execution=running[which % len(running)], retryable=retryable)
        if twice:
            self.rig.send(AttemptsEnded((attrs.evolve(end, counted=True),)))

    @precondition(lambda self: self.rig.running)
    @rule(which=st.integers(0, 5), state=st.sampled_from([State.TIMED_OUT, State.CANCELLED, State.WAITING]))
    def handler_is_abandoned(self, which: int, state: State) -> None:
        running = list(self.rig.running.values())
        self.rig.end(state, execution=running[which % len(running)], holds_slot=True)

    @precondition(lambda self: self.rig.abandoned)
    @rule(which=st.integers(0, 5))
    def handler_returns(self, which: int) -> None:
        self.rig.handler_returns(which % len(self.rig.abandoned))

    @precondition(lambda self: self.rig.abandoned)
    @rule(which=st.integers(0, 5))
    def handler_is_released(self, which: int) -> None:
        (execution_id, _), task_id = list(self.rig.abandoned.items())[which % len(self.rig.abandoned)]
        self.attempt(lambda: self.rig.release(execution_id, task_id))

    @rule(key=st.sampled_from(list(KEYS)))
    def lock_is_released(self, key: str) -> None:
        self.attempt(lambda: self.rig.release_lock(key))

    @rule()
    def scheduler_is_paused(self) -> None:
        self.attempt(self.rig.pause_scheduler)

    @rule()
    def scheduler_is_resumed(self) -> None:
        self.attempt(self.rig.resume_scheduler)
        self.fire()

    @precondition(lambda self: self.rig.interrupted)
    @rule()
    def interruptions_arrive(self) -> None:
        for interrupt in self.rig.interrupted:
            execution = self.rig.running.get((interrupt.execution_id, interrupt.fence))
            if execution is not None:
                self.rig.end(State.CANCELLED, execution=execution, reason=interrupt.reason)
        self.rig.interrupted.clear()

    @precondition(lambda self: self.rig.running)
    @rule(which=st.integers(0, 5))
    def checkpoint(self, which: int) -> None:
        running = list(self.rig.running.values())
        chosen = running[which % len(running)]
        self.attempt(
            lambda: self.rig.ask(lambda reply: Checkpoint(chosen.task_id, chosen.id, chosen.fence, "[]", reply))
        )

    # -- bad luck

    @rule()
    def store_breaks(self) -> None:
        self.rig.broken = True

    @precondition(lambda self: self.rig.broken)
    @rule()
    def store_heals(self) -> None:
        self.rig.broken = False
        self.rig.send(self.rig.own)

    @rule(task_id=ids, times=st.integers(1, 2))
    def another_writer_comes(self, task_id: str, times: int) -> None:
        left = [None] * times

        def meddle(commit: Commit) -> None:
            if left and any(update.task_id == task_id for update in commit.updates):
                left.pop()
                self.rig.bump(task_id)

        self.rig.before_commit = meddle

    @rule()
    def epochs_are_raised(self) -> None:
        self.rig.own = self.rig.raise_epochs()
        self.fire()
        self.rig.send(self.rig.own)

    @precondition(lambda self: not self.rig.broken)
    @rule(when=st.sampled_from(["now", "after the next commit"]), lost=st.booleans())
    def keeper_crashes(self, when: str, lost: bool) -> None:
        if when != "now":
            self.rig.crashed = True
            self.rig.settle(*IDS)
            self.rig.crashed = False
        self.rig.restart_keeper()

    @precondition(lambda self: not self.rig.broken)
    @rule()
    def executor_crashes(self) -> None:
        self.rig.restart_executor()

    @precondition(lambda self: not self.rig.broken)
    @rule()
    def node_crashes(self) -> None:
        self.boots += 1
        former = self.rig
        boot = f"boot-{self.boots}"
        self.rig = Rig(slots=former.slots, boot=boot, store=former.store, now=former.now, limits=LIMITS)
        self.rig.replies = former.replies
        self.seen = 0
        orphans = self.rig.store.orphans((boot,), 1000)
        if orphans:
            self.rig.send(Recover(tuple(orphans), frozenset({boot})))

    # -- what always holds

    @invariant()
    def everybody_is_answered(self) -> None:
        if hasattr(self, "rig"):
            assert all(reply.answered for reply in self.rig.replies)
            self.rig.replies.clear()

    @invariant()
    def no_end_is_lost(self) -> None:
        if hasattr(self, "rig") and not self.rig.broken:
            assert not self.rig.unrecorded

    @invariant()
    def slots_are_conserved(self) -> None:
        if hasattr(self, "rig"):
            self.rig.check_slots()

    @invariant()
    def rows_are_sound(self) -> None:
        if not hasattr(self, "rig"):
            return
        for task_id in IDS:
            self.note(task_id)
        for task in self.rig.store.tasks(IDS):
            self.check_task(task)
        self.check_fences()

    def check_task(self, task: Task) -> None:
        state = task.state
        assert state.settled_through >= self.through.get(task.id, 0), "settled_through went back"
        self.through[task.id] = state.settled_through
        assert state.status is status_of(state, task.open)
        assert (state.next_fire is None) or state.phase is Phase.ACTIVE
        assert state.next_fire is None or state.next_fire > state.settled_through
        if state.phase is Phase.CANCELLED:
            assert all(entry.state is not State.WAITING for entry in task.open), (
                "a cancelled task has something waiting"
            )
        if task.definition.policies.overlap is not Overlap.ALLOW:
            at_work = sum(entry.state is State.RUNNING or entry.lingers for entry in task.open)
            assert at_work <= 1, f"overlap {task.definition.policies.overlap} ran two"
        self.check_waiting(task)
        self.check_ledger(task)

    def check_waiting(self, task: Task) -> None:
        for entry in task.open:
            if entry.waits_for in CLAIMABLE and entry.due is None and self.rig.core.claims.may_claim:
                assert self.rig.broken or not self.could_run(task), f"{entry.id} waits though all it needs is free"
            if entry.waits_for is WaitsFor.OVERLAP:
                assert len(task.open) > 1 or entry.lingers, f"{entry.id} waits for nobody"
        trigger = task.definition.trigger
        assert isinstance(trigger, Interval)
        stuck = trigger.fixed_delay and task.state.phase is Phase.ACTIVE and task.state.next_fire is None
        assert not stuck or any(entry.is_open for entry in task.open), "a fixed delay that nobody continues"

    def occupied(self) -> list[tuple[Task, Execution]]:
        return [
            (task, entry)
            for task in self.rig.store.tasks(IDS)
            for entry in task.open
            if entry.state is State.RUNNING or entry.lingers
        ]

    def could_run(self, task: Task) -> bool:
        policies, at_work = task.definition.policies, self.occupied()
        known = {entry.id for _, entry in at_work}
        if any(execution_id not in known for execution_id, _ in (*self.rig.running, *self.rig.abandoned)):
            # The handler of a deleted task holds what it held until it has ended.
            return False
        limit = LIMITS.get(policies.queue, 99)
        if sum(other.definition.policies.queue == policies.queue for other, _ in at_work) >= limit:
            return False
        key = policies.concurrency
        return key is None or sum(entry.key == key.key for _, entry in at_work) < key.limit

    @invariant()
    def limits_hold(self) -> None:
        if not hasattr(self, "rig"):
            return
        at_work = self.occupied()
        for name, limit in LIMITS.items():
            assert sum(task.definition.policies.queue == name for task, _ in at_work) <= limit, f"queue {name}"
        for name, limit in KEYS.items():
            assert sum(entry.key == name for _, entry in at_work) <= limit, f"key {name}"
        self.rig.core.claims.queues.check_invariants()

    def check_ledger(self, task: Task) -> None:
        segments = self.segments.get(task.id, [])
        rows = self.rig.outcomes(task.id)
        if any(segment.trigger.fixed_delay for segment in segments):
            assert len({row.first for row in rows}) == len(rows), "a nominal time has two outcomes"
            return
        found = sorted(at for row in rows for at in times_of(row, segments))
        end = task.definition.bounds.end
        expected = sorted(at for segment in segments for at in segment.nominal())
        if end is not None or len(segments) > 1:
            # An edit may have changed the end: what lies within every bound there ever was must be there.
            assert len(set(found)) == len(found), "a nominal time has two outcomes"
            assert set(found) <= set(expected), "an outcome without a nominal time"
            expected = [at for at in expected if at <= START + 30 * SECOND]
            found = [at for at in found if at <= START + 30 * SECOND]
        assert found == expected, "not every nominal time has exactly one outcome"
        self.check_runs(task, rows)

    def check_runs(self, task: Task, rows: list[OutcomeRow]) -> None:
        for row in rows:
            if row.state in (State.RUNNING, State.COMPLETED):
                assert row.outcome in (Outcome.FIRED, Outcome.LATE)
            assert row.outcome is not None or row.state is State.WAITING

    def check_fences(self) -> None:
        for execution in self.rig.started[self.seen :]:
            if execution.task_id in self.through:
                assert execution.fence > self.fences.get(execution.task_id, 0), "a fence did not grow"
                self.fences[execution.task_id] = execution.fence
        self.seen = len(self.rig.started)

    def teardown(self) -> None:
        """With a sound store and handlers that complete, everything comes to its end."""
        if not hasattr(self, "rig"):
            return
        self.rig.before_commit = None
        self.rig.broken = False
        self.rig.restart_keeper()
        self.rig.resume_scheduler()
        while self.rig.abandoned:
            self.rig.handler_returns()
        for task_id in IDS:
            self.attempt(lambda task_id=task_id: self.rig.pause(task_id))
        for _ in range(60):
            self.rig.now = Instant(self.rig.now + 5 * SECOND)
            self.fire()
            while self.rig.running:
                self.rig.end()
        for task in self.rig.store.tasks(IDS):
            assert all(entry.state is State.CRASHED for entry in task.open), f"never came to an end: {task.open}"
        assert not self.rig.unrecorded
        self.rig.check_slots()
        limited = [entry for entry in self.rig.started if entry.kind is Kind.OCCURRENCE]
        assert len({(entry.id, entry.fence) for entry in limited}) == len(limited)


TestKeeperMachine = KeeperMachine.TestCase
TestKeeperMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
