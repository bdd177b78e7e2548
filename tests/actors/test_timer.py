"""The timer's shell over a store in memory, in virtual time."""

from __future__ import annotations

import trio
import trio.testing

from actors.keeper_messages import Event as KeeperEvent
from actors.keeper_messages import Reschedule, Settle
from actors.model.trigger import Once
from actors.store.memory import MemoryStore
from actors.store.port import Commit, Create
from actors.timer import Timer
from actors.timer_messages import Owned
from runtime.clock import SECOND, Instant
from runtime.errors import StoreUnavailable
from runtime.mailbox import Mailbox
from runtime.simulation import SimulatedWorld

from .keeper_kit import START
from .records import create, update


def store_with(*due: float) -> MemoryStore:
    store = MemoryStore()
    store.open(new_cluster_id="c", partitions=1, timezone_database="x")
    made: list[Create] = [
        create(f"t{n}", next_fire=round(START + seconds * SECOND), trigger=Once(Instant(0)))
        for n, seconds in enumerate(due)
    ]
    assert not store.commit(Commit({}, tuple(made))).refused
    return store


def settle(store: MemoryStore, name: str) -> None:
    (task,) = store.tasks([name])
    assert not store.commit(Commit({}, (), (update(task, state={"next_fire": None}, due=None),))).refused


async def told(mailbox: Mailbox[KeeperEvent]) -> list[str]:
    return [name for message in await mailbox.receive(100) if isinstance(message, Settle) for name in message.task_ids]


async def test_tasks_are_told_at_their_instant(autojump_clock, nursery):
    world, keeper = SimulatedWorld(), Mailbox[KeeperEvent]("keeper")
    store = store_with(5, 70)
    timer = Timer("timer", store=store, world=world, keeper=keeper, reader="r")
    await nursery.start(timer.run)
    await timer.mailbox.tell(Owned((0,), everything=True))
    assert await told(keeper) == ["t0"]
    assert world.now() == START + 5 * SECOND
    assert timer.lateness() == 0
    settle(store, "t0")
    timer.mailbox.tell_nowait(Reschedule((("t0", None),)))
    assert await told(keeper) == ["t1"]
    assert START + 70 * SECOND <= world.now() <= START + 71 * SECOND
    timer.stop()


async def test_a_store_that_cannot_be_read_is_asked_again(autojump_clock, nursery, monkeypatch):
    world, keeper, store = SimulatedWorld(), Mailbox[KeeperEvent]("keeper"), store_with(5)
    calls = 0
    sound = store.due

    def due(*arguments):
        nonlocal calls
        calls += 1
        if calls < 8:
            raise StoreUnavailable("away")
        return sound(*arguments)

    monkeypatch.setattr(store, "due", due)
    timer = Timer("timer", store=store, world=world, keeper=keeper, reader="r")
    await nursery.start(timer.run)
    await timer.mailbox.tell(Owned((0,), everything=True))
    assert await told(keeper) == ["t0"]
    assert calls <= 12
    timer.stop()


async def test_a_full_read_leaves_ties_at_its_end_open(autojump_clock, nursery, monkeypatch):
    monkeypatch.setattr("actors.timer_core.WINDOW_LIMIT", 2)
    world, keeper = SimulatedWorld(), Mailbox[KeeperEvent]("keeper")
    store = store_with(3, 3, 3, 4)
    timer = Timer("timer", store=store, world=world, keeper=keeper, reader="r")
    await nursery.start(timer.run)
    await timer.mailbox.tell(Owned((0,), everything=True))
    heard: set[str] = set()
    while len(heard) < 4:
        for name in await told(keeper):
            heard.add(name)
            settle(store, name)
            timer.mailbox.tell_nowait(Reschedule(((name, None),)))
    assert world.now() <= START + 6 * SECOND
    timer.stop()


async def test_a_timer_that_stops_while_it_reads_is_quiet(autojump_clock, nursery):
    world, keeper = SimulatedWorld(), Mailbox[KeeperEvent]("keeper")
    timer = Timer("timer", store=store_with(), world=world, keeper=keeper, reader="r")
    await nursery.start(timer.run)
    await timer.mailbox.tell(Owned((0,), everything=True))
    timer.stop()
    with trio.fail_after(60):
        await trio.testing.wait_all_tasks_blocked()
    assert timer.mailbox.closed
