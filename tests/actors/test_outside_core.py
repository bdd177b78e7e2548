"""The line of attempts that wait for a worker, against a plain list; how types of workers are named, and their limits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actors.keeper_queues import Holder, Queues, QueueUse
from actors.model.outside import HELD, HeldLimits, is_outside, whole_name
from actors.model.peer import Peer
from actors.model.scope import Scope
from actors.outside_core import Line, Waiting
from runtime.clock import Instant

KINDS = st.sampled_from(["worker:a", "worker:b", "worker:c"])
WORDS = st.sampled_from(["", "x", "y"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("enter"), st.integers(0, 20), KINDS, WORDS, WORDS, st.integers(1, 3)),
        st.tuples(st.just("leave"), st.integers(0, 20)),
        st.tuples(st.just("take"), st.sets(KINDS), st.none() | WORDS, st.none() | WORDS),
    ),
    max_size=60,
)


@given(STEPS)
def test_the_best_that_a_worker_may_take_is_taken_once(steps: list[tuple[object, ...]]) -> None:
    line, there = Line(), dict[tuple[str, int], Waiting]()
    for step in steps:
        match step:
            case ("enter", int(number), str(kind), str(tenant), str(owner), int(priority)):
                one = Waiting((f"e{number:03}", 1), kind, tenant, owner, priority)
                if one.key not in there:
                    line.enter(one)
                    there[one.key] = one
            case ("leave", int(number)):
                line.leave((f"e{number:03}", 1))
                there.pop((f"e{number:03}", 1), None)
            case ("take", set() as types, (str() | None) as tenant, (str() | None) as owner):
                fitting = [
                    one
                    for one in there.values()
                    if one.type in types and tenant in (None, one.tenant) and owner in (None, one.owner)
                ]
                best = min(fitting, key=lambda one: (one.priority, one.key), default=None)
                taken = line.take(types, Scope(tenant, owner))
                assert taken == (None if best is None else best.key)
                if taken is not None:
                    del there[taken]
        assert len(line) == len(there)
        assert all(key in line for key in there)


def test_names_of_types() -> None:
    assert whole_name("render") == whole_name("worker:render") == "worker:render"
    good = ("worker:render", "worker:a.b-c_1", "worker:" + "x" * 56)
    bad = ("render", "worker:", "worker:-a", "worker:a b", "worker:ü", "worker:" + "x" * 57, "Worker:a")
    assert all(is_outside(name) for name in good)
    assert not any(is_outside(name) for name in bad)


def test_every_type_of_workers_has_a_queue_with_a_limit() -> None:
    limits = HeldLimits({"mail": 3, "worker:big": 500})
    assert (limits.get("mail"), limits.get("worker:big"), limits.get("worker:x")) == (3, 500, HELD)
    assert limits.get("default") is None
    assert "worker:x" in limits and "default" not in limits
    assert list(limits) == ["mail", "worker:big"]
    queues = Queues(HeldLimits({}))
    assert queues.is_limited("worker:x")
    assert queues.queues() == []
    queues.hold(Holder("t", "e", 1, Instant(0), "worker:x"))
    assert queues.queues() == [QueueUse("worker:x", HELD, 1, 0)]


def test_every_node_has_the_types_of_workers() -> None:
    peer = Peer("n1", "b1", types=frozenset({"mail"}))
    assert peer.has_type("mail")
    assert peer.has_type("worker:render")
    assert not peer.has_type("render")
