"""The tree of a registry: nodes, versions, transactions and watches, over ZooKeeper and its simulated twin."""

from __future__ import annotations

import pytest
import trio

from runtime.errors import InternalError, TooLarge
from runtime.registry_messages import (
    MAX_DATA,
    MAX_REQUEST,
    Changed,
    Connected,
    Disconnected,
    NodeExists,
    NodeStat,
    NoNode,
    Op,
    VersionMismatch,
)

from .registry_kit import LONG_SESSION, TICK, Rig, contract, ensemble_contract


@contract
async def test_what_is_created_is_read(rig: Rig) -> None:
    at = (await rig.open("a", LONG_SESSION)).registry
    assert await at.create("/x", b"data") == "/x"
    stat = await at.get("/x")
    assert (stat.data, stat.version, stat.owner) == (b"data", 0, None)
    assert await at.exists("/x") == NodeStat(b"", 0, None, stat.created)


@contract
async def test_a_node_is_created_once_and_below_another(rig: Rig) -> None:
    at = (await rig.open("a", LONG_SESSION)).registry
    await at.create("/x")
    with pytest.raises(NodeExists):
        await at.create("/x")
    with pytest.raises(NoNode):
        await at.create("/y/z")
    with pytest.raises(NoNode):
        await at.create("/y/z-", sequential=True)


@contract
async def test_what_is_not_there(rig: Rig) -> None:
    at = (await rig.open("a", LONG_SESSION)).registry
    assert await at.exists("/x") is None
    for missing in (at.get("/x"), at.children("/x"), at.set("/x", b""), at.delete("/x")):
        with pytest.raises(NoNode):
            await missing


@contract
async def test_sequential_numbers_grow_and_are_not_used_again(rig: Rig) -> None:
    at = (await rig.open("a", LONG_SESSION)).registry
    await at.create("/x")
    first = await at.create("/x/n-", sequential=True)
    second = await at.create("/x/n-", sequential=True, ephemeral=True)
    await at.delete(second)
    third = await at.create("/x/other-", sequential=True)
    assert first == "/x/n-0000000000"
    assert [len(path.rpartition("-")[2]) for path in (first, second, third)] == [10, 10, 10]
    assert first[-10:] < second[-10:] < third[-10:]


@contract
async def test_an_ephemeral_node_carries_its_session(rig: Rig) -> None:
    a, b = await rig.open("a", LONG_SESSION), await rig.open("b", LONG_SESSION)
    await a.registry.create("/x", ephemeral=True)
    await b.registry.sync()
    seen = await b.registry.get("/x")
    assert seen.owner == a.session != b.session


@contract
async def test_an_ephemeral_node_has_no_children(rig: Rig) -> None:
    at = (await rig.open("a", LONG_SESSION)).registry
    await at.create("/x", ephemeral=True)
    with pytest.raises(InternalError):
        await at.create("/x/y")


@contract
async def test_children_are_sorted_and_only_those_right_below(rig: Rig) -> None:
    at = (await rig.open("a", LONG_SESSION)).registry
    for path in ("/x", "/x/b", "/x/a", "/x/a/deep", "/xy"):
        await at.create(path)
    assert await at.children("/x") == ["a", "b"]
    assert await at.children("/") == ["x", "xy"]
    assert await at.children("/x/b") == []


@contract
async def test_a_write_raises_the_version_and_may_expect_one(rig: Rig) -> None:
    at = (await rig.open("a", LONG_SESSION)).registry
    await at.create("/x", b"0")
    assert (await at.set("/x", b"1")).version == 1
    assert (await at.set("/x", b"2", 1)).version == 2
    with pytest.raises(VersionMismatch):
        await at.set("/x", b"3", 1)
    stat = await at.get("/x")
    assert (stat.data, stat.version) == (b"2", 2)


@contract
async def test_a_node_goes_if_version_and_children_allow(rig: Rig) -> None:
    at = (await rig.open("a", LONG_SESSION)).registry
    await at.create("/x")
    await at.create("/x/y")
    with pytest.raises(VersionMismatch):
        await at.delete("/x")
    with pytest.raises(VersionMismatch):
        await at.delete("/x/y", 1)
    await at.delete("/x/y", 0)
    await at.delete("/x")
    assert await at.exists("/x") is None


@contract
async def test_a_node_made_anew_is_another_one(rig: Rig) -> None:
    at = (await rig.open("a", LONG_SESSION)).registry
    await at.create("/x")
    await at.set("/x", b"1")
    before = await at.get("/x")
    await at.delete("/x")
    await at.create("/x", b"1")
    after = await at.get("/x")
    assert after.created > before.created and after.version == 0


@contract
async def test_too_much_is_refused_before_it_is_sent(rig: Rig) -> None:
    a = await rig.open("a", LONG_SESSION)
    at = a.registry
    await at.create("/x", bytes(MAX_DATA))
    for call in (at.create("/y", bytes(MAX_DATA + 1)), at.set("/x", bytes(MAX_DATA + 1))):
        with pytest.raises(TooLarge):
            await call
    many = [Op("create", f"/y{number}", bytes(MAX_DATA)) for number in range(1 + MAX_REQUEST // MAX_DATA)]
    with pytest.raises(TooLarge):
        await at.transact(many)
    await at.transact([Op("create", "/fits", bytes(MAX_DATA)), Op("create", "/too", bytes(MAX_DATA))])
    assert await at.children("/") == ["fits", "too", "x"]
    assert a.heard() == []


@contract
async def test_a_transaction_is_carried_out_as_one(rig: Rig) -> None:
    a = await rig.open("a", LONG_SESSION)
    at = a.registry
    await at.create("/x", b"0")
    await at.transact([])
    await at.transact(
        [
            Op("check", "/x", version=0),
            Op("create", "/y"),
            Op("create", "/y/mine", b"m", ephemeral=True),
            Op("set", "/x", b"1", version=0),
            Op("check", "/x", version=1),
            Op("create", "/gone"),
            Op("delete", "/gone"),
        ]
    )
    assert await at.children("/") == ["x", "y"]
    mine = await at.get("/y/mine")
    assert (mine.data, mine.owner) == (b"m", a.session)
    assert (await at.get("/x")).version == 1


@contract
async def test_a_transaction_that_fails_leaves_nothing_and_says_why(rig: Rig) -> None:
    at = (await rig.open("a", LONG_SESSION)).registry
    await at.create("/x")
    first = Op("create", "/new")
    failing = [
        (Op("check", "/x", version=3), VersionMismatch),
        (Op("set", "/x", b"", version=3), VersionMismatch),
        (Op("delete", "/x", version=3), VersionMismatch),
        (Op("create", "/x"), NodeExists),
        (Op("create", "/no/parent"), NoNode),
        (Op("delete", "/no"), NoNode),
        (Op("check", "/no", version=-1), NoNode),
    ]
    for op, error in failing:
        with pytest.raises(error):
            await at.transact([first, op, Op("create", "/x/later")])
    assert await at.children("/") == ["x"]
    assert await at.children("/x") == []


@contract
async def test_a_watch_tells_once(rig: Rig) -> None:
    a, b = await rig.open("a", LONG_SESSION), await rig.open("b", LONG_SESSION)
    await a.registry.create("/x", b"0")
    await a.registry.get("/x", watch=True)
    await b.registry.set("/x", b"1")
    assert await a.next(Changed) == Changed("/x")
    await b.registry.set("/x", b"2")
    await a.registry.sync()
    await a.registry.get("/x", watch=True)
    assert a.heard() == []
    await b.registry.delete("/x")
    assert await a.next(Changed) == Changed("/x")


@contract
async def test_a_watch_of_children_tells_of_names_only(rig: Rig) -> None:
    a, b = await rig.open("a", LONG_SESSION), await rig.open("b", LONG_SESSION)
    await b.registry.create("/x")
    await b.registry.create("/x/y")
    await a.registry.sync()
    assert await a.registry.children("/x", watch=True) == ["y"]
    await b.registry.set("/x/y", b"1")
    await b.registry.set("/x", b"1")
    await b.registry.create("/x/y/z")
    await a.registry.sync()
    assert a.heard() == []
    await b.registry.create("/x/w")
    assert await a.next(Changed) == Changed("/x")
    assert await a.registry.children("/x", watch=True) == ["w", "y"]
    await b.registry.delete("/x/w")
    assert await a.next(Changed) == Changed("/x")


@contract
async def test_a_watch_of_what_is_not_there_tells_of_its_creation(rig: Rig) -> None:
    a, b = await rig.open("a", LONG_SESSION), await rig.open("b", LONG_SESSION)
    assert await a.registry.exists("/x", watch=True) is None
    for missing in (a.registry.get("/y", watch=True), a.registry.children("/y", watch=True)):
        with pytest.raises(NoNode):
            await missing
    await b.registry.create("/y")
    await b.registry.create("/x")
    assert await a.next(Changed) == Changed("/x")
    await a.registry.sync()
    assert a.heard() == []


@contract
async def test_two_watches_of_one_path_tell_once_of_its_end(rig: Rig) -> None:
    a, b = await rig.open("a", LONG_SESSION), await rig.open("b", LONG_SESSION)
    await b.registry.create("/x")
    await a.registry.sync()
    await a.registry.get("/x", watch=True)
    await a.registry.exists("/x", watch=True)
    await a.registry.children("/x", watch=True)
    await b.registry.delete("/x")
    assert await a.next(Changed) == Changed("/x")
    await a.registry.sync()
    assert a.heard() == []


@ensemble_contract
async def test_a_change_is_told_before_it_can_be_read(rig: Rig) -> None:
    a, b = await rig.open("a", LONG_SESSION), await rig.open("b", LONG_SESSION)
    await b.registry.create("/x", b"0")
    await a.registry.sync()
    for number in range(20):
        before = await a.registry.get("/x", watch=True)
        await b.registry.set("/x", b"%d" % number)
        while (await a.registry.get("/x")).version == before.version:  # noqa: ASYNC110 - what is read is the point
            await trio.sleep(0.001)
        assert a.heard() == [Changed("/x")]


@ensemble_contract
async def test_after_sync_nothing_older_is_read(rig: Rig) -> None:
    clients = [await rig.open(name, LONG_SESSION) for name in "abc"]
    await clients[0].registry.create("/x", b"")
    for number in range(10):
        writer = clients[number % 3].registry
        await writer.set("/x", b"%d" % number)
        assert (await writer.get("/x")).data == b"%d" % number
        for client in clients:
            await client.registry.sync()
            assert (await client.registry.get("/x")).data == b"%d" % number


@contract
async def test_watches_are_gone_after_a_reconnect(rig: Rig) -> None:
    a, b = await rig.open("a", LONG_SESSION), await rig.open("b", LONG_SESSION)
    await a.registry.create("/x", b"0")
    await a.registry.create("/x/y", ephemeral=True)
    await a.registry.get("/x", watch=True)
    await a.registry.children("/x", watch=True)
    rig.reset(a)
    await a.next(Disconnected)
    assert not (await a.next(Connected)).fresh
    await b.registry.set("/x", b"1")
    await b.registry.create("/x/z")
    await trio.sleep(TICK)
    assert a.heard() == []
    await a.registry.sync()
    assert (await a.registry.get("/x")).data == b"1"
    assert await a.registry.children("/x") == ["y", "z"]
