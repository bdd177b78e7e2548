"""The lookout: what it sees every second, and the wake-ups that it hears, from a store that is made up here."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import trio
import trio.testing

from actors.keeper_messages import Event
from actors.lookout import CHANGED_AT_ONCE, WAITING_READ, WAKES, Lookout
from actors.model.task import Task
from actors.sharing_messages import Changed, Observed
from actors.store.port import SchedulerPause
from actors.store.shared import Shared
from runtime.clock import Instant
from runtime.errors import StoreUnavailable
from runtime.mailbox import Mailbox
from tests.actors.lane_kit import SlowWorld
from tests.actors.records import task

PAUSE = SchedulerPause(Instant(5), "me", None)


class Store:
    """What is woken is answered call by call; None: no more, an exception is raised."""

    def __init__(self, *woken: list[str] | Exception | None) -> None:
        self.woken: deque[list[str] | Exception | None] = deque(woken)
        self.waits: list[str] = ["w1", "w2"]
        self.asked: list[tuple[Any, ...]] = []
        self.down = False
        self.there: set[str] = set()
        self.looked_for: list[list[str]] = []

    def shared(self) -> Shared:
        if self.down:
            raise StoreUnavailable("gone")
        return Shared(PAUSE, 3, 4, "2026f")

    def waiting(self, limit: int, types: Sequence[str] | None, partitions: Sequence[int]) -> list[str]:
        self.asked.append((types, partitions))
        return self.waits[:limit]

    def told_to_stop(self, boot: str, limit: int) -> list[str]:
        return [f"stop of {boot}"]

    def tasks(self, ids: Sequence[str]) -> list[Task]:
        self.looked_for.append(list(ids))
        return [task(task_id) for task_id in ids if task_id in self.there]

    def wakes(self, seconds: float) -> list[str] | None:
        found = self.woken.popleft() if self.woken else None
        if isinstance(found, Exception):
            raise found
        return found


class Looking:
    """A lookout at work, and the mailbox it tells."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.mailbox: Mailbox[Event] = Mailbox("keeper")
        self.owned: tuple[int, ...] = (1, 2)
        self.running: frozenset[str] = frozenset()
        self.lookout = Lookout(
            "lookout",
            store=cast(Any, store),
            world=SlowWorld(**{WAKES: 0.1}),
            keeper=self.mailbox,
            partitions=lambda: self.owned,
            boot=lambda: "b1",
            pauses=lambda: 7,
            running=lambda: self.running,
            reader="reads",
            look_seconds=1.0,
        )

    async def heard(self, kind: type) -> list[Any]:
        """What was told by now."""
        await trio.testing.wait_all_tasks_blocked()
        told = await self.mailbox.receive(1_000) if len(self.mailbox) else []
        return [message for message in told if isinstance(message, kind)]


@asynccontextmanager
async def looking(store: Store) -> AsyncIterator[Looking]:
    made = Looking(store)
    async with trio.open_nursery() as nursery:
        await nursery.start(made.lookout.run)
        yield made
        nursery.cancel_scope.cancel()


async def test_the_store_is_looked_at_every_second(autojump_clock):
    async with looking(Store(None)) as made:
        assert await made.heard(Observed) == [Observed(PAUSE, 3, 4, ("w1", "w2"), True, ("stop of b1",), 7)]
        assert made.store.asked == [(None, (1, 2))]
        made.owned = ()
        await trio.sleep(3.5)
        assert await made.heard(Observed) == [Observed(PAUSE, 3, 4, (), True, ("stop of b1",), 7)] * 3
        assert len(made.store.asked) == 1


async def test_a_task_that_is_deleted_while_it_lasts_here_is_found_without_a_wake_up(autojump_clock):
    store = Store(None)
    store.there = {"t1", "t2"}
    async with looking(store) as made:
        await made.heard(Observed)
        made.running = frozenset({"t1", "t2", "brief"})
        await trio.sleep(1.5)
        made.running = frozenset({"t1", "t2"})
        await trio.sleep(1.0)
        assert (store.looked_for, await made.heard(Changed)) == ([["t1", "t2"]], [])
        store.there = {"t2"}
        await trio.sleep(1.0)
        assert await made.heard(Changed) == [Changed(("t1",))]


async def test_a_look_says_whether_there_are_more_who_wait(autojump_clock):
    store = Store(None)
    store.waits = [f"w{n}" for n in range(WAITING_READ + 5)]
    async with looking(store) as made:
        (seen,) = await made.heard(Observed)
        assert (len(seen.waiting), seen.complete) == (WAITING_READ, False)


async def test_a_store_that_cannot_be_read_is_looked_at_again(autojump_clock, caplog):
    store = Store(None)
    store.down = True
    async with looking(store) as made:
        assert await made.heard(Observed) == []
        assert "the store cannot be looked at: gone" in caplog.text
        store.down = False
        await trio.sleep(1)
        assert len(await made.heard(Observed)) == 1


async def test_wake_ups_are_told_in_messages_of_a_bearable_size(autojump_clock):
    many = [f"t{n}" for n in range(CHANGED_AT_ONCE + 1)]
    async with looking(Store(["t1", "t2"], [], StoreUnavailable("gone"), many, None)) as made:
        await trio.sleep(0.35)
        assert await made.heard(Changed) == [Changed(("t1", "t2"))]
        await trio.sleep(1)
        assert await made.heard(Changed) == [Changed(tuple(many[:-1])), Changed((many[-1],))]
        assert not made.store.woken


async def test_where_nobody_can_be_woken_nobody_is_asked_again(autojump_clock):
    store = Store(None, ["t1"])
    async with looking(store) as made:
        await trio.sleep(20)
        assert await made.heard(Changed) == []
        assert list(store.woken) == [["t1"]]
