"""The direct way of a common attempt does what the general way does."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from actors.executor import Executor
from actors.executor_core import ABANDON_SECONDS, ExecutorCore
from actors.executor_messages import (
    AlarmRang,
    Beat,
    Begun,
    Directive,
    Drain,
    HandlerEnded,
    InterruptAll,
    ReportEnd,
    Resync,
    Spawn,
    Trust,
)
from actors.handling.catalogue import Catalogue, task_type
from actors.handling.context import Context
from actors.handling.hooks import Hook, Hooks
from actors.keeper_messages import Event as KeeperEvent
from actors.keeper_messages import Interrupt, Recorded, Release, Start
from actors.model.execution import Failure
from actors.model.policy import DEFAULT_POLICIES, Policies
from actors.sharing_messages import EndTasks
from runtime.clock import SECOND, Instant, Micros
from runtime.mailbox import Mailbox, Reply
from runtime.simulation import SimulatedWorld
from tests.actors.executor_kit import no_checkpoint, running, start

POLICIES = [DEFAULT_POLICIES, Policies(timeout=Micros(5 * SECOND)), Policies(heartbeat_timeout=Micros(2 * SECOND))]
REPLY: Reply[None] = Reply()

starts = st.builds(
    start,
    st.integers(0, 1),
    type=st.sampled_from(["work", "worker:mail"]),
    policies=st.sampled_from(POLICIES),
    fence=st.integers(1, 2),
    boot=st.sampled_from([None, "old", "new"]),
    parameters=st.just("{}"),
)
ids = st.sampled_from(["e0", "e1"])
fences = st.integers(1, 2)
ended = st.builds(HandlerEnded, ids, fences, st.just("completed"), st.sampled_from([None, "1"]))
failed = st.builds(HandlerEnded, ids, fences, st.just("failed"), st.none(), st.just(Failure("E", "t")), st.just(("E",)))
rare = st.one_of(
    failed,
    st.builds(Beat, ids, fences),
    st.builds(Begun, ids, fences),
    st.builds(lambda *key: Recorded((key,)), ids, fences),
    st.builds(Release, ids, fences),
    st.builds(Interrupt, ids, fences, st.sampled_from(["cancelled", "lost_lease"])),
    st.builds(InterruptAll, st.just("lost_lease")),
    st.builds(Trust, st.sampled_from(["old", "new"])),
    st.builds(Resync, st.just("token")),
    st.builds(EndTasks, st.tuples(st.sampled_from(["t0", "t1"]))),
    st.just(AlarmRang()),
    st.just(Drain(3.0, REPLY)),
)
common = st.sampled_from([starts, starts, ended, ended, rare]).flatmap(lambda one: one)
events = st.lists(st.tuples(common, st.sampled_from([0.0, 0.0, 1.0, 6.0, 11.0])), min_size=10, max_size=40)
"""Mostly starts and ends of few attempts, so that they meet each other."""


def directly(core: ExecutorCore, event: Any, now: Instant, at: float) -> list[Directive]:
    """As the executor does it: the direct way where that is possible."""
    if isinstance(event, Start):
        alarms = core.start_plain(event.definition, event.execution, now, at)
        if alarms is not None:
            return [Spawn(event.definition, event.execution, now), *alarms]
    if isinstance(event, HandlerEnded) and event.how == "completed":
        end = core.completed_plain((event.execution_id, event.fence), event.result, now, lambda: at)
        if end is not None:
            return [ReportEnd(end)]
    return core.handle(event, now, at)


@given(events)
def test_both_ways_decide_the_same_and_leave_the_same_behind(steps: list[tuple[Any, float]]) -> None:
    general, direct, at = ExecutorCore(4), ExecutorCore(4), 0.0
    for event, seconds in steps:
        at += seconds
        now = Instant(int(at * SECOND))
        assert directly(direct, event, now, at) == general.handle(event, now, at), event
        assert vars(direct) == vars(general), event


def test_an_attempt_that_was_superseded_and_still_runs_is_not_started_again() -> None:
    core = ExecutorCore(4)
    for event in (start(fence=1), start(fence=2, attempt=2), HandlerEnded("e1", 2, "completed")):
        core.handle(event, Instant(1), 0.0)
    again = start(fence=1)
    assert core.start_plain(again.definition, again.execution, Instant(2), 0.0) is None
    assert core.running == 1


def test_an_attempt_that_was_abandoned_and_still_runs_is_not_started_again() -> None:
    core, again, late = ExecutorCore(4), start(), ABANDON_SECONDS
    for event, at in ((start(), 0.0), (Interrupt("e1", 1, "cancelled"), 0.0), (AlarmRang(), late)):
        core.handle(event, Instant(1), at)
    for known in (Recorded((("e1", 1),)), Release("e1", 1)):
        core.handle(known, Instant(1), late)
        assert core.start_plain(again.definition, again.execution, Instant(2), 0.0) is None
    assert (core.running, core.stuck) == (0, 1)


@pytest.mark.parametrize("policies", POLICIES)
def test_the_common_attempt_takes_the_direct_way(policies: Policies) -> None:
    core, message = ExecutorCore(4), start(policies=policies)
    assert core.start_plain(message.definition, message.execution, Instant(1), 0.0) is not None
    assert core.completed_plain(("e1", 1), "1", Instant(2), lambda: 0.1) is not None


def test_the_clock_is_not_read_for_an_attempt_without_a_timeout() -> None:
    core, message, read = ExecutorCore(4), start(), list[float]()

    def monotonic() -> float:
        read.append(0.0)
        return 0.0

    core.start_plain(message.definition, message.execution, Instant(1), 0.0)
    assert core.completed_plain(("e1", 1), "1", Instant(2), monotonic) is not None
    assert not read


async def test_a_handler_may_end_after_its_attempt_was_told_to_end(autojump_clock: trio.testing.MockClock) -> None:
    async def handler(ctx: Context) -> int:
        with trio.CancelScope(shield=True):
            await trio.sleep(1)
        return 1

    async with running(handler) as (executor, keeper):
        await executor.mailbox.tell(start(1))
        await executor.mailbox.tell(Interrupt("e1", 1, "cancelled"))
        end = await keeper.end()
        assert (end.state.name, end.result) == ("CANCELLED", None)


async def test_a_crash_on_a_message_loses_that_one_of_its_batch(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []

    async def handler(ctx: Context) -> None:
        ran.append(ctx.execution_id)

    mailbox: Mailbox[KeeperEvent] = Mailbox("keeper")
    executor = Executor(SimulatedWorld(), Catalogue([task_type("work", handler)]), mailbox, no_checkpoint)
    usual = executor.core.start_plain

    def crashes(definition: Any, execution: Any, now: Instant, at: float) -> list[Directive] | None:
        if execution.id == "e2":
            raise ZeroDivisionError
        return usual(definition, execution, now, at)

    monkeypatch.setattr(executor.core, "start_plain", crashes)
    for number in (1, 2, 3):
        executor.mailbox.tell_nowait(start(number))
    with pytest.raises(ExceptionGroup):
        await executor.run()
    assert executor.mailbox.statistics().redelivered == 1
    async with trio.open_nursery() as nursery:
        await nursery.start(executor.run)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert ran[-1] == "e3"
    assert "e2" not in ran


def test_it_is_known_whether_any_hook_surrounds_an_attempt() -> None:
    async def hook(*_: Any) -> None: ...

    async def other(*_: Any) -> None: ...

    hooks = Hooks()
    hooks.add(Hook("on_outcome", hook))
    assert not hooks.surround
    hooks.add(Hook("after", hook))
    hooks.add(Hook("before", other))
    assert hooks.surround
    hooks.remove(hook)
    assert hooks.surround
    hooks.remove(other)
    assert not hooks.surround
