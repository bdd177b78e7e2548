"""Attempts that workers outside carry out: leases, what a worker says, what is refused."""

from __future__ import annotations

import trio
import trio.testing

from actors.executor import Executor
from actors.executor_messages import Drain
from actors.handling.catalogue import task_type
from actors.handling.context import Context
from actors.keeper_messages import Interrupt
from actors.model.execution import Failure
from actors.model.lifecycle import State
from actors.model.policy import Policies
from actors.model.scope import EVERYTHING, Scope
from actors.outside import Outside, OutsideJob
from runtime.clock import SECOND, Micros
from runtime.mailbox import ask
from tests.actors.executor_kit import running, start

RENDER = "worker:render"


async def taken(executor: Executor, worker: str = "w", *, wait: float = 5.0, lease: float = 30.0) -> OutsideJob:
    found = await executor._outside.take(worker, {RENDER}, EVERYTHING, lease=lease, wait=wait)
    assert found is not None
    return found


async def test_a_worker_takes_what_is_held_and_completes_it(autojump_clock: trio.testing.MockClock) -> None:
    async with running() as (executor, keeper):
        await executor.mailbox.tell(start(type=RENDER))
        job = await taken(executor)
        assert job.key == ("e1", 1)
        assert job.worker == "w"
        job.complete({"pages": 3})
        end = await keeper.end()
        assert (end.state, end.result) == (State.COMPLETED, '{"pages":3}')
        await job.recorded.wait()
        assert executor._outside.find(("e1", 1)) is None
        assert keeper.lines == ["taken by worker w"]


async def test_a_worker_waits_until_there_is_work(autojump_clock: trio.testing.MockClock) -> None:
    async with running() as (executor, _), trio.open_nursery() as nursery:
        found = []

        async def poll(name: str) -> None:
            found.append(await taken(executor, name, wait=60))

        nursery.start_soon(poll, "a")
        nursery.start_soon(poll, "b")
        await trio.sleep(10)
        assert not found
        await executor.mailbox.tell(start(1, type=RENDER))
        await trio.sleep(1)
        assert len(found) == 1
        await executor.mailbox.tell(start(2, type=RENDER))
        await trio.sleep(1)
        assert {job.key[0] for job in found} == {"e1", "e2"}
        assert {job.worker for job in found} == {"a", "b"}
        nursery.cancel_scope.cancel()


async def test_nothing_within_the_wait_is_none(autojump_clock: trio.testing.MockClock) -> None:
    outside = Outside()
    began = trio.current_time()
    assert await outside.take("w", {RENDER}, EVERYTHING, lease=30, wait=20) is None
    assert trio.current_time() - began == 20
    assert await outside.take("w", {RENDER}, EVERYTHING, lease=30, wait=0) is None


async def test_a_lease_that_runs_out_is_a_crash(autojump_clock: trio.testing.MockClock) -> None:
    async with running() as (executor, keeper):
        await executor.mailbox.tell(start(type=RENDER))
        job = await taken(executor, lease=30)
        for _ in range(3):
            await trio.sleep(29)
            job.renew()
        assert not keeper.ends
        await trio.sleep(31)
        end = await keeper.end()
        assert end.state is State.CRASHED
        assert end.failure == Failure("WorkerLost", "worker 'w' was not heard of for 30 s")
        job.complete("too late")
        assert job.result is None
        assert len(keeper.ends) == 1


async def test_a_worker_that_starts_anew_has_lost_what_it_had(autojump_clock: trio.testing.MockClock) -> None:
    async with running() as (executor, keeper), trio.open_nursery() as nursery:
        await executor.mailbox.tell(start(1, type=RENDER))
        await executor.mailbox.tell(start(2, type=RENDER))
        mine, other = await taken(executor, "mine"), await taken(executor, "other")
        polled = []

        async def poll() -> None:
            polled.append(await executor._outside.take("mine", {RENDER}, EVERYTHING, lease=30, wait=1_000))

        nursery.start_soon(poll)
        await trio.sleep(1)
        assert executor._outside.start_anew("mine", Scope("elsewhere")) == []
        assert not mine.is_over
        assert executor._outside.start_anew("mine", EVERYTHING) == [mine]
        end = await keeper.end()
        assert (end.execution_id, end.state) == (mine.key[0], State.CRASHED)
        assert not other.is_over
        assert polled == [None]


async def test_a_failure_is_that_of_a_handler(autojump_clock: trio.testing.MockClock) -> None:
    async with running() as (executor, keeper):
        await executor.mailbox.tell(start(type=RENDER))
        job = await taken(executor)
        job.fail(Failure("OSError", "no disk"), ("OSError", "Exception"))
        end = await keeper.end()
        assert (end.state, end.failure, end.retryable) == (State.FAILED, Failure("OSError", "no disk"), True)


async def test_what_is_given_back_costs_nothing(autojump_clock: trio.testing.MockClock) -> None:
    async with running() as (executor, keeper):
        await executor.mailbox.tell(start(type=RENDER))
        job = await taken(executor)
        job.give_back("busy")
        assert (await keeper.end()).state is State.WAITING


async def test_timeouts_run_from_when_a_worker_has_it(autojump_clock: trio.testing.MockClock) -> None:
    async with running() as (executor, keeper):
        policies = Policies(timeout=Micros(10 * SECOND))
        await executor.mailbox.tell(start(type=RENDER, policies=policies))
        await trio.sleep(100)
        assert not keeper.ends
        job = await taken(executor)
        await trio.sleep(11)
        assert job.context.cancellation_reason == "timeout"
        job.complete("late")
        end = await keeper.end()
        assert (end.state, end.result) == (State.TIMED_OUT, None)


async def test_a_cancelled_attempt_occupies_its_task_until_the_worker_stops(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with running() as (executor, keeper):
        await executor.mailbox.tell(start(type=RENDER))
        job = await taken(executor)
        await executor.mailbox.tell(Interrupt("e1", 1, "cancelled by ann"))
        await trio.sleep(5)
        assert not keeper.ends
        assert job.context.cancellation_reason == "cancelled by ann"
        job.give_back("cancelled by ann")
        assert (await keeper.end()).state is State.CANCELLED


async def test_a_worker_that_does_not_stop_is_abandoned_and_freed_with_its_lease(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with running() as (executor, keeper):
        await executor.mailbox.tell(start(type=RENDER))
        job = await taken(executor, lease=30)
        await executor.mailbox.tell(Interrupt("e1", 1, "cancelled by ann"))
        end = await keeper.end()
        assert (end.state, end.holds_slot) == (State.CANCELLED, True)
        assert keeper.freed == 0
        await trio.sleep(31)
        assert keeper.freed == 1
        await job.recorded.wait()
        assert executor._outside.find(("e1", 1)) is None


async def test_what_nobody_has_ends_at_once_when_it_is_cancelled(autojump_clock: trio.testing.MockClock) -> None:
    async with running() as (executor, keeper):
        await executor.mailbox.tell(start(type=RENDER))
        await trio.sleep(1)
        await executor.mailbox.tell(Interrupt("e1", 1, "cancelled by ann"))
        assert (await keeper.end()).state is State.CANCELLED
        assert await executor._outside.take("w", {RENDER}, EVERYTHING, lease=30, wait=0) is None


async def test_a_drain_gives_back_what_nobody_has_and_tells_the_others(autojump_clock: trio.testing.MockClock) -> None:
    async with running() as (executor, keeper), trio.open_nursery() as nursery:
        await executor.mailbox.tell(start(1, type=RENDER))
        await executor.mailbox.tell(start(2, type=RENDER))
        await executor.mailbox.tell(start(3, type=RENDER))
        first, second = await taken(executor, "a"), await taken(executor, "b")
        nursery.start_soon(ask, executor.mailbox, lambda reply: Drain(5, reply), 60)
        await trio.sleep(1)
        assert [(end.execution_id, end.state) for end in keeper.ends] == [("e3", State.WAITING)]
        assert first.context.cancellation_reason == "drain"
        first.complete("in time")
        await trio.sleep(5)
        states = {end.execution_id: end.state for end in keeper.ends}
        assert states == {"e1": State.COMPLETED, "e2": State.WAITING, "e3": State.WAITING}
        second.complete("too late")
        assert len(keeper.ends) == 3


async def test_order_is_by_priority_then_age_and_within_the_scope(autojump_clock: trio.testing.MockClock) -> None:
    async with running() as (executor, _):
        for number, priority in ((1, 5), (2, 5), (3, 1)):
            await executor.mailbox.tell(start(number, type=RENDER, policies=Policies(priority=priority)))
        await trio.sleep(1)
        outside = executor._outside
        assert await outside.take("w", {RENDER}, Scope("other"), lease=30, wait=0) is None
        assert await outside.take("w", {"worker:other"}, EVERYTHING, lease=30, wait=0) is None
        order = [(await taken(executor)).key[0] for _ in range(3)]
        assert order == ["e3", "e1", "e2"]


async def test_a_handler_of_the_node_stands_in_for_workers_with_its_timeout(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def stand_in(ctx: Context) -> None:
        await trio.sleep_forever()

    async with running(task_type(RENDER, stand_in)) as (executor, keeper):
        await executor.mailbox.tell(start(type=RENDER, policies=Policies(timeout=Micros(10 * SECOND))))
        assert (await keeper.end()).state is State.TIMED_OUT
