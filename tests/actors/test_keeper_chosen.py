"""The order of waiting where a queue of the user's chooses, against a dumb model and whatever it says."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from actors.keeper_chosen import ChosenQueues
from actors.keeper_queues import Chosen, Entry, Holder, Key
from actors.model.execution import WaitsFor
from actors.model.retention import SYSTEM
from runtime.clock import Instant

LIMITS = {"small": 1}
KEYS: tuple[Key, ...] = (("", "one"), ("", "two"))
ids = st.sampled_from([f"e{number}" for number in range(12)])
wants = st.lists(st.tuples(st.sampled_from(KEYS), st.just(1)), max_size=2, unique_by=lambda want: want[0]).map(tuple)


def holder(entry: Entry, fence: int = 1) -> Holder:
    return Holder(entry.task_id, entry.execution_id, fence, Instant(0), entry.queue, entry.wants)


class ChosenMachine(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.queues = ChosenQueues(LIMITS)
        self.queues.listen()
        self.waiting: dict[str, Entry] = {}
        self.running: dict[str, Entry] = {}
        self.named: set[str] = set()
        self.told: set[str] = set()

    @rule(one=ids, priority=st.integers(1, 3), queue=st.sampled_from(["small", "free", SYSTEM]), wanted=wants)
    def enter(self, one: str, priority: int, queue: str, wanted: tuple[tuple[Key, int], ...]) -> None:
        if one not in self.running:
            entry = Entry(priority, one, f"task of {one}", queue, wanted)
            self.waiting[one] = entry
            self.queues.enter(entry)

    @rule(one=ids)
    def leave(self, one: str) -> None:
        self.waiting.pop(one, None)
        self.named.discard(one)
        self.queues.leave(one)

    @rule(names=st.lists(ids | st.just("unknown"), max_size=6))
    def choose(self, names: list[str]) -> None:
        self.queues.choose(Chosen(tuple(names)))
        self.named |= {one for one in names if one in self.waiting and self.waiting[one].queue != SYSTEM}

    @rule()
    def fail(self) -> None:
        self.queues.choose(Chosen(in_charge=False))
        self.named.clear()

    @rule()
    def recover(self) -> None:
        self.queues.choose(Chosen())

    @rule()
    def serve(self) -> None:
        entry = self.queues.next()
        able = [one for one in self.waiting.values() if self.may_run(one)]
        if entry is None:
            assert not able, f"{able} could run"
            return
        assert entry in able
        self.queues.take(entry, holder(entry))
        self.running[entry.execution_id] = self.waiting.pop(entry.execution_id)
        self.named.discard(entry.execution_id)

    def may_run(self, entry: Entry) -> bool:
        """Whether what it needs is free, and it was named where that matters."""
        full = entry.queue == "small" and any(one.queue == "small" for one in self.running.values())
        held = {key for one in self.running.values() for key, _ in one.wants}
        free = not full and not any(key in held for key, _ in entry.wants)
        named = not self.queues.in_charge or entry.queue == SYSTEM or entry.execution_id in self.named
        return free and named

    @rule(one=ids)
    def end(self, one: str) -> None:
        self.running.pop(one, None)
        self.queues.release(one, 1)

    @rule()
    def hear(self) -> None:
        changes = self.queues.changes()
        self.told |= changes.waiting.keys()
        self.told -= changes.running.keys() | changes.removed.keys()
        theirs = {one for one, entry in self.waiting.items() if entry.queue != SYSTEM}
        assert self.told == theirs, "what it was told is what waits"

    @invariant()
    def nobody_is_lost(self) -> None:
        if hasattr(self, "queues"):
            assert {one for one in self.waiting if one in self.queues} == self.waiting.keys()
            assert len(self.queues) == len(self.waiting)
            self.queues.check_invariants()


TestChosen = ChosenMachine.TestCase
TestChosen.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)


def entry(name: str, queue: str = "q") -> Entry:
    return Entry(5, name, f"task of {name}", queue)


def test_who_comes_waits_for_being_named() -> None:
    queues = ChosenQueues({}, ["q"])
    assert queues.blocked_by("q", ()) is WaitsFor.QUEUE
    assert queues.blocked_by("q", (), named=True) is None
    assert queues.blocked_by("other", ()) is None
    assert queues.is_limited("q")
    assert not queues.is_limited("other")
    queues.choose(Chosen(in_charge=False))
    assert queues.blocked_by("q", ()) is None
    assert not queues.is_limited("q")


def test_named_ones_and_others_take_turns() -> None:
    queues = ChosenQueues({}, ["q"])
    for number in range(3):
        queues.enter(entry(f"q{number}"))
        queues.enter(entry(f"o{number}", "other"))
    queues.choose(Chosen(("q2", "q0", "q1")))
    served = []
    while (one := queues.next()) is not None:
        queues.take(one, holder(one))
        served.append(one.execution_id)
    assert served == ["q2", "o0", "q0", "o1", "q1", "o2"]


def test_what_is_held_back_costs_no_memory_for_those_who_pass() -> None:
    queues = ChosenQueues({}, ["q"])
    queues.enter(entry("a"))
    for number in range(1_000):
        one = entry(f"b{number:04}")
        queues.enter(one)
        queues.choose(Chosen((one.execution_id,)))
        queues.take(one, holder(one))
        queues.release(one.execution_id, 1)
    assert len(queues._queue("q").ready) < 200
    assert len(queues._turns) < 10
    assert queues.unnamed == 1


def test_while_few_are_known_more_are_read() -> None:
    queues = ChosenQueues({}, ["q"])
    assert queues.is_idle
    queues.enter(entry("a"))
    assert queues.is_idle, "there may be others in the store who shall be named"
    queues.choose(Chosen(("a",)))
    assert not queues.is_idle
