"""What follows an outcome, through a whole node: both lanes, restarts, and power cuts between doing and recording."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
import trio.testing

from actors.command_messages import DeleteTask, RunTask
from actors.composition import open_node
from actors.handling.hooks import Hook, Settled
from actors.herald_messages import Delivery, DeliveryFailed
from actors.herald_tasks import MAX_CHAIN
from actors.model.event import EventTrigger, On, Topic, Webhook
from actors.model.event import RunTask as RunAction
from actors.model.execution import Kind
from actors.model.lifecycle import State
from actors.model.policy import Policies, Retry
from actors.model.task import Definition, Task
from actors.model.trigger import Once
from actors.node import Node, NodeConfig
from actors.store.port import DeliveryWrite
from runtime.clock import DAY, SECOND, Instant
from runtime.simulation import DEFAULT_START, SimulatedWorld

from .kit import Diary, crash_copy, history, interval, world_of

HOOK = Webhook("https://example.org/hook")
NEVER = Once(Instant(DEFAULT_START + 30 * DAY))
ONCE = Policies(retry=Retry(max_retries=0))

both_lanes = pytest.mark.parametrize("persistent", [True, False], ids=["durable", "memory"])


@attrs.define
class Outside:
    """The world outside of the node. `broken`: how many tries fail before one works."""

    received: list[Delivery] = attrs.field(factory=list)
    broken: int = 0

    async def hook(self, delivery: Delivery) -> str:
        self.received.append(delivery)
        if len(self.received) <= self.broken:
            raise DeliveryFailed("HTTP 503")
        return "HTTP 204"

    @property
    def ids(self) -> list[str]:
        return [delivery.id for delivery in self.received]


@asynccontextmanager
async def node_with(
    path: Path, outside: Outside, *hooks: Hook, diary: Diary | None = None, start: Instant = DEFAULT_START
) -> AsyncIterator[Node]:
    catalogue = (diary or Diary()).catalogue()
    catalogue.hooks.extend(hooks)
    settings = NodeConfig(data=path, synchronous="OFF")
    async with open_node(settings, catalogue, SimulatedWorld(0, start), actions={Webhook: outside.hook}) as node:
        yield node


async def make(node: Node, name: str, *events: EventTrigger, trigger: Any = None, **fields: Any) -> Task:
    plain = Definition(
        node.world.new_id(), name, "work", trigger or NEVER, events=events, policies=ONCE, created_at=node.world.now()
    )
    (made,) = await node.create([attrs.evolve(plain, **fields)], "me")
    assert isinstance(made, Task), made
    return made


async def run(node: Node, task: Task, parameters: str = "{}") -> str:
    execution = await node.command(task.id, lambda reply: RunTask(task.id, parameters, "rest", None, "me", reply))
    return execution.id


async def deliveries(node: Node, task: Task) -> list[DeliveryWrite]:
    """Oldest first."""
    found, total = await node.deliveries(task.id, offset=0, limit=1_000)
    assert len(found) == total
    return found[::-1]


FAIL = '{"fail": 9}'


@both_lanes
async def test_an_outcome_is_followed_by_its_actions(
    persistent: bool, tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    outside = Outside()
    events = (
        EventTrigger("failed", (HOOK, Topic("alarms")), condition='execution.failure.type == "ValueError"'),
        EventTrigger("done", (HOOK,), (On.COMPLETED,), "result == 1"),
        EventTrigger("never", (HOOK,), (On.COMPLETED,), "result == 2"),
        EventTrigger("wrong", (HOOK,), (On.COMPLETED,), "result.rows == 2"),
    )
    async with node_with(tmp_path, outside) as node, node.watch_topic("alarms") as alarms:
        task = await make(node, "watched", *events, persistent=persistent)
        first = await run(node, task, FAIL)
        heard = await alarms.receive()
        await trio.sleep(2)
        second = await run(node, task)
        await trio.sleep(2)
        assert [(one.event, one.execution_id) for one in outside.received] == [("failed", first), ("done", second)]
        assert outside.received[1].facts["result"] == 1
        assert (heard.topic, heard.body["event"], heard.body["execution"]["id"]) == ("alarms", "failed", first)
        found = await deliveries(node, task)
        assert sorted((one.event, one.state) for one in found) == [
            ("done", "delivered"),
            ("done", "fired"),
            ("failed", "delivered"),
            ("failed", "delivered"),
            ("failed", "fired"),
            ("never", "suppressed"),
            ("wrong", "given_up"),
        ]
        assert {one.detail for one in found if one.event == "wrong"} == {"condition: a number has no 'rows'"}
        assert {one.state for one in await history(node, task)} == {State.FAILED, State.COMPLETED}


@both_lanes
async def test_slots_that_are_skipped_are_followed_too(
    persistent: bool, tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    outside = Outside()
    skipped = EventTrigger(
        "skipped", (HOOK,), (On.SKIPPED,), 'execution.reason == "overlap" and execution.state == null'
    )
    async with node_with(tmp_path, outside) as node:
        task = await make(
            node, "slow", skipped, trigger=interval(node, 10), parameters='{"seconds": 15}', persistent=persistent
        )
        await trio.sleep(22)
        assert [one.execution_id for one in outside.received] == [None]
        assert (await deliveries(node, task))[0].execution_id is None


@both_lanes
async def test_another_task_is_run_once_with_what_happened(
    persistent: bool, tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    outside, diary = Outside(), Diary()
    run_it = RunAction("other", '{"kind": "{execution.failure.message}"}')
    async with node_with(tmp_path, outside, diary=diary) as node:
        other = await make(node, "other")
        task = await make(node, "first", EventTrigger("next", (run_it,)), persistent=persistent)
        await run(node, task, FAIL)
        await trio.sleep(2)
        (execution,) = await history(node, other)
        assert (execution.kind, execution.channel, execution.state) == (Kind.MANUAL, "task", State.COMPLETED)
        assert execution.parameters == '{"kind": "attempt 1"}'
        fired, delivered = await deliveries(node, task)
        assert fired.detail == execution.id == execution.correlation == delivered.entry_id
        assert delivered.detail == f"execution {execution.id} of task other"


async def test_a_task_that_is_not_there_is_given_up_and_one_that_is_busy_is_tried_again(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with node_with(tmp_path, Outside()) as node:
        busy = await make(node, "busy")
        await run(node, busy, '{"seconds": 7}')
        task = await make(node, "first", EventTrigger("next", (RunAction("nobody"), RunAction("busy"))))
        await run(node, task, FAIL)
        await trio.sleep(30)
        states = {
            action: [one.state for one in await deliveries(node, task) if one.entry_id == action]
            for action in (await deliveries(node, task))[0].detail.split()
        }
        assert list(states.values()) == [["given_up"], ["retry", "retry", "delivered"]] or list(states.values()) == [
            ["given_up"],
            ["retry", "delivered"],
        ]
        assert len(await history(node, busy)) == 2


async def test_tasks_that_set_one_another_off_come_to_an_end(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with node_with(tmp_path, Outside()) as node:
        ping = await make(node, "ping", EventTrigger("on", (RunAction("pong"),), (On.COMPLETED,)))
        pong = await make(node, "pong", EventTrigger("on", (RunAction("ping"),), (On.COMPLETED,)))
        await run(node, ping)
        await trio.sleep(60)
        assert len(await history(node, ping)) + len(await history(node, pong)) == MAX_CHAIN + 1
        ends = [one for task in (ping, pong) for one in await deliveries(node, task) if one.state == "given_up"]
        assert [one.detail for one in ends] == [f"{MAX_CHAIN} tasks have set one another off in a row"]


async def test_a_power_cut_between_doing_and_recording_does_it_again_under_the_same_id(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    outside = Outside()
    events = EventTrigger("failed", (HOOK, RunAction("other")))
    (tmp_path / "a").mkdir()
    async with node_with(tmp_path / "a", outside) as node:
        other = await make(node, "other")
        task = await make(node, "watched", events)
        copies: list[Path] = []

        def cut() -> None:
            copies.append(crash_copy(tmp_path / "a", tmp_path / f"cut{len(copies)}"))

        world_of(node).failures["herald.delivered"] = cut
        await run(node, task, FAIL)
        await trio.sleep(5)
        now = node.world.now()
        (before,) = await history(node, other)
    assert len(copies) == 2
    for copy in copies:
        again = Outside()
        async with node_with(copy, again, start=Instant(now + SECOND)) as node:
            await trio.sleep(5)
            states = sorted(one.state for one in await deliveries(node, task))
            (after,) = await history(node, other)
        assert states == ["delivered", "delivered", "fired"]
        assert again.ids in (outside.ids, [])
        assert after.id == before.id
    assert outside.ids


async def test_a_power_cut_after_the_outcome_loses_none_of_what_follows(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    outside = Outside()
    (tmp_path / "a").mkdir()
    async with node_with(tmp_path / "a", outside) as node:
        task = await make(node, "watched", EventTrigger("failed", (HOOK,)))
        copies: list[Path] = []

        def cut() -> None:
            copies.append(crash_copy(tmp_path / "a", tmp_path / f"cut{len(copies)}"))

        await trio.testing.wait_all_tasks_blocked()
        world_of(node).failures["keeper.committed"] = cut
        await run(node, task, FAIL)
        await trio.sleep(5)
        now = node.world.now()
    delivered = []
    for copy in copies:
        again = Outside()
        async with node_with(copy, again, start=Instant(now + SECOND)) as node:
            await trio.sleep(5)
            (execution,) = await history(node, task)
            assert execution.state in (State.FAILED, State.CRASHED)
            assert [one.state for one in await deliveries(node, task)] == ["fired", "delivered"]
        delivered.append(len(again.ids))
    assert delivered[0] == 1, "it crashed with the node, which is an outcome too"
    assert delivered[-1] == 0, "it was delivered and recorded before"


async def test_what_a_trigger_remembers_survives_a_restart(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    outside = Outside()
    edge = EventTrigger("down", (HOOK,), (On.FAILED, On.COMPLETED), 'execution.state == "FAILED"', "edge")
    async with node_with(tmp_path, outside) as node:
        task = await make(node, "watched", edge)
        await run(node, task, FAIL)
        await trio.sleep(2)
        now = node.world.now()
    async with node_with(tmp_path, outside, start=Instant(now + SECOND)) as node:
        await run(node, task, FAIL)
        await trio.sleep(2)
        assert len(outside.received) == 1
        await run(node, task)
        await trio.sleep(2)
        await run(node, task, FAIL)
        await trio.sleep(2)
        assert len(outside.received) == 2


async def test_retries_go_on_after_a_restart_and_end_with_the_task(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    outside = Outside(broken=3)
    async with node_with(tmp_path, outside) as node:
        task = await make(node, "watched", EventTrigger("failed", (HOOK,)))
        gone = await make(node, "gone", EventTrigger("failed", (HOOK,)))
        await run(node, task, FAIL)
        await trio.sleep(2)
        now = node.world.now()
    async with node_with(tmp_path, outside, start=Instant(now + SECOND)) as node:
        await trio.sleep(100)
        assert len(outside.received) == 4
        assert len(set(outside.ids)) == 1
        assert [one.state for one in await deliveries(node, task)] == ["fired", "retry", "retry", "retry", "delivered"]
        outside.broken = 100
        await run(node, gone, FAIL)
        await trio.sleep(2)
        tried = len(outside.received)
        await node.command(gone.id, lambda reply: DeleteTask(gone.id, "me", reply))
        await trio.sleep(100)
        assert len(outside.received) == tried


# -- hooks


@both_lanes
async def test_hooks_hear_what_became_of_occurrences_and_runs(
    persistent: bool, tmp_path: Path, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[Settled] = []

    async def listen(settled: Settled) -> None:
        heard.append(settled)

    async def wrong(settled: Settled) -> None:
        raise ZeroDivisionError("a bug")

    hooks = (Hook("on_outcome", wrong), Hook("on_outcome", listen, task="slow"))
    async with node_with(tmp_path, Outside(), *hooks) as node:
        task = await make(node, "slow", trigger=interval(node, 10), parameters='{"seconds": 15}', persistent=persistent)
        await trio.sleep(29)
        other = await make(node, "other")
        await run(node, other)
        await trio.sleep(2)
        assert [(one.state, one.outcome, one.reason) for one in heard] == [
            (None, "skipped", "overlap"),
            (State.COMPLETED, "fired", None),
        ]
        assert heard[0].task_id == task.id
        assert [one.state for one in await history(node, other)] == [State.COMPLETED]
    assert caplog.text.count("failed: ZeroDivisionError: a bug") == 3
