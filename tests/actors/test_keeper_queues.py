"""The order of waiting against a dumb model: limits hold, nobody waits beside what is free, everybody's turn comes."""

from __future__ import annotations

import attrs
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from actors.keeper_queues import Entry, Holder, Key, Queues
from actors.model.execution import WaitsFor
from runtime.clock import Instant

LIMITS = {"small": 1, "wide": 2}
QUEUES = ("small", "wide", "free", "other")
KEYS: tuple[Key, ...] = (("", "one"), ("", "two"), ("tenant", "one"))
wants = st.lists(st.tuples(st.sampled_from(KEYS), st.integers(1, 3)), max_size=2, unique_by=lambda want: want[0]).map(
    tuple
)


def holder(entry: Entry, fence: int = 1) -> Holder:
    return Holder(entry.task_id, entry.execution_id, fence, Instant(0), entry.queue, entry.wants)


@attrs.define
class Model:
    """Who waits and who runs, in two lists."""

    waiting: dict[str, Entry] = attrs.field(factory=dict)
    running: dict[str, Entry] = attrs.field(factory=dict)

    def limit(self, key: Key) -> int:
        return min(
            dict(one.wants)[key] for one in (*self.waiting.values(), *self.running.values()) if key in dict(one.wants)
        )

    def may_run(self, entry: Entry) -> bool:
        beside = [one for one in self.running.values() if one.queue == entry.queue]
        return len(beside) < LIMITS.get(entry.queue, 99) and all(
            sum(key in dict(one.wants) for one in self.running.values()) < self.limit(key) for key, _ in entry.wants
        )

    def heads(self) -> set[str]:
        """Of each queue the first one that may run, if nobody of another queue has a better priority."""
        able = sorted((one.priority, one.execution_id) for one in self.waiting.values() if self.may_run(one))
        if not able:
            return set()
        firsts: dict[str, str] = {}
        for priority, execution_id in able:
            if priority == able[0][0]:
                firsts.setdefault(self.waiting[execution_id].queue, execution_id)
        return set(firsts.values())


class QueuesMachine(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.queues = Queues(LIMITS)
        self.model = Model()
        self.number = 0

    @rule(queue=st.sampled_from(QUEUES), wants=wants, priority=st.integers(1, 3), young=st.booleans())
    def somebody_waits(self, queue: str, wants: tuple[tuple[Key, int], ...], priority: int, young: bool) -> None:
        self.number += 1
        name = f"{self.number if young else 1000 - self.number:04}"
        entry = Entry(priority, name, f"t{name}", queue, wants)
        self.model.waiting[name] = entry
        self.queues.enter(entry)

    @precondition(lambda self: self.model.waiting)
    @rule(which=st.integers(0, 20), queue=st.sampled_from(QUEUES), wants=wants, priority=st.integers(1, 3))
    def a_task_is_edited(self, which: int, queue: str, wants: tuple[tuple[Key, int], ...], priority: int) -> None:
        name = list(self.model.waiting)[which % len(self.model.waiting)]
        entry = Entry(priority, name, f"t{name}", queue, wants)
        self.model.waiting[name] = entry
        self.queues.enter(entry)

    @precondition(lambda self: self.model.waiting)
    @rule(which=st.integers(0, 20))
    def somebody_gives_up(self, which: int) -> None:
        name = list(self.model.waiting)[which % len(self.model.waiting)]
        del self.model.waiting[name]
        self.queues.leave(name)

    @rule()
    def the_next_runs(self) -> None:
        heads = self.model.heads()
        entry = self.queues.next()
        assert (entry is not None) == bool(heads), f"{entry} instead of one of {heads}"
        if entry is not None:
            assert entry.execution_id in heads
            self.model.running[entry.execution_id] = self.model.waiting.pop(entry.execution_id)
            self.queues.take(entry, holder(entry))

    @rule(queue=st.sampled_from(QUEUES), wants=wants)
    def somebody_comes_and_runs_at_once(self, queue: str, wants: tuple[tuple[Key, int], ...]) -> None:
        self.number += 1
        entry = Entry(1, f"{self.number:04}", "t", queue, wants)
        self.model.waiting[entry.execution_id] = entry
        may = self.model.may_run(entry)
        del self.model.waiting[entry.execution_id]
        assert (self.queues.blocked_by(queue, wants) is None) == may
        if may:
            self.model.running[entry.execution_id] = entry
            self.queues.hold(holder(entry))

    @precondition(lambda self: self.model.running)
    @rule(which=st.integers(0, 20), times=st.integers(1, 2), fence=st.sampled_from([None, 1, 1, 2]))
    def somebody_ends(self, which: int, times: int, fence: int | None) -> None:
        name = list(self.model.running)[which % len(self.model.running)]
        for _ in range(times):
            self.queues.release(name, fence)
        if fence != 2:
            del self.model.running[name]

    @rule()
    def the_executor_is_asked_anew(self) -> None:
        self.queues.release_all()
        for entry in self.model.running.values():
            self.queues.hold(holder(entry))

    @invariant()
    def it_is_sound(self) -> None:
        if hasattr(self, "queues"):
            self.queues.check_invariants()
            assert len(self.queues) == len(self.model.waiting)
            everybody = (*self.model.waiting.values(), *self.model.running.values())
            known = {key for one in everybody for key, _ in one.wants}
            assert {(lock.tenant, lock.key) for lock in self.queues.locks()} == known
            for lock in self.queues.locks():
                key = (lock.tenant, lock.key)
                assert lock.limit == self.model.limit(key)
                assert {one.execution_id for one in lock.holders} == {
                    name for name, one in self.model.running.items() if key in dict(one.wants)
                }
                assert lock.waiting == sum(key in dict(one.wants) for one in self.model.waiting.values())

    def teardown(self) -> None:
        """When everything ends, everybody's turn comes, and nothing is left."""
        if not hasattr(self, "queues"):
            return
        while self.model.running or self.model.waiting:
            self.the_next_runs()
            if self.model.running:
                self.somebody_ends(0, 1, None)
            else:
                assert not self.model.waiting, "somebody waits though nobody runs"
        self.it_is_sound()
        assert self.queues.next() is None
        assert not self.queues._pools


TestQueuesMachine = QueuesMachine.TestCase
TestQueuesMachine.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def entries(queue: str, count: int, *, wants: tuple[tuple[Key, int], ...] = (), start: int = 0) -> list[Entry]:
    return [Entry(5, f"{queue}{n:06}", f"{queue}{n:06}", queue, wants) for n in range(start, start + count)]


def take(queues: Queues) -> str | None:
    entry = queues.next()
    if entry is None:
        return None
    queues.take(entry, holder(entry))
    return entry.execution_id


def test_queues_take_turns_so_that_many_of_one_do_not_starve_another() -> None:
    queues = Queues({})
    for entry in (*entries("a", 10_000), *entries("b", 3)):
        queues.enter(entry)
    assert [take(queues) for _ in range(7)] == [
        "a000000", "b000000", "a000001", "b000001", "a000002", "b000002", "a000003"
    ]  # fmt: skip


def test_a_better_priority_goes_before_every_turn() -> None:
    queues = Queues({})
    for entry in (*entries("a", 2), *entries("b", 1), Entry(1, "z", "z", "b")):
        queues.enter(entry)
    assert [take(queues) for _ in range(4)] == ["z", "a000000", "b000000", "a000001"]


def test_ten_thousand_behind_a_key_do_not_hide_the_one_without() -> None:
    queues = Queues({})
    for entry in (*entries("a", 10_000, wants=((("", "k"), 1),)), *entries("a", 1, start=20_000)):
        queues.enter(entry)
    assert [take(queues), take(queues), take(queues)] == ["a000000", "a020000", None]
    queues.release("a000000")
    assert [take(queues), take(queues)] == ["a000001", None]


def test_what_keeps_one_waiting_is_named() -> None:
    queues = Queues({"q": 1})
    (one,) = entries("q", 1, wants=((("", "k"), 1),))
    assert queues.blocked_by("q", one.wants) is None
    queues.hold(holder(one))
    assert queues.blocked_by("q", ()) is WaitsFor.QUEUE
    assert queues.blocked_by("other", one.wants) is WaitsFor.KEY
    assert queues.blocked_by("other", ()) is None
    (use,) = queues.queues()
    assert (use.name, use.limit, use.running, use.waiting) == ("q", 1, 1, 0)
