"""What people and programs can ask of a node."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from actors.command_messages import PauseTask
from actors.composition import open_node
from actors.lanes import NodeConfig
from actors.model.task import Task
from actors.model.trigger import Once
from actors.store.answers import TaskFilter
from runtime.clock import SECOND, Micros
from runtime.errors import AlreadyRunning, Conflict, NotFound
from runtime.simulation import SimulatedWorld
from runtime.world import RealWorld
from tests.rehearsal.kit import Diary, add, history, interval, keeping, node_at

from .keeper_kit import definition


async def test_tasks_are_found_by_id_name_and_beginning_of_the_id(tmp_path: Path, autojump_clock):
    async with node_at(tmp_path, Diary()) as node:
        stored = await add(node, "stored", interval(node, 60))
        await trio.sleep(3600)
        memory = await add(node, "memory", interval(node, 60), persistent=False)
        for task in (stored, memory):
            for reference in (task.id, task.definition.name, task.id[:13], task.id[:12].upper()):
                assert (await node.task(reference)).id == task.id
        for reference in ("nobody", stored.id[:7], "00000000"):
            with pytest.raises(NotFound, match=reference):
                await node.task(reference)


async def test_pages_hold_stored_and_memory_tasks(tmp_path: Path, autojump_clock):
    async with node_at(tmp_path, Diary()) as node:
        assert (await node.page(TaskFilter())).total == 0
        for number in range(6):
            await add(node, f"t{number}", interval(node, 60), persistent=number % 2 == 0)
        names = [task.definition.name for task in (await node.page(TaskFilter(sort="name"))).tasks]
        assert names == [f"t{number}" for number in range(6)]
        page = await node.page(TaskFilter(sort="coming", descending=True, offset=1, limit=2))
        assert (len(page.tasks), page.total) == (2, 6)
        assert (await node.counts()).tasks == 3


async def test_creations_are_answered_in_order_over_both_lanes(tmp_path: Path, autojump_clock):
    async with node_at(tmp_path, Diary()) as node:
        wanted = [definition(f"t{number}", persistent=number % 2 == 0) for number in range(4)]
        made = await node.create(wanted, "me")
        assert [task.id for task in made if isinstance(task, Task)] == ["t0", "t1", "t2", "t3"]
        again = await node.create([*wanted[:1], definition("t9")], "me")
        assert isinstance(again[0], Conflict)
        assert isinstance(again[1], Task)
        paused = await node.command("t1", lambda reply: PauseTask("t1", None, "me", reply))
        assert paused.state.next_fire is None
        with pytest.raises(NotFound):
            await node.command("nobody", lambda reply: PauseTask("nobody", None, "me", reply))


@pytest.mark.parametrize("persistent", [True, False])
async def test_an_execution_can_be_read_in_full(persistent: bool, tmp_path: Path, autojump_clock):
    diary = Diary()
    async with node_at(tmp_path, diary) as node:
        task = await add(node, "t", Once(node.world.now()), persistent=persistent)
        await trio.sleep(1)
        (execution,) = await history(node, task)
        assert (await node.execution(execution.id)).result == "1"
        assert await node.logs(execution.id, after=0, limit=9) == []
        assert [entry.revision for entry in await node.revisions(task.id)] == [1]
        with pytest.raises(NotFound):
            await node.execution("nobody")
        assert node.completed() == 1


async def test_watchers_see_what_happens(tmp_path: Path, autojump_clock):
    async with node_at(tmp_path, Diary()) as node, node.herald.watch() as seen:
        await add(node, "t", Once(node.world.now()))
        with trio.fail_after(60):
            first = await seen.receive()
        assert first.tasks[0].definition.name == "t"


async def test_a_second_node_is_refused(tmp_path: Path):
    config = NodeConfig(data=tmp_path)
    with RealWorld().lock_directory(tmp_path), pytest.raises(AlreadyRunning):
        async with open_node(config, Diary().catalogue()):
            raise AssertionError("two nodes on one directory")


async def test_old_executions_are_purged(tmp_path: Path, autojump_clock):
    async with node_at(
        tmp_path, Diary(), system_tasks=True, purge_every_seconds=10.0, retention=keeping(Micros(30 * SECOND), newest=2)
    ) as node:
        task = await add(node, "t", interval(node, 5))
        await trio.sleep(120.5)
        assert 2 <= len(await history(node, task)) <= 9


async def test_another_time_zone_database_is_noticed(tmp_path: Path, autojump_clock, monkeypatch, caplog):
    async with node_at(tmp_path, Diary()):
        pass
    monkeypatch.setattr("actors.composition.database_version", lambda: "2099z")
    async with open_node(NodeConfig(data=tmp_path), Diary().catalogue(), SimulatedWorld(1)):
        assert "2099z" in caplog.text
