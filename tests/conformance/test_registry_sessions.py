"""Sessions of a registry: how they begin, what breaks a connection, who ends them, over ZooKeeper and its simulated twin."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

import pytest
import trio

from runtime.registry_messages import (
    CLOSE_SECONDS,
    MAX_PAUSE_SECONDS,
    Changed,
    Connected,
    Disconnected,
    Lost,
    NodeExists,
    NoNode,
    Op,
    RegistryUnavailable,
)

from .registry_kit import LONG_SESSION, SESSION, TICK, Client, Rig, contract, ensemble_contract

MIDDLE_SESSION = 5.0
"""Seconds of a session's timeout where something slow has to happen before its end, or the client to come back in time."""

T = TypeVar("T")


def gone(at: Client, path: str) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return await at.registry.exists(path) is None

    return look


def there(at: Client, path: str) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return await at.registry.exists(path) is not None

    return look


@contract
async def test_a_session_begins_fresh_with_what_was_agreed(rig: Rig) -> None:
    a = await rig.begin("a", SESSION)
    assert await a.next(Connected) == Connected(a.session, SESSION, fresh=True)
    b = await rig.begin("b", 0.1)
    heard = await b.next(Connected)
    assert heard.timeout_seconds == 2 * TICK
    assert heard.session != a.session


@contract
async def test_a_client_that_stops_takes_its_nodes_with_it_at_once(rig: Rig) -> None:
    a, b = await rig.open("a", LONG_SESSION), await rig.open("b", LONG_SESSION)
    await a.registry.create("/x", ephemeral=True)
    await rig.until(there(b, "/x"))
    await b.registry.exists("/x", watch=True)
    began = trio.current_time()
    await a.stop()
    await b.next(Changed)
    assert trio.current_time() - began < CLOSE_SECONDS + rig.slack
    assert await b.registry.exists("/x") is None


@contract
async def test_the_nodes_of_a_crashed_client_stay_until_its_session_ends(rig: Rig) -> None:
    a, b = await rig.open("a", MIDDLE_SESSION), await rig.open("b", LONG_SESSION)
    await a.registry.create("/x", ephemeral=True)
    await b.registry.sync()
    heard = trio.current_time()
    await rig.crash(a)
    assert (await b.registry.get("/x")).owner == a.session
    await rig.until(gone(b, "/x"))
    assert MIDDLE_SESSION / 2 < trio.current_time() - heard < MIDDLE_SESSION + 2 * TICK + rig.slack


@contract
async def test_a_broken_connection_is_not_a_lost_session(rig: Rig) -> None:
    a = await rig.open("a", LONG_SESSION)
    await a.registry.create("/x", ephemeral=True)
    for _ in range(3):
        rig.reset(a)
        await a.next(Disconnected)
        assert await a.next(Connected) == Connected(a.session, LONG_SESSION, fresh=False)
    assert (await a.registry.get("/x")).owner == a.session


@contract
async def test_a_short_cut_costs_no_session(rig: Rig) -> None:
    a = await rig.open("a", LONG_SESSION)
    session = a.session
    await a.registry.create("/x", ephemeral=True)
    rig.cut(a)
    await trio.sleep(1.0)
    rig.heal(a)
    while not await answers(a):  # noqa: ASYNC110 - events tell nothing if it was not noticed
        await trio.sleep(0.05)
    assert (await a.registry.get("/x")).owner == session
    assert not any(isinstance(event, Lost) for event in a.heard())


async def answers(client: Client) -> bool:
    try:
        await client.registry.sync()
    except RegistryUnavailable:
        return False
    return True


async def carried_out(call: Callable[[], Awaitable[T]]) -> T:
    """Make a call again and again until it is answered. It may have been carried out before."""
    while True:
        try:
            return await call()
        except RegistryUnavailable:
            await trio.sleep(0.1)


@contract
async def test_a_session_ends_unheard_while_no_server_is_reached(rig: Rig) -> None:
    a, b = await rig.open("a"), await rig.open("b", LONG_SESSION)
    former = a.session
    await a.registry.create("/x", ephemeral=True)
    await rig.until(there(b, "/x"))
    began = trio.current_time()
    rig.cut(a)
    await a.next(Disconnected)
    assert trio.current_time() - began < SESSION + rig.slack
    await rig.until(gone(b, "/x"))
    await trio.sleep(2 * SESSION)
    assert a.heard() == []
    rig.heal(a)
    await a.next(Lost)
    assert (await a.next(Connected)).fresh
    assert a.session != former
    assert await a.registry.exists("/x") is None


@contract
async def test_the_servers_may_end_a_session_at_any_time(rig: Rig) -> None:
    a, b = await rig.open("a"), await rig.open("b", LONG_SESSION)
    former = a.session
    await a.registry.create("/x", ephemeral=True)
    await rig.until(there(b, "/x"))
    await rig.expire(a)
    await a.next(Disconnected)
    await a.next(Lost)
    assert (await a.next(Connected)).fresh and a.session != former
    await b.registry.sync()
    assert await b.registry.exists("/x") is None
    await a.registry.create("/x", ephemeral=True)
    assert (await a.registry.get("/x")).owner == a.session


@contract
async def test_a_session_can_be_ended_on_purpose(rig: Rig) -> None:
    a, b = await rig.open("a", LONG_SESSION), await rig.open("b", LONG_SESSION)
    former = a.session
    await a.registry.create("/x", ephemeral=True)
    await rig.until(there(b, "/x"))
    await b.registry.exists("/x", watch=True)
    await a.registry.expire()
    await a.next(Lost)
    assert (await a.next(Connected)).fresh and a.session != former
    await b.next(Changed)
    assert await b.registry.exists("/x") is None
    await a.registry.create("/x", ephemeral=True)


@contract
async def test_a_session_that_no_server_hears_of_is_given_up_all_the_same(rig: Rig) -> None:
    a, b = await rig.open("a", LONG_SESSION), await rig.open("b", LONG_SESSION)
    former = a.session
    await a.registry.create("/x", ephemeral=True)
    await rig.until(there(b, "/x"))
    rig.cut(a)
    began = trio.current_time()
    await a.registry.expire()
    assert trio.current_time() - began < CLOSE_SECONDS + rig.slack
    await a.next(Lost)
    assert (await b.registry.get("/x")).owner == former
    rig.heal(a)
    assert (await a.next(Connected)).fresh and a.session != former


@contract
async def test_a_former_node_of_ones_own_is_not_ones_own(rig: Rig) -> None:
    a, b = await rig.open("a", MIDDLE_SESSION), await rig.open("b", LONG_SESSION)
    await a.registry.create("/x", ephemeral=True)
    await rig.until(there(b, "/x"))
    await rig.crash(a)
    again = await rig.open("again")
    await again.registry.sync()
    seen = await again.registry.get("/x")
    assert seen.owner == a.session != again.session
    await rig.until(gone(again, "/x"))


@contract
async def test_calls_without_a_server_fail_at_once(rig: Rig) -> None:
    a = await rig.open("a")
    rig.cut(a)
    await a.next(Disconnected)
    began = trio.current_time()
    calls = (
        a.registry.create("/x"),
        a.registry.get("/"),
        a.registry.exists("/"),
        a.registry.children("/"),
        a.registry.set("/", b""),
        a.registry.delete("/x"),
        a.registry.transact([Op("create", "/x")]),
        a.registry.sync(),
    )
    for call in calls:
        with pytest.raises(RegistryUnavailable):
            await call
    assert trio.current_time() - began < rig.slack


@contract
async def test_a_call_under_way_fails_within_the_timeout(rig: Rig) -> None:
    a, b = await rig.open("a"), await rig.open("b", LONG_SESSION)
    rig.cut(a)
    began = trio.current_time()
    with pytest.raises(RegistryUnavailable):
        await a.registry.create("/x")
    assert trio.current_time() - began < SESSION + rig.slack
    await a.next(Disconnected)
    with pytest.raises(NoNode):
        await b.registry.get("/x")


@contract
async def test_a_cancelled_call_leaves_the_client_usable(rig: Rig) -> None:
    a = await rig.open("a", LONG_SESSION)
    with trio.CancelScope() as scope:
        scope.cancel()
        await a.registry.create("/never")
    for _ in range(300):
        with trio.move_on_after(0):
            await a.registry.sync()
    assert await a.registry.children("/") == []
    assert a.heard() == []


@contract
async def test_many_calls_at_once_are_all_answered(rig: Rig) -> None:
    a = await rig.open("a", LONG_SESSION)
    async with trio.open_nursery() as nursery:
        for number in range(400):
            nursery.start_soon(a.registry.create, f"/{number}")
    assert len(await a.registry.children("/")) == 400


@contract
async def test_a_lost_reply_hides_what_was_done(rig: Rig) -> None:
    a, b = await rig.open("a", LONG_SESSION), await rig.open("b", LONG_SESSION)
    await rig.lose_reply(a, lambda: a.registry.create("/x", b"mine", ephemeral=True), there(b, "/x"))
    await a.next(Disconnected)
    assert not (await a.next(Connected)).fresh
    found = await a.registry.get("/x")
    assert (found.data, found.owner) == (b"mine", a.session)


@contract
async def test_a_lost_reply_of_a_transaction_hides_all_of_it(rig: Rig) -> None:
    a, b = await rig.open("a", LONG_SESSION), await rig.open("b", LONG_SESSION)
    ops = [Op("create", "/x"), Op("create", "/x/y", ephemeral=True)]
    await rig.lose_reply(a, lambda: a.registry.transact(ops), there(b, "/x/y"))
    await a.next(Disconnected)
    assert not (await a.next(Connected)).fresh
    assert (await a.registry.get("/x/y")).owner == a.session


@contract
async def test_it_is_known_when_a_server_last_answered(rig: Rig) -> None:
    a = await rig.begin("a")
    await a.next(Connected)
    began = trio.current_time()
    await a.registry.sync()
    called = a.registry.last_answer()
    assert began <= called <= trio.current_time()

    async def pinged() -> bool:
        return a.registry.last_answer() > called

    # Without a call: the client pings by itself.
    assert await rig.until(pinged) < SESSION / 2 + rig.slack
    rig.cut(a)
    cut = trio.current_time()
    with pytest.raises(RegistryUnavailable):
        await a.registry.sync()
    assert -math.inf < a.registry.last_answer() <= cut


@contract
async def test_a_frozen_server_is_noticed_and_outlived(rig: Rig) -> None:
    a = await rig.open("a")
    await a.registry.create("/x", ephemeral=True)
    rig.freeze()
    # A process takes a moment to stop.
    await trio.sleep(TICK)
    began = trio.current_time()
    with pytest.raises(RegistryUnavailable):
        await a.registry.set("/x", b"1")
    await a.next(Disconnected)
    assert trio.current_time() - began < SESSION + rig.slack
    await trio.sleep(3 * SESSION)
    assert a.heard() == []
    rig.thaw()
    # Whether the session has outlived it is the servers' to say, and they may take it back at once if they look late.
    await a.until(Connected)
    while not await answers(a):  # noqa: ASYNC110 - one way or the other there is a session again
        await trio.sleep(0.05)


@contract
async def test_calls_do_not_hide_that_nothing_is_answered(rig: Rig) -> None:
    a = await rig.open("a")
    rig.freeze()
    await trio.sleep(TICK)
    began = trio.current_time()
    async with trio.open_nursery() as nursery:

        async def call_on() -> None:
            while True:
                nursery.start_soon(call_once)
                await trio.sleep(SESSION / 20)

        async def call_once() -> None:
            with pytest.raises(RegistryUnavailable):
                await a.registry.get("/")

        nursery.start_soon(call_on)
        await a.next(Disconnected)
        nursery.cancel_scope.cancel()
    assert trio.current_time() - began < SESSION + rig.slack


@contract
async def test_sessions_outlive_servers_that_are_down_for_long(rig: Rig) -> None:
    a = await rig.open("a", MIDDLE_SESSION)
    await a.registry.create("/x", ephemeral=True)
    await rig.take_down()
    await a.next(Disconnected)
    await trio.sleep(1.2 * MIDDLE_SESSION)
    await rig.bring_back()
    assert not (await a.next(Connected)).fresh
    assert (await a.registry.get("/x")).owner == a.session


@contract
async def test_a_session_begins_once_a_server_is_there(rig: Rig) -> None:
    await rig.take_down()
    a = await rig.begin("a")
    with pytest.raises(RegistryUnavailable):
        await a.registry.get("/")
    await trio.sleep(5 * MAX_PAUSE_SECONDS)
    assert a.heard() == []
    await rig.bring_back()
    began = trio.current_time()
    assert (await a.next(Connected)).fresh
    assert trio.current_time() - began < 2 * MAX_PAUSE_SECONDS + rig.slack


@contract
async def test_servers_that_lost_everything_end_all_sessions(rig: Rig) -> None:
    a = await rig.open("a", 1.0)
    former = a.session
    for number in range(20):
        await a.registry.create(f"/{number}", ephemeral=number % 2 == 0)
    await rig.wipe()
    await a.until(Lost)
    assert (await a.until(Connected)).fresh
    assert a.session != former
    assert await a.registry.children("/") == []


@ensemble_contract
async def test_a_killed_leader_costs_no_session(rig: Rig) -> None:
    clients = [await rig.open(name, LONG_SESSION) for name in "abc"]
    sessions = [client.session for client in clients]
    for client in clients:
        await client.registry.create(f"/{client.name}", ephemeral=True)
    await rig.kill_leader()
    for client in clients:
        while not await answers(client):  # noqa: ASYNC110 - events tell nothing if its own server lives on
            await trio.sleep(0.05)
        assert await client.registry.children("/") == ["a", "b", "c"]
        assert not any(isinstance(event, Lost) for event in client.heard())
    assert [(await clients[0].registry.get(f"/{name}")).owner for name in "abc"] == sessions


@ensemble_contract
async def test_a_frozen_leader_is_left_behind(rig: Rig) -> None:
    a = await rig.open("a", 4.0)
    await a.registry.create("/kept")
    await rig.freeze_leader()
    # Events tell nothing if it was not noticed, and who leads may be undecided more than once.
    with suppress(NodeExists):
        await carried_out(lambda: a.registry.create("/new"))
    assert await carried_out(lambda: a.registry.children("/")) == ["kept", "new"]
    rig.thaw()
    await trio.sleep(2 * TICK)
    # The thawed one may have to find its place first.
    assert await carried_out(lambda: a.registry.children("/")) == ["kept", "new"]


@ensemble_contract
async def test_without_a_majority_nobody_is_answered_and_no_session_ends(rig: Rig) -> None:
    a = await rig.open("a", MIDDLE_SESSION)
    await a.registry.create("/x", ephemeral=True)
    await rig.take_down()
    await a.next(Disconnected)
    with pytest.raises(RegistryUnavailable):
        await a.registry.set("/x", b"1")
    await trio.sleep(1.2 * MIDDLE_SESSION)
    assert a.heard() == []
    await rig.bring_back()
    await a.until(Connected)
    found = await a.registry.get("/x")
    assert (found.owner, found.version) == (a.session, 0)
