"""Gossip's core, one node at a time: its health, refuting, deaths, members and links, comparing notes, what a node is like."""

from __future__ import annotations

import attrs
import pytest

from actors.gossip_messages import (
    NOTHING,
    Ack,
    Ask,
    Catalogue,
    Compare,
    Entry,
    Gossip,
    Leave,
    Life,
    Link,
    Load,
    Members,
    Mine,
    News,
    Offsets,
    Ping,
    PingRequest,
    Profile,
    Received,
    State,
    Tick,
)  # fmt: skip
from actors.gossip_rules import (
    HIGHEST_AWARENESS,
    GossipConfig,
)  # fmt: skip
from actors.gossip_table import CATALOGUE_BYTES, FRAMING, LABEL_BYTES, catalogue_of, digest_of, labels_of
from actors.model.peer import Peer, Standing
from runtime.coordination_messages import Member
from runtime.records import evolve
from tests.actors.gossip_kit import CONFIG, One, claim

# Health.


def test_a_node_whose_helpers_are_silent_too_doubts_itself_and_slows_down():
    node = One("b", "c", "d", "e")
    node.pass_time(20)
    assert node.core.awareness == HIGHEST_AWARENESS
    node.take()
    node.pass_time(8.9)
    assert len(node.take(Ping)) <= 2


def test_helpers_that_decline_leave_the_health_as_it_is():
    node = One("b", "c", "d", "e")
    others = ("c-1", "d-1", "e-1")
    node.pass_time(4, answering=others, nacking=others)
    assert node.life("b") is not Life.ALIVE
    assert node.core.awareness == 0


def test_a_node_that_was_stopped_accuses_nobody():
    node = One("b", "c")
    node.pass_time(0.6)
    pings = node.take(Ping)
    node.now += 30
    node.hear(Tick())
    for boot, ping in pings + node.take(Ping):
        node.hear(Received(boot, Ack(ping.number)))
    node.pass_time(1, answering=("b-1", "c-1"))
    assert {node.life("b"), node.life("c")} == {Life.ALIVE}
    assert node.core.awareness <= 1


def test_a_stop_moves_the_time_to_refute():
    node = One("b", "c", "d")
    node.learn(claim("b", life=Life.SUSPECT, by="c"), claim("b", life=Life.SUSPECT, by="d"))
    node.now += 20
    node.hear(Tick())
    assert node.life("b") is Life.SUSPECT


# Refuting.


@pytest.mark.parametrize("life", [Life.SUSPECT, Life.DEAD, Life.LEFT])
def test_a_node_refutes_what_is_said_of_it_at_once(life):
    node = One("b", "c")
    node.learn(claim("a", life=life, by="c"))
    assert node.core.claim("a") == claim("a", incarnation=2)
    told = [boot for boot, message in node.take(Gossip) if claim("a", incarnation=2) in message.news.claims]
    assert {"b-1", "c-1"} <= set(told)
    assert node.core.awareness == 1
    node.learn(claim("a", life=life, by="c"))
    assert node.core.claim("a") == claim("a", incarnation=2)


def test_a_node_that_begins_anew_under_its_boot_goes_above_what_others_have():
    node = One("b", me=Peer("a", "a-1", free=1))
    node.learn(claim("a", incarnation=7), Profile("a", "a-1", 9, "old:1"), Load("a", "a-1", 40, free=3))
    held = node.core._state.table.get("a")
    assert (held.claim.incarnation, held.profile.version, held.load.version) == (8, 10, 41)
    assert (held.profile.address, held.load.free) == ("", 1)


def test_a_restarted_node_goes_above_what_is_left_of_its_former_boot():
    node = One("b", me=Peer("a", "a-2"))
    node.learn(claim("a", "a-1", 5, Life.DEAD))
    assert node.core.claim("a") == claim("a", "a-2", 6)


def test_a_former_boot_does_not_fight_its_successor():
    node = One("b")
    node.learn(claim("a", "a-2", 2))
    assert node.core.claim("a") == claim("a")
    node.hear(Members((Member("a-1", "a"),)))
    node.learn(claim("a", "a-2", 2))
    assert node.core.claim("a") == claim("a", incarnation=3)
    other = One("b", me=Peer("a", "a-5"))
    other.hear(Members((Member("a-2", "a"),)))
    other.learn(claim("a", "a-2", 2))
    assert other.core.claim("a") == claim("a", "a-5")


def test_a_new_boot_replaces_the_old_one_for_others():
    node = One("b", "c")
    node.learn(claim("b", "b-2", 1), source="c-1")
    assert node.gone == ["b-1"]
    assert node.peer("b").boot == "b-2"
    assert node.peer("b").slots == 0
    node.learn(claim("b", "b-1", 1), Profile("b", "b-1", 9), source="c-1")
    assert node.peer("b").boot == "b-2"


def test_one_that_is_held_dead_and_speaks_is_told_so():
    node = One("b", "c")
    node.learn(claim("b", life=Life.SUSPECT, by="c"), claim("b", life=Life.DEAD), source="c-1")
    node.take()
    node.hear(Received("b-1", Gossip(NOTHING)))
    assert node.take() == [("b-1", Gossip(News((claim("b", life=Life.DEAD),))))]
    node.hear(Received("b-1", Gossip(NOTHING)))
    assert node.take() == []
    node.learn(claim("b", incarnation=2))
    assert node.life("b") is Life.ALIVE


# Death and leaving.


def test_a_death_of_one_held_alive_is_put_to_the_one_concerned():
    node = One("b", "c")
    death = claim("b", life=Life.DEAD)
    node.learn(death, source="c-1")
    assert node.life("b") is Life.ALIVE
    ((boot, ping),) = node.take(Ping)
    assert boot == "b-1"
    assert ping.news.claims[0] == death
    node.hear(Received("b-1", Ack(ping.number, News((claim("b", incarnation=2),)))))
    node.pass_time(2, answering=("b-1", "c-1"))
    assert node.core.claim("b") == claim("b", incarnation=2)
    assert node.gone == []


def test_a_death_is_believed_when_the_own_probe_fails():
    node = One("b", "c")
    node.learn(claim("b", life=Life.DEAD), source="c-1")
    node.pass_time(0.6, answering=("c-1",))
    assert node.life("b") is Life.DEAD
    assert node.gone == ["b-1"]


def test_who_has_left_is_not_shown_and_does_not_come_back_by_old_gossip():
    node = One("b", "c")
    node.learn(claim("b", life=Life.LEFT))
    assert node.peer("b") is None
    assert node.gone == ["b-1"]
    for old in (claim("b"), claim("b", life=Life.SUSPECT, by="c"), claim("b", life=Life.DEAD)):
        node.learn(old, source="c-1")
    assert node.life("b") is Life.LEFT
    assert node.peer("b") is None


def test_the_dead_are_remembered_for_a_time():
    config = evolve_config(remember_seconds=60.0, show_dead_seconds=5.0)
    node = One("b", "c", config=config)
    node.learn(claim("b", life=Life.SUSPECT, by="c"), claim("b", life=Life.DEAD), source="c-1")
    assert node.peer("b").standing is Standing.DEAD
    node.pass_time(20, answering=("c-1",))
    assert node.peer("b") is None
    node.learn(claim("b"), source="c-1")
    assert node.life("b") is Life.DEAD
    node.pass_time(75, answering=("c-1",))
    assert node.life("b") is None


def test_the_dead_that_others_remember_are_remembered_for_the_rest_of_the_time():
    node = One("b", config=evolve_config(remember_seconds=60.0))
    entries = tuple(Entry(claim(name, life=Life.DEAD), seconds=age) for name, age in (("c", 50.0), ("d", 61.0)))
    node.hear(Received("b-1", State(entries)))
    assert node.life("c") is Life.DEAD
    assert node.life("d") is None
    node.learn(claim("c"))
    assert node.life("c") is Life.DEAD
    assert node.gone == []
    node.pass_time(30, answering=("b-1",))
    assert node.life("c") is None


def test_leaving_is_told_to_all_and_then_nothing_more():
    node = One("b", "c")
    node.hear(Leave())
    told = [boot for boot, message in node.take(Gossip) if claim("a", life=Life.LEFT) in message.news.claims]
    assert sorted(told) == ["b-1", "c-1"]
    node.hear(Received("b-1", Ping(3)))
    node.learn(claim("a", life=Life.SUSPECT, by="b"))
    assert node.take(Ack) == []
    assert node.core.claim("a").life is Life.LEFT


def evolve_config(**changes):
    return attrs.evolve(CONFIG, **changes)


# The coordination service and links.


def test_listed_members_are_joined_probed_and_shown():
    node = One()
    node.hear(Members((Member("a-1", "a"), Member("b-1", "b", 1, {"address": "b:9"}))))
    assert [boot for boot, _ in node.take(Compare)] == ["b-1"]
    assert node.peer("b") == Peer("b", "b-1", "b:9", Standing.ALIVE, executor=False)
    node.pass_time(6)
    assert node.life("b") is Life.DEAD
    node.pass_time(300)
    assert node.peer("b").standing is Standing.DEAD
    node.hear(Members((Member("a-1", "a"),)))
    assert node.peer("b") is None


def test_a_new_node_compares_notes_with_a_few():
    node = One()
    node.hear(Members(tuple(Member(f"n{i}-1", f"n{i}") for i in range(50))))
    assert len(node.take(Compare)) == 3


def test_who_is_not_listed_any_more_is_probed_at_once_and_gone_if_it_does_not_answer():
    node = One("b", "c", "d")
    node.hear(Members(tuple(Member(f"{name}-1", name) for name in "abcd")))
    node.take()
    node.hear(Members(tuple(Member(f"{name}-1", name) for name in "acd")))
    assert [boot for boot, _ in node.sent if boot == "b-1"] == ["b-1"]
    assert {boot for boot, message in node.sent if isinstance(message, PingRequest)} == {"c-1", "d-1"}
    assert node.gone == []
    node.pass_time(0.6, answering=("c-1", "d-1"))
    assert node.gone == ["b-1"]
    assert node.life("b") is Life.SUSPECT


def test_another_boot_under_a_listed_name_means_that_the_former_is_gone():
    node = One("b", "c")
    node.hear(Members((Member("a-1", "a"), Member("b-2", "b"), Member("c-1", "c"))))
    assert node.gone == ["b-1"]
    assert "b-2" in [boot for boot, _ in node.take(Compare)]


def test_a_broken_link_is_a_hint_of_a_crash():
    node = One("b", "c", "d")
    node.hear(Link("b-1", False))
    assert [boot for boot, _ in node.take(Ping)] == ["b-1"]
    node.pass_time(0.55, answering=("c-1", "d-1"))
    assert node.gone == ["b-1"]
    assert node.life("b") is Life.SUSPECT
    node.learn(claim("b", incarnation=2), source="c-1")
    node.hear(Link("b-1", False))
    node.pass_time(2.1, answering=("c-1", "d-1"))
    assert node.gone == ["b-1", "b-1"]


def test_a_broken_link_to_one_that_answers_others_is_nothing():
    node = One("b", "c", "d")
    node.hear(Link("b-1", False))
    ((_, request), *_) = node.take(PingRequest)
    node.hear(Received("c-1", Ack(request.number)))
    node.pass_time(0.6, answering=("b-1", "c-1", "d-1"))
    assert node.gone == []
    assert node.life("b") is Life.ALIVE


def test_a_link_to_a_stranger_or_a_dead_one_is_used_to_compare_notes():
    node = One("b", "c")
    node.pass_time(2, answering=("b-1", "c-1"))
    node.take()
    node.hear(Link("b-1", True))
    assert node.take() == []
    node.hear(Link("x-1", True))
    node.hear(Link("x-1", True))
    assert [boot for boot, _ in node.take(Compare)] == ["x-1"]
    node.learn(claim("b", life=Life.SUSPECT, by="c"), claim("b", life=Life.DEAD), source="c-1")
    node.take()
    node.hear(Link("b-1", True))
    assert [boot for boot, _ in node.take(Compare)] == ["b-1"]


# Comparing notes.


def exchange(one, other, seconds=0.0):
    """Deliver what two nodes have for each other until there is nothing more."""
    for _ in range(10):
        for source, target in ((one, other), (other, one)):
            boot = target.core._state.boot
            mine = [message for to, message in source.sent if to == boot]
            source.sent = [(to, message) for to, message in source.sent if to != boot]
            for message in mine:
                target.hear(Received(source.core._state.boot, message))


def test_two_that_compare_notes_know_the_same():
    one = One(*(f"m{i:03}" for i in range(150)), me=Peer("x", "x-1", types=frozenset({"t"})))
    other = One(*(f"m{i:03}" for i in range(100, 200)), me=Peer("y", "y-1"))
    other.learn(claim("m120", incarnation=3))
    one.sent = []
    one.hear(Received("y-1", Compare(other.core.digest)))
    assert [len(message.entries) for _, message in one.take(State)] == [64, 64, 23]
    other.hear(Link("x-1", True))
    exchange(one, other)
    assert one.core.digest == other.core.digest
    assert one.core.claim("m120").incarnation == 3
    assert other.life("m000") is Life.ALIVE
    one.take()
    one.hear(Received("y-1", Compare(other.core.digest)))
    assert one.take() == []


def test_what_was_missed_is_asked_for():
    one = One("b", me=Peer("x", "x-1", address="x:1", types=frozenset({"t", "u"})))
    other = One(me=Peer("y", "y-1"))
    other.learn(claim("x"), source="x-1")
    assert other.peer("x").types == frozenset()
    other.pass_time(0.4)
    exchange(one, other)
    other.pass_time(0.1)
    exchange(one, other)
    assert other.peer("x").address == "x:1"
    assert other.peer("x").types == {"t", "u"}


def test_a_catalogue_that_is_not_what_it_says_is_not_taken():
    node = One("b")
    digest = digest_of(("t",))
    node.learn(Profile("b", "b-1", 2, catalogue=digest))
    assert [message for _, message in node.take(Ask)] == [Ask((), (digest,))]
    node.hear(Received("b-1", Catalogue(digest, ("t", "u"))))
    node.hear(Received("b-1", Catalogue(digest_of(("u",)), ("u",))))
    assert node.peer("b").types == frozenset()
    node.hear(Received("b-1", Catalogue(digest, ("t",))))
    assert node.peer("b").types == {"t"}
    node.take()
    node.pass_time(2, answering=("b-1",))
    assert node.take(Ask) == []


def test_catalogues_and_labels_are_bounded():
    types = [f"{number:0100}" for number in range(5_000)]
    kept = catalogue_of(types)
    assert len(kept) == CATALOGUE_BYTES // (100 + FRAMING)
    assert kept == tuple(types[: len(kept)])
    assert labels_of((("k", "v" * 20), ("l", "v" * LABEL_BYTES))) == (("k", "v" * 20),)
    assert digest_of(()) == ""


# What a node is like.


def test_loads_are_told_now_and_then_and_at_once_when_it_matters():
    node = One("b", me=Peer("a", "a-1", slots=4, free=4))
    me = Peer("a", "a-1", slots=4, free=4)
    node.pass_time(1, answering=("b-1",))
    node.take()
    for free in (3, 2, 1, 2, 3, 2):
        me = evolve(me, free=free)
        node.hear(Mine(me))
    node.pass_time(0.19, answering=("b-1",))
    told = [load for _, message in node.take(Gossip) for load in message.news.loads]
    assert [load.free for load in told] in ([3], [3, 3])
    node.pass_time(0.5, answering=("b-1",))
    assert 2 in {load.free for _, message in node.take(Gossip) for load in message.news.loads}
    node.pass_time(2, answering=("b-1",))
    node.take()
    node.hear(Mine(evolve(me, free=0)))
    assert {load.free for _, message in node.take(Gossip) for load in message.news.loads} == {0}
    node.hear(Mine(evolve(me, free=1)))
    assert node.take(Gossip) == []
    node.pass_time(0.03)
    assert 1 in [load.free for _, message in node.take(Gossip) for load in message.news.loads]


def test_what_a_node_is_like_is_shown():
    node = One("b")
    node.learn(
        Load("b", "b-1", 2, True, True, 8, 3, 5), Profile("b", "b-1", 2, "b:7", (("k", "v"),), "", "2026a", "1.2")
    )
    expected = Peer(
        "b", "b-1", "b:7", Standing.ALIVE, (("k", "v"),), frozenset(), True, True, 8, 3, 5, None, "2026a", "1.2"
    )
    assert node.peer("b") == expected
    assert expected in node.peers
    node.learn(Load("b", "b-1", 1, free=9), Load("b", "b-9", 9, free=9), Load("z", "z-1", 9))
    assert node.peer("b") == expected
    node.hear(Offsets({"b-1": 1500}))
    assert node.peer("b") == evolve(expected, offset=1500)
    node.hear(Offsets({}))
    assert node.peer("b").offset is None


def test_profiles_are_told_when_they_change():
    node = One("b")
    node.pass_time(2, answering=("b-1",))
    node.take()
    node.hear(Mine(Peer("a", "a-1", address="a:1", types=frozenset({"t"}))))
    node.pass_time(0.2)
    message = next(message for _, message in node.take(Gossip) if message.news.profiles)
    assert message.news.profiles[0].catalogue == digest_of(("t",))
    assert node.peer("a").types == {"t"}


def test_changes_of_the_peers_are_told_at_a_bearable_rate_and_not_without_change():
    node = One("b", config=GossipConfig(peers_seconds=0.1))
    node.pass_time(1, answering=("b-1",))
    told = []
    for version in range(2, 12):
        node.hear(Received("b-1", Gossip(News(loads=(Load("b", "b-1", version, free=version),)))))
        node.pass_time(0.01)
        told.append(node.peer("b").free if node.peers is None else next(p.free for p in node.peers if p.name == "b"))
    assert len(set(told)) <= 3
    node.pass_time(0.2, answering=("b-1",))
    assert next(peer.free for peer in node.peers if peer.name == "b") == 11
    last = node.peers
    node.learn(Load("b", "b-1", 11, free=11))
    node.pass_time(30, answering=("b-1",))
    assert node.peers is last


def test_what_is_not_understood_is_passed_over():
    node = One("b")
    node.hear(Received("b-1", object()))
    node.hear(Received("a-1", Ping(1)))
    node.learn(claim("c", "b-1"))
    assert node.take() == []
    assert node.core.claim("c") is None


def test_the_invariants_are_checked():
    node = One("b")
    node.core._state.table.live += 1
    with pytest.raises(AssertionError, match="miscounted"):
        node.core.check_invariants()


def test_a_load_that_was_lost_is_asked_for():
    node = One("b", "c")
    node.learn(claim("d"), Profile("d", "d-1", 1, "d:1"))
    assert not node.peer("d").executor
    asked = []
    for _ in range(30):
        node.pass_time(0.5, answering=("b-1", "c-1", "d-1"))
        asked += [(boot, message.names) for boot, message in node.take(Ask)]
    assert asked[0] == ("d-1", ("d",))
    assert len(asked) > 2, "until it is heard"
    node.learn(Load("d", "d-1", 1, True, False, 9, 9, 0))
    assert node.peer("d").executor
    node.take()
    node.pass_time(15, answering=("b-1", "c-1", "d-1"))
    assert node.take(Ask) == []
