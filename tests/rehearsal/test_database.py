"""The ways between nodes and their store: what can be wrong with them, and what a node hears of it."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing

from actors.lanes import READS, WRITER
from actors.lookout import WAKES
from actors.store.memory import MemoryStore
from actors.store.port import Commit, CommitResult, Create
from runtime.clock import SECOND, Micros
from runtime.errors import StaleEpoch, StoreUnavailable
from runtime.simulation import DEFAULT_START, SimulatedWorld
from tests.actors.records import task
from tocsin.rehearsal.database import Client, Database
from tocsin.rehearsal.record import Trace
from tocsin.rehearsal.world import NodeWorld

PATIENCE = 3.0


class Ways:
    """A store, and two nodes that use it."""

    def __init__(self) -> None:
        clock = SimulatedWorld("true", origin=0.0)
        self.trace = Trace()
        self.database = Database(MemoryStore(clock=clock.now), random.Random(1), clock.now, self.trace, PATIENCE)
        self.clients = {name: self.database.client(name, random.Random(name)) for name in ("n1", "n2")}
        self.worlds = {name: NodeWorld(name, client, DEFAULT_START) for name, client in self.clients.items()}

    async def commit(self, commit: Commit, node: str = "n1") -> CommitResult:
        return await self.worlds[node].blocking(self.clients[node].commit, commit, lane=WRITER)

    async def ids(self, node: str = "n1") -> list[str]:
        client = self.clients[node]
        return await self.worlds[node].blocking(lambda: client.task_ids(after="", limit=10), lane=READS)

    def set(self, node: str = "n1", **faults: Any) -> None:
        for name, value in faults.items():
            setattr(self.database.way(node), name, value)
        self.database.changed()


@pytest.fixture
async def ways() -> Ways:
    return Ways()


def make(task_id: str, **others: Any) -> Commit:
    return Commit(others.pop("epochs", {}), (Create(task(task_id, name=task_id), 0),), **others)


async def test_a_commit_is_seen_by_all(ways: Ways, autojump_clock: trio.testing.MockClock) -> None:
    assert not (await ways.commit(make("t1"))).refused
    assert await ways.ids("n2") == ["t1"]


async def test_calls_take_up_to_the_latency_of_the_way_there_and_back(
    ways: Ways, autojump_clock: trio.testing.MockClock
) -> None:
    ways.set(latency=1.0, extra=3.0)
    began = trio.current_time()
    for _ in range(20):
        await ways.ids()
    taken = trio.current_time() - began
    assert 20 * 2 < taken < 20 * 8
    began = trio.current_time()
    await ways.ids("n2")
    assert trio.current_time() - began < 1.0


@pytest.mark.parametrize("losing", [True, False])
async def test_a_commit_whose_answer_is_lost_is_made_once_when_it_is_asked_again(
    ways: Ways, autojump_clock: trio.testing.MockClock, losing: bool
) -> None:
    ways.set(losing=losing)
    commit = make("t1")
    with pytest.raises(StoreUnavailable):
        await ways.commit(commit)
    assert await ways.ids() == (["t1"] if losing else [])
    assert not (await ways.commit(commit)).refused
    assert await ways.ids() == ["t1"]


async def test_of_a_commit_without_an_answer_another_one_knows_nothing(
    ways: Ways, autojump_clock: trio.testing.MockClock
) -> None:
    ways.set(losing=True)
    with pytest.raises(StoreUnavailable):
        await ways.commit(make("t1"))
    assert (await ways.commit(make("t1"))).refused.keys() == {"t1"}


async def test_a_cut_makes_calls_hang_until_their_patience_is_over(
    ways: Ways, autojump_clock: trio.testing.MockClock
) -> None:
    ways.set(cut=True)
    began = trio.current_time()
    with pytest.raises(StoreUnavailable):
        await ways.commit(make("t1"))
    assert trio.current_time() - began == pytest.approx(PATIENCE, abs=1.0)
    assert await ways.ids("n2") == []


async def test_a_cut_that_is_healed_in_time_only_delays(ways: Ways, autojump_clock: trio.testing.MockClock) -> None:
    ways.set(cut=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ways.commit, make("t1"))
        await trio.sleep(1.0)
        assert await ways.ids("n2") == []
        ways.set(cut=False)
    assert await ways.ids() == ["t1"]


async def test_a_cut_on_the_way_back_leaves_a_commit_that_is_answered_the_same_later(
    ways: Ways, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual, commit = ways.database.commit, make("t1")

    def cut_then(one: Commit) -> CommitResult:
        result = usual(one)
        ways.set(cut=True)
        return result

    monkeypatch.setattr(ways.database, "commit", cut_then)
    with pytest.raises(StoreUnavailable):
        await ways.commit(commit)
    ways.set(cut=False)
    assert await ways.ids() == ["t1"]
    assert not (await ways.commit(commit)).refused


def down(ways: Ways) -> None:
    ways.database.is_down = True


def flaky(ways: Ways) -> None:
    ways.set(failing=1.0)


def dead(ways: Ways) -> None:
    ways.clients["n1"].is_dead = True


@pytest.mark.parametrize("fault", [down, flaky, dead])
async def test_who_is_refused_hears_so_and_nothing_is_written(
    ways: Ways, autojump_clock: trio.testing.MockClock, fault: Callable[[Ways], None]
) -> None:
    fault(ways)
    with pytest.raises(StoreUnavailable):
        await ways.commit(make("t1"))
    with pytest.raises(StoreUnavailable):
        await ways.ids()
    assert ways.database.store.task_ids(after="", limit=10) == []


async def test_a_full_store_can_be_read_and_not_written(ways: Ways, autojump_clock: trio.testing.MockClock) -> None:
    await ways.commit(make("t1"))
    ways.database.is_full = True
    with pytest.raises(StoreUnavailable):
        await ways.commit(make("t2"))
    assert await ways.ids() == ["t1"]


async def test_part_of_the_calls_fails_where_that_is_wanted(ways: Ways, autojump_clock: trio.testing.MockClock) -> None:
    ways.set(failing=0.5)
    failed = 0
    for _ in range(100):
        try:
            await ways.ids()
        except StoreUnavailable:
            failed += 1
    assert 25 < failed < 75


async def _woken(ways: Ways, node: str, seconds: float) -> list[str]:
    found = await ways.worlds[node].blocking(ways.clients[node].wakes, seconds, lane=WAKES, abandon=True)
    return list(found)


async def test_wake_ups_come_with_the_commit_unless_they_are_lost(
    ways: Ways, autojump_clock: trio.testing.MockClock
) -> None:
    heard: list[str] = []

    async def hear() -> None:
        heard.extend(await _woken(ways, "n2", 60.0))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(hear)
        await trio.sleep(1.0)
        await ways.commit(make("t1", wakes=("t1",)))
        began = trio.current_time()
    assert heard == ["t1"]
    assert trio.current_time() - began < 1.0
    ways.set("n2", wakes=False)
    await ways.commit(make("t2", wakes=("t2",)))
    assert await _woken(ways, "n2", 5.0) == []
    assert trio.current_time() - began == pytest.approx(5.0, abs=1.0)


async def test_commits_under_epochs_are_written_down_with_what_became_of_them(
    ways: Ways, autojump_clock: trio.testing.MockClock
) -> None:
    store = ways.database.store
    store.raise_epochs({0: 1}, "b1")
    await ways.commit(make("t1", epochs={0: 1}, boot=None))
    store.raise_epochs({0: 2}, "b2")
    result = await ways.commit(make("t2", epochs={0: 1}, boot=None))
    assert isinstance(result.refused["t2"], StaleEpoch)
    assert [(one.epoch, one.highest, one.accepted) for one in ways.database.writes] == [(1, 1, True), (1, 2, False)]
    assert ways.database.refused == {"StaleEpoch": 1}


async def test_commits_of_a_node_come_one_after_the_other_and_its_reads_beside_them(
    ways: Ways, autojump_clock: trio.testing.MockClock
) -> None:
    ways.set(latency=4.0)
    ends: list[tuple[str, float]] = []

    async def write(name: str) -> None:
        await ways.commit(make(name))
        ends.append((name, trio.current_time()))

    async def read() -> None:
        await ways.ids()
        ends.append(("read", trio.current_time()))

    async with trio.open_nursery() as nursery:
        for name in ("t1", "t2", "t3"):
            nursery.start_soon(write, name)
        nursery.start_soon(read)
    assert len({at for _, at in ends}) == 4
    assert ends[-1][0] != "read"
    assert ends[-1][1] > 4.0


def test_a_nodes_wall_clock_is_off_and_goes_wrong_by_its_drift() -> None:
    async def look() -> tuple[int, int]:
        database = Ways().database
        client: Client = database.client("n3", random.Random(3))
        world = NodeWorld("n3", client, DEFAULT_START, skew=0.5, drift=0.01)
        first = world.now() - DEFAULT_START
        await trio.sleep(100.0)
        world.step(Micros(7 * SECOND))
        return first, world.now() - DEFAULT_START

    first, later = trio.run(look, clock=trio.testing.MockClock(autojump_threshold=0))
    assert first == pytest.approx(SECOND / 2, abs=1_000)
    assert later == pytest.approx(SECOND * (0.5 + 101.0 + 7.0), abs=1_000)
