"""Coordination over a simulated service: joins, leaves, deaths, and everything that gets lost on the way."""

from __future__ import annotations

import logging
from collections import Counter
from typing import Any

import pytest
import trio

from runtime.coordination_messages import Barred, Granted, Member, Revoked, SessionLost
from runtime.coordination_plan import decode_plan
from runtime.registry_messages import Op, RegistryUnavailable
from runtime.simulated_registry import SimulatedRegistry

from .coordination_kit import SLOTS, Cluster, Node, cluster, until


class Counting(SimulatedRegistry):
    """A client that counts what it asks for and what it is told."""

    writes: list[list[Op]]

    async def transact(self, ops: Any) -> None:
        self.writes.append([op for op in ops if op.kind != "check"])
        await super().transact(ops)


def counting(made: Cluster, name: str) -> Counting:
    registry = Counting(made.service, name)
    registry.writes = []
    return registry


async def test_who_is_alone_holds_everything(autojump_clock):
    async with cluster("a") as made:
        node = made.nodes["a"]
        assert node.grants == dict.fromkeys(range(SLOTS), 1)
        assert node.members == ["a"]
        await trio.sleep(1)
        status = node.coordination.status()
        assert status.connected
        assert status.trusted
        assert status.leader == "a"
        assert status.owners == dict.fromkeys(range(SLOTS), "a")
        assert (status.gate, status.problem) == (None, None)


async def test_a_joiner_gets_its_share_and_nothing_else_moves(autojump_clock):
    async with cluster("a", "b") as made:
        before = made.holders()
        await made.add("c")
        await made.settle()
        moved = [slot for slot, holders in made.holders().items() if holders != before[slot]]
        assert all(made.holders()[slot] == ["c"] for slot in moved)
        assert [len(made.nodes[name].grants) for name in "abc"] == pytest.approx([SLOTS / 3] * 3, abs=1)
        assert made.nodes["a"].members == ["a", "b", "c"]
        assert set(made.nodes["c"].grants.values()) == {2}


async def test_three_nodes_hold_within_a_tenth_of_their_share(autojump_clock):
    async with cluster("a", "b", "c", slots=256) as made:
        assert [len(node.grants) for node in made.nodes.values()] == pytest.approx([256 / 3] * 3, rel=0.1)


async def test_who_leaves_is_replaced_at_once(autojump_clock):
    async with cluster("a", "b", "c") as made:
        for name in ("a", "c"):
            node = made.nodes.pop(name)
            await node.coordination.leave()
            assert await made.settle() < 0.3
        assert made.nodes["b"].members == ["b"]


async def test_who_dies_is_replaced_when_the_session_ends(autojump_clock):
    async with cluster("a", "b", "c") as made:
        for name in ("a", "b"):
            made.kill(name)
            assert 3.0 < await made.settle() < 5.0
        assert made.nodes["c"].coordination.status().leader == "c"


async def test_a_takeover_costs_three_writes(autojump_clock):
    async with cluster("a", slots=256) as made:
        registries = [counting(made, name) for name in "bc"]
        for registry, name in zip(registries, "bc", strict=True):
            await made.start(made.node(name, registry=registry))
        await made.settle()
        for registry in registries:
            registry.writes.clear()
        made.kill("a")
        await made.settle()
        for registry in registries:
            written = [ops for ops in registry.writes if {op.path.split("/")[1] for op in ops} != {"members"}]
            assert 1 <= len(written) <= 3


async def test_slots_are_held_until_they_were_released(autojump_clock):
    async with cluster("a") as made:
        a = made.nodes["a"]
        a.clings = True
        b = await made.add("b")
        await trio.sleep(10)
        (revoked,) = a.heard(Revoked)
        assert b.grants == {}
        assert a.grants.keys() >= revoked.slots
        await a.give_up(revoked.slots)
        await made.settle(0.3)
        assert b.grants.keys() == revoked.slots


async def test_a_member_without_weight_holds_nothing_and_gives_up_what_it_had(autojump_clock):
    async with cluster("a", "b") as made:
        a, b = made.nodes["a"], made.nodes["b"]
        await b.coordination.describe(Member(b.member.boot, "b", 0, {"why": "drains"}))
        await until(lambda: len(a.grants) == SLOTS, 1)
        assert b.grants == {}
        assert a.coordination.members()[1] == Member(b.member.boot, "b", 0, {"why": "drains"})
        await b.coordination.describe(b.member)
        await made.settle(1)


async def test_what_a_node_gives_up_by_itself_is_granted_again_only_when_asked_for(autojump_clock):
    async with cluster("a") as made:
        a = made.nodes["a"]
        await a.give_up(frozenset({3, 4}))
        await trio.sleep(2)
        assert made.owner_nodes().keys() == set(range(SLOTS)) - {3, 4}
        await a.coordination.request(a.former)
        await until(lambda: len(a.grants) == SLOTS, 2)
        assert a.grants[3] > a.grants[5]


async def test_a_grant_that_the_store_refused_comes_again_with_a_higher_number(autojump_clock):
    async with cluster("a", "b") as made:
        a = made.nodes["a"]
        slot, grant = next(iter(a.grants.items()))
        await a.coordination.request({slot: grant + 40})
        await until(lambda: a.grants[slot] > grant + 40, 2)
        assert a.history[-1] == Granted({slot: grant + 41})


async def test_grants_are_above_those_that_the_store_knows(autojump_clock):
    async with cluster() as made:
        node = made.node("a")
        node.former = {1: 70, 2: 5}
        await made.start(node)
        await made.settle()
        assert node.grants == dict.fromkeys(range(SLOTS), 71)


async def test_joining_again_grants_anew_without_a_gap(autojump_clock):
    async with cluster("a", "b") as made:
        a = made.nodes["a"]
        held, owners = dict(a.grants), made.owner_nodes()
        async with trio.open_nursery() as nursery:
            await a.join(nursery)
            await until(lambda: a.grants.keys() == held.keys(), 3)
            nursery.cancel_scope.cancel()
        assert all(grant > held[slot] for slot, grant in a.grants.items())
        assert made.owner_nodes() == owners


# -- sessions


async def test_a_session_that_ends_drops_everything_and_begins_anew(autojump_clock):
    async with cluster("a", "b", "c") as made:
        b = made.nodes["b"]
        former = dict(b.grants)
        session = b.coordination.status().session
        assert session is not None
        made.service.expire(session)
        await until(lambda: bool(b.heard(SessionLost)), 1)
        await made.settle()
        assert b.coordination.status().session != session
        assert all(grant > former.get(slot, 0) for slot, grant in b.grants.items())


async def test_a_short_break_changes_nothing(autojump_clock):
    async with cluster("a", "b") as made:
        before = made.holders()
        for name in ("a", "b"):
            made.service.reset(name)
        await trio.sleep(3)
        assert made.holders() == before
        assert not made.nodes["a"].heard(SessionLost)
        assert made.settled()


async def test_what_changed_while_a_node_was_cut_off_is_read_when_it_is_back(autojump_clock):
    async with cluster("a", "b") as made:
        made.service.cut("b")
        c = await made.add("c")
        await trio.sleep(1.5)
        assert made.nodes["b"].members == ["a", "b"]
        made.service.heal("b")
        await made.settle()
        assert c.grants
        assert made.nodes["b"].members == ["a", "b", "c"]


async def test_while_no_server_answers_nothing_is_dropped_and_nobody_leads(autojump_clock):
    async with cluster("a", "b") as made:
        await trio.sleep(1)
        before = made.holders()
        assert made.nodes["a"].coordination.status().trusted
        made.service.lose_quorum()
        await trio.sleep(60)
        assert made.holders() == before
        assert not made.nodes["a"].coordination.status().trusted
        assert not made.nodes["a"].coordination.status().connected
        made.service.regain_quorum()
        await made.settle()
        assert made.holders() == before


async def test_the_trust_window_closes_two_thirds_into_the_timeout(autojump_clock):
    async with cluster("a", "b") as made:
        await trio.sleep(3)
        begun = trio.current_time()
        made.service.cut("a")
        a = made.nodes["a"].coordination
        await until(lambda: not a.status().trusted)
        assert 1.8 < trio.current_time() - begun < 2.4


async def test_a_frozen_leader_is_followed_by_another_and_cannot_write_over_it(autojump_clock):
    async with cluster("a", "b", "c") as made:
        leader = made.nodes["a"].coordination.status().leader
        assert leader is not None
        others = [node for name, node in made.nodes.items() if name != leader]
        made.service.cut(leader)
        await until(lambda: all(node.coordination.status().leader != leader for node in others), 10)
        await until(lambda: sum(len(node.grants) for node in others) == SLOTS, 10)
        made.service.heal(leader)
        await made.settle()
        (follower,) = {node.coordination.status().leader for node in made.nodes.values()}
        assert follower != leader


async def test_the_servers_lose_their_data(autojump_clock):
    async with cluster("a", "b") as made:
        await made.nodes["a"].coordination.record({1: 5})
        assert await made.nodes["b"].coordination.recorded() == {1: 5}
        made.service.wipe()
        await trio.sleep(5)
        await made.settle()
        assert await made.nodes["a"].coordination.recorded() == {}
        assert all(node.heard(SessionLost) for node in made.nodes.values())


# -- lost replies


@pytest.mark.parametrize("loss", [0.02, 0.1])
async def test_lost_replies_leave_no_owner_behind(loss: float, autojump_clock):
    async with cluster(service={"reply_loss": loss}, seed=7) as made:
        for name in "abc":
            await made.add(name)
            await trio.sleep(3)
        gone = made.kill("b")
        await trio.sleep(5)
        assert gone.grants
        made.service.reply_loss = 0.0
        await trio.sleep(2)
        assert made.settled()


async def test_a_lost_reply_on_every_kind_of_write_is_recognised(autojump_clock):
    async with cluster("a") as made:
        for _ in range(8):
            made.service.lose_reply("b")
        await made.add("b")
        await made.settle()
        assert len([path for path in made.service.tree() if path.startswith("/leader/")]) == 2


# -- names


async def test_ones_own_earlier_session_is_waited_for_and_not_adopted(autojump_clock):
    async with cluster("a", "b") as made:
        before = made.kill("b")
        later = await made.start(made.node("b", "b-second", client="b2"))
        await trio.sleep(2)
        assert later.grants == {}
        await made.settle()
        assert later.heard(Barred) == []
        assert made.nodes["a"].coordination.members()[1].boot == "b-second"
        assert before.member.boot != "b-second"


async def test_a_second_node_of_one_name_is_barred_while_the_first_lives(autojump_clock, caplog):
    caplog.set_level(logging.INFO)
    async with cluster("a", "b") as made:
        first = made.nodes["b"]
        second = made.node("b", "b-second", client="b2")
        await made.start(second)
        await until(lambda: second.coordination.status().problem is not None)
        await trio.sleep(30)
        assert second.heard(Barred) == [Barred("another node that lives has the name 'b'")]
        assert len([line for line in caplog.messages if "another node" in line]) == 1
        assert second.grants == {}
        made.nodes["b"] = first
        assert made.settled()
        await first.coordination.leave()
        made.nodes["b"] = second
        await made.settle()
        assert second.coordination.status().problem is None


@pytest.mark.parametrize(
    ("wrong", "said"), [({"cluster_id": "c2"}, "belongs to cluster 'c1'"), ({"slots": 8}, "founded with 16 partitions")]
)
async def test_another_cluster_is_not_joined(wrong: dict[str, Any], said: str, autojump_clock):
    async with cluster("a") as made:
        stranger = made.node("x", **wrong)
        await made.start(stranger)
        await until(lambda: bool(stranger.heard(Barred)), 2)
        (barred,) = stranger.heard(Barred)
        assert said in barred.reason
        assert said in (stranger.coordination.status().problem or "")
        await trio.sleep(5)
        del made.nodes["x"]
        assert made.settled()
        assert made.nodes["a"].members == ["a"]


# -- the gate


async def test_a_cold_cluster_waits_for_enough_nodes(autojump_clock):
    async with cluster() as made:
        for name in "ab":
            await made.add(name, min_nodes=3)
        await trio.sleep(20)
        assert made.owner_nodes() == {}
        for node in made.nodes.values():
            assert node.coordination.status().gate == "cold start: 2 of 3 nodes are here; waits for the others 60 s"
        await made.add("c", min_nodes=3)
        await made.settle(1)
        assert made.nodes["c"].coordination.status().gate is None
        assert all(len(node.heard(Revoked)) == 0 for node in made.nodes.values())


async def test_the_gate_opens_after_a_while(autojump_clock):
    async with cluster() as made:
        begun = trio.current_time()
        await made.add("a", min_nodes=3, gate_seconds=10)
        await made.settle()
        assert 10 <= trio.current_time() - begun < 11


async def test_a_warm_cluster_has_no_gate(autojump_clock):
    async with cluster() as made:
        await made.add("a", "b", min_nodes=2)
        await made.settle()
        made.kill("b")
        assert await made.settle() < 5
        made.kill("a")
        await trio.sleep(10)
        c = await made.add("c", min_nodes=2)
        await trio.sleep(10)
        assert c.grants == {}
        await made.add("d", min_nodes=2)
        await made.settle(1)


async def test_an_outage_that_ends_every_session_is_no_cold_start(autojump_clock):
    async with cluster() as made:
        await made.add("a", "b", min_nodes=2)
        await made.settle()
        made.kill("b")
        await made.settle()
        for session in list(made.service.sessions()):
            made.service.expire(session)
        assert await made.settle() < 5
        a = made.nodes["a"]
        assert a.heard(SessionLost)
        assert len(a.grants) == made.slots


# -- epochs beside the slots


async def test_epochs_are_kept_and_only_grow(autojump_clock):
    async with cluster("a", "b", slots=200) as made:
        a, b = made.nodes["a"].coordination, made.nodes["b"].coordination
        assert await a.recorded() == {}
        await a.record(dict.fromkeys(range(200), 0))
        assert await b.recorded() == dict.fromkeys(range(200), 0)
        await b.record({3: 9, 4: 2})
        await a.record({3: 8, 4: 3})
        assert {slot: epoch for slot, epoch in (await a.recorded()).items() if epoch} == {3: 9, 4: 3}


async def test_epochs_cannot_be_read_or_kept_while_no_server_answers(autojump_clock):
    async with cluster("a") as made:
        made.service.lose_quorum()
        a = made.nodes["a"].coordination
        with pytest.raises(RegistryUnavailable):
            await a.record({1: 1})
        with pytest.raises(RegistryUnavailable):
            await a.recorded()


# -- the herd


async def test_a_release_concerns_two_nodes_of_two_hundred(autojump_clock):
    async with cluster("n0", slots=SLOTS) as made:
        for number in range(1, 200):
            await made.add(f"n{number}", weight=1 if number == 1 else 0)
        told: Counter[str] = Counter()
        for name, node in made.nodes.items():
            count_changes(node, name, told)
        n0 = made.nodes["n0"]
        slot = min(n0.grants)
        n0.clings = True
        await n0.coordination.describe(Member(n0.member.boot, "n0", 0))
        await until(lambda: any(slot in event.slots for event in n0.heard(Revoked)))
        await trio.sleep(2)
        told.clear()
        await n0.give_up(frozenset({slot}))
        await until(lambda: slot in made.nodes["n1"].grants, 2)
        await trio.sleep(1)
        assert sum(told.values()) <= 2


def count_changes(node: Node, name: str, told: Counter[str]) -> None:
    coordination: Any = node.coordination
    feed = coordination._feed

    def counted(event: Any) -> None:
        if type(event).__name__ == "Changed":
            told[name] += 1
        feed(event)

    coordination._feed = counted


async def test_the_plan_of_many_nodes_fits_into_a_node(autojump_clock):
    async with cluster("a", slots=1024) as made:
        plan = decode_plan(made.service.tree()["/assignment"].data)
        assert plan is not None
        assert len(plan.seats) == 1024
        assert len(made.service.tree()["/assignment"].data) < 16 * 1024


class Asking(SimulatedRegistry):
    """A client that counts how often it asks the servers for something."""

    asked = 0

    async def _ask(self, act: Any, *, needs_leader: bool = False) -> Any:
        self.asked += 1
        return await super()._ask(act, needs_leader=needs_leader)


@pytest.mark.parametrize("joined", [False, True])
async def test_a_node_whose_replies_are_all_lost_asks_a_few_times_a_second(joined: bool, autojump_clock):
    async with cluster("a") as made:
        registry = Asking(made.service, "b")
        node = made.node("b", registry=registry)
        if joined:
            await made.start(node)
            await made.settle()
        made.service.reply_loss = 1.0
        if not joined:
            await made.start(node)
        await trio.sleep(5)
        before, waited = registry.asked, 30
        await trio.sleep(waited)
        assert registry.asked - before <= 20 * waited
        made.service.reply_loss = 0.0
        assert await made.settle() <= 5
