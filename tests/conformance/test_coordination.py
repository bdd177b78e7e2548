"""What a node can rely on, alone and in a cluster: over one node without a server, the simulated servers and ZooKeeper.

What needs several nodes is asked of the two that have them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing

from runtime.cluster_coordination import ClusterCoordination, CoordinationSettings
from runtime.coordination import Coordination, SoloCoordination
from runtime.coordination_messages import (
    Barred,
    CoordinationEvent,
    Granted,
    Member,
    MembersChanged,
    Revoked,
    SessionLost,
)
from runtime.errors import Conflict
from runtime.simulation import SimulatedWorld
from runtime.world import RealWorld

from .registry_kit import HANG, LONG_SESSION, SESSION, TICK, Client, RealRig, Rig, Servers, contract, ensemble_contract

SLOTS = 12


class Part:
    """A node's part: it takes what it is granted and gives up what is revoked."""

    def __init__(self, coordination: Coordination, member: Member) -> None:
        self.coordination = coordination
        self.member = member
        self.grants: dict[int, int] = {}
        self.former: dict[int, int] = {}
        self.history: list[CoordinationEvent] = []

    async def join(self, nursery: trio.Nursery) -> None:
        events = await self.coordination.join(self.member)
        nursery.start_soon(self._listen, events)
        await self.coordination.request(self.former)

    async def _listen(self, events: trio.MemoryReceiveChannel[CoordinationEvent]) -> None:
        async for event in events:
            self.history.append(event)
            match event:
                case Granted(grants=grants):
                    self.grants.update(grants)
                    self.former.update(grants)
                case Revoked(slots=slots):
                    for slot in slots:
                        self.grants.pop(slot, None)
                    await self.coordination.released(slots)
                case SessionLost():
                    self.grants.clear()
                case MembersChanged() | Barred():
                    pass

    async def until(self, holds: Callable[[], bool]) -> float:
        began = trio.current_time()
        with trio.fail_after(HANG):
            while not holds():  # noqa: ASYNC110 - nothing tells of a dictionary
                await trio.sleep(0.01)
        return trio.current_time() - began


async def part(
    rig: Rig,
    name: str,
    boot: str = "",
    client: str = "",
    weight: int = 1,
    cluster_id: str = "c1",
    session: float = LONG_SESSION,
) -> Part:
    """A node in a cluster, which has joined. session: its timeout in seconds."""
    registry = await rig.registry(client or name, session)
    coordination = ClusterCoordination(
        registry,
        world=RealWorld() if isinstance(rig, RealRig) else SimulatedWorld(),
        slots=SLOTS,
        cluster_id=cluster_id,
        settings=CoordinationSettings(tick_seconds=TICK),
    )
    await rig.nursery.start(coordination.run)
    made = Part(coordination, Member(boot or f"{name}-1", name, weight))
    await made.join(rig.nursery)
    return made


def shared(*parts: Part) -> Callable[[], bool]:
    """Everything is held once, in even shares."""

    def look() -> bool:
        held = sorted(slot for each in parts for slot in each.grants)
        counts = [len(each.grants) for each in parts]
        return held == list(range(SLOTS)) and max(counts) - min(counts) <= 1

    return look


# -- what a node can rely on that is alone

Check = Callable[[Part, trio.Nursery], Awaitable[None]]


def alone(check: Check) -> Callable[[str, pytest.FixtureRequest, int], None]:
    """Hold one node to this: without a server, and with simulated and real ones."""

    async def over_nothing() -> None:
        async with trio.open_nursery() as nursery:
            made = Part(SoloCoordination(SLOTS), Member("a-1", "a"))
            await made.join(nursery)
            with trio.fail_after(HANG):
                await check(made, nursery)
            nursery.cancel_scope.cancel()

    async def over(rig: Rig) -> None:
        await check(await part(rig, "a"), rig.nursery)

    @pytest.mark.parametrize("service", ["none", "simulated", "zookeeper"])
    def test(service: str, request: pytest.FixtureRequest, run_seed: int) -> None:
        if service == "none":
            trio.run(over_nothing, clock=trio.testing.MockClock(autojump_threshold=0))
        else:
            real = request.getfixturevalue("zookeeper_server") if service == "zookeeper" else None
            Servers(real, 1, run_seed).run(over)

    test.__name__, test.__doc__ = check.__name__, check.__doc__
    return test


@alone
async def test_who_is_alone_is_granted_everything_above_what_was_granted_before(a: Part, nursery: trio.Nursery) -> None:
    await a.until(lambda: len(a.grants) == SLOTS)
    first = dict(a.grants)
    await a.join(nursery)
    await a.until(lambda: all(a.grants[slot] > grant for slot, grant in first.items()))
    assert a.coordination.members() == (a.member,)


@alone
async def test_what_there_is_to_see(a: Part, nursery: trio.Nursery) -> None:
    await a.until(lambda: a.coordination.status().trusted and len(a.grants) == SLOTS)
    status = a.coordination.status()
    assert status.connected
    assert status.leader == "a"
    assert status.session
    assert status.owners == dict.fromkeys(range(SLOTS), "a")
    assert (status.gate, status.problem) == (None, None)


@alone
async def test_recorded_epochs_are_kept(a: Part, nursery: trio.Nursery) -> None:
    await a.until(lambda: len(a.grants) == SLOTS)
    assert await a.coordination.recorded() == {}
    await a.coordination.record({3: 0, 4: 7})
    await a.coordination.record({5: 1})
    assert await a.coordination.recorded() == {3: 0, 4: 7, 5: 1}


@alone
async def test_who_has_left_is_told_nothing_until_he_joins_again(a: Part, nursery: trio.Nursery) -> None:
    await a.until(lambda: len(a.grants) == SLOTS)
    await a.coordination.leave()
    a.history.clear()
    a.grants.clear()
    await a.coordination.request(a.former)
    await trio.sleep(3 * TICK)
    assert a.history == []
    assert a.coordination.members() == ()
    await a.join(nursery)
    await a.until(lambda: len(a.grants) == SLOTS)


# -- and what several can


@contract
async def test_slots_are_shared_and_handed_over(rig: Rig) -> None:
    a = await part(rig, "a")
    b = await part(rig, "b")
    await a.until(shared(a, b))
    c = await part(rig, "c")
    await a.until(shared(a, b, c))
    assert [member.name for member in a.coordination.members()] == ["a", "b", "c"]
    await a.coordination.leave()
    await a.until(shared(b, c))


@contract
async def test_grants_of_a_slot_only_grow(rig: Rig) -> None:
    a, b = await part(rig, "a"), await part(rig, "b")
    await a.until(shared(a, b))
    before = {**a.grants, **b.grants}
    moving = set(b.grants)
    await b.coordination.leave()
    await a.until(lambda: len(a.grants) == SLOTS)
    assert all(a.grants[slot] > before[slot] for slot in moving)
    assert all(a.grants[slot] == before[slot] for slot in before.keys() - moving)


@contract
async def test_who_dies_is_replaced_once_the_servers_have_ended_his_session(rig: Rig) -> None:
    a, b = await part(rig, "a"), await part(rig, "b", session=SESSION)
    await a.until(shared(a, b))
    rig.cut(Client("b", None))  # type: ignore[arg-type]
    took = await a.until(lambda: len(a.grants) == SLOTS)
    assert took > SESSION / 2
    assert not b.coordination.status().trusted
    assert len(b.grants) > 0
    rig.heal(Client("b", None))  # type: ignore[arg-type]
    await b.until(lambda: any(isinstance(event, SessionLost) for event in b.history))
    await a.until(shared(a, b))


@contract
async def test_a_broken_connection_changes_nothing(rig: Rig) -> None:
    a, b = await part(rig, "a"), await part(rig, "b")
    await a.until(shared(a, b))
    before = dict(a.grants), dict(b.grants)
    for name in ("a", "b"):
        rig.reset(Client(name, None))  # type: ignore[arg-type]
    await trio.sleep(2 * SESSION)
    assert (a.grants, b.grants) == before
    assert not any(isinstance(event, SessionLost | Revoked) for event in a.history[1:])
    c = await part(rig, "c", weight=0)
    await a.until(lambda: len(a.coordination.members()) == 3 and len(b.coordination.members()) == 3)
    assert c.grants == {}


@contract
async def test_a_name_is_waited_for_while_it_lingers_and_refused_while_it_lives(rig: Rig) -> None:
    a, b = await part(rig, "a"), await part(rig, "b", session=SESSION)
    await a.until(shared(a, b))
    second = await part(rig, "b", "b-2", client="b2")
    await second.until(lambda: second.coordination.status().problem is not None)
    assert second.grants == {}
    assert shared(a, b)()
    rig.cut(Client("b", None))  # type: ignore[arg-type]
    await a.until(shared(a, second))
    assert second.coordination.status().problem is None


@contract
async def test_the_service_of_another_cluster_is_refused(rig: Rig) -> None:
    a = await part(rig, "a")
    await a.until(lambda: len(a.grants) == SLOTS)
    stranger = await part(rig, "x", cluster_id="c2")
    await stranger.until(lambda: any(isinstance(event, Barred) for event in stranger.history))
    assert stranger.grants == {}
    assert len(a.coordination.members()) == 1
    await a.coordination.record({1: 7})
    with pytest.raises(Conflict, match="belongs to cluster 'c1'"):
        await stranger.coordination.recorded()


@contract
async def test_while_the_servers_are_gone_nothing_changes(rig: Rig) -> None:
    a, b = await part(rig, "a", session=SESSION), await part(rig, "b", session=SESSION)
    await a.until(shared(a, b))
    before = dict(a.grants), dict(b.grants)
    await rig.take_down()
    await a.until(lambda: not a.coordination.status().connected)
    await trio.sleep(2 * SESSION)
    assert (a.grants, b.grants) == before
    assert not a.coordination.status().trusted
    await rig.bring_back()
    await a.until(lambda: a.coordination.status().trusted and b.coordination.status().trusted)
    await a.until(shared(a, b))


@ensemble_contract
async def test_a_leader_of_the_servers_that_is_killed_costs_no_session(rig: Rig) -> None:
    a, b = await part(rig, "a"), await part(rig, "b")
    await a.until(shared(a, b))
    before = dict(a.grants), dict(b.grants)
    await rig.kill_leader()
    await trio.sleep(SESSION)
    await a.until(lambda: all(one.coordination.status().connected for one in (a, b)))
    await a.until(lambda: a.coordination.status().trusted and b.coordination.status().trusted)
    assert (a.grants, b.grants) == before
    assert not any(isinstance(event, SessionLost) for event in (*a.history, *b.history))
    await b.coordination.leave()
    await a.until(lambda: len(a.grants) == SLOTS)
