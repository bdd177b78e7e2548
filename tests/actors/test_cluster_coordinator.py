"""Coordinators in a cluster: leases, takeovers, orphans, a store that goes away, authority, time zones, draining."""

from __future__ import annotations

import attrs
import pytest
import trio

from actors.cluster_coordinator_core import ZONES_ATTRIBUTE
from actors.cluster_coordinator_messages import Describe, Drain
from actors.keeper_messages import Own
from actors.store.port import Create
from actors.timer_messages import Owned
from runtime.errors import StoreUnavailable
from runtime.registry_messages import RegistryUnavailable
from tests.conformance.store_kit import commit
from tests.runtime.coordination_kit import until

from .coordinator_kit import PARTITIONS, CoordinatorNode, coordinators, recoveries, switches
from .records import running, task


def run_under(node: CoordinatorNode, task_id: str, partition: int) -> None:
    """An execution that runs under a node's boot."""
    execution = running(f"e of {task_id}", task_id, boot=node.actor.boot)
    made = attrs.evolve(task(task_id), open=(execution,))
    assert commit(node.cluster.store, Create(made, partition)) == {}


async def test_a_node_owns_what_its_epochs_were_raised_for(autojump_clock):
    async with coordinators("a") as made:
        a = made.nodes["a"]
        assert a.owned == dict.fromkeys(range(PARTITIONS), 1)
        assert a.own.boot == a.actor.boot
        await trio.sleep(1)
        assert Owned(tuple(range(PARTITIONS)), everything=True) in a.timer_told
        assert await a.coordination.recorded() == a.owned
        assert a.actor.problem is None
        assert made.store.shared().live == (a.actor.boot,)


async def test_partitions_are_shared_and_taken_over(autojump_clock):
    async with coordinators("a", "b", "c") as made:
        before = made.store.epochs()
        lost = made.nodes["b"].owned
        made.nodes["b"].die()
        assert await made.settle() < 5.5
        after = made.store.epochs()
        assert all(after[slot] > before[slot] for slot in lost)
        assert {slot for slot in after if after[slot] > before[slot]} == set(lost)
        assert after == await made.nodes["a"].coordination.recorded()


async def test_what_a_dead_node_ran_is_recovered_once_its_lease_has_lapsed(autojump_clock):
    async with coordinators("a", "b") as made:
        a, b = made.nodes["a"], made.nodes["b"]
        theirs, ours = next(iter(b.owned)), next(iter(a.owned))
        for number, partition in enumerate((theirs, ours)):
            run_under(b, f"t{number}", partition)
        run_under(a, "t9", ours)
        await trio.sleep(5)
        assert recoveries(a) == recoveries(b) == []
        begun = trio.current_time()
        b.die()
        found = {"t0", "t1"}
        await until(lambda: {one for message in recoveries(a) for one in message.task_ids} == found, 10)
        assert 3.0 < trio.current_time() - begun < 6.0
        assert {message.live for message in recoveries(a)} == {frozenset({a.actor.boot})}


async def test_only_the_owner_of_a_partition_recovers_in_it(autojump_clock):
    async with coordinators("a", "b", "c") as made:
        a, b, c = made.nodes.values()
        run_under(b, "t1", next(iter(a.owned)))
        b.die()
        await until(lambda: bool(recoveries(a)), 10)
        await trio.sleep(5)
        assert recoveries(c) == []


async def test_attempts_survive_a_session(autojump_clock):
    async with coordinators("a", "b") as made:
        a, b = made.nodes["a"], made.nodes["b"]
        run_under(b, "t1", next(iter(a.owned)))
        made.service.expire(b.coordination.status().session or "")
        await until(lambda: b.owned == {}, 2)
        await made.settle()
        await trio.sleep(5)
        assert recoveries(a) == recoveries(b) == []
        assert b.calls == []


async def test_a_node_gives_everything_up_while_it_cannot_reach_the_store(autojump_clock):
    async with coordinators("a", "b") as made:
        a, b = made.nodes["a"], made.nodes["b"]
        await trio.sleep(2)
        b.link.down = True
        await until(lambda: len(a.owned) == PARTITIONS, 4)
        assert b.owned == {}
        assert b.actor.problem == "the store does not answer"
        b.link.down = False
        await made.settle(4)
        assert b.actor.problem is None


async def test_a_store_that_is_gone_for_all_comes_back(autojump_clock):
    async with coordinators("a", "b", "c") as made:
        run_under(made.nodes["b"], "t1", 0)
        for node in made.nodes.values():
            node.link.down = True
        await trio.sleep(10)
        assert all(node.owned == {} for node in made.nodes.values())
        assert all(node.actor.in_doubt for node in made.nodes.values())
        for node in made.nodes.values():
            node.link.down = False
        await made.settle()
        await trio.sleep(3)
        assert all(node.calls == ["doubted", "trusted"] for node in made.nodes.values())
        assert all(recoveries(node) == [] for node in made.nodes.values())


async def test_a_lease_is_doubted_at_two_thirds(autojump_clock):
    async with coordinators("a") as made:
        a = made.nodes["a"]
        await trio.sleep(3)
        begun = trio.current_time()
        a.link.down = True
        await until(lambda: a.calls == ["doubted"], 5)
        assert 1.6 < trio.current_time() - begun < 2.8


async def test_who_was_buried_goes_on_as_another_boot(autojump_clock):
    async with coordinators("a", "b") as made:
        a, b = made.nodes["a"], made.nodes["b"]
        former = b.actor.boot
        run_under(b, "t1", next(iter(a.owned)))
        made.service.cut("b")
        b.link.down = True
        await until(lambda: bool(recoveries(a)), 12)
        made.service.heal("b")
        b.link.down = False
        await made.settle()
        assert b.calls == ["doubted", (former, "b-3")]
        assert (b.actor.boot, b.own.boot) == ("b-3", "b-3")
        assert [member.boot for member in a.coordination.members()] == [a.actor.boot, "b-3"]
        await trio.sleep(3)
        assert made.covered()


async def test_a_node_that_comes_back_waits_for_the_lease_of_its_former_life(autojump_clock):
    async with coordinators("a", "b") as made:
        made.nodes["b"].die()
        again = await made.add("b")
        await trio.sleep(1)
        assert "in use" in (again.actor.problem or "")
        await made.settle()
        assert again.actor.problem is None


# -- authority


async def test_a_store_with_lower_epochs_than_recorded_is_not_trusted(autojump_clock):
    async with coordinators("a", "b") as made:
        a, b = made.nodes["a"], made.nodes["b"]
        await trio.sleep(1)
        await a.coordination.record(dict.fromkeys(range(PARTITIONS), 40))
        made.store._epochs.clear()
        a.link.down = b.link.down = True
        await trio.sleep(4)
        a.link.down = b.link.down = False
        await trio.sleep(10)
        for node in (a, b):
            assert node.owned == {}
            assert (node.actor.problem or "").startswith("coordination-authority-changed: the store's epochs of 8")
        await a.actor.raise_fence()
        await made.settle(6)
        assert min(made.store.epochs().values()) > 41


async def test_a_coordination_that_has_lost_its_data_is_not_trusted(autojump_clock):
    async with coordinators("a", "b") as made:
        epochs = dict(made.store.epochs())
        made.service.wipe()
        await trio.sleep(10)
        for node in made.nodes.values():
            assert node.owned == {}
            assert (node.actor.problem or "").startswith(
                "coordination-authority-changed: 8 partitions were taken before"
            )
        await made.nodes["b"].actor.raise_fence()
        await made.settle(6)
        assert all(epoch > epochs[slot] + 1 for slot, epoch in made.store.epochs().items())


async def test_a_store_restored_in_flight_is_noticed_when_a_partition_is_taken(autojump_clock):
    async with coordinators("a", "b") as made:
        a, b = made.nodes["a"], made.nodes["b"]
        made.service.expire(b.coordination.status().session or "")
        await made.settle()
        taken = b.owned
        made.store._epochs.update(dict.fromkeys(range(PARTITIONS), 0))
        b.die()
        await until(lambda: "authority" in (a.actor.problem or ""), 10)
        assert not a.owned.keys() & taken.keys()


async def test_the_fence_cannot_be_raised_without_store_or_coordination(autojump_clock):
    async with coordinators("a") as made:
        a = made.nodes["a"]
        made.service.lose_quorum()
        with pytest.raises(RegistryUnavailable):
            await a.actor.raise_fence()
        made.service.regain_quorum()
        a.link.down = True
        with pytest.raises(StoreUnavailable):
            await a.actor.raise_fence()


# -- time zones


async def test_a_node_with_another_time_zone_database_owns_nothing(autojump_clock):
    async with coordinators("a") as made:
        newer = await made.add("b", zones="2026g")
        await trio.sleep(10)
        assert newer.owned == {}
        assert newer.coordination.members()[1].weight == 0
        assert newer.actor.problem == "the cluster uses the time zone database 2026f, this node has 2026g"
        assert len(made.nodes["a"].owned) == PARTITIONS
        assert made.store.shared().timezone_database == "2026f"


async def test_when_all_nodes_have_the_new_database_the_cluster_switches(autojump_clock, caplog):
    async with coordinators() as made:
        await made.add("a", "b", zones="2026g")
        await made.settle()
        assert made.store.shared().timezone_database == "2026g"
        assert all(len(switches(node)) == 1 for node in made.nodes.values())
        assert len([line for line in caplog.messages if "2026g: it is the cluster's" in line]) == 1


async def test_the_database_is_not_switched_while_a_node_has_the_old_one(autojump_clock):
    async with coordinators("a", "b") as made:
        made.nodes["a"].die()
        await trio.sleep(6)
        a = await made.add("a", zones="2026g")
        await trio.sleep(10)
        assert made.store.shared().timezone_database == "2026f"
        assert a.owned == {}
        made.nodes["b"].die()
        await made.settle()
        assert made.store.shared().timezone_database == "2026g"
        assert len(switches(a)) == 1


# -- draining and stopping


async def test_a_draining_node_hands_over_at_once_and_stays_a_member(autojump_clock):
    async with coordinators("a", "b") as made:
        a, b = made.nodes["a"], made.nodes["b"]
        run_under(b, "t1", next(iter(b.owned)))
        begun = trio.current_time()
        await b.drain()
        await until(lambda: len(a.owned) == PARTITIONS, 1)
        assert trio.current_time() - begun < 0.3
        assert made.covered()
        await trio.sleep(10)
        assert recoveries(a) == []
        assert made.store.shared().live == (a.actor.boot, b.actor.boot)
        await b.actor.mailbox.tell(Drain(on=False))
        await made.settle(2)


async def test_who_stops_is_replaced_at_once_and_his_lease_ends(autojump_clock):
    async with coordinators("a", "b") as made:
        a, b = made.nodes["a"], made.nodes["b"]
        run_under(b, "t1", next(iter(a.owned)))
        begun = trio.current_time()
        b.actor.stop()
        await until(lambda: len(a.owned) == PARTITIONS, 1)
        assert trio.current_time() - begun < 0.3
        await until(lambda: bool(recoveries(a)), 2)
        assert made.store.shared().live == (a.actor.boot,)


async def test_attributes_can_change(autojump_clock):
    async with coordinators("a", "b") as made:
        a, b = made.nodes["a"], made.nodes["b"]
        await b.actor.mailbox.tell(Describe({"executor": "off"}))
        await until(lambda: a.coordination.members()[1].attributes.get("executor") == "off", 1)
        assert a.coordination.members()[1].attributes[ZONES_ATTRIBUTE] == "2026f"
        assert made.covered()


async def test_a_coordinator_that_crashed_takes_part_again(autojump_clock):
    async with coordinators("a", "b") as made:
        b = made.nodes["b"]
        before, boot = made.owners(), b.actor.boot
        scope = trio.CancelScope()

        async def again() -> None:
            with scope:
                await b.actor.run()

        b.actor.suspend()
        await trio.sleep(1)
        made.nursery.start_soon(again)
        await until(lambda: b.own == Own({}, boot), 2)
        await made.settle()
        assert made.owners() == before
        assert b.actor.boot == boot
