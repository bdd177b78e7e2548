"""A strategy of one's own with a deadline: what is late or raises is told, and the loop goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

import pytest

from actors.model.peer import Peer
from actors.rules.placing import Candidate, Choice, Facts, Placer
from tests.actors.test_placing import definition, execution, on, peer
from tocsin.placing.bounded import Bounded, TooSlow, plain


class Own:
    """Does what it is told."""

    def __init__(self, act: Callable[[Sequence[Candidate], Facts], Any]) -> None:
        self.act = act

    def choose(self, candidates: Sequence[Candidate], facts: Facts) -> Any:
        return self.act(candidates, facts)


FACTS = Facts(definition())


def candidates(*peers: Peer) -> list[Candidate]:
    return [Candidate(one) for one in peers]


def placed(strategy: Any, *peers: Peer) -> Choice:
    placer = Placer(Random(1), own={"own": strategy})
    return placer.place(definition(placement=on(strategy="own")), execution(), peers, here="")


def test_what_it_says_is_passed_on() -> None:
    some = candidates(peer("a"), peer("b"))
    strategy = Bounded(Own(lambda found, facts: found[1].peer), 30)
    assert strategy.choose(some, FACTS) is some[1].peer
    assert Bounded(Own(lambda *_: None), 30).choose(some, FACTS) is None
    assert plain(strategy) is strategy.inner
    assert plain(strategy.inner) is strategy.inner


def test_an_order_made_by_a_generator_is_taken_in_its_own_thread() -> None:
    threads = set()

    def order(found: Sequence[Candidate], facts: Facts) -> Iterator[str]:
        for one in found:
            threads.add(threading.current_thread().name)
            yield one.peer.name

    assert Bounded(Own(order), 30).choose(candidates(peer("a"), peer("b")), FACTS) == ("a", "b")
    assert threads == {"placement"}


def test_what_it_raises_is_raised_and_another_one_chooses() -> None:
    def fail(*_: Any) -> None:
        raise ValueError("no idea")

    strategy = Bounded(Own(fail), 30)
    assert placed(strategy, peer("a")) == Choice(peer("a"), problem="placement strategy 'own': ValueError: no idea")
    with pytest.raises(ValueError, match="no idea"):
        strategy.choose(candidates(peer("a")), FACTS)


def test_one_that_hangs_costs_the_deadline_once_and_is_asked_again_when_it_is_back() -> None:
    gate, calls = threading.Event(), []

    def hang(found: Sequence[Candidate], facts: Facts) -> Peer:
        calls.append(1)
        gate.wait(60)
        return found[0].peer

    strategy = Bounded(Own(hang), 0.01, 0.0)
    try:
        found = placed(strategy, peer("a"))
        assert found == Choice(peer("a"), problem="placement strategy 'own': TooSlow: did not answer within 0.01 s")
        for _ in range(100):
            with pytest.raises(TooSlow, match="has not come back"):
                strategy.choose(candidates(peer("a")), FACTS)
        assert len(calls) == 1
    finally:
        gate.set()
    assert strategy._thread is not None
    for _ in range(1_000):
        try:
            assert strategy.choose(candidates(peer("a")), FACTS) == peer("a")
            break
        except TooSlow:
            threading.Event().wait(0.01)
    else:
        raise AssertionError("it was never asked again")


def test_one_that_was_late_rests() -> None:
    gate = threading.Event()

    def slow(found: Sequence[Candidate], facts: Facts) -> None:
        gate.wait(60)

    strategy = Bounded(Own(slow), 0.01, 3_600)
    with pytest.raises(TooSlow, match=r"within 0.01 s"):
        strategy.choose(candidates(peer("a")), FACTS)
    gate.set()
    assert strategy._late is not None
    strategy._late.get(timeout=60)
    strategy._late = None
    with pytest.raises(TooSlow, match="not asked for 3600 s"):
        strategy.choose(candidates(peer("a")), FACTS)


@pytest.mark.parametrize(
    ("answer", "chosen", "problem"),
    [
        (["full", "b"], "b", None),
        ("b", "b", None),
        (["stranger", "b"], "b", None),
        (["full"], None, None),
        ([], None, None),
        ("full", "b", "chose what is no candidate with a free slot"),
        (["stranger"], "b", "chose what is no candidate with a free slot"),
        (7, "b", "TypeError: 'int' object is not iterable"),
    ],
)
def test_an_order_is_gone_through(answer: object, chosen: str | None, problem: str | None) -> None:
    found = placed(Own(lambda *_: answer), peer("full", 0), peer("b"))
    assert (found.peer and found.peer.name) == chosen
    assert found.problem == (problem and f"placement strategy 'own': {problem}")


def test_chance_comes_from_the_node() -> None:
    def drawn() -> list[str]:
        own = Own(lambda found, facts: facts.random.choice(found))
        placer = Placer(Random(5), own={"own": own})
        task = definition(placement=on(strategy="own"))
        nodes = [peer(name) for name in "abcdef"]
        choices = [placer.place(task, execution(), nodes, here="").peer for _ in range(20)]
        return [one.name for one in choices if one is not None]

    assert drawn() == drawn()
    assert len(set(drawn())) > 2
