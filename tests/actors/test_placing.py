"""Which nodes may run an execution, and which of them is asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.model.execution import Execution, Kind, WaitsFor
from actors.model.lifecycle import State
from actors.model.peer import Peer, Standing
from actors.model.placement import STRATEGIES, Placement, Where
from actors.model.policy import Policies
from actors.model.trigger import Interval, Once, Union
from actors.rules.attempts import new_execution
from actors.rules.placing import (
    NEARLY_ALIKE,
    NODE_GONE_AFTER,
    NODES_REMEMBERED,
    ByRules,
    Candidate,
    Choice,
    Facts,
    LeastLoaded,
    Pinned,
    Placer,
    Randomly,
    RoundRobin,
    Rule,
    Strategy,
    check_goes_with,
    eligible,
    lost,
    targets,
)
from runtime.clock import SECOND, Instant
from runtime.errors import InvalidRequest
from runtime.records import evolve

from .records import definition

NOW = Instant(1_000 * SECOND)
WORK = frozenset({"command"})


def peer(name: str, free: int = 10, slots: int = 10, **more) -> Peer:
    return Peer(name, f"boot of {name}", types=more.pop("types", WORK), slots=slots, free=free, **more)


def execution(target: str | None = None, **more) -> Execution:
    return evolve(new_execution("e1", "t1", Kind.OCCURRENCE, NOW, revision=1, nominal=NOW, target=target), **more)


def names(found: Sequence[Peer]) -> list[str]:
    return [one.name for one in found]


def candidates(*peers: Peer) -> list[Candidate]:
    return [Candidate(one) for one in peers]


def on(**placement) -> Placement:
    return Placement(**placement)


# -- who may


@pytest.mark.parametrize(
    ("changes", "may"),
    [
        ({}, True),
        ({"types": frozenset()}, False),
        ({"types": frozenset({"commands"})}, False),
        ({"executor": False}, False),
        ({"draining": True}, False),
        ({"standing": Standing.SUSPECT}, False),
        ({"standing": Standing.DEAD}, False),
        ({"free": 0}, True),
        ({"slots": 0, "free": 0}, True),
    ],
)
def test_a_node_may_that_has_the_type_and_takes_work(changes: dict, may: bool):
    node = attrs.evolve(peer("a"), **changes)
    assert eligible(definition(), execution(), [node]) == ([node] if may else [])


EU, US, BOTH = (
    peer("eu", labels=(("zone", "eu"),)),
    peer("us", labels=(("zone", "us"),)),
    peer("both", labels=(("gpu", "yes"), ("zone", "eu"))),
)


@pytest.mark.parametrize(
    ("placement", "may"),
    [
        (on(), ["eu", "us", "both"]),
        (on(where=Where.ALL), ["eu", "us", "both"]),
        (on(where=Where.NAMED, nodes=("us", "gone")), ["us"]),
        (on(where=Where.NAMED, nodes=("gone",)), []),
        (on(where=Where.SELECTOR, labels=(("zone", "eu"),)), ["eu", "both"]),
        (on(where=Where.SELECTOR, labels=(("gpu", "yes"), ("zone", "eu"))), ["both"]),
        (on(where=Where.SELECTOR, labels=(("gpu", "yes"), ("zone", "us"))), []),
        (on(where=Where.SELECTOR, labels=(("eu", "zone"),)), []),
    ],
)
def test_a_task_names_nodes_or_their_labels(placement: Placement, may: list[str]):
    assert names(eligible(definition(placement=placement), execution(), [EU, US, BOTH])) == may


def test_what_is_for_one_node_is_for_no_other_wherever_its_task_runs_by_now():
    for placement in (on(where=Where.ALL), on(where=Where.NAMED, nodes=("eu",))):
        assert names(eligible(definition(placement=placement), execution("us"), [EU, US, BOTH])) == ["us"]
    drains = attrs.evolve(US, draining=True)
    assert eligible(definition(), execution("us"), [EU, drains]) == []


def test_a_slot_runs_on_the_executors_with_a_session_and_the_type():
    slow = attrs.evolve(peer("slow"), standing=Standing.SUSPECT)
    others = [
        peer("b"),
        slow,
        peer("a"),
        peer("c", executor=False),
        peer("d", draining=True),
        peer("e", types=frozenset()),
        attrs.evolve(peer("f"), standing=Standing.DEAD),
    ]
    all_task = definition(placement=on(where=Where.ALL))
    everybody = {one.boot for one in others}
    assert targets(all_task, others, everybody) == ("a", "b", "f", "slow"), "a session counts, not what gossip says"
    assert targets(all_task, others, everybody - {slow.boot}) == ("a", "b", "f")
    assert targets(all_task, others) == ("a", "b", "slow")
    assert targets(all_task, others, ()) == ()


def test_what_waits_for_a_node_that_is_gone_for_good_is_lost():
    waits, runs, anywhere = (
        execution("a"),
        execution("a", state=State.RUNNING, waits_for=None),
        execution(),
    )
    held = execution("a", state=State.CRASHED, waits_for=None)
    other = execution("b")
    entries = [waits, runs, anywhere, held, other]
    assert lost(entries, {"a": NOW}, Instant(NOW + NODE_GONE_AFTER - 1)) == ()
    assert lost(entries, {"a": NOW}, Instant(NOW + NODE_GONE_AFTER)) == (waits,)
    assert lost(entries, {}, Instant(NOW + NODE_GONE_AFTER)) == ()


@pytest.mark.parametrize("trigger", [Once(NOW), Union((Once(NOW), Once(Instant(NOW + 1))))])
def test_what_fires_once_does_not_run_on_all(trigger):
    with pytest.raises(InvalidRequest, match=r"^placement.on: all does not go with a trigger that fires once"):
        check_goes_with(on(where=Where.ALL), trigger)
    check_goes_with(on(where=Where.NAMED, nodes=("a",)), trigger)
    check_goes_with(on(where=Where.ALL), Union((Once(NOW), Interval(SECOND, NOW))))


# -- who is asked

FACTS = Facts(definition())


def chosen(strategy: Strategy, *peers: Peer, facts: Facts = FACTS) -> str | None:
    found = strategy.choose(candidates(*peers), facts)
    return found.name if found else None


def built_in(random: Random) -> dict[str, Strategy]:
    least = LeastLoaded(random)
    return {
        "least_loaded": least,
        "round_robin": RoundRobin(),
        "random": Randomly(random),
        "pinned": Pinned(least),
        "rules": ByRules([Rule((("zone", "eu"),), "command")], least),
    }


loads = st.lists(st.tuples(st.integers(0, 4), st.integers(1, 8), st.integers(0, 5)), min_size=1, max_size=6)


@given(st.sampled_from(STRATEGIES), loads, st.integers(0, 9), st.integers(0, 9), st.randoms(use_true_random=False))
def test_nobody_full_is_chosen_and_somebody_is_while_one_is_free(strategy, given_loads, last, here, random):
    nodes = [
        Candidate(peer(str(number), min(free, slots), slots, labels=(("zone", "eu"),) * (number % 2)), offered)
        for number, (free, slots, offered) in enumerate(given_loads)
    ]
    found = built_in(random)[strategy].choose(nodes, Facts(definition(), str(last), str(here)))
    free = [one.peer for one in nodes if one.peer.free > one.offered]
    assert (found is None) == (not free)
    assert found is None or found in free


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_equal_nodes_are_chosen_equally_often(strategy: str):
    random, nodes, rounds = Random(7), [peer(name) for name in "abcde"], 2_000
    chooser = built_in(random)[strategy]
    counts = Counter(chosen(chooser, *nodes) for _ in range(rounds))
    expected = rounds / len(nodes)
    # Chi-square with 4 degrees of freedom: 18.5 is exceeded once in a thousand draws.
    assert sum((counts[node.name] - expected) ** 2 / expected for node in nodes) < 18.5


def test_of_two_the_one_with_the_larger_free_share_is_asked():
    least = LeastLoaded(Random(1))
    for _ in range(20):
        assert chosen(least, peer("small", 2, 2), peer("large", 50, 100)) == "small"
        assert chosen(least, peer("a", 6), peer("b", 5)) == "a"
        assert chosen(least, peer("full", 0), peer("b", 1)) == "b"
    assert chosen(least, peer("full", 0)) is None
    assert chosen(least) is None


def test_two_are_drawn_so_that_not_everybody_asks_the_least_loaded_of_all():
    least, nodes = LeastLoaded(Random(3)), [peer("best", 10), peer("b", 9), peer("c", 8), peer("worst", 7)]
    counts = Counter(chosen(least, *nodes) for _ in range(600))
    assert counts["worst"] == 0
    assert counts["best"] > counts["b"] > counts["c"] > 50


def test_who_decides_keeps_it_unless_another_one_is_clearly_less_loaded():
    least, facts = LeastLoaded(Random(1)), Facts(definition(), here="here")
    assert NEARLY_ALIKE == 0.1
    for _ in range(20):
        assert chosen(least, peer("there", 10), peer("here", 9), facts=facts) == "here"
        assert chosen(least, peer("there", 10), peer("here", 8), facts=facts) == "there"
        assert chosen(least, peer("there", 5), peer("here", 0), facts=facts) == "there"
    assert {chosen(least, peer("there"), peer("here")) for _ in range(50)} == {"there", "here"}


def test_what_was_offered_counts_as_taken():
    node = peer("a", 5)
    assert [(Candidate(node, offered).free, Candidate(node, offered).share) for offered in (0, 2, 9)] == [
        (5, 0.5),
        (3, 0.3),
        (0, 0.0),
    ]
    assert Candidate(peer("a", 0, 0)).share == 0.0


def test_turns_go_round_and_nobody_starves_where_tasks_may_run_on_different_nodes():
    robin, a, b, c = RoundRobin(), peer("a"), peer("b"), peer("c")
    assert [chosen(robin, b, c, a) for _ in range(5)] == ["a", "b", "c", "a", "b"]
    robin = RoundRobin()
    assert [(chosen(robin, a, b), chosen(robin, c)) for _ in range(3)] == [("a", "c"), ("b", "c"), ("a", "c")]
    assert chosen(robin, peer("a", 0), peer("b", 0)) is None
    assert chosen(robin, peer("b", 0), a) == "a"


def test_turns_of_nodes_that_left_are_forgotten():
    robin = RoundRobin()
    for number in range(NODES_REMEMBERED + 50):
        assert chosen(robin, peer(f"node {number}"))
    assert len(robin._turns) == NODES_REMEMBERED
    assert "node 49" not in robin._turns
    assert "node 50" in robin._turns


def test_a_task_stays_on_its_last_node_while_that_takes_it():
    pinned = Pinned(LeastLoaded(Random(1)))
    on_b = Facts(definition(), last="b")
    for _ in range(20):
        assert chosen(pinned, peer("a", 10), peer("b", 1), facts=on_b) == "b"
        assert chosen(pinned, peer("a", 10), peer("b", 0), facts=on_b) == "a"
        assert chosen(pinned, peer("a", 10), peer("c", 5), facts=on_b) == "a"


@pytest.mark.parametrize(
    ("rule", "fits"),
    [
        ({}, True),
        ({"type": "video.encode"}, True),
        ({"type": "video.*"}, True),
        ({"type": "*"}, True),
        ({"type": "video"}, False),
        ({"type": "audio.*"}, False),
        ({"queue": "mail"}, True),
        ({"queue": "default"}, False),
        ({"tags": ("a", "b")}, True),
        ({"tags": ("a", "c")}, False),
        ({"labels": (("team", "x"),)}, True),
        ({"labels": (("team", "y"),)}, False),
        ({"type": "video.*", "queue": "other"}, False),
        ({"type": "video.*", "tags": ("a",), "labels": (("team", "x"),), "queue": "mail"}, True),
    ],
)
def test_a_rule_fits_if_all_of_it_does(rule: dict, fits: bool):
    task = definition(type="video.encode", tags=("a", "b"), labels=(("team", "x"),), policies=Policies(queue="mail"))
    assert Rule((("gpu", "yes"),), **rule).fits(task) is fits


def test_the_first_rule_with_room_prefers_and_none_is_a_condition():
    rules = [Rule((("gpu", "yes"),), "other"), Rule((("zone", "eu"),), "command"), Rule((("zone", "us"),))]
    by_rules = ByRules(rules, LeastLoaded(Random(1)))
    eu, us, gpu = (
        peer("eu", 1, labels=EU.labels),
        peer("us", 5, labels=US.labels),
        peer("gpu", labels=(("gpu", "yes"),)),
    )
    for _ in range(20):
        assert chosen(by_rules, eu, us, gpu) == "eu"
        assert chosen(by_rules, attrs.evolve(eu, free=0), us, gpu) == "us"
        assert chosen(by_rules, gpu) == "gpu"
    assert chosen(by_rules, attrs.evolve(gpu, free=0)) is None


# -- the placer


class Wrong:
    """Does what it was told, which is nothing that a strategy may."""

    def __init__(self, answer: Peer | Exception | None) -> None:
        self.answer = answer

    def choose(self, nodes: Sequence[Candidate], facts: Facts) -> Peer | None:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def place(placer: Placer, *peers: Peer, strategy: str = "", **more) -> Choice:
    task = definition(placement=on(strategy=strategy))
    return placer.place(task, execution(more.pop("target", None)), peers, here=more.pop("here", ""), **more)


def test_who_is_not_there_is_told_from_who_is_full():
    placer = Placer(Random(1))
    assert place(placer) == Choice(waits_for=WaitsFor.NODE)
    assert place(placer, peer("a", types=frozenset())) == Choice(waits_for=WaitsFor.NODE)
    assert place(placer, peer("a", 0)) == Choice(waits_for=WaitsFor.SLOT)
    assert place(placer, peer("a", 2), offered={"a": 2}) == Choice(waits_for=WaitsFor.SLOT)
    assert place(placer, peer("a", 2), offered={"a": 1, "b": 9}) == Choice(peer("a", 2))
    assert place(placer, peer("a", 1), offered={"b": 1}) == Choice(peer("a", 1))
    assert place(placer, peer("a"), target="b").waits_for is WaitsFor.NODE


def test_a_task_s_own_strategy_comes_before_the_node_s():
    placer = Placer(Random(1), usual="round_robin")
    nodes = peer("a", 1), peer("b", 10)
    assert [place(placer, *nodes).peer.name for _ in range(3)] == ["a", "b", "a"]  # type: ignore[union-attr]
    assert {place(placer, *nodes, strategy="least_loaded").peer.name for _ in range(10)} == {"b"}  # type: ignore[union-attr]
    pinned = {place(placer, *nodes, strategy="pinned", last="a").peer.name for _ in range(10)}  # type: ignore[union-attr]
    assert pinned == {"a"}
    here = {place(placer, peer("a"), peer("b"), strategy="least_loaded", here="b").peer.name for _ in range(10)}  # type: ignore[union-attr]
    assert here == {"b"}


def test_a_strategy_of_one_s_own_is_asked_and_may_let_it_wait():
    first = peer("a", 1)
    placer = Placer(Random(1), own={"own": Wrong(first), "waits": Wrong(None)})
    assert place(placer, first, peer("b"), strategy="own") == Choice(first)
    assert place(placer, first, peer("b"), strategy="waits") == Choice(waits_for=WaitsFor.SLOT)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (ValueError("no idea"), "placement strategy 'own': ValueError: no idea"),
        (ValueError("x" * 9_999), f"placement strategy 'own': ValueError: {'x' * 488}"),
        (peer("stranger"), "placement strategy 'own': chose what is no candidate with a free slot"),
        (peer("full", 0), "placement strategy 'own': chose what is no candidate with a free slot"),
        (attrs.evolve(peer("b"), free=9), "placement strategy 'own': chose what is no candidate with a free slot"),
    ],
)
def test_a_strategy_that_is_wrong_is_told_and_another_one_chooses(answer, problem: str):
    placer = Placer(Random(1), own={"own": Wrong(answer)})
    assert place(placer, peer("full", 0), peer("b"), strategy="own") == Choice(peer("b"), problem=problem)


def test_a_strategy_that_this_node_does_not_have_is_told():
    found = place(Placer(Random(1)), peer("a"), strategy="their:Own")
    assert found == Choice(peer("a"), problem="placement strategy 'their:Own': this node does not have it")


def test_nobody_takes_the_name_of_a_built_in_strategy():
    placer = Placer(Random(1), own={"random": Wrong(ValueError())})
    assert place(placer, peer("a"), strategy="random") == Choice(peer("a"))
    rules = Placer(Random(1), [Rule((("zone", "eu"),))])
    assert {place(rules, EU, US, strategy="rules").peer.name for _ in range(10)} == {"eu"}  # type: ignore[union-attr]


wheres = st.sampled_from(
    [
        on(),
        on(where=Where.ALL),
        on(where=Where.NAMED, nodes=("0", "3")),
        on(where=Where.SELECTOR, labels=(("zone", "eu"),)),
    ]
)
peers = st.lists(
    st.builds(
        Peer,
        name=st.sampled_from("0123"),
        boot=st.sampled_from("xyz"),
        standing=st.sampled_from(Standing),
        labels=st.sampled_from([(), (("zone", "eu"),)]),
        types=st.sampled_from([WORK, frozenset()]),
        executor=st.booleans(),
        draining=st.booleans(),
        slots=st.just(3),
        free=st.integers(0, 3),
    ),
    max_size=5,
)


@given(wheres, peers, st.sampled_from(STRATEGIES), st.none() | st.sampled_from("04"), st.randoms(use_true_random=False))
def test_nobody_is_asked_who_may_not(placement, nodes, strategy, target, random):
    task = definition(placement=attrs.evolve(placement, strategy=strategy))
    found = Placer(random).place(task, execution(target), nodes, here="1", last="2")
    may = [one for one in nodes if one.takes_work and "command" in one.types]
    if target is not None:
        may = [one for one in may if one.name == target]
    elif placement.where is Where.NAMED:
        may = [one for one in may if one.name in "03"]
    elif placement.where is Where.SELECTOR:
        may = [one for one in may if one.labels]
    assert found.problem is None
    if found.peer is None:
        assert found.waits_for is (WaitsFor.SLOT if may else WaitsFor.NODE)
        assert all(one.free == 0 for one in may)
    else:
        assert found.waits_for is None
        assert found.peer in may
        assert found.peer.free > 0
