"""The process that writes the SQLite file comes to its end before its node does."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import trio

from actors.command_messages import Command, PauseTask
from actors.composition import open_node
from actors.handling.catalogue import Catalogue, task_type
from actors.handling.context import Context
from actors.lanes import NodeConfig
from actors.model.lifecycle import State
from actors.model.retention import Retention, Slice, Stage
from actors.model.task import Definition, Task
from actors.model.trigger import Interval
from actors.node import Node
from actors.store.port import Commit
from actors.store.sqlite import SqliteStore
from runtime.clock import SECOND, Instant, Micros
from runtime.companion import Companion, CompanionGone
from runtime.errors import ActorCrashed, StoreUnavailable
from runtime.mailbox import Reply
from tests.actors.records import create

INTERVAL = Micros(SECOND // 50)


class Started:
    """Starts companions, and knows them."""

    def __init__(self) -> None:
        self.all: list[Companion] = []

    def __call__(self, module: Path, arguments: Sequence[str]) -> Companion:
        self.all.append(Companion(module, arguments))
        return self.all[-1]

    def kill(self) -> None:
        os.kill(self.all[-1].pid, signal.SIGKILL)


@pytest.fixture
def started() -> Started:
    return Started()


@pytest.fixture
def store(tmp_path: Path, started: Started) -> SqliteStore:
    store = SqliteStore(tmp_path / "store.db", companion=started)
    store.open(new_cluster_id="cluster", partitions=16, timezone_database="2026f")
    return store


def test_of_a_commit_nobody_says_that_nothing_changed(store: SqliteStore, started: Started) -> None:
    assert store.commit(Commit({}, (create("a"),))).refused == {}
    started.kill()
    with pytest.raises(CompanionGone):
        store.commit(Commit({}, (create("b"),)))
    assert store.commit(Commit({}, (create("c"),))).refused == {}
    assert len(started.all) == 2
    assert {task.id for task in store.tasks(["a", "c"])} == {"a", "c"}
    store.close()


def test_what_can_be_done_again_says_so(store: SqliteStore, started: Started) -> None:
    started.kill()
    with pytest.raises(StoreUnavailable, match="has ended"):
        store.purge(Slice(Stage.AUDITS, Retention(), Instant(99)))
    assert store.purge(Slice(Stage.AUDITS, Retention(), Instant(99))).next is None
    store.close()


def test_reading_does_without_it(store: SqliteStore, started: Started) -> None:
    store.commit(Commit({}, (create("a"),)))
    started.kill()
    assert [task.id for task in store.tasks(["a"])] == ["a"]
    store.close()


async def test_a_node_goes_on_and_nothing_is_lost_or_doubled(
    tmp_path: Path, started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed twice while the node fires: each nominal time has one outcome, and each run was one."""
    monkeypatch.setattr("runtime.world.RealWorld.companion", lambda _, *arguments: started(*arguments))
    ran: Counter[str] = Counter()

    async def work(context: Context) -> None:
        ran[context.execution_id] += 1

    async with open_node(NodeConfig(tmp_path, system_tasks=False), Catalogue([task_type("work", work)])) as node:
        now = node.world.now()
        tasks = [
            Definition(f"t{number}", f"t{number}", "work", Interval(INTERVAL, Instant(now + number)), created_at=now)
            for number in range(10)
        ]
        ids = [task.id for task in tasks]
        await node.create(tasks, "test")
        for round_ in range(1, 3):
            await trio.sleep(0.2)
            started.kill()
            await until(lambda round_=round_: len(started.all) > round_)
        for task in tasks:
            await told(node, lambda reply, task=task: PauseTask(task.id, None, "test", reply), task.id)
        store = node.lanes[0].store
        await until(lambda: not any(entry.is_open for task in store.tasks(ids) for entry in task.open))
        for task in tasks:
            state = (await node.task(task.id)).state
            rows = await node.outcomes(task.id, since=Instant(0), until=state.settled_through, limit=10_000)
            times = sorted(at for row in rows for at in range(row.first, row.last + 1, INTERVAL))
            assert times == list(range(times[0], times[-1] + 1, INTERVAL))
            assert times[-1] + INTERVAL > state.settled_through
            # A row without a state is of times that were coalesced into one that ran.
            runs = [row for row in rows if row.state is not None]
            assert {row.state for row in runs} == {State.COMPLETED}
            assert {row.execution_id for row in runs} <= ran.keys()
    assert set(ran.values()) == {1}


async def until(good: Callable[[], bool]) -> None:
    with trio.fail_after(30):
        while not good():  # noqa: ASYNC110
            await trio.sleep(0.005)


async def told(node: Node, make: Callable[[Reply[Task]], Command], task_id: str) -> None:
    """A command that is given again while the writer is away."""
    with trio.fail_after(30):
        while True:
            try:
                await node.command(task_id, make)
                return
            except (StoreUnavailable, ActorCrashed):
                await trio.sleep(0.01)
