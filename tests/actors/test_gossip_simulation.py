"""Gossip among many: how fast it converges, and that nobody is declared dead who lives.

The bounds for 1,000 members and for a day are measured by `python -m tests.actors.gossip_simulation`; here is less of the same.
"""

from __future__ import annotations

import random

import pytest

from actors.gossip_messages import Leave, Life, Link, Mine
from actors.gossip_rules import GossipConfig
from actors.model.peer import Peer, Standing
from runtime.records import evolve
from tests.actors.gossip_simulation import MEASURES, QUIET, Cluster, day, stalled


@pytest.mark.parametrize("name", ["join", "crash"])
@pytest.mark.parametrize(("members", "seed"), [(5, 1), (30, 2), (100, 3), (200, 4)])
def test_all_know_within_twice_the_time_of_the_formulae(name: str, members: int, seed: int) -> None:
    measure, formula = MEASURES[name]
    assert measure(members, seed) <= 2 * formula(QUIET, members)


@pytest.mark.parametrize(("members", "seed"), [(10, 1), (60, 2)])
def test_a_healed_partition_is_forgotten_within_twice_the_time_of_the_formulae(members: int, seed: int) -> None:
    measure, formula = MEASURES["heal"]
    assert measure(members, seed) <= 2 * formula(QUIET, members)


@pytest.mark.parametrize("members", [3, 5, 10])
def test_all_of_a_few_know_of_a_crash_within_five_seconds(members: int) -> None:
    taken = [MEASURES["crash"][0](members, seed) for seed in range(20)]
    assert max(taken) <= 5.0


@pytest.mark.parametrize(("members", "seed"), [(3, 1), (4, 2), (4, 3), (10, 1), (16, 5)])
def test_a_broken_link_makes_a_crash_known_sooner(members: int, seed: int) -> None:
    cluster = Cluster(members, seed)
    cluster.run(1)
    cluster.nodes["n0001-1"].up = False
    for node in cluster.alive():
        cluster.tell(node, Link("n0001-1", False), 0.001)
    cluster.run(0.6)
    assert {(observer, boot) for _, observer, boot in cluster.gone} == {
        (node.name, "n0001-1") for node in cluster.alive()
    }
    assert cluster.run(2.9, lambda: cluster.all_hold("n0001", lambda life: life == Life.DEAD))


def test_nobody_dies_who_is_stalled_nine_tenths_of_the_time() -> None:
    cluster, slow = day(hours=0.5)
    assert cluster.gone == []
    assert slow.core.awareness > 0


def test_a_slow_node_accuses_nobody() -> None:
    cluster = Cluster(10, 5, GossipConfig())
    slow = cluster.nodes["n0004-1"]
    slow.resumes = stalled(random.Random(5))
    accused: set[str] = set()

    def look() -> bool:
        for node in cluster.alive():
            for other in cluster.alive():
                claim = node.core.claim(other.name)
                if claim is not None and claim.life is Life.SUSPECT and claim.by == slow.name:
                    accused.add(other.name)
        return False

    cluster.run(600, look)
    assert accused == set()
    assert slow.core.awareness > 0
    assert all(node.core.awareness <= 2 for node in cluster.alive() if node is not slow)


def test_a_link_that_is_cut_one_way_does_not_flap() -> None:
    cluster = Cluster(5, 6, GossipConfig())
    cluster.cut = lambda source, target: (source, target) == ("n0000-1", "n0001-1")
    cluster.run(600)
    changes = [change for node in cluster.alive() for change in node.changes]
    assert len(changes) <= 10
    assert cluster.gone == []
    assert cluster.agree()


def test_two_and_three_know_each_other_again_after_ten_minutes_apart() -> None:
    config = GossipConfig()
    cluster = Cluster(5, 7, config)
    cluster.list_members()
    cluster.run(1)
    cluster.split(lambda boot: boot < "n0002")
    cluster.run(600)
    assert all(node.core._state.table.live == (2 if node.boot < "n0002" else 3) for node in cluster.alive())
    cluster.heal()
    assert cluster.run(2 * config.push_pull_seconds, cluster.agree)
    cluster.run(1)
    assert all(peer.standing is Standing.ALIVE for node in cluster.alive() for peer in node.peers)
    assert all(len(node.peers) == 5 for node in cluster.alive())


def test_who_left_before_a_partition_healed_does_not_come_back() -> None:
    cluster = Cluster(6, 8)
    cluster.run(1)
    cluster.split(lambda boot: boot < "n0003")
    cluster.run(60)
    leaver = cluster.nodes["n0005-1"]
    cluster.tell(leaver, Leave())
    cluster.run(1)
    leaver.up = False
    cluster.heal()
    cluster.run(60)
    assert cluster.agree()
    assert cluster.all_hold("n0005", lambda life: life >= Life.DEAD)
    cluster.run(120)
    assert cluster.all_hold("n0005", lambda life: life >= Life.DEAD)


def test_a_restarted_node_replaces_its_former_boot() -> None:
    cluster = Cluster(10, 9)
    cluster.run(1)
    cluster.nodes["n0003-1"].up = False
    cluster.run(3)
    again = cluster.join("n0003", ["n0000-1"], boot="n0003-2")
    assert cluster.run(5, cluster.agree)
    assert all(node.core._state.table.by_boot("n0003-2") for node in cluster.alive())
    assert again.core.claim("n0003").incarnation > 1


@pytest.mark.parametrize("loss", [0.05, 0.25])
def test_lost_messages_kill_nobody_and_keep_nothing_from_anybody(loss: float) -> None:
    cluster = Cluster(10, 10, loss=loss)
    cluster.run(120)
    assert cluster.gone == []
    cluster.join("x", ["n0000-1", "n0001-1"])
    assert cluster.run(30, lambda: cluster.all_hold("x", lambda life: life == Life.ALIVE))


def test_loads_reach_all_in_a_second_and_free_slots_at_once() -> None:
    cluster = Cluster(16, 11, GossipConfig())
    cluster.run(1)
    node = cluster.nodes["n0007-1"]

    def told(**changes: object) -> None:
        me = Peer(node.name, node.boot, address="n0007:1", slots=4, types=frozenset({"a"}))
        cluster.tell(node, Mine(evolve(me, **changes)))

    def all_see(**facts: object) -> bool:
        loads = [other.core._state.table.get("n0007").load for other in cluster.alive()]
        return all(getattr(load, name) == value for load in loads for name, value in facts.items())

    told(free=3, running=1)
    assert cluster.run(1.0, lambda: all_see(free=3, running=1))
    told(free=0, running=4)
    cluster.run(0.05)
    assert all_see(free=0, running=4)
    told(free=1, running=3)
    cluster.run(0.05)
    assert all_see(free=1, running=3)


def test_a_quiet_cluster_of_many_costs_each_node_little() -> None:
    cluster = Cluster(100, 12)
    cluster.run(20)
    assert cluster.messages / 20 / 100 < 10
