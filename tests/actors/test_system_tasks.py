"""System tasks: one record of each, as configured; people may pause and run them, and nothing else; what they do."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from actors.command_messages import (
    ActivateTask,
    CancelTask,
    Command,
    ConfigureTask,
    DeleteTask,
    EditTask,
    PauseTask,
    RunTask,
)
from actors.composition import open_node
from actors.handling.catalogue import Catalogue
from actors.handling.hooks import Hook
from actors.keeper import Keeper
from actors.keeper_messages import Purge, Settle
from actors.lanes import NodeConfig
from actors.model.execution import Execution
from actors.model.lifecycle import Phase, State
from actors.model.occurrence import Outcome, Reason, Settled
from actors.model.retention import FOLDS, PURGES, SYSTEM, Stage
from actors.model.system import SYSTEM_TYPES, is_system
from actors.model.task import Task
from actors.model.trigger import Bounds, Cron, Interval, Once
from actors.node import Node
from actors.store.answers import TaskFilter
from actors.store.port import Commit
from actors.system_tasks import CONFLICT_SECONDS, SystemTasks
from runtime.clock import DAY, HOUR, MINUTE, SECOND, Instant, Micros
from runtime.errors import Conflict, InvalidRequest
from runtime.mailbox import Reply
from runtime.simulation import SimulatedWorld
from tests.actors.records import update
from tests.rehearsal.kit import Diary, add, history, interval, keeping, node_at, world_of

QUIET: dict[str, Any] = {"sweep_every": Micros(MINUTE), "watch_seconds": DAY / SECOND}
"""Who looks around every second makes virtual hours long."""


def started(path: Path, **config: Any) -> Any:
    return node_at(path, Diary(), **{"system_tasks": True, "purge_every_seconds": 60.0, **QUIET, **config})


async def system_tasks(node: Node) -> dict[str, Task]:
    with trio.fail_after(60):
        while True:
            page = await node.page(TaskFilter(limit=100))
            found = {task.definition.name: task for task in page.tasks if is_system(task.definition)}
            if len(found) == len(SYSTEM_TYPES):
                return found
            await trio.sleep(0.1)


async def test_who_finds_nothing_to_purge_waits_for_the_next_time(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Purge] = []
    former = Keeper._purge

    async def purge(keeper: Keeper, wanted: Purge) -> None:
        asked.append(wanted)
        await former(keeper, wanted)

    monkeypatch.setattr(Keeper, "_purge", purge)
    async with started(tmp_path) as node:
        await add(node, "t", interval(node, 1))
        await trio.sleep(601)
    assert len(asked) == 10 * 2 * (len(PURGES) + len(FOLDS)), "ten times, both lanes, one slice of each stage"


async def test_a_record_that_another_node_is_about_to_make_is_not_asked_for_all_the_time(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = 0

    async def ensure(tasks: SystemTasks, name: str) -> None:
        nonlocal tries
        tries += 1
        if trio.current_time() < 10:
            raise Conflict(f"there is a task {name!r} already")

    monkeypatch.setattr(SystemTasks, "_ensure", ensure)
    async with started(tmp_path):
        await trio.sleep(20)
    assert 1 < tries <= 2 * 10 / CONFLICT_SECONDS


async def test_there_is_one_record_of_each_over_restarts(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with started(tmp_path) as node:
        first = await system_tasks(node)
        assert {name: task.definition.type for name, task in first.items()} == {name: name for name in SYSTEM_TYPES}
        assert {task.definition.owner for task in first.values()} == {SYSTEM}
    async with started(tmp_path) as node:
        again = await system_tasks(node)
        await trio.sleep(5)
        assert (await node.counts()).tasks == len(SYSTEM_TYPES)
    assert {name: task.definition for name, task in again.items()} == {
        name: task.definition for name, task in first.items()
    }


async def test_a_changed_configuration_is_applied_and_logged(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with started(tmp_path) as node:
        await system_tasks(node)
    caplog.set_level(logging.INFO, "actors.system_tasks")
    async with started(tmp_path, purge_every_seconds=300.0) as node:
        await system_tasks(node)
        await trio.sleep(5)
        found = await system_tasks(node)
        for task in found.values():
            assert isinstance(task.definition.trigger, Interval)
            assert task.definition.trigger.every == 300 * SECOND
            assert len(await node.revisions(task.id)) == 2
    told = [record.getMessage() for record in caplog.records if "new definition" in record.getMessage()]
    assert len(told) == len(SYSTEM_TYPES)


def pausing(task: Task) -> Callable[[Reply[Any]], Command]:
    return lambda reply: PauseTask(task.id, None, "me", reply)


def forbidden(task: Task) -> list[Any]:
    edited = attrs.evolve(task.definition, trigger=Once(Instant(1)))
    cron, bounds = Cron("* * * * *"), Bounds()
    return [
        lambda reply: EditTask(edited, None, "me", reply),
        lambda reply: ConfigureTask(task.id, 3, None, "me", reply),
        lambda reply: CancelTask(task.id, "me", reply),
        lambda reply: DeleteTask(task.id, "me", reply),
        lambda reply: ActivateTask(task.id, cron, bounds, "me", reply),
    ]


async def test_people_may_not_change_them(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    async with started(tmp_path) as node:
        task = (await system_tasks(node))["system.purge"]
        for make in forbidden(task):
            with pytest.raises(Conflict, match=r"system\.purge is a task of the node itself"):
                await node.command(task.id, make)
        assert (await node.task(task.id)).definition == task.definition


async def test_a_person_named_like_the_system_is_not_the_system(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with started(tmp_path) as node:
        task = (await system_tasks(node))["system.purge"]
        with pytest.raises(Conflict, match="a task of the node itself"):
            await node.command(task.id, lambda reply: DeleteTask(task.id, SYSTEM, reply))
        work = await add(node, "work", interval(node, 30))
        await node.command(work.id, lambda reply: PauseTask(work.id, None, SYSTEM, reply))
        [newest] = node._durable.store.audits(offset=0, limit=1)
        assert (newest.task_id, newest.action, newest.actor) == (work.id, "PauseTask", "'system'")


async def test_people_make_no_tasks_of_the_systems_types(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with started(tmp_path) as node:
        work = await add(node, "work", interval(node, 30))
        mine = attrs.evolve(work.definition, id=node.world.new_id(), name="mine", type="system.purge", owner=SYSTEM)
        [refused] = await node.create([mine], SYSTEM)
        assert isinstance(refused, InvalidRequest)
        assert "only the system makes tasks of type 'system.purge'" in str(refused)
        edited = attrs.evolve(work.definition, type="system.fold", owner=SYSTEM)
        with pytest.raises(InvalidRequest, match=r"system\.fold"):
            await node.command(work.id, lambda reply: EditTask(edited, None, SYSTEM, reply))
        assert (await node.task(work.id)).definition.type == "work"


async def test_hooks_for_everything_are_not_for_the_system(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    heard: list[str] = []
    diary = Diary()
    catalogue = diary.catalogue()
    catalogue.hooks.add(Hook("before", lambda context: heard.append(context.task)))
    catalogue.hooks.add(Hook("on_outcome", lambda settled: heard.append(settled.type)))
    catalogue.hooks.add(Hook("on_outcome", lambda settled: heard.append("asked for"), type="system.fold"))
    config = NodeConfig(data=tmp_path, purge_every_seconds=60.0, **QUIET)
    async with open_node(config, catalogue, SimulatedWorld()) as node:
        await add(node, "mine", interval(node, 50))
        await trio.sleep(70)
    assert set(heard) == {"mine", "work", "asked for"}


async def test_people_may_pause_and_run_them(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    async with started(tmp_path) as node:
        task = (await system_tasks(node))["system.fold"]

        def run(reply: Reply[Execution]) -> Command:
            return RunTask(task.id, None, "rest", None, "me", reply)

        await node.command(task.id, lambda reply: PauseTask(task.id, "quiet", "me", reply))
        await trio.sleep(200)
        assert (await node.executions(task.id, offset=0, limit=9))[1] == 0
        execution: Execution = await node.command(task.id, run)
        await trio.sleep(5)
        detail = await node.execution(execution.id)
        assert (detail.execution.state, detail.result) == (State.COMPLETED, '{"rows":0,"ledger":0}')
        await node.command(task.id, lambda reply: ActivateTask(task.id, None, None, "me", reply))
        assert (await node.task(task.id)).state.phase is Phase.ACTIVE


async def test_they_purge_both_lanes_and_themselves(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    async with started(tmp_path, retention=keeping(Micros(5 * MINUTE)), purge_every_seconds=300.0) as node:
        tasks = [
            await add(node, "stored", interval(node, 30)),
            await add(node, "memory", interval(node, 30), persistent=False),
        ]
        await trio.sleep(HOUR / SECOND)
        for task in tasks:
            assert 9 <= len(await history(node, task)) <= 21
            rows = await node.outcomes(task.id, since=Instant(0), until=node.world.now(), limit=500)
            slots = (rows[-1].last - rows[0].first) // (30 * SECOND) + 1
            assert sum(row.count or 0 for row in rows) == slots >= 119
            assert any(row.folded for row in rows)
            await node.command(task.id, pausing(task))
        await trio.sleep(8 * HOUR / SECOND)
        for task in (await system_tasks(node)).values():
            assert 70 <= (await node.executions(task.id, offset=0, limit=1))[1] <= 75


async def test_an_inactive_task_goes_in_the_end(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    async with started(tmp_path, retention=keeping(HOUR)) as node:
        task = await add(node, "once", Once(node.world.now()))
        await trio.sleep(HOUR / SECOND - 10)
        assert (await node.task(task.id)).state.phase is Phase.FINISHED
        await trio.sleep(200)
        assert task.id not in {found.id for found in (await node.page(TaskFilter(limit=99))).tasks}


async def test_a_task_can_be_purged_by_hand(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    async with started(tmp_path, purge_every_seconds=DAY / SECOND, retention=keeping(MINUTE)) as node:
        first = await add(node, "one", interval(node, 30))
        other = await add(node, "two", interval(node, 30))
        await trio.sleep(HOUR / SECOND)
        purge = (await system_tasks(node))["system.purge"]
        parameters = f'{{"task_id":"{first.id}"}}'
        await node.command(purge.id, lambda reply: RunTask(purge.id, parameters, "rest", None, "me", reply))
        await trio.sleep(5)
        assert len(await history(node, first)) <= 4
        assert len(await history(node, other)) >= 119


async def test_ranges_are_counted_later(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    async with started(tmp_path) as node:
        task = await add(node, "often", Cron("*/5 * * * *"))
        store = node._durable.store
        (stored,) = store.tasks([task.id])
        begin = Instant(node.world.now() // DAY * DAY - 400 * DAY)
        row = Settled(task.id, begin, Instant(begin + 365 * DAY - 1), None, Outcome.MISSED, Reason.DOWNTIME, begin, 1)
        gone = attrs.evolve(row, first=Instant(begin + 366 * DAY), last=Instant(begin + 367 * DAY), revision=9)
        changed = update(stored, settled=(row, gone), due=stored.due)
        assert store.commit(Commit({}, updates=(changed,))).refused == {}
        assert len(store.uncounted(9)) == 2
        await trio.sleep(90)
        assert store.uncounted(9) == []
        rows = await node.outcomes(task.id, since=begin, until=gone.last, limit=9)
        assert [found.count for found in rows] == [365 * 24 * 12, 0]
        assert (await node.counts()).by_reason["missed: downtime"] == 365 * 24 * 12


def test_a_catalogue_over_another_has_both(recwarn: pytest.WarningsRecorder) -> None:
    base = Diary().catalogue()
    both = Catalogue(Diary().catalogue(), base)
    assert both.names() == base.names() == ["work"]
    assert both.get("work") is not base.get("work")
    above = Catalogue((), base)
    assert ("work" in above, len(above), above.get("work"), [entry.name for entry in above]) == (
        True,
        1,
        base.get("work"),
        ["work"],
    )
    assert above.hooks is base.hooks
    assert above.get("other") is None
    assert "other" not in above


async def test_somebody_may_purge_what_is_younger_than_the_configuration_asks(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with started(tmp_path, purge_every_seconds=DAY / SECOND) as node:
        tasks = [
            await add(node, "stored", interval(node, 30)),
            await add(node, "memory", interval(node, 30), persistent=False),
        ]
        await trio.sleep(HOUR / SECOND)
        for task in tasks:
            await node.command(task.id, pausing(task))
        before = (await node.counts()).by_reason
        assert (await node.purges.purge("me")).removed == dict.fromkeys(Stage, 0)
        none = await node.purges.purge("me", age=Micros(0), states=(State.FAILED,))
        assert (sum(none.removed.values()), none.complete) == (0, True)
        for task in tasks:
            swept = await node.purges.purge("me", task.id, Micros(10 * MINUTE), (State.COMPLETED,))
            assert 95 <= swept.removed[Stage.EXECUTIONS] <= 101
            assert 18 <= len(await history(node, task)) <= 22
        assert (await node.counts()).by_reason == before


@pytest.mark.parametrize("persistent", [True, False])
async def test_purged_slots_are_not_made_again_by_whoever_is_late(
    tmp_path: Path, persistent: bool, autojump_clock: trio.testing.MockClock
) -> None:
    async with started(tmp_path, purge_every_seconds=DAY / SECOND) as node:
        task = await add(node, "work", interval(node, 30), persistent=persistent)
        await trio.sleep(HOUR / SECOND)
        await node.purges.purge("me", age=Micros(0))
        assert len(await history(node, task)) <= 1
        lane = node._durable if persistent else node._memory
        before, through = lane.store.counts().by_reason, (await node.task(task.id)).state.settled_through
        world_of(node).step(Micros(-30 * MINUTE))
        await lane.keeper.mailbox.tell(Settle((task.id,)))
        await trio.sleep(10 * 60)
        assert len(await history(node, task)) <= 1
        assert lane.store.counts().by_reason == before
        assert (await node.task(task.id)).state.settled_through == through
        rows = await node.outcomes(task.id, since=Instant(0), until=through, limit=500)
        assert sum(row.count or 0 for row in rows) == sum(before.values()) >= 119
