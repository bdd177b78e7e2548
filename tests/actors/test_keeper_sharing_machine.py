"""Keepers of several nodes over one store, under random commands, deaths, zombies, lost letters and commits of unknown outcome.

A checker looks at the store after every step, and at the end everything has to come to rest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from actors.keeper_messages import AttemptsEnded, Event, InSync, Recover, Settle, StopClaiming
from actors.model.execution import CLAIMABLE
from actors.model.lifecycle import Phase, State
from actors.model.occurrence import Reason
from actors.model.placement import ANYWHERE, Placement, Where
from actors.model.policy import Concurrency
from actors.model.task import Definition, Task
from actors.model.trigger import Interval
from actors.rules.placing import NODE_GONE_AFTER
from actors.store.port import Commit
from runtime.clock import SECOND
from runtime.errors import TocsinError

from .sharing_checks import IDS, SharingChecks
from .sharing_kit import PARTITIONS, Nodes, SharingRig
from .test_keeper_machine import KEYS, Segment, ends
from .test_keeper_machine import definitions as usual_definitions

TYPES = ("work", "other")
FOR_GOOD = int(NODE_GONE_AFTER / SECOND) + 1

ids = st.sampled_from(IDS)
nodes = st.integers(0, 3)
placements = st.sampled_from(
    [
        ANYWHERE,
        ANYWHERE,
        ANYWHERE,
        Placement(Where.NAMED, nodes=("n2",)),
        Placement(Where.SELECTOR, labels=(("zone", "a"),)),
        Placement(Where.ANY, strategy="round_robin"),
        Placement(Where.ANY, strategy="pinned"),
        Placement(Where.ALL),
        Placement(Where.ALL),
    ]
)


def _spread(definition: Definition, task_id: str, kind: str, placement: Placement) -> Definition:
    policies = attrs.evolve(definition.policies, queue="default")
    return attrs.evolve(
        definition, id=task_id, name=f"name of {task_id}", type=kind, placement=placement, policies=policies
    )


definitions = st.builds(_spread, usual_definitions, ids, st.sampled_from(["work", "work", "work", "other"]), placements)


@attrs.define
class Late:
    """A word about dead nodes that is still on its way to a keeper."""

    which: int
    link: str
    message: Recover


class SharingMachine(SharingChecks):
    @initialize(
        number=st.integers(2, 4),
        slots=st.integers(1, 2),
        first=definitions,
        second=definitions,
        only_work=st.booleans(),
        keyed=st.booleans(),
    )
    def begin(
        self, number: int, slots: int, first: Definition, second: Definition, only_work: bool, keyed: bool
    ) -> None:
        key = Concurrency("one", 1) if keyed else None
        self.nodes = Nodes(number, slots=slots)
        self.store = self.nodes.store
        self.nodes[0].labels = (("zone", "a"),)
        for rig in self.nodes.rigs[: 1 if only_work else number]:
            rig.types = frozenset(TYPES)
        self.nodes.meet()
        self.segments: dict[str, list[Segment]] = {}
        self.through: dict[str, int] = {}
        self.fences: dict[str, int] = {}
        self.started: dict[tuple[str, int], str] = {}
        self.seen = [0] * number
        self.boots = {rig.boot for rig in self.nodes.rigs}
        self.buried: dict[str, frozenset[tuple[str, int]]] = {}
        self.late: list[Late] = []
        self.stopped: list[SharingRig] = []
        self.nodes.on_commit = self.follow
        for which, made in enumerate((first, second)):
            policies = made.policies if key is None else attrs.evolve(made.policies, concurrency=key)
            named = attrs.evolve(made, id=IDS[which], name=f"name of {IDS[which]}", policies=policies)
            self.on(which, lambda rig, named=named: rig.create(named))
        self.nodes.deliver()

    # -- what the rules are made of

    def rig(self, which: int) -> SharingRig:
        return self.nodes[which % len(self.nodes.rigs)]

    def on(self, which: int, act: Callable[[SharingRig], Any]) -> None:
        """Something is asked of a node, which may refuse it; or of none, if it is dead."""
        rig = self.rig(which)
        if rig.alive:
            try:
                act(rig)
            except TocsinError:
                return

    def follow(self) -> None:
        """After every commit: which trigger named the nominal times from when until when."""
        for task_id in IDS:
            self.note(task_id)

    def note(self, task_id: str) -> None:
        tasks = self.store.tasks([task_id])
        if not tasks:
            for known in (self.segments, self.through, self.fences):
                known.pop(task_id, None)
            return
        state, trigger = tasks[0].state, tasks[0].definition.trigger
        assert isinstance(trigger, Interval)
        segments = self.segments.setdefault(task_id, [])
        if segments and not segments[-1].closed:
            segments[-1].through = state.settled_through
            segments[-1].closed = segments[-1].trigger != trigger or state.phase in (Phase.FINISHED, Phase.CANCELLED)
        if (not segments or segments[-1].closed) and state.phase in (Phase.ACTIVE, Phase.PAUSED):
            former = segments[-1].through if segments else state.settled_through
            # A finished task that gets a count back says what became of the times in between.
            revived = any(row.reason == Reason.LIMIT and row.last > former for row in self.nodes[0].outcomes(task_id))
            segments.append(Segment(trigger, former if revived else state.settled_through, state.settled_through))

    # -- people

    @rule(which=nodes, definition=definitions)
    def create(self, which: int, definition: Definition) -> None:
        self.on(which, lambda rig: rig.create(definition))

    @rule(which=nodes, definition=definitions)
    def edit(self, which: int, definition: Definition) -> None:
        for task in self.store.tasks([definition.id]):
            changed = attrs.evolve(definition, policies=task.definition.policies, name=task.definition.name)
            if (changed.placement.where is Where.ALL) is (task.definition.placement.where is Where.ALL):
                self.on(which, lambda rig, changed=changed: rig.edit(changed))

    @rule(which=nodes, task_id=ids, what=st.sampled_from(["pause", "activate", "activate", "cancel", "delete"]))
    def command(self, which: int, task_id: str, what: str) -> None:
        self.on(which, lambda rig: getattr(rig, what)(task_id))

    @rule(which=nodes, task_id=ids)
    def run_now(self, which: int, task_id: str) -> None:
        self.on(which, lambda rig: rig.run(task_id))

    @rule(which=nodes, task_id=ids, reset=st.booleans())
    def retry(self, which: int, task_id: str, reset: bool) -> None:
        if self.store.tasks([task_id]):
            self.on(which, lambda rig: rig.retry(task_id, reset=reset))

    @rule(which=nodes, task_id=ids)
    def resume(self, which: int, task_id: str) -> None:
        self.on(which, lambda rig: rig.resume(task_id))

    @rule(which=nodes, task_id=ids, one=st.integers(0, 5))
    def cancel_execution(self, which: int, task_id: str, one: int) -> None:
        for task in self.store.tasks([task_id]):
            if task.open:
                chosen = task.open[one % len(task.open)]
                self.on(which, lambda rig, chosen=chosen: rig.cancel_execution(chosen.id, task_id))

    @rule(which=nodes, key=st.sampled_from(list(KEYS)))
    def release_lock(self, which: int, key: str) -> None:
        self.on(which, lambda rig: rig.release_lock(key))

    @rule(which=nodes, paused=st.booleans(), told=st.booleans())
    def pause_scheduler(self, which: int, paused: bool, told: bool) -> None:
        self.on(which, lambda rig: rig.pause_scheduler() if paused else rig.resume_scheduler())
        if told:
            self.nodes.look()

    # -- time

    @rule(seconds=st.sampled_from([0, 1, 1, 2, 3, 5, 17]), told=st.sampled_from([True, True, True, False]))
    def time_passes(self, seconds: int, told: bool) -> None:
        self.nodes.advance(seconds)
        if told:
            for which in range(len(self.nodes.rigs)):
                self.on(which, SharingRig.fire)

    @rule(seconds=st.integers(1, 4), lost=st.sampled_from([False, False, True]))
    def all_goes_well(self, seconds: int, lost: bool) -> None:
        """A while in which nothing is in the way, but that letters may be lost."""
        self.nodes.advance(seconds)
        self.nodes.meet()
        for which in range(len(self.nodes.rigs)):
            self.on(which, SharingRig.fire)
        self.letters(lost)

    # -- attempts

    @rule(which=nodes, one=st.integers(0, 3), state=ends, retryable=st.booleans(), twice=st.booleans())
    def attempt_ends(self, which: int, one: int, state: State, retryable: bool, twice: bool) -> None:
        rig = self.rig(which)
        if rig.running:
            end = rig.end(state, execution=list(rig.running.values())[one % len(rig.running)], retryable=retryable)
            if twice:
                rig.send(AttemptsEnded((attrs.evolve(end, counted=True),)))

    @rule(which=nodes, state=st.sampled_from([State.TIMED_OUT, State.CANCELLED, State.WAITING]))
    def handler_is_abandoned(self, which: int, state: State) -> None:
        if self.rig(which).running:
            self.rig(which).end(state, holds_slot=True)

    @rule(which=nodes, asked=st.none() | nodes)
    def handler_returns(self, which: int, asked: int | None) -> None:
        """By itself, or its slot is released by an operator."""
        if not self.rig(which).abandoned:
            return
        if asked is None:
            self.rig(which).handler_returns()
        else:
            (execution_id, _), task_id = next(iter(self.rig(which).abandoned.items()))
            self.on(asked, lambda rig: rig.release(execution_id, task_id))

    @rule(which=nodes)
    def interruptions_arrive(self, which: int) -> None:
        rig = self.rig(which)
        interrupted, rig.interrupted = rig.interrupted, []
        for one in interrupted:
            if (execution := rig.running.get((one.execution_id, one.fence))) is not None:
                rig.end(State.CANCELLED, execution=execution, reason=one.reason)

    # -- what nodes tell each other

    @rule(lost=st.sampled_from([False, False, True]))
    def letters(self, lost: bool) -> None:
        (self.nodes.lose if lost else self.nodes.deliver)()

    @precondition(lambda self: self.nodes.post)
    @rule(one=st.integers(0, 3), twice=st.booleans())
    def a_letter_overtakes(self, one: int, twice: bool) -> None:
        letter = self.nodes.post.pop(one % len(self.nodes.post))
        self.nodes.hand_over(letter)
        if twice:
            self.nodes.hand_over(letter)

    @rule(which=nodes)
    def look(self, which: int) -> None:
        self.on(which, SharingRig.look)

    @rule()
    def gossip(self) -> None:
        self.nodes.meet()

    # -- nodes

    @rule(which=nodes, slots=st.sets(st.integers(0, PARTITIONS - 1)), told=st.booleans())
    def take_partitions(self, which: int, slots: set[int], told: bool) -> None:
        """Their former owners hear of it, or go on believing that they own them."""
        taker = self.rig(which)
        if not taker.session or taker.broken:
            return
        others = [slot for slot in taker.partitions if slot not in slots]
        taker.take(others)
        taker.take({*others, *slots})
        for rig in self.nodes.rigs:
            if told and rig is not taker and rig.alive:
                rig.take([slot for slot in rig.partitions if slot not in slots])

    @rule(which=nodes, how=st.sampled_from(["executor", "drain", "stop"]), on=st.booleans())
    def switch(self, which: int, how: str, on: bool) -> None:
        rig = self.rig(which)
        if how == "executor":
            rig.executor = on
        elif how == "drain":
            rig.draining = on
        elif rig.alive:
            rig.draining = True
            self.stopped.append(rig)
            rig.send(StopClaiming())

    @rule(which=nodes, what=st.sampled_from(["dies", "is buried", "goes on"]))
    def node(self, which: int, what: str) -> None:
        """One that is buried does not know it before it goes on, under another boot id."""
        rig = self.rig(which)
        if what == "goes on" and not rig.alive:
            rig.reborn()
        elif what == "goes on" and rig.boot in self.buried:
            rig.begin_anew()
        elif what == "dies" and rig.alive:
            self.bury(rig)
            rig.die()
        elif what == "is buried" and rig.alive and rig.boot not in self.buried:
            self.bury(rig)
            rig.lose_lease()
        self.boots.add(rig.boot)

    def bury(self, rig: SharingRig) -> None:
        if rig.boot not in self.buried:
            entries = [entry for task in self.store.tasks(IDS) for entry in task.open]
            self.buried[rig.boot] = frozenset(
                (one.id, one.fence) for one in entries if one.state is State.RUNNING and one.boot == rig.boot
            )

    @rule(which=nodes, late=st.sampled_from([False, False, True]))
    def recover(self, which: int, late: bool) -> None:
        rig = self.rig(which)
        if not rig.alive:
            return
        if not late:
            rig.recover(self.nodes.members)
        elif (word := rig.word_of_the_dead(self.nodes.members)) is not None:
            self.late.append(Late(which, rig.link, word))

    @precondition(lambda self: self.late)
    @rule()
    def late_word_of_the_dead(self) -> None:
        word = self.late.pop(0)
        if self.rig(word.which).alive and self.rig(word.which).link == word.link:
            self.rig(word.which).send(word.message)

    # -- bad luck

    @rule(which=nodes, what=st.sampled_from(["breaks", "heals", "answer lost", "answer lost"]))
    def store(self, which: int, what: str) -> None:
        rig = self.rig(which)
        if what == "breaks":
            rig.broken = rig.alive
        elif what == "answer lost":
            rig.unanswered = int(rig.alive)
        elif rig.broken:
            rig.heal()

    @rule(which=nodes, other=nodes, task_id=ids, what=st.sampled_from(["fire", "end", "run", "cancel", "take", "look"]))
    def another_node_comes_between(self, which: int, other: int, task_id: str, what: str) -> None:
        """Between a decision of one node and its commit another one commits about the same."""
        if self.rig(which) is self.rig(other) or not self.rig(which).alive:
            return

        def meddle(_: Commit) -> None:
            self.rig(which).before_commit = None
            match what:
                case "fire" | "look":
                    self.on(other, lambda rig: getattr(rig, what)())
                case "end":
                    self.attempt_ends(other, 0, State.COMPLETED, True, False)
                case "take":
                    self.take_partitions(other, set(range(PARTITIONS)), False)
                case _:
                    self.on(other, lambda rig: getattr(rig, what)(task_id))

        self.rig(which).before_commit = meddle

    @rule(which=nodes, lost=st.booleans(), executor=st.booleans())
    def the_next_batch_is_decided_behind_a_commit(self, which: int, lost: bool, executor: bool) -> None:
        """What is due is settled while the commit before it is under way; that one's answer may be lost."""
        rig = self.rig(which)
        if not rig.alive:
            return

        def behind() -> list[Event]:
            due = [task_id for _, task_id in self.store.due(rig.partitions, self.nodes.now, 100)]
            half: list[Event] = [Settle((task_id,)) for task_id in due[len(due) // 2 :]]
            return [*half, InSync(0, frozenset())] if executor else half

        rig.behind = behind
        rig.unanswered = int(lost)
        due = [task_id for _, task_id in self.store.due(rig.partitions, self.nodes.now, 100)]
        rig.send(Settle(tuple(due[: len(due) // 2])))

    @rule(which=nodes, who=st.sampled_from(["keeper", "executor"]))
    def actor_crashes(self, which: int, who: str) -> None:
        rig = self.rig(which)
        if rig.alive and not rig.broken:
            (rig.restart_keeper if who == "keeper" else rig.restart_executor)()
            rig.send(rig.told_peers)

    def teardown(self) -> None:
        if not hasattr(self, "nodes"):
            return
        self.heal()
        for _ in range(4):
            self.turn(5)
        due = [task_id for _, task_id in self.store.due(None, self.nodes.now, 100)]
        assert not due, f"what is due is not fired: {self.store.tasks(due)}"
        self.nobody_waits_in_vain()
        for task_id in IDS:
            self.on(0, lambda rig, task_id=task_id: rig.pause(task_id))
        for seconds in (*[5] * 25, FOR_GOOD, 5, 5):
            self.turn(seconds)
        for task in self.store.tasks(IDS):
            left = [entry for entry in task.open if entry.state is not State.CRASHED]
            assert not left or not self.somebody_may_run(task), f"never came to an end: {left}"
        for rig in self.nodes.rigs:
            rig.check_slots()

    def heal(self) -> None:
        """All nodes are there under boots that live, see each other, and own one partition or two each."""
        self.nodes.lose()
        self.late.clear()
        for rig in self.nodes.rigs:
            rig.before_commit, rig.unanswered = None, 0
            if rig.broken:
                rig.heal()
            if not rig.alive:
                rig.reborn()
            elif rig.boot in self.buried:
                rig.begin_anew()
            rig.executor, rig.draining, rig.session = True, False, True
            while rig.abandoned:
                rig.handler_returns()
            if rig in self.stopped:
                rig.restart_keeper()
        self.stopped.clear()
        for which, rig in enumerate(self.nodes.rigs):
            rig.take([])
            rig.take([slot for slot in range(PARTITIONS) if slot % len(self.nodes.rigs) == which])
        self.nodes.meet()
        self.nodes[0].resume_scheduler()

    def turn(self, seconds: int) -> None:
        """Some time in which letters are lost, then arrive; everybody looks into the store, and every handler completes."""
        self.nodes.advance(seconds)
        for arrives in (False, False, True):
            self.nodes.advance(2)
            self.nodes.meet()
            self.nodes.look()
            for rig in self.nodes.rigs:
                rig.recover(self.nodes.members)
                rig.fire()
                while rig.running:
                    rig.end()
            self.letters(not arrives)
            for rig in self.nodes.rigs:
                while rig.running:
                    rig.end()

    def somebody_may_run(self, task: Task) -> bool:
        """Whether there is a node on which a task may run."""
        kind, placement = task.definition.type, task.definition.placement
        return any(
            kind in rig.types
            and (placement.where is not Where.NAMED or rig.name in placement.nodes)
            and (placement.where is not Where.SELECTOR or set(placement.labels) <= set(rig.labels))
            for rig in self.nodes.rigs
        )

    def nobody_waits_in_vain(self) -> None:
        """Nothing runs any more, so every node has room, and all have heard of it."""
        self.nodes.meet()
        self.nodes.look()
        self.nodes.deliver()
        busy = any(rig.running for rig in self.nodes.rigs)
        for task in self.store.tasks(IDS):
            for entry in task.open:
                if entry.waits_for in CLAIMABLE and entry.due is None and not busy:
                    assert not self.somebody_may_run(task), f"{entry} waits though there is room"


TestSharingMachine = SharingMachine.TestCase
TestSharingMachine.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)
