"""What followers of a cluster's nodes are told: the same at each, after a break too, and by a bounded amount."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing

import tocsin.testing
from actors.herald_messages import Noted
from actors.live.journal import KEPT
from actors.model.scope import EVERYTHING, Scope
from actors.node import Node
from actors.store.port import Audit
from runtime.clock import Instant
from runtime.errors import InvalidRequest, StoreUnavailable
from tests.actors.records import task
from tests.tocsin.test_testing_cluster import START, catalogue
from tocsin.access.limits_core import TooManyRequests
from tocsin.live.events_core import LiveEvent, Position, Wanted, arrived, read_kinds, read_position
from tocsin.live.hub import Follower, Hub
from tocsin.live.settings import FollowerLimits
from tocsin.peers.forwarding import Answers

Event = dict[str, Any]


@asynccontextmanager
async def running(node: Node, limits: FollowerLimits | None = None) -> AsyncIterator[Hub]:
    hub, stop = Hub(node, limits or FollowerLimits()), trio.Event()
    if node.cluster is not None:
        node.cluster.answer = Answers(node)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hub.run, stop)
        yield hub
        stop.set()


def data_of(chunk: bytes) -> Event:
    [line] = [line for line in chunk.decode().splitlines() if line.startswith("data: ")]
    found: Event = json.loads(line[6:])
    return found


def id_of(chunk: bytes) -> str:
    [line] = [line for line in chunk.decode().splitlines() if line.startswith("id: ")]
    return line[4:]


def taken(follower: Follower) -> list[bytes]:
    found: list[bytes] = []
    while (places := follower.advance())[0] != places[1]:
        found += [one.chunk for one in follower.hub.told(*places)]
    return found


async def replayed(hub: Hub, since: str) -> list[Event]:
    return [
        data_of(told if isinstance(told, bytes) else told[1])
        async for told in hub.replay(read_position(since), hub.position())
    ]


def names(events: list[Event]) -> list[str]:
    return [event["task"]["name"] for event in events if event["kind"] == "task"]


@tocsin.testing.simulated(nodes=2, start=START, catalogue=catalogue())
async def test_a_follower_of_any_node_is_told_what_all_nodes_do(cluster: tocsin.testing.VirtualCluster) -> None:
    one, two = (cluster.node(name) for name in ("n1", "n2"))
    async with running(one.inner) as first, running(two.inner) as second:
        await trio.sleep(5)
        async with first.follow("a") as here, second.follow("b") as there:
            await trio.sleep(2)
            await one.every("1h", "plain", name="made here")
            await two.every("1h", "plain", name="made there")
            await trio.sleep(2)
            told = [taken(here), taken(there)]
            for chunks in told:
                assert sorted(names(list(map(data_of, chunks)))) == ["made here", "made there"]
                assert {data_of(chunk)["node"] for chunk in chunks} == {"n1", "n2"}
            seen = id_of(told[0][-1])
            await two.every("1h", "plain", name="in the break")
            await trio.sleep(2)
            # What one node has told is understood by the other.
            for hub in (first, second):
                assert names(await replayed(hub, seen)) == ["in the break"]


@tocsin.testing.simulated(nodes=2, start=START, catalogue=catalogue())
async def test_how_nodes_stand_is_told_and_a_gap_for_one_that_is_gone(cluster: tocsin.testing.VirtualCluster) -> None:
    async with running(cluster.node("n1").inner) as hub:
        cluster.node("n2").inner.cluster.answer = Answers(cluster.node("n2").inner)  # type: ignore[union-attr]
        await trio.sleep(5)
        async with hub.follow("a") as follower:
            before = hub.position().text()
            assert before.count("_") == 2
            cluster.kill("n2")
            await trio.sleep(60)
            members = [data_of(chunk)["member"] for chunk in taken(follower) if b"event: node" in chunk]
            assert members[0]["name"] == "n2" and {"dead", "alive"} & {one["standing"] for one in members}
            [gap] = [event for event in await replayed(hub, before) if event["kind"] == "gap"]
            assert "have ended or started again" in gap["reason"]


def changed(name: str) -> Noted:
    return Noted(((Audit(Instant(1), "eve", "EditTask", "t1"), task(name)),), {})


@asynccontextmanager
async def alone(limits: FollowerLimits | None = None) -> AsyncIterator[tuple[Hub, Node]]:
    async with tocsin.testing.node(catalogue=catalogue()) as found, running(found._node, limits) as hub:
        yield hub, found._node


async def test_a_flood_is_told_as_a_gap(autojump_clock: trio.testing.MockClock) -> None:
    async with alone(FollowerLimits(rate=100)) as (hub, node), hub.follow("a") as follower:
        for number in range(KEPT + 500):
            node.journal.hear(changed(f"t{number}"))
        await trio.sleep(2)
        told = [data_of(chunk) for chunk in taken(follower)]
        assert told[0]["kind"] == "gap" and told[0]["reason"] == "more happened than is told"
        assert len(told) <= 2 * 100 + 1
        assert told[-1]["task"]["itemId"] == f"t{KEPT + 499}", "what is told is the newest"


async def test_who_is_far_behind_passes_over_what_is_gone(autojump_clock: trio.testing.MockClock) -> None:
    async with alone(FollowerLimits(rate=2_000)) as (hub, node), hub.follow("a") as follower:
        for number in range(hub.size + 10):
            node.journal.hear(changed(f"t{number}"))
        await trio.sleep(3)
        assert follower.behind()
        assert data_of(follower.skip())["kind"] == "gap"
        assert not follower.behind() and taken(follower)


async def test_what_the_journal_has_no_more_is_a_gap(autojump_clock: trio.testing.MockClock) -> None:
    async with alone(FollowerLimits(rate=100_000)) as (hub, node), hub.follow("a"):
        node.journal.hear(changed("first"))
        await trio.sleep(1)
        seen = hub.position().text()
        for number in range(KEPT + 1):
            node.journal.hear(changed(f"t{number}"))
            if number % 1_000 == 0:
                await trio.sleep(1)
        await trio.sleep(1)
        told = await replayed(hub, seen)
        assert told[0]["kind"] == "gap" and told[0]["reason"] == "more has happened than is kept"
        assert len(told) == KEPT + 1


async def test_how_many_may_follow(autojump_clock: trio.testing.MockClock) -> None:
    async with alone(FollowerLimits(followers=3, per_token=2)) as (hub, _):
        async with hub.follow("a"), hub.follow("a"):
            with pytest.raises(TooManyRequests, match=r"events\.per_token"):
                async with hub.follow("a"):
                    pass
            async with hub.follow("b"):
                assert hub.followers == 3
                with pytest.raises(StoreUnavailable, match=r"events\.followers"):
                    async with hub.follow("c"):
                        pass
        assert hub.followers == 0
    with pytest.raises(StoreUnavailable, match="stops"):
        async with hub.follow("a"):
            pass


def event(**changes: Any) -> LiveEvent:
    data = {"task": {"itemId": "t1", "taskType": "greet", "tags": ["a"]}}
    return LiveEvent(1, 5, "task", data, changes.get("tenant", "acme"), changes.get("owner", "eve"))


@pytest.mark.parametrize(
    ("wanted", "good"),
    [
        (Wanted(EVERYTHING), True),
        (Wanted(Scope("acme")), True),
        (Wanted(Scope("globex")), False),
        (Wanted(Scope("")), False),
        (Wanted(Scope("acme", "eve")), True),
        (Wanted(Scope("acme", "adam")), False),
        (Wanted(EVERYTHING, frozenset({"execution"})), False),
        (Wanted(EVERYTHING, frozenset({"task"}), frozenset({"t0", "t1"}), "greet", "a"), True),
        (Wanted(EVERYTHING, tasks=frozenset({"t2"})), False),
        (Wanted(EVERYTHING, type="other"), False),
        (Wanted(EVERYTHING, tag="b"), False),
    ],
)
def test_who_is_told_what(wanted: Wanted, good: bool) -> None:
    assert wanted.has(event()) is good
    assert wanted.has(arrived(json.loads(json.dumps(event().travelling())))) is good


def test_how_nodes_stand_is_everybody_s_who_asks_for_no_task() -> None:
    about = LiveEvent(1, 5, "node", {"member": {}})
    assert Wanted(Scope("acme", "eve")).has(about)
    assert not Wanted(EVERYTHING, tag="a").has(about)


def test_an_id_says_a_position() -> None:
    position = Position(Instant(17), {"b": 2, "a": 11})
    assert position.text() == "17_a.11_b.2"
    assert read_position("17_a.11_b.2") == position
    assert read_position("17") == Position(Instant(17), {})
    assert read_position("1970-01-01T01:00:01 01:00") == Position(Instant(1_000_000), {})
    for text in ("", "x", "17_", "17_a", "17_a.x", "17_a.1" * 70, "-1", "17\n", "T", "2026-01-01T00:00"):
        with pytest.raises(InvalidRequest, match="after"):
            read_position(text)
    with pytest.raises(InvalidRequest, match="kind"):
        read_kinds("task,thing")
    assert read_kinds("task, node") == {"task", "node"} and read_kinds(None) == frozenset()


@pytest.mark.parametrize("told", [None, [], [1, 2, 3], [1, 2, "x", 7, None, None], ["x", 1, "task", {}, "", ""]])
def test_what_another_node_tells_is_checked(told: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        arrived(told)
