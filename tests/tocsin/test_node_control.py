"""What a program asks of its node beside tasks."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trio

import tocsin
from actors.handling.catalogue import Catalogue, task_type
from actors.handling.context import SyncContext
from actors.model.execution import Execution
from actors.model.lifecycle import State
from tests.tocsin.conftest import CATALOGUE
from tests.tocsin.test_node import QUICK, ended
from tocsin.node import LocalNode


async def until_running(node: LocalNode, execution: Execution) -> None:
    with trio.fail_after(20):
        while (await node.execution(execution.id)).execution.state is not State.RUNNING:  # noqa: ASYNC110
            await trio.sleep(0.005)


@pytest.mark.parametrize("persistent", [True, False], ids=["sqlite", "memory"])
async def test_why_next_and_logs(tmp_path: Path, persistent: bool) -> None:
    async with tocsin.open_node(data=tmp_path, **QUICK) as node:
        task = await node.cron("0 12 * * *", "greet", timezone="Europe/Berlin", name="noon", persistent=persistent)
        first, second = await node.next("noon", 2)
        assert first.tzinfo is UTC
        assert second - first in (timedelta(hours=23), timedelta(hours=24), timedelta(hours=25))
        told = await node.why("noon", first)
        assert (told.verdict, told.nominal) == ("future", first)
        assert told.nominal is not None and told.nominal.tzinfo is UTC
        assert "is in the future: the task will fire then" in told.lines[1]
        execution = await ended(node, await node.run(task.id))
        [line] = await node.logs(execution.id)
        assert line.text == "hello eu"
        assert await node.logs(execution.id, after=line.sequence) == []
        await node.pause("noon", "moving")
        assert await node.next("noon") == []
        _, paused, by_hand, attempt = (await node.why("noon")).lines
        assert paused == "The task is paused (moving); to go on: tocsin task activate noon"
        assert by_hand.startswith("Somebody ran it by hand at") and execution.id in by_hand
        assert "COMPLETED" in attempt
        for wrong in (datetime(2026, 1, 1), "now", 5):  # noqa: DTZ001
            with pytest.raises(tocsin.InvalidRequest, match="at: an aware datetime"):
                await node.why("noon", wrong)  # type: ignore[arg-type]
        for count in (0, 1_001, "2", True):
            with pytest.raises(tocsin.InvalidRequest, match="count"):
                await node.next("noon", count)  # type: ignore[arg-type]
        with pytest.raises(tocsin.NotFound, match="no such"):
            await node.logs("no such")
        with pytest.raises(tocsin.NotFound, match="no such"):
            await node.next("no such")


@pytest.mark.parametrize("persistent", [True, False], ids=["sqlite", "memory"])
async def test_an_abandoned_handler_is_named_and_released(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, persistent: bool
) -> None:
    monkeypatch.setattr("actors.executor_core.ABANDON_SECONDS", 0.05)
    stuck, begun = threading.Event(), threading.Event()

    def deaf(ctx: SyncContext) -> None:
        begun.set()
        stuck.wait(30)

    settings: dict[str, Any] = {**QUICK, "catalogue": Catalogue([task_type("deaf", deaf)])}
    async with tocsin.open_node(data=tmp_path, **settings) as node:
        try:
            task = node.new_task("deaf").named("deaf").with_period("1h").overlap("queue").concurrency("ear")
            await (task if persistent else task.non_persistent()).schedule()
            execution = await node.run("deaf")
            await until_running(node, execution)
            with trio.fail_after(20):
                while not begun.is_set():  # noqa: ASYNC110
                    await trio.sleep(0.005)
            await node.cancel_execution(execution.id)
            with trio.fail_after(20):
                while not (await node.execution(execution.id)).execution.lingers:  # noqa: ASYNC110
                    await trio.sleep(0.005)
            [lock] = node.locks()
            assert [holder.lingers for holder in lock.holders] == [True]
            waiting = await node.run("deaf")
            told = "\n".join((await node.why("deaf")).lines)
            assert f"Execution {execution.id} has ended CANCELLED, but its abandoned handler has not returned" in told
            assert f"tocsin execution release {execution.id}" in told
            begun.clear()
            released = await node.release(execution.id)
            assert (released.lingers, released.state) == (False, State.CANCELLED)
            with pytest.raises(tocsin.Conflict):
                await node.release(execution.id)
            await until_running(node, waiting)
        finally:
            stuck.set()
        assert (await ended(node, waiting)).state is State.COMPLETED


async def test_the_scheduler_is_paused_over_a_restart(tmp_path: Path) -> None:
    async with tocsin.open_node(data=tmp_path, **QUICK) as node:
        assert await node.scheduler_pause() is None
        paused = await node.pause_scheduler("moving")
        assert (paused.note, await node.scheduler_pause()) == ("moving", paused)
        with pytest.raises(tocsin.InvalidRequest, match="note"):
            await node.pause_scheduler("x" * 501)
    async with tocsin.open_node(data=tmp_path, **QUICK) as node:
        assert await node.scheduler_pause() == paused
        await node.every("1h", "greet", name="held")
        execution = await node.run("held")
        assert execution.state is State.WAITING
        assert any("(moving)" in line for line in (await node.why("held")).lines)
        await node.resume_scheduler()
        assert await node.scheduler_pause() is None
        assert (await ended(node, execution)).state is State.COMPLETED


async def test_calendars_from_python(tmp_path: Path) -> None:
    async with tocsin.open_node(data=tmp_path, **QUICK) as node:
        kept = await node.put_calendar("days", {"days": ["2026-12-25"], "weekdays": ["sun"]})
        assert (kept.version, kept.weekdays) == (1, (6,))
        assert await node.calendars() == [kept]
        assert await node.calendar("days") == kept
        assert (await node.put_calendar("days", {"weekdays": ["mon"]})).version == 2
        await node.when({"every": "1h", "calendars": ["days"]}, "greet", name="keeps")
        with pytest.raises(tocsin.Conflict, match="keeps"):
            await node.delete_calendar("days")
        await node.delete("keeps")
        await node.delete_calendar("days")
        assert await node.calendars() == []
        with pytest.raises(tocsin.NotFound, match="days"):
            await node.delete_calendar("days")
        with pytest.raises(tocsin.InvalidRequest, match="weekdays"):
            await node.put_calendar("days", {"weekdays": ["x"]})


async def test_a_key_is_taken_from_python(tmp_path: Path) -> None:
    async with tocsin.open_node(data=tmp_path, **QUICK) as node:
        for name in ("one", "two"):
            await node.new_task("wait").named(name).with_period("1h").concurrency("door").schedule()
        first, second = await node.run("one"), await node.run("two")
        await until_running(node, first)
        told = "\n".join((await node.why("two")).lines)
        assert f"Execution {first.id} of task 'one' has it since" in told
        assert sum(queue.waiting for queue in node.queues()) == 1
        with pytest.raises(tocsin.NotFound, match="window"):
            await node.release_lock("window")
        assert await node.release_lock("door") == (first.id,)
        await until_running(node, second)
        for execution in (first, second):
            await node.cancel_execution(execution.id)
            assert (await ended(node, execution)).state is State.CANCELLED
        assert CATALOGUE.names() == ["fail", "greet", "wait"]
        assert node.locks() == []
