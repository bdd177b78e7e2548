"""The keeper's shell: what it does beside its core's decisions, over a store in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from random import Random
from typing import Any

import pytest
import trio
import trio.testing

from actors.command_messages import PauseTask
from actors.executor_messages import Resync
from actors.herald_messages import Noted
from actors.keeper import MAX_REDECISIONS, RETRY_SECONDS, SLICE, Keeper
from actors.keeper_core import KeeperCore
from actors.keeper_messages import (
    AttemptsEnded,
    CreateTasks,
    Happened,
    InSync,
    Own,
    Purge,
    Recover,
    Reschedule,
    SchedulerPaused,
    Settle,
    Start,
    StopClaiming,
)
from actors.keeper_slices import slices, split, weight
from actors.model.lifecycle import State
from actors.model.retention import Purged, Retention, Slice, Stage
from actors.store.memory import MemoryStore
from actors.store.port import Commit, CommitResult, Update
from runtime.errors import ActorCrashed, ActorStopped, InternalError, StoreUnavailable
from runtime.mailbox import Mailbox, Reply, ask
from runtime.records import evolve
from runtime.simulation import SimulatedWorld

from .keeper_kit import definition
from .lane_kit import SlowWorld


class Store(MemoryStore):
    """Fails as it is told; `meddling` other writes come before the next commits of an update."""

    meddling = 0
    commit_error: Exception | None = None
    read_error: Exception | None = None
    commits = 0

    def commit(self, commit: Commit) -> CommitResult:
        if self.commit_error is not None:
            raise self.commit_error
        self.commits += 1
        for update in commit.updates if self.meddling else ():
            self.meddling -= 1
            (task,) = self.tasks([update.task_id])
            state = evolve(task.state, version=task.state.version + 1)
            super().commit(Commit({}, (), (Update(task.id, 0, task.state.version, state, task.due),)))
        return super().commit(commit)

    def tasks(self, ids: Any) -> Any:
        if self.read_error is not None:
            raise self.read_error
        return super().tasks(ids)

    def waiting(self, limit: int, types: Sequence[str] | None = None) -> list[str]:
        if self.read_error is not None:
            raise self.read_error
        return super().waiting(limit, types)

    def purge(self, wanted: Slice) -> Purged:
        if self.commit_error is not None:
            raise self.commit_error
        return Purged(7)


class Around:
    """A keeper with its neighbours as bare mailboxes."""

    def __init__(self, world: SimulatedWorld | None = None) -> None:
        self.world = world or SimulatedWorld()
        self.store = Store()
        self.store.open(new_cluster_id="c", partitions=1, timezone_database="x")
        self.executor, self.timer, self.herald = Mailbox("executor"), Mailbox("timer"), Mailbox("herald")
        self.keeper = Keeper(
            "keeper",
            store=self.store,
            world=self.world,
            types=lambda: None,
            new_core=self.new_core,
            writer="w",
            reader="r",
        )
        self.keeper.connect(executor=self.executor, timer=self.timer, herald=self.herald)
        self.mailbox = self.keeper.mailbox

    def new_core(self) -> KeeperCore:
        return KeeperCore(
            boot="b", node="n", partitions=1, random=Random(1), new_id=self.world.new_id, runs=lambda _: True
        )

    async def synchronise(self, slots: int = 4) -> None:
        """Answer the keeper's question, as an executor that runs nothing."""
        token = [m for m in await self.executor.receive(100) if isinstance(m, Resync)][-1].token
        await self.mailbox.tell(InSync(slots, frozenset(), token))

    async def create(self, *names: str) -> Any:
        wanted = tuple(definition(name) for name in names)
        return await ask(self.mailbox, lambda reply: CreateTasks(wanted, "me", reply), 60)

    async def pause(self, name: str) -> Any:
        return await ask(self.mailbox, lambda reply: PauseTask(name, None, "me", reply), 60)


@asynccontextmanager
async def working(world: SimulatedWorld | None = None, slots: int = 4) -> AsyncIterator[Around]:
    around = Around(world)
    async with trio.open_nursery() as nursery:
        await nursery.start(around.keeper.run)
        await around.mailbox.tell(Own(around.store.raise_epochs({0: 1}, "b")))
        await around.synchronise(slots)
        yield around
        around.keeper.stop()


async def test_a_due_task_is_started_and_everybody_is_told(autojump_clock):
    async with working() as around:
        await around.create("t")
        await trio.sleep(10)
        await around.mailbox.tell(Settle(("t",)))
        (start,) = await around.executor.receive(10)
        assert isinstance(start, Start)
        assert [type(message) for message in await around.timer.receive(10)] == [
            SchedulerPaused,
            Reschedule,
            Reschedule,
        ]
        assert [type(message) for message in await around.herald.receive(10)] == [
            Noted,
            Happened,
            Happened,
        ]


class Counted(SlowWorld):
    """A writer that takes a second for each call; `begun` says when they were handed over."""

    def __init__(self) -> None:
        super().__init__(w=1.0)
        self.begun: list[float] = []

    def begin(self, *arguments: Any, **named: Any) -> None:
        self.begun.append(trio.current_time())
        super().begin(*arguments, **named)


async def test_what_comes_while_a_few_are_committed_is_one_transaction(autojump_clock):
    async with working(Counted()) as around:
        await around.create("a", "b", "c", "d")
        around.world.begun.clear()
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for name in "abcd":
                nursery.start_soon(around.pause, name)
                await trio.sleep(0.2)
        assert [at - began for at in around.world.begun] == pytest.approx([0, 1])
        assert trio.current_time() - began == pytest.approx(2)


async def test_a_crowd_is_decided_while_the_one_before_it_is_committed(autojump_clock):
    names = [f"t{number}" for number in range(3 * SLICE)]
    async with working(Counted(), slots=len(names)) as around:
        await around.create(*names)
        await trio.sleep(10)
        around.world.begun.clear()
        began = trio.current_time()
        await around.mailbox.tell(Settle(tuple(names)))
        await trio.sleep(5)
        # The third waits for the first: two are on the way at the most.
        assert [at - began for at in around.world.begun] == pytest.approx([0, 0, 1])


async def test_a_row_that_never_rests_is_decided_until_it_does(autojump_clock):
    async with working() as around:
        await around.create("t")
        around.store.meddling = 3 * MAX_REDECISIONS
        assert (await around.pause("t")).id == "t"
        assert around.store.meddling == 0


async def test_a_store_that_cannot_commit_is_shown_and_tried_again(autojump_clock):
    async with working() as around:
        await around.create("t")
        around.store.commit_error = StoreUnavailable("disk full")
        with pytest.raises(StoreUnavailable):
            await around.pause("t")
        assert around.keeper.trouble == "disk full"
        with pytest.raises(StoreUnavailable):
            await around.create("u")
        around.store.commit_error = None
        await around.pause("t")
        assert around.keeper.trouble is None


async def test_recoveries_wait_for_a_store_that_can_commit(autojump_clock):
    async with working() as around:
        await around.create("t")
        await trio.sleep(10)
        await around.mailbox.tell(Settle(("t",)))
        await around.executor.receive(1)
        around.store.commit_error = StoreUnavailable("disk full")
        await around.mailbox.tell(Recover(("t",), frozenset({"another boot"})))
        await trio.sleep(5 * RETRY_SECONDS)
        around.store.commit_error = None
        await trio.sleep(2 * RETRY_SECONDS)
        (start,) = await around.executor.receive(10)
        assert start.execution.crashes == 1


async def test_a_store_that_cannot_be_read_loses_nothing(autojump_clock):
    async with working() as around:
        await around.create("t")
        around.keeper._core._tasks.cache.clear()
        await trio.sleep(10)
        around.store.read_error = StoreUnavailable("away")
        await around.mailbox.tell(Settle(("t",)))
        with pytest.raises(StoreUnavailable):
            await around.pause("t")
        await trio.sleep(5)
        assert around.keeper.trouble == "away"
        around.store.read_error = None
        with trio.fail_after(60):
            (start,) = await around.executor.receive(10)
        assert start.definition.id == "t"


async def test_a_damaged_store_crashes_the_keeper_and_who_asks_is_told(autojump_clock):
    around = Around()
    around.store.commit_error = InternalError("impossible")
    with pytest.RaisesGroup(InternalError, flatten_subgroups=True, allow_unwrapped=True):
        async with trio.open_nursery() as nursery:
            await nursery.start(around.keeper.run)
            with pytest.raises(InternalError):
                await around.create("t")
            await trio.sleep(1)
    around.store.commit_error = None
    async with trio.open_nursery() as nursery:
        await nursery.start(around.keeper.run)
        assert (await around.create("t"))[0].id == "t"
        around.keeper.stop()


async def test_who_waits_for_a_commit_that_is_cut_off_is_told(autojump_clock, monkeypatch):
    around = Around()

    async def stuck(*arguments: Any, **named: Any) -> Any:
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        await nursery.start(around.keeper.run)
        monkeypatch.setattr(around.world, "blocking", stuck)
        first: Reply[Any] = Reply()
        around.mailbox.tell_nowait(CreateTasks((definition("t"),), "me", first))
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    with pytest.raises((ActorCrashed, ActorStopped)):
        first.result()


async def test_what_was_told_once_holds_for_the_next_life(autojump_clock):
    around = Around()
    own = Own(around.store.raise_epochs({0: 1}, "b"))
    async with trio.open_nursery() as nursery:
        await nursery.start(around.keeper.run)
        await around.mailbox.tell(own)
        await around.mailbox.tell(StopClaiming())
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    async with trio.open_nursery() as nursery:
        await nursery.start(around.keeper.run)
        await around.synchronise()
        await around.create("t")
        await trio.sleep(10)
        await around.mailbox.tell(Settle(("t",)))
        await trio.sleep(1)
        (task,) = around.store.tasks(["t"])
        assert task.open[0].state is State.WAITING
        around.keeper.stop()


async def test_a_purge_is_done_and_answered(autojump_clock):
    async with working() as around:
        purge = partial(Purge, Slice(Stage.EXECUTIONS, Retention(), around.world.now()))
        assert await ask(around.mailbox, purge, 60) == Purged(7)
        around.store.commit_error = StoreUnavailable("disk full")
        with pytest.raises(StoreUnavailable):
            await ask(around.mailbox, purge, 60)
        around.store.commit_error = None


async def test_an_executor_that_has_stopped_does_not_stop_the_keeper(autojump_clock):
    async with working() as around:
        await around.create("t")
        around.executor.close()
        await trio.sleep(10)
        await around.mailbox.tell(Settle(("t",)))
        assert (await around.pause("t")).id == "t"
        assert around.keeper.completed == 0


def test_messages_are_cut_into_slices_in_their_order():
    many = Settle(tuple(f"t{n}" for n in range(7)))
    assert [len(part.task_ids) for part in split(many, 3)] == [3, 3, 1]
    assert list(split(AttemptsEnded(()), 3)) == [AttemptsEnded(())]
    creation = CreateTasks(tuple(definition(f"t{n}") for n in range(9)), "me", Reply())
    assert list(split(creation, 3)) == [creation]
    assert [weight(message) for message in (many, creation, StopClaiming())] == [7, 9, 1]
    pieces = list(slices([StopClaiming(), many, creation, StopClaiming()], 3))
    assert [[weight(message) for message in piece] for piece in pieces] == [[1], [3], [3], [1], [9], [1]]
    assert list(slices([], 3)) == []
