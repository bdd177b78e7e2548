"""The gossip actor: the core over a fabric, in virtual time."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
import trio

from actors.gossip import OFFSETS_SECONDS, Gossip
from actors.gossip_messages import (
    TAGS,
    Ack,
    Ask,
    Catalogue,
    Claim,
    Compare,
    Entry,
    Life,
    Load,
    Members,
    Nack,
    News,
    Ping,
    PingRequest,
    Profile,
    State,
)
from actors.gossip_messages import (
    Gossip as GossipNews,
)
from actors.gossip_table import CATALOGUE_BYTES, LABEL_BYTES, PAGE, catalogue_of, digest_of
from actors.model.peer import Peer, Standing
from runtime.codec import Codec
from runtime.coordination_messages import Member
from runtime.errors import InvalidRequest
from runtime.simulation import SimulatedWorld


class Air:
    """What carries messages between fabrics, through the codec as between processes."""

    def __init__(self) -> None:
        self.fabrics: dict[str, Fabric] = {}


class Fabric:
    """One node's end: every boot on the air is linked."""

    def __init__(self, air: Air, boot: str) -> None:
        self.air, self.boot = air, boot
        self.codec = Codec()
        self.known: dict[str, object] = {}
        self.offsets: dict[str, int | None] = {}
        self._handlers: dict[str, Callable[[str, object], None]] = {}
        self._watchers: list[Callable[[str, bool], None]] = []
        self.refuse = False
        air.fabrics[boot] = self

    def receive(self, name: str, handler: Callable[[str, object], None]) -> None:
        self._handlers[name] = handler

    def on_link(self, watcher: Callable[[str, bool], None]) -> None:
        self._watchers.append(watcher)

    def know(self, endpoints: dict[str, object]) -> None:
        self.known = endpoints

    def links(self) -> tuple[SimpleNamespace, ...]:
        return tuple(
            SimpleNamespace(boot=boot, up=True, offset=self.offsets.get(boot))
            for boot in self.air.fabrics
            if boot != self.boot
        )

    def tell(self, boot: str, to: str, message: object) -> bool:
        if self.refuse:
            raise InvalidRequest("this cannot travel")
        data = self.codec.encode(message)
        target = self.air.fabrics.get(boot)
        if target is None:
            return False
        target._handlers[to](self.boot, target.codec.decode(data))
        return True

    def crash(self) -> None:
        """The process is gone: every link to it is reset."""
        del self.air.fabrics[self.boot]
        for other in self.air.fabrics.values():
            for watcher in other._watchers:
                watcher(self.boot, False)


@asynccontextmanager
async def nodes(*names: str) -> AsyncIterator[dict[str, Gossip]]:
    """Gossip actors that run, each of which the coordination service has told of all."""
    air, world = Air(), SimulatedWorld()
    made: dict[str, Gossip] = {}
    for name in names:
        boot = f"{name}-1"
        me = Peer(name, boot, address=f"{name}:1", slots=4, free=4, types=frozenset({name, "common"}))
        made[name] = Gossip(f"gossip of {name}", fabric=Fabric(air, boot), world=world, me=me)
    async with trio.open_nursery() as nursery:
        for gossip in made.values():
            await nursery.start(gossip.run)
        members = Members(tuple(Member(f"{name}-1", name, 1, {"address": f"{name}:1"}) for name in names))
        for gossip in made.values():
            gossip.mailbox.tell_nowait(members)
        yield made
        nursery.cancel_scope.cancel()


def see(gossip: Gossip) -> dict[str, Peer]:
    return {peer.name: peer for peer in gossip.peers}


async def test_nodes_know_what_the_others_are_like(autojump_clock: trio.testing.MockClock) -> None:
    async with nodes("a", "b", "c") as made:
        await trio.sleep(2)
        for gossip in made.values():
            peers = see(gossip)
            assert list(peers) == ["a", "b", "c"]
            for name, peer in peers.items():
                assert peer == Peer(name, f"{name}-1", f"{name}:1", slots=4, free=4, types=frozenset({name, "common"}))
        assert set(made["a"]._fabric.known) == {"b-1", "c-1"}


async def test_changes_are_told_to_those_who_asked(autojump_clock: trio.testing.MockClock) -> None:
    async with nodes("a", "b") as made:
        await trio.sleep(2)
        told: list[tuple[Peer, ...]] = []
        made["b"].subscribe(told.append)
        assert len(told) == 1
        made["a"].describe(free=0, running=4)
        made["a"].describe(labels=(("rack", "7"),), types=frozenset({"new"}))
        await trio.sleep(1)
        peer = {peer.name: peer for peer in told[-1]}["a"]
        assert (peer.free, peer.running, peer.labels, peer.types) == (0, 4, (("rack", "7"),), frozenset({"new"}))
        count = len(told)
        await trio.sleep(60)
        assert len(told) == count


async def test_a_crash_is_told_in_half_a_second_and_known_in_five(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with nodes("a", "b", "c", "d") as made:
        await trio.sleep(2)
        caplog.set_level("INFO", "actors.gossip")
        made["d"]._fabric.crash()
        await trio.sleep(0.6)
        assert caplog.messages == ["d (d-1) seems to be gone"] * 3
        await trio.sleep(4.4)
        for name in "abc":
            assert see(made[name])["d"].standing is Standing.DEAD
        assert len(caplog.messages) == 3


async def test_a_node_that_stops_takes_leave(autojump_clock: trio.testing.MockClock) -> None:
    async with nodes("a", "b", "c") as made:
        await trio.sleep(2)
        made["c"].stop()
        await trio.sleep(0.5)
        assert see(made["a"])["c"].standing is Standing.DEAD
        others = Members(tuple(Member(f"{name}-1", name) for name in "ab"))
        made["a"].mailbox.tell_nowait(others)
        await trio.sleep(0.5)
        assert list(see(made["a"])) == ["a", "b"]


async def test_a_second_life_knows_what_the_first_one_was_told(autojump_clock: trio.testing.MockClock) -> None:
    air, world = Air(), SimulatedWorld()
    for name in "ab":
        Fabric(air, f"{name}-1")
    one, other = (
        Gossip(name, fabric=air.fabrics[f"{name}-1"], world=world, me=Peer(name, f"{name}-1", slots=2)) for name in "ab"
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(other.run)
        for _ in range(2):
            async with trio.open_nursery() as life:
                await life.start(one.run)
                one.mailbox.tell_nowait(Members((Member("a-1", "a"), Member("b-1", "b"))))
                await trio.sleep(1)
                life.cancel_scope.cancel()
            one.describe(free=2)
        await nursery.start(one.run)
        await trio.sleep(1)
        assert {peer.name: peer.standing for peer in one.peers} == {"a": Standing.ALIVE, "b": Standing.ALIVE}
        assert see(other)["a"].free == 2
        assert one.awareness == 0
        nursery.cancel_scope.cancel()


async def test_offsets_are_those_of_the_links_and_not_told_for_nothing(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with nodes("a", "b") as made:
        await trio.sleep(1)
        fabric = made["a"]._fabric
        fabric.offsets["b-1"] = 5_000
        await trio.sleep(OFFSETS_SECONDS + 0.5)
        assert see(made["a"])["b"].offset == 5_000
        fabric.offsets["b-1"] = 5_900
        await trio.sleep(OFFSETS_SECONDS + 0.5)
        assert see(made["a"])["b"].offset == 5_000
        fabric.offsets["b-1"] = 6_100
        await trio.sleep(OFFSETS_SECONDS + 0.5)
        assert see(made["a"])["b"].offset == 6_100
        fabric.offsets["b-1"] = None
        await trio.sleep(OFFSETS_SECONDS + 0.5)
        assert see(made["a"])["b"].offset is None


async def test_a_watcher_that_fails_costs_the_others_nothing(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with nodes("a", "b") as made:
        told: list[tuple[Peer, ...]] = []
        made["a"].subscribe(lambda peers: None if peers[0].slots and len(peers) == 1 else 1 / 0)
        made["a"].subscribe(told.append)
        await trio.sleep(1)
        assert len(told[-1]) == 2
    assert "a watcher of gossip failed" in caplog.text


async def test_what_cannot_travel_is_logged(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with nodes("a", "b") as made:
        made["a"]._fabric.refuse = True
        with caplog.at_level(logging.WARNING):
            await trio.sleep(2)
        assert "cannot tell b-1" in caplog.text


async def test_links_and_messages_before_the_first_turn_are_lost_and_made_good(
    autojump_clock: trio.testing.MockClock,
) -> None:
    air, world = Air(), SimulatedWorld()
    gossip = Gossip("a", fabric=Fabric(air, "a-1"), world=world, me=Peer("a", "a-1"))
    gossip._received("b-1", Ping(1))
    gossip._linked("b-1", True)
    assert len(gossip.mailbox) == 0
    assert gossip.peers == (Peer("a", "a-1"),)


MESSAGES = [
    Ping(1, News((Claim("a", "a-1", 2, Life.SUSPECT, "b"),), (Profile("a", "a-1", 1),), (Load("a", "a-1", 3),))),
    Ack(2**40),
    PingRequest(3, "b-1"),
    Nack(4),
    GossipNews(News(loads=(Load("a", "a-1", 1, False, True, 4, 3, 2),))),
    Compare(2**64 - 1),
    State((Entry(Claim("a", "a-1", 0, Life.DEAD), seconds=1.5),), "a", "b", True),
    Ask(("a",), ("f00",)),
    Catalogue("f00", ("t", "u")),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_messages_travel(message: object) -> None:
    codec = Codec()
    for tag, kind in TAGS.items():
        codec.register(tag, kind)
    assert codec.decode(codec.encode(message)) == message


def test_every_message_has_a_tag_of_gossip() -> None:
    assert {type(message) for message in MESSAGES} == set(TAGS.values())
    assert all(10 <= tag <= 29 for tag in TAGS)


def test_the_largest_messages_fit() -> None:
    codec = Codec()
    for tag, kind in TAGS.items():
        codec.register(tag, kind)
    types = catalogue_of(f"{number:020}" for number in range(CATALOGUE_BYTES))
    boot, name = "b" * 36, "n" * 60
    profile = Profile(name, boot, 2**40, name, (("k", "v" * (LABEL_BYTES - 10)),), digest_of(types), "2026a", "1.2.3")
    entry = Entry(Claim(name, boot, 9, Life.ALIVE), profile, Load(name, boot, 2**40))
    for message in (
        Catalogue(digest_of(types), types),
        State((entry,) * PAGE),
        GossipNews(News(profiles=(profile,) * 128)),
    ):
        assert len(codec.encode(message)) <= codec.max_message
