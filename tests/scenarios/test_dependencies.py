"""Tasks that wait for others, and calendars and time zones that change under tasks, on a whole node in virtual time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

from actors.command_messages import CancelTask, DeleteTask, EditTask, PauseTask, RunTask
from actors.model.calendar import CalendarRule, calendar_of
from actors.model.execution import Execution, WaitsFor
from actors.model.lifecycle import Status
from actors.model.policy import Policies, Retry
from actors.model.task import Definition, Dependencies, Task
from actors.model.trigger import Bounds, Cron, Once, Trigger
from actors.node import Node
from actors.store.port import Commit, Update
from actors.store.sqlite import SqliteStore
from runtime.clock import HOUR, MINUTE, SECOND, Instant
from runtime.errors import Conflict, InvalidRequest, NotFound
from runtime.records import evolve
from tests.rehearsal.kit import Diary, add, crash_copy, history, interval, ledger, node_at, world_of

LANES = pytest.mark.parametrize("persistent", [True, False], ids=["durable", "memory"])
SELDOM = 10**6
"""Seconds: parents that run by hand only."""


async def child_of(node: Node, *parents: Task, every: float = 60, persistent: bool = True, **dependencies: Any) -> Task:
    definition = Definition(
        node.world.new_id(),
        "child",
        "work",
        interval(node, every),
        persistent=persistent,
        created_at=node.world.now(),
        dependencies=Dependencies(tuple(parent.id for parent in parents), **dependencies),
    )
    (made,) = await node.create([definition], "me")
    assert isinstance(made, Task), made
    return made


async def parent_of(node: Node, name: str = "parent", *, persistent: bool = True, parameters: str = "{}") -> Task:
    policies = Policies(retry=Retry(max_retries=0))
    return await add(
        node, name, interval(node, SELDOM), persistent=persistent, policies=policies, parameters=parameters
    )


async def run(node: Node, task: Task) -> Execution:
    return await node.command(task.id, lambda reply: RunTask(task.id, None, "test", None, "me", reply))


async def states(node: Node, task: Task) -> list[str]:
    return [str(row.outcome) for row in await ledger(node, task)]


@LANES
async def test_case_74_dependencies_block_until_both_have_completed(
    tmp_path: Path, autojump_clock: None, persistent: bool
) -> None:
    diary = Diary()
    async with node_at(tmp_path, diary) as node:
        first = await parent_of(node, "first", persistent=persistent)
        second = await parent_of(node, "second", persistent=persistent, parameters='{"seconds": 5}')
        child = await child_of(node, first, second, persistent=persistent)
        await trio.sleep(61)
        waiting = await node.task(child.id)
        assert (waiting.state.status, waiting.open[0].waits_for) == (Status.WAITING, WaitsFor.DEPENDENCY)
        assert "parent 'first' has not run since" in (await node.held_by(waiting) or "")
        await run(node, first)
        await run(node, second)
        await trio.sleep(0.1)
        assert await node.held_by(await node.task(child.id)) == "parent 'second' has not completed yet"
        assert await node.held_by(first) is None
        await trio.sleep(4)
        assert [name for name, *_ in diary.began] == ["first", "second"]
        await trio.sleep(2)
        assert [name for name, *_ in diary.began] == ["first", "second", "child"]
        assert await states(node, child) == ["late"]


@LANES
@pytest.mark.parametrize("how", ["failed", "cancelled", "deleted", "paused"])
async def test_case_76_a_parent_that_cannot_complete_ends_the_wait(
    tmp_path: Path, autojump_clock: None, persistent: bool, how: str
) -> None:
    """Never silent for ever: at once with fail_fast, else at the child's next slot; the parent is named in both."""
    async with node_at(tmp_path, Diary()) as node:
        parent = await parent_of(node, persistent=persistent, parameters='{"fail": 9}')
        hasty = await child_of(node, parent, persistent=persistent, fail_fast=True)
        renamed = evolve(hasty.definition, name="hasty")
        await node.command(hasty.id, lambda reply: EditTask(renamed, None, "me", reply))
        patient = await child_of(node, parent, persistent=persistent)
        await trio.sleep(61)
        await break_parent(node, parent, how)
        await trio.sleep(1)
        assert [(row.outcome, row.reason) for row in await ledger(node, hasty)] == [("skipped", "dependency")]
        assert (await node.task(patient.id)).state.status is Status.WAITING
        await trio.sleep(60)
        oldest_row = (await ledger(node, patient))[0]
        assert (oldest_row.outcome, oldest_row.reason) == ("skipped", "dependency")
        for child in (hasty, patient):
            oldest = (await history(node, child))[-1]
            assert "parent" in (oldest.cancel_reason or ""), oldest.cancel_reason


async def break_parent(node: Node, parent: Task, how: str) -> None:
    match how:
        case "failed":
            await run(node, parent)
        case "cancelled":
            await node.command(parent.id, lambda reply: CancelTask(parent.id, "me", reply))
        case "deleted":
            await node.command(parent.id, lambda reply: DeleteTask(parent.id, "me", reply))
        case "paused":
            await node.command(parent.id, lambda reply: PauseTask(parent.id, None, "me", reply))


async def test_case_76_a_periodic_parent_and_its_child_alternate(tmp_path: Path, autojump_clock: None) -> None:
    diary = Diary()
    async with node_at(tmp_path, diary) as node:
        parent = await add(node, "parent", interval(node, 60), parameters='{"seconds": 10}')
        child = await child_of(node, parent)
        await trio.sleep(60 * 10 + 30)
        assert await states(node, child) == ["late"] * 10
        assert diary.most == {"parent": 1, "child": 1}
        assert len([name for name, *_ in diary.began if name == "child"]) == 10


async def test_a_crash_between_the_parents_end_and_the_childs_start_loses_nothing(
    tmp_path: Path, autojump_clock: None
) -> None:
    """The disk as it is when the parent's end is committed and nothing else has happened: the next process goes on."""
    first = tmp_path / "first"
    first.mkdir()
    copies: list[Path] = []
    async with node_at(first, Diary()) as node:
        parent = await parent_of(node, parameters='{"seconds": 5}')
        child = await child_of(node, parent)
        await trio.sleep(61)
        await run(node, parent)

        def copy() -> None:
            (task,) = node._durable.store.tasks([parent.id])
            if task.state.completed and not copies:
                copies.append(crash_copy(first, tmp_path / "second"))

        world_of(node).failures["keeper.committed"] = copy
        await trio.sleep(6)
        down_at = world_of(node).now()
        assert copies
    diary = Diary()
    async with node_at(copies[0], diary, start=down_at) as node:
        await trio.sleep(5)
        assert [name for name, *_ in diary.began] == ["child"]
        assert await states(node, child) == ["late"]


@LANES
async def test_a_keeper_that_crashes_again_and_again_loses_no_child(
    tmp_path: Path, autojump_clock: None, persistent: bool
) -> None:
    diary = Diary()
    async with node_at(tmp_path, diary) as node:
        parent = await parent_of(node, persistent=persistent, parameters='{"seconds": 2}')
        child = await child_of(node, parent, persistent=persistent)
        await trio.sleep(61)
        await run(node, parent)
        left = [1, 2, 3]

        def crash() -> None:
            if left:
                left.pop()
                raise ZeroDivisionError("a bug")

        world_of(node).failures["keeper.committed"] = crash
        await trio.sleep(50)
        assert not left
        assert [name for name, *_ in diary.began].count("child") == 1
        assert await states(node, child) == ["late"]


async def test_what_cannot_be_is_refused_and_nothing_is_saved(tmp_path: Path, autojump_clock: None) -> None:
    async with node_at(tmp_path, Diary()) as node:
        volatile = await parent_of(node, "volatile", persistent=False)
        lasting = await parent_of(node, "lasting")
        for parent, persistent, message in [
            (volatile, True, "cannot wait for one in memory"),
            (lasting, False, "waits only for others there"),
        ]:
            definition = Definition(
                node.world.new_id(),
                "child",
                "work",
                interval(node, 60),
                persistent=persistent,
                dependencies=Dependencies((parent.id,)),
            )
            (answer,) = await node.create([definition], "me")
            assert isinstance(answer, InvalidRequest)
            assert message in str(answer)
            with pytest.raises(NotFound):
                await node.task(definition.id)


async def test_two_who_edit_at_the_same_time_make_no_cycle(tmp_path: Path, autojump_clock: None) -> None:
    async with node_at(tmp_path, Diary()) as node:
        one, two = await parent_of(node, "one"), await parent_of(node, "two")
        refused: list[Exception] = []

        async def edit(task: Task, other: Task) -> None:
            changed = evolve(task.definition, dependencies=Dependencies((other.id,)))
            try:
                await node.command(task.id, lambda reply: EditTask(changed, None, "me", reply))
            except Conflict as error:
                refused.append(error)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(edit, one, two)
            nursery.start_soon(edit, two, one)
        (error,) = refused
        assert "would wait for itself" in str(error)
        assert len(node._durable.store.edges()) == 1


# -- calendars


def windows(node: Node, *hours: tuple[float, float]) -> tuple[tuple[Instant, Instant], ...]:
    now = node.world.now()
    return tuple((Instant(now + int(a * MINUTE)), Instant(now + int(b * MINUTE))) for a, b in hours)


async def bound(node: Node, trigger: Trigger, *, persistent: bool, name: str = "bound") -> Task:
    calendar = await node.calendars.get("", "holidays")
    return await add(node, name, trigger, bounds=Bounds(calendars=(CalendarRule(calendar),)), persistent=persistent)


@LANES
async def test_a_calendar_that_changes_holds_for_its_tasks_at_once(
    tmp_path: Path, autojump_clock: None, persistent: bool
) -> None:
    diary = Diary()
    async with node_at(tmp_path, diary) as node:
        await node.calendars.put(calendar_of("", "holidays", 0, windows=windows(node, (90, 100))), "me")
        task = await bound(node, interval(node, 60), persistent=persistent)
        await trio.sleep(150)
        assert len(diary.began) == 2
        changed = await node.calendars.put(calendar_of("", "holidays", 0, windows=windows(node, (0, 60))), "me")
        assert changed.version == 2
        await trio.sleep(600)
        assert len(diary.began) == 2
        task = await node.task(task.id)
        assert [rule.calendar.version for rule in task.definition.bounds.calendars] == [2]
        assert [entry.definition.bounds.calendars[0].calendar.version for entry in await node.revisions(task.id)] == [
            1,
            2,
        ]
        with pytest.raises(Conflict, match="is used by 'bound'"):
            await node.calendars.delete("", "holidays", "me")
        await node.command(task.id, lambda reply: DeleteTask(task.id, "me", reply))
        await node.calendars.delete("", "holidays", "me")
        assert await node.calendars.all(None) == []
        with pytest.raises(NotFound):
            await node.calendars.get("", "holidays")
        with pytest.raises(NotFound):
            await node.calendars.delete("", "holidays", "me")


async def test_a_calendars_walk_goes_on_after_a_crash(tmp_path: Path, autojump_clock: None) -> None:
    first = tmp_path / "first"
    first.mkdir()
    copies: list[Path] = []
    async with node_at(first, Diary()) as node:
        await node.calendars.put(calendar_of("", "holidays", 0, windows=windows(node, (90, 100))), "me")
        tasks = [await bound(node, interval(node, SELDOM), persistent=True, name=f"t{n}") for n in range(5)]

        def copy() -> None:
            if not copies and node._durable.store.calendars("")[0].version == 2:
                copies.append(crash_copy(first, tmp_path / "second"))

        world_of(node).failures["keeper.committed"] = copy
        await node.calendars.put(calendar_of("", "holidays", 0, windows=windows(node, (80, 100))), "me")
        await trio.sleep(1)
        down_at = world_of(node).now()
    async with node_at(copies[0], Diary(), start=down_at) as node:
        await trio.sleep(1)
        for task in tasks:
            found = await node.task(task.id)
            assert [rule.calendar.version for rule in found.definition.bounds.calendars] == [2]


# -- the time zone database


async def test_case_a9_another_time_zone_database_moves_next_fires_once(
    tmp_path: Path, autojump_clock: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    trigger = Cron("*/5 * * * *", "Europe/Berlin")
    diary = Diary()
    async with node_at(tmp_path, diary) as node:
        task = await add(node, "zoned", trigger)
        right = task.state.next_fire
        assert right is not None
        down_at = world_of(node).now()
    wrong = Instant(right + 2 * HOUR)
    store_wrong_fire(tmp_path, task, wrong)
    monkeypatch.setattr("actors.composition.database_version", lambda: "2030a")
    monkeypatch.setattr("actors.keeper.database_version", lambda: "2030a")
    async with node_at(tmp_path, diary, start=down_at) as node:
        await trio.sleep(1)
        assert (await node.task(task.id)).state.next_fire == right
        await trio.sleep((right - down_at) / SECOND + 300)
        assert await states(node, task) == ["fired", "fired"]
        records = [one for one in node._durable.store.audits(offset=0, limit=99) if one.action == "TimeZonesChanged"]
        assert [(one.task_id, one.actor) for one in records] == [(task.id, "scheduler")]
        up_to = world_of(node).now()
    async with node_at(tmp_path, diary, start=up_to) as node:
        assert node.identity.timezone_database == "2030a"


def store_wrong_fire(path: Path, task: Task, at: Instant) -> None:
    store = SqliteStore(path / "tocsin.db", synchronous="OFF")
    store.open(new_cluster_id="", partitions=1, timezone_database="")
    (stored,) = store.tasks([task.id])
    state = evolve(stored.state, version=stored.state.version + 1, next_fire=at)
    partition = 0
    assert not store.commit(Commit({}, (), (Update(task.id, partition, stored.state.version, state, at),))).refused
    store.close()


async def test_a_one_time_child_is_started_by_its_parent(tmp_path: Path, autojump_clock: None) -> None:
    """The way to say `after`: a one-time task with a parent."""
    diary = Diary()
    async with node_at(tmp_path, diary) as node:
        parent = await parent_of(node)
        definition = Definition(
            node.world.new_id(),
            "after",
            "work",
            Once(Instant(node.world.now() + SECOND)),
            created_at=node.world.now(),
            dependencies=Dependencies((parent.id,)),
        )
        await node.create([definition], "me")
        await trio.sleep(1_000)
        assert diary.began == []
        await run(node, parent)
        await trio.sleep(1)
        assert [name for name, *_ in diary.began] == ["parent", "after"]
