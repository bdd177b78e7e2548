"""Gossip's core: the laws of claims, its figures, probes, and a few nodes under an adversary."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from actors.gossip_messages import (
    NOTHING,
    Ack,
    Claim,
    Life,
    Members,
    Nack,
    Ping,
    PingRequest,
    Received,
    Tick,
)  # fmt: skip
from actors.gossip_queue import NewsQueue, Timer, Timers
from actors.gossip_rules import (
    GossipConfig,
    confirmations_wanted,
    load_seconds,
    push_pull_seconds,
    retransmit_limit,
    suspicion_bounds,
    suspicion_seconds,
)  # fmt: skip
from actors.gossip_table import merge, newer
from actors.model.peer import Peer, Standing
from runtime.coordination_messages import Member
from runtime.records import evolve
from tests.actors.gossip_kit import One, claim

# The laws.

claims = st.builds(
    Claim, st.just("b"), st.sampled_from(["b-1", "b-2"]), st.integers(0, 3), st.sampled_from(Life), st.just("")
)


@given(claims, claims, claims)
def test_merging_is_a_join(one, two, three):
    assert merge(one, two) == merge(two, one)
    assert merge(one, merge(two, three)) == merge(merge(one, two), three)
    assert merge(one, one) == one
    assert merge(one, two) in (one, two)
    assert not (newer(one, two) and newer(two, one))


@given(st.lists(claims, min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_what_is_held_does_not_depend_on_the_order_or_the_number_of_tellings(heard, rng):
    def held(order):
        node = One()
        for told in order:
            node.learn(told, source="c-1")
        for _ in range(3):
            # A death of one that is held alive waits for a probe of our own.
            node.pass_time(0.6)
        return node.core.claim("b")

    again = heard + rng.choices(heard, k=3)
    rng.shuffle(again)
    truth = heard[0]
    for told in heard[1:]:
        truth = merge(truth, told)
    one, other = held(heard), held(again)
    assert (one.incarnation, one.boot) == (other.incarnation, other.boot) == (truth.incarnation, truth.boot)
    assert one.life >= truth.life
    assert other.life >= truth.life


@given(claims, st.lists(claims, max_size=8))
def test_a_refutation_wins_for_ever(refuted, later):
    node = One()
    node.learn(evolve(refuted, incarnation=4, life=Life.ALIVE), source="c-1")
    for old in later:
        node.learn(old, source="c-1")
        assert node.life("b") is Life.ALIVE


# Figures.


def test_the_formulae_are_those_of_the_literature():
    assert [retransmit_limit(4, n) for n in (1, 9, 10, 99, 100, 1000)] == [4, 4, 8, 8, 12, 16]
    assert suspicion_bounds(GossipConfig(), 10) == (2.0, 12.0)
    # memberlist at ten members with probes of a second: 24, 11.4 and 4 seconds.
    assert [round(suspicion_seconds(4, 24, n, 2), 1) for n in (0, 1, 2)] == [24.0, 11.4, 4.0]
    assert suspicion_seconds(4, 24, 0, 0) == 4
    assert [confirmations_wanted(GossipConfig(), n) for n in (2, 3, 4, 10)] == [0, 0, 2, 2]
    assert [push_pull_seconds(GossipConfig(), n) for n in (5, 32, 33, 64, 1000)] == [10, 10, 20, 20, 60]
    assert [load_seconds(GossipConfig(), n) for n in (5, 32, 320)] == [0.2, 0.2, 2.0]


def test_news_told_least_goes_first_and_ends_at_the_limit():
    queue = NewsQueue()
    for name in "abc":
        queue.add(claim(name))
    assert [told.name for told in queue.take(2, 3, 4).claims] == ["a", "b"]
    assert [told.name for told in queue.take(2, 3, 4).claims] == ["c", "a"]
    queue.add(claim("b", incarnation=2))
    assert queue.take(9, 3, 4).claims == (claim("b", incarnation=2), claim("c"))
    assert len(queue) == 1
    assert queue.take(9, 4, 4).claims == (claim("b", incarnation=2),)
    assert queue.take(9, 1, 4) is NOTHING


def test_the_words_of_several_accusers_are_all_passed_on():
    queue = NewsQueue()
    queue.add(claim("b"))
    accused = [claim("b", life=Life.SUSPECT, by=by) for by in "cde"]
    for said in accused:
        queue.add(said)
    queue.add(accused[0])
    assert set(queue.take(9, 1, 4).claims) == set(accused)
    queue.add(claim("b", life=Life.DEAD))
    assert queue.take(9, 1, 4).claims == (claim("b", life=Life.DEAD),)
    queue.add(claim("b", incarnation=2))
    assert queue.take(9, 1, 4).claims == (claim("b", incarnation=2),)


@given(st.lists(st.tuples(st.sampled_from(["set", "once", "cancel", "delay"]), st.integers(0, 9), st.integers(0, 3))))
def test_timers_are_a_map(steps):
    timers, model = Timers(), {}
    for what, at, key in steps:
        match what:
            case "set":
                timers.set(at, Timer.RELAY, key)
                model[key] = at
            case "once":
                timers.set_once(at, Timer.RELAY, key)
                model[key] = min(at, model.get(key, at))
            case "cancel":
                timers.cancel(Timer.RELAY, key)
                model.pop(key, None)
            case "delay":
                timers.delay(at, (Timer.RELAY,))
                model = {key: due + at for key, due in model.items()}
    rung = []
    while (found := timers.pop(1000)) is not None:
        rung.append((model.pop(found[1]), found[1]))
    assert rung == sorted(rung)
    assert model == {}


# Probes.


def test_one_alone_is_well_and_sees_itself():
    node = One()
    node.pass_time(5)
    assert node.take() == []
    assert [peer.name for peer in node.peers] == ["a"]
    assert node.core.awareness == 0


def test_everybody_is_probed_once_in_a_round():
    node = One("b", "c", "d", "e")
    node.pass_time(60, answering=("b-1", "c-1", "d-1", "e-1"))
    node = One("b", "c", "d", "e")
    probed = []
    while len(probed) < 12:
        node.pass_time(0.5)
        for boot, ping in node.take(Ping):
            probed.append(boot)
            node.hear(Received(boot, Ack(ping.number)))
    rounds = [probed[start : start + 4] for start in (0, 4, 8)]
    assert all(sorted(part) == ["b-1", "c-1", "d-1", "e-1"] for part in rounds)


def test_who_answers_others_only_is_not_suspected():
    node = One("b", "c", "d", "e")
    node.pass_time(2, answering=[f"{name}-1" for name in "bcde"])
    node.take()
    while not any(isinstance(message, Ping) for _, message in node.sent):
        node.pass_time(0.01)
    ((target, ping),) = node.take(Ping)
    node.pass_time(0.3)
    asked = node.take(PingRequest)
    assert [request.boot for _, request in asked] == [target] * 3
    assert target not in [boot for boot, _ in asked]
    node.hear(Received(asked[0][0], Ack(ping.number)))
    node.pass_time(0.3, answering=[f"{name}-1" for name in "bcde"])
    assert node.life(target[0]) is Life.ALIVE


def test_who_answers_nobody_is_suspected_then_dead_and_gone_is_told_once():
    node = One("b")
    node.pass_time(1.1)
    assert node.life("b") is Life.SUSPECT
    assert node.peer("b").standing is Standing.SUSPECT
    assert node.gone == []
    node.pass_time(2.1)
    assert node.life("b") is Life.DEAD
    assert node.gone == ["b-1"]
    assert node.peer("b").standing is Standing.DEAD
    node.learn(claim("b", life=Life.DEAD), source="c-1")
    assert node.gone == ["b-1"]


def test_a_suspect_has_longer_as_long_as_nobody_confirms():
    others = [chr(code) for code in range(ord("b"), ord("k"))]
    node = One(*others)
    node.learn(claim("b", life=Life.SUSPECT, by="c"))
    answering = [f"{name}-1" for name in others if name != "b"]
    fast = One(*others)
    fast.learn(claim("b", life=Life.SUSPECT, by="c"))
    fast.learn(claim("b", life=Life.SUSPECT, by="c"))
    fast.learn(claim("b", life=Life.SUSPECT, by="d"))
    fast.learn(claim("b", life=Life.SUSPECT, by="e"))
    fast.pass_time(1.9, answering=answering)
    assert fast.life("b") is Life.SUSPECT
    fast.pass_time(0.2, answering=answering)
    assert fast.life("b") is Life.DEAD
    node.core._prober.probe = lambda known, urgent=False: None
    node.pass_time(11.9)
    assert node.life("b") is Life.SUSPECT
    node.pass_time(0.2)
    assert node.life("b") is Life.DEAD


def test_a_suspect_hears_first_what_is_said_of_it():
    node = One("b", "c")
    said = claim("b", life=Life.SUSPECT, by="c")
    node.learn(said, source="c-1")
    node.pass_time(1.2, answering=("c-1",))
    pings = [ping for boot, ping in node.take(Ping) if boot == "b-1"]
    assert pings
    assert pings[0].news.claims[0] == said
    node.hear(Received("b-1", Ping(7)))
    (ack,) = [message for boot, message in node.take(Ack) if boot == "b-1"]
    assert ack.number == 7
    assert ack.news.claims[0].life is Life.SUSPECT


def test_a_helper_passes_the_answer_on_and_says_when_there_is_none():
    node = One("b", "c")
    node.hear(Received("b-1", PingRequest(5, "c-1")))
    ((_, ping),) = [(boot, message) for boot, message in node.take(Ping) if boot == "c-1"]
    node.hear(Received("c-1", Ack(ping.number)))
    assert node.take(Ack) == [("b-1", Ack(5))]
    node.hear(Received("b-1", PingRequest(6, "c-1")))
    node.pass_time(0.2)
    assert ("b-1", Nack(6)) in node.take()
    node.pass_time(10, answering=("b-1", "c-1"))
    assert node.core._prober._relays == {}


# A few nodes under an adversary: messages are lost, doubled, late; nodes stop for a while, are cut off, restart.

NAMES = ("p", "q", "r", "s")


class Adversary(RuleBasedStateMachine):
    @initialize(seed=st.integers(0, 2**16))
    def begin(self, seed):
        self.now, self.boots, self.nodes, self.flying = 0.0, {}, {}, []
        self.highest = {}
        for name in NAMES:
            self.start(name, seed)
        self.members()

    def start(self, name, seed=1):
        self.boots[name] = self.boots.get(name, 0) + 1
        node = One(me=Peer(name, f"{name}-{self.boots[name]}"), seed=seed)
        node.now = self.now
        node.hear(Tick())
        self.nodes[name] = node

    @rule()
    def members(self):
        listed = Members(tuple(Member(node.core._state.boot, name) for name, node in self.nodes.items()))
        for node in self.nodes.values():
            node.hear(listed)

    @rule(name=st.sampled_from(NAMES))
    def restart(self, name):
        self.start(name)

    @rule(seconds=st.floats(0.01, 3.0), names=st.sets(st.sampled_from(NAMES)))
    def time_passes(self, seconds, names):
        """For those named; the others are stopped meanwhile."""
        self.now += seconds
        for name in sorted(names):
            node = self.nodes[name]
            if node.alarm < self.now:
                node.now = self.now
                node.hear(Tick())

    def collect(self):
        for node in self.nodes.values():
            node.now = self.now
            self.flying += [(node.core._state.boot, boot, message) for boot, message in node.take()]

    def by_boot(self, boot):
        return next((node for node in self.nodes.values() if node.core._state.boot == boot), None)

    @rule(rng=st.randoms(use_true_random=False), lost=st.booleans())
    def messages_fly(self, rng, lost):
        self.collect()
        flying, self.flying = self.flying, []
        rng.shuffle(flying)
        for source, target, message in flying:
            node = self.by_boot(target)
            for _ in range(rng.choice((0, 1, 1, 2)) if lost else 1):
                if node is not None:
                    node.hear(Received(source, message))

    @rule()
    def calm(self):
        """Without faults everybody comes to hold everybody alive, under the boot that runs."""
        self.members()
        for _ in range(400):
            self.now += 0.1
            for node in self.nodes.values():
                node.now = self.now
                if node.alarm <= self.now:
                    node.hear(Tick())
            for _ in range(3):
                self.messages_fly(random.Random(1), False)
        for node in self.nodes.values():
            for name in NAMES:
                held = node.core.claim(name)
                assert (held.boot, held.life) == (self.nodes[name].core._state.boot, Life.ALIVE), (
                    node.core._me_name,
                    held,
                )
        assert len({node.core.digest for node in self.nodes.values()}) == 1

    @invariant()
    def claims_only_rise(self):
        for node in self.nodes.values() if hasattr(self, "nodes") else ():
            for name in NAMES:
                held = node.core.claim(name)
                if held is None:
                    continue
                key = node.core._state.boot, name
                before = self.highest.get(key, held)
                assert not newer(before, held), (before, held)
                self.highest[key] = held

    @invariant()
    def nothing_contradicts_itself(self):
        for node in self.nodes.values() if hasattr(self, "nodes") else ():
            node.core.check_invariants()


TestAdversary = Adversary.TestCase
TestAdversary.settings = settings(max_examples=15, stateful_step_count=12, deadline=None)
